/* store_dial: how reachctl gets its connection: to the configured address, or to the master that the sentinels name.
 *
 * Guarantees: every wait is bounded by connect_timeout_ms; through sentinels only a master is taken (a replica would refuse what reachctl
 * writes, and tell old news). How it fails: ERR_REDIS with the reason of the last place that was tried. Does not: try again. */
#include "queue/store_inside.h"

#include "queue/dial.h"

#include <stdio.h>
#include <string.h>

static void let_go(struct store *store) {
    if (store->redis != NULL) {
        redisFree(store->redis);
        store->redis = NULL;
    }
}

static int dial(struct store *store, const char *address, struct err *err) {
    (void)snprintf(store->address, sizeof store->address, "%s", address);
    if (dial_check(address, err) < 0) {
        return -1;
    }
    store->redis = dial_blocking(address, store->settings->connect_timeout_ms);
    if (store->redis == NULL) {
        return err_no_memory(err);
    }
    return store->redis->err != 0 ? store_failed(store, err) : 0;
}

static int log_in(struct store *store, const char *username, const char *password_file, struct err *err) {
    const char *password = NULL;
    struct command command;
    if (password_file == NULL) {
        return 0;
    }
    if (conf_read_secret(password_file, &store->arena, &password, err) < 0) {
        return -1;
    }
    command_init(&command, "AUTH");
    if (username != NULL) {
        command_puts(&command, username);
    }
    command_puts(&command, password);
    redisReply *reply = store_ask(store, &command, err);
    freeReplyObject(reply);
    return reply == NULL ? -1 : 0;
}

static int enter(struct store *store, const char *address, struct err *err) {
    const struct queue_settings *settings = store->settings;
    return dial(store, address, err) < 0 ? -1 : log_in(store, settings->username, settings->password_file, err);
}

/* Asks one sentinel for the master's address. */
static int ask_sentinel(struct store *store, const char *sentinel, char *out, size_t cap, struct err *err) {
    struct command command;
    if (dial(store, sentinel, err) < 0 || log_in(store, NULL, store->settings->sentinel_password_file, err) < 0) {
        return -1;
    }
    command_init(&command, "SENTINEL");
    command_puts(&command, "GET-MASTER-ADDR-BY-NAME");
    command_puts(&command, store->settings->master);
    redisReply *reply = store_ask(store, &command, err);
    if (reply == NULL) {
        return -1;
    }
    int rc = 0;
    if (reply_is_array(reply, 2) && reply_is_string(reply->element[0]) && reply_is_string(reply->element[1])) {
        (void)snprintf(out, cap, "%s:%s", reply->element[0]->str, reply->element[1]->str);
    } else {
        rc = err_set(err, ERR_REDIS, "sentinel %s knows no master named %s (redis.master)", sentinel, store->settings->master);
    }
    freeReplyObject(reply);
    return rc;
}

/* 0 where it is the master, else -1 with *err. */
static int check_role(struct store *store, struct err *err) {
    struct command command;
    char role[32] = "unknown";
    command_init(&command, "INFO");
    command_puts(&command, "replication");
    redisReply *reply = store_ask(store, &command, err);
    if (reply == NULL) {
        return -1;
    }
    (void)reply_info(reply, "role", role, sizeof role);
    freeReplyObject(reply);
    return strcmp(role, "master") == 0 ? 0 : err_set(err, ERR_REDIS, "Redis at %s: it is a replica, not the master", store->address);
}

int store_connect(struct store *store, struct err *err) {
    const struct conf_strings *sentinels = &store->settings->sentinels;
    char address[sizeof store->address];
    if (sentinels->n == 0) {
        return enter(store, store->settings->address, err);
    }
    for (size_t i = 0; i < sentinels->n; i++) {
        int rc = ask_sentinel(store, sentinels->items[i], address, sizeof address, err);
        let_go(store);
        if (rc == 0 && enter(store, address, err) == 0 && check_role(store, err) == 0) {
            return 0;
        }
        let_go(store);
    }
    return -1;
}
