/* held: which stream entries this worker has in hand, and under which lease, so that what it is working on is not handed out again: after
 * a reconnect, when a lease is over, where a group was made anew. A set of (stream, entry id). */
#ifndef REACH_QUEUE_HELD_H
#define REACH_QUEUE_HELD_H

#include "queue/keys.h"

#include <stddef.h>

struct held_item {
    uint64_t ms;
    uint64_t seq;
    uint64_t lease;
    unsigned stream_and_one; /* stream + 1; 0: the place is free */
};

struct held {
    struct held_item *items; /* open addressing, cap is a power of two; owned */
    size_t cap;
    size_t n;
};

#define HELD_INIT ((struct held){0})

void held_fini(struct held *held);

/* 1 when added, 0 when it was there already (its lease is this one from now on) or `id` is no entry id, -1 without memory. */
int held_add(struct held *held, enum stream stream, const char *id, uint64_t lease);

/* Whether it is there. */
bool held_has(const struct held *held, enum stream stream, const char *id);

/* The lease that it is in, or 0 where it is not there. */
uint64_t held_lease(const struct held *held, enum stream stream, const char *id);

/* All that is there, in a malloc'd list. NULL without memory, or where there is nothing (*n_r 0). */
struct held_item *held_list(const struct held *held, size_t *n_r);

/* 1 when removed, 0 when it was not there. */
int held_remove(struct held *held, enum stream stream, const char *id);

#endif
