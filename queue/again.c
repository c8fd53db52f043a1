/* again: entries that were handed out before and never finished: this consumer's own, when it comes back, and those of the dead, after
 * the lease.
 *
 *   XPENDING, a page ──▶ choose ──▶ lua/reclaim.lua takes those (the delivery count rises) ──▶ hand out ──▶ next page
 *
 * What this worker has in hand is not chosen, so its count does not rise because a connection was lost or a gateway is slow: the count
 * says how often a worker was lost over an entry, and nothing else.
 *
 * A worker that dies has many entries in hand, and one of them may have killed it. Until a second death the batch is just handed out again.
 * An entry that two workers were lost over is a suspect and is handed out alone: no other suspect is given out while it is in hand (for
 * SUSPECT_MS at the most, since a gateway may be slow), so a third death counts against the culprit and not against its neighbours (F18).
 * New entries go on being read meanwhile.
 *
 * How it fails: entries that somebody trimmed although they were pending are told in the log, with their number; a read that is
 * refused is made again. Does not: judge; the worker refuses what was handed out too often, without reading it. */
#include "queue/inside.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* After so many deliveries an entry is a suspect at the next one. */
enum { SUSPECT_DELIVERIES = 2, SUSPECT_MS = 2000 };

static bool suspect_is_in_hand(const struct queue *queue) {
    const struct again *again = &queue->reading.again;
    return again->suspect[0] != '\0' && clock_mono_ms(queue->clock) < again->suspect_until_ms &&
           held_has(&queue->held, again->suspect_stream, again->suspect);
}

/* ---- taking -------------------------------------------------------------------------------------------------------- */

static void end_of_stream(struct reading *reading) {
    struct again *again = &reading->again;
    (void)snprintf(again->cursor, sizeof again->cursor, "-");
    if (again->is_own) {
        again->own = again->stream + 1;
    } else {
        again->dead = again->stream + 1;
    }
}

static void go_on(struct queue *queue) {
    if (queue->reading.again.is_last_page) {
        end_of_stream(&queue->reading);
    }
    reading_go_on(queue);
}

/* How often an entry has been handed out by now. The answer keeps the order of what was chosen: the search goes on from *at. */
static int64_t deliveries_of(const struct again *again, const char *id, size_t *at) {
    for (; *at < again->n_chosen; ++*at) {
        if (strcmp(again->chosen[*at].id, id) == 0) {
            return again->chosen[(*at)++].deliveries + 1;
        }
    }
    return 1;
}

static void forget_chosen(struct again *again) {
    arena_fini(&again->arena);
    again->arena = ARENA_INIT;
    again->chosen = NULL;
    again->n_chosen = 0;
}

/* [ids gone], id, body, ... */
static void take(struct queue *queue, const redisReply *reply, struct arena *arena) {
    struct again *again = &queue->reading.again;
    if (!reply_is_array(reply, 1) || !reply_is_array(reply->element[0], 0)) {
        return;
    }
    size_t gone = reply->element[0]->elements, n = 0, at = 0;
    if (gone > 0) {
        log_error("queue: %zu pending entries of %s are no longer in the stream: somebody trimmed or deleted them", gone,
                  stream_name(again->stream));
    }
    struct raw *raws = arena_array(arena, reply->elements / 2 + 1, sizeof *raws);
    for (size_t i = 1; raws != NULL && i + 1 < reply->elements; i += 2) {
        if (reply_is_string(reply->element[i])) {
            const redisReply *body = reply->element[i + 1];
            raws[n++] =
                (struct raw){reply->element[i], reply_is_string(body) ? body : NULL, deliveries_of(again, reply->element[i]->str, &at)};
        }
    }
    reading_hand_out(queue, again->stream, raws, n);
}

static void on_taken(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    struct arena scratch = ARENA_INIT;
    if (queue == NULL || reply_ptr == NULL) {
        return;
    }
    if (reading_answered(queue, reply_ptr, (uintptr_t)data)) {
        take(queue, reply_ptr, &scratch);
        arena_fini(&scratch);
        forget_chosen(&queue->reading.again);
        go_on(queue);
    } else if (queue->ready) {
        again_restart(queue);
        reading_pause(queue, READING_PAUSE_CAP_MS);
    }
}

static void claim(struct queue *queue, size_t promised) {
    struct again *again = &queue->reading.again;
    struct command command;
    reading_ask_time(queue);
    call_script(queue, &command, SCRIPT_RECLAIM, stream_key(again->stream), 1);
    command_puts(&command, queue->settings->group);
    command_puts(&command, queue->consumer);
    command_put_i64(&command, again->is_own ? 0 : queue->settings->lease_ms);
    command_puts(&command, stream_field(again->stream));
    for (size_t i = 0; i < again->n_chosen; i++) {
        command_puts(&command, again->chosen[i].id);
    }
    if (connect_send(queue, &command, on_taken, (void *)promised) == 0) { /* NOLINT(performance-no-int-to-ptr) */
        queue->reading.busy++;
        queue->reading.reserved += promised;
    }
}

/* ---- choosing ------------------------------------------------------------------------------------------------------ */

static void note_suspect(struct queue *queue, const char *id, int64_t deliveries) {
    struct again *again = &queue->reading.again;
    log_warning("queue: entry %s of %s was handed out %lld times and not finished; it is tried alone", id, stream_name(again->stream),
                (long long)deliveries);
    again->suspect_stream = again->stream;
    again->suspect_until_ms = clock_mono_ms(queue->clock) + SUSPECT_MS;
    (void)snprintf(again->suspect, sizeof again->suspect, "%s", id);
}

