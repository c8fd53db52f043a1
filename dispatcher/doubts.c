/* doubts: attempts that may or may not have gone out, and what their gateway's `on_unknown` makes of them.
 *
 *   resend   again after the backoff, through the same gateway and under the same key: a gateway that knows keys makes one message of it
 *   wait     as after a message that went out: a receipt settles it; where none comes within the step's `wait` the route goes on, and this
 *            contact point is not written to again in this step, so there is never a second copy
 *   next     the route goes on at once
 *
 * The policy is the one that is configured at the moment of the decision. Guarantees: where it is `wait` or `next`, no second message
 * leaves for the same try. Each doubt is counted in the try, whatever follows; a receipt that comes later still counts as evidence.
 *
 * Does not: send, or decide about the next step (core/plan). */
#include "dispatcher/work.h"

static enum on_unknown policy_of(const struct work_place *place, const struct record_try *t) {
    size_t index;
    return gateways_find(place->gateways, t->gateway, &index) == 1 ? gateways_on_unknown(place->gateways, index) : ON_UNKNOWN_RESEND;
}

/* How long a receipt is waited for: as the plan waits after a message that went out. Where that is without end: until the next look. */
static int64_t patience_ms(const struct work *work, const struct record_try *t, bool *endless_r) {
    const struct route_step *step = t->plan.step < work->route->n_steps ? &work->route->steps[t->plan.step] : NULL;
    *endless_r = step != NULL && step->wait_ms <= 0 && step->success > EVIDENCE_SENT;
    return *endless_r ? PLAN_LOOK_AGAIN_MS : step == NULL || step->wait_ms < 0 ? 0 : step->wait_ms;
}

void work_doubt(const struct work *work, const struct work_place *place, struct record_try *t, int64_t backoff_ms, int64_t now_ms) {
    enum on_unknown policy = policy_of(place, t);
    bool endless = false;
    t->doubts++;
    t->plan.last = policy == ON_UNKNOWN_NEXT ? OUTCOME_REJECTED : OUTCOME_UNKNOWN;
    t->plan.retry_at_ms = now_ms + (policy == ON_UNKNOWN_WAIT ? patience_ms(work, t, &endless) : backoff_ms);
}

int work_end_doubts(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    static const char why[] = "no receipt came in time: it may or may not have gone out, and is not sent again";
    for (size_t i = 0; i < work->record.n_tries; i++) {
        struct record_try *t = &work->record.tries[i];
        bool endless = false;
        if (t->plan.last != OUTCOME_UNKNOWN || t->plan.early_warning || t->plan.failed_later || now_ms < t->plan.retry_at_ms ||
            policy_of(place, t) != ON_UNKNOWN_WAIT) {
            continue;
        }
        int64_t wait_ms = patience_ms(work, t, &endless);
        if (endless) {
            t->plan.retry_at_ms = now_ms + wait_ms;
            continue;
        }
        t->plan.last = OUTCOME_REJECTED;
        t->why = why;
        if (record_log(&work->record, &work->arena, now_ms, "no receipt", t->gateway) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}
