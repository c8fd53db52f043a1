/* record: what reachd remembers of one notice, as JSON text inside the record that the queue keeps.
 *
 * The keys are short because a million of them stay in memory. The text is written and read by this file alone. */
#ifndef REACH_DISPATCHER_RECORD_H
#define REACH_DISPATCHER_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/notice.h"
#include "dispatcher/core/plan.h"

/* One try as the plan sees it, with what people want to know about it. Strings may be NULL where not known. */
struct record_try {
    struct plan_try plan; /* what the core reads */
    const char *channel;
    const char *gateway;
    const char *to;   /* masked */
    const char *code; /* of the last outcome */
    const char *why;
    const char *ref; /* the gateway's id */
    uint32_t doubts; /* attempts whose outcome was unknown: each may have brought one copy more */

    /* Its last message, so that it can be made again; NULL and 0 where none was made. */
    const char *version; /* template set */
    int64_t made_at_ms;
    const char *check;    /* wording_check() */
    const char *key_mark; /* wording_key_mark() */
};

/* Whom the last message was addressed to, as they were then. */
struct record_addressed {
    const char *name;      /* or NULL */
    const char *time_zone; /* or NULL */
    const char *locale;    /* the wanted one; NULL: no message was made yet */
};

/* One line of the timeline. */
struct record_line {
    int64_t at_ms;
    const char *what;   /* "accepted", "sending", "sent", ... */
    const char *detail; /* or NULL; no address */
};

struct record {
    const char *customer;
    const char *notice;           /* template name */
    struct address_list accounts; /* canonical: what this notice keeps on hold */
    struct address_list domains;  /* as listed: what else dies with the change */
    int64_t suspect_since_ms;     /* 0: none */
    size_t n_own;                 /* the first so many of them are the customer's own: reaching the customer may clear them */
    int64_t accepted_at_ms;
    int64_t effective_at_ms;
    int64_t expires_at_ms;
    int64_t promise_at_ms; /* 0: none */
    const char *route;
    const char *digest;  /* of the job */
    const char *origin;  /* "<lane>/<stream id>" of the entry that made it */
    const char *verdict; /* at the last decision, or NULL */
    const char *why;     /* reason of the last decision */
    const char *locale;  /* of the words sent last, or NULL */
    const char *version; /* template set of the words sent last, or NULL */
    struct record_addressed addressed;
    const char *data;           /* a finished notice: the values its messages were made with, JSON; or NULL */
    bool desk;                  /* a hold, banner and desk case were made */
    bool held;                  /* its accounts are on hold */
    bool cleared;               /* a clearance was granted */
    bool banner;                /* the website shows a banner of this notice */
    struct address_list logins; /* under these hashes the login page shows something (login.h) */
    const char *login_ref;      /* what the notice is called there; NULL where nothing is shown */
    struct record_try *tries;
    size_t n_tries;
    struct record_line *log;
    size_t n_log;
};

/* Writes the text of a notice in that state. A failed buffer (out->failed) means no memory. */
void record_write(const struct record *record, enum notice_state state, struct buf *out);

/* Reads it; everything lives in `arena`. 0, or -1 with *err where the text is not one of ours. */
int record_read(const char *text, struct arena *arena, struct record *record, struct err *err);

/* Adds a line to the timeline; beyond RECORD_LOG_MAX the oldest lines but the first are dropped. 0, or -1 (no memory). */
enum { RECORD_LOG_MAX = 64 };
int record_log(struct record *record, struct arena *arena, int64_t at_ms, const char *what, const char *detail);

/* The try of this step and contact point, made when there is none. NULL: no memory. */
struct record_try *record_try_get(struct record *record, struct arena *arena, uint32_t step, const char *contact_key);

/* The tries as the core wants them, in the arena. NULL only for want of memory or when there are none (n_r 0). */
const struct plan_try *record_plan_tries(const struct record *record, struct arena *arena, size_t *n_r);

#endif
