/* listener: takes providers' receipts over HTTP, one path per gateway: /receipts/NAME, /receipts/NAME/SECRET. */
#ifndef REACH_CHANNELS_LISTENER_H
#define REACH_CHANNELS_LISTENER_H

#include "channels/channel.h"
#include "channels/receipt.h"

#include <stdbool.h>

struct event_base;
struct listener;

/* Section `listener`. */
struct listener_settings {
    struct conf_where where;
    const char *address;   /* "127.0.0.1:8085", "[::1]:8085"; NULL: off */
    const char *cert_file; /* PEM chain; with key_file: TLS. Without, only a loopback address is taken */
    const char *key_file;
    int64_t body_max_bytes;
    int64_t timeout_ms; /* a connection's life */
    int64_t connections_max;
};

extern const struct conf_table listener_table;

/* Tells the listener whether receipts were stored for good. Called exactly once per take. */
typedef void listener_stored_fn(void *stored_ctx, bool stored);

/* What came of a request. */
enum listener_event {
    LISTENER_TAKEN,   /* receipts handed on and stored */
    LISTENER_PENDING, /* said nothing of interest ("queued") */
    LISTENER_FORGED,  /* 403: signature missing, wrong or stale */
    LISTENER_GARBLED, /* 400: cannot be read */
    LISTENER_UNKNOWN, /* 404, 405: no such path or method; of no gateway */
    LISTENER_FAILED,  /* 503: could not be stored, or a certificate could not be fetched */
    LISTENER_EVENTS
};

/* "taken", "pending", "forged", "garbled", "unknown", "failed". */
const char *listener_event_name(enum listener_event event);

struct listener_handlers {
    /* Takes n receipts of a gateway, which are borrowed for this call. The provider is answered 200 once stored(stored_ctx, true) is
     * called, now or later from the loop, and 503 with Retry-After (so that it tries again) after false. */
    void (*take)(void *ctx, const char *gateway, const struct provider_receipt *receipts, size_t n, listener_stored_fn *stored,
                 void *stored_ctx);
    /* Counts: `n` receipts (LISTENER_TAKEN) or requests; gateway NULL where there is none. May be NULL. */
    void (*count)(void *ctx, const char *gateway, enum listener_event event, uint64_t n);
};

/* Binds and serves. `settings`, `clock`, `handlers` are borrowed for the life. NULL with *err ("listener.address: ..."). */
struct listener *listener_new(struct event_base *base, const struct clock *clock, const struct listener_settings *settings,
                              const struct listener_handlers *handlers, void *ctx, struct err *err);

/* Stops. Requests not answered yet are dropped: the provider tries again. stored() must not be called afterwards. NULL is allowed. */
void listener_free(struct listener *listener);

/* From now on receipts of these gateways are taken: of those of the n that send receipts over HTTP. The number of them; or -1 with *err
 * (*at_fault_r is then the gateway's index), and everything stays as it was. Requests that are being answered go on with what they
 * began with: the settings of before stay borrowed until listener_is_settled(). */
int listener_load(struct listener *listener, const struct gateway_settings *gateways, size_t n, size_t *at_fault_r, struct err *err);

/* Whether no request is left that began before the last listener_load(). */
bool listener_is_settled(const struct listener *listener);

/* How often each event has happened since the start. */
uint64_t listener_count(const struct listener *listener, enum listener_event event);

/* Connections that were cut because their time was over. */
uint64_t listener_cut(const struct listener *listener);

#endif
