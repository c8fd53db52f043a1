/* id_list: see id_list.h.
 *
 * The ids go through sort(1), so that a list of any length costs no memory and a customer who stands in it twice (or whom SSCAN hands out
 * twice) counts once. Only where a file of contacts is to be narrowed are they held in memory: one text and one number each.
 *
 * Fails: with the file or Redis. A line that is no id is told, never guessed at. Does not: know whether there is such a customer. */
#include "cli/id_list.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SORT_MIB = 32, ID_LINE_MAX = 1024 * 1024 };

static void take_id(struct id_list *list, const char *source, const char *where, const char *id) {
    struct err err;
    if (id != NULL && text_is_id(id)) {
        sorted_add(&list->sorted, id, strlen(id));
        return;
    }
    (void)err_set(&err, ERR_MEMBER, "is no customer id (1 to 128 characters out of A-Z a-z 0-9 . _ : @ + / = -)");
    err.member[0] = '\0';
    list->trouble(list->ctx, source, where, &err);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* A line that is a JSON object gives its "id": a file of contacts lists ids as well. */
static void take_line(struct id_list *list, const char *path, const struct line *line, uint64_t number) {
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
        take_id(list, path, where, json_string_value(json_object_get(object, "id")));
        json_decref(object);
        return;
    }
    bool fits = len < sizeof id && !line->too_long && memchr(text, '\0', len) == NULL;
    (void)snprintf(id, sizeof id, "%.*s", fits ? (int)len : 0, text);
    take_id(list, path, where, fits ? id : NULL);
}

static int read_file(struct id_list *list, const char *path, struct err *err) {
    struct lines lines;
    struct line line;
    int more = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_system(err, path);
    }
    if (lines_init(&lines, fd, ID_LINE_MAX, err) == 0) {
        while ((more = lines_next(&lines, &line, err)) == 1) {
            if (!line_is_blank(&line)) {
                take_line(list, path, &line, lines.number);
            }
        }
        lines_fini(&lines);
    }
    (void)close(fd);
    return more;
}

struct members {
    struct id_list *list;
    const char *key;
};

static int take_member(void *ctx, const char *member) {
    const struct members *members = ctx;
    take_id(members->list, members->key, member, member);
    return 0;
}

static int read_set(struct id_list *list, struct ctl *ctl, const char *key, struct err *err) {
    struct members members = {list, key};
    struct store *store = ctl_store(ctl, err);
    return store == NULL ? -1 : store_each_member(store, key, take_member, &members, err);
}

int id_list_begin(struct id_list *list, struct ctl *ctl, const struct audience *audience, const char *path,
                  void (*trouble)(void *ctx, const char *source, const char *where, const struct err *err), void *ctx, struct err *err) {
    *list = (struct id_list){.trouble = trouble, .ctx = ctx};
    if (sorted_begin(&list->sorted, SORT_MIB, err) < 0) {
        return -1;
    }
    list->sorting = true;
    int result = audience->kind == AUDIENCE_FILE ? read_file(list, path, err) : read_set(list, ctl, audience->set, err);
    return result < 0 ? -1 : sorted_end_of_input(&list->sorted, err);
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

/* ---- in memory --------------------------------------------------------------------------------------------------------- */

int id_table_fill(struct id_table *table, struct id_list *list, struct err *err) {
    struct buf text = BUF_INIT;
    struct buf offsets = BUF_INIT;
    const char *id;
    int more;
    *table = (struct id_table){0};
    while ((more = id_list_next(list, &id, err)) == 1) {
        buf_put(&offsets, &text.len, sizeof text.len);
        buf_put(&text, id, strlen(id) + 1);
        table->n++;
    }
    bool failed = text.failed || offsets.failed;
    table->text = buf_take(&text);
    table->offsets = (size_t *)(void *)buf_take(&offsets);
    return more < 0 ? -1 : failed || table->text == NULL || table->offsets == NULL ? err_no_memory(err) : 0;
}

void id_table_fini(struct id_table *table) {
    free(table->text);
    free(table->offsets);
    *table = (struct id_table){0};
}

bool id_table_has(const struct id_table *table, const char *id) {
    size_t low = 0;
    size_t high = table->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(id, table->text + table->offsets[middle]);
        if (order == 0) {
            return true;
        }
        low = order > 0 ? middle + 1 : low;
        high = order > 0 ? high : middle;
    }
    return false;
}
