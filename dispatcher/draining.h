/* draining: a worker that is told to stop. Internal to dispatcher/; worker_drain() is in worker.h. */
#ifndef REACH_DISPATCHER_DRAINING_H
#define REACH_DISPATCHER_DRAINING_H

#include "dispatcher/worker_inside.h"

/* Something has ended or was answered: where the worker is draining and nothing is left to wait for, that is told. */
void draining_check(struct worker *worker);

#endif
