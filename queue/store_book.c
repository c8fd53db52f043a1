/* store_book: the contact book and single fields, written only where nobody else has written meanwhile; what the server is like.
 *
 * reachd itself merges news into the book all the time, so whoever reads an entry, changes it and writes it back says what it
 * was; the script compares and writes in one step. Fails: ERR_REDIS. Does not: know what an entry says. */
#include "queue/arguments.h"
#include "queue/store_inside.h"

#include <assert.h>
#include <string.h>

/* ---- scripts ------------------------------------------------------------------------------------------------------- */

void store_script(const struct store *store, struct command *command, enum script_id script, size_t n_keys) {
    command_init(command, "EVALSHA");
    command_put(command, store->scripts[script].sha, 40);
    command_put_i64(command, (int64_t)n_keys);
}

static int load(struct store *store, enum script_id script, struct err *err) {
    struct command command;
    command_init(&command, "SCRIPT");
    command_puts(&command, "LOAD");
    command_puts(&command, store->scripts[script].text);
    redisReply *reply = store_ask(store, &command, err);
    freeReplyObject(reply);
    return reply == NULL ? -1 : 0;
}

/* Loads first rather than on NOSCRIPT: one round trip more on calls that are rare, and nothing has to be kept to be sent again. */
redisReply *store_run(struct store *store, enum script_id script, struct command *command, struct err *err) {
    if (load(store, script, err) < 0) {
        command_fini(command);
        return NULL;
    }
    return store_ask(store, command, err);
}

/* ---- the book ------------------------------------------------------------------------------------------------------ */

struct each_customer {
    store_customer_fn *each;
    void *ctx;
};

static int each_row(void *ctx, const redisReply *customer, const redisReply *text, struct err *err) {
    (void)err;
    const struct each_customer *wanted = ctx;
    return wanted->each(wanted->ctx, customer->str, text->str, (size_t)text->len) == 0 ? 0 : 1;
}

int store_each_customer(struct store *store, store_customer_fn *each, void *ctx, struct err *err) {
    struct each_customer wanted = {each, ctx};
    return store_scan(store, KEY_CONTACTS, each_row, &wanted, err);
}

/* One page; `cursor` is moved on. 0, 1 where each() has stopped it, or -1. */
static int scan_members(struct store *store, const char *key, char cursor[32], store_member_fn *each, void *ctx, struct err *err) {
    struct command command;
    command_init(&command, "SSCAN");
    store_put_name(store, &command, key);
    command_puts(&command, cursor);
    command_puts(&command, "COUNT");
    command_puts(&command, "1000");
    redisReply *reply = store_ask(store, &command, err);
    int rc = reply == NULL ? -1 : 0;
    if (rc == 0 && (!reply_is_array(reply, 2) || !reply_is_string(reply->element[0]))) {
        rc = err_set(err, ERR_REDIS, "Redis gave an answer of another form than expected");
    }
    if (rc == 0) {
        const redisReply *members = reply->element[1];
        (void)snprintf(cursor, 32, "%s", reply->element[0]->str);
        for (size_t i = 0; rc == 0 && i < members->elements; i++) {
            rc = each(ctx, members->element[i]->str) == 0 ? 0 : 1;
        }
    }
    freeReplyObject(reply);
    return rc;
}

int store_each_member(struct store *store, const char *key, store_member_fn *each, void *ctx, struct err *err) {
    char cursor[32] = "0";
    int rc;
    do {
        rc = scan_members(store, key, cursor, each, ctx, err);
    } while (rc == 0 && strcmp(cursor, "0") != 0);
    return rc < 0 ? -1 : 0;
}

int store_customers_get(struct store *store, const char *const *customers, size_t n, struct arena *arena, const char **texts_r,
                        struct err *err) {
    struct command command;
    if (n == 0) {
        return 0;
    }
    store_command(store, &command, "HMGET", KEY_CONTACTS);
    for (size_t i = 0; i < n; i++) {
        command_puts(&command, customers[i]);
    }
    return store_keep_texts(store_ask(store, &command, err), n, arena, texts_r, err);
}

