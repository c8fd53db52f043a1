/* store_audit: the auditor. Recounts every record and compares with the counters; names what is missing.
 *
 * Each notice is named somewhere beside its record: by its customer's chain (last, previous), by the due set, by a kept
 * job. A name without a record is a notice that somebody deleted. The walk is by cursor while reachd goes on working, so
 * a difference between recount and counters counts only where the counters stood still meanwhile (`still` true);
 * `unaccounted` compares the counters with the number of records in one atomic look and is exact at any time.
 *
 * Fails: ERR_REDIS. Does not: mend anything. Memory: the ids of all notices for the time of the call. */
#include "queue/store_inside.h"

#include "queue/counts.h"
#include "queue/record.h"

#include <stdlib.h>
#include <string.h>

enum { IDS_MAX = 1000 };

struct audit {
    int64_t records;
    int64_t unreadable;
    int64_t states[NOTICE_STATE_COUNT];
    json_t *known;  /* ids that have a record, as an object */
    json_t *ids;    /* ids to look at */
    json_t *listed; /* the same as an object */
};

static int list_id(struct audit *audit, const char *id, struct err *err) {
    if (json_array_size(audit->ids) >= IDS_MAX || json_object_get(audit->listed, id) != NULL) {
        return 0;
    }
    if (json_array_append_new(audit->ids, json_string(id)) < 0 || json_object_set_new(audit->listed, id, json_true()) < 0) {
        return err_no_memory(err);
    }
    return 0;
}

static int on_record(void *ctx, const redisReply *id, const redisReply *text, struct err *err) {
    struct audit *audit = ctx;
    struct queue_record record = {0};
    if (json_object_get(audit->known, id->str) != NULL) {
        return 0; /* a cursor may bring a row twice */
    }
    if (json_object_set_new(audit->known, id->str, json_true()) < 0) {
        return err_no_memory(err);
    }
    audit->records++;
    if (queue_record_read(text->str, (size_t)text->len, &record, NULL, NULL) < 0) {
        audit->unreadable++;
        return list_id(audit, id->str, err);
    }
    audit->states[record.state]++;
    return 0;
}

static int on_named(struct audit *audit, const redisReply *id, struct err *err) {
    return json_object_get(audit->known, id->str) == NULL ? list_id(audit, id->str, err) : 0;
}

static int on_field(void *ctx, const redisReply *field, const redisReply *value, struct err *err) {
    (void)value;
    return on_named(ctx, field, err);
}

static int on_value(void *ctx, const redisReply *field, const redisReply *value, struct err *err) {
    (void)field;
    return on_named(ctx, value, err);
}

/* Counters and number of records in one atomic look. */
static int look(struct store *store, struct counts *counts, int64_t *records_r, struct err *err) {
    struct command command;
    command_init(&command, "MULTI");
    int rc = store_send(store, &command, err);
    store_command(store, &command, "HGETALL", KEY_COUNTERS);
    rc = rc == 0 ? store_send(store, &command, err) : (command_fini(&command), -1);
    store_command(store, &command, "HLEN", KEY_NOTICES);
    rc = rc == 0 ? store_send(store, &command, err) : (command_fini(&command), -1);
    command_init(&command, "EXEC");
    rc = rc == 0 ? store_send(store, &command, err) : (command_fini(&command), -1);
    redisReply *reply = NULL;
    for (int i = 0; rc == 0 && i < 4; i++) {
        freeReplyObject(reply);
        reply = store_next(store, err);
        rc = reply == NULL ? -1 : 0;
    }
    if (rc == 0 && !reply_is_array(reply, 2)) {
        rc = err_set(err, ERR_REDIS, "Redis at %s: %s", store->address,
                     reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer of another form than expected");
    }
    if (rc == 0) {
        counts_take(reply->element[0], counts, NULL);
        *records_r = reply_int(reply->element[1], 0);
    }
    freeReplyObject(reply);
    return rc;
}

static int walk(struct store *store, struct audit *audit, struct err *err) {
    if (store_scan(store, KEY_NOTICES, on_record, audit, err) < 0 || store_scan(store, KEY_LAST, on_value, audit, err) < 0 ||
        store_scan(store, KEY_PREVIOUS, on_field, audit, err) < 0 || store_scan(store, KEY_PREVIOUS, on_value, audit, err) < 0) {
        return -1;
    }
    return store_scan(store, KEY_DUE, on_field, audit, err) < 0 ? -1 : store_scan(store, KEY_JOBS, on_field, audit, err);
}

json_t *store_audit(struct store *store, struct err *err) {
    struct counts before = {0}, after = {0};
    int64_t records_before = 0, records = 0;
    struct audit audit = {.known = json_object(), .ids = json_array(), .listed = json_object()};
    json_t *result = NULL;
    if (look(store, &before, &records_before, err) < 0 || walk(store, &audit, err) < 0 || look(store, &after, &records, err) < 0) {
        goto out;
    }
    bool still = memcmp(&before, &after, sizeof before) == 0;
    int64_t unaccounted = counts_unaccounted(&after, records);
    for (int i = 0; still && i < NOTICE_STATE_COUNT; i++) {
        enum notice_state state = (enum notice_state)i;
        if (notice_state_held(state) && !notice_state_final(state)) {
            int64_t off = counts_off_by(audit.states[i], after.states[i]);
            unaccounted = off > unaccounted ? off : unaccounted;
        }
    }
    result = json_pack("{s:I, s:o, s:o, s:I, s:I, s:b, s:O}", "records", (json_int_t)audit.records, "states", counts_object(audit.states),
                       "counted", counts_object(after.states), "unaccounted", (json_int_t)unaccounted, "unreadable",
                       (json_int_t)audit.unreadable, "still", still, "ids", audit.ids);
    if (result == NULL) {
        (void)err_no_memory(err);
    }
out:
    json_decref(audit.known);
    json_decref(audit.ids);
    json_decref(audit.listed);
    return result;
}
