/* decide: what comes next for one notice, as a change ready for Redis.
 *
 * The order is always the same: who can be reached now (core/reach), what the route says (core/plan), is the contact point
 * still allowed at this very moment (reach_use_at: P2), which gateway, which words; then the record, the event and the effects that
 * make the decision true in one atomic step. A step that cannot be carried out here (no gateway, no words for that channel) is
 * noted as a rejected try and the plan is asked again, so a route never gets stuck.
 *
 * Guarantees: no message is prepared for a contact point that may not be used at `now_ms`. A new job whose words cannot be
 * made is refused with the member at fault instead of becoming a notice.
 *
 * Does not: send, wait or read a clock. */
#include "dispatcher/poison.h"
#include "dispatcher/work.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

/* ---- reachability -------------------------------------------------------------------------------------------------- */

static int ask_reach(struct work *work, const struct work_place *place, struct err *err) {
    struct job *job = &work->document.job;
    if (work->doomed == NULL) {
        if (reach_with_previous(&job->customer, job->suspect_since_ms, &work->arena, &job->customer, err) < 0) {
            return -1;
        }
        work->doomed = doomed_set_new(place->rules, &job->disables, &job->customer.accounts, &work->arena, err);
        if (work->doomed == NULL) {
            return -1;
        }
    }
    struct reach_question question = {.rules = place->rules,
                                      .doomed = work->doomed,
                                      .customer = &job->customer,
                                      .suspect_since_ms = job->suspect_since_ms,
                                      .tolerate_invalid = work->from_book};
    if (reach_decide(&question, &work->arena, &work->reach, err) < 0) {
        return -1;
    }
    work->record.verdict = verdict_name(work->reach.verdict);
    return work->fence == 0 ? work_note_accounts(work, place, err) : 0;
}

/* The notice as the core sees it now: kept in the work, because the clearance is decided on the same question as the plan. */
static int put_question(struct work *work, int64_t now_ms, struct err *err) {
    size_t n_tries = 0;
    const struct plan_try *tries = record_plan_tries(&work->record, &work->arena, &n_tries);
    if (n_tries != work->record.n_tries) {
        return err_no_memory(err);
    }
    work->question = (struct plan_question){
        .route = work->route,
        .customer = &work->document.job.customer,
        .reach = &work->reach,
        .tries = tries,
        .n_tries = n_tries,
        .effective_at_ms = work->record.effective_at_ms,
        .expires_at_ms = work->record.expires_at_ms,
        .now_ms = now_ms,
    };
    return 0;
}

static int ask_plan(struct work *work, int64_t now_ms, struct err *err) {
    if (put_question(work, now_ms, err) < 0) {
        return -1;
    }
    plan_next(&work->question, &work->action);
    work->record.why = arena_strdup(&work->arena, work->action.reason);
    return work->record.why == NULL ? err_no_memory(err) : 0;
}

/* ---- the change ---------------------------------------------------------------------------------------------------- */

/* A new notice keeps its stream entry as its lease during the first attempt; afterwards the job is kept beside the record and
 * the due set is the lease. So a notice that goes out at once costs no second copy of its job. */
static void set_lease(struct work *work, const struct work_place *place, int64_t now_ms, int64_t mono_ms) {
    struct queue_change *change = &work->change;
    int64_t lease_ms = place->settings->redis.lease_ms;
    int64_t allowed_ms = lease_ms;
    if (work->action.early_warning && work->record.effective_at_ms - now_ms < allowed_ms) {
        allowed_ms = work->record.effective_at_ms - now_ms; /* not begun by then, it must not begin (P2) */
    }
    work->not_after_mono_ms = mono_ms + allowed_ms;
    if (work->has_entry && work->fence == 0) {
        change->due_at_ms = -1;
        return;
    }
    change->due_at_ms = now_ms + lease_ms;
    change->lost_if_over = work->lost + 1;
}

static void keep_job(struct work *work) {
    struct queue_change *change = &work->change;
    if (!work->job_kept) {
        change->job_action = QUEUE_JOB_STORE;
        change->job = work->body;
        change->job_len = work->body_len;
    }
}

/* Longer than mail systems keep a mail that they cannot deliver (five days, RFC 5321 section 4.5.4.1), and providers their reports. */
enum { REF_KEPT_MS = 14 * 24 * 3600 * 1000 };

const char *work_ref_key(struct arena *arena, const char *gateway, const char *ref) {
    return arena_printf(arena, "ref:%s %s", gateway, ref);
}

