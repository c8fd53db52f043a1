/* holding: the works that a worker keeps in hand until their gateway has room for them. */
#ifndef REACH_DISPATCHER_HOLDING_H
#define REACH_DISPATCHER_HOLDING_H

#include "dispatcher/worker_inside.h"

struct holding;

/* Makes worker->holding, and has the gateways share their states and rates through the worker's queue and wake what is kept. 0, or -1 with
 * *err. */
int holding_start(struct worker *worker, struct err *err);
void holding_free(struct holding *holding);

/* Keeps an active work (work->gateway says for which gateway), urgent ones before the others. */
void holding_put(struct worker *worker, struct work *work);

/* A work that is kept is ready at once: it has been told to stop. Nothing where it is not kept. */
void holding_wake_one(struct worker *worker, struct work *work);

/* All are ready: the worker goes away. */
void holding_wake_all(struct worker *worker);

#endif
