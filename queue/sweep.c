/* sweep: a slow walk over all notices, page by page, round after round.
 *
 * It finds what the timers cannot: a notice in flight that has neither a place in the due set nor an entry that somebody
 * holds becomes due at once (lua/sweep.lua); and it hands finished notices that are older than redis.retention to the worker, who writes
 * them to its archive and then has them taken out of Redis (queue_retire). Nothing is kept per finished notice for that: the token in its
 * record tells its age. Every reachd sweeps; what two of them find at once is told apart by the token.
 *
 * Guarantees: at most a page is with the worker at a time; a page every 100 ms at the most, and every 250 ms while pages bring nothing (a
 * page costs Redis about a millisecond, since Lua hashes every byte of the records). How it fails: a page whose answer is lost is asked for
 * again. Does not: write the archive. */
#include "queue/gone.h"
#include "queue/inside.h"
#include "queue/record.h"

#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, PAGE_MS = 100, IDLE_MS = 250, ROUND_MS = 60000, LOST_AGE_MIN_S = 60 };

static void arm(struct queue *queue, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)event_add(queue->sweep.timer, &wait); /* fails only for want of memory */
}

/* ---- pages --------------------------------------------------------------------------------------------------------- */

/* [cursor, lost, some gone, id, record, ...]: the finished ones of a page. */
enum { PAGE_HEAD = 3 };

static void hand_out(struct queue *queue, const redisReply *reply) {
    struct arena arena = ARENA_INIT;
    size_t rows = (reply->elements - PAGE_HEAD) / 2, n = 0;
    struct queue_due *finished = arena_array(&arena, rows, sizeof *finished);
    for (size_t i = 0; finished != NULL && i < rows; i++) {
        const redisReply *id = reply->element[PAGE_HEAD + 2 * i], *record = reply->element[PAGE_HEAD + 1 + 2 * i];
        const char *text = reply_is_string(record) ? arena_strndup(&arena, record->str, (size_t)record->len) : NULL;
        finished[n].id = reply_is_string(id) ? arena_strndup(&arena, id->str, (size_t)id->len) : NULL;
        if (text != NULL && finished[n].id != NULL && queue_record_read(text, (size_t)record->len, &finished[n].held, NULL, NULL) == 0) {
            n++;
        }
    }
    if (n == 0) {
        arena_fini(&arena);
        return;
    }
    queue->sweep.with_worker = true;
    queue->handlers->old(queue->ctx, finished, n, &arena);
}

static void on_page(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue == NULL || reply == NULL) {
        return;
    }
    if (reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
        arm(queue, ROUND_MS);
        return;
    }
    if (!reply_is_array(reply, PAGE_HEAD) || !reply_is_string(reply->element[0])) {
        return;
    }
    queue->sweep.some_gone = reply_int(reply->element[2], 0) == 1;
    int64_t lost = reply_int(reply->element[1], 0);
    if (lost > 0) {
        log_error("queue: %lld notices in flight that no timer and no entry held; they are due now", (long long)lost);
        upkeep_due_at(queue, clock_wall_ms(queue->clock));
    }
    (void)snprintf(queue->sweep.cursor, sizeof queue->sweep.cursor, "%s", reply->element[0]->str);
    if (reply->elements > PAGE_HEAD) {
        hand_out(queue, reply);
    }
    bool brought_something = lost > 0 || reply->elements > PAGE_HEAD;
    arm(queue, strcmp(queue->sweep.cursor, "0") == 0 ? ROUND_MS : brought_something ? PAGE_MS : IDLE_MS);
}

