/* intake: see intake.h.
 *
 * An entry becomes a work, the works of a batch are looked up together, and what Redis already knows decides what they are: a
 * new notice, a duplicate, a reused id, or a notice of our own that a lost worker left behind. Due notices take the same way.
 *
 * Guarantees: a job that cannot be used goes to the dead letters whole, with the member at fault and a reason (P12); an entry
 * that was lost with its worker so often goes there before it is parsed again, unless its notice has begun: deciding did not kill, so the
 * notice goes on without its entry (poison.c). Nothing is dropped without a trace: work that memory does not
 * suffice for stays pending in Redis and comes back after its lease. */
#include "dispatcher/intake.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "dispatcher/control.h"
#include "dispatcher/poison.h"
#include "dispatcher/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* ---- look-up ------------------------------------------------------------------------------------------------------- */

struct intake_batch {
    struct worker *worker;
    struct intake_batch *prev, *next; /* among those that are being looked up */
    size_t n;
    struct work *works[];
};

static void refuse_same_id(struct worker *w, struct work *work, bool active, const char *digest) {
    struct err why;
    err_clear(&why);
    bool same = digest != NULL && strcmp(digest, work->document.digest) == 0;
    if (same) {
        (void)err_set(&why, ERR_CONFLICT, "a job with this id and content was accepted before");
    } else {
        (void)err_member(&why, "id", "id-reused: a job with this id but different content was accepted before");
    }
    if (active) {
        intake_refuse(w, work, same ? NOTICE_DUPLICATE : NOTICE_DEAD, &why);
    } else {
        refusals_add(w, work, same ? NOTICE_DUPLICATE : NOTICE_DEAD, &why);
    }
}

static bool is_origin(const struct work *work, const struct record *record) {
    char origin[64];
    (void)snprintf(origin, sizeof origin, "%d/%s", (int)work->entry.lane, work->entry.stream_id);
    return record->origin != NULL && strcmp(origin, record->origin) == 0;
}

static void begin_new(struct worker *w, struct work *work, const struct queue_found *found, int64_t now_ms) {
    struct err why;
    err_clear(&why);
    if (work_person(work, &w->place, found->customer, BOOK_GLIMPSE, now_ms, &why) < 0 || work_begin(work, &w->place, now_ms, &why) < 0) {
        if (why.code == ERR_MEMORY) {
            worker_drop(w, work);
            return;
        }
        intake_refuse(w, work, NOTICE_DEAD, &why);
        return;
    }
    worker_make_ready(w, work);
}

static void resume_held(struct worker *w, struct work *work, const struct queue_found *found, int64_t now_ms) {
    struct err err;
    if (work->stop == NOTICE_STATE_COUNT && work_person(work, &w->place, found->customer, BOOK_OLD_NEWS, now_ms, &err) < 0) {
        log_warning("notice %s: %s; it goes on without contact points", work->id, err.text);
    }
    if (work_resume(work, &w->place, &found->held, now_ms, &err) < 0) {
        log_error("notice %s: %s", work->id, err.text);
        worker_drop(w, work);
        return;
    }
    if (notice_state_final(work->stored) && work->buried) {
        worker_drop(w, work);
        return;
    }
    if (notice_state_final(work->stored) && work->document.type == JOB_DESK) {
        control_close_case(w, work); /* a case that outlived its notice */
        return;
    }
    if (notice_state_final(work->stored)) {
        if (work->stop != NOTICE_STATE_COUNT && (work->record.held || work->record.desk || work->record.banner)) {
            work->late = true; /* it has ended, but a hold, a desk case or a banner of it was left: it lets go of them */
            worker_make_ready(w, work);
            return;
        }
        if (work->has_entry) {
            control_finish(w, work);
        } else {
            worker_drop(w, work);
        }
        return;
    }
    worker_make_ready(w, work);
}

static void take_missing(struct worker *w, struct work *work, const struct queue_found *found, int64_t now_ms) {
    struct err why;
    if (!work->has_entry) {
        worker_drop(w, work);
    } else if (work->document.type == JOB_DESK) {
        control_close_case(w, work);
    } else if (work->stop != NOTICE_STATE_COUNT && !found->archived && control_wait(w, work)) {
        return;
    } else if (work->stop != NOTICE_STATE_COUNT) {
        err_clear(&why);
        (void)err_member(&why, "notice",
                         found->archived ? "this notice has finished and is in the archive" : "no notice with this id is known");
        intake_refuse(w, work, NOTICE_DEAD, &why);
    } else if (found->archived && queue_is_archived_job(found, work->document.digest)) {
        err_clear(&why);
        (void)err_set(&why, ERR_CONFLICT, "a job with this id was accepted before; its notice is in the archive");
        intake_refuse(w, work, NOTICE_DUPLICATE, &why);
    } else if (found->archived) {
        err_clear(&why);
        (void)err_member(&why, "id",
                         "id-reused: a job with this id but different content was accepted before; its notice is in the archive");
        intake_refuse(w, work, NOTICE_DEAD, &why);
    } else {
        begin_new(w, work, found, now_ms);
    }
}

