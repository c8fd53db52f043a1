/* lost: a contact point through which a customer was reached turns out not to work. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_LOST_H
#define REACH_DISPATCHER_LOST_H

#include "dispatcher/worker_inside.h"

/* Judges the contact points by which the customer of a `contact` job was reached once more, with what the job says of them, and takes back
 * every clearance whose evidence came through those that do not survive any more (P3). Then hands the job to control_record_contact(),
 * with the list of notices that was looked at (work->reached_seen) where there was anything to look for. */
void lost_withdraw(struct worker *worker, struct work *contact_job, int64_t now_ms);

#endif
