/* connect: the connection to Redis, from the first try to the loss of it and back.
 *
 *   down --connect--> greeting 1 (AUTH, INFO) --safe--> greeting 2 (scripts, epoch, groups) --> ready
 *    ^                    |                                  |                                    |
 *    +---- backoff <------+---- refused for a while ---------+------------ lost -----------------+
 *
 * Guarantees: nothing is read or written before Redis was found safe (AOF, no eviction), and that is looked at again on every
 * connection (F03). Tries follow one another with exponential backoff and full jitter, at most 5 s apart.
 *
 * How it fails: unsafe settings, NOAUTH, WRONGPASS and NOPERM are fatal; everything else is waited out, told once.
 * Does not: kill scripts, change settings of Redis, or know who the master is (sentinel.c does). */
#include "queue/inside.h"

#include "base/log.h"
#include "queue/dial.h"

#include <assert.h>
#include <hiredis/adapters/libevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BACKOFF_FIRST_MS = 50, BACKOFF_CAP_MS = 5000, TCP_KEEPALIVE_S = 15 };

/* ---- timers -------------------------------------------------------------------------------------------------------- */

static int64_t backoff_ms(unsigned tries) {
    int64_t cap = tries > 7 ? BACKOFF_CAP_MS : (int64_t)BACKOFF_FIRST_MS << tries;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        return cap;
    }
    return 1 + (int64_t)((uint64_t)random * (uint64_t)cap >> 32);
}

