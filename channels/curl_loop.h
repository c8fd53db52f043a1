/* curl_loop: HTTP requests on the daemon's one libevent loop, one request out at most once each.
 *
 * A loop object holds one libcurl multi handle with its own connections, and the limits that hold for every request made with
 * it. One gateway has one. Everything is called from the thread of the event base. */
#ifndef REACH_CHANNELS_CURL_LOOP_H
#define REACH_CHANNELS_CURL_LOOP_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct curl_loop;

struct curl_limits {
    int64_t connect_timeout_ms; /* name look-up, TCP and TLS */
    int64_t timeout_ms;         /* the whole request, from curl_loop_start() */
    int64_t keep_alive_ms;      /* an idle connection older than this is not used again */
    int64_t answer_max_bytes;   /* of the body; what is longer is cut */
    int64_t connections_max;
    bool http2;             /* HTTP/2 over TLS, several requests on one connection; else HTTP/1.1 */
    bool allow_insecure;    /* plain http:// too */
    bool allow_private;     /* loopback, private and other addresses that are not public */
    const char *ca_file;    /* PEM of the authorities to trust instead of the system's; or NULL */
    const char *user_agent; /* borrowed for the life of the loop, as are all strings here */
};

struct curl_request {
    const char *method; /* "POST", "GET", ... */
    const char *url;
    const char *const *headers; /* whole lines "Name: value", no line ends */
    size_t n_headers;
    const char *body; /* NULL: none; borrowed until done; up to CURL_REQUEST_MAX_BYTES */
    size_t body_len;
    const char *username;      /* HTTP Basic (RFC 7617) with `password`; or NULL */
    const char *password;      /* also the secret key of aws_sigv4 */
    const char *aws_sigv4;     /* "aws:amz:REGION:SERVICE": signed with username and password; or NULL */
    int64_t not_after_mono_ms; /* must not begin on the wire after this */
};

enum { CURL_REQUEST_MAX_BYTES = 1 << 20 };

enum curl_end {
    CURL_ANSWERED, /* a final status came; the body may be cut */
    CURL_NOT_SENT, /* certain: not one byte of the request left */
    CURL_NO_ANSWER /* it may have been received and carried out */
};

struct curl_answer {
    enum curl_end end;
    int status;       /* CURL_ANSWERED: 200..999 */
    const char *body; /* NUL-terminated, never NULL */
    size_t body_len;
    bool body_cut;   /* longer than answer_max_bytes, or the connection broke in the middle of it */
    bool late;       /* CURL_NOT_SENT because not_after_mono_ms had passed */
    const char *why; /* otherwise: one line in plain words without an address; never NULL */
    /* First value of a header of the answer, or NULL; borrowed until the callback returns. */
    const char *(*header)(const struct curl_answer *answer, const char *name);
    void *handle; /* for header() */
};

/* Everything in *answer is borrowed until the callback returns. New requests may be started from it. */
typedef void curl_done_fn(void *ctx, const struct curl_answer *answer);

/* `clock` serves not_after_mono_ms. NULL with *err. */
struct curl_loop *curl_loop_new(struct event_base *base, const struct clock *clock, const struct curl_limits *limits, struct err *err);

/* Ends every request in flight (done() is called for each: NOT_SENT or NO_ANSWER) and closes the connections. Not to be called
 * from a done(). NULL is allowed. */
void curl_loop_free(struct curl_loop *loop);

/* Starts a request. `request` is copied except the body. 0: done() will be called exactly once, from the event loop or from
 * curl_loop_free(), never from here. -1 with *err: nothing was sent, done() is not called. */
int curl_loop_start(struct curl_loop *loop, const struct curl_request *request, curl_done_fn *done, void *ctx, struct err *err);

/* An HTTP date (RFC 9110 section 5.6.7, all three forms) in seconds since 1970, or -1. */
int64_t curl_loop_date_s(const char *text);

#endif
