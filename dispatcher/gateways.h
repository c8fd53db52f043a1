/* gateways: the open gateways, which of them a message goes through, and whether it may go now.
 *
 * A message goes through a gateway that works (breaker), has room (in_flight_max) and a permit (rate), chosen by weight among those of
 * its channel. What may not go now costs no attempt: it is held in hand until there is room, or waits until a broken gateway is looked at
 * again. What the workers share of it goes through Redis (gateway_care.c). */
#ifndef REACH_DISPATCHER_GATEWAYS_H
#define REACH_DISPATCHER_GATEWAYS_H

#include "channels/channel.h"
#include "dispatcher/core/health.h"
#include "dispatcher/settings.h"
#include "queue/queue.h"

struct gateways;

/* Opens every configured gateway, and for a channel that has none the driver of the channel's own name if that driver needs no
 * settings (the banner). NULL with *err naming the gateway, file and line; then nothing is left open. `env` and
 * `settings` are borrowed. */
struct gateways *gateways_open(const struct settings *settings, const struct channel_env *env, struct err *err);

/* Closes all; what is in flight is reported before it returns. */
void gateways_close(struct gateways *gateways);

/* From now on states and rates are shared through `queue` (borrowed), and wake() is called from the loop when up to n of the messages that
 * are held for a gateway may be tried again (SIZE_MAX: all of them, since it has changed). 0, or -1 with *err (no memory). */
struct gateways_hooks {
    void (*wake)(void *ctx, size_t index, size_t n);
    size_t (*held)(void *ctx, size_t index); /* how many are held for it */
    void *ctx;
};
int gateways_share(struct gateways *gateways, struct queue *queue, const struct gateways_hooks *hooks, struct err *err);

/* Reads what the other workers know, now; afterwards it happens by itself once a second. Called when the queue is ready. */
void gateways_refresh(struct gateways *gateways);

/* ---- choosing ---------------------------------------------------------------------------------------------------------- */

struct gateways_wish {
    enum channel_id channel;
    const char *wanted; /* the gateway that the contact point names, or NULL: any of the channel */
    const char *stay;   /* rather this one: an attempt there has an unknown outcome, and it knows the message's key; or NULL */
    const char *avoid;  /* rather not this one: it has just failed; or NULL */
    bool urgent;        /* goes before what has been woken */
};

enum gateways_pick {
    PICK_NONE,  /* the channel has none, or the named one does not exist: *err says so */
    PICK_TAKEN, /* choice->index; a place and a permit are taken: gateways_send(), or gateways_give_back() */
    PICK_HOLD,  /* choice->index works but is full or over its rate: hold the message until wake() */
    PICK_WAIT   /* none of them may be used before choice->until_ms */
};

struct gateways_choice {
    size_t index;
    bool probe;       /* PICK_TAKEN: it tries a gateway that was broken */
    int64_t until_ms; /* PICK_WAIT: when it is worth another look, after now */
    char why[200];    /* PICK_HOLD, PICK_WAIT: one line */
};

enum gateways_pick gateways_pick(struct gateways *gateways, const struct gateways_wish *wish, int64_t now_ms,
                                 struct gateways_choice *choice, struct err *err);

/* When the turn of a message that cannot be held may come, as an estimate; each that is asked for comes after the one before it, at the
 * pace of the gateway's rate. */
int64_t gateways_turn_ms(struct gateways *gateways, size_t index, int64_t now_ms);

/* The place that was kept for a woken message is its own again: just before it is picked for. */
void gateways_woken(struct gateways *gateways, size_t index);

/* Asks for the permits that held messages need: one round trip for all gateways; none where no gateway has a rate. */
void gateways_ask_permits(struct gateways *gateways);

/* ---- sending ----------------------------------------------------------------------------------------------------------- */

/* Whether what was picked may still go: false where the breaker has opened meanwhile. */
bool gateways_may_send(const struct gateways *gateways, size_t index, bool probe);

/* Hands a message over; see struct channel_driver. After 0 gateways_done() gives its place back, after -1 gateways_give_back(). */
int gateways_send(struct gateways *gateways, size_t index, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done,
                  void *ctx, struct err *err);

/* The attempt is over: gives the place back and learns from the outcome. `took_ms`: from handing over to the answer. */
void gateways_done(struct gateways *gateways, size_t index, bool probe, const struct outcome *outcome, int64_t took_ms, int64_t now_ms);

/* Nothing was sent: gives place and permit back. */
void gateways_give_back(struct gateways *gateways, size_t index, bool probe);

/* A receipt says that what was sent through the gateway of that name was delivered after so long. */
void gateways_delivered(struct gateways *gateways, const char *name, int64_t took_ms, int64_t now_ms);

/* Ends a batch on every gateway. */
void gateways_flush(struct gateways *gateways);

/* ---- looking ----------------------------------------------------------------------------------------------------------- */

size_t gateways_count(const struct gateways *gateways);
/* 1 and *index_r, or 0 where none has that name (NULL: none). */
int gateways_find(const struct gateways *gateways, const char *name, size_t *index_r);

const char *gateways_name(const struct gateways *gateways, size_t index);

/* Its settings now; valid until the next reload. */
const struct gateway_settings *gateways_settings(const struct gateways *gateways, size_t index);

/* Whether messages go there as usual. */
bool gateways_is_closed(const struct gateways *gateways, size_t index);

/* "resend", "wait" or "next". */
enum on_unknown { ON_UNKNOWN_RESEND, ON_UNKNOWN_WAIT, ON_UNKNOWN_NEXT };
enum on_unknown gateways_on_unknown(const struct gateways *gateways, size_t index);

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
