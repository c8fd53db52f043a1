/* replay: see replay.h.
 *
 *   Redis is there ──▶ load the journal ──▶ look the notices up ──▶ still `sending` under the journal's token? ──▶ take it up at once,
 *   as if it were due: work_resume() asks the journal, and the known outcome is recorded
 *
 * That happens at every connection, not only at the start: a Redis that was killed, or a replica that was promoted, may have lost results
 * that it had answered, and the journal still holds them. It may have lost intents too. Such a line stays where it can be found: when the
 * notice comes by, as a new job or from an earlier state, work_regain() takes the attempt into its record.
 *
 * Guarantees: a notice whose record has moved on is left alone, so replaying twice, or beside another reachd, changes
 * nothing; a notice that this worker has in its hands is left to it. A notice in its first attempt has no kept job: it comes by itself,
 * with its stream entry, when this consumer reads its own pending entries again, and is resumed in the same way.
 * What Redis has lost more of than a result is told, notice by notice (F21).
 * Fails: for want of memory; then those notices come back after their lease and are resumed in the same way. Does not: tell another reachd,
 * which may be the one that takes up what was lost; it sends a second copy with the same key. */
#include "dispatcher/replay.h"

#include "base/log.h"
#include "dispatcher/intake.h"
#include "dispatcher/worker_inside.h"

#include <stdlib.h>

enum { LOOK_UP_MAX = 512 };

struct batch {
    struct worker *worker;
    struct arena arena; /* the ids */
    size_t n;
    const char *ids[LOOK_UP_MAX];
    uint64_t fences[LOOK_UP_MAX];
};

static void batch_free(struct batch *batch) {
    arena_fini(&batch->arena);
    free(batch);
}

/* A Redis that was put back in time (a stale replica was promoted, its last second was lost) may not even have the intent any more. */
static void tell_lost_intent(struct worker *w, const char *id, uint64_t fence) {
    struct outcome outcome;
    if (journal_find(w->place.journal, id, fence, &outcome) == 1 && outcome.kind == OUTCOME_SENT) {
        log_warning("notice %s: it was sent, but Redis has lost the record of that; it goes on from there when this reachd takes it up, "
                    "another one would send a second copy with the same key",
                    id);
    }
}

enum found { DEALT_WITH, IN_THE_AIR, LOST };

static enum found judge(const struct worker *w, const struct queue_record *held, uint64_t fence) {
    int64_t retention_ms = w->place.settings->redis.retention_ms;
    if (!held->found) {
        bool may_be_archived = retention_ms > 0 && clock_wall_ms(w->place.clock) - queue_fence_at_ms(fence) >= retention_ms;
        return may_be_archived ? DEALT_WITH : LOST;
    }
    if (held->state == NOTICE_SENDING && held->fence == fence) {
        return IN_THE_AIR;
    }
    return notice_state_final(held->state) || held->fence >= fence ? DEALT_WITH : LOST;
}

/* What is left to do is the due work among what was found; the rest is settled, or comes with its stream entry. */
static void on_found(void *ctx, const struct queue_found *found, size_t n, struct arena *arena_take) {
    struct batch *batch = ctx;
    struct worker *w = batch->worker;
    struct queue_due *due = arena_array(arena_take, n, sizeof *due);
    size_t n_due = 0;
    for (size_t i = 0; due != NULL && i < n; i++) {
        const struct queue_record *held = &found[i].held;
        struct outcome outcome;
        enum found what = judge(w, held, batch->fences[i]);
        if (what == IN_THE_AIR && journal_find(w->place.journal, batch->ids[i], batch->fences[i], &outcome) == 0) {
            what = DEALT_WITH; /* unknown: it comes back after its lease */
        }
        if (what == DEALT_WITH) {
            journal_forget(w->place.journal, batch->fences[i]);
        } else if (what == LOST) {
            tell_lost_intent(w, batch->ids[i], batch->fences[i]);
        }
        if (what != DEALT_WITH && held->found && held->job != NULL) {
            due[n_due++] = (struct queue_due){.id = batch->ids[i], .held = *held};
        }
    }
    if (n_due > 0) {
        log_notice("%zu attempts that Redis has not recorded are taken from the journal", n_due);
        intake_on_due(w, due, n_due, arena_take);
    } else {
        arena_fini(arena_take);
    }
    batch_free(batch);
}

static void look_up(struct batch *batch_take) {
    struct err err;
    if (batch_take->n == 0) {
        batch_free(batch_take);
    } else if (queue_lookup(batch_take->worker->queue, batch_take->ids, NULL, batch_take->n, on_found, batch_take, &err) < 0) {
        log_error("%zu outcomes of the journal are left for later: %s", batch_take->n, err.text);
        batch_free(batch_take);
    }
}

/* The next ids that this worker does not have in its hands. NULL: no memory. */
static struct batch *batch_new(struct worker *w, const char *const *ids, const uint64_t *fences, size_t n, size_t *at) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return NULL;
    }
    batch->worker = w;
    for (; *at < n && batch->n < LOOK_UP_MAX; ++*at) {
        if (worker_find(w, ids[*at]) != NULL) {
            continue; /* what it knows is newer; where its record is lost, it is dropped, and regained when it comes back */
        }
        batch->ids[batch->n] = arena_strdup(&batch->arena, ids[*at]);
        batch->fences[batch->n] = fences[*at];
        if (batch->ids[batch->n] == NULL) {
            batch_free(batch);
            return NULL;
        }
        batch->n++;
    }
    return batch;
}

void replay_begin(struct worker *w) {
    size_t n = journal_load(w->place.journal), at = 0;
    const char **ids = n == 0 ? NULL : calloc(n, sizeof *ids);
    uint64_t *fences = n == 0 ? NULL : calloc(n, sizeof *fences);
    n = ids == NULL || fences == NULL ? 0 : journal_ids(w->place.journal, ids, fences);
    while (at < n) {
        struct batch *batch = batch_new(w, ids, fences, n, &at);
        if (batch == NULL) {
            log_error("no memory to replay the journal; its notices come back after their lease");
            break;
        }
        look_up(batch);
    }
    free(ids);
    free(fences);
}
