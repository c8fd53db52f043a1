/* intake: how work comes into the worker: stream entries, due notices, receipts. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_INTAKE_H
#define REACH_DISPATCHER_INTAKE_H

#include "dispatcher/worker_inside.h"

/* The queue's handlers; `ctx` is the worker. */
void intake_on_entries(void *ctx, const struct queue_entry *entries, size_t n, struct arena *arena_take);
void intake_on_due(void *ctx, const struct queue_due *due, size_t n, struct arena *arena_take);
void intake_on_receipts(void *ctx, const struct queue_receipt *receipts, size_t n, struct arena *arena_take);

/* The same for receipts that may have been here before, first at since_ms (monotonic). Answers later, from the loop. */
void intake_take_receipts(struct worker *worker, const struct queue_receipt *receipts, size_t n, int64_t since_ms,
                          struct arena *arena_take);

/* Takes up a control job again that had to wait until a notice was in Redis; it is not active. */
void intake_control(struct worker *worker, struct work *work_take);

/* Has one active work that is not from the stream looked up and taken on. */
void intake_look_up(struct worker *worker, struct work *work);

/* What came of an active work that the same job has come again for: it is recorded, so the others are duplicates; or it leaves before it is
 * (again), and they follow it. */
void intake_repetitions(struct worker *worker, struct work *work, bool recorded);

void intake_fini(struct worker *worker);

#endif
