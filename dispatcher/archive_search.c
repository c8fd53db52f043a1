/* archive_search: finds archived notices for reachctl.
 *
 * From the newest file to the oldest: a binary search in the file's index, or a walk over its lines where there is none (the file that is
 * being written, at most archive.file_max). Files are mapped, so only the pages that are looked at are read.
 *
 * Guarantees: an index only says where to look: a line counts when it holds the wanted id. Torn and foreign lines are passed over. How it
 * fails: a directory or file that may not be read is told. Does not: lock anything; a file that is deleted meanwhile is not there. */
#include "dispatcher/archive.h"
#include "dispatcher/archive_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct search {
    int dir_fd;
    enum archive_key key;
    const char *wanted; /* escaped, without its quotes */
    size_t wanted_len;
    uint64_t hash;
    archive_each_fn *each;
    void *ctx;
    struct arena *arena;
};

struct view {
    const char *data; /* NULL: none */
    size_t len;
};

/* Maps a whole file. 1, 0 not there or empty, -1 with *err. */
static int map(int dir_fd, const char *name, struct view *view, struct err *err) {
    struct stat info;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *view = (struct view){0};
    if (fd < 0) {
        return errno == ENOENT ? 0 : err_system(err, name);
    }
    if (fstat(fd, &info) == 0 && info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            (void)close(fd);
            return err_system(err, name);
        }
        *view = (struct view){data, (size_t)info.st_size};
    }
    (void)close(fd);
    return view->data == NULL ? 0 : 1;
}

static void unmap(struct view *view) {
    if (view->data != NULL) {
        (void)munmap((void *)(uintptr_t)view->data, view->len);
    }
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

static int take_line(const struct search *search, const json_t *line) {
    struct archive_found found = {.id = arena_strdup(search->arena, json_string_value(json_object_get(line, "id"))),
                                  .archived_at = arena_strdup(search->arena, json_string_value(json_object_get(line, "archived_at")))};
    const char *state = json_string_value(json_object_get(line, "state"));
    char *record = json_dumps(json_object_get(line, "record"), JSON_COMPACT | JSON_PRESERVE_ORDER);
    found.record = arena_strdup(search->arena, record);
    free(record);
    if (found.id == NULL || state == NULL || found.record == NULL || notice_state_from_name(state, &found.state) != 1) {
        return 0;
    }
    return search->each(search->ctx, &found);
}

/* Looks at the line that begins at `at`: what each() says, or 0 where it is not the wanted one. */
static int look_at(const struct search *search, const struct view *data, uint64_t at) {
    const char *line = data->data + at, *value = NULL;
    size_t value_len = 0;
    const char *newline = at >= data->len ? NULL : memchr(line, '\n', data->len - at);
    if (newline == NULL || archive_line_key(line, (size_t)(newline - line), search->key, &value, &value_len) == 0 ||
        value_len != search->wanted_len || memcmp(value, search->wanted, value_len) != 0) {
        return 0;
    }
    json_t *parsed = json_loadb(line, (size_t)(newline - line), 0, NULL);
    int rc = parsed == NULL ? 0 : take_line(search, parsed);
    json_decref(parsed);
    return rc;
}

static int walk_lines(const struct search *search, const struct view *data) {
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && at < data->len) {
        const char *newline = memchr(data->data + at, '\n', data->len - at);
        if (newline == NULL) {
            break;
        }
        rc = look_at(search, data, at);
        at = (size_t)(newline - data->data) + 1;
    }
    return rc;
}

static int walk_index(const struct search *search, const struct view *data, const struct view *index) {
    const struct archive_row *rows = NULL;
    size_t n = archive_index_find(index->data, search->key, search->hash, &rows);
    int rc = 0;
    for (size_t i = n; rc == 0 && i > 0; i--) { /* the newest line first */
        rc = look_at(search, data, rows[i - 1].offset);
    }
    return rc;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

/* 0 go on, 1 stop, -1 with *err. */
static int search_file(const struct search *search, const char *name, struct err *err) {
    char index_name[ARCHIVE_NAME_MAX + 8];
    struct view data, index;
    archive_file_index_name(name, index_name);
    int rc = map(search->dir_fd, name, &data, err);
    if (rc <= 0) {
        return rc;
    }
    if (map(search->dir_fd, index_name, &index, err) == 1 && archive_index_fits(index.data, index.len, data.len)) {
        rc = walk_index(search, &data, &index);
    } else {
        rc = walk_lines(search, &data);
    }
    unmap(&index);
    unmap(&data);
    return rc;
}

/* The text as it stands between the quotes of a line. 0 or -1. */
static int escape(const char *text, struct buf *out) {
    buf_put_json_str(out, text);
    return out->failed ? -1 : 0;
}

int archive_search(const char *directory, enum archive_key key, const char *text, archive_each_fn *each, void *ctx, struct arena *arena,
                   struct err *err) {
    struct buf wanted = BUF_INIT;
    char **names = NULL;
    long n = 0;
    int rc = -1;
    struct search search = {.key = key, .each = each, .ctx = ctx, .arena = arena};
    search.dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (search.dir_fd < 0) {
        (void)err_system(err, directory);
        return err_prefix(err, "archive");
    }
    if (escape(text, &wanted) < 0) {
        (void)err_no_memory(err);
        goto out;
    }
    search.wanted = wanted.data + 1;
    search.wanted_len = wanted.len - 2;
    search.hash = archive_hash(search.wanted, search.wanted_len);
    n = archive_file_list(search.dir_fd, &names, err);
    rc = n < 0 ? -1 : 0;
    for (long i = n; rc == 0 && i > 0; i--) {
        rc = search_file(&search, names[i - 1], err);
    }
out:
    archive_file_list_free(names, n < 0 ? 0 : n);
    buf_fini(&wanted);
    (void)close(search.dir_fd);
    return rc < 0 ? -1 : 0;
}
