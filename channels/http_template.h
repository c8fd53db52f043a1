/* http_template: texts with {{placeholders}} in a gateway's configuration, and the values that go into them. */
#ifndef REACH_CHANNELS_HTTP_TEMPLATE_H
#define REACH_CHANNELS_HTTP_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/message.h"

/* Every placeholder that is filled at the time of sending; the rest are the operator's (from, username, secret, variables). */
#define HTTP_VALUE_LIST(X)                                                                                                                 \
    X(HTTP_TO, "to")               /* the address as it is: +441632960001, a push token */                                                 \
    X(HTTP_TO_DIGITS, "to_digits") /* a number without its plus sign */                                                                    \
    X(HTTP_TITLE, "title")                                                                                                                 \
    X(HTTP_TEXT, "text")                                                                                                                   \
    X(HTTP_LINK, "link")                                                                                                                   \
    X(HTTP_KEY, "key")       /* idempotency key */                                                                                         \
    X(HTTP_NOTICE, "notice") /* the template's name */                                                                                     \
    X(HTTP_NOTICE_ID, "notice_id")                                                                                                         \
    X(HTTP_SEVERITY, "severity")                                                                                                           \
    X(HTTP_LOCALE, "locale")                                                                                                               \
    X(HTTP_EXPIRES_IN_S, "expires_in_s") /* validity, from now */                                                                          \
    X(HTTP_EXPIRES_IN_MS, "expires_in_ms")                                                                                                 \
    X(HTTP_EXPIRES_IN_MIN, "expires_in_min")                                                                                               \
    X(HTTP_EXPIRES_AT_S, "expires_at_s") /* seconds since 1970 */                                                                          \
    X(HTTP_TEXT_TYPE, "text_type")       /* SMS: text where GSM 7-bit does, else unicode */                                                \
    X(HTTP_TEXT_CODING, "text_coding")   /* SMS: 0 where GSM 7-bit does, else 2 */                                                         \
    X(HTTP_NOW_S, "now_s")               /* seconds since 1970 */                                                                          \
    X(HTTP_ENDPOINT, "endpoint")         /* Web Push: where the browser listens */                                                         \
    X(HTTP_ORIGIN, "origin")             /* tokens: scheme, host and port of the url */                                                    \
    X(HTTP_TOKEN_END_S, "token_end_s")   /* tokens: when the token's life ends */                                                          \
    X(HTTP_RANDOM, "random")             /* tokens: 32 hex digits, new each time */

#define HTTP_VALUE_ENUM(id, name) id,
enum http_value { HTTP_VALUE_LIST(HTTP_VALUE_ENUM) HTTP_VALUE_COUNT };

struct webpush_subscription;

/* The values of one message. Absent ones are NULL. */
struct http_values {
    const char *text[HTTP_VALUE_COUNT];
    char numbers[5][24];                             /* room for the times */
    const struct webpush_subscription *subscription; /* Web Push; else NULL */
};

/* Fills the two values that say which alphabet an SMS needs; counting costs a little, so only where they are used. */
void http_values_set_alphabet(struct http_values *values);

/* Fills *values from a message, borrowing its strings. `validity_max_ms` 0: no limit. A message that has expired has one second left. */
void http_values_set(struct http_values *values, const struct message *message, int64_t now_ms, int64_t validity_max_ms);

struct http_template; /* lives in the arena it was parsed into */

/* Parses `text`. `constants` (operator's own names) are known from now on; one that is NULL or empty is known but absent; an unknown name,
 * an unclosed {{ or a stray }} is refused. NULL with *err. */
const struct http_template *http_template_parse(const char *text, const struct conf_pairs *constants, struct arena *arena, struct err *err);

/* Whether the placeholder stands in it. */
bool http_template_uses(const struct http_template *template, enum http_value value);

/* Whether a value of the message (not a constant) begins at or before offset `end` of the text with the constants filled in. */
bool http_template_varies_until(const struct http_template *template, size_t end);

/* The text with constants filled in and message values left out: to look at the fixed part of a URL. NULL when there is no memory. */
const char *http_template_fixed(const struct http_template *template, struct arena *arena);

/* Appends the filled text as it is. 1, or 0 where a value is absent (out is then as before). */
int http_template_put(const struct http_template *template, const struct http_values *values, struct buf *out);

/* The filled text and its length. It is borrowed where it is one value or one literal, as most are, else written to `room` after
 * what is there. Always NUL-terminated. 1, 0 where a value is absent, -1 when there is no memory. */
int http_template_get(const struct http_template *template, const struct http_values *values, struct buf *room, const char **text_r,
                      size_t *len_r);

/* The same for a URL: literals as they are, each value percent-encoded so that it cannot leave its place. */
int http_template_put_url(const struct http_template *template, const struct http_values *values, struct buf *out);

/* Appends `text` percent-encoded: all but the unreserved characters of RFC 3986 section 2.3. */
void http_put_encoded(struct buf *out, const char *text, size_t len);

#endif
