/* lost: see lost.h.
 *
 *   contact job ──▶ the customer's reached notices ──▶ each judged again as its change sees the contact points now ──▶ a late change for
 *   each that rests on what is lost ──▶ the contact job itself is recorded
 *
 * Guarantees: the contact job is acknowledged only after every withdrawal it causes is in Redis; where one of them did not go
 * through, the job stays pending and everything is looked at again. The job is recorded only while the list of reached notices is the
 * one that was looked at, so a clearance that is granted meanwhile is seen too; one that was decided before and is granted after is
 * refused by the contact book entry it was decided on (queue_change.decided_on).
 *
 * Does not: touch notices that are still open. They are planned again with the new contact points, and the plan does not count
 * evidence from a contact point that does not survive. */
#include "dispatcher/lost.h"

#include "base/log.h"
#include "dispatcher/control.h"
#include "dispatcher/intake.h"

#include <stdlib.h>
#include <string.h>

struct lost {
    struct worker *worker;
    struct work *job; /* the contact job; active */
    size_t open;
    bool all_applied;
};

static void leave(struct lost *lost, bool applied) {
    struct worker *w = lost->worker;
    lost->all_applied = lost->all_applied && applied;
    if (--lost->open > 0) {
        return;
    }
    if (lost->all_applied) {
        control_record_contact(w, lost->job, clock_wall_ms(w->place.clock));
    } else {
        worker_drop(w, lost->job); /* its entry comes back after its lease */
    }
    free(lost);
}

static void on_work_end(void *ctx, struct work *work, bool applied) {
    (void)work;
    leave(ctx, applied);
}

/* ---- what a clearance rests on ----------------------------------------------------------------------------------------- */

/* The contact points of the job, as the change that a notice was about sees them. */
static int judge(const struct lost *lost, struct work *reached, struct customer *customer, struct reach_answer *answer, struct err *err) {
    const struct record *record = &reached->record;
    struct disables disables = {.accounts = record->accounts, .domains = record->domains};
    const struct mailbox_rules *rules = lost->worker->place.rules;
    struct reach_question question = {
        .rules = rules, .customer = customer, .suspect_since_ms = record->suspect_since_ms, .tolerate_invalid = true};
    question.doomed = doomed_set_new(rules, &disables, NULL, &reached->arena, err);
    if (question.doomed == NULL ||
        reach_with_previous(&lost->job->document.job.customer, record->suspect_since_ms, &reached->arena, customer, err) < 0) {
        return -1;
    }
    return reach_decide(&question, &reached->arena, answer, err);
}

/* Whether the contact point with this key is there and is no evidence any more. */
static bool is_lost(const struct customer *customer, const struct reach_answer *answer, const char *key) {
    char here[17];
    for (size_t i = 0; i < answer->n_contacts; i++) {
        plan_contact_key(customer->contacts[i].channel, answer->contacts[i].canonical, here);
        if (strcmp(here, key) == 0) {
            return !answer->contacts[i].evidence_counts;
        }
    }
    return false;
}