static void take_found(struct worker *w, struct work *work, const struct queue_found *found, int64_t now_ms) {
    if (work->document.type == JOB_CONTACT) {
        control_contact(w, work, found->customer, now_ms);
        return;
    }
    if (!found->held.found) {
        take_missing(w, work, found, now_ms);
        return;
    }
    if (work->stop != NOTICE_STATE_COUNT || !work->has_entry) {
        resume_held(w, work, found, now_ms);
        return;
    }
    struct record record;
    struct err err;
    if (record_read(found->held.record, &work->arena, &record, &err) < 0) {
        log_error("notice %s: %s", work->id, err.text);
        worker_drop(w, work);
    } else if (is_origin(work, &record)) {
        resume_held(w, work, found, now_ms);
    } else {
        refuse_same_id(w, work, true, record.digest);
    }
}

static void on_found(void *ctx, const struct queue_found *found, size_t n, struct arena *arena_take) {
    struct intake_batch *batch = ctx;
    struct worker *w = batch->worker;
    FAILPOINT("looked-up");
    int64_t now_ms = clock_wall_ms(w->place.clock);
    for (size_t i = 0; i < n; i++) {
        take_found(w, batch->works[i], &found[i], now_ms);
    }
    arena_fini(arena_take);
    DL_DELETE(w->lookups, batch);
    free(batch);
    worker_schedule(w);
}

/* What has no answer any more; the works are the worker's. */
void intake_fini(struct worker *w) {
    struct intake_batch *batch, *next;
    DL_FOREACH_SAFE(w->lookups, batch, next) {
        DL_DELETE(w->lookups, batch);
        free(batch);
    }
}

static struct intake_batch *batch_new(struct worker *w, size_t most) {
    struct intake_batch *batch = malloc(sizeof *batch + most * sizeof batch->works[0]);
    if (batch == NULL) {
        log_error("out of memory for a batch; it comes back after its lease");
        return NULL;
    }
    *batch = (struct intake_batch){.worker = w};
    DL_APPEND(w->lookups, batch);
    return batch;
}

static void batch_drop(struct intake_batch *batch, const char *why) {
    log_error("%zu notices are left for later: %s", batch->n, why);
    for (size_t i = 0; i < batch->n; i++) {
        worker_put_back(batch->worker, batch->works[i]);
    }
    DL_DELETE(batch->worker->lookups, batch);
    free(batch);
}

static void look_up(struct worker *w, struct intake_batch *batch) {
    if (batch->n == 0) {
        DL_DELETE(w->lookups, batch);
        free(batch);
        return;
    }
    const char **names = calloc(2 * batch->n, sizeof *names);
    if (names == NULL) {
        batch_drop(batch, "out of memory");
        return;
    }
    for (size_t i = 0; i < batch->n; i++) {
        const struct job *job = &batch->works[i]->document.job;
        names[i] = batch->works[i]->id;
        names[batch->n + i] = job->customer.id;
    }
    struct err err;
    if (queue_lookup(w->queue, names, names + batch->n, batch->n, on_found, batch, &err) < 0) {
        batch_drop(batch, err.text);
    }
    free(names);
}

void intake_look_up(struct worker *w, struct work *work) {
    struct intake_batch *batch = batch_new(w, 1);
    if (batch == NULL) {
        worker_drop(w, work);
        return;
    }
    batch->works[batch->n++] = work;
    look_up(w, batch);
}

/* ---- entries ------------------------------------------------------------------------------------------------------- */

/* A work for an entry, with a copy of all that the entry says. NULL: no memory. */
static struct work *work_of_entry(const struct queue_entry *entry) {
    struct work *work = work_new(entry->body == NULL ? "" : entry->body, entry->body_len);
    if (work == NULL) {
        return NULL;
    }
    work->entry = *entry;
    work->entry.stream_id = arena_strdup(&work->arena, entry->stream_id);
    work->entry.body = entry->body == NULL ? NULL : work->body;
    work->has_entry = true;
    work->lost = entry->deliveries > 0 ? entry->deliveries - 1 : 0;
    if (work->entry.stream_id == NULL) {
        work_free(work);
        return NULL;
    }
    return work;
}

/* 0 the entry is a job we can use; -1 with the reason. */
static int check_entry(struct worker *w, struct work *work, struct err *why) {
    err_clear(why);
    if (refusals_is_poison(work)) {
        return err_set(why, ERR_CONFLICT, "it was handed out %u times and never finished: it may be what stops the worker",
                       work->entry.deliveries);
    }
    if (work->entry.body == NULL) {
        return err_member(why, "job", "the stream entry has no field named job");
    }
    return work_parse(work, w->place.rules, &work->id, why);
}

/* The same job, in hand already: whether this is a duplicate is seen when Redis has that one. What is in hand may turn out to be lost, and
 * then this is what the notice is made of. */
static bool is_repetition(const struct work *work, const struct work *same) {
    return same->has_entry && work->document.type == JOB_NOTICE && same->document.type == JOB_NOTICE &&
           strcmp(work->document.digest, same->document.digest) == 0;
}

