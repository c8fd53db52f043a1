/* import: news about customers into the contact book, many at a time. */
#ifndef REACH_CLI_IMPORT_H
#define REACH_CLI_IMPORT_H

#include "cli/ctl.h"
#include "dispatcher/book.h"

#include <stdint.h>

enum { IMPORT_BATCH = 256 };

/* One customer of the batch. Everything it points to lives in the batch's arena. */
struct import_item {
    struct book_entry news;
    bool done;
};

struct import {
    struct store *store;
    const struct mailbox_rules *rules;
    int64_t now_ms; /* when upstream told us: names this import (to the second) */
    struct arena arena;
    struct import_item items[IMPORT_BATCH];
    size_t n;
    uint64_t n_new, n_changed, n_same, n_vanished;
    uint64_t n_looks; /* jobs that have reachd look whether a clearance rested on what this takes away */
};

/* Everything is borrowed. import_fini() when done. */
void import_init(struct import *import, struct ctl *ctl, struct store *store, int64_t now_ms);
void import_fini(struct import *import);

/* Where to put what belongs to the next customer. */
struct arena *import_arena(struct import *import);

/* Takes one customer, whose strings live in import_arena(); writes the batch when it is full. 0, or -1 with *err. */
int import_add(struct import *import, const struct customer *customer, const char *attributes, struct err *err);

/* Writes what is left. */
int import_flush(struct import *import, struct err *err);

/* Marks the contact points of every customer that was not confirmed since now_ms as vanished (nothing is deleted). 0 or -1. */
int import_mark_missing(struct import *import, struct err *err);

#endif
