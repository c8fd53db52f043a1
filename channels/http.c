/* http: the driver for gateways that are spoken to over HTTP. See http.h.
 *
 * A message waits in a queue of the gateway until flush(); then as many requests as `parallel` allows are under way at once, and each
 * answer starts the next. The request is made when its turn comes, so that a validity period is counted from then. The three parts
 * know nothing of each other: http_request.c makes requests, curl_loop.c carries them, http_answer.c judges answers.
 *
 * Guarantees: at most one copy of a message leaves per attempt (curl_loop.c); an attempt whose lease has run out does not begin;
 * every attempt that was taken is answered once, from the loop or from close(), where what may have left is `unknown`.
 *
 * Fails: a gateway that cannot be opened (missing secret, plain http, a placeholder nobody knows) says which key is at fault. Does not:
 * retry, count, or choose between gateways. */
#include "channels/http.h"

#include "channels/curl_loop.h"
#include "channels/defer.h"
#include "channels/http_answer.h"
#include "channels/http_request.h"
#include "channels/http_settings.h"
#include "channels/http_template.h"

#include <stdlib.h>

struct attempt {
    struct gateway *gateway;
    const struct message *message;
    int64_t not_after_mono_ms;
    channel_done_fn *done;
    void *ctx;
    struct http_filled filled;
    struct attempt *next; /* in `waiting` or `spare` */
};

struct gateway {
    const struct channel_env *env;
    const struct http_settings *settings;
    struct arena arena;
    const char *secret;
    struct http_plan *plan;
    const struct http_rule *rule;
    struct curl_loop *loop;
    struct defer *defer;
    struct attempt *waiting; /* oldest first */
    struct attempt **waiting_end;
    struct attempt *spare;
    int64_t n_under_way;
    bool closing;
};

static void pump(struct gateway *gateway);

static void http_close(struct gateway *gateway) {
    gateway->closing = true;
    curl_loop_free(gateway->loop); /* answers what is under way */
    struct outcome not_begun;
    outcome_set(&not_begun, OUTCOME_RETRY, BLAME_NONE, NULL, "the gateway was closed before the attempt began");
    for (struct attempt *next, *attempt = gateway->waiting; attempt != NULL; attempt = next) {
        next = attempt->next;
        attempt->done(attempt->ctx, &not_begun);
        http_filled_fini(&attempt->filled);
        free(attempt);
    }
    if (gateway->defer != NULL) {
        defer_free(gateway->defer, NULL);
    }
    for (struct attempt *next, *attempt = gateway->spare; attempt != NULL; attempt = next) {
        next = attempt->next;
        http_filled_fini(&attempt->filled);
        free(attempt);
    }
    http_plan_fini(gateway->plan);
    arena_fini(&gateway->arena);
    free(gateway);
}

static struct curl_limits limits_of(const struct http_settings *settings) {
    return (struct curl_limits){.connect_timeout_ms = settings->connect_timeout_ms,
                                .timeout_ms = settings->timeout_ms,
                                .keep_alive_ms = settings->keep_alive_ms,
                                .answer_max_bytes = settings->answer_max_bytes,
                                .connections_max = settings->connections,
                                .http2 = settings->http2,
                                .allow_insecure = settings->allow_insecure,
                                .allow_private = settings->allow_private,
                                .ca_file = settings->ca_file,
                                .user_agent = "reachd"};
}

static int prepare(struct gateway *gateway, struct err *err) {
    const struct http_settings *settings = gateway->settings;
    if (settings->secret_file != NULL && conf_read_secret(settings->secret_file, &gateway->arena, &gateway->secret, err) < 0) {
        return -1;
    }
    gateway->plan = http_plan_new(settings, gateway->secret, &gateway->arena, err);
    gateway->rule = gateway->plan == NULL ? NULL : http_rule_new(&settings->description, &gateway->arena, err);
    if (gateway->rule == NULL) {
        return -1;
    }
    struct curl_limits limits = limits_of(settings);
    gateway->loop = curl_loop_new(gateway->env->base, gateway->env->clock, &limits, err);
    gateway->defer = gateway->loop == NULL ? NULL : defer_new(gateway->env->base, err);
    return gateway->defer == NULL ? -1 : 0;
}

