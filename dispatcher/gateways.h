/* gateways: the open gateways, and which of them a message goes through. */
#ifndef REACH_DISPATCHER_GATEWAYS_H
#define REACH_DISPATCHER_GATEWAYS_H

#include "channels/channel.h"
#include "dispatcher/settings.h"

struct gateways;

/* Opens every configured gateway, and for a channel that has none the driver of the channel's own name if that driver needs no
 * settings (the banner). NULL with *err naming the gateway, file and line; then nothing is left open. `env` and
 * `settings` are borrowed. */
struct gateways *gateways_open(const struct settings *settings, const struct channel_env *env, struct err *err);

/* Closes all; what is in flight is reported before it returns. */
void gateways_close(struct gateways *gateways);

/* The gateway for a contact point: the one it names, else the channel's gateway with the least load for its weight. 1 and *index_r;
 * 0 where the channel has none, or the named one does not exist (then *err says so). */
int gateways_pick(const struct gateways *gateways, enum channel_id channel, const char *wanted, size_t *index_r, struct err *err);

const char *gateways_name(const struct gateways *gateways, size_t index);

/* "resend", "wait" or "next". */
enum on_unknown { ON_UNKNOWN_RESEND, ON_UNKNOWN_WAIT, ON_UNKNOWN_NEXT };
enum on_unknown gateways_on_unknown(const struct gateways *gateways, size_t index);

/* Hands a message over; see struct channel_driver. Counts it as in flight until gateways_done(). */
int gateways_send(struct gateways *gateways, size_t index, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done,
                  void *ctx, struct err *err);
void gateways_done(struct gateways *gateways, size_t index);

/* Ends a batch on every gateway. */
void gateways_flush(struct gateways *gateways);

/* ---- other settings ---------------------------------------------------------------------------------------------------- */

/* The same gateways with other settings (descriptions, secrets, limits): opens them beside those in use. NULL with *err holding file, line,
 * gateway and remedy, and nothing has changed; also where a gateway is new, gone or of another channel. What is borrowed: as
 * gateways_open(). */
struct gateways_change;
struct gateways_change *gateways_prepare(struct gateways *gateways, const struct settings *settings, const struct channel_env *env,
                                         struct err *err);

/* From now on messages go through the new ones; what is on its way is answered by those it was sent through. Cannot fail. */
void gateways_commit(struct gateways_change *change_take);

/* Closes the new ones again. */
void gateways_abandon(struct gateways_change *change_take);

/* Whether nothing is on its way that was sent with earlier settings: those are borrowed until then. */
bool gateways_is_settled(const struct gateways *gateways);

#endif
