/* record: see record.h.
 *
 * Written by hand into a buffer (it is on the path of every notice), read with jansson (only when a notice comes back: a
 * retry, a wait that is over, a receipt, an operator). Members that have their usual value are left out, and what the timeline repeats is
 * written once (record_line.c), so that a finished notice takes little room.
 *
 * Guarantees: record_read(record_write(r)) gives r again. Members that a newer version may have added are ignored on reading,
 * so that an older reachd can be started on a newer one's data. Does not: talk to Redis. */
#include "dispatcher/record.h"

#include "dispatcher/record_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void put_name(struct buf *out, const char *name) {
    if (out->len > 0 && out->data[out->len - 1] != '{') {
        buf_putc(out, ',');
    }
    buf_putc(out, '"');
    buf_puts(out, name);
    buf_puts(out, "\":");
}

static void put_text(struct buf *out, const char *name, const char *value) {
    if (value != NULL) {
        put_name(out, name);
        buf_put_json_str(out, value);
    }
}

static void put_hash(struct buf *out, const char *name, const char *value) {
    if (value != NULL) {
        put_name(out, name);
        record_hash_put(out, value);
    }
}

static void put_number(struct buf *out, const char *name, int64_t value) {
    if (value != 0) {
        put_name(out, name);
        buf_put_i64(out, value);
    }
}

static void put_time(struct buf *out, const char *name, const struct record *record, int64_t at_ms) {
    if (at_ms != 0) {
        put_name(out, name);
        record_time_put(out, record, at_ms);
    }
}

static void put_flag(struct buf *out, const char *name, bool value) {
    if (value) {
        put_name(out, name);
        buf_puts(out, "true");
    }
}

/* What is the same as in most notices (one version, one attempt) is left out. */
static void put_made(struct buf *out, const struct record *record, const struct record_try *t) {
    if (t->check == NULL) {
        return;
    }
    put_text(out, "mc", t->check);
    put_text(out, "mk", t->key_mark);
    if (record->version == NULL || t->version == NULL || strcmp(record->version, t->version) != 0) {
        put_hash(out, "tv", t->version);
    }
    put_time(out, "m", record, t->made_at_ms == t->plan.first_at_ms ? 0 : t->made_at_ms);
}

static void put_try(struct buf *out, const struct record *record, const struct record_try *t) {
    buf_putc(out, '{');
    put_name(out, "s");
    buf_put_u64(out, t->plan.step);
    put_text(out, "k", t->plan.contact_key);
    put_text(out, "ch", t->channel);
    put_text(out, "g", t->gateway);
    put_text(out, "to", t->to);
    put_number(out, "n", t->plan.attempts);
    put_text(out, "o", outcome_name(t->plan.last));
    if (t->plan.best != EVIDENCE_NONE) {
        put_text(out, "ev", evidence_name(t->plan.best));
    }
    put_flag(out, "ew", t->plan.early_warning);
    put_flag(out, "bad", t->plan.failed_later);
    put_time(out, "first", record, t->plan.first_at_ms);
    put_time(out, "at", record, t->plan.last_at_ms);
    put_time(out, "retry", record, t->plan.retry_at_ms);
    put_text(out, "code", t->code);
    put_text(out, "why", t->why);
    put_number(out, "u", t->doubts);
    put_text(out, "ref", t->ref);
    put_made(out, record, t);
    buf_putc(out, '}');
}

static void put_addresses(struct buf *out, const char *name, const struct address_list *list) {
    put_name(out, name);
    buf_putc(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        buf_put_json_str(out, list->items[i]);
    }
    buf_putc(out, ']');
}

static void put_lists(const struct record *record, struct buf *out) {
    put_addresses(out, "a", &record->accounts);
    if (record->domains.n > 0) {
        put_addresses(out, "dom", &record->domains);
    }
    if (record->logins.n > 0) {
        put_addresses(out, "lb", &record->logins);
        put_text(out, "lr", record->login_ref);
    }
    put_name(out, "tries");
    buf_putc(out, '[');
    for (size_t i = 0; i < record->n_tries; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        put_try(out, record, &record->tries[i]);
    }
    buf_putc(out, ']');
    put_name(out, "log");
    buf_putc(out, '[');
    for (size_t i = 0; i < record->n_log; i++) {
        buf_puts(out, i == 0 ? "" : ",");
        record_line_put(out, record, &record->log[i]);
    }
    buf_putc(out, ']');
}

/* JSON itself; a string that holds it where it says what the release looks for in a record's text (queue/lua/effects.lua, is_done): what a
 * producer sends must not look like a hold of ours. */
static void put_data(const struct record *record, struct buf *out) {
    if (record->data != NULL && strstr(record->data, "\"hold\":true") != NULL) {
        put_text(out, "data", record->data);
    } else if (record->data != NULL) {
        put_name(out, "data");
        buf_puts(out, record->data);
    }
}

