/* reading: takes entries from the lanes and the receipts, never more than there is room for.
 *
 * After each connection a consumer first reads its own pending entries again (again.c), then goes in rounds: urgent lane, bulk lane
 * with the room that is left, receipts. A round that brings something is followed by the next at once; otherwise by a pause that
 * doubles from 1 to 16 ms. Now and then (a quarter of the lease) entries are taken over that lie with somebody longer than the lease.
 *
 * Guarantees: an entry that this worker has in hand is not handed out again (held.h); room that was promised to a read under
 * way is not given to another. How it fails: a group or stream that is gone is made again from the beginning; entries that
 * somebody trimmed although they were pending are told in the log, with their number. Does not: block Redis' connection
 * (no BLOCK), parse bodies. */
#include "queue/inside.h"

#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PAUSE_FIRST_MS = 1, RECEIPTS_MAX = 4096 };

/* ---- handing out --------------------------------------------------------------------------------------------------- */

/* Copies text with one allocation per batch: `*at` walks through the block. */
static const char *copy(char **at, const redisReply *text) {
    char *start = *at;
    memcpy(start, text->str, (size_t)text->len);
    start[text->len] = '\0';
    *at += text->len + 1;
    return start;
}

static size_t text_bytes(const struct raw *raws, size_t n) {
    size_t bytes = 1;
    for (size_t i = 0; i < n; i++) {
        bytes += (size_t)raws[i].id->len + 1 + (raws[i].body == NULL ? 0 : (size_t)raws[i].body->len + 1);
    }
    return bytes;
}

static int give_entries(struct queue *queue, enum lane lane, const struct raw *raws, size_t n, struct arena *arena) {
    struct queue_entry *entries = arena_array(arena, n, sizeof *entries);
    char *at = arena_alloc(arena, text_bytes(raws, n));
    if (entries == NULL || at == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        entries[i].lane = lane;
        entries[i].stream_id = copy(&at, raws[i].id);
        entries[i].body = raws[i].body == NULL ? NULL : copy(&at, raws[i].body);
        entries[i].body_len = raws[i].body == NULL ? 0 : (size_t)raws[i].body->len;
        entries[i].deliveries = (unsigned)raws[i].deliveries;
        entries[i].not_after_ms = queue->reading.redis_ms + queue->settings->lease_ms;
    }
    queue->room -= n < queue->room ? n : queue->room;
    queue->handlers->entries(queue->ctx, entries, n, arena);
    return 0;
}

static int give_receipts(struct queue *queue, const struct raw *raws, size_t n, struct arena *arena) {
    struct queue_receipt *receipts = arena_array(arena, n, sizeof *receipts);
    char *at = arena_alloc(arena, text_bytes(raws, n));
    if (receipts == NULL || at == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        receipts[i].stream_id = copy(&at, raws[i].id);
        receipts[i].body = raws[i].body == NULL ? NULL : copy(&at, raws[i].body);
        receipts[i].body_len = raws[i].body == NULL ? 0 : (size_t)raws[i].body->len;
    }
    queue->reading.receipts_out += n;
    queue->handlers->receipts(queue->ctx, receipts, n, arena);
    return 0;
}

/* Drops from `raws` what is in hand already; marks the rest as in hand. Returns how many are left. */
static size_t keep_new(struct queue *queue, enum stream stream, struct raw *raws, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (held_add(&queue->held, stream, raws[i].id->str) == 1) {
            raws[kept++] = raws[i];
        }
    }
    return kept;
}

void reading_hand_out(struct queue *queue, enum stream stream, struct raw *raws, size_t n) {
    struct arena arena = ARENA_INIT;
    n = queue->stopped ? 0 : keep_new(queue, stream, raws, n);
    if (n == 0) {
        return;
    }
    queue->reading.got += n;
    int rc = stream == STREAM_RECEIPTS ? give_receipts(queue, raws, n, &arena) : give_entries(queue, (enum lane)stream, raws, n, &arena);
    if (rc < 0) {
        arena_fini(&arena);
        for (size_t i = 0; i < n; i++) {
            (void)held_remove(&queue->held, stream, raws[i].id->str);
        }
        log_error("queue: no memory for %zu entries; they stay pending", n);
    }
}

/* ---- replies ------------------------------------------------------------------------------------------------------- */

