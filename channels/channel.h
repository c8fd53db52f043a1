/* channel: the contract between the dispatcher and everything that can carry a message.
 *
 * A driver is a const struct of functions. Adding a channel is one .c with a driver, one line in registry.c, one test. The
 * dispatcher sees only this header; it never asks what kind of driver it talks to. */
#ifndef REACH_CHANNELS_CHANNEL_H
#define REACH_CHANNELS_CHANNEL_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/message.h"
#include "base/notice.h"
#include "base/outcome.h"

struct event_base;

/* When a gateway counts as broken (dispatcher/core/breaker.h). */
struct gateway_breaker {
    int64_t failures; /* in a row; 0: never */
    int64_t open_ms;
    int64_t open_max_ms;
    int64_t probes;
};

/* How load moves away from a gateway that fails or is slow, and back (dispatcher/core/share.h). */
struct gateway_failover {
    int64_t step; /* percent points of its weight; 0: load never moves */
    int64_t error_every_ms;
    int64_t slow_every_ms;
    int64_t back_every_ms;
    int64_t slow_answer_ms;
    int64_t slow_delivery_ms;
    int64_t slow_percent;
};

/* One configured provider (section `gateways`). */
struct gateway_settings {
    struct conf_where where;
    const char *name;            /* text_is_id() */
    const char *channel;         /* a channel's name */
    const char *driver;          /* a driver's name */
    int64_t in_flight_max;       /* attempts at once */
    int64_t weight;              /* share of the load among the gateways of a channel; 0: only when the others cannot */
    const char *on_unknown;      /* "resend", "wait", "next": what to do with an unknown outcome */
    int64_t expected_rate_per_s; /* for estimates only; 0: not known */
    const char *rate;            /* "10/s", "600/m", "5000/h", or NULL: no limit */
    int64_t burst;               /* messages that may go at once after a rest; 0: a tenth of a second's worth, at least 1 */
    int64_t rate_interval_us;    /* what `rate` says: microseconds a message; 0: no limit */
    struct gateway_breaker breaker;
    struct gateway_failover failover;
    void *driver_settings; /* what the driver's own table describes */
};

extern const struct conf_table gateway_table;

/* Called exactly once per accepted send, from the loop, never from inside send() or flush(). `outcome` is borrowed. */
typedef void channel_done_fn(void *ctx, const struct outcome *outcome);

/* What a driver may use of its surroundings. Everything is borrowed and outlives every gateway. */
struct channel_env {
    struct event_base *base;
    const struct clock *clock;
    const char *libexec_dir; /* where helper executables (reachd-mailer) are */
    const char
        *state_path; /* how the paths of files begin in which a driver keeps what must outlive this process; NULL: it keeps nothing */
    /* Told while a gateway is opened: what an attempt of an earlier process came to, whose answer may not have been recorded. NULL: nobody
     * wants to know. `outcome` is borrowed. */
    void (*remember)(void *ctx, const char *notice_id, uint64_t attempt, const struct outcome *outcome);
    /* Stores a website record (banner) until expires_at_ms under the customer's id; done() as for send. Given by the dispatcher, since
     * channels know nothing of Redis. 0, or -1 with *err. */
    int (*put_banner)(void *ctx, const struct message *message, channel_done_fn *done, void *done_ctx, struct err *err);
    void *ctx;
};

struct gateway; /* an open gateway; each driver's struct begins with struct gateway_head */

struct channel_driver {
    const char *name;
    /* The keys this driver adds to a gateway's mapping; NULL: none. */
    const struct conf_table *settings;
    /* Looks at everything that open() would, files with secrets too, without opening anything. 0, or -1 with *err (member: the key at
     * fault). NULL: there is nothing that the settings table does not see. */
    int (*check)(const struct gateway_settings *settings, struct err *err);
    /* Opens a gateway: resolves settings, reads secrets, starts helpers. Sends nothing. NULL with *err; the caller adds the
     * gateway's name. `env` and `settings` are borrowed for the gateway's life. */
    struct gateway *(*open)(const struct channel_env *env, const struct gateway_settings *settings, struct err *err);
    /* Takes one message: 0 = `done` will be called exactly once; -1 with *err = not taken and nothing was sent (the caller treats it as
     * retry). `message` is borrowed until then. Must not block. May hold it back until flush(). `not_after_mono_ms` is the lease: an
     * attempt that has not begun on the wire by then must not begin (outcome retry). */
    int (*send)(struct gateway *gateway, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                struct err *err);
    /* Ends a batch: everything held back starts now. What was told through `done` before the flush before this one is put down by now: a
     * driver need not remember it any longer. */
    void (*flush)(struct gateway *gateway);
    /* Appends what a gateway with these settings would hand over for the message, byte for byte, where that is more than its text; NULL: it
     * is the text. Sends nothing. 0, or -1 with *err. */
    int (*show)(const struct gateway_settings *settings, const struct message *message, struct buf *out, struct err *err);
    /* Appends what of these settings stands in a message beside its words: the sender. NULL: nothing does. */
    void (*sender)(const struct gateway_settings *settings, struct buf *out);
    /* Closes: what is still in flight is reported (unknown where it may have gone out, retry where not) before it returns. */
    void (*close)(struct gateway *gateway);
};

/* The driver of that name, or NULL. */
const struct channel_driver *channel_driver_find(const char *name);

/* "smtp, http, banner, null, fake": for error texts. */
const char *channel_driver_names(void);

#endif
