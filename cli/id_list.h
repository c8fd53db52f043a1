/* id_list: the customer ids that an audience lists, in a file or in a Redis set; sorted, each once, however many there are. */
#ifndef REACH_CLI_ID_LIST_H
#define REACH_CLI_ID_LIST_H

#include "cli/ctl.h"
#include "cli/sorted.h"
#include "dispatcher/audience.h"

struct id_list {
    struct sorted sorted;
    bool sorting;
    char last[129];
    void (*trouble)(void *ctx, const char *source, const char *where, const struct err *err);
    void *ctx;
};

/* Reads the ids of an audience of kind FILE (from `path`: one a line, or a JSON object with "id") or SET. A line that is no id is told
 * through trouble() and left out. 0, or -1 with *err; id_list_fini() in any case. */
int id_list_begin(struct id_list *list, struct ctl *ctl, const struct audience *audience, const char *path,
                  void (*trouble)(void *ctx, const char *source, const char *where, const struct err *err), void *ctx, struct err *err);
void id_list_fini(struct id_list *list);

/* The next id, borrowed until the next call. 1, 0 after the last, -1 with *err. */
int id_list_next(struct id_list *list, const char **id_r, struct err *err);

/* All ids in memory. */
struct id_table {
    char *text;      /* NUL-terminated, one behind the other */
    size_t *offsets; /* in order */
    size_t n;
};

/* Takes what is left of a list. 0, or -1 with *err; id_table_fini() in any case. */
int id_table_fill(struct id_table *table, struct id_list *list, struct err *err);
void id_table_fini(struct id_table *table);
bool id_table_has(const struct id_table *table, const char *id);

#endif
