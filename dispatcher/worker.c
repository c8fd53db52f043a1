/* worker: see worker.h.
 *
 *   entries / due work ──▶ parse ──▶ look up (one round trip per batch) ──▶ ready list
 *   ready list ──▶ decide (who, what next, which words) ──▶ apply (one round trip per batch) ──▶ send ──▶ outcome ──▶ ready list
 *
 * A notice is in exactly one place: being looked up, on the ready list, in an apply, or with a gateway. The table `active` holds all
 * of them by id, so that the same notice is never worked on twice here; the fence sees to it between workers.
 *
 * Guarantees: nothing is sent before the intent to send it is in Redis under this worker's fence; an entry is
 * acknowledged only in the same step that records what became of it; work that is lost here is handed out again after its lease.
 *
 * Fails: a notice that cannot be decided for want of memory is left alone and comes back after its lease. Does not: block. */
#include "dispatcher/worker.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "dispatcher/archive.h"
#include "dispatcher/control.h"
#include "dispatcher/draining.h"
#include "dispatcher/early.h"
#include "dispatcher/holding.h"
#include "dispatcher/intake.h"
#include "dispatcher/live_words.h"
#include "dispatcher/refusals.h"
#include "dispatcher/replay.h"
#include "dispatcher/retiring.h"
#include "dispatcher/sending.h"
#include "dispatcher/webhooks.h"
#include "dispatcher/worker_inside.h"

#include <event2/event.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* One place in so many is for urgent notices alone. */
enum { APPLY_MAX = 512, URGENT_PART = 8 };

/* ---- the table of active works ------------------------------------------------------------------------------------- */

struct work *worker_find(struct worker *w, const char *id) {
    struct work *found = NULL;
    HASH_FIND_STR(w->active, id, found);
    return found;
}

void worker_add(struct worker *w, struct work *work) {
    work->owner = w;
    work->taken_mono_ms = clock_mono_ms(w->place.clock);
    HASH_ADD_KEYPTR(hh, w->active, work->id, strlen(work->id), work);
    w->n_active++;
}

/* What a work has or was promised at a gateway is there for others again. */
static void leave_places(struct worker *w, struct work *work) {
    if (work->place_kept) {
        work->place_kept = false;
        gateways_woken(w->place.gateways, work->gateway);
    }
    work_leave_place(work, &w->place);
}

void worker_follow(struct worker *w, struct work *leader, struct work *work) {
    struct work **end = &leader->followers;
    while (*end != NULL) {
        end = &(*end)->next_in_list;
    }
    work->next_in_list = NULL;
    *end = work;
    w->n_active++;
}

void worker_remove(struct worker *w, struct work *work) {
    intake_repetitions(w, work, false);
    struct work *next = work->followers;
    work->followers = NULL;
    HASH_DEL(w->active, work); /* NOLINT(clang-analyzer-core.NullDereference): uthash's table is there while it holds an item */
    w->n_active--;
    while (next != NULL && control_is_for_customer(next)) {
        struct work *control = next;
        next = control->next_in_list;
        w->n_active--;
        intake_control(w, control);
    }
    if (next != NULL) {
        next->followers = next->next_in_list;
        next->next_in_list = NULL;
        w->n_active--;
        worker_add(w, next);
        intake_look_up(w, next);
    }
}

void worker_drop(struct worker *w, struct work *work) {
    leave_places(w, work);
    if (work->has_entry) {
        queue_let_go(w->queue, work->entry.lane, work->entry.stream_id);
    }
    if (work->on_end != NULL) {
        work->on_end(work->end_ctx, work, work->applied);
    }
    worker_remove(w, work);
    work_free(work);
    worker_schedule(w);
}

void worker_put_back(struct worker *w, struct work *work) {
    struct err err;
    struct queue_lease lease = {work->id, work->lease_end_ms, -1};
    if (work->lease_end_ms > 0 && queue_give_back(w->queue, &lease, 1, &err) < 0) {
        log_warning("notice %s: %s; it counts as if its worker had been lost", work->id, err.text);
    }
    worker_drop(w, work);
}

void worker_make_ready(struct worker *w, struct work *work) {
    work->next_in_list = NULL;
    *w->ready_end = work;
    w->ready_end = &work->next_in_list;
    worker_schedule(w);
}

/* The ready list is worked once per turn of the loop, so that everything that became ready in this turn shares a round trip. */
void worker_schedule(struct worker *w) {
    if (!w->flush_scheduled) {
        w->flush_scheduled = true;
        event_active(w->flush_event, EV_TIMEOUT, 0);
    }
}

static void update_room(struct worker *w) {
    size_t most = (size_t)w->place.settings->worker.in_flight_max;
    size_t held = w->n_active;
    queue_set_reserve(w->queue, most / URGENT_PART);
    queue_set_room(w->queue, w->draining || held >= most ? 0 : most - held);
}