void intake_repetitions(struct worker *w, struct work *work, bool recorded) {
    struct work *next = NULL;
    for (struct work *again = work->repetitions; again != NULL; again = next) {
        next = again->next_in_list;
        if (recorded) {
            refuse_same_id(w, again, false, work->document.digest);
        } else {
            worker_follow(w, work, again);
        }
    }
    work->repetitions = NULL;
}

static void take_entry(struct worker *w, const struct queue_entry *entry, struct intake_batch *batch) {
    struct err why;
    struct work *work = work_of_entry(entry);
    if (work == NULL) {
        log_error("out of memory for a job; its entry comes back after its lease");
        queue_let_go(w->queue, entry->lane, entry->stream_id);
        return;
    }
    if (check_entry(w, work, &why) < 0) {
        refusals_add(w, work, NOTICE_DEAD, &why);
        return;
    }
    if (work->document.type != JOB_NOTICE && control_prepare(w, &work, &why) < 0) {
        refusals_add(w, work, NOTICE_DEAD, &why);
        return;
    }
    if (work == NULL) {
        return;
    }
    struct work *same = worker_find(w, work->id);
    if (same == NULL) {
        worker_add(w, work);
        batch->works[batch->n++] = work;
    } else if (same->has_entry && strcmp(same->entry.stream_id, work->entry.stream_id) == 0) {
        work_free(work); /* handed out again after a reconnect while it is still in our hands */
    } else if (is_repetition(work, same)) {
        work->next_in_list = same->repetitions;
        same->repetitions = work;
    } else if (same->has_entry && same->document.type == JOB_NOTICE && work->document.type == JOB_NOTICE) {
        refuse_same_id(w, work, false, same->document.digest);
    } else {
        worker_follow(w, same, work); /* what is in hand is no job to be compared with: a receipt, a due notice, a request to end it */
    }
}

void intake_on_entries(void *ctx, const struct queue_entry *entries, size_t n, struct arena *arena_take) {
    struct worker *w = ctx;
    FAILPOINT("read");
    struct intake_batch *batch = batch_new(w, n);
    for (size_t i = 0; i < n; i++) {
        if (batch != NULL) {
            take_entry(w, &entries[i], batch);
        } else {
            queue_let_go(w->queue, entries[i].lane, entries[i].stream_id);
        }
    }
    arena_fini(arena_take);
    if (batch != NULL) {
        look_up(w, batch);
    }
}

void intake_control(struct worker *w, struct work *work_take) {
    struct err why;
    if (control_prepare(w, &work_take, &why) < 0) {
        refusals_add(w, work_take, NOTICE_DEAD, &why);
    } else if (work_take != NULL) {
        worker_add(w, work_take);
        intake_look_up(w, work_take);
    }
}

/* ---- due ----------------------------------------------------------------------------------------------------------- */

/* Its lease was over while it was in our hands (a slow gateway, Redis away): nobody was lost. */
static void keep_due(struct worker *w, struct work *work, const struct queue_due *due) {
    struct err err;
    struct queue_lease lease = {work->id, due->lease_end_ms, -1};
    work->lease_end_ms = due->lease_end_ms;
    if (queue_give_back(w->queue, &lease, 1, &err) < 0) {
        log_warning("notice %s: %s; it counts as if a worker had been lost", work->id, err.text);
    }
}

static void take_due(struct worker *w, const struct queue_due *due, struct intake_batch *batch) {
    struct work *in_hand = worker_find(w, due->id);
    if (in_hand != NULL) {
        keep_due(w, in_hand, due);
        return;
    }
    if (due->lost >= QUEUE_LOST_MAX) {
        poison_end(w, due);
        return;
    }
    if (due->lost > 0) {
        log_warning("notice %s was handed out %u times and not taken any further; it is tried %s", due->id, due->lost,
                    due->lost + 1 < QUEUE_LOST_MAX ? "with others of the kind" : "alone");
    }
    if (due->held.job == NULL) {
        log_error("notice %s is due but its job is not kept; reachctl notice show %s tells more", due->id, due->id);
        return;
    }
    struct err err;
    struct work *work = work_new(due->held.job, strlen(due->held.job));
    if (work == NULL || work_parse(work, w->place.rules, NULL, &err) < 0) {
        log_error("notice %s is due but cannot be taken up: %s", due->id, work == NULL ? "out of memory" : err.text);
        work_free(work);
        return;
    }
    work->lost = due->lost;
    work->lease_end_ms = due->lease_end_ms;
    worker_add(w, work);
    batch->works[batch->n++] = work;
}

void intake_on_due(void *ctx, const struct queue_due *due, size_t n, struct arena *arena_take) {
    struct worker *w = ctx;
    struct intake_batch *batch = batch_new(w, n);
    for (size_t i = 0; batch != NULL && i < n; i++) {
        take_due(w, &due[i], batch);
    }
    arena_fini(arena_take);
    if (batch != NULL) {
        look_up(w, batch);
    }
}
