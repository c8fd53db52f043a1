/* poison: see poison.h.
 *
 *   due, three workers lost ──▶ its job is not parsed ──▶ one change: stranded-handed-to-desk, hold, desk case, dead letter
 *
 * What kills a worker may be the job, the contact points or the words: none of them is looked at, only the record, which reachd itself has
 * written. So the notice cannot be decided any more, but its customer must not be forgotten (P4): a person takes over, the accounts stay
 * on hold (P3: no clearance), and the job lies whole in the dead letters for whoever finds out what is wrong with it. The notice keeps its
 * record: its attempts are evidence (P9), later receipts and a `resolve` find it.
 *
 * How it fails: where the record cannot be read, the notice is left alone and told again after every lease. Does not: count; the queue
 * does, and hands out what is suspicious alone, so the third loss is not a neighbour's fault (queue/trial.c). */
#include "dispatcher/poison.h"

#include "base/log.h"
#include "dispatcher/intake.h"

#include <stdlib.h>

void poison_end(struct worker *w, const struct queue_due *due) {
    struct work *work = work_new("{}", 2);
    const char *id = work == NULL ? NULL : arena_strdup(&work->arena, due->id);
    const char *job = id == NULL ? NULL : arena_strdup(&work->arena, due->held.job == NULL ? "" : due->held.job);
    if (job == NULL) {
        log_error("out of memory for notice %s; it comes again after its lease", due->id);
        work_free(work);
        return;
    }
    work->id = id;
    work->dead_job = job;
    work->buried = true;
    work->stop = NOTICE_HANDED_TO_DESK;
    work->lease_end_ms = due->lease_end_ms;
    log_error(
        "ALARM: notice %s was handed out %u times and its worker lost each time: it is not taken up any more; a desk case is made, its "
        "job goes to the dead letters",
        due->id, due->lost);
    worker_add(w, work);
    intake_look_up(w, work);
}

const char *poison_reason(struct work *work) {
    return arena_printf(&work->arena, "it was handed out %d times and never finished: it may be what stops the worker", QUEUE_LOST_MAX);
}

void poison_bury(struct work *work, int64_t now_ms) {
    char at[TIME_TEXT_MAX];
    bool is_bulk = work->record.origin != NULL && work->record.origin[0] != '0';
    const char *what =
        arena_printf(&work->arena, "%s %s %s %s", work->id, is_bulk ? "bulk" : "urgent", time_format(now_ms, at), work->record.why);
    work_effect(work, QUEUE_BURY, what == NULL ? NULL : "dead", what, work->dead_job, 0);
    buf_putf(&work->counts, "%salarm.poison", work->counts.len == 0 ? "" : " ");
}