static void ask_page(struct queue *queue) {
    struct command command;
    const struct queue_settings *settings = queue->settings;
    int64_t lost_age_s = 2 * settings->lease_ms / 1000;
    int64_t keep_s = queue->handlers->old == NULL ? 0 : settings->retention_ms / 1000;
    lost_age_s = lost_age_s < LOST_AGE_MIN_S ? LOST_AGE_MIN_S : lost_age_s;
    call_script(queue, &command, SCRIPT_SWEEP, KEY_NOTICES, 3);
    command_put_i64(&command, clock_wall_ms(queue->clock));
    command_puts(&command, queue->sweep.cursor);
    command_put_i64(&command, PAGE);
    command_put_i64(&command, lost_age_s + CONNECT_EPOCH_MS / 1000);
    command_put_i64(&command, keep_s);
    command_puts(&command, queue->keys.name[KEY_GONE]);
    command_puts(&command, queue->keys.name[KEY_DESK]);
    command_puts(&command, queue->keys.name[KEY_AUDIT]);
    (void)connect_send(queue, &command, on_page, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    if (!queue->ready || queue->stopped) {
        return;
    }
    if (queue->in_trouble || queue->sweep.with_worker) {
        arm(queue, PAGE_MS);
        return;
    }
    ask_page(queue);
}

/* ---- retiring ------------------------------------------------------------------------------------------------------ */

static int on_answer(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    (void)call;
    (void)part;
    return reply_is_string(reply) ? 0 : -1; /* what has changed meanwhile stays and comes with the next round */
}

static void on_finish(struct queue *queue, struct call *call, const struct err *err) {
    (void)call;
    if (err != NULL) {
        log_error("queue: archived notices stay in Redis: %s", err->text);
    }
    queue->sweep.with_worker = false;
}

static const struct call_kind retire_kind = {on_answer, on_finish, NULL, false, NULL};

/* Keys of the script, in its order. */
static const enum key retire_keys[] = {KEY_NOTICES,  KEY_JOBS, KEY_DUE,  KEY_LAST,  KEY_PREVIOUS,
                                       KEY_COUNTERS, KEY_GONE, KEY_DESK, KEY_AUDIT, KEY_RELEASES};

static void put_retired(struct command *command, const struct queue_retired *retired) {
    char token[RECORD_TOKEN_LEN];
    struct gone_place place;
    char mark[GONE_MARK_LEN + GONE_CONTENT_LEN];
    queue_record_token(retired->fence, token);
    gone_place_of(retired->id, &place);
    command_puts(command, retired->id);
    command_put(command, token, sizeof token);
    command_puts(command, place.bucket);
    memcpy(mark, place.mark, sizeof place.mark);
    gone_content_of(retired->digest, mark + sizeof place.mark);
    command_put(command, mark, sizeof mark);
}

int queue_retire(struct queue *queue, const struct queue_retired *archived, size_t n, struct err *err) {
    int64_t now_ms = clock_wall_ms(queue->clock);
    if (n == 0) {
        queue->sweep.with_worker = false;
        return 0;
    }
    struct call *call = call_new(&retire_kind, NULL);
    if (call == NULL) {
        return err_no_memory(err);
    }
    call->n_parts = 1;
    struct command *command = &call->parts[0];
    command_init(command, "EVALSHA");
    command_put(command, queue->scripts[SCRIPT_RETIRE].sha, 40);
    command_put_i64(command, sizeof retire_keys / sizeof *retire_keys);
    for (size_t i = 0; i < sizeof retire_keys / sizeof *retire_keys; i++) {
        command_puts(command, queue->keys.name[retire_keys[i]]);
    }
    command_put_i64(command, gone_day(now_ms));
    command_put_i64(command, gone_forgotten(now_ms, queue->settings->remember_ms));
    command_puts(command, queue->settings->prefix);
    for (size_t i = 0; i < n; i++) {
        put_retired(command, &archived[i]);
    }
    return call_submit(queue, call, err);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

int sweep_init(struct queue *queue, struct err *err) {
    static_assert(KEY_NOTICES == 0 && KEY_COUNTERS == 5, "the scripts take the first six keys in this order");
    queue->sweep.timer = evtimer_new(queue->base, on_timer, queue);
    return queue->sweep.timer == NULL ? err_no_memory(err) : 0;
}

void sweep_fini(struct queue *queue) {
    if (queue->sweep.timer != NULL) {
        event_free(queue->sweep.timer);
    }
}

void sweep_restart(struct queue *queue) {
    (void)snprintf(queue->sweep.cursor, sizeof queue->sweep.cursor, "0");
    arm(queue, PAGE_MS);
}
