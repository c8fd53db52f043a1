/* webhooks: providers' receipts over HTTP become entries of the receipts stream, like those that other programs push. */
#ifndef REACH_DISPATCHER_WEBHOOKS_H
#define REACH_DISPATCHER_WEBHOOKS_H

#include "dispatcher/settings.h"
#include "queue/queue.h"

struct event_base;
struct webhooks;

/* Listens where settings->listener says so; *webhooks_r NULL where it is off. `clock`, `queue` and `settings` (until webhooks_load())
 * are borrowed. 0, or -1 with *err holding file and line. */
int webhooks_new(struct event_base *base, const struct clock *clock, struct queue *queue, const struct settings *settings,
                 struct webhooks **webhooks_r, struct err *err);

/* After the queue is freed: what was being stored is then told as not stored. NULL is allowed. */
void webhooks_free(struct webhooks *webhooks);

/* Other gateways: 0, or -1 with *err and everything as before. The old settings stay borrowed until webhooks_is_settled(). NULL is
 * allowed. */
int webhooks_load(struct webhooks *webhooks, const struct settings *settings, struct err *err);
bool webhooks_is_settled(const struct webhooks *webhooks);

#endif