/* Rows of id, consumer, idle, deliveries. The cursor ends behind the last row that was looked at. 0, or -1 without memory. */
static int choose(struct queue *queue, const redisReply *rows, size_t count) {
    struct again *again = &queue->reading.again;
    again->is_last_page = rows->elements < count;
    again->chosen = arena_array(&again->arena, rows->elements, sizeof *again->chosen);
    if (again->chosen == NULL) {
        return -1;
    }
    for (size_t i = 0; i < rows->elements; i++) {
        const redisReply *row = rows->element[i];
        const char *id = reply_is_array(row, 4) && reply_is_string(row->element[0]) ? row->element[0]->str : NULL;
        int64_t deliveries = id == NULL ? 0 : reply_int(row->element[3], 1);
        bool is_free = id != NULL && !held_has(&queue->held, again->stream, id);
        bool is_suspect = is_free && deliveries >= SUSPECT_DELIVERIES && again->stream != STREAM_RECEIPTS;
        if (is_suspect && again->n_chosen > 0) {
            again->is_last_page = false; /* the next page begins with it */
            return 0;
        }
        if (is_free) {
            again->chosen[again->n_chosen] = (struct chosen){arena_strdup(&again->arena, id), deliveries};
            if (again->chosen[again->n_chosen++].id == NULL) {
                return -1;
            }
        }
        if (id != NULL) {
            (void)snprintf(again->cursor, sizeof again->cursor, "(%s", id);
        }
        if (is_suspect) {
            again->is_last_page = again->is_last_page && i + 1 == rows->elements;
            note_suspect(queue, id, deliveries);
            return 0;
        }
    }
    return 0;
}

static void on_pending(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    size_t count = (uintptr_t)data;
    if (queue == NULL || reply == NULL) {
        return;
    }
    struct again *again = &queue->reading.again;
    size_t promised = reading_promise(again->stream, count);
    if (!reading_answered(queue, reply, promised)) {
        if (queue->ready) {
            reading_pause(queue, READING_PAUSE_CAP_MS);
        }
        return;
    }
    forget_chosen(again);
    if (!reply_is_array(reply, 0) || choose(queue, reply, count) < 0) {
        log_error("queue: pending entries of %s cannot be handed out again for now", stream_name(again->stream));
        forget_chosen(again);
        reading_pause(queue, READING_PAUSE_CAP_MS);
    } else if (again->n_chosen > 0) {
        claim(queue, promised);
    } else {
        go_on(queue);
    }
}

/* XPENDING stream group [IDLE ms] from + count [consumer] */
static void ask(struct queue *queue, enum stream stream, bool own, size_t count) {
    struct again *again = &queue->reading.again;
    struct command command;
    again->stream = stream;
    again->is_own = own;
    command_init(&command, "XPENDING");
    command_puts(&command, queue->keys.name[stream_key(stream)]);
    command_puts(&command, queue->settings->group);
    if (!own) {
        command_puts(&command, "IDLE");
        command_put_i64(&command, queue->settings->lease_ms);
    }
    command_puts(&command, again->cursor);
    command_puts(&command, "+");
    command_put_i64(&command, (int64_t)count);
    if (own) {
        command_puts(&command, queue->consumer);
    }
    if (connect_send(queue, &command, on_pending, (void *)count) == 0) { /* NOLINT(performance-no-int-to-ptr) */
        queue->reading.busy++;
        queue->reading.reserved += reading_promise(stream, count);
    }
}

/* ---- what comes next ----------------------------------------------------------------------------------------------- */

static void begin_own(struct again *again) {
    again->own_again = false;
    again->own = STREAM_URGENT;
    (void)snprintf(again->cursor, sizeof again->cursor, "-");
}

int again_own(struct queue *queue) {
    struct again *again = &queue->reading.again;
    if (again->own == STREAM_COUNT && again->own_again && again->dead == STREAM_COUNT) {
        begin_own(again);
    }
    size_t count = again->own == STREAM_COUNT || suspect_is_in_hand(queue) ? 0 : reading_may_read(queue, again->own);
    if (count == 0) {
        return 0;
    }
    ask(queue, again->own, true, count);
    return 1;
}

int again_dead(struct queue *queue) {
    struct again *again = &queue->reading.again;
    int64_t now_ms = clock_mono_ms(queue->clock);
    if (again->own != STREAM_COUNT || suspect_is_in_hand(queue)) {
        return 0;
    }
    if (again->dead == STREAM_COUNT && now_ms >= again->dead_at_ms) {
        again->dead = STREAM_URGENT;
        (void)snprintf(again->cursor, sizeof again->cursor, "-");
        again->dead_at_ms = now_ms + queue->settings->lease_ms / 4;
    }
    size_t count = again->dead == STREAM_COUNT ? 0 : reading_may_read(queue, again->dead);
    if (count == 0) {
        return 0;
    }
    ask(queue, again->dead, false, count);
    return 1;
}

void again_init(struct queue *queue) {
    queue->reading.again.own = queue->reading.again.dead = STREAM_COUNT;
}

void again_fini(struct queue *queue) {
    forget_chosen(&queue->reading.again);
}

void again_restart(struct queue *queue) {
    struct again *again = &queue->reading.again;
    forget_chosen(again);
    begin_own(again);
    again->dead = STREAM_COUNT;
}
