/* upkeep: what happens by the clock: notices that are due, and giving back the memory of acknowledged entries.
 *
 * Due notices are claimed in batches as room allows, each with a lease. A lease that is over without a change counts: its worker was lost.
 * What is handed out together after that, trial.c and lua/claim.lua say. Leases of a worker that lives are given back, so they do not
 * count. The timer runs to the earliest due time known,
 * at most a second: other workers put notices into the same set. Streams are trimmed once a second while entries are being acknowledged.
 *
 * Guarantees: a claim is never larger than the room. Fails: like every read; a claim whose answer is lost is handed out again
 * when its lease ends. Does not: decide anything about a notice. */
#include "queue/inside.h"
#include "queue/record.h"

#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_MS = 1000, TRIM_MS = 1000, TRIM_IDLE_MS = 10000, SOON_MS = 5, TRIAL_LOOK_MS = 100 };

static void arm(struct queue *queue, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    (void)event_add(queue->upkeep.timer, &wait); /* fails only for want of memory */
}

/* ---- due ----------------------------------------------------------------------------------------------------------- */

/* Rows of claim's answer: id, record, job, lost. */
enum { DUE_ROW = 4 };

static int copy_due(struct arena *arena, redisReply *const *rows, struct queue_due *due) {
    due->lost = (unsigned)reply_int(rows[3], 0);
    due->id = arena_strndup(arena, rows[0]->str, (size_t)rows[0]->len);
    const char *text = arena_strndup(arena, rows[1]->str, (size_t)rows[1]->len);
    if (due->id == NULL || text == NULL) {
        return -1;
    }
    if (queue_record_read(text, (size_t)rows[1]->len, &due->held, NULL, NULL) < 0) {
        log_error("queue: a record in Redis cannot be read; it is left alone");
        return 0;
    }
    if (reply_is_string(rows[2])) {
        due->held.job = arena_strndup(arena, rows[2]->str, (size_t)rows[2]->len);
        return due->held.job == NULL ? -1 : 1;
    }
    return 1;
}

/* What workers were lost over is tried in a group, or alone (trial.c). */
static void begin_trial(struct queue *queue, const struct queue_due *due, size_t n) {
    unsigned most = 0;
    for (size_t i = 0; i < n; i++) {
        most = due[i].lost > most && due[i].lost < QUEUE_LOST_MAX ? due[i].lost : most;
    }
    if (most == 0) {
        return;
    }
    trial_begin(queue, most + 1 == QUEUE_LOST_MAX);
    for (size_t i = 0; i < n; i++) {
        if (due[i].lost == most) {
            trial_add(queue, due[i].id);
        }
    }
}

static void hand_out(struct queue *queue, const redisReply *reply, int64_t lease_end_ms) {
    struct arena arena = ARENA_INIT;
    size_t rows = (reply->elements - 1) / DUE_ROW;
    size_t n = 0;
    struct queue_due *due = arena_array(&arena, rows, sizeof *due);
    for (size_t i = 0; due != NULL && i < rows; i++) {
        redisReply *const *row = reply->element + 1 + DUE_ROW * i;
        if (!reply_is_string(row[0]) || !reply_is_string(row[1])) {
            continue;
        }
        due[n].lease_end_ms = lease_end_ms;
        int rc = copy_due(&arena, row, &due[n]);
        if (rc < 0) {
            log_error("queue: no memory for due notices; they come again after their lease");
            break;
        }
        n += (size_t)rc;
    }
    if (n == 0) {
        arena_fini(&arena);
        return;
    }
    begin_trial(queue, due, n);
    queue->room -= n < queue->room ? n : queue->room;
    queue->handlers->due(queue->ctx, due, n, &arena);
}

static void schedule(struct queue *queue, bool more) {
    struct upkeep *upkeep = &queue->upkeep;
    int64_t wait_ms = upkeep->next_due_ms < 0 ? LOOK_MS : upkeep->next_due_ms - clock_wall_ms(queue->clock);
    if (more || wait_ms < SOON_MS) {
        wait_ms = SOON_MS;
    }
    arm(queue, wait_ms < LOOK_MS ? wait_ms : LOOK_MS);
}

