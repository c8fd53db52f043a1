/* store: see store.h. The connection, pushing, and the plain look-ups.
 *
 * Guarantees: every wait is bounded by connect_timeout_ms; after a failure that leaves answers outstanding the connection is not used again
 * (hiredis marks it), so an answer is never taken for another's. How it fails: ERR_REDIS with one line that says what to look
 * at. Does not: retry; reachctl tells its user instead. */
#include "queue/store_inside.h"

#include "base/text.h"
#include "queue/record.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIPELINE = 512, SCAN_COUNT = 1000, CHAIN_MAX = 100000 };

/* ---- connection ---------------------------------------------------------------------------------------------------- */

int store_failed(struct store *store, struct err *err) {
    const char *why = store->redis->err == REDIS_ERR_IO && store->redis->errstr[0] == '\0' ? "no answer in time" : store->redis->errstr;
    return err_set(err, ERR_REDIS, "Redis at %s: %s", store->address, why);
}

int store_send(struct store *store, struct command *command, struct err *err) {
    int rc = command_end(command);
    if (rc < 0) {
        (void)err_no_memory(err);
    } else if (redisAppendFormattedCommand(store->redis, command_data(command), command_len(command)) != REDIS_OK) {
        rc = store_failed(store, err);
    }
    command_fini(command);
    return rc;
}

redisReply *store_next(struct store *store, struct err *err) {
    void *reply = NULL;
    if (redisGetReply(store->redis, &reply) != REDIS_OK || reply == NULL) {
        (void)store_failed(store, err);
        return NULL;
    }
    return reply;
}

redisReply *store_ask(struct store *store, struct command *command, struct err *err) {
    if (store_send(store, command, err) < 0) {
        return NULL;
    }
    redisReply *reply = store_next(store, err);
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        (void)err_set(err, ERR_REDIS, "Redis at %s: %s", store->address, reply->str);
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

void store_command(const struct store *store, struct command *command, const char *name, enum key key) {
    command_init(command, name);
    command_puts(command, store->keys.name[key]);
}

struct store *store_open(const struct queue_settings *settings, struct err *err) {
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* hiredis writes to a socket that Redis may have closed */
    store->settings = settings;
    if (queue_keys_make(settings->prefix, &store->arena, &store->keys) < 0) {
        (void)err_no_memory(err);
    } else if (scripts_make(&store->arena, store->scripts, err) == 0 && store_connect(store, err) == 0) {
        return store;
    }
    store_close(store);
    return NULL;
}

const char *store_address(const struct store *store) {
    return store->address;
}

void store_close(struct store *store) {
    if (store == NULL) {
        return;
    }
    if (store->redis != NULL) {
        redisFree(store->redis);
    }
    arena_fini(&store->arena);
    free(store);
}

/* ---- pushing ------------------------------------------------------------------------------------------------------- */

static int send_entry(struct store *store, enum stream stream, const char *body, size_t len, struct err *err) {
    struct command command;
    store_command(store, &command, "XADD", stream_key(stream));
    command_puts(&command, "*");
    command_puts(&command, stream_field(stream));
    command_put(&command, body, len);
    return store_send(store, &command, err);
}

/* Reads n answers to XADD. Counts the good ones; the first refusal is told after all are read. */
static int count_answers(struct store *store, size_t n, size_t *done_r, struct err *err) {
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        redisReply *reply = store_next(store, err);
        if (reply == NULL) {
            return -1;
        }
        if (reply->type != REDIS_REPLY_ERROR) {
            (*done_r)++;
        } else if (rc == 0) {
            rc = err_set(err, ERR_REDIS, "Redis at %s: %s", store->address, reply->str);
        }
        freeReplyObject(reply);
    }
    return rc;
}

