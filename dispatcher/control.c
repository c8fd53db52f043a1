/* control: see control.h.
 *
 * `resolve` and `cancel` become works on the notice they name: looked up, fenced and recorded like every other change, and the
 * control job's own entry is acknowledged in that same step. `contact` is a write to the contact book.
 *
 * Guarantees: a control job is acknowledged only together with what it asked for; after a crash it is done again, and doing it
 * twice changes nothing. Does not: decide who can be reached. */
#include "dispatcher/control.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

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

static int store_contact(struct worker *w, struct work *work, struct err *why) {
    char *text = json_dumps(json_object_get(work->document.root, "customer"), JSON_COMPACT);
    if (text == NULL) {
        return err_no_memory(why);
    }
    struct queue_effect effect = {QUEUE_HSET, "contacts", work->document.job.customer.id, text, 0};
    struct queue_control control = {.entry = &work->entry, .counts = "contact", .effects = &effect, .n_effects = 1};
    int result = queue_control(w->queue, &control, 1, on_control, w, why);
    free(text);
    return result;
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
    case JOB_CONTACT:
        if (store_contact(w, *work, why) < 0) {
            return -1;
        }
        work_free(*work);
        *work = NULL;
        return 0;
    case JOB_RESOLVE: return aim_at_notice(w, work, NOTICE_RESOLVED, why);
    case JOB_CANCEL: return aim_at_notice(w, work, NOTICE_CANCELLED, why);
    case JOB_DISABLED:
    case JOB_CAMPAIGN: return err_member(why, "type", "jobs of this type are not taken by this version of reachd");
    case JOB_NOTICE: break;
    }
    return err_member(why, "type", "is a notice, not a control job");
}
