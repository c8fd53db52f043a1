/* plan: see plan.h.
 *
 * Every decision is made anew from the whole history of the notice: there is no "current step" that could be wrong after a
 * crash. First: is the evidence there? Then: has it expired? Then the route is walked from its first step, past everything that has
 * failed or run out, to the first contact point that needs something done; where the walk ends, the desk begins.
 *
 * Guarantees: never sends to a contact point that reach_use_at() refuses at this moment (P2); never calls `reached` what the route
 * does not call so (P5); the same question gives the same answer.
 * Does not: choose gateways or know what became of an attempt that is in flight (its retry_at_ms says how long to leave it). */
#include "dispatcher/core/plan.h"

#include "dispatcher/core/hash.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const evidence_names[] = {"none", "sent", "delivered", "seen", "acknowledged"};
enum { EVIDENCE_COUNT = sizeof evidence_names / sizeof *evidence_names };

const char *evidence_name(enum evidence evidence) {
    assert((unsigned)evidence < EVIDENCE_COUNT);
    return evidence_names[evidence];
}

int evidence_find(const char *name, enum evidence *evidence_r) {
    for (int i = 0; i < EVIDENCE_COUNT; i++) {
        if (strcmp(name, evidence_names[i]) == 0) {
            *evidence_r = (enum evidence)i;
            return 1;
        }
    }
    return 0;
}

void plan_contact_key(enum channel_id channel, const char *canonical, char out[17]) {
    char text[4096 + 64];
    const char *name = channel_traits(channel)->name;
    size_t head = strlen(name) + 1, tail = strnlen(canonical, sizeof text - 32);
    memcpy(text, name, head);
    memcpy(text + head, canonical, tail);
    (void)snprintf(out, 17, "%016" PRIx64, hash_bytes(text, head + tail));
}

/* ---- the history --------------------------------------------------------------------------------------------------- */

/* Looks tries up in the order in which the route is walked, which is the order in which they were made: so it starts where the
 * last one was found and walks round. */
struct finder {
    const struct plan_question *question;
    size_t at;
    size_t found; /* each try is found once at most: when all were, there is nothing left to look for */
};

static const struct plan_try *find_try(struct finder *finder, size_t step, size_t contact, bool early_warning) {
    const struct plan_question *q = finder->question;
    char key[17];
    if (finder->found == q->n_tries) {
        return NULL;
    }
    plan_contact_key(q->customer->contacts[contact].channel, q->reach->contacts[contact].canonical, key);
    for (size_t k = 0; k < q->n_tries; k++) {
        size_t i = (finder->at + k) % q->n_tries;
        const struct plan_try *try = &q->tries[i];
        if (try->step == step && try->early_warning == early_warning && memcmp(try->contact_key, key, sizeof key) == 0) {
            finder->at = i;
            finder->found++;
            return try;
        }
    }
    return NULL;
}

const struct plan_try *plan_find_try(const struct plan_question *q, size_t step, size_t contact) {
    struct finder finder = {q, 0, 0};
    return find_try(&finder, step, contact, false);
}

/* Whether a contact point is to be looked at in a step: of its channel, not the repetition of an earlier one, and of that use now. */
static bool fits(const struct plan_question *q, size_t step, size_t contact, enum reach_use use) {
    const struct contact *point = &q->customer->contacts[contact];
    const struct reach_contact *reach = &q->reach->contacts[contact];
    return point->channel == q->route->steps[step].channel && reach->first == contact &&
           reach_use_at(reach, point, q->effective_at_ms, q->now_ms) == use;
}

static int64_t add_ms(int64_t at_ms, int64_t more_ms) {
    int64_t sum;
    return __builtin_add_overflow(at_ms, more_ms, &sum) ? INT64_MAX : sum;
}

static bool has_gone_out(const struct plan_try *try) {
    return try->last == OUTCOME_SENT || try->best >= EVIDENCE_SENT;
}

/* A bounce takes back what machines said, not what the customer did. */
static bool has_failed(const struct plan_try *try) {
    return try->failed_later && try->best < EVIDENCE_SEEN;
}