/* What the last outcome or receipt brought beside the new state: the gateway's id of the message, which leads its receipts back to the
 * notice whatever the route waits for (a bounce may come after the notice was reached), and a contact point that has turned out to be dead,
 * for the contact book. */
static void add_news(struct work *work, int64_t now_ms) {
    if (work->new_ref_key != NULL) {
        work_effect(work, QUEUE_SET, work->new_ref_key, NULL, work->id, now_ms + REF_KEPT_MS);
    }
    if (work->dead_contact != NULL) {
        dead_contact_tell(work);
    }
    work->new_ref_key = NULL;
    work->dead_contact = NULL;
}

static int finish_change(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct queue_change *change = &work->change;
    change->id = work->id;
    change->customer = work->record.customer;
    change->fence_seen = work->fence;
    change->state = work->state;
    bool first_attempt = change->due_at_ms == -1 && !work->late;
    if (!work->late && !notice_state_final(work->state) && !first_attempt && !work->record.held) {
        answers_hold(work, now_ms);
    }
    if (work->late) {
        if (answers_late(work, place, now_ms, err) < 0) {
            return -1;
        }
        change->due_at_ms = -1;
    } else if (notice_state_final(work->state)) {
        change->job_action = work->job_kept ? QUEUE_JOB_DROP : QUEUE_JOB_AS_IS;
        change->due_at_ms = 0;
        if (answers_finish(work, place, now_ms, err) < 0) {
            return -1;
        }
    } else if (!first_attempt) {
        keep_job(work);
    }
    add_news(work, now_ms);
    change->from = work->has_entry && work->fence == 0 ? &work->entry : NULL;
    change->not_after_ms = work->has_entry && work->fence == 0 ? work->entry.not_after_ms : 0;
    change->ack = work->has_entry && !first_attempt ? &work->entry : NULL;
    change->begun_from_ack = change->ack != NULL && work->fence != 0 && work->fence == work->begun;
    if (work->banner != NULL) {
        banners_put(work, place, work->banner, now_ms, banners_until_ms(work, place, now_ms));
        work->banner = NULL;
    }
    if (work->dismissed) {
        banners_take(work);
    }
    if (work->book_text != NULL) {
        work_effect(work, QUEUE_BOOK, work->book_seen, work->record.customer, work->book_text, 0);
        work->book_written = work->book_text;
        work->book_text = NULL;
    }
    answers_event(work, now_ms);
    record_write(&work->record, work->state, &work->record_text);
    change->record = buf_str(&work->record_text);
    change->event = buf_str(&work->event);
    change->counts = work->counts.len == 0 ? NULL : buf_str(&work->counts);
    change->effects = work->effects;
    change->n_effects = work->n_effects;
    return work->record_text.failed || work->event.failed || work->counts.failed ? err_no_memory(err) : 0;
}

static int begin_change(struct work *work, struct err *err) {
    struct record_try *tries = arena_array(&work->arena, work->record.n_tries, sizeof *tries);
    if (tries == NULL) {
        return err_no_memory(err);
    }
    work->change = (struct queue_change){0};
    work->n_effects = 0;
    buf_reset(&work->record_text);
    buf_reset(&work->event);
    work->record_before = work->record; /* its lists are replaced when they grow, never changed, but for the tries: */
    if (work->record.n_tries > 0) {
        memcpy(tries, work->record.tries, work->record.n_tries * sizeof *tries);
        work->record_before.tries = tries;
    }
    work->state_before = work->state;
    work->banner_before = work->banner;
    work->counts_before = work->counts.len;
    return 0;
}

void work_undo(struct work *work) {
    work->record = work->record_before;
    work->state = work->state_before;
    work->banner = work->banner_before;
    buf_cut(&work->counts, work->counts_before);
    work->note_only = work->stop == NOTICE_STATE_COUNT; /* somebody may have asked to end it meanwhile */
}

/* How a plan's answer that is not a send becomes a state and a due time. */
static int settle(struct work *work, int64_t now_ms, struct err *err) {
    switch (work->action.kind) {
    case PLAN_WAIT:
        work->change.due_at_ms = work->action.at_ms > now_ms ? work->action.at_ms : now_ms + 1;
        return work->state == NOTICE_STRANDED ? work_event(work, LIFE_NEW_CONTACT, err) : 0;
    case PLAN_STRANDED: work->change.due_at_ms = work->record.expires_at_ms; return work_event(work, LIFE_STRAND, err);
    case PLAN_REACHED: return work_event(work, LIFE_REACHED, err);
    case PLAN_EXPIRED: return work_event(work, LIFE_EXPIRE, err);
    case PLAN_SEND: break;
    }
    assert(work->action.kind != PLAN_SEND);
    return 0;
}

