/* http_request: makes the request for one message out of a description. Pure: no socket, no clock. */
#ifndef REACH_CHANNELS_HTTP_REQUEST_H
#define REACH_CHANNELS_HTTP_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "channels/http_description.h"
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

/* Adds a whole header line ("Name: value"), copied. At most two after http_plan_fill(). 0, or -1 when there is no memory. */
int http_filled_add(struct http_filled *filled, const char *line);

/* Checks and compiles the request's side of a description: scheme and host of the url, placeholders, JSON nesting. `description` and
 * `constants` are borrowed for the plan's life; the plan lives in the arena. NULL with *err naming the key at fault. */
struct http_plan *http_plan_new(const struct http_description *description, const struct conf_pairs *constants, bool allow_insecure,
                                struct arena *arena, struct err *err);

/* Whether the values want http_values_set_alphabet(). */
bool http_plan_needs_alphabet(const struct http_plan *plan);

/* Fills the request for one message. A field or header whose value is absent is left out. 0, or -1 with *err: ERR_MEMBER where this
 * message cannot be put into a request at all (the url needs a value that it does not have), else no memory. */
int http_plan_fill(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled, struct err *err);

#endif