/* Claimed after reading had stopped: they go back as they were. */
static void give_back_all(struct queue *queue, const redisReply *reply, int64_t lease_end_ms) {
    struct arena arena = ARENA_INIT;
    struct err err;
    size_t n = 0, rows = (reply->elements - 1) / DUE_ROW;
    struct queue_lease *leases = arena_array(&arena, rows, sizeof *leases);
    for (size_t i = 0; leases != NULL && i < rows; i++) {
        const redisReply *id = reply->element[1 + DUE_ROW * i];
        if (reply_is_string(id)) {
            leases[n++] = (struct queue_lease){id->str, lease_end_ms, clock_wall_ms(queue->clock)};
        }
    }
    if (n < rows || queue_give_back(queue, leases, n, &err) < 0) {
        log_error("queue: no memory to give due notices back; they come again after their lease");
    }
    arena_fini(&arena);
}

static void on_claimed(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    size_t asked = (uintptr_t)data;
    if (queue == NULL || reply == NULL) {
        return;
    }
    queue->upkeep.claiming = false;
    queue->upkeep.reserved -= asked;
    enum trouble trouble = reply_trouble(reply);
    if (trouble != TROUBLE_NONE) {
        connect_trouble(queue, trouble, reply->str);
    } else if (reply_is_array(reply, 1)) {
        queue->upkeep.next_due_ms = reply_int(reply->element[0], -1);
        if (queue->stopped && reply->elements > 1) {
            give_back_all(queue, reply, queue->upkeep.lease_end_ms);
        } else if (reply->elements > 1) {
            hand_out(queue, reply, queue->upkeep.lease_end_ms);
        }
    }
    if (queue->ready) {
        schedule(queue, trouble == TROUBLE_NONE && reply->elements > DUE_ROW * asked);
    }
    if (queue->stopped && queue->n_calls == 0 && queue->handlers->idle != NULL) {
        queue->handlers->idle(queue->ctx);
    }
}

static void claim(struct queue *queue, size_t n) {
    struct command command;
    int64_t now_ms = clock_wall_ms(queue->clock);
    static_assert(KEY_JOBS == KEY_NOTICES + 1 && KEY_DUE == KEY_JOBS + 1, "the script takes the three in this order");
    call_script(queue, &command, SCRIPT_CLAIM, KEY_NOTICES, 3);
    queue->upkeep.lease_end_ms = now_ms + queue->settings->lease_ms;
    command_put_i64(&command, now_ms);
    command_put_i64(&command, queue->upkeep.lease_end_ms);
    command_put_i64(&command, (int64_t)n);
    command_put_i64(&command, TRIAL_MAX);
    if (connect_send(queue, &command, on_claimed, (void *)(uintptr_t)n) == 0) {
        queue->upkeep.claiming = true;
        queue->upkeep.reserved += n;
    }
}

void upkeep_due_at(struct queue *queue, int64_t due_ms) {
    struct upkeep *upkeep = &queue->upkeep;
    if (upkeep->next_due_ms < 0 || due_ms < upkeep->next_due_ms) {
        upkeep->next_due_ms = due_ms;
        if (queue->ready && !upkeep->claiming) {
            schedule(queue, false);
        }
    }
}

void upkeep_look(struct queue *queue, int64_t ms) {
    if (queue->ready && !queue->upkeep.claiming) {
        arm(queue, ms);
    }
}

/* ---- giving back --------------------------------------------------------------------------------------------------- */

static int on_given_back(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)call;
    (void)part;
    (void)queue;
    (void)reply;
    return 0;
}

static void on_give_back_end(struct queue *queue, struct call *call, const struct err *err) {
    (void)queue;
    (void)call;
    if (err != NULL) {
        log_error("queue: notices in hand count as if their worker had been lost: %s", err->text);
    }
}

static const struct call_kind give_back_kind = {on_given_back, on_give_back_end, NULL, false, NULL};

int queue_give_back(struct queue *queue, const struct queue_lease *leases, size_t n, struct err *err) {
    struct call *call = n == 0 ? NULL : call_new(&give_back_kind, NULL);
    if (call == NULL) {
        return n == 0 ? 0 : err_no_memory(err);
    }
    call->n_parts = 1;
    call_script(queue, &call->parts[0], SCRIPT_GIVEBACK, KEY_DUE, 1);
    for (size_t i = 0; i < n; i++) {
        trial_decided(queue, leases[i].id, false);
        command_puts(&call->parts[0], leases[i].id);
        command_put_i64(&call->parts[0], leases[i].end_ms);
        command_put_i64(&call->parts[0], leases[i].due_ms);
    }
    return call_submit(queue, call, err);
}

