/* audit: the auditor that runs by itself: every redis.audit_interval it compares the counters with the number of records.
 *
 *   look (counters and records of one moment) ──▶ unaccounted 0: done
 *                                             └─▶ else: walk over the names, page by page ──▶ alarm with the ids
 *
 * A notice is named beside its record: by its customer's chain (last, previous) and by its kept job. A name without a record is one that
 * somebody has deleted. Where no name is left over in two rounds, the counters themselves were changed.
 *
 * Guarantees: the look is exact at any time, while work goes on; an alarm is raised once for what was found, and once more when that
 * changes; its end is told as well. How it fails: a page that is refused ends the walk; the next interval begins anew. Does not: mend
 * anything, or compare state by state (recount.c does). */
#include "queue/counts.h"
#include "queue/inside.h"

#include "base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 1000, PAGE_MS = 10, FIRST_MS = 1000 };

/* Where names stand, and how. */
static const struct {
    enum key key;
    const char *where;
} sources[] = {{KEY_LAST, "v"}, {KEY_PREVIOUS, "b"}, {KEY_JOBS, "f"}};
enum { SOURCES = sizeof sources / sizeof *sources };

static void arm(struct queue *queue, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)event_add(queue->audit.timer, &wait); /* fails only for want of memory */
}

/* ---- the alarm ----------------------------------------------------------------------------------------------------- */

