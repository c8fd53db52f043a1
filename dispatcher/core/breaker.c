/* breaker: see breaker.h.
 *
 * One cell a state and event: what is done then. An empty cell is "nothing": while it is open, what was still under way is no news, and a
 * drained gateway listens to operators only.
 *
 * Our account being refused counts as half of the failures that open it: one odd answer about one message does not, the second one in a
 * row does, and then it stays open for the longest time at once, because only a person can mend it.
 *
 * Guarantees: failures of different workers need not be added up: a gateway that is down shows each of them enough of its own. Does
 * not: know what a gateway is. */
#include "dispatcher/core/breaker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define STATE_NAME(id, name) [id] = name,
static const char *const state_names[BREAKER_STATE_COUNT] = {BREAKER_STATE_LIST(STATE_NAME)};

const char *breaker_state_name(enum breaker_state state) {
    assert((unsigned)state < BREAKER_STATE_COUNT);
    return state_names[state];
}

int breaker_state_find(const char *name, enum breaker_state *state_r) {
    for (int i = 0; i < BREAKER_STATE_COUNT; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *state_r = (enum breaker_state)i;
            return 1;
        }
    }
    return 0;
}

/* ---- what is done ---------------------------------------------------------------------------------------------------- */

typedef bool action_fn(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news);

static bool enter(struct breaker *breaker, enum breaker_state state, const struct breaker_news *news, const char *reason) {
    breaker->state = state;
    breaker->failures = breaker->successes = 0;
    breaker->changed_at_ms = news->now_ms;
    (void)snprintf(breaker->owner, sizeof breaker->owner, "%s", state == BREAKER_HALF_OPEN && news->owner != NULL ? news->owner : "");
    if (reason != NULL) {
        (void)snprintf(breaker->reason, sizeof breaker->reason, "%s", reason);
    }
    return true;
}

static int64_t open_for_ms(const struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    int64_t span_ms = policy->open_ms;
    for (uint32_t i = 1; i < breaker->level && span_ms < policy->open_max_ms; i++) {
        span_ms *= 2;
    }
    if (span_ms > policy->open_max_ms || news->event == BREAKER_REFUSED_US) {
        span_ms = policy->open_max_ms;
    }
    return news->retry_after_ms > span_ms ? news->retry_after_ms : span_ms;
}

static bool open_it(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    breaker->level++;
    breaker->until_ms = news->now_ms + open_for_ms(breaker, policy, news);
    return enter(breaker, BREAKER_OPEN, news, news->reason == NULL ? "without a reason" : news->reason);
}

static bool close_it(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    (void)policy;
    breaker->level = 0;
    breaker->until_ms = 0;
    return enter(breaker, BREAKER_CLOSED, news, "");
}

static bool forget_failures(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    (void)policy;
    (void)news;
    breaker->failures = 0;
    return false;
}

static bool count_failures(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news, int64_t by) {
    breaker->failures += (uint32_t)by;
    return policy->failures_max > 0 && breaker->failures >= policy->failures_max && open_it(breaker, policy, news);
}

static bool count_failure(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    return count_failures(breaker, policy, news, 1);
}

static bool count_refusal(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    return count_failures(breaker, policy, news, (policy->failures_max + 1) / 2);
}

static bool begin_probing(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    if (news->now_ms < breaker->until_ms) {
        return false;
    }
    breaker->until_ms = news->now_ms + policy->probe_lease_ms;
    return enter(breaker, BREAKER_HALF_OPEN, news, NULL);
}

static bool count_probe(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    return ++breaker->successes >= policy->probes && close_it(breaker, policy, news);
}

static bool drain(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    (void)policy;
    breaker->until_ms = 0;
    return enter(breaker, BREAKER_DRAINED, news, news->reason == NULL ? "drained by an operator" : news->reason);
}

/* ---- the table ------------------------------------------------------------------------------------------------------- */

static action_fn *const table[BREAKER_STATE_COUNT][BREAKER_EVENT_COUNT] = {
    [BREAKER_CLOSED] = {[BREAKER_SUCCESS] = forget_failures,
                        [BREAKER_FAILURE] = count_failure,
                        [BREAKER_REFUSED_US] = count_refusal,
                        [BREAKER_TRIP] = open_it,
                        [BREAKER_DRAIN] = drain},
    [BREAKER_OPEN] = {[BREAKER_PROBE] = begin_probing, [BREAKER_TRIP] = open_it, [BREAKER_DRAIN] = drain, [BREAKER_ENABLE] = close_it},
    [BREAKER_HALF_OPEN] = {[BREAKER_SUCCESS] = count_probe,
                           [BREAKER_FAILURE] = open_it,
                           [BREAKER_REFUSED_US] = open_it,
                           [BREAKER_PROBE] = begin_probing,
                           [BREAKER_TRIP] = open_it,
                           [BREAKER_DRAIN] = drain,
                           [BREAKER_ENABLE] = close_it},
    [BREAKER_DRAINED] = {[BREAKER_ENABLE] = close_it},
};

bool breaker_take(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news) {
    assert((unsigned)breaker->state < BREAKER_STATE_COUNT && (unsigned)news->event < BREAKER_EVENT_COUNT);
    action_fn *action = table[breaker->state][news->event];
    return action != NULL && action(breaker, policy, news);
}

int breaker_event_of(const struct outcome *outcome, enum breaker_event *event_r) {
    if (outcome->kind == OUTCOME_SENT) {
        *event_r = BREAKER_SUCCESS;
        return 1;
    }
    switch (outcome->blame) {
    case BLAME_NONE: return 0;
    case BLAME_MESSAGE:
    case BLAME_CONTACT: *event_r = BREAKER_SUCCESS; return 1;
    case BLAME_GATEWAY: *event_r = BREAKER_FAILURE; return 1;
    case BLAME_ACCOUNT: *event_r = BREAKER_REFUSED_US; return 1;
    }
    return 0;
}
