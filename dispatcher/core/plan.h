/* plan: what to do next for one notice. Pure: route, verdict, history and the time in; one action and its reason out.
 *
 * The route's steps are followed in order. Within a step the surviving contact points of its channel are tried in the order
 * given. A rejected or exhausted contact point moves on; when no step is left the desk takes over.
 *
 * Evidence counts whenever it comes, also for a step that was left: but never from an early warning, never from a contact point
 * that does not survive (any more) or was changed after suspect_since, and where the verdict is `passive` never less than seen. A
 * bounce takes `sent` and `delivered` back, not what the customer did (seen, acknowledged). */
#ifndef REACH_CORE_PLAN_H
#define REACH_CORE_PLAN_H

#include "base/outcome.h"
#include "dispatcher/core/reach.h"

enum evidence { EVIDENCE_NONE, EVIDENCE_SENT, EVIDENCE_DELIVERED, EVIDENCE_SEEN, EVIDENCE_ACKNOWLEDGED };

const char *evidence_name(enum evidence evidence);
int evidence_find(const char *name, enum evidence *evidence_r); /* 1 found, 0 not */

struct route_step {
    enum channel_id channel;
    enum evidence success; /* what counts as reached */
    int64_t wait_ms;       /* success `sent`: how long without a bounce; otherwise: how long to wait for it before moving on
                            * (0: until the notice expires) */
    int64_t attempts_max;  /* per contact point; below 1 counts as 1 */
    int64_t retry_for_ms;  /* per contact point, from its first attempt; then it is exhausted. 0: attempts_max alone limits */
};

struct route {
    const char *name;
    const struct route_step *steps;
    size_t n_steps;
};

/* What has happened on one contact point in one step; kept in the notice's record. */
struct plan_try {
    uint32_t step;
    char contact_key[17]; /* plan_contact_key() */
    uint32_t attempts;
    enum outcome_kind last; /* outcome of the last attempt; OUTCOME_UNKNOWN also while it is in flight */
    bool early_warning;     /* never counts as evidence */
    bool failed_later;      /* a bounce or a failed delivery came after `sent` */
    enum evidence best;     /* best evidence so far (EVIDENCE_SENT once sent) */
    int64_t first_at_ms;
    int64_t last_at_ms;  /* of the last attempt or its outcome */
    int64_t retry_at_ms; /* after OUTCOME_RETRY or OUTCOME_UNKNOWN: not before this */
};

/* 16 hex digits that name a contact point within a notice, the same after a restart and in every process: SipHash-2-4
 * with a key of zeros over channel name, NUL, canonical address (struct reach_contact). */
void plan_contact_key(enum channel_id channel, const char *canonical, char out[17]);

#define PLAN_LOOK_AGAIN_MS (INT64_C(7) * 24 * 3600 * 1000)

enum plan_kind {
    PLAN_SEND,     /* send to contacts[contact] by `step` now */
    PLAN_WAIT,     /* nothing to do before at_ms */
    PLAN_REACHED,  /* the route's evidence is there (`contact`, `step` say where) */
    PLAN_STRANDED, /* no surviving contact point at all, or the route is exhausted: hold, banner, desk. Where none survives, a
                    * doomed one that still works is first sent one early warning each (PLAN_SEND), as long as effective_at
                    * has not come; a customer with nothing but a banner gets them too */
    PLAN_EXPIRED   /* expires_at has passed */
};

struct plan_question {
    const struct route *route;
    const struct customer *customer;
    const struct reach_answer *reach;
    const struct plan_try *tries;
    size_t n_tries;
    int64_t effective_at_ms;
    int64_t expires_at_ms;
    int64_t now_ms;
};

struct plan_action {
    enum plan_kind kind;
    size_t step;        /* PLAN_SEND, PLAN_REACHED, PLAN_WAIT */
    size_t contact;     /* the same; an index into the customer's contact points */
    bool early_warning; /* PLAN_SEND to a doomed contact point before effective_at */
    bool exhausted;     /* PLAN_STRANDED: contact points survive but all have been tried in vain */
    bool desk_too;      /* PLAN_SEND, PLAN_WAIT: only a banner survives; go on, and open a desk case at once */
    int64_t at_ms;      /* PLAN_WAIT: after now_ms. Where only new evidence can change anything: now_ms + PLAN_LOOK_AGAIN_MS */
    char reason[160];   /* one line, no address; never empty */
};

/* Decides. Cannot fail. Tries that belong to no contact point or step (any more) are ignored. Linear as long as the tries stand in
 * the order in which they were made, which is the order of the route; contact points times tries at worst. */
void plan_next(const struct plan_question *question, struct plan_action *action);

/* What a try proves by now: EVIDENCE_NONE for an early warning, after a bounce (unless the customer was seen to react), and before
 * anything went out; EVIDENCE_SENT only once wait_ms have passed since without a bounce. */
enum evidence plan_proven(const struct plan_try *try, const struct route_step *step, int64_t now_ms);

/* What has to be proven in a step for that verdict: what the route says, at least `sent`; at least `seen` where nothing but a banner,
 * or nothing at all, survives. */
enum evidence plan_needed(const struct route_step *step, enum verdict verdict);

/* The try of a contact point in a step, early warnings apart, or NULL. */
const struct plan_try *plan_find_try(const struct plan_question *question, size_t step, size_t contact);

/* When to try again after `attempts` attempts: exponential backoff from base_ms, capped, with full jitter by
 * `random` in [0, 2^32); a gateway's own retry_after_ms (-1: none) is honoured, clamped to [0, 24 h]. Milliseconds from now. */
int64_t plan_backoff_ms(uint32_t attempts, int64_t base_ms, int64_t cap_ms, int64_t retry_after_ms, uint32_t random);

#endif
