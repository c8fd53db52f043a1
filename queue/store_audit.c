/* store_audit: the auditor. Recounts every record and compares with the counters; names what is missing.
 *
 * Each notice is named somewhere beside its record: by its customer's chain (last, previous), by the due set, by a kept job. A name without
 * a record is a notice that somebody deleted. The walk is by cursor while reachd goes on working; the states are counted by
 * lua/recount.lua, which sees all records as they were at one moment. Where that cannot be had (reachd is at it itself, or this role may
 * not), they are counted in the walk, and a difference counts only where the counters stood still meanwhile (`still`). `unaccounted` also
 * compares the counters with the number of records in one atomic look, which is exact at any time.
 *
 * Fails: ERR_REDIS. Does not: mend anything. Memory: the ids of all notices for the time of the call. */
#include "queue/store_inside.h"

#include "queue/counts.h"
#include "queue/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The text of a record names its state too (dispatcher/record.c): where it is another one, somebody has changed the head by hand. */
static bool contradicts_itself(const struct queue_record *record) {
    static const char start[] = "{\"s\":\"";
    size_t len = sizeof start - 1;
    return strncmp(record->record, start, len) == 0 && record->record[len] != notice_state_letter(record->state);
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
    return contradicts_itself(&record) ? list_id(audit, id->str, err) : 0;
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

/* ---- state by state ------------------------------------------------------------------------------------------------ */

enum { PAGE = 500, CHANGES_MAX = 500000, STANDS_MS = 60000 };

static redisReply *recount(struct store *store, const char *what, const char *name, const char *cursor) {
    static const enum key keys[] = {KEY_NOTICES, KEY_AUDIT, KEY_AUDITED, KEY_COUNTERS};
    struct command command;
    struct err err; /* where it cannot be had, the walk counts */
    store_script(store, &command, SCRIPT_RECOUNT, sizeof keys / sizeof *keys);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        command_puts(&command, store->keys.name[keys[i]]);
    }
    command_puts(&command, what);
    command_puts(&command, name);
    if (cursor == NULL) { /* begin: nobody is kept from beginning another one after it */
        command_put_i64(&command, 1);
        command_puts(&command, "again");
    } else {
        command_puts(&command, cursor);
        command_put_i64(&command, PAGE);
        command_put_i64(&command, CHANGES_MAX);
        command_put_i64(&command, STANDS_MS);
    }
    return store_run(store, SCRIPT_RECOUNT, &command, &err);
}

static void add_page(const redisReply *page, int64_t records[NOTICE_STATE_COUNT]) {
    enum notice_state state;
    for (size_t i = 1; i + 1 < page->elements; i += 2) {
        if (reply_is_string(page->element[i]) && notice_state_from_letter(page->element[i]->str[0], &state)) {
            records[state] += reply_int(page->element[i + 1], 0);
        }
    }
}

/* True where the records of one moment were counted: then off_r says how they differ from the counters of that moment. */
static bool recount_states(struct store *store, int64_t records[NOTICE_STATE_COUNT], struct counts *counts,
                           int64_t off_r[NOTICE_STATE_COUNT]) {
    char name[64], cursor[32] = "0";
    (void)snprintf(name, sizeof name, "reachctl %ld %lld", (long)getpid(), (long long)clock_wall_ms(&clock_system));
    redisReply *reply = recount(store, "begin", name, NULL);
    bool goes_on = reply_is_array(reply, 1);
    if (goes_on) {
        *counts = (struct counts){0};
        memset(records, 0, NOTICE_STATE_COUNT * sizeof *records);
        counts_take(reply, counts, NULL);
    }
    do {
        freeReplyObject(reply);
        reply = goes_on ? recount(store, "page", name, cursor) : NULL;
        goes_on = reply_is_array(reply, 1) && reply_is_string(reply->element[0]);
        if (goes_on) {
            add_page(reply, records);
            (void)snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        }
    } while (goes_on && strcmp(cursor, "0") != 0);
    freeReplyObject(reply);
    if (goes_on) {
        freeReplyObject(recount(store, "end", name, "0"));
        counts_compare(counts, records, off_r);
    }
    return goes_on;
}

json_t *store_audit(struct store *store, struct err *err) {
    struct counts before = {0}, after = {0};
    int64_t records_before = 0, records = 0;
    struct audit audit = {.known = json_object(), .ids = json_array(), .listed = json_object()};
    json_t *result = NULL;
    if (look(store, &before, &records_before, err) < 0 || walk(store, &audit, err) < 0 || look(store, &after, &records, err) < 0) {
        goto out;
    }
    int64_t off[NOTICE_STATE_COUNT] = {0};
    int64_t unaccounted = counts_unaccounted(&after, records);
    bool still = memcmp(&before, &after, sizeof before) == 0;
    if (recount_states(store, audit.states, &after, off)) {
        still = true;
        if (counts_wrong(off) != 0) { /* a table that shrinks may show a record twice */
            (void)recount_states(store, audit.states, &after, off);
        }
    } else if (still) {
        counts_compare(&after, audit.states, off);
    }
    unaccounted = counts_wrong(off) > unaccounted ? counts_wrong(off) : unaccounted;
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
