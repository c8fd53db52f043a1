/* control: jobs that are not notices: contact, resolve, cancel, disabled. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_CONTROL_H
#define REACH_DISPATCHER_CONTROL_H

#include "dispatcher/worker_inside.h"

/* Looks at a parsed job that is not a notice. 0: either *work became the work on the notice it is about (id, stop set) and
 * goes on like any other, or it was dealt with and *work is NULL. -1 with *why: it is refused. */
int control_prepare(struct worker *worker, struct work **work, struct err *why);

/* Whether it is about all notices of a customer. */
bool control_is_for_customer(const struct work *work);

/* A request about a notice that nobody knows (yet): the notice's job may be in another worker's hands that has not written it down. True
 * where the work waits a moment and is taken up again, and is not active meanwhile; false where it has waited, or may not. */
bool control_wait(struct worker *worker, struct work *work);
void control_fini(struct worker *worker);

/* Merges a `contact` job into the contact book (`book_text` is what the book holds, or NULL) and drops the work. */
void control_contact(struct worker *worker, struct work *work, const char *book_text, int64_t now_ms);

/* Second half of it, once what the news costs is settled: writes the book, wakes the customer's notices, drops the work. */
void control_record_contact(struct worker *worker, struct work *work, int64_t now_ms);

/* A desk case that belongs to no notice (an alarm about an unknown account) is closed; drops the work. */
void control_close_case(struct worker *worker, struct work *work);

/* Acknowledges an entry that needs nothing else; the second also drops its work. */
void control_acknowledge(struct worker *worker, const struct queue_entry *entry);
void control_finish(struct worker *worker, struct work *work);

#endif