/* ---- applying ------------------------------------------------------------------------------------------------------ */

struct apply {
    struct worker *worker;
    struct apply *prev; /* all that have no answer yet: the queue answers no more once it is closed */
    struct apply *next;
    size_t n;
    size_t n_to_send; /* once answered: the first so many */
    struct work *works[];
};

/* From the job's place in its stream to the first change: until it was read by Redis's clock, then by our own. */
static void note_wait(struct worker *w, const struct work *work) {
    int64_t pushed_ms = strtoll(work->entry.stream_id, NULL, 10);
    int64_t read_ms = work->entry.not_after_ms - w->place.settings->redis.lease_ms;
    int64_t in_hand_ms = clock_mono_ms(w->place.clock) - work->taken_mono_ms;
    int64_t wait_ms = read_ms > pushed_ms ? read_ms - pushed_ms + in_hand_ms : in_hand_ms;
    waits_add(&w->waits, work->entry.lane, wait_ms, clock_wall_ms(w->place.clock));
}

/* True where its message is to be sent now. */
static bool on_applied_one(struct worker *w, struct work *work, enum queue_result result) {
    if (result == QUEUE_STALE) {
        log_notice("notice %s: another worker has it, or Redis has lost it; left alone", work->id);
        worker_drop(w, work);
        return false;
    }
    if (result == QUEUE_MOVED) {
        log_info("notice %s: the contact book has changed since it was planned; it is planned again", work->id);
        work_leave_place(work, &w->place);
        work_undo(work);
        worker_make_ready(w, work);
        return false;
    }
    if (work->fence == 0 && work->entry.not_after_ms > 0) {
        note_wait(w, work);
    }
    work->applied = true;
    work->begun = queue_begins(&work->change) ? work->change.fence : 0;
    journal_recorded(&work->mark);
    journal_forget_notice(w->place.journal, work->id);
    work->fence = work->change.fence;
    work->stored = work->change.state;
    work->has_entry = work->has_entry && work->change.ack == NULL;
    work->job_kept = work->job_kept || work->change.job_action == QUEUE_JOB_STORE;
    if (work->change.due_at_ms >= 0) {
        work->lease_end_ms = work->change.lost_if_over > 0 ? work->change.due_at_ms : 0;
    }
    buf_reset(&work->counts);
    intake_repetitions(w, work, true);
    if (work->next == WORK_SEND) {
        return sending_may_go(w, work);
    }
    worker_drop(w, work);
    return false;
}

#ifdef FAILPOINTS
static bool is_intent(const struct apply *apply) {
    return apply->works[0]->next == WORK_SEND;
}
#endif

/* Whether the journal may be asked for it: what has begun and whose change was not made. */
static bool is_doubtful(const struct work *work, const enum queue_result *result) {
    return result == NULL ? work->mark.journal != NULL : *result == QUEUE_STALE && work->fence != 0;
}

/* Takes down what became of a batch's changes; those whose messages are to be sent now are left at its front. Whoever takes up again what
 * was not changed finds in the journal what its gateways have answered. */
static void take_results(struct apply *apply, const enum queue_result *results, size_t n, const struct err *err) {
    struct worker *w = apply->worker;
    struct arena arena = ARENA_INIT;
    const char *doubtful[APPLY_MAX];
    size_t n_doubtful = 0;
    for (size_t i = 0; i < n; i++) {
        struct work *work = apply->works[i];
        if (is_doubtful(work, results == NULL ? NULL : &results[i])) {
            doubtful[n_doubtful] = arena_strdup(&arena, work->id);
            n_doubtful += doubtful[n_doubtful] != NULL;
        }
        if (results == NULL) {
            log_error("notice %s: its change was refused by Redis: %s", work->id, err->text);
            worker_drop(w, work);
        } else if (on_applied_one(w, work, results[i])) {
            apply->works[apply->n_to_send++] = work;
        }
    }
    journal_recall(w->place.journal, doubtful, n_doubtful);
    arena_fini(&arena);
}

static void on_applied(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    struct apply *apply = ctx;
    struct worker *w = apply->worker;
    FAILPOINT(is_intent(apply) ? "intent-recorded" : "result-recorded");
    take_results(apply, results, n, err);
    journal_flush(w->place.journal);
    for (size_t i = 0; i < apply->n_to_send; i++) {
        sending_begin(w, apply->works[i]);
    }
    gateways_flush(w->place.gateways);
    FAILPOINT(apply->n_to_send > 0 ? "handed-over" : "ended");
    DL_DELETE(w->applies, apply);
    free(apply);
    draining_check(w);
}

