/* id_list: the customer ids that an audience lists, in a file or in a Redis set. */
#ifndef REACH_CLI_ID_LIST_H
#define REACH_CLI_ID_LIST_H

#include "cli/ctl.h"
#include "cli/sorted.h"
#include "dispatcher/audience.h"

/* Where they are listed. All borrowed. */
struct id_source {
    struct ctl *ctl;
    const struct audience *audience; /* of kind FILE or SET */
    const char *path;                /* of kind FILE: one id a line, or a JSON object with "id" */
    /* A line that is no id: where it stands, and why. It is left out. */
    void (*trouble)(void *ctx, const char *source, const char *where, const struct err *err);
    void *ctx;
};

/* Calls each() for every id as it comes, one that is listed twice perhaps twice. 0, or -1 with *err, of each() too. */
typedef int id_list_fn(void *ctx, const char *id, struct err *err);
int id_list_each(const struct id_source *source, id_list_fn *each, void *ctx, struct err *err);

/* The same ids in order, each once. */
struct id_list {
    struct sorted sorted;
    bool sorting;
    char last[129];
};

/* Reads them. 0, or -1 with *err; id_list_fini() in any case. */
int id_list_begin(struct id_list *list, const struct id_source *source, struct err *err);
void id_list_fini(struct id_list *list);

/* The next id, borrowed until the next call. 1, 0 after the last, -1 with *err. */
int id_list_next(struct id_list *list, const char **id_r, struct err *err);

#endif
