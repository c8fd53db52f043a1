/* lost: a contact point through which a customer was reached turns out not to work. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_LOST_H
#define REACH_DISPATCHER_LOST_H

#include "dispatcher/worker_inside.h"

/* Looks which of the customer's contact points in a `contact` job are bounced, blocked or withdrawn, and takes back every clearance
 * whose evidence came through one of them (P3). Then hands the job to control_record_contact(). */
void lost_withdraw(struct worker *worker, struct work *contact_job, int64_t now_ms);

#endif
