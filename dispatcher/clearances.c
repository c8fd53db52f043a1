/* clearances: what a notice does to the accounts it is about: holds them while its customer is not reached, clears them when the
 * core says that the evidence is enough, takes the clearance back when it is not any more; and the release of contact data.
 *
 * Guarantees (P3): nothing is granted but what clearance_decide() grants, account by account, and Redis refuses the grant where
 * another notice still holds the account; both in the same atomic step as the notice's state. A grant that rests on a contact point is
 * made only while the contact book still says what it was decided on (QUEUE_MOVED otherwise). Everything expires.
 *
 * Does not: write to Redis; it adds effects to the notice's own change. */
#include "dispatcher/core/clearance.h"

#include "dispatcher/work.h"

#include <string.h>

static const char *hold_text(struct work *work, int64_t now_ms) {
    struct buf out = BUF_INIT;
    buf_putc(&out, '{');
    answers_put(&out, "notice", work->id);
    answers_put(&out, "customer", work->record.customer);
    answers_put_time(&out, "since", now_ms);
    buf_putc(&out, '}');
    return answers_keep(work, &out);
}

void answers_hold(struct work *work, int64_t now_ms) {
    if (work->record.held || work->record.accounts.n == 0) {
        return;
    }
    const char *value = hold_text(work, now_ms);
    for (size_t i = 0; i < work->record.accounts.n; i++) {
        work_effect(work, QUEUE_HOLD, value == NULL ? NULL : "holds", work->record.accounts.items[i], value, 0);
    }
    work->record.held = true;
}

void answers_unhold(struct work *work) {
    for (size_t i = 0; i < work->record.accounts.n; i++) {
        work_effect(work, QUEUE_UNHOLD, "holds", work->record.accounts.items[i], work->id, 0);
    }
    work->record.held = false;
}

/* ---- clearance ----------------------------------------------------------------------------------------------------- */

/* What came through a contact point is evidence only as long as the contact book says what it said when this was decided. */
static void rest_on_book(struct work *work) {
    if (work->book_written != NULL && queue_book_seen(work->book_written, work->book_seen) == 0) {
        work->book_written = NULL;
    }
    work->change.decided_on = work->book_seen;
}

static void add_grant(struct work *work, const char *account, const struct clearance_answer *answer, int64_t now_ms) {
    struct buf out = BUF_INIT;
    if (answer->contact != SIZE_MAX) {
        rest_on_book(work);
    }
    buf_putc(&out, '{');
    answers_put_time(&out, "granted_at", now_ms);
    answers_put_time(&out, "expires_at", answer->expires_at_ms);
    answers_put(&out, "notice", work->id);
    answers_put(&out, "evidence", answer->reason);
    buf_putc(&out, '}');
    const char *value = answers_keep(work, &out);
    const char *key = arena_printf(&work->arena, "clearance:{%s}", account);
    work_effect(work, QUEUE_GRANT, value == NULL ? NULL : key, account, value, answer->expires_at_ms);
    work->record.cleared = true;
}

static enum evidence unverified_needs(const struct work_place *place) {
    enum evidence evidence = EVIDENCE_ACKNOWLEDGED; /* checked when the settings were read */
    (void)evidence_find(place->settings->clearance.unverified_needs, &evidence);
    return evidence;
}

bool answers_grant(struct work *work, const struct work_place *place, int64_t now_ms, const char **why_r) {
    bool all = true;
    for (size_t i = 0; i < work->record.n_own; i++) {
        struct clearance_question question = {
            .plan = &work->question,
            .doomed = work->doomed,
            .account = work->record.accounts.items[i],
            .reaction = work->reaction,
            .unverified_needs = unverified_needs(place),
            .over = true,
            .valid_ms = place->settings->clearance.valid_ms,
        };
        struct clearance_answer answer;
        clearance_decide(&question, &answer);
        if (answer.word == CLEARANCE_GRANT) {
            add_grant(work, work->record.accounts.items[i], &answer, now_ms);
        } else {
            *why_r = arena_printf(&work->arena, "%s, but not cleared: %s", work->record.why, answer.reason);
            all = false;
        }
    }
    return all;
}

void answers_withdraw(struct work *work, int64_t now_ms) {
    for (size_t i = 0; i < work->record.n_own; i++) {
        work_effect(work, QUEUE_DEL, arena_printf(&work->arena, "clearance:{%s}", work->record.accounts.items[i]), NULL, NULL, 0);
    }
    answers_begin_event(work, "clearance", now_ms);
    answers_put(&work->event, "state", "withdrawn");
    answers_put(&work->event, "reason", work->record.why);
    buf_putc(&work->event, '}');
    work->record.cleared = false;
}

/* ---- release ------------------------------------------------------------------------------------------------------- */

void answers_release(struct work *work, const struct work_place *place, int64_t now_ms) {
    struct buf out = BUF_INIT;
    int64_t expires_at_ms = now_ms + place->settings->clearance.valid_ms;
    buf_putc(&out, '{');
    answers_put_time(&out, "granted_at", now_ms);
    answers_put_time(&out, "expires_at", expires_at_ms);
    answers_put(&out, "notice", work->id);
    buf_putc(&out, '}');
    const char *value = answers_keep(work, &out);
    const char *key = arena_printf(&work->arena, "release:{%s}", work->record.customer);
    work_effect(work, QUEUE_FREE, value == NULL ? NULL : key, work->record.customer, value, expires_at_ms);
}
