/* rule: when the sandbox peer misbehaves, and how. Rules come from a JSON file or from POST /_control; README.md explains them. */
#ifndef REACH_PEER_RULE_H
#define REACH_PEER_RULE_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where in a conversation a rule can act. */
#define PEER_PHASE_LIST(X)                                                                                                                 \
    X(PHASE_BANNER, "banner")                                                                                                              \
    X(PHASE_EHLO, "ehlo")                                                                                                                  \
    X(PHASE_STARTTLS, "starttls")                                                                                                          \
    X(PHASE_AUTH, "auth")                                                                                                                  \
    X(PHASE_MAIL, "mail")                                                                                                                  \
    X(PHASE_RCPT, "rcpt")                                                                                                                  \
    X(PHASE_DATA, "data")                                                                                                                  \
    X(PHASE_BODY, "body")                                                                                                                  \
    X(PHASE_AFTER_DOT, "after-dot")                                                                                                        \
    X(PHASE_HTTP_READ, "http-read")                                                                                                        \
    X(PHASE_HTTP_ANSWER, "http-answer")

#define PEER_PHASE_ENUM(id, name) id,
enum peer_phase { PEER_PHASE_LIST(PEER_PHASE_ENUM) PHASE_COUNT };

const char *peer_phase_name(enum peer_phase phase);

#define PEER_ACTION_LIST(X)                                                                                                                \
    X(ACTION_NONE, "none")                                                                                                                 \
    X(ACTION_REPLY, "reply")                                                                                                               \
    X(ACTION_DELAY, "delay")                                                                                                               \
    X(ACTION_DROP, "drop")                                                                                                                 \
    X(ACTION_GARBLE, "garble")                                                                                                             \
    X(ACTION_TRUNCATE, "truncate")                                                                                                         \
    X(ACTION_HANG, "hang")                                                                                                                 \
    X(ACTION_CLOSE, "close-after-read")

#define PEER_ACTION_ENUM(id, name) id,
enum peer_action_kind { PEER_ACTION_LIST(PEER_ACTION_ENUM) ACTION_COUNT };

const char *peer_action_name(enum peer_action_kind kind);

enum peer_store { STORE_BY_CODE, STORE_YES, STORE_NO };

/* What to do. Owned by the rule set that gave it; holders keep the set alive with rules_ref(). */
struct peer_action {
    enum peer_action_kind kind;
    enum peer_phase phase; /* where its rule acts */
    int code;              /* ACTION_REPLY: SMTP reply code or HTTP status */
    const char *text;      /* ACTION_REPLY: SMTP text or HTTP body; may be NULL */
    json_t *headers;       /* ACTION_REPLY on HTTP: object of strings, or NULL */
    int64_t delay_ms;      /* before anything is done */
    const char *bytes;     /* ACTION_GARBLE: sent instead of the answer, `repeat` times */
    size_t bytes_len;
    int64_t repeat;
    int64_t at;            /* ACTION_TRUNCATE: bytes of the answer; PHASE_BODY: bytes of the message */
    bool reset;            /* ACTION_DROP, ACTION_CLOSE: with a TCP reset */
    enum peer_store store; /* whether the message counts as taken */
};

/* What a rule looks at. NULL: not known at this moment. */
struct peer_moment {
    enum peer_phase phase;
    const char *channel; /* "email", "sms", "push", "http" */
    const char *const *recipients;
    size_t n_recipients;
    const char *path; /* HTTP only */
};

/* Does nothing: for answers that no rule may touch. */
extern const struct peer_action peer_action_none;

struct rules; /* immutable but for its counters; counted references */

/* An empty set. Asserts on want of memory, as everything here does: this is a test tool. */
struct rules *rules_new(void);

/* Reads {"rules":[{...},...]}. NULL with *err naming the member ("rules[2].phase"). */
struct rules *rules_parse(const char *text, size_t len, struct err *err);

/* The same from a file. */
struct rules *rules_read(const char *path, struct err *err);

struct rules *rules_ref(struct rules *rules);
void rules_unref(struct rules *rules);

/* The action of the first rule that fits, counting the hit; one of kind ACTION_NONE where none does. Never NULL; lives as long as
 * the set. */
const struct peer_action *rules_match(struct rules *rules, const struct peer_moment *moment);

/* The rules with "seen" (moments that fitted) and "hits" (actions taken), for GET /_control. A new reference. */
json_t *rules_report(const struct rules *rules);

#endif