/* ---- trimming, and entries that nobody holds ----------------------------------------------------------------------- */

enum { REQUEUE_PAGE = 500 };

static void requeue(struct queue *queue, enum stream stream);

/* [where to go on, how many were found] */
static void on_requeued(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    enum stream stream = (enum stream)(uintptr_t)data;
    if (queue == NULL || reply == NULL) {
        return;
    }
    if (reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
        return; /* the next trim finds the sum wrong again */
    }
    if (!reply_is_array(reply, 2) || !reply_is_string(reply->element[0])) {
        return;
    }
    struct upkeep *upkeep = &queue->upkeep;
    upkeep->requeued += reply_int(reply->element[1], 0);
    (void)snprintf(upkeep->requeue_cursor, sizeof upkeep->requeue_cursor, "%s", reply->element[0]->str);
    if (upkeep->requeue_cursor[0] != '\0') {
        requeue(queue, stream);
        return;
    }
    log_error(
        "queue: %lld entries of %s were neither in a lease nor known to be acknowledged (was a lease deleted?); they are handed out again",
        (long long)upkeep->requeued, stream_name(stream));
    reading_look_again(queue);
}

static void requeue(struct queue *queue, enum stream stream) {
    struct command command;
    char token[RECORD_TOKEN_LEN];
    queue_record_token(queue_fence(queue), token);
    call_stream_script(queue, &command, SCRIPT_REQUEUE, stream);
    command_puts(&command, queue->settings->group);
    command_puts(&command, stream_name(stream));
    command_put(&command, token, sizeof token);
    command_puts(&command, queue->upkeep.requeue_cursor);
    command_put_i64(&command, REQUEUE_PAGE);
    (void)connect_send(queue, &command, on_requeued, (void *)(uintptr_t)stream);
}

static void on_trimmed(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue == NULL || reply == NULL) {
        return;
    }
    if (reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
    } else if (reply_int(reply, 0) < 0 && !queue->stopped) {
        (void)snprintf(queue->upkeep.requeue_cursor, sizeof queue->upkeep.requeue_cursor, "0-0");
        queue->upkeep.requeued = 0;
        requeue(queue, (enum stream)(uintptr_t)data);
    }
}

static void trim(struct queue *queue) {
    struct upkeep *upkeep = &queue->upkeep;
    int64_t now_ms = clock_mono_ms(queue->clock);
    if (now_ms < upkeep->trim_at_ms || (!upkeep->trim_wanted && now_ms < upkeep->trim_at_ms + TRIM_IDLE_MS)) {
        return;
    }
    upkeep->trim_wanted = false;
    upkeep->trim_at_ms = now_ms + TRIM_MS;
    for (int i = 0; i < STREAM_COUNT && queue->redis != NULL; i++) {
        struct command command;
        call_stream_script(queue, &command, SCRIPT_TRIM, (enum stream)i);
        command_puts(&command, queue->settings->group);
        command_puts(&command, stream_name((enum stream)i));
        (void)connect_send(queue, &command, on_trimmed, (void *)(uintptr_t)i);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    if (!queue->ready) {
        return;
    }
    if (!queue->in_trouble) {
        trim(queue);
    }
    if (trial_is_overdue(queue)) {
        trial_end(queue);
        return;
    }
    size_t room = trial_is_on(queue) ? 0 : reading_common_room(queue);
    size_t batch = (size_t)queue->settings->batch;
    if (queue->ready && !queue->stopped && !queue->in_trouble && !queue->upkeep.claiming && room > 0) {
        claim(queue, room < batch ? room : batch);
    }
    if (queue->ready && !queue->upkeep.claiming) {
        arm(queue, room > 0 ? LOOK_MS : trial_is_on(queue) ? TRIAL_LOOK_MS : SOON_MS);
    }
}

int upkeep_init(struct queue *queue, struct err *err) {
    queue->upkeep.timer = evtimer_new(queue->base, on_timer, queue);
    return queue->upkeep.timer == NULL ? err_no_memory(err) : 0;
}

void upkeep_fini(struct queue *queue) {
    if (queue->upkeep.timer != NULL) {
        event_free(queue->upkeep.timer);
    }
}

void upkeep_restart(struct queue *queue) {
    queue->upkeep.claiming = false;
    queue->upkeep.reserved = 0;
    queue->upkeep.next_due_ms = -1;
    queue->upkeep.trim_wanted = true;
    arm(queue, 0);
}
