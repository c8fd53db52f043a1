/* control: see control.h.
 *
 * `resolve` and `cancel` become works on the notice they name: looked up, fenced and recorded like every other change, and the
 * control job's own entry is acknowledged in that same step. `contact` is a write to the contact book.
 *
 * Guarantees: a control job is acknowledged only together with what it asked for; after a crash it is done again, and doing it
 * twice changes nothing. Does not: decide who can be reached. */
#include "dispatcher/control.h"

#include "base/log.h"
#include "dispatcher/alarm.h"
#include "dispatcher/holding.h"
#include "dispatcher/intake.h"
#include "dispatcher/lost.h"
#include "dispatcher/refusals.h"

#include <event2/event.h>
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
        queue_let_go(w->queue, entry->lane, entry->stream_id);
    }
}

void control_finish(struct worker *w, struct work *work) {
    control_acknowledge(w, &work->entry);
    work->has_entry = false;
    worker_drop(w, work);
}

void control_close_case(struct worker *w, struct work *work) {
    struct queue_effect effect = {QUEUE_HDEL, "desk", work->id, NULL, 0};
    struct queue_control control = {.entry = &work->entry, .counts = "desk-closed", .effects = &effect, .n_effects = 1};
    struct err err;
    if (queue_control(w->queue, &control, 1, on_control, w, &err) < 0) {
        log_error("a desk case could not be closed: %s; its entry comes back after its lease", err.text);
    } else {
        work->has_entry = false;
    }
    worker_drop(w, work);
}

/* ---- contact ------------------------------------------------------------------------------------------------------- */

/* Whose account is whose, for an account that is disabled without anybody having asked. */
static size_t index_accounts(struct work *work, const struct worker *w, struct queue_effect *effects, size_t most) {
    const struct customer *customer = &work->document.job.customer;
    size_t n = 0;
    for (size_t i = 0; i < customer->accounts.n && n < most; i++) {
        char canonical[MAILBOX_MAX];
        const char *account = NULL;
        if (mailbox_canon(w->place.rules, customer->accounts.items[i], canonical, NULL) == 0) {
            account = arena_strdup(&work->arena, canonical);
        }
        if (account != NULL) {
            effects[n++] = (struct queue_effect){QUEUE_HSET, "accounts", account, customer->id, 0};
        }
    }
    return n;
}

enum { CONTACT_EFFECTS_MAX = 1024 };

void control_contact(struct worker *w, struct work *work, const char *book_text, int64_t now_ms) {
    struct err why;
    err_clear(&why);
    if (book_text == NULL && work->document.n_marks > 0) { /* the customer has left the book meanwhile: nothing to mark */
        control_finish(w, work);
        return;
    }
    /* Without `contacts` the job is about the person (a name, a locale) and says nothing about contact points. */
    enum book_news kind = work->document.job.customer_by_id ? BOOK_GLIMPSE : BOOK_WHOLE;
    if (work_person(work, &w->place, book_text, kind, now_ms, &why) < 0) {
        if (why.code == ERR_MEMORY) {
            log_error("contact job %s: out of memory; it comes back after its lease", work->id);
            worker_drop(w, work);
        } else {
            intake_refuse(w, work, NOTICE_DEAD, &why);
        }
        return;
    }
    lost_withdraw(w, work, now_ms); /* comes back through control_record_contact() */
}

enum { BOOK_TRIES_MAX = 8 };

/* Somebody else wrote the customer's entry meanwhile, or the customer was reached: read it again and merge with that. */
static void on_contact_recorded(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    struct work *work = ctx;
    struct worker *w = work->owner;
    if (err != NULL) {
        log_error("contact job %s: %s; it comes back after its lease", work->id, err->text);
    } else if (n == 1 && results[0] == QUEUE_STALE && ++work->book_tries < BOOK_TRIES_MAX) {
        intake_look_up(w, work);
        return;
    } else {
        work->has_entry = n == 1 && results[0] == QUEUE_STALE; /* changed under our hands again and again: it comes back later */
    }
    worker_drop(w, work);
}

