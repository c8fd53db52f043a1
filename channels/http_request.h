/* http_request: makes the request for one message out of a gateway's settings. Pure: no socket, no clock. */
#ifndef REACH_CHANNELS_HTTP_REQUEST_H
#define REACH_CHANNELS_HTTP_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "channels/http_settings.h"
#include "channels/http_template.h"

struct http_plan;

enum { HTTP_HEADERS_MAX = 32 };

/* One finished request; use again after http_filled_reset(). */
struct http_filled {
    struct buf url;
    struct buf body;
    bool has_body;
    struct buf lines; /* header lines, each ended by NUL */
    const char *headers[HTTP_HEADERS_MAX];
    size_t n_headers;
};

void http_filled_reset(struct http_filled *filled);
void http_filled_fini(struct http_filled *filled);

/* Checks and compiles the request's side of the settings: scheme and host of the url, placeholders, JSON nesting. `secret` is NULL
 * where there is none; it and `settings` are borrowed for the plan's life. The plan lives in the arena, but call http_plan_fini().
 * NULL with *err naming the key at fault. */
struct http_plan *http_plan_new(const struct http_settings *settings, const char *secret, struct arena *arena, struct err *err);
void http_plan_fini(struct http_plan *plan);

/* Fills the request for one message. A field or header whose value is absent is left out. 0, or -1 with *err: the url needs a value that
 * this message does not have, or no memory. */
int http_plan_fill(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled, struct err *err);

#endif
