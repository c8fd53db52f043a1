/* lost: see lost.h.
 *
 *   contact job ──▶ keys of the dead contact points ──▶ the customer's reached notices ──▶ a late change for each whose evidence
 *   came that way ──▶ the contact job itself is recorded
 *
 * Guarantees: the contact job is acknowledged only after every withdrawal it causes is in Redis; where one of them did not go
 * through, the job stays pending and everything is looked at again. Usually there is nothing to lose and the job goes straight on.
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
    size_t n;
    char keys[][17];
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

static bool is_lost(const struct lost *lost, const char *key) {
    for (size_t i = 0; i < lost->n; i++) {
        if (strcmp(lost->keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether all that this notice's clearance rests on came through lost contact points. */
static bool rests_on_lost(const struct lost *lost, const struct record *record) {
    bool hit = false;
    for (size_t i = 0; i < record->n_tries; i++) {
        const struct plan_try *t = &record->tries[i].plan;
        if (t->best == EVIDENCE_NONE || t->early_warning || t->failed_later) {
            continue;
        }
        if (!is_lost(lost, t->contact_key)) {
            return false;
        }
        hit = true;
    }
    return hit;
}

/* A late change for one reached notice, where it is due. */
static void look_at(struct lost *lost, const char *id, const struct queue_found *found, int64_t now_ms) {
    struct worker *w = lost->worker;
    struct err err;
    struct work *work = work_new("{}", 2);
    if (work == NULL || (work->id = arena_strdup(&work->arena, id)) == NULL ||
        work_resume(work, &w->place, &found->held, now_ms, &err) < 0) {
        log_error("notice %s: it cannot be checked against a lost contact point", id);
        lost->all_applied = false;
        work_free(work);
        return;
    }
    if (!work->record.cleared || !rests_on_lost(lost, &work->record)) {
        work_free(work);
        return;
    }
    if (worker_find(w, id) != NULL) {
        lost->all_applied = false;
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
    struct err err;
    if (n == 0 || values[0] == NULL) {
        leave(lost, true);
    } else if (look_up(lost, values[0], &err) < 0) {
        log_error("contact job %s: %s; it comes back after its lease", lost->job->id, err.text);
        leave(lost, false);
    }
    arena_fini(arena_take);
}

static bool is_dead(const struct contact *contact) {
    return contact->status == CONTACT_BOUNCED || contact->status == CONTACT_BLOCKED || contact->status == CONTACT_WITHDRAWN;
}

/* Notes the keys of the contact points that do not work any more. */
static void note_keys(struct lost *lost, const struct worker *w, const struct customer *customer) {
    for (size_t i = 0; i < customer->n_contacts; i++) {
        const struct contact *contact = &customer->contacts[i];
        char canonical[MAILBOX_MAX];
        bool mailbox = channel_traits(contact->channel)->address == ADDRESS_MAILBOX;
        if (is_dead(contact) && (!mailbox || mailbox_canon(w->place.rules, contact->address, canonical, NULL) == 0)) {
            plan_contact_key(contact->channel, mailbox ? canonical : contact->address, lost->keys[lost->n++]);
        }
    }
}

void lost_withdraw(struct worker *w, struct work *job, int64_t now_ms) {
    const struct customer *customer = &job->document.job.customer;
    struct err err;
    struct lost *lost = calloc(1, sizeof *lost + customer->n_contacts * sizeof lost->keys[0]);
    if (lost == NULL) {
        log_error("contact job %s: out of memory; it comes back after its lease", job->id);
        worker_drop(w, job);
        return;
    }
    *lost = (struct lost){.worker = w, .job = job, .open = 1, .all_applied = true};
    note_keys(lost, w, customer);
    if (lost->n == 0) {
        free(lost);
        control_record_contact(w, job, now_ms);
        return;
    }
    struct queue_ask ask = {QUEUE_ASK_REACHED_NOTICES, customer->id, NULL};
    if (queue_read(w->queue, &ask, 1, on_reached_notices, lost, &err) < 0) {
        log_error("contact job %s: %s; it comes back after its lease", job->id, err.text);
        leave(lost, false);
    }
}
