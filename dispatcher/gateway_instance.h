/* gateway_instance: one opened gateway. When its settings change another instance takes its place, and the old one stays until its last
 * attempt is answered. */
#ifndef REACH_DISPATCHER_GATEWAY_INSTANCE_H
#define REACH_DISPATCHER_GATEWAY_INSTANCE_H

#include "channels/channel.h"

struct instance;

/* Opens a gateway; `settings` and `env` are borrowed for its life. NULL with *err holding file, line, gateway and key. */
struct instance *instance_open(const struct gateway_settings *settings, const struct channel_env *env, struct err *err);

/* As channel_driver.send and .flush. */
int instance_send(struct instance *instance, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                  struct err *err);
void instance_flush(struct instance *instance);

/* Nothing more is sent through it: it closes by itself, from the loop, after its last attempt is answered. Until then it stands in *list.
 */
void instance_retire(struct instance *instance_take, struct instance **list);

/* Closes at once: what is in flight is reported before it returns. It must not stand in a list. NULL is allowed. */
void instance_close(struct instance *instance_take);

/* The same for all that stand in a list. */
void instance_close_all(struct instance **list);

#endif
