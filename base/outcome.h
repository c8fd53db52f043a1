/* outcome: what one attempt gave, as a value. */
#ifndef REACH_BASE_OUTCOME_H
#define REACH_BASE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

enum outcome_kind {
    OUTCOME_SENT,     /* the gateway has taken responsibility */
    OUTCOME_RETRY,    /* not taken; the same step may succeed later */
    OUTCOME_REJECTED, /* not taken and never will be: the route moves on */
    OUTCOME_UNKNOWN   /* it may or may not have gone out */
};

/* Whom a failure is about; decides whether one contact point or a whole gateway is marked. */
enum outcome_blame {
    BLAME_NONE,
    BLAME_MESSAGE, /* this message (too large, content refused) */
    BLAME_CONTACT, /* this contact point is dead (no such mailbox, number not in service, token unregistered) */
    BLAME_GATEWAY, /* the gateway as a whole (down, overloaded, refuses everybody for now): the same would happen to any other message */
    BLAME_ACCOUNT  /* our account with the gateway (wrong credentials, blocked, no credit): nothing goes until somebody sees to it */
};

struct outcome {
    enum outcome_kind kind;
    enum outcome_blame blame;
    int64_t retry_after_ms; /* what the gateway asked for, from now; -1 where it said nothing */
    char code[32];          /* the provider's own code ("550 5.1.1", "21211"), or empty */
    char ref[128];          /* the gateway's id of the message, to match receipts with; or empty */
    char reason[256];       /* one line in plain words; never empty; holds no address */
};

/* "sent", "retry", "rejected", "unknown". */
const char *outcome_name(enum outcome_kind kind);

/* Fills *outcome with retry_after_ms -1, no ref, and a printf reason whose control characters are replaced. `code` may be NULL. */
void outcome_set(struct outcome *outcome, enum outcome_kind kind, enum outcome_blame blame, const char *code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