void control_record_contact(struct worker *w, struct work *work, int64_t now_ms) {
    struct err why;
    struct queue_effect *effects = arena_array(&work->arena, CONTACT_EFFECTS_MAX, sizeof *effects);
    if (effects == NULL) {
        log_error("contact job %s: out of memory; it comes back after its lease", work->id);
        worker_drop(w, work);
        return;
    }
    const char *customer = work->document.job.customer.id;
    size_t n = 0;
    if (work->book_text != NULL) {
        effects[n++] = (struct queue_effect){QUEUE_BOOK, work->book_seen, customer, work->book_text, 0};
        /* a stranded notice is planned again with what is known now (P4) */
        effects[n++] = (struct queue_effect){QUEUE_WAKE, "due", customer, NULL, now_ms};
    }
    if (work->reached_seen != NULL) {
        effects[n++] = (struct queue_effect){QUEUE_REACHED, work->reached_seen, customer, NULL, 0};
    }
    n += index_accounts(work, w, effects + n, CONTACT_EFFECTS_MAX - n);
    struct queue_control control = {.entry = &work->entry, .counts = "contact", .effects = effects, .n_effects = n};
    if (queue_control(w->queue, &control, 1, on_contact_recorded, work, &why) < 0) {
        log_error("contact job %s: %s; it comes back after its lease", work->id, why.text);
        worker_drop(w, work);
    }
}

/* ---- resolve, cancel ----------------------------------------------------------------------------------------------- */

/* A notice in hand ends with its next change, where there is one; who asked for it follows it and ends it otherwise. One that is only being
 * looked up or written down for the first time, or was taken up for something else, goes its way first. */
static void stop_in_hand(struct worker *w, struct work *held, enum notice_state state) {
    if ((held->fence != 0 || held->is_held) && held->stop == NOTICE_STATE_COUNT && !held->late) {
        held->stop = state;
    }
    holding_wake_one(w, held);
}

/* All notices of a customer are to end, and those that have ended let go of what they still hold; the control job's entry is acknowledged
 * when the last of them has. */
struct stop_group {
    struct worker *worker;
    struct work *control; /* owned: the control job with its entry */
    enum notice_state state;
    size_t open;
    bool all_applied;
};

static void leave_group(struct stop_group *group, bool applied) {
    group->all_applied = group->all_applied && applied;
    if (--group->open > 0) {
        return;
    }
    if (group->all_applied) {
        control_acknowledge(group->worker, &group->control->entry);
    } else {
        queue_let_go(group->worker->queue, group->control->entry.lane, group->control->entry.stream_id); /* it comes back and looks again */
    }
    work_free(group->control);
    free(group);
}

static void on_stopped(void *ctx, struct work *work, bool applied) {
    leave_group(ctx, applied || notice_state_final(work->stored));
}

static struct work *stop_work(struct stop_group *group, const char *id) {
    struct work *work = work_new("{}", 2);
    if (work == NULL) {
        return NULL;
    }
    work->id = arena_strdup(&work->arena, id);
    work->document.type = group->control->document.type;
    work->stop = group->state;
    work->on_end = on_stopped;
    work->end_ctx = group;
    if (work->id == NULL) {
        work_free(work);
        return NULL;
    }
    return work;
}

static void on_notices(void *ctx, const char *const *values, size_t n, struct arena *arena_take) {
    struct stop_group *group = ctx;
    struct worker *w = group->worker;
    char *list = n == 0 ? NULL : arena_strdup(arena_take, values[0]);
    char *state = NULL;
    group->open = 1; /* ourselves, until all are on their way */
    for (char *id = list == NULL ? NULL : strtok_r(list, " ", &state); id != NULL; id = strtok_r(NULL, " ", &state)) {
        struct work *held = worker_find(w, id);
        struct work *work = stop_work(group, id);
        if (work == NULL) {
            group->all_applied = false;
            continue;
        }
        group->open++;
        if (held != NULL) {
            stop_in_hand(w, held, group->state);
            worker_follow(w, held, work);
        } else {
            worker_add(w, work);
            intake_look_up(w, work);
        }
    }
    leave_group(group, true);
    arena_fini(arena_take);
}

/* ---- requests about unknown notices ---------------------------------------------------------------------------------- */

/* Long enough for a job to get from a reader's hands into Redis; a flood of requests about nothing does not take the places of notices. */
enum { UNKNOWN_WAIT_MS = 2000, UNKNOWN_PAUSE_MS = 200, UNKNOWN_MAX = 256 };

static void look_again(struct worker *w, struct work *work) {
    w->n_unknown--;
    w->n_active--;
    if (w->draining) {
        queue_let_go(w->queue, work->entry.lane, work->entry.stream_id);
        work_free(work);
        worker_schedule(w);
    } else {
        intake_control(w, work);
    }
}