static void apply_batch(struct worker *w, struct apply *apply) {
    struct err err;
    struct queue_change changes[APPLY_MAX];
    DL_APPEND(w->applies, apply);
    for (size_t i = 0; i < apply->n; i++) {
        apply->works[i]->change.fence = queue_fence(w->queue);
        changes[i] = apply->works[i]->change;
    }
    FAILPOINT(is_intent(apply) ? "before-intent" : "before-result");
    if (queue_apply(w->queue, changes, apply->n, on_applied, apply, &err) < 0) {
        on_applied(apply, NULL, apply->n, &err);
    }
}

/* Decides for one work. True where it has a change to apply. */
static bool decide_one(struct worker *w, struct work *work, int64_t now_ms, int64_t mono_ms) {
    struct err err;
    work->lane = work->record.origin != NULL && work->record.origin[0] != '0' ? LANE_BULK : LANE_URGENT; /* "<lane>/<stream id>" */
    if (work->place_kept) {
        work->place_kept = false;
        gateways_woken(w->place.gateways, work->gateway);
    }
    if (work->fence == 0 && work->has_entry && !queue_in_hand(w->queue, &work->entry)) {
        log_notice("notice %s: Redis has lost its job before it began; left alone", work->id);
        worker_drop(w, work);
        return false;
    }
    if (work_decide(work, &w->place, now_ms, mono_ms, &err) < 0) {
        if (work->fence == 0 && work->has_entry && err.code == ERR_MEMBER) {
            intake_refuse(w, work, NOTICE_DEAD, &err);
            return false;
        }
        log_error("notice %s: cannot be decided: %s; it is taken up again after its lease", work->id, err.text);
        if (err.code == ERR_MEMORY) {
            worker_put_back(w, work);
        } else {
            worker_drop(w, work);
        }
        return false;
    }
    if (work->next == WORK_REFUSE) {
        intake_refuse(w, work, work->refusal_state, &work->refusal);
        return false;
    }
    if (work->next == WORK_HOLD) {
        holding_put(w, work);
        return false;
    }
    return true;
}

static struct work *pop_ready(struct worker *w) {
    struct work *work = w->ready;
    if (work != NULL) {
        w->ready = work->next_in_list;
        if (w->ready == NULL) {
            w->ready_end = &w->ready;
        }
    }
    return work;
}

