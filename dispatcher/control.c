/* control: see control.h.
 *
 * `resolve` and `cancel` become works on the notice they name: looked up, fenced and recorded like every other change, and the
 * control job's own entry is acknowledged in that same step. `contact` is a write to the contact book.
 *
 * Guarantees: a control job is acknowledged only together with what it asked for; after a crash it is done again, and doing it
 * twice changes nothing. Does not: decide who can be reached. */
#include "dispatcher/control.h"

#include "base/log.h"
#include "dispatcher/intake.h"

static void on_control(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    (void)results;
    if (err != NULL) {
        log_error("%zu control jobs could not be recorded: %s; they stay pending", n, err->text);
    }
    worker_schedule(ctx);
}

void control_acknowledge(struct worker *w, const struct queue_entry *entry) {
    struct queue_control control = {.entry = entry};
    struct err err;
    if (queue_control(w->queue, &control, 1, on_control, w, &err) < 0) {
        log_error("a finished entry could not be acknowledged: %s; it comes back after its lease", err.text);
    }
}

/* ---- contact ------------------------------------------------------------------------------------------------------- */

void control_contact(struct worker *w, struct work *work, const char *book_text, int64_t now_ms) {
    struct err why;
    err_clear(&why);
    if (work_person(work, &w->place, book_text, BOOK_WHOLE, now_ms, &why) < 0) {
        intake_refuse(w, work, NOTICE_DEAD, &why);
        return;
    }
    struct queue_effect effect = {QUEUE_HSET, "contacts", work->document.job.customer.id, work->book_text, 0};
    struct queue_control control = {
        .entry = &work->entry, .counts = "contact", .effects = &effect, .n_effects = work->book_text == NULL ? 0 : 1};
    if (queue_control(w->queue, &control, 1, on_control, w, &why) < 0) {
        log_error("contact job %s: %s; it comes back after its lease", work->id, why.text);
    }
    worker_drop(w, work);
}

/* ---- resolve, cancel ----------------------------------------------------------------------------------------------- */

static int aim_at_notice(struct worker *w, struct work **work, enum notice_state state, struct err *why) {
    if ((*work)->document.notice_id == NULL) {
        return err_member(why, "notice", "is missing: name the notice");
    }
    struct work *held = worker_find(w, (*work)->document.notice_id);
    if (held != NULL) {
        held->stop = state; /* acts with its next change; this entry stays pending and then finds the notice finished */
        work_free(*work);
        *work = NULL;
        return 0;
    }
    (*work)->id = (*work)->document.notice_id;
    (*work)->stop = state;
    return 0;
}

int control_prepare(struct worker *w, struct work **work, struct err *why) {
    switch ((*work)->document.type) {
    case JOB_CONTACT: return 0;
    case JOB_RESOLVE: return aim_at_notice(w, work, NOTICE_RESOLVED, why);
    case JOB_CANCEL: return aim_at_notice(w, work, NOTICE_CANCELLED, why);
    case JOB_DISABLED:
    case JOB_CAMPAIGN: return err_member(why, "type", "jobs of this type are not taken by this version of reachd");
    case JOB_NOTICE: break;
    }
    return err_member(why, "type", "is a notice, not a control job");
}