static void on_unknown_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct worker *w = ctx;
    struct work *work = w->unknown;
    w->unknown = NULL;
    while (work != NULL) {
        struct work *next = work->next_in_list;
        look_again(w, work);
        work = next;
    }
}

bool control_wait(struct worker *w, struct work *work) {
    static const struct timeval pause = {.tv_usec = UNKNOWN_PAUSE_MS * 1000};
    int64_t now_ms = clock_mono_ms(w->place.clock);
    if (work->known_by_mono_ms == 0) {
        work->known_by_mono_ms = now_ms + UNKNOWN_WAIT_MS;
    }
    if (w->unknown_timer == NULL) {
        w->unknown_timer = evtimer_new(w->base, on_unknown_timer, w);
    }
    if (now_ms >= work->known_by_mono_ms || w->n_unknown >= UNKNOWN_MAX || w->unknown_timer == NULL ||
        (w->unknown == NULL && evtimer_add(w->unknown_timer, &pause) < 0)) {
        return false;
    }
    worker_remove(w, work);
    work->next_in_list = w->unknown;
    w->unknown = work;
    w->n_unknown++;
    w->n_active++;
    return true;
}

void control_fini(struct worker *w) {
    for (struct work *next, *work = w->unknown; work != NULL; work = next) {
        next = work->next_in_list;
        work_free(work);
    }
    if (w->unknown_timer != NULL) {
        event_free(w->unknown_timer);
    }
}

/* ---- whose notices --------------------------------------------------------------------------------------------------- */

bool control_is_for_customer(const struct work *work) {
    enum job_type type = work->document.type;
    return (type == JOB_RESOLVE || type == JOB_CANCEL) && work->document.notice_id == NULL;
}

/* Notices of that customer whose jobs came before and which are not in Redis yet: told to stop, and one of them, or NULL. */
static struct work *stop_unrecorded(struct worker *w, const char *customer, enum notice_state state) {
    struct work *found = NULL;
    struct work *work;
    struct work *next;
    HASH_ITER(hh, w->active, work, next) {
        if (work->fence == 0 && work->has_entry && work->document.type == JOB_NOTICE &&
            strcmp(work->document.job.customer.id, customer) == 0) {
            stop_in_hand(w, work, state);
            found = work;
        }
    }
    return found;
}

static int aim_at_customer(struct worker *w, struct work **work, enum notice_state state, struct err *why) {
    struct work *unrecorded = stop_unrecorded(w, (*work)->document.job.customer.id, state);
    if (unrecorded != NULL) {
        worker_follow(w, unrecorded, *work);
        *work = NULL;
        return 0;
    }
    struct stop_group *group = calloc(1, sizeof *group);
    if (group == NULL) {
        return err_no_memory(why);
    }
    *group = (struct stop_group){.worker = w, .control = *work, .state = state, .all_applied = true};
    struct queue_ask ask = {QUEUE_ASK_NOTICES, (*work)->document.job.customer.id, NULL};
    if (queue_read(w->queue, &ask, 1, on_notices, group, why) < 0) {
        free(group);
        return -1;
    }
    *work = NULL;
    return 0;
}

static int aim_at_notice(struct worker *w, struct work **work, enum notice_state state, struct err *why) {
    if ((*work)->document.notice_id == NULL) {
        return aim_at_customer(w, work, state, why);
    }
    struct work *held = worker_find(w, (*work)->document.notice_id);
    (*work)->id = (*work)->document.notice_id;
    (*work)->stop = state;
    if (held != NULL) {
        stop_in_hand(w, held, state);
        worker_follow(w, held, *work);
        *work = NULL;
    }
    return 0;
}

int control_prepare(struct worker *w, struct work **work, struct err *why) {
    switch ((*work)->document.type) {
    case JOB_CONTACT: return 0;
    case JOB_RESOLVE: return aim_at_notice(w, work, NOTICE_RESOLVED, why);
    case JOB_CANCEL: return aim_at_notice(w, work, NOTICE_CANCELLED, why);
    case JOB_DESK: return aim_at_notice(w, work, NOTICE_HANDED_TO_DESK, why);
    case JOB_DISABLED: return alarm_check(w, work, why);
    case JOB_CAMPAIGN:
        return err_member(
            why, "type",
            "this version of reachd runs no campaigns yet: reachctl preflight takes the job, but the notices have to be pushed one by one");
    case JOB_NOTICE: break;
    }
    return err_member(why, "type", "is a notice, not a control job");
}
