/* alarm: an account was disabled. With a clearance that is the end of the matter; without one it is the failure that reachd
 * exists to prevent. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_ALARM_H
#define REACH_DISPATCHER_ALARM_H

#include "dispatcher/worker_inside.h"

/* Takes a `disabled` job: looks for the clearance and, where there was none then, raises the alarm. *work becomes NULL. 0, or -1 with *why.
 */
int alarm_check(struct worker *worker, struct work **work, struct err *why);

#endif