static void arm(struct event *timer, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    if (event_add(timer, &wait) < 0) {
        log_error("queue: a timer could not be set");
    }
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

struct queue *connect_queue_of(redisAsyncContext *redis) {
    struct queue *queue = redis->data;
    return queue != NULL && queue->redis == redis ? queue : NULL;
}

int connect_send(struct queue *queue, struct command *command, redisCallbackFn *fn, void *data) {
    int rc = -1;
    if (queue->redis != NULL && command_end(command) == 0) {
        rc = redisAsyncFormattedCommand(queue->redis, fn, data, command_data(command), command_len(command)) == REDIS_OK ? 0 : -1;
    }
    command_fini(command);
    if (rc < 0 && queue->redis != NULL) {
        connect_drop(queue, "a command could not be queued");
    }
    return rc;
}

void connect_flush(struct queue *queue) {
    int done;
    if (queue->redis != NULL) {
        (void)redisBufferWrite(&queue->redis->c, &done); /* an error stays in the context: the loop's next write finds it */
    }
}

/* ---- loss ---------------------------------------------------------------------------------------------------------- */

/* What it is called in messages: the address, or the master's name while nobody knows its address. */
static const char *place(const struct queue *queue) {
    return queue->address[0] != '\0'          ? queue->address
           : queue->settings->sentinels.n > 0 ? queue->settings->master
                                              : queue->settings->address;
}

static void tell_lost(struct queue *queue, const char *why) {
    struct err err;
    (void)err_set(&err, ERR_REDIS, "Redis at %s: %s", place(queue), why);
    if (!queue->told_lost && queue->handlers->lost != NULL) {
        queue->told_lost = true;
        queue->handlers->lost(queue->ctx, &err);
    }
}

/* The connection is gone or given up; `redis` itself is freed by the caller or by hiredis. */
static void forget(struct queue *queue) {
    queue->redis = NULL;
    queue->ready = false;
    queue->in_trouble = false;
    calls_unsent(queue);
    (void)event_del(queue->connect_timer);
    (void)event_del(queue->resend_timer);
    (void)event_del(queue->watch_timer);
}

static void come_back(struct queue *queue) {
    if (!queue->dead) {
        arm(queue->reconnect_timer, backoff_ms(queue->backoff++));
    }
}

void connect_drop(struct queue *queue, const char *why) {
    redisAsyncContext *redis = queue->redis;
    char text[256];
    (void)snprintf(text, sizeof text, "%s", why);
    forget(queue);
    if (redis != NULL) {
        redis->data = NULL;
        redisAsyncFree(redis);
    }
    tell_lost(queue, text);
    come_back(queue);
}

void connect_fatal(struct queue *queue, const char *text) {
    struct err err;
    if (queue->dead) {
        return;
    }
    queue->dead = true;
    (void)err_set(&err, ERR_REDIS, "Redis at %s: %s", place(queue), text);
    redisAsyncContext *redis = queue->redis;
    forget(queue);
    if (redis != NULL) {
        redis->data = NULL;
        redisAsyncFree(redis);
    }
    queue->handlers->fatal(queue->ctx, &err);
}

static void on_disconnected(const redisAsyncContext *redis, int status) {
    struct queue *queue = redis->data;
    if (queue == NULL || queue->redis != redis) {
        return; /* dropped by us */
    }
    const char *why = status != REDIS_OK && redis->errstr != NULL && redis->errstr[0] != '\0' ? redis->errstr : "connection closed";
    char text[160];
    (void)snprintf(text, sizeof text, "%s", why);
    forget(queue);
    tell_lost(queue, text);
    come_back(queue);
}

/* ---- trouble that passes ------------------------------------------------------------------------------------------- */

static void on_resend(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    queue->in_trouble = false;
    if (queue->ready) {
        calls_send(queue);
        reading_poke(queue);
    }
}

static void wait_a_while(struct queue *queue, const char *text) {
    if (!queue->trouble_told) {
        queue->trouble_told = true;
        log_error("queue: Redis refuses for now: %s; nothing new is taken until it accepts again", text);
    }
    if (!queue->in_trouble) {
        queue->in_trouble = true;
        arm(queue->resend_timer, backoff_ms(queue->trouble_tries++));
    }
}

void connect_trouble(struct queue *queue, enum trouble trouble, const char *text) {
    switch (trouble) {
    case TROUBLE_FATAL: connect_fatal(queue, text); break;
    case TROUBLE_RECONNECT: connect_drop(queue, text); break;
    case TROUBLE_NOSCRIPT: connect_load_scripts(queue); break;
    case TROUBLE_NOGROUP:
        for (int i = 0; i < STREAM_COUNT; i++) {
            connect_make_group(queue, (enum stream)i);
        }
        break;
    case TROUBLE_WAIT:
    case TROUBLE_OTHER: wait_a_while(queue, text); break; /* of a command of ours: told once, tried again */
    case TROUBLE_NONE: break;
    }
}

void connect_well(struct queue *queue) {
    queue->trouble_tries = 0;
    if (queue->trouble_told) {
        log_notice("queue: Redis accepts again");
    }
    queue->trouble_told = false;
}

/* ---- a connection that has gone silent ----------------------------------------------------------------------------- */

static void on_pong(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    if (queue != NULL && reply_ptr != NULL) {
        queue->pinged = false; /* any answer will do, a refusal too */
    }
}

/* The other end may be gone without a word (a cut cable, a stopped process): replies come in order, so one PING watches over
 * everything that was sent before it. */
static void on_watch(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    struct command command;
    if (queue->pinged) {
        connect_drop(queue, "no answer within redis.answer_timeout");
        return;
    }
    queue->pinged = true;
    command_init(&command, "PING");
    if (connect_send(queue, &command, on_pong, NULL) == 0) {
        arm(queue->watch_timer, queue->settings->answer_timeout_ms);
    }
}

/* ---- greeting, second half: scripts, epoch, groups ----------------------------------------------------------------- */

static void become_ready(struct queue *queue) {
    (void)event_del(queue->connect_timer);
    queue->pinged = false;
    arm(queue->watch_timer, queue->settings->answer_timeout_ms);
    calls_revise(queue);
    queue->ready = true;
    queue->told_lost = false;
    queue->backoff = 0;
    connect_well(queue);
    library_load(queue);
    sentinel_listen(queue);
    calls_send(queue);
    queue->handlers->ready(queue->ctx);
    if (queue->ready) {
        reading_restart(queue);
        upkeep_restart(queue);
        sweep_restart(queue);
        audit_restart(queue);
        recount_restart(queue);
    }
}

/* A refusal in the greeting: LOADING and the like end this try, the next may do better. */
static void refused(struct queue *queue, const redisReply *reply) {
    char text[200];
    (void)snprintf(text, sizeof text, "%.*s", (int)(reply->len < 199 ? reply->len : 199), reply->str);
    if (reply_trouble(reply) == TROUBLE_FATAL) {
        connect_fatal(queue, text);
    } else {
        connect_drop(queue, text);
    }
}

static void take_epoch(struct queue *queue, const redisReply *reply) {
    queue->epoch = (uint64_t)reply_int(reply, 0);
    queue->token = 0;
    queue->epoch_at_ms = clock_mono_ms(queue->clock);
    queue->renewing = false;
}

static void on_greeted(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue == NULL || reply == NULL) {
        return;
    }
    bool is_epoch = data != NULL;
    if (reply->type == REDIS_REPLY_ERROR) {
        refused(queue, reply);
        return;
    }
    if (is_epoch) {
        take_epoch(queue, reply);
        queue->epoch_first = queue->epoch;
    }
    if (--queue->greetings == 0) {
        become_ready(queue);
    }
}

