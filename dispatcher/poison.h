/* poison: a due notice that workers were lost over again and again. Internal to dispatcher/. (An entry of a stream: intake.c.) */
#ifndef REACH_DISPATCHER_POISON_H
#define REACH_DISPATCHER_POISON_H

#include "dispatcher/worker_inside.h"

/* Takes up a notice that QUEUE_LOST_MAX workers were lost over, in order to end it. `due` is borrowed. */
void poison_end(struct worker *worker, const struct queue_due *due);

/* Why it is ended; in the work's arena. NULL: no memory. */
const char *poison_reason(struct work *work);

/* Adds to the change that ends a buried work: its job goes to the dead letters, ops are told. */
void poison_bury(struct work *work, int64_t now_ms);

#endif