void record_write(const struct record *record, enum notice_state state, struct buf *out) {
    const char letter[] = {notice_state_letter(state), '\0'};
    buf_putc(out, '{');
    put_text(out, "s", letter); /* first: the auditor compares it with the head of the record (queue/lua/recount.lua) */
    put_text(out, "c", record->customer);
    put_text(out, "n", record->notice);
    put_number(out, "at", record->accepted_at_ms);
    put_time(out, "eff", record, record->effective_at_ms);
    put_time(out, "exp", record, record->expires_at_ms);
    put_time(out, "prom", record, record->promise_at_ms);
    put_text(out, "route", record->route);
    put_hash(out, "d", record->digest);
    put_text(out, "x", record->origin);
    put_text(out, "v", record->verdict);
    put_text(out, "why", record->why);
    put_text(out, "l", record->locale);
    put_hash(out, "tv", record->version);
    put_text(out, "an", record->addressed.name);
    put_text(out, "az", record->addressed.time_zone);
    put_text(out, "al", record->addressed.locale);
    put_data(record, out);
    put_flag(out, "desk", record->desk);
    put_flag(out, "hold", record->held);
    put_flag(out, "clear", record->cleared);
    put_flag(out, "bn", record->banner);
    put_time(out, "sus", record, record->suspect_since_ms);
    put_number(out, "own", (int64_t)record->n_own);
    put_lists(record, out);
    buf_putc(out, '}');
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static const char *get_text(const json_t *object, const char *name, struct arena *arena) {
    return arena_strdup(arena, json_string_value(json_object_get(object, name)));
}

static int64_t get_number(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

static int64_t get_time(const json_t *object, const char *name, const struct record *record) {
    const json_t *value = json_object_get(object, name);
    return value == NULL ? 0 : record_time_read(record, json_integer_value(value));
}

/* JSON text of a member, or a string that holds it (put_data(); of earlier versions always). */
static const char *get_json(const json_t *object, const char *name, struct arena *arena) {
    const json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_string(value)) {
        return get_text(object, name, arena);
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *copy = arena_strdup(arena, text);
    free(text);
    return copy;
}

static bool get_flag(const json_t *object, const char *name) {
    return json_is_true(json_object_get(object, name));
}

static enum outcome_kind outcome_from_name(const char *name) {
    for (int kind = OUTCOME_SENT; kind <= OUTCOME_UNKNOWN; kind++) {
        if (name != NULL && strcmp(outcome_name((enum outcome_kind)kind), name) == 0) {
            return (enum outcome_kind)kind;
        }
    }
    return OUTCOME_UNKNOWN;
}

static void read_made(const json_t *object, const struct record *record, struct arena *arena, struct record_try *t) {
    t->check = get_text(object, "mc", arena);
    if (t->check == NULL) {
        return;
    }
    t->key_mark = get_text(object, "mk", arena);
    t->version = record_hash_read(json_string_value(json_object_get(object, "tv")), arena);
    t->version = t->version == NULL ? record->version : t->version;
    t->made_at_ms = get_time(object, "m", record);
    t->made_at_ms = t->made_at_ms == 0 ? t->plan.first_at_ms : t->made_at_ms;
}

static void read_try(const json_t *object, const struct record *record, struct arena *arena, struct record_try *t) {
    t->plan.step = (uint32_t)get_number(object, "s");
    const char *key = json_string_value(json_object_get(object, "k"));
    (void)snprintf(t->plan.contact_key, sizeof t->plan.contact_key, "%s", key == NULL ? "" : key);
    t->plan.attempts = (uint32_t)get_number(object, "n");
    t->plan.last = outcome_from_name(json_string_value(json_object_get(object, "o")));
    const char *evidence = json_string_value(json_object_get(object, "ev"));
    if (evidence != NULL && evidence_find(evidence, &t->plan.best) != 1) {
        t->plan.best = EVIDENCE_NONE;
    }
    t->plan.early_warning = get_flag(object, "ew");
    t->plan.failed_later = get_flag(object, "bad");
    t->plan.first_at_ms = get_time(object, "first", record);
    t->plan.last_at_ms = get_time(object, "at", record);
    t->plan.retry_at_ms = get_time(object, "retry", record);
    t->channel = get_text(object, "ch", arena);
    t->gateway = get_text(object, "g", arena);
    t->to = get_text(object, "to", arena);
    t->code = get_text(object, "code", arena);
    t->why = get_text(object, "why", arena);
    t->doubts = (uint32_t)get_number(object, "u");
    t->ref = get_text(object, "ref", arena);
    read_made(object, record, arena, t);
}

static bool read_addresses(const json_t *array, struct arena *arena, struct address_list *list) {
    list->n = json_array_size(array);
    list->items = arena_array(arena, list->n, sizeof *list->items);
    for (size_t i = 0; list->items != NULL && i < list->n; i++) {
        const char *address = json_string_value(json_array_get(array, i));
        list->items[i] = arena_strdup(arena, address == NULL ? "" : address);
    }
    return list->items != NULL;
}

static int read_lists(const json_t *root, struct arena *arena, struct record *record) {
    const json_t *tries = json_object_get(root, "tries");
    const json_t *log = json_object_get(root, "log");
    record->n_tries = json_array_size(tries);
    record->tries = arena_array(arena, record->n_tries, sizeof *record->tries);
    record->n_log = json_array_size(log);
    record->log = arena_array(arena, record->n_log, sizeof *record->log);
    if (record->tries == NULL || record->log == NULL || !read_addresses(json_object_get(root, "a"), arena, &record->accounts) ||
        !read_addresses(json_object_get(root, "dom"), arena, &record->domains) ||
        !read_addresses(json_object_get(root, "lb"), arena, &record->logins)) {
        return -1;
    }
    record->login_ref = get_text(root, "lr", arena);
    record->n_own = (size_t)get_number(root, "own");
    record->n_own = record->n_own < record->accounts.n ? record->n_own : record->accounts.n;
    for (size_t i = 0; i < record->n_tries; i++) {
        read_try(json_array_get(tries, i), record, arena, &record->tries[i]);
    }
    for (size_t i = 0; i < record->n_log; i++) {
        record->log[i] = record_line_read(json_array_get(log, i), record, arena);
    }
    return 0;
}

int record_read(const char *text, struct arena *arena, struct record *record, struct err *err) {
    json_error_t at;
    json_t *root = json_loadb(text, strlen(text), 0, &at);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_SYNTAX, "the record of this notice is damaged: not a JSON object");
    }
    *record = (struct record){0};
    record->customer = get_text(root, "c", arena);
    record->notice = get_text(root, "n", arena);
    record->accepted_at_ms = get_number(root, "at");
    record->effective_at_ms = get_time(root, "eff", record);
    record->expires_at_ms = get_time(root, "exp", record);
    record->promise_at_ms = get_time(root, "prom", record);
    record->suspect_since_ms = get_time(root, "sus", record);
    record->route = get_text(root, "route", arena);
    record->digest = record_hash_read(json_string_value(json_object_get(root, "d")), arena);
    record->origin = get_text(root, "x", arena);
    record->verdict = get_text(root, "v", arena);
    record->why = get_text(root, "why", arena);
    record->locale = get_text(root, "l", arena);
    record->version = record_hash_read(json_string_value(json_object_get(root, "tv")), arena);
    record->addressed.name = get_text(root, "an", arena);
    record->addressed.time_zone = get_text(root, "az", arena);
    record->addressed.locale = get_text(root, "al", arena);
    record->data = get_json(root, "data", arena);
    record->desk = get_flag(root, "desk");
    record->held = get_flag(root, "hold");
    record->cleared = get_flag(root, "clear");
    record->banner = get_flag(root, "bn");
    int result = read_lists(root, arena, record);
    json_decref(root);
    if (record->customer == NULL || record->notice == NULL) {
        return err_set(err, ERR_SYNTAX, "the record of this notice is damaged: it names no customer or no notice");
    }
    return result < 0 ? err_no_memory(err) : 0;
}