static void greet_with(struct queue *queue, struct command *command, bool is_epoch) {
    queue->greetings++;
    (void)connect_send(queue, command, on_greeted, is_epoch ? queue : NULL);
}

static void put_group(struct queue *queue, enum stream stream, struct command *command) {
    call_stream_script(queue, command, SCRIPT_GROUP, stream);
    command_puts(command, queue->settings->group);
    command_puts(command, stream_name(stream));
}

void connect_put_script(const struct queue *queue, enum script_id script, struct command *command) {
    command_init(command, "SCRIPT");
    command_puts(command, "LOAD");
    command_puts(command, queue->scripts[script].text);
}

static void put_epoch(struct queue *queue, struct command *command) {
    call_script(queue, command, SCRIPT_EPOCH, KEY_EPOCH, 1);
    command_put_i64(command, (int64_t)queue->epoch);
    command_puts(command, queue->settings->prefix);
}

static void greet_again(struct queue *queue) {
    struct command command;
    for (int i = 0; i < SCRIPT_COUNT && queue->redis != NULL; i++) {
        connect_put_script(queue, (enum script_id)i, &command);
        greet_with(queue, &command, false);
    }
    for (int i = 0; i < STREAM_COUNT && queue->redis != NULL; i++) {
        put_group(queue, (enum stream)i, &command);
        greet_with(queue, &command, false);
    }
    vanished_ask(queue);
    if (queue->redis != NULL) {
        put_epoch(queue, &command);
        greet_with(queue, &command, true);
    }
}

/* ---- the same, later ------------------------------------------------------------------------------------------- */

static void on_mended(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue == NULL || reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        return;
    }
    enum trouble trouble = reply_trouble(reply);
    connect_trouble(queue, trouble == TROUBLE_NOGROUP || trouble == TROUBLE_NOSCRIPT ? TROUBLE_OTHER : trouble, reply->str);
}

void connect_make_group(struct queue *queue, enum stream stream) {
    struct command command;
    connect_put_script(queue, SCRIPT_GROUP, &command);
    if (connect_send(queue, &command, on_mended, NULL) == 0) {
        put_group(queue, stream, &command);
        (void)connect_send(queue, &command, on_mended, NULL);
    }
}

void connect_load_scripts(struct queue *queue) {
    struct command command;
    for (int i = 0; i < SCRIPT_COUNT && queue->redis != NULL; i++) {
        connect_put_script(queue, (enum script_id)i, &command);
        (void)connect_send(queue, &command, on_mended, NULL);
    }
}

static void on_renewed(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue != NULL && reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        take_epoch(queue, reply);
    } else if (queue != NULL) {
        queue->renewing = false;
        on_mended(redis, reply_ptr, data);
    }
}

void connect_renew_epoch(struct queue *queue) {
    struct command command;
    if (queue->redis != NULL && queue->ready) {
        put_epoch(queue, &command);
        queue->renewing = connect_send(queue, &command, on_renewed, NULL) == 0;
    }
}

/* ---- greeting, first half: who we are, and is it safe here --------------------------------------------------------- */

static const char advice[] = "; or set redis.allow_unsafe";

/* What INFO tells, and what each section must tell to be judged. Each comes by itself (Redis before 7 takes one name only). */
static const struct {
    const char *name;
    const char *member;
} sections[] = {{"persistence", "aof_enabled"}, {"memory", "maxmemory_policy"}, {"replication", "role"}};
enum { SECTION_COUNT = sizeof sections / sizeof *sections };

/* 0 safe, 1 not now (a replica, still loading), -1 not at all; with the words for it. */
static int judge(const redisReply *info, bool allow_unsafe, char *why, size_t cap) {
    char value[64];
    if (reply_info(info, "loading", value, sizeof value) && strcmp(value, "0") != 0) {
        (void)snprintf(why, cap, "LOADING: it is reading its data");
        return 1;
    }
    if (reply_info(info, "role", value, sizeof value) && strcmp(value, "master") != 0) {
        (void)snprintf(why, cap, "it is a replica, not the master");
        return 1;
    }
    if (!allow_unsafe && reply_info(info, "aof_enabled", value, sizeof value) && strcmp(value, "1") != 0) {
        (void)snprintf(why, cap, "it keeps no append-only file and would lose acknowledged notices when it stops: set appendonly yes%s",
                       advice);
        return -1;
    }
    if (!allow_unsafe && reply_info(info, "maxmemory_policy", value, sizeof value) && strcmp(value, "noeviction") != 0) {
        (void)snprintf(why, cap, "it evicts data when memory is short (maxmemory-policy %s): set maxmemory-policy noeviction%s", value,
                       advice);
        return -1;
    }
    return 0;
}

