/* files: see files.h.
 *
 * The version of a set is the SHA-256 of every file that was read: its path, its length and its bytes, in the order of reading, which is
 * sorted. So the same words give the same version on every machine, and any change of a word another one.
 *
 * Guarantees: a text that passes is UTF-8 without NUL, so the rest of the engine can use it as a string. Lines end with "\n" only.
 * Fails: with findings for what a writer can mend; with *err only where the directory or the hash cannot be had at all.
 * Does not: follow anything that the files name. */
#include "templates/files.h"

#include "base/text.h"
#include "templates/report.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 65536 };

int files_init(struct files *files, const char *dir, struct arena *arena, struct template_report *report, struct err *err) {
    struct stat st;
    *files = (struct files){.dir = dir, .arena = arena, .report = report};
    if (stat(dir, &st) < 0) {
        char what[300];
        (void)snprintf(what, sizeof what, "the templates directory %s", dir);
        return err_system(err, what);
    }
    if (!S_ISDIR(st.st_mode)) {
        return err_set(err, ERR_SYSTEM, "%s is not a directory of templates", dir);
    }
    files->hash = EVP_MD_CTX_new();
    if (files->hash == NULL || EVP_DigestInit_ex(files->hash, EVP_sha256(), NULL) != 1) {
        return err_no_memory(err);
    }
    return 0;
}

void files_fini(struct files *files) {
    EVP_MD_CTX_free(files->hash);
    files->hash = NULL;
}