static struct gateway *http_open(const struct channel_env *env, const struct gateway_settings *settings, struct err *err) {
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    gateway->env = env;
    gateway->settings = settings->driver_settings;
    gateway->waiting_end = &gateway->waiting;
    if (prepare(gateway, err) < 0) {
        http_close(gateway);
        return NULL;
    }
    return gateway;
}

static int http_send(struct gateway *gateway, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                     struct err *err) {
    struct attempt *attempt = gateway->spare;
    if (attempt != NULL) {
        gateway->spare = attempt->next;
    } else if ((attempt = calloc(1, sizeof *attempt)) == NULL) {
        return err_no_memory(err);
    }
    attempt->gateway = gateway;
    attempt->message = message;
    attempt->not_after_mono_ms = not_after_mono_ms;
    attempt->done = done;
    attempt->ctx = ctx;
    attempt->next = NULL;
    *gateway->waiting_end = attempt;
    gateway->waiting_end = &attempt->next;
    return 0;
}

static void recycle(struct attempt *attempt) {
    attempt->next = attempt->gateway->spare;
    attempt->gateway->spare = attempt;
}

static void on_answer(void *ctx, const struct curl_answer *answer) {
    struct attempt *attempt = ctx;
    struct gateway *gateway = attempt->gateway;
    struct outcome outcome;
    http_judge(gateway->rule, answer, clock_wall_ms(gateway->env->clock), &outcome);
    gateway->n_under_way--;
    attempt->done(attempt->ctx, &outcome);
    recycle(attempt);
    if (!gateway->closing) {
        pump(gateway);
    }
}

static int begin(struct attempt *attempt, struct err *err) {
    struct gateway *gateway = attempt->gateway;
    struct http_values values;
    http_values_set(&values, attempt->message, clock_wall_ms(gateway->env->clock), gateway->settings->validity_max_ms);
    struct http_filled *filled = &attempt->filled;
    http_filled_reset(filled);
    if (http_plan_fill(gateway->plan, &values, filled, err) < 0) {
        return -1;
    }
    bool basic = gateway->settings->description.auth == HTTP_AUTH_BASIC;
    struct curl_request request = {.method = gateway->settings->description.method,
                                   .url = filled->url.data,
                                   .headers = filled->headers,
                                   .n_headers = filled->n_headers,
                                   .body = filled->has_body ? buf_str(&filled->body) : NULL,
                                   .body_len = filled->body.len,
                                   .username = basic ? gateway->settings->username : NULL,
                                   .password = basic ? gateway->secret : NULL,
                                   .not_after_mono_ms = attempt->not_after_mono_ms};
    return curl_loop_start(gateway->loop, &request, on_answer, attempt, err);
}

/* An attempt that cannot even be made: told on the next turn of the loop. */
static void refuse(struct attempt *attempt, const struct err *why) {
    struct outcome outcome;
    bool message_fault = why->code == ERR_MEMBER;
    outcome_set(&outcome, message_fault ? OUTCOME_REJECTED : OUTCOME_RETRY, message_fault ? BLAME_MESSAGE : BLAME_NONE, NULL,
                "the request cannot be made: %s", why->text);
    struct err err;
    if (defer_add(attempt->gateway->defer, 0, &outcome, attempt->done, attempt->ctx, &err) == 0) {
        recycle(attempt);
        return;
    }
    attempt->done(attempt->ctx, &outcome); /* no memory even for that: an answer out of turn is better than none */
    recycle(attempt);
}

/* Starts waiting attempts while there is room. */
static void pump(struct gateway *gateway) {
    while (gateway->waiting != NULL && gateway->n_under_way < gateway->settings->parallel) {
        struct attempt *attempt = gateway->waiting;
        gateway->waiting = attempt->next;
        if (gateway->waiting == NULL) {
            gateway->waiting_end = &gateway->waiting;
        }
        struct err err;
        err_clear(&err);
        if (begin(attempt, &err) == 0) {
            gateway->n_under_way++;
        } else {
            refuse(attempt, &err);
        }
    }
}

static void http_flush(struct gateway *gateway) {
    pump(gateway);
}

const struct channel_driver channel_http = {
    .name = "http", .settings = &http_table, .open = http_open, .send = http_send, .flush = http_flush, .close = http_close};