enum evidence plan_needed(const struct route_step *step, enum verdict verdict) {
    bool only_if_they_come = verdict == VERDICT_PASSIVE || verdict == VERDICT_STRANDED;
    enum evidence least = only_if_they_come ? EVIDENCE_SEEN : EVIDENCE_SENT;
    return step->success < least ? least : step->success;
}

enum evidence plan_proven(const struct plan_try *try, const struct route_step *step, int64_t now_ms) {
    if (try->early_warning || has_failed(try) || !has_gone_out(try)) {
        return EVIDENCE_NONE;
    }
    if (try->best > EVIDENCE_SENT) {
        return try->best;
    }
    return now_ms >= add_ms(try->last_at_ms, step->wait_ms) ? EVIDENCE_SENT : EVIDENCE_NONE;
}

static bool is_exhausted(const struct route_step *step, const struct plan_try *try, int64_t now_ms) {
    int64_t attempts_max = step->attempts_max < 1 ? 1 : step->attempts_max;
    int64_t end_ms = step->retry_for_ms > 0 ? add_ms(try->first_at_ms, step->retry_for_ms) : INT64_MAX;
    return try->attempts >= attempts_max || now_ms >= end_ms || try->retry_at_ms >= end_ms;
}

/* ---- actions ------------------------------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 4, 5)))
act(const struct plan_question *q, struct plan_action *action, enum plan_kind kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(action->reason, sizeof action->reason, format, args);
    va_end(args);
    action->kind = kind;
    action->desk_too = (kind == PLAN_SEND || kind == PLAN_WAIT) && q->reach->verdict == VERDICT_PASSIVE;
}

/* Waits, but not beyond the end of the notice; what would wait for ever is looked at again now and then. */
static void wait_until(const struct plan_question *q, struct plan_action *action, int64_t at_ms, const char *what) {
    int64_t end_ms = q->expires_at_ms > 0 ? q->expires_at_ms : INT64_MAX;
    int64_t until_ms = at_ms < end_ms ? at_ms : end_ms;
    action->at_ms = until_ms == INT64_MAX ? add_ms(q->now_ms, PLAN_LOOK_AGAIN_MS) : until_ms;
    act(q, action, PLAN_WAIT, "%s by %s", what, channel_traits(q->route->steps[action->step].channel)->name);
}

static bool find_evidence(const struct plan_question *q, struct plan_action *action) {
    struct finder finder = {q, 0, 0};
    for (size_t s = 0; s < q->route->n_steps && q->n_tries > 0; s++) {
        for (size_t c = 0; c < q->reach->n_contacts; c++) {
            if (!fits(q, s, c, REACH_EVIDENCE) || !q->reach->contacts[c].evidence_counts) {
                continue;
            }
            const struct plan_try *try = find_try(&finder, s, c, false);
            const struct route_step *step = &q->route->steps[s];
            enum evidence proven = try == NULL ? EVIDENCE_NONE : plan_proven(try, step, q->now_ms);
            if (proven >= plan_needed(step, q->reach->verdict)) {
                action->step = s;
                action->contact = c;
                act(q, action, PLAN_REACHED, "%s by %s", evidence_name(proven), channel_traits(step->channel)->name);
                return true;
            }
        }
    }
    return false;
}

