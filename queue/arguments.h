/* arguments: what several callers of scripts put into their commands in the same way. */
#ifndef REACH_QUEUE_ARGUMENTS_H
#define REACH_QUEUE_ARGUMENTS_H

#include "queue/command.h"
#include "queue/keys.h"
#include "queue/queue.h"

/* Two arguments an effect: what will be done, and to which key. */
void arguments_put_effect_keys(struct command *command, const struct queue_effect *effects, size_t n);

/* Five arguments an effect, as lua/effects.lua takes them. */
void arguments_put_effects(struct command *command, const struct queue_effect *effects, size_t n);

/* A score of the due set: when, and how many workers will have been lost over the notice where that time comes without another change
 * (common.lua's lost_of() reads it: n sixteenths of a millisecond). */
enum { DUE_PARTS = 16, DUE_LOST_MAX = DUE_PARTS - 1 };
void arguments_put_due(struct command *command, int64_t due_at_ms, unsigned lost_if_over);

/* The distinct lists of counter names of a batch, and how often each is wanted. A batch has few. */
struct counts_wanted {
    struct counts_list {
        const char *names; /* borrowed */
        size_t times;
    } * items;
    size_t n, cap;
};

#define COUNTS_WANTED_INIT ((struct counts_wanted){0})

/* Adds one more of `names` (NULL or "": nothing). 1 + its place, 0 for nothing, -1 without memory. */
int counts_wanted_add(struct counts_wanted *counts, const char *names);
void counts_wanted_fini(struct counts_wanted *counts);

/* Keys and arguments of lua/gateway.lua, for reachd and reachctl alike; the number of keys (3) stands before them. */
void arguments_put_gateway(struct command *command, const struct queue_keys *keys, int64_t events_max,
                           const struct queue_gateway_change *change);

#endif
