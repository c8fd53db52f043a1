/* reading: takes entries from the lanes and the receipts, never more than there is room for.
 *
 * After each connection a consumer first takes up the leases of its earlier life (again.c), then goes in rounds: urgent lane, bulk lane
 * with the room that is left, receipts. A round that brings something is followed by the next at once; otherwise by a pause that
 * doubles from 1 to 16 ms. Where a full batch came, there is a backlog: then the next round is asked for before this batch is handed out,
 * and Redis works on it meanwhile. Now and then (a quarter of the lease) leases are taken over that are over.
 *
 * A read moves the group's cursor and leaves nothing pending; the lease that lua/take.lua writes in the same MULTI/EXEC holds the whole
 * batch. So a batch costs Redis one field, and not a pending entry for each of its entries.
 *
 * Guarantees: an entry that this worker has in hand is not handed out again (held.h); room that was promised to a read under way is not
 * given to another; nothing is handed out without a lease. How it fails: a group or stream that is gone is made again from the beginning;
 * where the lease could not be written, the next one holds what was read, and it comes when that one is over. Does not: block Redis'
 * connection (no BLOCK), parse bodies. */
#include "queue/inside.h"
#include "queue/record.h"

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

static int give_entries(struct queue *queue, enum lane lane, const struct lease *lease, const struct raw *raws, size_t n,
                        struct arena *arena) {
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
        entries[i].leased = raws[i].leased;
        entries[i].deliveries = (unsigned)lease->deliveries;
        entries[i].not_after_ms = lease->over_ms;
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
        receipts[i].leased = raws[i].leased;
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
        if (held_add(&queue->held, stream, raws[i].id->str, raws[i].leased.lease) == 1) {
            raws[kept++] = raws[i];
        }
    }
    return kept;
}

/* What each needs to be acknowledged: its place, and the id of the one before it. */
static void put_places(const struct lease *lease, struct raw *raws, size_t n) {
    const char *after = lease->after;
    for (size_t i = 0; i < n; i++) {
        struct queue_leased *leased = &raws[i].leased;
        *leased = (struct queue_leased){.lease = lease->token, .place = i};
        (void)stream_id_read(after == NULL ? raws[i].id->str : after, &leased->after_ms, &leased->after_seq); /* Redis's own ids */
        if (after == NULL) {
            leased->after_ms -= leased->after_seq == 0;
            leased->after_seq--;
        }
        after = raws[i].id->str;
    }
}