static int push(struct store *store, enum stream stream, const char *const *bodies, const size_t *lens, size_t n, size_t *done_r,
                struct err *err) {
    *done_r = 0;
    for (size_t from = 0; from < n; from += PIPELINE) {
        size_t to = n - from < PIPELINE ? n : from + PIPELINE;
        for (size_t i = from; i < to; i++) {
            if (send_entry(store, stream, bodies[i], lens[i], err) < 0) {
                return -1;
            }
        }
        if (count_answers(store, to - from, done_r, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int store_push(struct store *store, enum lane lane, const char *const *bodies, const size_t *lens, size_t n, size_t *done_r,
               struct err *err) {
    return push(store, (enum stream)lane, bodies, lens, n, done_r, err);
}

int store_push_receipt(struct store *store, const char *body, struct err *err) {
    size_t len = strlen(body), done = 0;
    return push(store, STREAM_RECEIPTS, &body, &len, 1, &done, err);
}

/* ---- single values ------------------------------------------------------------------------------------------------- */

/* A string reply into the arena: 1, 0 for nil, -1. Frees the reply. */
static int keep_text(redisReply *reply_take, struct arena *arena, const char **value_r, struct err *err) {
    int rc = -1;
    *value_r = NULL;
    if (reply_take == NULL) {
        return -1;
    }
    if (reply_take->type == REDIS_REPLY_NIL) {
        rc = 0;
    } else if (reply_is_string(reply_take)) {
        *value_r = arena_strndup(arena, reply_take->str, (size_t)reply_take->len);
        rc = *value_r == NULL ? err_no_memory(err) : 1;
    } else {
        (void)err_set(err, ERR_REDIS, "Redis gave an answer of another form than expected");
    }
    freeReplyObject(reply_take);
    return rc;
}

void store_put_name(const struct store *store, struct command *command, const char *key) {
    struct buf name = BUF_INIT;
    buf_puts(&name, store->settings->prefix);
    buf_puts(&name, key);
    command->bytes.failed = command->bytes.failed || name.failed;
    command_put(command, name.data, name.len);
    buf_fini(&name);
}

int store_get(struct store *store, const char *key, struct arena *arena, const char **value_r, struct err *err) {
    struct command command;
    command_init(&command, "GET");
    store_put_name(store, &command, key);
    return keep_text(store_ask(store, &command, err), arena, value_r, err);
}

int store_hget(struct store *store, const char *key, const char *field, struct arena *arena, const char **value_r, struct err *err) {
    struct command command;
    command_init(&command, "HGET");
    store_put_name(store, &command, key);
    command_puts(&command, field);
    return keep_text(store_ask(store, &command, err), arena, value_r, err);
}

int store_customer(struct store *store, const char *customer, struct arena *arena, const char **json_r, struct err *err) {
    struct command command;
    store_command(store, &command, "HGET", KEY_CONTACTS);
    command_puts(&command, customer);
    return keep_text(store_ask(store, &command, err), arena, json_r, err);
}

int store_keep_texts(redisReply *reply_take, size_t n, struct arena *arena, const char **values_r, struct err *err) {
    int rc = -1;
    if (reply_take != NULL && !reply_is_array(reply_take, n)) {
        (void)err_set(err, ERR_REDIS, "Redis gave an answer of another form than expected");
    } else if (reply_take != NULL) {
        rc = 0;
        for (size_t i = 0; i < n && rc == 0; i++) {
            const redisReply *value = reply_take->element[i];
            values_r[i] = reply_is_string(value) ? arena_strndup(arena, value->str, (size_t)value->len) : NULL;
            rc = reply_is_string(value) && values_r[i] == NULL ? err_no_memory(err) : 0;
        }
    }
    freeReplyObject(reply_take);
    return rc;
}

int store_get_many(struct store *store, const char *const *keys, size_t n, struct arena *arena, const char **values_r, struct err *err) {
    struct command command;
    if (n == 0) {
        return 0;
    }
    command_init(&command, "MGET");
    for (size_t i = 0; i < n; i++) {
        store_put_name(store, &command, keys[i]);
    }
    return store_keep_texts(store_ask(store, &command, err), n, arena, values_r, err);
}

/* ---- may it be done? ------------------------------------------------------------------------------------------------- */

static redisReply *ask_allowed(struct store *store, const char *const *keys, size_t n, struct err *err) {
    struct command command;
    command_init(&command, "FCALL");
    command_puts(&command, "reach_allowed");
    command_put_i64(&command, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        store_put_name(store, &command, keys[i]);
    }
    return store_ask(store, &command, err);
}

/* reachd loads it at every connection; here it is loaded where no reachd has been yet. */
static int load_library(struct store *store, struct err *err) {
    struct command command;
    command_init(&command, "FUNCTION");
    command_puts(&command, "LOAD");
    command_puts(&command, "REPLACE");
    command_puts(&command, scripts_library());
    redisReply *reply = store_ask(store, &command, err);
    freeReplyObject(reply);
    return reply == NULL ? err_prefix(err, "the function reach_allowed is not there (reachd loads it when it starts)") : 0;
}

int store_allowed(struct store *store, const char *const *keys, size_t n, bool *allowed_r, struct err *err) {
    if (n == 0) {
        return 0;
    }
    redisReply *reply = ask_allowed(store, keys, n, err);
    if (reply == NULL && strstr(err->text, "Function not found") != NULL) {
        if (load_library(store, err) < 0) {
            return -1;
        }
        reply = ask_allowed(store, keys, n, err);
    }
    int rc = reply == NULL ? -1 : 0;
    if (rc == 0 && (!reply_is_array(reply, n) || reply->elements != n)) {
        rc = err_set(err, ERR_REDIS, "Redis gave an answer of another form than expected");
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        allowed_r[i] = reply_int(reply->element[i], 0) == 1;
    }
    freeReplyObject(reply);
    return rc;
}

json_t *store_json_text(const redisReply *reply) {
    if (!reply_is_string(reply)) {
        return NULL;
    }
    bool clean = text_is_utf8(reply->str, (size_t)reply->len);
    return clean ? json_stringn(reply->str, (size_t)reply->len) : json_string("(not UTF-8)");
}

json_t *store_hash(struct store *store, const char *key, struct err *err) {
    struct command command;
    command_init(&command, "HGETALL");
    store_put_name(store, &command, key);
    redisReply *reply = store_ask(store, &command, err);
    json_t *hash = reply == NULL ? NULL : json_object();
    for (size_t i = 0; hash != NULL && reply_is_array(reply, i + 2); i += 2) {
        if (!text_is_utf8(reply->element[i]->str, (size_t)reply->element[i]->len)) {
            continue;
        }
        if (json_object_set_new(hash, reply->element[i]->str, store_json_text(reply->element[i + 1])) < 0) {
            json_decref(hash);
            hash = NULL;
            (void)err_no_memory(err);
        }
    }
    freeReplyObject(reply);
    return hash;
}

/* ---- notices ------------------------------------------------------------------------------------------------------- */

int store_notice(struct store *store, const char *id, struct arena *arena, struct queue_record *record_r, struct err *err) {
    struct command command;
    const char *text = NULL;
    *record_r = (struct queue_record){0};
    store_command(store, &command, "HGET", KEY_NOTICES);
    command_puts(&command, id);
    int rc = keep_text(store_ask(store, &command, err), arena, &text, err);
    if (rc <= 0) {
        return rc;
    }
    if (queue_record_read(text, strlen(text), record_r, NULL, NULL) < 0) {
        return err_set(err, ERR_REDIS, "the record of notice %s cannot be read", id);
    }
    store_command(store, &command, "HGET", KEY_JOBS);
    command_puts(&command, id);
    return keep_text(store_ask(store, &command, err), arena, &record_r->job, err) < 0 ? -1 : 1;
}

/* The notice before `id` in its customer's chain. */
static int before(struct store *store, enum key key, const char *field, struct arena *arena, const char **id_r, struct err *err) {
    struct command command;
    store_command(store, &command, "HGET", key);
    command_puts(&command, field);
    return keep_text(store_ask(store, &command, err), arena, id_r, err);
}

json_t *store_customer_notices(struct store *store, const char *customer, struct err *err) {
    struct arena arena = ARENA_INIT;
    const char *id = NULL;
    json_t *ids = json_array();
    json_t *seen = json_object(); /* a chain mended by hand could run in a circle */
    int rc = before(store, KEY_LAST, customer, &arena, &id, err);
    while (rc == 1 && json_object_get(seen, id) == NULL && json_array_size(ids) < CHAIN_MAX) {
        if (json_array_append_new(ids, json_string(id)) < 0 || json_object_set_new(seen, id, json_true()) < 0) {
            rc = err_no_memory(err);
            break;
        }
        rc = before(store, KEY_PREVIOUS, id, &arena, &id, err);
    }
    json_decref(seen);
    arena_fini(&arena);
    if (rc < 0) {
        json_decref(ids);
        return NULL;
    }
    return ids;
}

int store_scan(struct store *store, enum key key, store_row_fn *each, void *ctx, struct err *err) {
    char cursor[32] = "0";
    int rc = 0;
    do {
        struct command command;
        store_command(store, &command, key == KEY_DUE ? "ZSCAN" : "HSCAN", key);
        command_puts(&command, cursor);
        command_puts(&command, "COUNT");
        command_put_i64(&command, SCAN_COUNT);
        redisReply *reply = store_ask(store, &command, err);
        if (reply == NULL) {
            return -1;
        }
        if (!reply_is_array(reply, 2) || !reply_is_string(reply->element[0])) {
            rc = err_set(err, ERR_REDIS, "Redis gave an answer of another form than expected");
        } else {
            const redisReply *rows = reply->element[1];
            (void)snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
            for (size_t i = 0; rc == 0 && reply_is_array(rows, i + 2); i += 2) {
                rc = each(ctx, rows->element[i], rows->element[i + 1], err);
            }
        }
        freeReplyObject(reply);
    } while (rc == 0 && strcmp(cursor, "0") != 0);
    return rc < 0 ? -1 : 0;
}

struct each_notice {
    enum notice_state state;
    store_each_fn *each;
    void *ctx;
};

static int each_notice(void *ctx, const redisReply *id, const redisReply *text, struct err *err) {
    const struct each_notice *wanted = ctx;
    struct queue_record record = {0};
    if (queue_record_read(text->str, (size_t)text->len, &record, NULL, NULL) < 0) {
        return err_set(err, ERR_REDIS, "the record of notice %s cannot be read", id->str);
    }
    if (wanted->state != NOTICE_STATE_COUNT && record.state != wanted->state) {
        return 0;
    }
    return wanted->each(wanted->ctx, id->str, &record) == 0 ? 0 : 1;
}

int store_each_notice(struct store *store, enum notice_state state, store_each_fn *each, void *ctx, struct err *err) {
    struct each_notice wanted = {state, each, ctx};
    return store_scan(store, KEY_NOTICES, each_notice, &wanted, err);
}

/* ---- dead letters -------------------------------------------------------------------------------------------------- */

static json_t *dead_letter(const redisReply *row) {
    json_t *letter = json_object();
    (void)json_object_set_new(letter, "entry", store_json_text(row->element[0]));
    for (size_t i = 0; reply_is_array(row->element[1], i + 2); i += 2) {
        (void)json_object_set_new(letter, row->element[1]->element[i]->str, store_json_text(row->element[1]->element[i + 1]));
    }
    return letter;
}

json_t *store_dead(struct store *store, size_t count, struct err *err) {
    struct command command;
    store_command(store, &command, "XREVRANGE", KEY_DEAD);
    command_puts(&command, "+");
    command_puts(&command, "-");
    if (count > 0) {
        command_puts(&command, "COUNT");
        command_put_i64(&command, (int64_t)count);
    }
    redisReply *reply = store_ask(store, &command, err);
    json_t *letters = reply == NULL ? NULL : json_array();
    for (size_t i = 0; letters != NULL && i < reply->elements; i++) {
        if (reply_is_array(reply->element[i], 2) && json_array_append_new(letters, dead_letter(reply->element[i])) < 0) {
            json_decref(letters);
            letters = NULL;
            (void)err_no_memory(err);
        }
    }
    freeReplyObject(reply);
    return letters;
}
