/* early: receipts that came before the message they are about was recorded. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_EARLY_H
#define REACH_DISPATCHER_EARLY_H

#include "dispatcher/worker_inside.h"

/* Keeps a receipt whose message is not known, to be handed in again soon (intake_take_receipts()). `since_ms` (monotonic): when it came
 * first. It stays pending in Redis. False where worker.receipt_wait is over, or there is no room: then it can be answered for good. */
bool early_keep(struct worker *worker, const struct queue_receipt *receipt, int64_t since_ms);

/* Forgets all: they stay pending and come back to whoever reads next. */
void early_fini(struct worker *worker);

#endif
