/* trial: what has cost workers before is handed out in small groups, or alone.
 *
 * A worker that dies had much in hand, and one thing of it may have killed it. Each is counted (a lease that ended without an answer), but
 * the blame has to end with the culprit and not with its neighbours:
 *
 *   lost once    a group: at most TRIAL_MAX of them are in hand at a time; new work goes on beside them
 *   lost twice   alone: while it is in hand nothing else is handed out, whatever lane it came by
 *   three times  not looked at any more: the worker ends it
 *
 * So a crash costs at most TRIAL_MAX innocents a second loss and at most one a third, and that one was alone when it happened.
 *
 * A group is over when each of it is decided (its first change is submitted: parsing, deciding and rendering are behind it), what is alone
 * when its outcome is recorded; both after two seconds, because a gateway may be slow and what is dropped without a change is not told
 * here. Does not: count; the scores in `due` and the leases of the streams do. */
#include "queue/inside.h"

#include <string.h>

static bool is_over(const struct queue *queue) {
    const struct trial *trial = &queue->trial;
    return trial->n == 0 || clock_mono_ms(queue->clock) >= trial->until_ms;
}

bool trial_is_on(const struct queue *queue) {
    return !is_over(queue);
}

bool trial_is_overdue(const struct queue *queue) {
    return queue->trial.n > 0 && is_over(queue);
}

bool trial_is_alone(const struct queue *queue) {
    return queue->trial.alone && !is_over(queue);
}

void trial_begin(struct queue *queue, bool alone) {
    trial_forget(queue);
    queue->trial.alone = alone;
    queue->trial.until_ms = clock_mono_ms(queue->clock) + queue->trial.limit_ms;
}

void trial_add(struct queue *queue, const char *id) {
    struct trial *trial = &queue->trial;
    const char *copy = trial->n == TRIAL_MAX ? NULL : arena_strdup(&trial->arena, id);
    if (copy != NULL) { /* else it is tried without being waited for */
        trial->ids[trial->n++] = copy;
    }
}

/* New entries have waited for what was alone: a round of reading comes before the next one. */
void trial_end(struct queue *queue) {
    int64_t wait_ms = queue->trial.alone ? 2 * READING_PAUSE_CAP_MS : 0;
    trial_forget(queue);
    reading_soon(queue);
    upkeep_look(queue, wait_ms);
}

void trial_decided(struct queue *queue, const char *id, bool is_intent) {
    struct trial *trial = &queue->trial;
    if (trial->alone && is_intent) {
        return;
    }
    for (size_t i = 0; i < trial->n; i++) {
        if (strcmp(trial->ids[i], id) == 0) {
            trial->ids[i] = trial->ids[--trial->n];
            if (trial->n == 0) {
                trial_end(queue);
            }
            return;
        }
    }
}

void trial_forget(struct queue *queue) {
    arena_fini(&queue->trial.arena);
    queue->trial = (struct trial){.limit_ms = queue->trial.limit_ms};
}
