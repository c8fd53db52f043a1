/* refusals: jobs that never become a notice: dead or duplicate. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_REFUSALS_H
#define REACH_DISPATCHER_REFUSALS_H

#include "dispatcher/worker_inside.h"

/* Notes that a work, which is not active, never becomes a notice. It is written with the next flush. */
void refusals_add(struct worker *worker, struct work *work_take, enum notice_state state, const struct err *why);

/* The same of an active work, which is dropped. */
void intake_refuse(struct worker *worker, struct work *work, enum notice_state state, const struct err *why);

/* Whether its entry was in hand so often that it may be what kills the workers: it is not to be looked at any more. */
bool refusals_is_poison(const struct work *work);

/* Writes what was refused since the last flush in one round trip. */
void refusals_flush(struct worker *worker);

void refusals_fini(struct worker *worker);

#endif
