/* defer: answers that are given later, from the loop.
 *
 * A driver may never call `done` from inside send(). What it knows at once (refused, null, scripted) it hands to a defer, which
 * calls back on the next turn of the loop or after a delay. */
#ifndef REACH_CHANNELS_DEFER_H
#define REACH_CHANNELS_DEFER_H

#include "channels/channel.h"

struct defer;

/* NULL with *err. `base` is borrowed for the defer's life. */
struct defer *defer_new(struct event_base *base, struct err *err);

/* Calls done(ctx, outcome) once, from the loop, `delay_ms` from now (0: on its next turn), in order of time and then of adding. The outcome
 * is copied. 0, or -1 with *err: then `done` is not called. */
int defer_add(struct defer *defer, int64_t delay_ms, const struct outcome *outcome, channel_done_fn *done, void *ctx, struct err *err);

/* Calls what is still waiting, now, in the order of its age (with `instead` in place of its outcome unless that is NULL), and frees. */
void defer_free(struct defer *defer, const struct outcome *instead);

#endif
