/* store_status: the state of the whole in one look (one MULTI/EXEC).
 *
 * `unaccounted` is how far the counters are off (counts.h): 0, or something outside reachd has changed Redis.
 *
 * Fails: ERR_REDIS. Does not: mend anything. */
#include "queue/store_inside.h"

#include "queue/counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lanes --------------------------------------------------------------------------------------------------------- */

static const redisReply *member(const redisReply *pairs, const char *name) {
    for (size_t i = 0; reply_is_array(pairs, i + 2); i += 2) {
        if (reply_is_string(pairs->element[i]) && strcmp(pairs->element[i]->str, name) == 0) {
            return pairs->element[i + 1];
        }
    }
    return NULL;
}

static const redisReply *find_group(const redisReply *groups, const char *name) {
    for (size_t i = 0; reply_is_array(groups, i + 1); i++) {
        const redisReply *group_name = member(groups->element[i], "name");
        if (reply_is_string(group_name) && strcmp(group_name->str, name) == 0) {
            return groups->element[i];
        }
    }
    return NULL;
}

/* The entries behind `after`: the first one's id (milliseconds, 0: none) and, by pages, their number. 0 or -1. */
static int count_behind(struct store *store, enum stream stream, const char *after, bool count_all, int64_t *first_ms_r, int64_t *n_r,
                        struct err *err) {
    char from[64];
    *first_ms_r = *n_r = 0;
    (void)snprintf(from, sizeof from, "(%s", after);
    for (bool more = true; more;) {
        struct command command;
        store_command(store, &command, "XRANGE", stream_key(stream));
        command_puts(&command, from);
        command_puts(&command, "+");
        command_puts(&command, "COUNT");
        command_put_i64(&command, count_all ? 1000 : 1);
        redisReply *reply = store_ask(store, &command, err);
        if (reply == NULL) {
            return -1;
        }
        if (reply->elements > 0 && *n_r == 0) {
            *first_ms_r = strtoll(reply->element[0]->element[0]->str, NULL, 10);
        }
        *n_r += (int64_t)reply->elements;
        more = count_all && reply->elements == 1000;
        if (more) {
            (void)snprintf(from, sizeof from, "(%s", reply->element[999]->element[0]->str);
        }
        freeReplyObject(reply);
    }
    return 0;
}

/* What the leases of a lane say: how many entries are open, and behind which id the first of them comes ("" where none is). */
struct leased {
    int64_t open;
    char after[48];
};

static bool is_older(const char *id, const char *than) {
    uint64_t ms = 0, seq = 0, than_ms = 0, than_seq = 0;
    bool known = stream_id_read(id, &ms, &seq) == 0 && stream_id_read(than, &than_ms, &than_seq) == 0;
    return !known || ms < than_ms || (ms == than_ms && seq < than_seq);
}

/* `<deliveries> <end> <entries open> <after>,<to>...`, as lua/leases.lua writes it. */
static void add_lease(const char *text, struct leased *leased) {
    char after[48];
    long long open = 0;
    if (sscanf(text, "%*d %*d %lld %47[0-9-]", &open, after) == 2) { /* NOLINT(cert-err34-c): its own text */
        leased->open += open;
        if (is_older(after, leased->after)) {
            (void)snprintf(leased->after, sizeof leased->after, "%s", after);
        }
    }
}

/* `leases` is the answer to HGETALL. */
static struct leased sum_leases(const redisReply *leases, const char *lane) {
    struct leased leased = {0, ""};
    size_t len = strlen(lane);
    for (size_t i = 0; reply_is_array(leases, i + 2); i += 2) {
        const redisReply *field = leases->element[i], *text = leases->element[i + 1];
        if (reply_is_string(field) && reply_is_string(text) && strncmp(field->str, lane, len) == 0 && field->str[len] == '/') {
            add_lease(text->str, &leased);
        }
    }
    return leased;
}

/* `groups` is the answer to XINFO GROUPS, an error where there is no such stream. */
static json_t *lane_object(struct store *store, enum stream stream, const redisReply *groups, const struct leased *leased, int64_t now_ms,
                           struct err *err) {
    const redisReply *group = find_group(groups, store->settings->group);
    const redisReply *delivered = member(group, "last-delivered-id");
    const redisReply *lag = member(group, "lag");
    int64_t waiting = reply_int(lag, -1), first_ms = 0, counted = 0, oldest_ms = 0, n = 0;
    if (groups->type != REDIS_REPLY_ERROR) {
        const char *after = reply_is_string(delivered) ? delivered->str : "0-0";
        if (count_behind(store, stream, after, waiting < 0, &first_ms, &counted, err) < 0 ||
            (leased->after[0] != '\0' && count_behind(store, stream, leased->after, false, &oldest_ms, &n, err) < 0)) {
            return NULL;
        }
        /* Redis 7.0 does not count in `lag` what was read, where it has read that from a file again that was rewritten before. */
        waiting = first_ms == 0 ? 0 : waiting;
    }
    if (oldest_ms == 0 || (first_ms != 0 && first_ms < oldest_ms)) {
        oldest_ms = first_ms;
    }
    int64_t age_ms = oldest_ms == 0 || oldest_ms > now_ms ? 0 : now_ms - oldest_ms;
    return json_pack("{s:I, s:I, s:I}", "waiting", (json_int_t)(waiting < 0 ? counted : waiting), "pending", (json_int_t)leased->open,
                     "oldest_ms", (json_int_t)age_ms);
}