/* ---- changing ------------------------------------------------------------------------------------------------------ */

int record_log(struct record *record, struct arena *arena, int64_t at_ms, const char *what, const char *detail) {
    struct record_line *log = arena_array(arena, record->n_log + 1, sizeof *log);
    const char *what_copy = arena_strdup(arena, what);
    const char *detail_copy = arena_strdup(arena, detail);
    if (log == NULL || what_copy == NULL || (detail != NULL && detail_copy == NULL)) {
        return -1;
    }
    size_t keep = record->n_log;
    size_t skip = 0;
    if (keep == RECORD_LOG_MAX) { /* keep the first line, drop the second */
        log[0] = record->log[0];
        skip = 1;
        keep--;
    }
    for (size_t i = skip; i < keep; i++) {
        log[i] = record->log[i + skip];
    }
    log[keep] = (struct record_line){at_ms, what_copy, detail_copy};
    record->log = log;
    record->n_log = keep + 1;
    return 0;
}

struct record_try *record_try_get(struct record *record, struct arena *arena, uint32_t step, const char *contact_key) {
    for (size_t i = 0; i < record->n_tries; i++) {
        if (record->tries[i].plan.step == step && strcmp(record->tries[i].plan.contact_key, contact_key) == 0) {
            return &record->tries[i];
        }
    }
    struct record_try *tries = arena_array(arena, record->n_tries + 1, sizeof *tries);
    if (tries == NULL) {
        return NULL;
    }
    if (record->n_tries > 0) {
        memcpy(tries, record->tries, record->n_tries * sizeof *tries);
    }
    struct record_try *made = &tries[record->n_tries];
    made->plan.step = step;
    (void)snprintf(made->plan.contact_key, sizeof made->plan.contact_key, "%s", contact_key);
    record->tries = tries;
    record->n_tries++;
    return made;
}

const struct plan_try *record_plan_tries(const struct record *record, struct arena *arena, size_t *n_r) {
    *n_r = record->n_tries;
    struct plan_try *tries = arena_array(arena, record->n_tries, sizeof *tries);
    if (tries == NULL) {
        *n_r = 0;
        return NULL;
    }
    for (size_t i = 0; i < record->n_tries; i++) {
        tries[i] = record->tries[i].plan;
    }
    return tries;
}