/* Asks the plan until it gives something that can be done. Every round ends a try, so the rounds are bounded. */
static int decide_action(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    if ((work->state == NOTICE_ACCEPTED && work_event(work, LIFE_PLAN, err) < 0) || work_end_doubts(work, place, now_ms, err) < 0) {
        return -1;
    }
    for (;;) {
        if (ask_plan(work, now_ms, err) < 0) {
            return -1;
        }
        if (work->action.kind != PLAN_SEND) {
            work->next = WORK_DONE;
            return 0;
        }
        int ready = work_attempt(work, place, now_ms, err);
        if (ready != 0) {
            return ready < 0 ? -1 : 0;
        }
    }
}

/* Nobody and nothing can reach this customer, or only a banner can: people take over, at once and beside any attempt (P4). */
static bool needs_desk(const struct work *work) {
    return !work->record.desk && (work->action.kind == PLAN_STRANDED || work->action.desk_too || work->reach.verdict == VERDICT_STRANDED) &&
           work->action.kind != PLAN_REACHED && work->action.kind != PLAN_EXPIRED;
}

static enum life_event stop_event(enum notice_state stop) {
    switch (stop) {
    case NOTICE_RESOLVED: return LIFE_RESOLVE;
    case NOTICE_CANCELLED: return LIFE_CANCEL;
    case NOTICE_HANDED_TO_DESK: return LIFE_HAND_OVER;
    default: return LIFE_REACHED;
    }
}

/* The producer said that there is nothing to tell any more, or a stranded customer has reacted; or nobody dares to look at it any more. */
static int decide_stop(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    work->next = WORK_DONE;
    if (work->stop == NOTICE_RESOLVED) {
        work->record.why = "the customer has acted";
    } else if (work->stop == NOTICE_CANCELLED) {
        work->record.why = "cancelled by the producer";
    } else if (work->buried) {
        work->record.why = poison_reason(work);
    } else if (work->stop == NOTICE_HANDED_TO_DESK) {
        const struct job_document *document = &work->document;
        work->record.why = arena_printf(&work->arena, "a person has seen to it%s%s%s%s", document->by == NULL ? "" : ": ",
                                        document->by == NULL ? "" : document->by, document->note == NULL ? "" : ": ",
                                        document->note == NULL ? "" : document->note);
    }
    if (work->stop == NOTICE_REACHED && !work->late && (ask_reach(work, place, err) < 0 || put_question(work, now_ms, err) < 0)) {
        return -1;
    }
    if (!work->late && work_event(work, stop_event(work->stop), err) < 0) {
        return -1;
    }
    return finish_change(work, place, now_ms, err);
}

/* The evidence goes into the record as it is; what follows from it is planned when the notice is handed out again, at once, with
 * all that the contact book knows by then. */
static int decide_note(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    work->next = WORK_DONE;
    work->change.due_at_ms = now_ms;
    return finish_change(work, place, now_ms, err);
}

int work_decide(struct work *work, const struct work_place *place, int64_t now_ms, int64_t mono_ms, struct err *err) {
    if (begin_change(work, err) < 0) {
        return -1;
    }
    bool plans = !work->note_only && work->stop == NOTICE_STATE_COUNT;
    if ((plans && ask_reach(work, place, err) < 0) || work_regain(work, place, now_ms, err) < 0) {
        return -1;
    }
    if (!plans) {
        return work->note_only ? decide_note(work, place, now_ms, err) : decide_stop(work, place, now_ms, err);
    }
    if (decide_action(work, place, now_ms, err) < 0) {
        return -1;
    }
    if (work->next == WORK_REFUSE || work->next == WORK_HOLD) {
        return 0;
    }
    if (work->next == WORK_SEND) {
        set_lease(work, place, now_ms, mono_ms);
    } else if (settle(work, now_ms, err) < 0) {
        return -1;
    }
    if (needs_desk(work) && answers_strand(work, place, now_ms, err) < 0) {
        return -1;
    }
    return work->next == WORK_REFUSE ? 0 : finish_change(work, place, now_ms, err);
}
