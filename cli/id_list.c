/* id_list: see id_list.h.
 *
 * For going through the contact book the ids pass through sort(1), so that a list of any length costs no memory and a customer who stands
 * in it twice (or whom SSCAN hands out twice) counts once. For narrowing a file of contacts they are handed on as they come; the caller
 * keeps them.
 *
 * Fails: with the file or Redis. A line that is no id is told, never guessed at. Does not: know whether there is such a customer. */
#include "cli/id_list.h"

#include "base/json.h"
#include "base/text.h"
#include "cli/lines.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SORT_MIB = 32, ID_LINE_MAX = 1024 * 1024 };

/* One reading. */
struct pass {
    const struct id_source *source;
    id_list_fn *each;
    void *ctx;
    struct err *err;
};

/* 0, or -1 where each() failed. */
static int take_id(const struct pass *pass, const char *source, const char *where, const char *id) {
    struct err err;
    if (id != NULL && text_is_id(id)) {
        return pass->each(pass->ctx, id, pass->err);
    }
    (void)err_set(&err, ERR_MEMBER, "is no customer id (1 to 128 characters out of A-Z a-z 0-9 . _ : @ + / = -)");
    pass->source->trouble(pass->source->ctx, source, where, &err);
    return 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* A line that is a JSON object gives its "id": a file of contacts lists ids as well. */
static int take_line(const struct pass *pass, const struct line *line, uint64_t number) {
    const char *path = pass->source->path;
    char where[24];
    char id[256];
    const char *text = line->text;
    size_t len = line->len;
    for (; len > 0 && is_blank(text[0]); text++) {
        len--;
    }
    while (len > 0 && is_blank(text[len - 1])) {
        len--;
    }
    (void)snprintf(where, sizeof where, "%llu", (unsigned long long)number);
    if (len > 0 && text[0] == '{' && !line->too_long) {
        struct err err;
        json_t *object = json_parse_strict(text, len, ID_LINE_MAX, &err);
        int result = take_id(pass, path, where, json_string_value(json_object_get(object, "id")));
        json_decref(object);
        return result;
    }
    bool fits = len < sizeof id && !line->too_long && memchr(text, '\0', len) == NULL;
    (void)snprintf(id, sizeof id, "%.*s", fits ? (int)len : 0, text);
    return take_id(pass, path, where, fits ? id : NULL);
}

static int read_file(const struct pass *pass) {
    struct lines lines;
    struct line line;
    int more = -1;
    int fd = open(pass->source->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_system(pass->err, pass->source->path);
    }
    if (lines_init(&lines, fd, ID_LINE_MAX, pass->err) == 0) {
        while ((more = lines_next(&lines, &line, pass->err)) == 1) {
            if (!line_is_blank(&line) && take_line(pass, &line, lines.number) < 0) {
                more = -1;
                break;
            }
        }
        lines_fini(&lines);
    }
    (void)close(fd);
    return more;
}

struct members {
    const struct pass *pass;
    bool failed;
};

static int take_member(void *ctx, const char *member) {
    struct members *members = ctx;
    members->failed = take_id(members->pass, members->pass->source->audience->set, member, member) < 0;
    return members->failed ? 1 : 0;
}

static int read_set(const struct pass *pass) {
    struct members members = {.pass = pass};
    struct store *store = ctl_store(pass->source->ctl, pass->err);
    int result = store == NULL ? -1 : store_each_member(store, pass->source->audience->set, take_member, &members, pass->err);
    return members.failed ? -1 : result;
}

int id_list_each(const struct id_source *source, id_list_fn *each, void *ctx, struct err *err) {
    const struct pass pass = {source, each, ctx, err};
    return source->audience->kind == AUDIENCE_FILE ? read_file(&pass) : read_set(&pass);
}

/* ---- in order ----------------------------------------------------------------------------------------------------------- */

static int add_id(void *ctx, const char *id, struct err *err) {
    struct id_list *list = ctx;
    (void)err; /* a failure is told at the end of the input */
    sorted_add(&list->sorted, id, strlen(id));
    return 0;
}

int id_list_begin(struct id_list *list, const struct id_source *source, struct err *err) {
    *list = (struct id_list){0};
    if (sorted_begin(&list->sorted, SORT_MIB, err) < 0) {
        return -1;
    }
    list->sorting = true;
    return id_list_each(source, add_id, list, err) < 0 ? -1 : sorted_end_of_input(&list->sorted, err);
}

void id_list_fini(struct id_list *list) {
    if (list->sorting) {
        sorted_fini(&list->sorted);
    }
    list->sorting = false;
}

int id_list_next(struct id_list *list, const char **id_r, struct err *err) {
    const char *line;
    size_t len;
    int more;
    do {
        more = sorted_next(&list->sorted, &line, &len, err);
    } while (more == 1 && strlen(list->last) == len && memcmp(list->last, line, len) == 0);
    if (more == 1) {
        (void)snprintf(list->last, sizeof list->last, "%.*s", (int)len, line);
        *id_r = list->last;
    }
    return more;
}