static bool is_listed(const struct audit *audit, const char *id) {
    for (size_t i = 0; i < audit->n_ids; i++) {
        if (strcmp(audit->ids[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static void put_event(const struct queue *queue, struct buf *event) {
    const struct audit *audit = &queue->audit;
    char at[TIME_TEXT_MAX];
    buf_putf(event, "{\"type\":\"audit\",\"at\":\"%s\",\"unaccounted\":%" PRId64 ",\"ids\":[", time_format(clock_wall_ms(queue->clock), at),
             audit->unaccounted);
    for (size_t i = 0; i < audit->n_ids; i++) {
        buf_puts(event, i == 0 ? "" : ",");
        buf_put_json_str(event, audit->ids[i]);
    }
    buf_puts(event, "]}");
}

static void put_ids(const struct audit *audit, struct buf *text) {
    for (size_t i = 0; i < audit->n_ids; i++) {
        buf_putf(text, "%s%s", i == 0 ? "" : " ", audit->ids[i]);
    }
}

/* The walk is over. */
static void tell(struct queue *queue) {
    struct audit *audit = &queue->audit;
    struct buf event = BUF_INIT, ids = BUF_INIT;
    struct err err;
    put_event(queue, &event);
    put_ids(audit, &ids);
    if (event.failed || ids.failed) {
        log_error("ALARM: unaccounted %" PRId64, audit->unaccounted);
    } else if (audit->told != audit->unaccounted || audit->told_ids != audit->n_ids) {
        log_error("ALARM: unaccounted %" PRId64 ": %s%s%s", audit->unaccounted,
                  audit->n_ids == 0 ? "no notice is missing, so the counters were changed" : "without a record: ",
                  audit->n_ids == 0 ? "" : ids.data, audit->n_ids == AUDIT_IDS_MAX ? " and more" : "");
        audit->told = audit->unaccounted;
        audit->told_ids = audit->n_ids;
        if (queue_tell(queue, "alarm.unaccounted", event.data, NULL, 0, &err) < 0) {
            log_error("queue: the alarm could not be told as an event: %s", err.text);
        }
    }
    buf_fini(&event);
    buf_fini(&ids);
}

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

static void finish(struct queue *queue) {
    struct audit *audit = &queue->audit;
    audit->walking = false;
    arena_fini(&audit->arena);
    audit->arena = ARENA_INIT;
    audit->n_ids = 0;
    arm(queue, queue->settings->audit_interval_ms);
}

static void note(struct audit *audit, const redisReply *name) {
    if (audit->n_ids < AUDIT_IDS_MAX && reply_is_string(name) && !is_listed(audit, name->str)) {
        const char *id = arena_strndup(&audit->arena, name->str, (size_t)name->len);
        if (id != NULL) {
            audit->ids[audit->n_ids++] = id;
        }
    }
}

/* Where the names do not fit what the look saw, the records have changed between the two: only a second round tells. */
static void walked(struct queue *queue) {
    struct audit *audit = &queue->audit;
    bool sure = audit->second_round || (audit->n_ids > 0 && (int64_t)audit->n_ids <= audit->unaccounted);
    if (sure) {
        tell(queue);
    }
    finish(queue);
    audit->second_round = !sure;
    if (!sure) {
        arm(queue, 0);
    }
}

/* [cursor, name, ...] */
static void on_page(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue == NULL || reply == NULL) {
        return;
    }
    struct audit *audit = &queue->audit;
    if (reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
    }
    if (!reply_is_array(reply, 1) || !reply_is_string(reply->element[0])) {
        finish(queue);
        return;
    }
    for (size_t i = 1; i < reply->elements; i++) {
        note(audit, reply->element[i]);
    }
    (void)snprintf(audit->cursor, sizeof audit->cursor, "%s", reply->element[0]->str);
    if (strcmp(audit->cursor, "0") == 0 && ++audit->source == SOURCES) {
        walked(queue);
    } else {
        arm(queue, PAGE_MS);
    }
}

static void send_script(struct queue *queue, enum key second, const char *cursor, const char *where, redisCallbackFn *fn) {
    struct command command;
    command_init(&command, "EVALSHA");
    command_put(&command, queue->scripts[SCRIPT_AUDIT].sha, 40);
    command_puts(&command, "2");
    command_puts(&command, queue->keys.name[KEY_NOTICES]);
    command_puts(&command, queue->keys.name[second]);
    command_puts(&command, cursor);
    command_put_i64(&command, PAGE);
    command_puts(&command, where);
    (void)connect_send(queue, &command, fn, NULL);
}

/* ---- the look ------------------------------------------------------------------------------------------------------ */

/* [number of records, counters] */
static void on_look(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    struct counts counts = {0};
    if (queue == NULL || reply == NULL) {
        return;
    }
    struct audit *audit = &queue->audit;
    arm(queue, queue->settings->audit_interval_ms);
    if (reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
        return;
    }
    if (!reply_is_array(reply, 2)) {
        return;
    }
    counts_take(reply->element[1], &counts, NULL);
    audit->unaccounted = counts_unaccounted(&counts, reply_int(reply->element[0], 0));
    log_debug("audit: unaccounted %" PRId64, audit->unaccounted);
    if (audit->unaccounted == 0) {
        if (audit->told != 0) {
            log_notice("audit: unaccounted 0 again");
        }
        audit->told = 0;
        audit->second_round = false;
        return;
    }
    audit->walking = true;
    audit->source = 0;
    (void)snprintf(audit->cursor, sizeof audit->cursor, "0");
    arm(queue, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    struct audit *audit = &queue->audit;
    if (!queue->ready || queue->stopped) {
        return;
    }
    if (queue->in_trouble) {
        arm(queue, FIRST_MS);
    } else if (audit->walking) {
        send_script(queue, sources[audit->source].key, audit->cursor, sources[audit->source].where, on_page);
    } else {
        send_script(queue, KEY_COUNTERS, "", "", on_look);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

int audit_init(struct queue *queue, struct err *err) {
    queue->audit.timer = evtimer_new(queue->base, on_timer, queue);
    return queue->audit.timer == NULL ? err_no_memory(err) : 0;
}

void audit_fini(struct queue *queue) {
    arena_fini(&queue->audit.arena);
    if (queue->audit.timer != NULL) {
        event_free(queue->audit.timer);
    }
}

void audit_restart(struct queue *queue) {
    if (queue->settings->audit_interval_ms > 0) {
        finish(queue);
        queue->audit.second_round = false;
        arm(queue, queue->settings->audit_interval_ms < FIRST_MS ? queue->settings->audit_interval_ms : FIRST_MS);
    }
}