/* `data`: 1 + the place in `sections`, 0 for the answer to AUTH. */
static void on_checked(redisAsyncContext *redis, void *reply_ptr, void *data) {
    uintptr_t section = (uintptr_t)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    char why[300];
    if (queue == NULL || reply == NULL) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        refused(queue, reply);
        return;
    }
    if (section > 0 && !reply_info(reply, sections[section - 1].member, why, sizeof why)) {
        (void)snprintf(why, sizeof why, "INFO does not tell %s, so it cannot be judged safe", sections[section - 1].member);
        connect_drop(queue, why);
        return;
    }
    int verdict = judge(reply, queue->settings->allow_unsafe, why, sizeof why);
    if (verdict < 0) {
        connect_fatal(queue, why);
    } else if (verdict > 0) {
        connect_drop(queue, why);
    } else if (--queue->greetings == 0) {
        greet_again(queue);
    }
}

static void greet(struct queue *queue) {
    struct command command;
    queue->greetings = 0;
    if (queue->password != NULL) {
        command_init(&command, "AUTH");
        if (queue->settings->username != NULL) {
            command_puts(&command, queue->settings->username);
        }
        command_puts(&command, queue->password);
        queue->greetings++;
        (void)connect_send(queue, &command, on_checked, NULL);
    }
    for (int i = 0; i < SECTION_COUNT && queue->redis != NULL; i++) {
        command_init(&command, "INFO");
        command_puts(&command, sections[i].name);
        queue->greetings++;
        (void)connect_send(queue, &command, on_checked, (void *)(uintptr_t)(i + 1));
    }
}

/* ---- connecting ---------------------------------------------------------------------------------------------------- */

static void on_connected(const redisAsyncContext *redis, int status) {
    struct queue *queue = redis->data;
    if (queue == NULL || queue->redis != redis || status == REDIS_OK) {
        return;
    }
    char text[160];
    (void)snprintf(text, sizeof text, "%s", redis->errstr != NULL ? redis->errstr : "cannot connect");
    forget(queue); /* hiredis frees the context after this call */
    tell_lost(queue, text);
    come_back(queue);
}

void connect_failed(struct queue *queue, const char *why) {
    tell_lost(queue, why);
    come_back(queue);
}

void connect_to(struct queue *queue, const char *address) {
    (void)snprintf(queue->address, sizeof queue->address, "%s", address);
    redisAsyncContext *redis = dial_async(queue->address);
    if (redis == NULL || redis->err != 0) {
        char text[160];
        (void)snprintf(text, sizeof text, "%s", redis == NULL ? "out of memory" : redis->errstr);
        if (redis != NULL) {
            redisAsyncFree(redis);
        }
        connect_failed(queue, text);
        return;
    }
    redis->data = queue;
    queue->redis = redis;
    (void)redisLibeventAttach(redis, queue->base);
    (void)redisAsyncSetConnectCallback(redis, on_connected);
    (void)redisAsyncSetDisconnectCallback(redis, on_disconnected);
    arm(queue->connect_timer, queue->settings->connect_timeout_ms);
    greet(queue);
}

static void on_reconnect(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct queue *queue = ctx;
    if (queue->redis != NULL || queue->dead) {
        return;
    }
    if (queue->settings->sentinels.n > 0) {
        sentinel_ask(queue);
    } else {
        connect_to(queue, queue->settings->address);
    }
}

static void on_connect_timeout(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    connect_drop(ctx, "no answer within redis.connect_timeout");
}

int connect_init(struct queue *queue, struct err *err) {
    queue->reconnect_timer = evtimer_new(queue->base, on_reconnect, queue);
    queue->connect_timer = evtimer_new(queue->base, on_connect_timeout, queue);
    queue->resend_timer = evtimer_new(queue->base, on_resend, queue);
    queue->watch_timer = evtimer_new(queue->base, on_watch, queue);
    if (queue->watch_timer == NULL || queue->reconnect_timer == NULL || queue->connect_timer == NULL || queue->resend_timer == NULL) {
        return err_no_memory(err);
    }
    arm(queue->reconnect_timer, 0);
    return 0;
}

void connect_fini(struct queue *queue) {
    redisAsyncContext *redis = queue->redis;
    queue->redis = NULL;
    if (redis != NULL) {
        redis->data = NULL;
        redisAsyncFree(redis);
    }
    struct event *timers[] = {queue->reconnect_timer, queue->connect_timer, queue->resend_timer, queue->watch_timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        if (timers[i] != NULL) {
            event_free(timers[i]);
        }
    }
}
