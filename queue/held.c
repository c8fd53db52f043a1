/* held: see held.h.
 *
 * Linear probing with backward-shift deletion: no tombstones, so a worker that runs for months stays as fast as on its first day.
 * At most half full. Fails: by want of memory, changing nothing. */
#include "queue/held.h"

#include <stdlib.h>

enum { FIRST_CAP = 1024 };

void held_fini(struct held *held) {
    free(held->items);
    *held = HELD_INIT;
}

static int parse(enum stream stream, const char *id, struct held_item *item) {
    *item = (struct held_item){.stream_and_one = (unsigned)stream + 1};
    return stream_id_read(id, &item->ms, &item->seq);
}

static size_t home(const struct held *held, const struct held_item *item) {
    uint64_t hash = item->ms * UINT64_C(0x9e3779b97f4a7c15) ^ (item->seq + item->stream_and_one) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (size_t)(hash ^ hash >> 29) & (held->cap - 1);
}

static bool same(const struct held_item *a, const struct held_item *b) {
    return a->ms == b->ms && a->seq == b->seq && a->stream_and_one == b->stream_and_one;
}

/* Where the item is, or the free place where it would go. Needs cap > n. */
static size_t find(const struct held *held, const struct held_item *item) {
    size_t at = home(held, item);
    while (held->items[at].stream_and_one != 0 && !same(&held->items[at], item)) {
        at = (at + 1) & (held->cap - 1);
    }
    return at;
}

static int grow(struct held *held) {
    struct held bigger = {.cap = held->cap == 0 ? FIRST_CAP : held->cap * 2, .n = held->n};
    bigger.items = calloc(bigger.cap, sizeof *bigger.items);
    if (bigger.items == NULL) {
        return -1;
    }
    for (size_t i = 0; i < held->cap; i++) {
        if (held->items[i].stream_and_one != 0) {
            bigger.items[find(&bigger, &held->items[i])] = held->items[i];
        }
    }
    free(held->items);
    *held = bigger;
    return 0;
}

int held_add(struct held *held, enum stream stream, const char *id, uint64_t lease) {
    struct held_item item;
    if (parse(stream, id, &item) < 0) {
        return 0;
    }
    if (held->n * 2 >= held->cap && grow(held) < 0) {
        return -1;
    }
    size_t at = find(held, &item);
    item.lease = lease;
    if (held->items[at].stream_and_one != 0) {
        held->items[at] = item;
        return 0;
    }
    held->items[at] = item;
    held->n++;
    return 1;
}

bool held_has(const struct held *held, enum stream stream, const char *id) {
    return held_lease(held, stream, id) != 0;
}

uint64_t held_lease(const struct held *held, enum stream stream, const char *id) {
    struct held_item item;
    return held->cap > 0 && parse(stream, id, &item) == 0 ? held->items[find(held, &item)].lease : 0; /* a free place has none */
}

struct held_item *held_list(const struct held *held, size_t *n_r) {
    struct held_item *list = held->n == 0 ? NULL : calloc(held->n, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; list != NULL && i < held->cap; i++) {
        if (held->items[i].stream_and_one != 0) {
            list[n++] = held->items[i];
        }
    }
    *n_r = n;
    return list;
}

/* Whether an item whose home is `home_at` may move from `from` back into the gap at `gap`. */
static bool may_move(size_t home_at, size_t gap, size_t from) {
    return gap <= from ? home_at <= gap || home_at > from : home_at <= gap && home_at > from;
}

int held_remove(struct held *held, enum stream stream, const char *id) {
    struct held_item item;
    if (held->cap == 0 || parse(stream, id, &item) < 0) {
        return 0;
    }
    size_t gap = find(held, &item);
    if (held->items[gap].stream_and_one == 0) {
        return 0;
    }
    for (size_t from = (gap + 1) & (held->cap - 1); held->items[from].stream_and_one != 0; from = (from + 1) & (held->cap - 1)) {
        if (may_move(home(held, &held->items[from]), gap, from)) {
            held->items[gap] = held->items[from];
            gap = from;
        }
    }
    held->items[gap] = (struct held_item){0};
    held->n--;
    return 1;
}
