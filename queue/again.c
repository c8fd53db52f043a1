/* again: entries that were handed out before and never finished: those of this consumer's earlier life, when it comes back, and those whose
 * lease is over, whoever had it.
 *
 * lua/reclaim.lua takes the oldest such lease of a stream, or as much of it as there is room for, and puts it into a new one with the count
 * of deliveries raised by one. What this worker has in hand is left out, so its count does not rise because a connection was lost or a
 * gateway is slow: the count says how often a worker was lost over an entry, or let it go, and nothing else.
 *
 * A worker that dies has many entries in hand, and one of them may have killed it. Until a second death the batch is just handed out again.
 * An entry that two workers were lost over is a suspect and is handed out alone: no other suspect is given out while it is in hand (for
 * SUSPECT_MS at the most, since a gateway may be slow), so a third death counts against the culprit and not against its neighbours (F18).
 * New entries go on being read meanwhile.
 *
 * How it fails: entries that somebody trimmed although they were in a lease are told in the log, with their number; a read that is refused
 * is made again. Does not: judge; the worker refuses what was handed out too often, without reading it. */
#include "queue/inside.h"
#include "queue/record.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* After so many deliveries an entry is a suspect at the next one. */
enum { SUSPECT_DELIVERIES = 2, SUSPECT_MS = 2000 };

static bool suspect_is_in_hand(const struct queue *queue) {
    const struct again *again = &queue->reading.again;
    return again->suspect[0] != '\0' && clock_mono_ms(queue->clock) < again->suspect_until_ms &&
           held_has(&queue->held, again->suspect_stream, again->suspect);
}

/* ---- the answer ---------------------------------------------------------------------------------------------------- */

/* [more, gone, end, the id before, deliveries, id, body, ...] */
enum { HEAD = 5 };

static void note_suspect(struct queue *queue, const char *id, int64_t deliveries) {
    struct again *again = &queue->reading.again;
    log_warning("queue: entry %s of %s was handed out %lld times and not finished; it is tried alone", id, stream_name(again->stream),
                (long long)deliveries);
    again->suspect_stream = again->stream;
    again->suspect_until_ms = clock_mono_ms(queue->clock) + SUSPECT_MS;
    (void)snprintf(again->suspect, sizeof again->suspect, "%s", id);
}

static void take(struct queue *queue, const redisReply *reply, struct arena *arena) {
    const struct again *again = &queue->reading.again;
    int64_t gone = reply_int(reply->element[1], 0);
    struct lease lease = {.token = again->lease,
                          .after = reply_is_string(reply->element[3]) ? reply->element[3]->str : NULL,
                          .over_ms = reply_int(reply->element[2], 0),
                          .deliveries = reply_int(reply->element[4], 1)};
    size_t n = 0;
    if (gone > 0) {
        log_error("queue: %lld entries of %s that were in a lease are no longer in the stream: somebody trimmed or deleted them",
                  (long long)gone, stream_name(again->stream));
    }
    struct raw *raws = arena_array(arena, reply->elements / 2 + 1, sizeof *raws);
    for (size_t i = HEAD; raws != NULL && i + 1 < reply->elements; i += 2) {
        const redisReply *body = reply->element[i + 1];
        if (reply_is_string(reply->element[i])) {
            raws[n++] = (struct raw){.id = reply->element[i], .body = reply_is_string(body) ? body : NULL};
        }
    }
    if (n > 0 && lease.deliveries > SUSPECT_DELIVERIES && again->stream != STREAM_RECEIPTS) {
        note_suspect(queue, raws[0].id->str, lease.deliveries - 1);
    }
    reading_hand_out(queue, again->stream, &lease, raws, n);
}

static void end_of_stream(struct again *again) {
    if (again->is_own) {
        again->own = again->stream + 1;
    } else {
        again->dead = again->stream + 1;
    }
}

