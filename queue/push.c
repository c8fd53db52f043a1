/* push: receipts that reachd itself has taken from a provider are appended to the stream, and counters that belong to no notice.
 *
 * Unlike the changes of notices these are not kept and sent again after a loss: the provider is waiting for its answer and will come again
 * by itself, so what has no clear "yes" from Redis is told as a no. A receipt that did get in and is told as a no comes twice,
 * which changes nothing (the same receipt twice is one receipt).
 *
 * Guarantees: done() is called exactly once unless the queue is freed first, from the loop; true only when Redis has acknowledged every
 * one of them. Does not: look at what it appends. */
#include "queue/inside.h"

#include <assert.h>
#include <stdlib.h>

struct push {
    queue_stored_fn *done;
    void *ctx;
    size_t open; /* answers that are missing */
    bool failed;
};

static void on_answer(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    struct push *push = data;
    enum trouble trouble = reply == NULL ? TROUBLE_NONE : reply_trouble(reply);
    if (reply == NULL || trouble != TROUBLE_NONE) {
        push->failed = true;
    }
    if (--push->open == 0) {
        push->done(push->ctx, !push->failed);
        free(push);
    }
    if (queue != NULL && trouble != TROUBLE_NONE) {
        connect_trouble(queue, trouble, reply->str);
    }
}

static int append(struct queue *queue, struct push *push, const char *body) {
    struct command command;
    command_init(&command, "XADD");
    command_puts(&command, queue->keys.name[KEY_RECEIPTS]);
    command_puts(&command, "*");
    command_puts(&command, stream_field(STREAM_RECEIPTS));
    command_puts(&command, body);
    push->open++;
    if (connect_send(queue, &command, on_answer, push) < 0) {
        push->open--;
        push->failed = true;
        return -1;
    }
    return 0;
}

int queue_add_receipts(struct queue *queue, const char *const *bodies, size_t n, queue_stored_fn *done, void *ctx, struct err *err) {
    assert(n > 0);
    if (!queue->ready || queue->in_trouble) {
        return err_set(err, ERR_REDIS, "Redis does not take anything at the moment");
    }
    struct push *push = calloc(1, sizeof *push);
    if (push == NULL) {
        return err_no_memory(err);
    }
    *push = (struct push){.done = done, .ctx = ctx, .open = 1}; /* ourselves, until all are on their way */
    for (size_t i = 0; i < n && append(queue, push, bodies[i]) == 0; i++) {
    }
    if (--push->open > 0) {
        return 0; /* on_answer() comes, also where the connection is lost */
    }
    free(push); /* not one is on its way (any more), and done() was not called */
    return err_set(err, ERR_REDIS, "the connection to Redis was lost");
}

/* ---- counters -------------------------------------------------------------------------------------------------------- */

static void on_counted(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue != NULL && reply != NULL && reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
    }
}

int queue_count(struct queue *queue, const char *name, int64_t by) {
    struct command command;
    struct buf field = BUF_INIT;
    if (!queue->ready || queue->in_trouble) {
        return -1;
    }
    buf_putf(&field, "count:%s", name);
    const char *text = buf_str(&field);
    command_init(&command, "HINCRBY");
    command_puts(&command, queue->keys.name[KEY_COUNTERS]);
    command_puts(&command, text == NULL ? "count:out-of-memory" : text);
    command_put_i64(&command, by);
    buf_fini(&field);
    return connect_send(queue, &command, on_counted, NULL);
}
