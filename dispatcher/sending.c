/* sending: see sending.h.
 *
 *   intent recorded ──▶ the last look ──▶ intent in the journal ──▶ the gateway has it ──▶ its answer in the journal ──▶ ready list
 *
 * Guarantees: nothing is handed over that may not go at this moment (P2), whose lease is over or whose gateway has turned out not to work;
 * nothing whose intent does not stand in Redis and, once the caller has flushed it, in the journal. What was not handed over goes through
 * the same door as every other outcome. How it fails: as a retry with its reason. Does not: choose the gateway (attempt.c), or judge an
 * outcome (work.c). */
#include "dispatcher/sending.h"

#include "base/failpoint.h"
#include "base/log.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>

/* Every outcome goes through this door; the change that records it is made on the next turn. */
static void take_outcome(struct work *work, const struct outcome *outcome) {
    struct worker *w = work->owner;
    struct err err;
    int64_t now_ms = clock_wall_ms(w->place.clock);
    if (work_outcome(work, &w->place, outcome, now_ms, worker_random(w), &err) < 0) {
        log_error("notice %s: %s; it is taken up again after its lease", work->id, err.text);
        worker_put_back(w, work);
        return;
    }
    work->lost = 0; /* the worker has lived through that attempt */
    worker_make_ready(w, work);
}

/* What is answered stands in the journal before Redis is told. A banner is shown by the change that records it, so without that change it
 * is not sent. */
static void note_answer(struct worker *w, struct work *work, const struct outcome *outcome) {
    if (work->banner == NULL) {
        struct journal_attempt attempt = work_journal_attempt(work, &work->record.tries[work->try_index]);
        work->mark = journal_put(w->place.journal, &attempt, outcome);
    }
}

static void on_outcome(void *ctx, const struct outcome *outcome) {
    struct work *work = ctx;
    struct worker *w = work->owner;
    FAILPOINT("answered");
    int64_t took_ms = clock_mono_ms(w->place.clock) - work->sent_mono_ms;
    work->has_place = false;
    gateways_done(w->place.gateways, work->gateway, work->probe, outcome, took_ms, clock_wall_ms(w->place.clock));
    if (outcome->kind != OUTCOME_SENT) {
        log_info("notice %s: %s by %s (%s): %s", work->id, outcome_name(outcome->kind), gateways_name(w->place.gateways, work->gateway),
                 outcome->code, outcome->reason);
    }
    note_answer(w, work, outcome);
    take_outcome(work, outcome);
}

/* The last look before anything leaves the house: the intent may have taken long to be recorded (P2). */
static bool still_allowed(const struct work *work, const struct worker *w, struct outcome *outcome) {
    const struct reach_contact *contact = &work->reach.contacts[work->action.contact];
    const struct contact *point = &work->document.job.customer.contacts[work->action.contact];
    int64_t now_ms = clock_wall_ms(w->place.clock);
    if (clock_mono_ms(w->place.clock) >= work->not_after_mono_ms) {
        outcome_set(outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "the lease ran out before the message was handed over");
        return false;
    }
    enum reach_use use = reach_use_at(contact, point, work->record.effective_at_ms, now_ms);
    if (use == REACH_NEVER || (use == REACH_EARLY_WARNING && !work->action.early_warning)) {
        outcome_set(outcome, OUTCOME_REJECTED, BLAME_NONE, NULL, "the change came into force: this contact point may not be used any more");
        return false;
    }
    if (!gateways_may_send(w->place.gateways, work->gateway, work->probe)) {
        outcome_set(outcome, OUTCOME_RETRY, BLAME_GATEWAY, NULL, "not handed over: the gateway has turned out not to work");
        return false;
    }
    return true;
}

/* The intent of what may go now is put down in the journal: a Redis that is killed may lose the one it has answered. False where it may
 * not go. */
bool sending_may_go(struct worker *w, struct work *work) {
    struct outcome outcome;
    if (!still_allowed(work, w, &outcome)) {
        work_leave_place(work, &w->place);
        take_outcome(work, &outcome);
        return false;
    }
    if (!channel_traits(work->document.job.customer.contacts[work->action.contact].channel)->passive) {
        struct journal_attempt attempt = work_journal_attempt(work, &work->record.tries[work->try_index]);
        journal_intend(w->place.journal, &attempt);
    }
    return true;
}

void sending_begin(struct worker *w, struct work *work) {
    struct outcome outcome;
    struct err err;
    FAILPOINT("before-send");
    work->message.attempt = work->fence;
    work->sent_mono_ms = clock_mono_ms(w->place.clock);
    if (gateways_send(w->place.gateways, work->gateway, &work->message, work->not_after_mono_ms, on_outcome, work, &err) < 0) {
        outcome_set(&outcome, OUTCOME_RETRY, BLAME_GATEWAY, NULL, "not taken by the gateway: %s", err.text);
        work->has_place = false;
        gateways_done(w->place.gateways, work->gateway, work->probe, &outcome, 0, clock_wall_ms(w->place.clock));
        note_answer(w, work, &outcome);
        take_outcome(work, &outcome);
    }
}

/* ---- banner -------------------------------------------------------------------------------------------------------- */

struct banner_done {
    struct event *event;
    channel_done_fn *done;
    void *ctx;
};

static void on_banner_done(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct banner_done *later = ctx;
    struct outcome outcome;
    outcome_set(&outcome, OUTCOME_SENT, BLAME_NONE, NULL, "the banner record is written with this change");
    event_free(later->event);
    later->done(later->ctx, &outcome);
    free(later);
}

/* The banner record is an effect of the notice's next change, so it appears together with the state that says so. */
int sending_put_banner(void *ctx, const struct message *message, channel_done_fn *done, void *done_ctx, struct err *err) {
    struct worker *w = ctx;
    struct work *work = (struct work *)((uintptr_t)message - offsetof(struct work, message));
    int64_t now_ms = clock_wall_ms(w->place.clock);
    work->banner = banners_record(work, message, now_ms, banners_until_ms(work, &w->place, now_ms));
    struct banner_done *later = calloc(1, sizeof *later);
    if (work->banner == NULL || later == NULL) {
        free(later);
        return err_no_memory(err);
    }
    *later = (struct banner_done){.done = done, .ctx = done_ctx};
    later->event = event_new(w->base, -1, 0, on_banner_done, later);
    if (later->event == NULL) {
        free(later);
        return err_no_memory(err);
    }
    event_active(later->event, EV_TIMEOUT, 0);
    return 0;
}