/* The contact point has been tried in this step: whether something is still to be done or waited for here. */
static bool go_on(const struct plan_question *q, const struct plan_try *try, bool counts, struct plan_action *action) {
    const struct route_step *step = &q->route->steps[action->step];
    const char *channel = channel_traits(step->channel)->name;
    if (has_failed(try)) {
        return false;
    }
    if (has_gone_out(try)) {
        bool forever = step->wait_ms <= 0 && plan_needed(step, q->reach->verdict) > EVIDENCE_SENT;
        int64_t until_ms = forever ? INT64_MAX : add_ms(try->last_at_ms, step->wait_ms);
        if (!counts || q->now_ms >= until_ms) {
            return false;
        }
        wait_until(q, action, until_ms, "waiting for evidence of what was sent");
        return true;
    }
    bool in_doubt = try->last == OUTCOME_UNKNOWN && q->now_ms < try->retry_at_ms; /* the last attempt may still be under way */
    if (!in_doubt && (try->last == OUTCOME_REJECTED || is_exhausted(step, try, q->now_ms))) {
        return false;
    }
    if (q->now_ms < try->retry_at_ms) {
        wait_until(q, action, try->retry_at_ms, "waiting to try again");
        return true;
    }
    act(q, action, PLAN_SEND, "attempt %" PRIu32 " by %s", try->attempts + 1, channel);
    return true;
}

static bool walk_route(const struct plan_question *q, struct plan_action *action) {
    struct finder finder = {q, 0, 0};
    for (size_t s = 0; s < q->route->n_steps; s++) {
        for (size_t c = 0; c < q->reach->n_contacts; c++) {
            if (!fits(q, s, c, REACH_EVIDENCE)) {
                continue;
            }
            action->step = s;
            action->contact = c;
            const struct plan_try *try = find_try(&finder, s, c, false);
            if (try == NULL) {
                act(q, action, PLAN_SEND, "first attempt by %s", channel_traits(q->route->steps[s].channel)->name);
                return true;
            }
            if (go_on(q, try, q->reach->contacts[c].evidence_counts, action)) {
                return true;
            }
        }
    }
    return false;
}

/* Before the change is in force, what still works is told once each that it is about to die. */
static bool warn_early(const struct plan_question *q, struct plan_action *action) {
    struct finder finder = {q, 0, 0};
    unsigned seen = 0;
    for (size_t s = 0; s < q->route->n_steps; s++) {
        unsigned bit = 1U << q->route->steps[s].channel;
        if ((seen & bit) != 0) {
            continue; /* a channel may stand in several steps; the warning goes by the first */
        }
        seen |= bit;
        for (size_t c = 0; c < q->reach->n_contacts; c++) {
            if (fits(q, s, c, REACH_EARLY_WARNING) && find_try(&finder, s, c, true) == NULL) {
                action->step = s;
                action->contact = c;
                action->early_warning = true;
                act(q, action, PLAN_SEND, "early warning by %s: it dies with the change", channel_traits(q->route->steps[s].channel)->name);
                return true;
            }
        }
    }
    return false;
}

void plan_next(const struct plan_question *q, struct plan_action *action) {
    *action = (struct plan_action){.kind = PLAN_STRANDED};
    assert(q->reach->n_contacts == q->customer->n_contacts);
    if (find_evidence(q, action)) {
        return;
    }
    if (q->expires_at_ms > 0 && q->now_ms >= q->expires_at_ms) {
        act(q, action, PLAN_EXPIRED, "its time is over");
        return;
    }
    bool stranded = q->reach->verdict == VERDICT_STRANDED;
    if ((stranded || q->reach->verdict == VERDICT_PASSIVE) && warn_early(q, action)) {
        return;
    }
    if (walk_route(q, action)) {
        return;
    }
    *action = (struct plan_action){.exhausted = !stranded};
    act(q, action, PLAN_STRANDED, "%s", stranded ? "no contact point survives" : "every contact point that survives was tried in vain");
}

int64_t plan_backoff_ms(uint32_t attempts, int64_t base_ms, int64_t cap_ms, int64_t retry_after_ms, uint32_t random) {
    const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    if (retry_after_ms >= 0) {
        return retry_after_ms < day_ms ? retry_after_ms : day_ms;
    }
    int64_t cap = cap_ms < 0 ? 0 : cap_ms < day_ms ? cap_ms : day_ms;
    int64_t span = base_ms < 0 ? 0 : base_ms;
    for (uint32_t i = 1; i < attempts && span < cap && span > 0; i++) {
        span *= 2;
    }
    span = span < cap ? span : cap;
    return (int64_t)(((uint64_t)span * random) >> 32);
}