/* 1 all that this notice's clearance rests on came through lost contact points, 0 not, -1 with *err. */
static int rests_on_lost(const struct lost *lost, struct work *reached, struct err *err) {
    struct customer customer;
    struct reach_answer answer;
    int hit = 0;
    if (judge(lost, reached, &customer, &answer, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < reached->record.n_tries; i++) {
        const struct plan_try *t = &reached->record.tries[i].plan;
        if (t->best == EVIDENCE_NONE || t->early_warning || t->failed_later) {
            continue;
        }
        if (!is_lost(&customer, &answer, t->contact_key)) {
            return 0;
        }
        hit = 1;
    }
    return hit;
}

/* ---- the notices ------------------------------------------------------------------------------------------------------- */

/* A late change for one reached notice, where it is due. */
static void look_at(struct lost *lost, const char *id, const struct queue_found *found, int64_t now_ms) {
    struct worker *w = lost->worker;
    struct err err;
    struct work *work = work_new("{}", 2);
    (void)err_no_memory(&err);
    int rests = -1;
    if (work != NULL && (work->id = arena_strdup(&work->arena, id)) != NULL &&
        work_resume(work, &w->place, &found->held, now_ms, &err) == 0) {
        rests = work->record.cleared ? rests_on_lost(lost, work, &err) : 0;
    }
    if (rests < 0) {
        log_error("notice %s: it cannot be checked against a changed contact point: %s", id, err.text);
    }
    if (rests <= 0 || worker_find(w, id) != NULL) { /* in our hands already: looked at again after the lease */
        lost->all_applied = lost->all_applied && rests == 0;
        work_free(work);
        return;
    }
    work->late = true;
    work->news = EVIDENCE_WITHDRAWN;
    work->stop = work->state;
    work->record.why = "the contact point that was reached does not work any more";
    work->on_end = on_work_end;
    work->end_ctx = lost;
    lost->open++;
    worker_add(w, work);
    worker_make_ready(w, work);
}

struct lost_lookup {
    struct lost *lost;
    struct arena arena; /* the ids */
    const char **ids;
};

static void on_found(void *ctx, const struct queue_found *found, size_t n, struct arena *arena_take) {
    struct lost_lookup *lookup = ctx;
    int64_t now_ms = clock_wall_ms(lookup->lost->worker->place.clock);
    for (size_t i = 0; i < n; i++) {
        if (found[i].held.found && found[i].held.state == NOTICE_REACHED) {
            look_at(lookup->lost, lookup->ids[i], &found[i], now_ms);
        }
    }
    leave(lookup->lost, true);
    arena_fini(arena_take);
    arena_fini(&lookup->arena);
    free(lookup);
}

/* Splits "id id id" and has the notices looked up. 0, or -1 with *err. */
static int look_up(struct lost *lost, const char *list, struct err *err) {
    struct lost_lookup *lookup = calloc(1, sizeof *lookup);
    char *copy = lookup == NULL ? NULL : arena_strdup(&lookup->arena, list);
    if (copy != NULL) {
        lookup->lost = lost;
        lookup->ids = arena_array(&lookup->arena, strlen(copy) / 2 + 1, sizeof *lookup->ids);
    }
    if (copy == NULL || lookup->ids == NULL) {
        free(lookup);
        return err_no_memory(err);
    }
    size_t n = 0;
    char *state = NULL;
    for (char *id = strtok_r(copy, " ", &state); id != NULL; id = strtok_r(NULL, " ", &state)) {
        lookup->ids[n++] = id;
    }
    if (queue_lookup(lost->worker->queue, lookup->ids, NULL, n, on_found, lookup, err) < 0) {
        arena_fini(&lookup->arena);
        free(lookup);
        return -1;
    }
    return 0;
}

static void on_reached_notices(void *ctx, const char *const *values, size_t n, struct arena *arena_take) {
    struct lost *lost = ctx;
    const char *list = n == 0 || values[0] == NULL ? "" : values[0];
    struct err err;
    (void)err_no_memory(&err);
    lost->job->reached_seen = arena_strdup(&lost->job->arena, list);
    if (lost->job->reached_seen != NULL && list[0] == '\0') {
        leave(lost, true);
    } else if (lost->job->reached_seen == NULL || look_up(lost, list, &err) < 0) {
        log_error("contact job %s: %s; it comes back after its lease", lost->job->id, err.text);
        leave(lost, false);
    }
    arena_fini(arena_take);
}

void lost_withdraw(struct worker *w, struct work *job, int64_t now_ms) {
    const struct customer *customer = &job->document.job.customer;
    struct err err;
    job->reached_seen = NULL;
    if (!book_may_take_away(customer)) {
        control_record_contact(w, job, now_ms);
        return;
    }
    struct lost *lost = calloc(1, sizeof *lost);
    if (lost == NULL) {
        log_error("contact job %s: out of memory; it comes back after its lease", job->id);
        worker_drop(w, job);
        return;
    }
    *lost = (struct lost){.worker = w, .job = job, .open = 1, .all_applied = true};
    struct queue_ask ask = {QUEUE_ASK_REACHED_NOTICES, customer->id, NULL};
    if (queue_read(w->queue, &ask, 1, on_reached_notices, lost, &err) < 0) {
        log_error("contact job %s: %s; it comes back after its lease", job->id, err.text);
        leave(lost, false);
    }
}