static void on_taken(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    struct arena scratch = ARENA_INIT;
    if (queue == NULL || reply == NULL) {
        return;
    }
    if (reply_trouble(reply) == TROUBLE_OTHER) { /* of this stream alone: the others go on, and it is asked again later */
        reading_end(queue, (uintptr_t)data);
        reading_tell(queue, queue->reading.again.stream, reply->str);
        end_of_stream(&queue->reading.again);
        reading_go_on(queue);
        return;
    }
    if (!reading_answered(queue, reply, (uintptr_t)data)) {
        if (queue->ready) {
            reading_pause(queue, READING_PAUSE_CAP_MS);
        }
        return;
    }
    if (!reply_is_array(reply, HEAD) || reply_int(reply->element[0], 0) == 0) {
        end_of_stream(&queue->reading.again);
    }
    if (reply_is_array(reply, HEAD)) {
        take(queue, reply, &scratch);
        arena_fini(&scratch);
    }
    reading_go_on(queue);
}

/* ---- the question -------------------------------------------------------------------------------------------------- */

static void put_token(struct command *command, uint64_t lease) {
    char token[RECORD_TOKEN_LEN];
    queue_record_token(lease, token);
    command_put(command, token, sizeof token);
}

/* Token and id of what is in hand. 0, or -1 without memory. */
static int put_in_hand(const struct held *held, enum stream stream, struct command *command) {
    size_t n;
    struct held_item *items = held_list(held, &n);
    if (items == NULL) {
        return held->n == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < n; i++) {
        char id[48];
        if (items[i].stream_and_one == (unsigned)stream + 1) {
            put_token(command, items[i].lease);
            (void)snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, items[i].ms, items[i].seq);
            command_puts(command, id);
        }
    }
    free(items);
    return 0;
}

/* 1, or 0 where it could not be asked. */
static int ask(struct queue *queue, enum stream stream, bool own, size_t count) {
    struct again *again = &queue->reading.again;
    struct command command;
    again->stream = stream;
    again->is_own = own;
    again->lease = queue_fence(queue);
    call_stream_script(queue, &command, SCRIPT_RECLAIM, stream);
    command_puts(&command, stream_name(stream));
    put_token(&command, again->lease);
    command_puts(&command, queue->consumer);
    command_put_i64(&command, queue->settings->lease_ms);
    if (own) {
        put_token(&command, again->own_before);
    } else {
        command_puts(&command, "");
    }
    command_put_i64(&command, (int64_t)count);
    command_put_i64(&command, stream == STREAM_RECEIPTS ? 0 : SUSPECT_DELIVERIES);
    command_puts(&command, stream_field(stream));
    if (put_in_hand(&queue->held, stream, &command) < 0) {
        log_error("queue: no memory to look for leases of %s", stream_name(stream));
        command_fini(&command);
        return 0;
    }
    size_t promised = reading_promise(stream, count);
    if (connect_send(queue, &command, on_taken, (void *)promised) == 0) { /* NOLINT(performance-no-int-to-ptr) */
        queue->reading.busy++;
        queue->reading.reserved += promised;
    }
    return 1;
}

/* ---- what comes next ----------------------------------------------------------------------------------------------- */

int again_own(struct queue *queue) {
    const struct again *again = &queue->reading.again;
    size_t count = again->own == STREAM_COUNT || suspect_is_in_hand(queue) ? 0 : reading_may_read(queue, again->own);
    return count == 0 ? 0 : ask(queue, again->own, true, count);
}

int again_dead(struct queue *queue) {
    struct again *again = &queue->reading.again;
    int64_t now_ms = clock_mono_ms(queue->clock);
    if (again->own != STREAM_COUNT || suspect_is_in_hand(queue)) {
        return 0;
    }
    if (again->dead == STREAM_COUNT && now_ms >= again->dead_at_ms) {
        again->dead = STREAM_URGENT;
        again->dead_at_ms = now_ms + queue->settings->lease_ms / 4;
    }
    size_t count = again->dead == STREAM_COUNT ? 0 : reading_may_read(queue, again->dead);
    return count == 0 ? 0 : ask(queue, again->dead, false, count);
}

bool again_is_due(const struct queue *queue) {
    const struct again *again = &queue->reading.again;
    return again->own != STREAM_COUNT || again->dead != STREAM_COUNT || clock_mono_ms(queue->clock) >= again->dead_at_ms;
}

void again_init(struct queue *queue) {
    queue->reading.again.own = queue->reading.again.dead = STREAM_COUNT;
}

void again_restart(struct queue *queue) {
    struct again *again = &queue->reading.again;
    again->own = STREAM_URGENT;
    again->dead = STREAM_COUNT;
    again->own_before = queue_fence(queue);
}
