/* sentinel: finds the master through Redis Sentinel, and notices when it moves.
 *
 *   connection wanted ──▶ ask one sentinel after the other: SENTINEL GET-MASTER-ADDR-BY-NAME ──▶ connect to what the first one answers
 *   connection ready  ──▶ listen to one of them for +switch-master: another address ──▶ drop the connection, ask again
 *
 * What a sentinel says is a hint: the greeting (connect.c) looks at the role, so a replica is left and the sentinels are asked again
 * after the backoff. A connection that is lost, or answers READONLY (F11), leads here as well: no address is remembered.
 *
 * Guarantees: one question and one listening connection at a time, each bounded by redis.connect_timeout. How it fails: a sentinel that
 * does not answer, or does not know the name, is told when all of them have failed, with the last one's reason; the next try follows with
 * backoff. Does not: discover sentinels that are not configured. */
#include "queue/inside.h"

#include "base/log.h"
#include "queue/dial.h"

#include <hiredis/adapters/libevent.h>
#include <stdio.h>
#include <string.h>

enum { LISTEN_AGAIN_MS = 1000 };

static void arm(struct event *timer, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    if (event_add(timer, &wait) < 0) {
        log_error("queue: a timer could not be set");
    }
}

static const char *current(const struct queue *queue) {
    return queue->settings->sentinels.items[queue->sentinel.at];
}

static void step(struct queue *queue) {
    queue->sentinel.at = (queue->sentinel.at + 1) % queue->settings->sentinels.n;
}

static void drop(redisAsyncContext **redis) {
    redisAsyncContext *gone = *redis;
    *redis = NULL;
    if (gone != NULL) {
        gone->data = NULL;
        redisAsyncFree(gone);
    }
}

/* The queue of a callback on `*slot`'s connection, or NULL where that connection is no longer the present one. */
static struct queue *queue_of(redisAsyncContext *redis, bool asking) {
    struct queue *queue = redis->data;
    redisAsyncContext *present = queue == NULL ? NULL : asking ? queue->sentinel.asking : queue->sentinel.listening;
    return present == redis ? queue : NULL;
}

static int send_command(redisAsyncContext *redis, struct command *command, redisCallbackFn *fn) {
    int rc = command_end(command);
    if (rc == 0) {
        rc = redisAsyncFormattedCommand(redis, fn, NULL, command_data(command), command_len(command)) == REDIS_OK ? 0 : -1;
    }
    command_fini(command);
    return rc;
}

