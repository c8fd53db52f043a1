/* listener: takes providers' receipts over HTTP, one path per gateway: /receipts/NAME, /receipts/NAME/SECRET. */
#ifndef REACH_CHANNELS_LISTENER_H
#define REACH_CHANNELS_LISTENER_H

#include "channels/channel.h"
#include "channels/receipt.h"

struct event_base;
struct listener;

/* Section `listener`. */
struct listener_settings {
    struct conf_where where;
    const char *address;   /* "127.0.0.1:8085", "[::1]:8085"; NULL: off */
    const char *cert_file; /* PEM chain; with key_file: TLS. Without, only a loopback address is taken */
    const char *key_file;
    int64_t body_max_bytes;
    int64_t timeout_ms;
};

extern const struct conf_table listener_table;

/* Tells the listener whether receipts were stored for good. Called exactly once per take. */
typedef void listener_stored_fn(void *stored_ctx, bool stored);

/* Takes n receipts of a gateway, which are borrowed for this call. The provider is answered 200 once stored(stored_ctx, true) is called,
 * now or later from the loop, and 503 (so that it tries again) after false. */
typedef void listener_take_fn(void *ctx, const char *gateway, const struct provider_receipt *receipts, size_t n, listener_stored_fn *stored,
                              void *stored_ctx);

struct listener_counts {
    uint64_t taken;   /* receipts handed on and stored */
    uint64_t pending; /* requests that said nothing of interest ("queued") */
    uint64_t forged;  /* 403: signature missing, wrong or stale */
    uint64_t garbled; /* 400: cannot be read */
    uint64_t unknown; /* 404, 405: no such path or method */
    uint64_t failed;  /* 503: could not be stored, or a certificate could not be fetched */
};

/* Binds and serves. `settings` and `clock` are borrowed for the life. NULL with *err ("listener.address: ..."). */
struct listener *listener_new(struct event_base *base, const struct clock *clock, const struct listener_settings *settings,
                              listener_take_fn *take, void *ctx, struct err *err);

/* Stops. Requests not answered yet are dropped: the provider tries again. stored() must not be called afterwards. NULL is allowed. */
void listener_free(struct listener *listener);

/* Adds a gateway: 1; 0 where it sends no receipts over HTTP; -1 with *err. `settings` is borrowed for the life. */
int listener_add(struct listener *listener, const struct gateway_settings *settings, struct err *err);

const struct listener_counts *listener_counts(const struct listener *listener);

#endif