static const redisReply *field_value(const redisReply *fields, const char *name) {
    for (size_t i = 0; reply_is_array(fields, i + 2); i += 2) {
        if (reply_is_string(fields->element[i]) && strcmp(fields->element[i]->str, name) == 0) {
            return reply_is_string(fields->element[i + 1]) ? fields->element[i + 1] : NULL;
        }
    }
    return NULL;
}

/* XREADGROUP: nil, or [[stream, [[id, [field, value, ...]], ...]]]. */
static void take_new(struct queue *queue, enum stream stream, const redisReply *reply, struct arena *arena) {
    if (!reply_is_array(reply, 1) || !reply_is_array(reply->element[0], 2)) {
        return;
    }
    const redisReply *rows = reply->element[0]->element[1];
    struct raw *raws = reply_is_array(rows, 1) ? arena_array(arena, rows->elements, sizeof *raws) : NULL;
    size_t n = 0;
    for (size_t i = 0; raws != NULL && i < rows->elements; i++) {
        const redisReply *row = rows->element[i];
        if (reply_is_array(row, 2) && reply_is_string(row->element[0])) {
            raws[n++] = (struct raw){row->element[0], field_value(row->element[1], stream_field(stream)), 1};
        }
    }
    reading_hand_out(queue, stream, raws, n);
}

/* ---- commands ------------------------------------------------------------------------------------------------------ */

void reading_pause(struct queue *queue, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    (void)event_add(queue->reading.timer, &wait); /* fails only for want of memory; the next poke sets it again */
}

/* Common end of every read: refusals, room, what comes next. 1 where there is a reply to look at. */
int reading_answered(struct queue *queue, const redisReply *reply, size_t promised) {
    struct reading *reading = &queue->reading;
    reading->busy--;
    reading->reserved -= promised;
    enum trouble trouble = reply_trouble(reply);
    if (trouble != TROUBLE_NONE) {
        connect_trouble(queue, trouble, reply->str);
        reading->idle_ms = READING_PAUSE_CAP_MS;
        return 0;
    }
    if (queue->n_calls == 0) {
        connect_well(queue); /* a full Redis lets reads through: only a call can tell that it takes writes again */
    }
    return 1;
}

/* How much room a read of this stream was promised. Receipts need none. */
size_t reading_promise(enum stream stream, size_t count) {
    return stream == STREAM_RECEIPTS ? 0 : count;
}

static void on_new(redisAsyncContext *redis, void *reply_ptr, void *data);

/* What was asked for travels in the callback's pointer. */
struct asked {
    enum stream stream;
    size_t count;
};

static void *pack(struct asked asked) {
    return (void *)(uintptr_t)(asked.count << 2 | (size_t)asked.stream);
}

static struct asked unpack(const void *data) {
    uintptr_t bits = (uintptr_t)data;
    return (struct asked){(enum stream)(bits & 3), bits >> 2};
}

static void on_time(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue != NULL && reply_is_array(reply, 2)) {
        queue->reading.redis_ms = reply_int(reply->element[0], 0) * 1000 + reply_int(reply->element[1], 0) / 1000;
    }
}

/* Sent in front of a read: the lease of what it brings begins now, by Redis's own clock. */
void reading_ask_time(struct queue *queue) {
    struct command command;
    command_init(&command, "TIME");
    (void)connect_send(queue, &command, on_time, NULL);
}

static void read_new(struct queue *queue, enum stream stream, size_t count) {
    struct command command;
    reading_ask_time(queue);
    command_init(&command, "XREADGROUP");
    command_puts(&command, "GROUP");
    command_puts(&command, queue->settings->group);
    command_puts(&command, queue->consumer);
    command_puts(&command, "COUNT");
    command_put_i64(&command, (int64_t)count);
    command_puts(&command, "STREAMS");
    command_puts(&command, queue->keys.name[stream_key(stream)]);
    command_puts(&command, ">");
    if (connect_send(queue, &command, on_new, pack((struct asked){stream, count})) == 0) {
        queue->reading.busy++;
        queue->reading.reserved += reading_promise(stream, count);
    }
}

size_t reading_free_room(const struct queue *queue) {
    size_t promised = queue->reading.reserved + queue->upkeep.reserved;
    return queue->room > promised && !trial_is_alone(queue) ? queue->room - promised : 0;
}

size_t reading_common_room(const struct queue *queue) {
    size_t room = reading_free_room(queue);
    return room > queue->reserve ? room - queue->reserve : 0;
}