void reading_hand_out(struct queue *queue, enum stream stream, const struct lease *lease, struct raw *raws, size_t n) {
    struct arena arena = ARENA_INIT;
    put_places(lease, raws, n);
    n = queue->stopped ? 0 : keep_new(queue, stream, raws, n);
    if (n == 0) {
        return;
    }
    queue->reading.got += n;
    int rc =
        stream == STREAM_RECEIPTS ? give_receipts(queue, raws, n, &arena) : give_entries(queue, (enum lane)stream, lease, raws, n, &arena);
    if (rc < 0) {
        arena_fini(&arena);
        for (size_t i = 0; i < n; i++) {
            (void)held_remove(&queue->held, stream, raws[i].id->str);
        }
        log_error("queue: no memory for %zu entries; they come again when their lease is over", n);
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

/* [end, the id before, how many]. More than came: somebody else has read in our group. */
static void read_lease(const struct asked *asked, const redisReply *reply, size_t n, struct lease *lease) {
    int64_t in_it = reply_int(reply->element[2], 0);
    *lease = (struct lease){.token = asked->lease, .over_ms = reply_int(reply->element[0], 0), .deliveries = 1};
    if (in_it <= (int64_t)n && reply_is_string(reply->element[1])) {
        lease->after = reply->element[1]->str;
    } else {
        log_warning("queue: %lld entries of %s were handed out before to somebody who holds no lease; they are taken over",
                    in_it - (long long)n, stream_name(asked->stream));
    }
}

/* What XREADGROUP gave, nil or [[stream, [[id, [field, value, ...]], ...]]], and the lease on it. */
static void take_new(struct queue *queue, const struct asked *asked, const redisReply *reply, const redisReply *leased,
                     struct arena *arena) {
    enum stream stream = asked->stream;
    if (!reply_is_array(reply, 1) || !reply_is_array(reply->element[0], 2) || !reply_is_array(leased, 3)) {
        return;
    }
    const redisReply *rows = reply->element[0]->element[1];
    struct lease lease;
    struct raw *raws = reply_is_array(rows, 1) ? arena_array(arena, rows->elements, sizeof *raws) : NULL;
    size_t n = 0;
    for (size_t i = 0; raws != NULL && i < rows->elements; i++) {
        const redisReply *row = rows->element[i];
        if (reply_is_array(row, 2) && reply_is_string(row->element[0])) {
            raws[n++] = (struct raw){.id = row->element[0], .body = field_value(row->element[1], stream_field(stream))};
        }
    }
    read_lease(asked, leased, n, &lease);
    reading_hand_out(queue, stream, &lease, raws, n);
}

/* ---- commands ------------------------------------------------------------------------------------------------------ */

void reading_pause(struct queue *queue, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    (void)event_add(queue->reading.timer, &wait); /* fails only for want of memory; the next poke sets it again */
}

void reading_end(struct queue *queue, size_t promised) {
    queue->reading.busy--;
    queue->reading.reserved -= promised;
}

/* Looks for a refusal. 1 where there is a reply to look at. */
static int is_granted(struct queue *queue, const redisReply *reply) {
    enum trouble trouble = reply_trouble(reply);
    if (trouble != TROUBLE_NONE) {
        connect_trouble(queue, trouble, reply->str);
        queue->reading.idle_ms = READING_PAUSE_CAP_MS;
        return 0;
    }
    if (queue->n_calls == 0) {
        connect_well(queue); /* a full Redis lets reads through: only a call can tell that it takes writes again */
    }
    return 1;
}

int reading_answered(struct queue *queue, const redisReply *reply, size_t promised) {
    reading_end(queue, promised);
    return is_granted(queue, reply);
}

/* How much room a read of this stream was promised. Receipts need none. */
size_t reading_promise(enum stream stream, size_t count) {
    return stream == STREAM_RECEIPTS ? 0 : count;
}

static void on_new(redisAsyncContext *redis, void *reply_ptr, void *data);

/* A part of a read, before EXEC: OK or QUEUED, or the reason why EXEC will not do it. */
static void on_queued(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue != NULL && reply != NULL && reply->type == REDIS_REPLY_ERROR && queue->reading.refusal[0] == '\0') {
        (void)snprintf(queue->reading.refusal, sizeof queue->reading.refusal, "%s", reply->str);
    }
}

static void put_read(const struct queue *queue, struct command *command, enum stream stream, size_t count) {
    command_init(command, "XREADGROUP");
    command_puts(command, "GROUP");
    command_puts(command, queue->settings->group);
    command_puts(command, queue->consumer);
    command_puts(command, "COUNT");
    command_put_i64(command, (int64_t)count);
    command_puts(command, "NOACK");
    command_puts(command, "STREAMS");
    command_puts(command, queue->keys.name[stream_key(stream)]);
    command_puts(command, ">");
}

static void put_take(const struct queue *queue, struct command *command, enum stream stream, uint64_t lease) {
    char token[RECORD_TOKEN_LEN];
    queue_record_token(lease, token);
    call_stream_script(queue, command, SCRIPT_TAKE, stream);
    command_puts(command, queue->settings->group);
    command_puts(command, stream_name(stream));
    command_put(command, token, sizeof token);
    command_puts(command, queue->consumer);
    command_put_i64(command, queue->settings->lease_ms);
}

static void ask(struct queue *queue, enum stream stream) {
    struct reading *reading = &queue->reading;
    size_t count = reading_may_read(queue, stream);
    if (count > 0) {
        reading->asked[reading->n_asked++] = (struct asked){.stream = stream, .count = count, .lease = queue_fence(queue)};
        reading->reserved += reading_promise(stream, count);
    }
}

/* EXEC's answer: that of SCRIPT LOAD, then two for each stream. */
enum { AT_FIRST = 1, AT_STREAM = 2 };

static int send_reads(struct queue *queue) {
    struct command command;
    for (size_t i = 0; i < queue->reading.n_asked; i++) {
        const struct asked *asked = &queue->reading.asked[i];
        put_read(queue, &command, asked->stream, asked->count);
        if (connect_send(queue, &command, on_queued, NULL) < 0) {
            return -1;
        }
        put_take(queue, &command, asked->stream, asked->lease);
        if (connect_send(queue, &command, on_queued, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Reads what was asked for, all of it in one MULTI/EXEC. Where it cannot be sent the connection is dropped, and it begins anew with the
 * next one. */
static void read_new(struct queue *queue) {
    struct command multi, load, exec;
    queue->reading.refusal[0] = '\0';
    if (queue->reading.n_asked == 0) {
        return;
    }
    command_init(&multi, "MULTI");
    if (connect_send(queue, &multi, on_queued, NULL) < 0) {
        return;
    }
    connect_put_script(queue, SCRIPT_TAKE, &load);
    if (connect_send(queue, &load, on_queued, NULL) < 0 || send_reads(queue) < 0) {
        return;
    }
    command_init(&exec, "EXEC");
    if (connect_send(queue, &exec, on_new, NULL) == 0) {
        queue->reading.busy++;
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
    queue->reading.got = 0;
    queue->reading.n_asked = 0;
    ask(queue, STREAM_URGENT);
    if (queue->reading.n_asked > 0 && reading_common_room(queue) >= (size_t)queue->settings->batch) {
        ask(queue, STREAM_BULK); /* room for both: both at once */
    }
    ask(queue, STREAM_RECEIPTS);
    read_new(queue);
}

/* There was less in the urgent lane than it was given room for: the bulk lane has it, where it was not asked in the same round. */
static void go_on_with_bulk(struct queue *queue) {
    queue->reading.n_asked = 0;
    ask(queue, STREAM_BULK);
    read_new(queue);
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

static bool may_go_on(const struct queue *queue) {
    return queue->ready && !queue->stopped && queue->reading.busy == 0;
}

/* Redis takes no changes for now. */
static bool is_refused(const struct queue *queue) {
    return queue->in_trouble || (queue->trouble_told && queue->n_calls > 0);
}

/* Nothing is under way: what comes next. */
void reading_go_on(struct queue *queue) {
    if (!may_go_on(queue)) {
        return;
    }
    if (is_refused(queue)) {
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

/* What stopped all of the read before EXEC did anything, as an error; NULL: nothing did. */
static const redisReply *refusal_of(struct reading *reading, const redisReply *reply, redisReply *refused) {
    *refused = (redisReply){.type = REDIS_REPLY_ERROR, .str = reading->refusal, .len = strlen(reading->refusal)};
    if (reading->refusal[0] != '\0') {
        return refused;
    }
    return reply->type == REDIS_REPLY_ERROR ? reply : NULL;
}

/* The first error among the answers of one stream, or NULL. */
static const redisReply *error_of(const redisReply *reply, size_t at) {
    for (size_t i = at; i < at + AT_STREAM && reply_is_array(reply, i + 1); i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR) {
            return reply->element[i];
        }
    }
    return NULL;
}

/* Whether it is wrong with this stream alone. */
static bool is_of_lane(const redisReply *error, const redisReply *reply, size_t at) {
    return error != NULL && error == reply->element[at] && reply_trouble(error) == TROUBLE_OTHER;
}

void reading_tell(struct queue *queue, enum stream stream, const char *why) {
    bool *told = &queue->reading.told[stream];
    if (why != NULL && !*told) {
        log_error("queue: %s cannot be read: %s; the others go on", queue->keys.name[stream_key(stream)], why);
    } else if (why == NULL && *told) {
        log_notice("queue: %s is read again", queue->keys.name[stream_key(stream)]);
    }
    *told = why != NULL;
}

/* Hands out what came of one stream. What is wrong with it alone is told, and tried again; any other error is returned: also one of `take`,
 * for then the cursor has moved and nobody has a lease on what was read. */
static const redisReply *take_one(struct queue *queue, const struct asked *asked, const redisReply *reply, size_t at, bool *is_well) {
    const redisReply *error = error_of(reply, at);
    struct arena scratch = ARENA_INIT;
    bool is_its_own = is_of_lane(error, reply, at);
    *is_well = error == NULL;
    if (error == NULL || is_its_own) {
        reading_tell(queue, asked->stream, error == NULL ? NULL : error->str);
    }
    if (error == NULL && reply_is_array(reply, at + AT_STREAM)) {
        take_new(queue, asked, reply->element[at], reply->element[at + 1], &scratch);
        arena_fini(&scratch);
    }
    return is_its_own ? NULL : error;
}

/* Hands out what came of each stream. The gravest of what is wrong with more than one of them is told at the end, since it may cost the
 * connection. */
static void take_all(struct queue *queue, const redisReply *reply, const struct asked *all, size_t n) {
    const redisReply *gravest = NULL;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        bool is_well;
        const redisReply *error = take_one(queue, &all[i], reply, AT_FIRST + AT_STREAM * i, &is_well);
        if (error != NULL && (gravest == NULL || reply_trouble(error) > reply_trouble(gravest))) {
            gravest = error;
        }
        any = any || is_well;
    }
    if (gravest != NULL || any) {
        (void)is_granted(queue, gravest == NULL ? reply : gravest);
    }
}

/* How many entries came of one stream. */
static size_t rows_of(const redisReply *reply, size_t at) {
    const redisReply *streams = reply_is_array(reply, at + AT_STREAM) ? reply->element[at] : NULL;
    const redisReply *stream = reply_is_array(streams, 1) ? streams->element[0] : NULL;
    return reply_is_array(stream, 2) && stream->element[1]->type == REDIS_REPLY_ARRAY ? stream->element[1]->elements : 0;
}

/* What a round has brought. */
struct came {
    size_t entries, receipts;
    bool is_full;         /* a whole batch of one lane: there is a backlog */
    bool urgent_is_empty; /* there was less in it than was asked for */
    bool has_bulk;        /* the bulk lane was asked as well */
};

static void note_lane(struct came *came, const struct queue *queue, const struct asked *asked, const redisReply *reply, size_t at) {
    size_t rows = rows_of(reply, at);
    const redisReply *error = error_of(reply, at);
    bool is_batch = error == NULL && rows == asked->count && rows == (size_t)queue->settings->batch;
    came->entries += rows;
    came->is_full = came->is_full || is_batch;
    came->has_bulk = came->has_bulk || asked->stream == STREAM_BULK;
    if (asked->stream == STREAM_URGENT && reply_is_array(reply, at + AT_STREAM)) {
        came->urgent_is_empty = rows < asked->count && (error == NULL || is_of_lane(error, reply, at));
    }
}

static struct came what_came(const struct queue *queue, const struct asked *all, size_t n, const redisReply *reply) {
    struct came came = {0};
    for (size_t i = 0; i < n; i++) {
        size_t at = AT_FIRST + AT_STREAM * i;
        if (all[i].stream == STREAM_RECEIPTS) {
            came.receipts += rows_of(reply, at);
        } else {
            note_lane(&came, queue, &all[i], reply, at);
        }
    }
    return came;
}

/* Where there is a backlog, Redis reads the next batch while the worker looks through this one, which takes it longer. Not where leases are
 * to be looked through next: under a backlog there is no other moment for it, and what came has to be in hand for that. An urgent entry
 * that comes meanwhile is behind two batches, and no more. */
static void read_ahead(struct queue *queue, const struct came *came) {
    if (came->is_full && may_go_on(queue) && !is_refused(queue) && !again_is_due(queue)) {
        start_round(queue);
        connect_flush(queue);
    }
}

/* Hands out what came. Until it is, its room is taken. */
static void take_round(struct queue *queue, const redisReply *reply, const struct asked *all, size_t n, const struct came *came) {
    struct reading *reading = &queue->reading;
    reading->reserved += came->entries;
    reading->receipts_out += came->receipts;
    read_ahead(queue, came);
    reading->receipts_out -= came->receipts;
    take_all(queue, reply, all, n);
    reading->reserved -= came->entries;
}

static void on_new(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    if (queue == NULL || reply_ptr == NULL) {
        return;
    }
    struct asked asked[STREAM_COUNT];
    size_t n = queue->reading.n_asked, promised = 0;
    for (size_t i = 0; i < n; i++) {
        asked[i] = queue->reading.asked[i];
        promised += reading_promise(asked[i].stream, asked[i].count);
    }
    reading_end(queue, promised);
    redisReply refused;
    const redisReply *refusal = refusal_of(&queue->reading, reply_ptr, &refused);
    struct came came = what_came(queue, asked, n, reply_ptr);
    if (refusal != NULL) {
        (void)is_granted(queue, refusal);
    } else {
        take_round(queue, reply_ptr, asked, n, &came);
    }
    if (came.urgent_is_empty && !came.has_bulk && may_go_on(queue)) {
        go_on_with_bulk(queue);
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

void reading_look_again(struct queue *queue) {
    queue->reading.again.dead_at_ms = 0;
    reading_soon(queue);
}