/* ---- status -------------------------------------------------------------------------------------------------------- */

enum { LOOK_COUNTERS, LOOK_RECORDS, LOOK_DESK, LOOK_HOLDS, LOOK_LEASES, LOOK_TIME, LOOK_GROUPS, LOOK_COUNT = LOOK_GROUPS + STREAM_COUNT };

static int send_looks(struct store *store, struct err *err) {
    struct command command;
    static const struct {
        const char *name;
        enum key key;
    } looks[] = {{"HGETALL", KEY_COUNTERS}, {"HLEN", KEY_NOTICES}, {"HLEN", KEY_DESK}, {"HLEN", KEY_HOLDS}, {"HGETALL", KEY_LEASES}};
    command_init(&command, "MULTI");
    int rc = store_send(store, &command, err);
    for (size_t i = 0; rc == 0 && i < sizeof looks / sizeof *looks; i++) {
        store_command(store, &command, looks[i].name, looks[i].key);
        rc = store_send(store, &command, err);
    }
    if (rc == 0) {
        command_init(&command, "TIME");
        rc = store_send(store, &command, err);
    }
    for (int i = 0; rc == 0 && i < STREAM_COUNT; i++) {
        command_init(&command, "XINFO");
        command_puts(&command, "GROUPS");
        command_puts(&command, store->keys.name[stream_key((enum stream)i)]);
        rc = store_send(store, &command, err);
    }
    if (rc == 0) {
        command_init(&command, "EXEC");
        rc = store_send(store, &command, err);
    }
    return rc;
}

/* The answer to EXEC, or NULL with *err; everything before it is read away. */
static redisReply *look(struct store *store, struct err *err) {
    redisReply *reply = NULL;
    if (send_looks(store, err) < 0) {
        return NULL;
    }
    for (int i = 0; i < LOOK_COUNT + 2; i++) {
        freeReplyObject(reply);
        reply = store_next(store, err);
        if (reply == NULL) {
            return NULL;
        }
    }
    if (!reply_is_array(reply, LOOK_COUNT)) {
        (void)err_set(err, ERR_REDIS, "Redis at %s: %s", store->address,
                      reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer of another form than expected");
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

static json_t *lanes_object(struct store *store, const redisReply *looks, struct err *err) {
    const redisReply *time = looks->element[LOOK_TIME];
    int64_t now_ms = reply_is_array(time, 2) ? reply_int(time->element[0], 0) * 1000 + reply_int(time->element[1], 0) / 1000 : 0;
    json_t *lanes = json_object();
    for (int i = 0; i < STREAM_COUNT; i++) {
        struct leased leased = sum_leases(looks->element[LOOK_LEASES], stream_name((enum stream)i));
        json_t *lane = lane_object(store, (enum stream)i, looks->element[LOOK_GROUPS + i], &leased, now_ms, err);
        if (lane == NULL || json_object_set_new(lanes, stream_name((enum stream)i), lane) < 0) {
            json_decref(lanes);
            return NULL;
        }
    }
    return lanes;
}

json_t *store_status(struct store *store, struct err *err) {
    redisReply *looks = look(store, err);
    if (looks == NULL) {
        return NULL;
    }
    struct counts counts = {0};
    json_t *counters = json_object();
    json_t *status = NULL;
    counts_take(looks->element[LOOK_COUNTERS], &counts, counters);
    struct sums sums = counts_sum(counts.states);
    int64_t records = reply_int(looks->element[LOOK_RECORDS], 0);
    json_t *lanes = lanes_object(store, looks, err);
    if (lanes != NULL) {
        status = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:O, s:I, s:I, s:I}", "accepted", (json_int_t)counts.accepted,
                           "finished", (json_int_t)sums.finished, "in_flight", (json_int_t)(sums.all - sums.finished), "unaccounted",
                           (json_int_t)counts_unaccounted(&counts, records), "stranded", (json_int_t)counts.states[NOTICE_STRANDED], "dead",
                           (json_int_t)counts.states[NOTICE_DEAD], "duplicates", (json_int_t)counts.states[NOTICE_DUPLICATE], "states",
                           counts_object(counts.states), "lanes", lanes, "counters", counters, "desk_open",
                           (json_int_t)reply_int(looks->element[LOOK_DESK], 0), "holds",
                           (json_int_t)reply_int(looks->element[LOOK_HOLDS], 0), "retired", (json_int_t)counts.retired);
        if (status == NULL) {
            (void)err_no_memory(err);
        }
    }
    json_decref(counters);
    freeReplyObject(looks);
    return status;
}
