/* recount: the auditor counts the records state by state, now and then, a page at a time, while work goes on.
 *
 *   begin (counters of one moment; from now on each first change of a notice leaves the state it had then) ──▶ page ──▶ page ... ──▶
 * compare ├─ they agree: done ├─ they do not: once more; only a difference that is the same twice is told (a table that shrinks may show a
 * record twice) └─ the same again: a walk for the ids ──▶ alarm
 *
 * The number of records is not enough: a record whose state was changed by hand, or a counter moved from one state to another, leaves it
 * as it was. The ids: of the states that have too many records, those whose text names another state than its head (dispatcher/record.c
 * writes it into both); where there is none, the counters were changed.
 *
 * Guarantees: what is compared is of one moment, whatever is changed meanwhile; a page holds Redis for about a millisecond, one every 10
 * ms; of several reachd one walks at a time, and each interval once. How it fails: where a walk is lost (connection, Redis, too many
 * changes while it lasted), the next interval begins anew. Does not: mend anything. */
#include "queue/counts.h"
#include "queue/inside.h"
#include "queue/record.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 500, PAGE_MS = 10, STANDS_MS = 60000, CHANGES_MAX = 500000 };

static void arm(struct queue *queue, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)event_add(queue->recount.timer, &wait); /* fails only for want of memory */
}

static void rest(struct queue *queue) {
    queue->recount.phase = RECOUNT_REST;
    arm(queue, queue->settings->audit_interval_ms);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

static void start_command(const struct queue *queue, struct command *command, const char *what) {
    static const enum key keys[] = {KEY_NOTICES, KEY_AUDIT, KEY_AUDITED, KEY_COUNTERS};
    command_init(command, "EVALSHA");
    command_put(command, queue->scripts[SCRIPT_RECOUNT].sha, 40);
    command_put_i64(command, sizeof keys / sizeof *keys);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        command_puts(command, queue->keys.name[keys[i]]);
    }
    command_puts(command, what);
    command_puts(command, queue->recount.name);
}

static void on_begun(redisAsyncContext *redis, void *reply_ptr, void *data);
static void on_page(redisAsyncContext *redis, void *reply_ptr, void *data);

static void begin(struct queue *queue) {
    struct recount *recount = &queue->recount;
    struct command command;
    char token[RECORD_TOKEN_LEN + 1] = "";
    queue_record_token(queue_fence(queue), token);
    (void)snprintf(recount->name, sizeof recount->name, "%s %s", queue->consumer, token);
    start_command(queue, &command, "begin");
    command_put_i64(&command, queue->settings->audit_interval_ms);
    command_puts(&command, recount->second_round ? "again" : "first");
    (void)connect_send(queue, &command, on_begun, NULL);
}

static void ask_page(struct queue *queue) {
    struct recount *recount = &queue->recount;
    struct command command;
    start_command(queue, &command, recount->phase == RECOUNT_WHO ? "who" : "page");
    command_puts(&command, recount->cursor);
    command_put_i64(&command, PAGE);
    command_put_i64(&command, CHANGES_MAX);
    command_put_i64(&command, STANDS_MS);
    command_puts(&command, recount->too_many);
    (void)connect_send(queue, &command, on_page, NULL);
}

static void on_ended(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)redis;
    (void)reply_ptr;
    (void)data; /* where it was lost, audit goes by itself */
}

static void end_walk(struct queue *queue) {
    struct command command;
    start_command(queue, &command, "end");
    (void)connect_send(queue, &command, on_ended, NULL);
}

/* ---- telling ------------------------------------------------------------------------------------------------------- */

static void put_states(struct buf *out, const int64_t off[NOTICE_STATE_COUNT], const char *quote) {
    bool first = true;
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        if (off[i] != 0) {
            buf_putf(out, "%s%s%s%s%s%" PRId64, first ? "" : ",", quote, notice_state_name((enum notice_state)i), quote,
                     quote[0] == '\0' ? " " : ":", off[i]);
            first = false;
        }
    }
}

static void put_ids(struct buf *out, const struct recount *recount, bool json) {
    for (size_t i = 0; i < recount->n_ids; i++) {
        buf_puts(out, i == 0 ? "" : json ? "," : " ");
        if (json) {
            buf_put_json_str(out, recount->ids[i]);
        } else {
            buf_puts(out, recount->ids[i]);
        }
    }
}

static void put_event(const struct queue *queue, struct buf *event) {
    const struct recount *recount = &queue->recount;
    char at[TIME_TEXT_MAX];
    buf_putf(event, "{\"type\":\"audit\",\"at\":\"%s\",\"unaccounted\":%" PRId64 ",\"states\":{",
             time_format(clock_wall_ms(queue->clock), at), counts_wrong(recount->off));
    put_states(event, recount->off, "\"");
    buf_puts(event, "},\"ids\":[");
    put_ids(event, recount, true);
    buf_puts(event, "]}");
}

/* Once for what was found, and once more when that changes. */
static void tell(struct queue *queue) {
    struct recount *recount = &queue->recount;
    struct buf event = BUF_INIT, states = BUF_INIT, ids = BUF_INIT;
    struct err err;
    if (memcmp(recount->told, recount->off, sizeof recount->told) == 0) {
        return;
    }
    put_event(queue, &event);
    put_states(&states, recount->off, "");
    put_ids(&ids, recount, false);
    const char *ids_text = buf_str(&ids), *states_text = buf_str(&states);
    log_error("ALARM: unaccounted %" PRId64 ": records more than were counted: %s; %s%s%s", counts_wrong(recount->off),
              states_text == NULL ? "" : states_text,
              recount->n_ids == 0 ? "no record contradicts itself, so the counters were changed" : "their states were changed by hand: ",
              ids_text == NULL || recount->n_ids == 0 ? "" : ids_text, recount->n_ids == AUDIT_IDS_MAX ? " and more" : "");
    if (event.failed || queue_tell(queue, "alarm.unaccounted", event.data, NULL, 0, &err) < 0) {
        log_error("queue: the alarm could not be told as an event: %s", event.failed ? "out of memory" : err.text);
    }
    memcpy(recount->told, recount->off, sizeof recount->told);
    buf_fini(&event);
    buf_fini(&states);
    buf_fini(&ids);
}

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