/* How many entries of this stream may be asked for now. */
size_t reading_may_read(const struct queue *queue, enum stream stream) {
    size_t batch = (size_t)queue->settings->batch;
    size_t room = stream == STREAM_URGENT ? reading_free_room(queue) : reading_common_room(queue);
    if (stream == STREAM_RECEIPTS) {
        room = queue->reading.receipts_out < RECEIPTS_MAX ? RECEIPTS_MAX - queue->reading.receipts_out : 0;
    }
    return room < batch ? room : batch;
}

/* ---- rounds -------------------------------------------------------------------------------------------------------- */

static void start_round(struct queue *queue) {
    size_t urgent = reading_may_read(queue, STREAM_URGENT);
    queue->reading.got = 0;
    if (urgent > 0) {
        read_new(queue, STREAM_URGENT, urgent);
        if (reading_common_room(queue) >= (size_t)queue->settings->batch) { /* room for both: ask for both at once */
            read_new(queue, STREAM_BULK, reading_may_read(queue, STREAM_BULK));
        }
    }
    if (reading_may_read(queue, STREAM_RECEIPTS) > 0) {
        read_new(queue, STREAM_RECEIPTS, reading_may_read(queue, STREAM_RECEIPTS));
    }
}

static void end_round(struct queue *queue) {
    struct reading *reading = &queue->reading;
    if (reading->got > 0) {
        reading->idle_ms = PAUSE_FIRST_MS;
        reading_go_on(queue);
        return;
    }
    reading_pause(queue, reading->idle_ms);
    reading->idle_ms = reading->idle_ms * 2 < READING_PAUSE_CAP_MS ? reading->idle_ms * 2 : READING_PAUSE_CAP_MS;
}

/* Nothing is under way: what comes next. */
void reading_go_on(struct queue *queue) {
    if (!queue->ready || queue->stopped || queue->reading.busy > 0) {
        return;
    }
    if (queue->in_trouble || (queue->trouble_told && queue->n_calls > 0)) {
        reading_pause(queue, READING_PAUSE_CAP_MS);
        return;
    }
    if (!again_own(queue) && !again_dead(queue)) {
        start_round(queue);
    }
    if (queue->reading.busy == 0) {
        reading_pause(queue, READING_PAUSE_CAP_MS); /* no room at all */
    }
}

static void on_new(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    enum stream stream = unpack(data).stream;
    size_t count = unpack(data).count;
    struct arena scratch = ARENA_INIT;
    if (queue == NULL || reply_ptr == NULL) {
        return;
    }
    if (reading_answered(queue, reply_ptr, reading_promise(stream, count))) {
        size_t before = queue->reading.got;
        take_new(queue, stream, reply_ptr, &scratch);
        arena_fini(&scratch);
        bool urgent_is_empty = stream == STREAM_URGENT && queue->reading.got - before < count;
        if (urgent_is_empty && queue->ready && !queue->stopped && queue->reading.reserved == 0 &&
            reading_may_read(queue, STREAM_BULK) > 0) {
            read_new(queue, STREAM_BULK, reading_may_read(queue, STREAM_BULK));
        }
    }
    if (queue->ready && queue->reading.busy == 0) {
        end_round(queue);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    reading_go_on(ctx);
}

int reading_init(struct queue *queue, struct err *err) {
    again_init(queue);
    queue->reading.idle_ms = PAUSE_FIRST_MS;
    queue->reading.timer = evtimer_new(queue->base, on_timer, queue);
    return queue->reading.timer == NULL ? err_no_memory(err) : 0;
}

void reading_fini(struct queue *queue) {
    if (queue->reading.timer != NULL) {
        event_free(queue->reading.timer);
    }
    again_fini(queue);
}

void reading_restart(struct queue *queue) {
    struct reading *reading = &queue->reading;
    again_restart(queue);
    reading->busy = 0;
    reading->reserved = 0;
    reading_go_on(queue);
}

void reading_poke(struct queue *queue) {
    if (queue->ready && !queue->stopped && queue->reading.busy == 0 && queue->room * 2 >= (size_t)queue->settings->batch) {
        reading_pause(queue, 0);
    }
}

void reading_soon(struct queue *queue) {
    if (queue->ready && !queue->stopped && queue->reading.busy == 0) {
        reading_pause(queue, 0);
    }
}

void reading_own_again(struct queue *queue) {
    queue->reading.again.own_again = true;
    reading_soon(queue);
}
