/* shared: what workers share beside the notices: the state of gateways, the rates of gateways, and how long jobs waited.
 *
 * Guarantees: a change of a gateway's state is made, counted and told in one step, and only by who saw the state before it; of
 * two workers that notice the same thing at once one changes it and the other is told what is there now. Permits of a rate are given out
 * once. A call whose answer was lost is made again: then a gateway's change is not told twice, and permits that nobody got are
 * lost, so that less goes out than might, never more.
 *
 * Fails: by want of memory; everything else waits until Redis answers. Does not: know what the texts mean. */
#include "queue/arguments.h"
#include "queue/inside.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- the state of a gateway ------------------------------------------------------------------------------------------ */

struct gateway_call {
    queue_gateway_fn *done;
    void *ctx;
    bool written;
    char *present; /* where it was not: what is there */
};

static int on_gateway(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    (void)part;
    struct gateway_call *gateway = call->data;
    if (!reply_is_string(reply) || reply->len < 1) {
        return -1;
    }
    gateway->written = reply->str[0] == 'A';
    free(gateway->present);
    gateway->present = strdup(reply->str + 1);
    return gateway->present == NULL ? -1 : 0;
}

static void on_gateway_finish(struct queue *queue, struct call *call, const struct err *err) {
    (void)queue;
    struct gateway_call *gateway = call->data;
    if (err != NULL) {
        log_error("queue: the state of a gateway cannot be shared: %s", err->text);
    }
    gateway->done(gateway->ctx, err == NULL && gateway->written, err == NULL && !gateway->written ? gateway->present : NULL);
}

static void on_gateway_drop(struct call *call) {
    struct gateway_call *gateway = call->data;
    free(gateway->present);
    free(gateway);
}

static const struct call_kind gateway_kind = {on_gateway, on_gateway_finish, on_gateway_drop, false, NULL};

int queue_gateway(struct queue *queue, const struct queue_gateway_change *change, queue_gateway_fn *done, void *ctx, struct err *err) {
    struct gateway_call *gateway = calloc(1, sizeof *gateway);
    struct call *call = gateway == NULL ? NULL : call_new(&gateway_kind, gateway);
    if (call == NULL) {
        free(gateway);
        return err_no_memory(err);
    }
    *gateway = (struct gateway_call){.done = done, .ctx = ctx};
    struct command *command = &call->parts[call->n_parts++];
    command_init(command, "EVALSHA");
    command_put(command, queue->scripts[SCRIPT_GATEWAY].sha, 40);
    command_put_i64(command, 3);
    arguments_put_gateway(command, &queue->keys, queue->settings->events_max, change);
    return call_submit(queue, call, err);
}

/* ---- rates ----------------------------------------------------------------------------------------------------------- */

struct rate_call {
    queue_rate_fn *done;
    void *ctx;
    size_t n;
    struct queue_rate_answer answers[];
};

static int on_rates(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    (void)part;
    struct rate_call *rates = call->data;
    if (!reply_is_array(reply, 2 * rates->n)) {
        return -1;
    }
    for (size_t i = 0; i < rates->n; i++) {
        int64_t granted = reply_int(reply->element[2 * i], -1);
        int64_t wait_us = reply_int(reply->element[2 * i + 1], -1);
        if (granted < 0 || wait_us < 0) {
            return -1;
        }
        rates->answers[i] = (struct queue_rate_answer){(size_t)granted, (wait_us + 999) / 1000};
    }
    return 0;
}

static void on_rates_finish(struct queue *queue, struct call *call, const struct err *err) {
    (void)queue;
    (void)err;
    assert(err == NULL); /* the kind is patient */
    struct rate_call *rates = call->data;
    rates->done(rates->ctx, rates->answers, rates->n);
}

static void on_rates_drop(struct call *call) {
    free(call->data);
}

static const struct call_kind rate_kind = {on_rates, on_rates_finish, on_rates_drop, true, NULL};

int queue_rate(struct queue *queue, const struct queue_rate_ask *asks, size_t n, queue_rate_fn *done, void *ctx, struct err *err) {
    assert(n > 0);
    struct rate_call *rates = calloc(1, sizeof *rates + n * sizeof rates->answers[0]);
    struct call *call = rates == NULL ? NULL : call_new(&rate_kind, rates);
    if (call == NULL) {
        free(rates);
        return err_no_memory(err);
    }
    rates->done = done;
    rates->ctx = ctx;
    rates->n = n;
    struct command *command = &call->parts[call->n_parts++];
    call_script(queue, command, SCRIPT_RATE, KEY_RATES, 1);
    for (size_t i = 0; i < n; i++) {
        command_puts(command, asks[i].gateway);
        command_put_i64(command, asks[i].interval_us);
        command_put_i64(command, asks[i].burst);
        command_put_i64(command, (int64_t)asks[i].wanted);
    }
    return call_submit(queue, call, err);
}

/* ---- how long jobs waited -------------------------------------------------------------------------------------------- */

static void on_told(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue != NULL && reply != NULL && reply_trouble(reply) != TROUBLE_NONE) {
        connect_trouble(queue, reply_trouble(reply), reply->str);
    }
}

void queue_tell_lanes(struct queue *queue, const char *text) {
    struct command command;
    if (queue->redis == NULL || !queue->ready || queue->in_trouble) {
        return; /* the next one tells more */
    }
    command_init(&command, "HSET");
    command_puts(&command, queue->keys.name[KEY_LANES]);
    command_puts(&command, queue->consumer);
    command_puts(&command, text);
    (void)connect_send(queue, &command, on_told, NULL);
}