int files_version(struct files *files, char version[65], struct err *err) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (EVP_DigestFinal_ex(files->hash, digest, &len) != 1 || len != 32) {
        return err_set(err, ERR_SYSTEM, "the version of the templates could not be computed");
    }
    for (unsigned int i = 0; i < len; i++) {
        (void)snprintf(version + 2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}

static int add_to_version(struct files *files, const char *path, const char *text, size_t len) {
    char head[600];
    int n = snprintf(head, sizeof head, "%s\n%zu\n", path, len);
    if (n < 0 || (size_t)n >= sizeof head || EVP_DigestUpdate(files->hash, head, (size_t)n) != 1 ||
        EVP_DigestUpdate(files->hash, text, len) != 1) {
        return report_error(files->report, path, 0, "the file could not be added to the version");
    }
    return 0;
}

static int keep(struct files *files, const char *path, const char *text, size_t len) {
    struct kept_file *file = arena_alloc(files->arena, sizeof *file);
    char *bytes = arena_strndup(files->arena, text, len);
    if (file == NULL || bytes == NULL) {
        return report_error(files->report, path, 0, "out of memory");
    }
    *file = (struct kept_file){.next = files->kept, .path = arena_strdup(files->arena, path), .bytes = bytes, .len = len};
    files->kept = file;
    return file->path == NULL ? report_error(files->report, path, 0, "out of memory") : 0;
}

/* "\r\n" becomes "\n"; a byte order mark goes. */
static size_t normalize(char *text, size_t len) {
    size_t from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t to = 0;
    for (; from < len; from++) {
        if (text[from] != '\r' || from + 1 == len || text[from + 1] != '\n') {
            text[to++] = text[from];
        }
    }
    text[to] = '\0';
    return to;
}

static int line_of(const char *text, const char *at) {
    int line = 1;
    for (; text < at; text++) {
        line += *text == '\n';
    }
    return line;
}

static int check_text(struct files *files, const char *path, const char *text, size_t len) {
    assert(text != NULL);
    if (memchr(text, '\0', len) != NULL || !text_is_utf8(text, len)) {
        return report_error(files->report, path, 0, "the file is not UTF-8 text; save it as UTF-8");
    }
    const char *p = memmem(text, len, "\xee\x80", 2);
    if (p != NULL) {
        return report_error(files->report, path, line_of(text, p), "a private character (U+E000 to U+E03F) stands here; remove it");
    }
    return 0;
}

/* All of an open file, up to the limit. The length, or -1 with a finding. */
static ssize_t read_all(struct files *files, int fd, const char *path, char *text) {
    size_t len = 0;
    while (len <= FILE_MAX_BYTES) {
        ssize_t n = read(fd, text + len, FILE_MAX_BYTES + 1 - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return report_error(files->report, path, 0, "the file cannot be read: %s", strerror(errno));
        }
        if (n == 0) {
            return (ssize_t)len;
        }
        len += (size_t)n;
    }
    return report_error(files->report, path, 0, "the file is larger than 64 KiB; a message this long is not read");
}

static int open_file(struct files *files, const char *path) {
    char full[1024];
    if (snprintf(full, sizeof full, "%s/%s", files->dir, path) >= (int)sizeof full) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int files_read(struct files *files, const char *path, struct source *source) {
    *source = (struct source){.line = 1};
    int fd = open_file(files, path);
    if (fd < 0) {
        return errno == ENOENT ? 0 : report_error(files->report, path, 0, "the file cannot be opened: %s", strerror(errno));
    }
    int rc = -1;
    char *text = malloc(FILE_MAX_BYTES + 2);
    ssize_t len = text == NULL ? report_error(files->report, path, 0, "out of memory") : read_all(files, fd, path, text);
    if (len >= 0 && add_to_version(files, path, text, (size_t)len) == 0 && keep(files, path, text, (size_t)len) == 0 &&
        check_text(files, path, text, (size_t)len) == 0) {
        source->len = normalize(text, (size_t)len);
        source->text = arena_strndup(files->arena, text, source->len);
        source->file = arena_strdup(files->arena, path);
        rc = source->text == NULL || source->file == NULL ? report_error(files->report, path, 0, "out of memory") : 1;
    }
    free(text);
    (void)close(fd);
    return rc;
}

static int is_directory(const struct files *files, const char *path, const struct dirent *entry) {
    char full[1024];
    struct stat st;
    if (entry->d_name[0] == '.' || snprintf(full, sizeof full, "%s/%s/%s", files->dir, path, entry->d_name) >= (int)sizeof full) {
        return 0;
    }
    return stat(full, &st) == 0 && S_ISDIR(st.st_mode);
}

/* By bytes: the order must not depend on the machine's language. */
static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

int files_directories(struct files *files, const char *path, struct conf_strings *names) {
    char full[1024];
    struct dirent **entries = NULL;
    *names = (struct conf_strings){0};
    (void)snprintf(full, sizeof full, "%s/%s", files->dir, path);
    int n = scandir(full, &entries, NULL, by_name);
    if (n < 0) {
        return report_error(files->report, path, 0, "the directory cannot be read: %s", strerror(errno));
    }
    int rc = 0;
    names->items = arena_array(files->arena, (size_t)n, sizeof *names->items);
    for (int i = 0; i < n; i++) {
        if (names->items != NULL && is_directory(files, path, entries[i])) {
            names->items[names->n] = arena_strdup(files->arena, entries[i]->d_name);
            rc = names->items[names->n++] == NULL ? -1 : rc;
        }
        free(entries[i]);
    }
    free(entries);
    return names->items == NULL || rc < 0 ? report_error(files->report, path, 0, "out of memory") : 0;
}

int files_split(struct files *files, struct source *source, struct source *front_r) {
    *front_r = (struct source){.file = source->file, .line = 1, .text = "", .len = 0};
    if (strncmp(source->text, "---\n", 4) != 0) {
        return 0;
    }
    const char *end = strstr(source->text, "\n---\n");
    if (end == NULL) {
        return report_error(files->report, source->file, 1,
                            "the part between the two lines \"---\" at the top is never closed; add a line \"---\" "
                            "after it");
    }
    front_r->text = source->text;
    front_r->len = (size_t)(end + 1 - source->text);
    size_t used = front_r->len + 4;
    source->line = line_of(source->text, source->text + used);
    source->text += used;
    source->len -= used;
    return 0;
}

/* conf says "file:line: what" or "file: what". */
static int report_conf(struct files *files, const struct source *source, const struct err *err) {
    const char *text = err->text;
    size_t name = strlen(source->file);
    int line = 0;
    if (strncmp(text, source->file, name) == 0 && text[name] == ':') {
        char *end = NULL;
        long number = strtol(text + name + 1, &end, 10);
        line = *end == ':' ? (int)number : 0;
        text = *end == ':' ? end + 1 : text + name + 1;
    }
    return report_error(files->report, source->file, line, "%s", text + strspn(text, " "));
}

int files_yaml(struct files *files, const struct source *source, const struct conf_table *table, void *object) {
    struct err err = {0};
    if (conf_read_text(source->text, source->len, source->file, table, object, files->arena, &err) < 0) {
        return report_conf(files, source, &err);
    }
    return 0;
}

int files_key_line(const struct source *yaml, const char *key) {
    size_t len = strlen(key);
    int line = yaml->line;
    for (const char *p = yaml->text; p != NULL && p < yaml->text + yaml->len; line++) {
        if (strncmp(p, key, len) == 0 && p[len] == ':') {
            return line;
        }
        p = strchr(p, '\n');
        p = p == NULL ? NULL : p + 1;
    }
    return yaml->line;
}