/* Opens a connection to the present sentinel and logs in. NULL with *why (static or the connection's, until the next call). */
static redisAsyncContext *open_one(struct queue *queue, redisConnectCallback *on_connected, redisDisconnectCallback *on_closed,
                                   redisCallbackFn *on_login) {
    redisAsyncContext *redis = dial_async(current(queue));
    struct command command;
    if (redis == NULL || redis->err != 0) {
        if (redis != NULL) {
            redisAsyncFree(redis);
        }
        return NULL;
    }
    redis->data = queue;
    (void)redisLibeventAttach(redis, queue->base);
    (void)redisAsyncSetConnectCallback(redis, on_connected);
    (void)redisAsyncSetDisconnectCallback(redis, on_closed);
    if (queue->sentinel_password == NULL) {
        return redis;
    }
    command_init(&command, "AUTH");
    command_puts(&command, queue->sentinel_password);
    if (send_command(redis, &command, on_login) < 0) {
        redis->data = NULL;
        redisAsyncFree(redis);
        return NULL;
    }
    return redis;
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

static void ask(struct queue *queue);

/* This one is of no use: the next, until all were asked. */
static void next(struct queue *queue, const char *why) {
    char text[300];
    (void)snprintf(text, sizeof text, "sentinel %s: %s", current(queue), why);
    (void)event_del(queue->sentinel.timer);
    drop(&queue->sentinel.asking);
    step(queue);
    if (++queue->sentinel.n_asked < queue->settings->sentinels.n) {
        ask(queue);
    } else {
        connect_failed(queue, text);
    }
}

static void on_login_to_ask(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = queue_of(redis, true);
    const redisReply *reply = reply_ptr;
    if (queue != NULL && reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        char text[200];
        (void)snprintf(text, sizeof text, "%s", reply->str);
        next(queue, text);
    }
}

static void on_master(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = queue_of(redis, true);
    const redisReply *reply = reply_ptr;
    char address[300];
    struct err err;
    if (queue == NULL || reply == NULL) {
        return; /* on_closed() sees to it */
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(address, sizeof address, "%s", reply->str);
        next(queue, address);
        return;
    }
    if (!reply_is_array(reply, 2) || !reply_is_string(reply->element[0]) || !reply_is_string(reply->element[1])) {
        (void)snprintf(address, sizeof address, "it knows no master named %s (redis.master)", queue->settings->master);
        next(queue, address);
        return;
    }
    (void)snprintf(address, sizeof address, "%s:%s", reply->element[0]->str, reply->element[1]->str);
    if (dial_check(address, &err) < 0) {
        next(queue, "its answer is no address");
        return;
    }
    (void)event_del(queue->sentinel.timer);
    drop(&queue->sentinel.asking);
    connect_to(queue, address);
}

static void on_asking_closed(const redisAsyncContext *redis, int status) {
    struct queue *queue = redis->data;
    if (queue != NULL && queue->sentinel.asking == redis) {
        char text[160];
        (void)snprintf(text, sizeof text, "%s", status != REDIS_OK && redis->errstr != NULL ? redis->errstr : "connection closed");
        queue->sentinel.asking = NULL; /* hiredis frees it after this call */
        next(queue, text);
    }
}

static void on_asking_connected(const redisAsyncContext *redis, int status) {
    if (status != REDIS_OK) {
        on_asking_closed(redis, status);
    }
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    next(ctx, "no answer within redis.connect_timeout");
}

static void ask(struct queue *queue) {
    struct command command;
    redisAsyncContext *redis = open_one(queue, on_asking_connected, on_asking_closed, on_login_to_ask);
    queue->sentinel.asking = redis;
    if (redis == NULL) {
        next(queue, "cannot connect");
        return;
    }
    arm(queue->sentinel.timer, queue->settings->connect_timeout_ms);
    command_init(&command, "SENTINEL");
    command_puts(&command, "GET-MASTER-ADDR-BY-NAME");
    command_puts(&command, queue->settings->master);
    if (send_command(redis, &command, on_master) < 0) {
        next(queue, "a command could not be queued");
    }
}

void sentinel_ask(struct queue *queue) {
    queue->sentinel.n_asked = 0;
    drop(&queue->sentinel.asking);
    ask(queue);
}

/* ---- listening ----------------------------------------------------------------------------------------------------- */

static void listen_later(struct queue *queue) {
    drop(&queue->sentinel.listening);
    arm(queue->sentinel.listen_timer, LISTEN_AGAIN_MS);
}

/* "<name> <old host> <old port> <new host> <new port>" */
static void on_switch(struct queue *queue, const char *text) {
    char name[129], host[256], port[8], address[300], why[400];
    if (sscanf(text, "%128s %*s %*s %255s %7s", name, host, port) != 3 || strcmp(name, queue->settings->master) != 0) {
        return;
    }
    (void)snprintf(address, sizeof address, "%s:%s", host, port);
    if (queue->redis != NULL && strcmp(address, queue->address) != 0) {
        (void)snprintf(why, sizeof why, "the sentinels have made %s the master", address);
        connect_drop(queue, why);
    }
}

/* Of the subscription itself an array of three (subscribe, channel, number), of a message (message, channel, text). */
static void on_message(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = queue_of(redis, false);
    const redisReply *reply = reply_ptr;
    if (queue == NULL || reply == NULL) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warning("queue: sentinel %s does not let us listen: %s", current(queue), reply->str);
        step(queue);
        listen_later(queue);
    } else if (reply_is_array(reply, 3) && reply_is_string(reply->element[0]) && strcmp(reply->element[0]->str, "message") == 0 &&
               reply_is_string(reply->element[2])) {
        on_switch(queue, reply->element[2]->str);
    }
}

static void on_listening_closed(const redisAsyncContext *redis, int status) {
    (void)status;
    struct queue *queue = redis->data;
    if (queue != NULL && queue->sentinel.listening == redis) {
        queue->sentinel.listening = NULL;
        step(queue);
        listen_later(queue);
    }
}

static void on_listening_connected(const redisAsyncContext *redis, int status) {
    if (status != REDIS_OK) {
        on_listening_closed(redis, status);
    }
}

static void on_login_to_listen(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)redis;
    (void)reply_ptr;
    (void)data; /* a refusal is told by the subscription's answer */
}

void sentinel_listen(struct queue *queue) {
    struct command command;
    if (queue->sentinel.listening != NULL || queue->settings->sentinels.n == 0) {
        return;
    }
    redisAsyncContext *redis = open_one(queue, on_listening_connected, on_listening_closed, on_login_to_listen);
    queue->sentinel.listening = redis;
    command_init(&command, "SUBSCRIBE");
    command_puts(&command, "+switch-master");
    if (redis == NULL) {
        command_fini(&command);
        step(queue);
        listen_later(queue);
    } else if (send_command(redis, &command, on_message) < 0) {
        listen_later(queue);
    }
}

static void on_listen_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    if (queue->ready) {
        sentinel_listen(queue);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

int sentinel_init(struct queue *queue, struct err *err) {
    queue->sentinel.timer = evtimer_new(queue->base, on_timeout, queue);
    queue->sentinel.listen_timer = evtimer_new(queue->base, on_listen_timer, queue);
    return queue->sentinel.timer == NULL || queue->sentinel.listen_timer == NULL ? err_no_memory(err) : 0;
}

void sentinel_fini(struct queue *queue) {
    drop(&queue->sentinel.asking);
    drop(&queue->sentinel.listening);
    struct event *timers[] = {queue->sentinel.timer, queue->sentinel.listen_timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        if (timers[i] != NULL) {
            event_free(timers[i]);
        }
    }
}