int store_customers_put(struct store *store, struct store_customer_put *puts, size_t n, int64_t now_ms, struct err *err) {
    static const enum key keys[] = {KEY_NOTICES, KEY_JOBS, KEY_DUE, KEY_LAST, KEY_PREVIOUS, KEY_CONTACTS, KEY_INTAKE};
    struct command command;
    if (n == 0) {
        return 0;
    }
    store_script(store, &command, SCRIPT_BOOK, sizeof keys / sizeof *keys);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        command_puts(&command, store->keys.name[keys[i]]);
    }
    command_put_i64(&command, now_ms);
    for (size_t i = 0; i < n; i++) {
        assert(puts[i].text[0] != '\0');
        command_puts(&command, puts[i].customer);
        command_puts(&command, puts[i].seen == NULL ? "" : puts[i].seen);
        command_puts(&command, puts[i].text);
        command_puts(&command, puts[i].wake ? "1" : "0");
        command_puts(&command, puts[i].job == NULL ? "" : puts[i].job);
    }
    redisReply *reply = store_run(store, SCRIPT_BOOK, &command, err);
    int rc = reply == NULL ? -1 : 0;
    if (rc == 0 && (!reply_is_string(reply) || (size_t)reply->len != n)) {
        rc = err_set(err, ERR_REDIS, "Redis gave an answer of another form than expected");
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        puts[i].written = reply->str[i] == 'A';
    }
    freeReplyObject(reply);
    return rc;
}

int store_accounts_put(struct store *store, const char *const *accounts, const char *const *customers, size_t n, struct err *err) {
    struct command command;
    if (n == 0) {
        return 0;
    }
    store_command(store, &command, "HSET", KEY_ACCOUNTS);
    for (size_t i = 0; i < n; i++) {
        command_puts(&command, accounts[i]);
        command_puts(&command, customers[i]);
    }
    redisReply *reply = store_ask(store, &command, err);
    freeReplyObject(reply);
    return reply == NULL ? -1 : 0;
}

int store_hset_if(struct store *store, const char *key, const char *field, const char *seen, const char *value, struct err *err) {
    struct command command;
    store_script(store, &command, SCRIPT_REPLACE, 1);
    store_put_name(store, &command, key);
    command_puts(&command, field);
    command_puts(&command, seen == NULL ? "" : seen);
    command_puts(&command, value == NULL ? "" : value);
    redisReply *reply = store_run(store, SCRIPT_REPLACE, &command, err);
    int rc = reply == NULL ? -1 : (int)reply_int(reply, 0);
    freeReplyObject(reply);
    return rc;
}

int store_gateway_put(struct store *store, const struct queue_gateway_change *change, struct err *err) {
    struct command command;
    store_script(store, &command, SCRIPT_GATEWAY, 3);
    arguments_put_gateway(&command, &store->keys, store->settings->events_max, change);
    redisReply *reply = store_run(store, SCRIPT_GATEWAY, &command, err);
    int rc = reply == NULL ? -1 : reply_is_string(reply) && reply->str[0] == 'A';
    freeReplyObject(reply);
    return rc;
}

/* ---- the server ---------------------------------------------------------------------------------------------------- */

json_t *store_server(struct store *store, struct err *err) {
    static const char *const names[] = {"redis_version",
                                        "uptime_in_seconds",
                                        "role",
                                        "connected_slaves",
                                        "loading",
                                        "aof_enabled",
                                        "aof_last_write_status",
                                        "aof_last_bgrewrite_status",
                                        "rdb_last_bgsave_status",
                                        "used_memory",
                                        "used_memory_peak",
                                        "maxmemory",
                                        "maxmemory_policy",
                                        "connected_clients",
                                        "evicted_keys"};
    struct command command;
    char value[64];
    command_init(&command, "INFO");
    redisReply *reply = store_ask(store, &command, err);
    json_t *server = reply == NULL ? NULL : json_object();
    for (size_t i = 0; server != NULL && i < sizeof names / sizeof *names; i++) {
        if (reply_info(reply, names[i], value, sizeof value) && json_object_set_new(server, names[i], json_string(value)) < 0) {
            json_decref(server);
            server = NULL;
            (void)err_no_memory(err);
        }
    }
    freeReplyObject(reply);
    return server;
}
