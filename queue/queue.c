/* queue: see queue.h. The object itself; the work is in the files that inside.h lists.
 *
 * Guarantees: handlers and answers are called from the loop only, never from inside queue_new(), queue_apply() and the like;
 * every call is answered exactly once unless the queue is freed first.
 *
 * How it fails: a Redis that is away or refuses for a while is waited for, with one line in the log when it begins and one when
 * it ends; a Redis that may lose data, or does not let us in, ends in fatal(). Does not: resolve names without blocking (use
 * an address or a socket; a name is looked up at each connection). */
#include "queue/inside.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *own_name(struct queue *queue) {
    if (queue->settings->consumer != NULL) {
        return queue->settings->consumer;
    }
    char name[65] = "";
    if (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0') {
        return "reachd";
    }
    return arena_strdup(&queue->arena, name);
}

static int init(struct queue *queue, struct err *err) {
    const struct queue_settings *settings = queue->settings;
    TAILQ_INIT(&queue->calls);
    queue->consumer = own_name(queue);
    if (queue->consumer == NULL || queue_keys_make(settings->prefix, &queue->arena, &queue->keys) < 0) {
        return err_no_memory(err);
    }
    if (settings->password_file != NULL && conf_read_secret(settings->password_file, &queue->arena, &queue->password, err) < 0) {
        return -1;
    }
    if (settings->sentinel_password_file != NULL &&
        conf_read_secret(settings->sentinel_password_file, &queue->arena, &queue->sentinel_password, err) < 0) {
        return -1;
    }
    if (settings->username != NULL && queue->password == NULL) {
        return err_member(err, "redis.username", "needs redis.password_file");
    }
    if (scripts_make(&queue->arena, queue->scripts, err) < 0 || reading_init(queue, err) < 0 || upkeep_init(queue, err) < 0 ||
        sweep_init(queue, err) < 0 || sentinel_init(queue, err) < 0 || audit_init(queue, err) < 0 || recount_init(queue, err) < 0) {
        return -1;
    }
    return connect_init(queue, err);
}

enum { TRIAL_MS = 2000 };

struct queue *queue_new(struct event_base *base, const struct clock *clock, const struct queue_settings *settings,
                        const struct queue_handlers *handlers, void *ctx, struct err *err) {
    struct queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* hiredis writes to a socket that Redis may have closed */
    queue->base = base;
    queue->clock = clock;
    queue->settings = settings;
    queue->handlers = handlers;
    queue->ctx = ctx;
    queue->trial.limit_ms = TRIAL_MS;
    queue->door_bytes = DOOR_BYTES;
    if (init(queue, err) < 0) {
        queue_free(queue);
        return NULL;
    }
    return queue;
}

void queue_free(struct queue *queue) {
    if (queue == NULL) {
        return;
    }
    connect_fini(queue);
    calls_fini(queue);
    reading_fini(queue);
    upkeep_fini(queue);
    sweep_fini(queue);
    sentinel_fini(queue);
    audit_fini(queue);
    vanished_fini(queue);
    recount_fini(queue);
    held_fini(&queue->held);
    trial_forget(queue);
    arena_fini(&queue->arena);
    free(queue);
}

void queue_set_room(struct queue *queue, size_t room) {
    queue->room = room;
    reading_poke(queue);
}

void queue_set_reserve(struct queue *queue, size_t reserve) {
    queue->reserve = reserve;
}

void queue_stop_reading(struct queue *queue) {
    queue->stopped = true;
}

bool queue_in_hand(const struct queue *queue, const struct queue_entry *entry) {
    return held_has(&queue->held, (enum stream)entry->lane, entry->stream_id);
}

const char *queue_consumer(const struct queue *queue) {
    return queue->consumer;
}

size_t queue_pending(const struct queue *queue) {
    return queue->n_calls + (queue->stopped && queue->ready && queue->upkeep.claiming ? 1 : 0);
}

void queue_let_go(struct queue *queue, enum lane lane, const char *stream_id) {
    (void)held_remove(&queue->held, (enum stream)lane, stream_id);
}

void queue_let_go_receipt(struct queue *queue, const char *stream_id) {
    if (held_remove(&queue->held, STREAM_RECEIPTS, stream_id) == 1 && queue->reading.receipts_out > 0) {
        queue->reading.receipts_out--;
    }
}

/* Half of an epoch's tokens are left when the next one is asked for, far more than can be in flight. It is also asked for when the
 * epoch is old: a token tells roughly when it was made (sweep.c). */
enum { EPOCHS_A_SECOND = 64, TOKEN_BITS = 24, TOKEN_RENEW = 1 << (TOKEN_BITS - 1) };

int64_t queue_fence_at_ms(uint64_t fence) {
    return (int64_t)(fence >> TOKEN_BITS) * 1000 / EPOCHS_A_SECOND;
}

bool queue_is_of_connection(const struct queue *queue, uint64_t fence) {
    return fence >> TOKEN_BITS >= queue->epoch_first;
}

uint64_t queue_fence(struct queue *queue) {
    assert(queue->epoch != 0 && queue->token < (1U << TOKEN_BITS) - 1);
    queue->token++;
    bool is_old = clock_mono_ms(queue->clock) - queue->epoch_at_ms >= CONNECT_EPOCH_MS;
    if ((queue->token >= TOKEN_RENEW || is_old) && !queue->renewing) {
        connect_renew_epoch(queue);
    }
    return queue->epoch << TOKEN_BITS | queue->token;
}
