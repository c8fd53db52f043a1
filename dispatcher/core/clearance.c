/* clearance: see clearance.h.
 *
 * What a mistake here costs: a yes too many cuts a person off from their account without their knowing; a no too many makes somebody
 * at the desk look. So every rule below can only take a yes away, the struct starts as a no, and what is missing, unread or of
 * an unexpected value leaves it one.
 *
 * Evidence is judged by the same two functions as the plan (plan_proven, plan_needed), so that "reached" and "cleared" cannot drift
 * apart; where a clearance asks for more than the route did, the notice ends at the desk instead of nowhere.
 *
 * Does not: write records, know clocks, or compare accounts other than by their canonical form. */
#include "dispatcher/core/clearance.h"

#include "dispatcher/core/doomed.h"

#include <stdint.h>
#include <stdio.h>

static void say(char reason[160], const char *text) {
    (void)snprintf(reason, 160, "%s", text);
}

static int64_t expiry(int64_t now_ms, int64_t valid_ms) {
    int64_t at_ms = now_ms;
    return valid_ms > 0 && !__builtin_add_overflow(now_ms, valid_ms, &at_ms) ? at_ms : now_ms;
}

static enum evidence needed(const struct clearance_question *q, size_t step, size_t contact) {
    enum evidence least = plan_needed(&q->plan->route->steps[step], q->plan->reach->verdict);
    bool unverified = q->plan->reach->contacts[contact].weak;
    return unverified && q->unverified_needs > least ? q->unverified_needs : least;
}

/* Whether enough has come through this contact point in this step. */
static bool is_proven(const struct clearance_question *q, size_t step, size_t contact, enum evidence *proven_r) {
    const struct reach_contact *reach = &q->plan->reach->contacts[contact];
    if (!reach->survives || !reach->evidence_counts ||
        q->plan->customer->contacts[contact].channel != q->plan->route->steps[step].channel) {
        return false;
    }
    const struct plan_try *try = plan_find_try(q->plan, step, contact);
    *proven_r = try == NULL ? EVIDENCE_NONE : plan_proven(try, &q->plan->route->steps[step], q->plan->now_ms);
    return *proven_r >= needed(q, step, contact);
}

/* A reaction first: it rests on no contact point, so none can take it away later. */
static bool find_proof(const struct clearance_question *q, struct clearance_answer *answer) {
    answer->step = answer->contact = SIZE_MAX;
    answer->evidence = q->reaction;
    if (q->reaction >= EVIDENCE_SEEN) {
        return true;
    }
    for (size_t s = 0; s < q->plan->route->n_steps; s++) {
        for (size_t c = 0; c < q->plan->reach->n_contacts && q->plan->n_tries > 0; c++) {
            if (is_proven(q, s, c, &answer->evidence)) {
                answer->step = s;
                answer->contact = c;
                return true;
            }
        }
    }
    return false;
}

void clearance_decide(const struct clearance_question *q, struct clearance_answer *answer) {
    *answer = (struct clearance_answer){.word = CLEARANCE_NOT_YET, .step = SIZE_MAX, .contact = SIZE_MAX};
    if (doomed_set_find(q->doomed, q->account) == DOOMED_NOT) {
        answer->word = CLEARANCE_DESK;
        say(answer->reason, "the change that the customer was told of does not name this account");
        return;
    }
    if (!find_proof(q, answer)) {
        answer->word = q->over ? CLEARANCE_DESK : CLEARANCE_NOT_YET;
        say(answer->reason,
            q->over ? "no evidence that is enough has come, and none is awaited" : "no evidence that is enough has come yet");
    } else if (q->others > 0) {
        say(answer->reason, "another notice still holds this account");
    } else {
        answer->word = CLEARANCE_GRANT;
        answer->expires_at_ms = expiry(q->plan->now_ms, q->valid_ms);
        const char *by = answer->step == SIZE_MAX ? "the customer" : channel_traits(q->plan->route->steps[answer->step].channel)->name;
        (void)snprintf(answer->reason, sizeof answer->reason, "%s by %s", evidence_name(answer->evidence), by);
        return;
    }
    answer->evidence = EVIDENCE_NONE;
    answer->step = answer->contact = SIZE_MAX;
}

bool clearance_covers(int64_t granted_at_ms, int64_t expires_at_ms, int64_t at_ms) {
    return granted_at_ms > 0 && granted_at_ms <= at_ms && at_ms < expires_at_ms;
}