static void forget_ids(struct recount *recount) {
    arena_fini(&recount->arena);
    recount->arena = ARENA_INIT;
    recount->n_ids = 0;
}

static void all_agree(struct recount *recount) {
    static const int64_t none[NOTICE_STATE_COUNT] = {0};
    if (memcmp(recount->told, none, sizeof none) != 0) {
        log_notice("audit: every state has as many records again as were counted");
    }
    memset(recount->told, 0, sizeof recount->told);
    recount->second_round = false;
}

/* The records are counted: `off` is what they are more than the counters say. */
static void counted(struct queue *queue) {
    struct recount *recount = &queue->recount;
    int64_t before[NOTICE_STATE_COUNT];
    memcpy(before, recount->off, sizeof before);
    counts_compare(&recount->counters, recount->records, recount->off);
    log_debug("audit: recounted, %" PRId64 " notices in the wrong state", counts_wrong(recount->off));
    if (counts_wrong(recount->off) == 0) {
        all_agree(recount);
        end_walk(queue);
        rest(queue);
    } else if (counts_sum(recount->off).all != 0) { /* records are missing, or too many: audit.c tells which */
        end_walk(queue);
        rest(queue);
    } else if (!recount->second_round || memcmp(before, recount->off, sizeof before) != 0) {
        recount->second_round = true;
        end_walk(queue);
        recount->phase = RECOUNT_REST;
        arm(queue, PAGE_MS);
    } else {
        size_t n = 0;
        for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
            if (recount->off[i] > 0) {
                recount->too_many[n++] = notice_state_letter((enum notice_state)i);
            }
        }
        recount->too_many[n] = '\0';
        recount->phase = RECOUNT_WHO;
        arm(queue, PAGE_MS);
    }
}

static void take_numbers(struct recount *recount, const redisReply *reply) {
    enum notice_state state;
    for (size_t i = 1; i + 1 < reply->elements; i += 2) {
        if (reply_is_string(reply->element[i]) && notice_state_from_letter(reply->element[i]->str[0], &state)) {
            recount->records[state] += reply_int(reply->element[i + 1], 0);
        }
    }
}

static void take_ids(struct recount *recount, const redisReply *reply) {
    for (size_t i = 1; i < reply->elements && recount->n_ids < AUDIT_IDS_MAX; i++) {
        const redisReply *id = reply->element[i];
        const char *copy = reply_is_string(id) ? arena_strndup(&recount->arena, id->str, (size_t)id->len) : NULL;
        if (copy != NULL) {
            recount->ids[recount->n_ids++] = copy;
        }
    }
}

static void walked(struct queue *queue) {
    struct recount *recount = &queue->recount;
    if (recount->phase == RECOUNT_PAGES) {
        counted(queue);
        return;
    }
    tell(queue);
    recount->second_round = false;
    end_walk(queue);
    rest(queue);
}

/* A reply of a script of ours, or NULL where there is none (told, and the walk is over). */
static const redisReply *answered(struct queue *queue, const redisReply *reply) {
    if (queue == NULL || reply == NULL) {
        return NULL;
    }
    if (reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
    }
    if (!reply_is_array(reply, 1)) {
        rest(queue); /* not the time, or the walk was lost */
        return NULL;
    }
    return reply;
}

/* [cursor, ...] */
static void on_page(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = answered(queue, reply_ptr);
    if (reply == NULL || !reply_is_string(reply->element[0])) {
        return;
    }
    struct recount *recount = &queue->recount;
    if (recount->phase == RECOUNT_PAGES) {
        take_numbers(recount, reply);
    } else {
        take_ids(recount, reply);
    }
    (void)snprintf(recount->cursor, sizeof recount->cursor, "%s", reply->element[0]->str);
    if (strcmp(recount->cursor, "0") == 0) {
        walked(queue);
    } else {
        arm(queue, PAGE_MS);
    }
}

/* The counters. */
static void on_begun(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = answered(queue, reply_ptr);
    if (reply == NULL) {
        return;
    }
    struct recount *recount = &queue->recount;
    forget_ids(recount);
    recount->counters = (struct counts){0};
    memset(recount->records, 0, sizeof recount->records);
    counts_take(reply, &recount->counters, NULL);
    (void)snprintf(recount->cursor, sizeof recount->cursor, "0");
    recount->phase = RECOUNT_PAGES;
    arm(queue, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    if (!queue->ready || queue->stopped) {
        return;
    }
    if (queue->in_trouble) {
        rest(queue);
    } else if (queue->recount.phase == RECOUNT_REST) {
        begin(queue);
    } else {
        ask_page(queue);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

int recount_init(struct queue *queue, struct err *err) {
    queue->recount.timer = evtimer_new(queue->base, on_timer, queue);
    return queue->recount.timer == NULL ? err_no_memory(err) : 0;
}

void recount_fini(struct queue *queue) {
    arena_fini(&queue->recount.arena);
    if (queue->recount.timer != NULL) {
        event_free(queue->recount.timer);
    }
}

void recount_restart(struct queue *queue) {
    if (queue->settings->audit_interval_ms > 0) {
        queue->recount.second_round = false;
        rest(queue);
    }
}