static void on_flush(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct worker *w = ctx;
    w->flush_scheduled = false;
    journal_flush(w->place.journal);
    int64_t now_ms = clock_wall_ms(w->place.clock);
    int64_t mono_ms = clock_mono_ms(w->place.clock);
    w->flush_mono_ms = mono_ms;
    while (w->ready != NULL) {
        struct apply *apply = malloc(sizeof *apply + APPLY_MAX * sizeof apply->works[0]);
        if (apply == NULL) {
            log_error("out of memory for a batch; what is ready waits for the next turn");
            return;
        }
        *apply = (struct apply){.worker = w};
        struct work *work;
        while (apply->n < APPLY_MAX && (work = pop_ready(w)) != NULL) {
            if (decide_one(w, work, now_ms, mono_ms)) {
                apply->works[apply->n++] = work;
            }
        }
        if (apply->n == 0) {
            free(apply);
        } else {
            apply_batch(w, apply);
        }
    }
    gateways_ask_permits(w->place.gateways);
    refusals_flush(w);
    update_room(w);
    draining_check(w);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void on_ready(void *ctx) {
    struct worker *w = ctx;
    log_info("ready: connected to Redis, taking work");
    live_words_show_counters(w);
    gateways_refresh(w->place.gateways);
    if (w->watch.ready != NULL) {
        w->watch.ready(w->watch.ctx);
    }
    replay_begin(w);
    update_room(w);
}

static void on_lost(void *ctx, const struct err *err) {
    (void)ctx;
    log_warning("%s; trying again", err->text);
}

/* Housekeeping of the queue may be what draining waits for last. */
static void on_idle(void *ctx) {
    struct worker *w = ctx;
    if (w->draining) {
        worker_schedule(w);
    }
}

static void on_fatal(void *ctx, const struct err *err) {
    struct worker *w = ctx;
    if (w->watch.fatal != NULL) {
        w->watch.fatal(w->watch.ctx, err);
    }
}

#define HANDLERS                                                                                                                           \
    .ready = on_ready, .lost = on_lost, .fatal = on_fatal, .entries = intake_on_entries, .due = intake_on_due,                             \
    .receipts = intake_on_receipts, .idle = on_idle

static const struct queue_handlers handlers = {HANDLERS};
static const struct queue_handlers handlers_with_archive = {HANDLERS, .old = retiring_on_old};

static int open_queue(struct worker *w, const struct settings *settings, struct err *err) {
    bool archives = settings->archive.directory != NULL;
    w->queue = queue_new(w->base, w->place.clock, &settings->redis, archives ? &handlers_with_archive : &handlers, w, err);
    if (w->queue == NULL || !archives) {
        return w->queue == NULL ? -1 : 0;
    }
    w->archive = archive_new(w->base, &settings->archive, queue_consumer(w->queue), err);
    return w->archive == NULL ? -1 : 0;
}

static int load_place(struct worker *w, const struct settings *settings, struct arena *arena, struct err *err) {
    w->place.settings = settings;
    if (settings->banner.login_key_file != NULL && conf_read_secret(settings->banner.login_key_file, arena, &w->place.login_key, err) < 0) {
        return -1;
    }
    w->place.rules = settings_rules(settings, arena, err);
    w->place.routes = w->place.rules == NULL ? NULL : settings_routes(settings, arena, &w->place.n_routes, err);
    if (w->place.routes == NULL) {
        return -1;
    }
    if (live_words_open(w, settings, arena, err) < 0) {
        return -1;
    }
    w->place.gateways = gateways_open(settings, &w->env, err);
    return w->place.gateways == NULL ? -1 : 0;
}

/* What an attempt of an earlier reachd came to: the journal knows it from now on. */
static void remember(void *ctx, const char *notice_id, uint64_t attempt, const struct outcome *outcome) {
    const struct worker *w = ctx;
    struct journal_attempt which = {.id = notice_id, .fence = attempt};
    struct journal_mark mark = journal_put(w->place.journal, &which, outcome);
    journal_recorded(&mark);
}

static int open_journal(struct worker *w, const struct journal_settings *settings, struct arena *arena, struct err *err) {
    char path[PATH_MAX];
    if (settings->directory == NULL) {
        log_warning("no journal.directory is set: what gateways answer while Redis is away is unknown to the next reachd");
        return 0;
    }
    w->place.journal = journal_open(w->base, settings, queue_consumer(w->queue), err);
    if (w->place.journal == NULL) {
        return -1;
    }
    journal_path(path, sizeof path, settings->directory, queue_consumer(w->queue), "gateway");
    w->env.state_path = arena_strdup(arena, path);
    w->env.remember = remember;
    return w->env.state_path == NULL ? err_no_memory(err) : 0;
}

struct worker *worker_new(struct event_base *base, const struct clock *clock, const struct settings *settings, const char *libexec_dir,
                          struct arena *arena, struct err *err) {
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    w->base = base;
    w->place.clock = clock;
    w->ready_end = &w->ready;
    w->random = (uint64_t)clock_wall_ms(clock) * 2862933555777941757ULL + 3037000493ULL;
    w->env = (struct channel_env){.base = base, .clock = clock, .libexec_dir = libexec_dir, .put_banner = sending_put_banner, .ctx = w};
    w->flush_event = event_new(base, -1, 0, on_flush, w);
    if (w->flush_event == NULL) {
        (void)err_no_memory(err);
    } else if (open_queue(w, settings, err) == 0 && open_journal(w, &settings->journal, arena, err) == 0 &&
               load_place(w, settings, arena, err) == 0 && holding_start(w, err) == 0 &&
               webhooks_new(base, clock, w->queue, settings, &w->webhooks, err) >= 0) {
        w->env.remember = NULL; /* gateways that are opened later have no past */
        journal_flush(w->place.journal);
        live_words_announce(w);
        return w;
    }
    worker_free(w);
    return NULL;
}

void worker_watch(struct worker *w, const struct worker_watch *watch) {
    w->watch = *watch;
}

void worker_free(struct worker *w) {
    if (w == NULL) {
        return;
    }
    gateways_close(w->place.gateways);
    archive_free(w->archive);
    if (w->queue != NULL) {
        queue_free(w->queue);
    }
    webhooks_free(w->webhooks);
    struct apply *apply;
    struct apply *after;
    DL_FOREACH_SAFE(w->applies, apply, after) {
        free(apply);
    }
    struct work *work;
    struct work *next;
    HASH_ITER(hh, w->active, work, next) {
        struct work *follower = work->followers;
        HASH_DEL(w->active, work);
        work_free(work);
        while (follower != NULL) {
            struct work *after_it = follower->next_in_list;
            work_free(follower);
            follower = after_it;
        }
    }
    reload_fini(w);
    early_fini(w);
    control_fini(w);
    holding_free(w->holding);
    intake_fini(w);
    refusals_fini(w);
    journal_close(w->place.journal);
    if (w->flush_event != NULL) {
        event_free(w->flush_event);
    }
    live_words_close(w);
    free(w);
}

uint32_t worker_random(struct worker *w) {
    w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(w->random >> 32);
}
