/* sending: a message on its way through a gateway, from the last look to the answer. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_SENDING_H
#define REACH_DISPATCHER_SENDING_H

#include "dispatcher/worker_inside.h"

/* Whether the message of an active work, whose intent is recorded, may be handed over now; then its intent is put down in the journal, and
 * journal_flush() comes before sending_begin(). False: it has its outcome, or is gone. */
bool sending_may_go(struct worker *worker, struct work *work);

/* Hands it to its gateway. The outcome puts the work on the ready list, later, or now where the gateway does not take it. */
void sending_begin(struct worker *worker, struct work *work);

/* struct channel_env's put_banner(); `ctx` is the worker. */
int sending_put_banner(void *ctx, const struct message *message, channel_done_fn *done, void *done_ctx, struct err *err);

#endif
