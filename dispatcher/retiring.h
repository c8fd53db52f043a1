/* retiring: finished notices leave Redis for the archive. Part of the worker. */
#ifndef REACH_DISPATCHER_RETIRING_H
#define REACH_DISPATCHER_RETIRING_H

#include "base/arena.h"
#include "queue/queue.h"

/* Handler `old` of the queue; ctx is the worker, which has an archive. */
void retiring_on_old(void *ctx, const struct queue_due *finished, size_t n, struct arena *arena_take);

#endif
