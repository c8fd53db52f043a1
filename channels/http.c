/* http: the driver for gateways that are spoken to over HTTP. See http.h.
 *
 * A message waits in a queue of the gateway until flush(); then as many requests as `parallel` allows are under way at once, and each
 * answer starts the next. The request is made when its turn comes, so that a validity period is counted from then. The parts
 * know nothing of each other: http_request.c makes requests, auth.c proves who we are, curl_loop.c carries them, http_answer.c
 * judges answers.
 *
 * Guarantees: at most one copy of a message leaves per attempt (curl_loop.c); an attempt whose lease has run out does not begin;
 * every attempt that was taken is answered once, from the loop or from close(), where what may have left is `unknown`.
 *
 * Fails: a gateway that cannot be opened (missing secret, plain http, a placeholder nobody knows) says which key is at fault. Does not:
 * retry, count, or choose between gateways. */
#include "channels/http.h"

#include "channels/auth.h"
#include "channels/curl_loop.h"
#include "channels/defer.h"
#include "channels/http_answer.h"
#include "channels/http_request.h"
#include "channels/http_settings.h"
#include "channels/http_template.h"
#include "channels/receipt_gateway.h"
#include "channels/webpush.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    const struct http_description *description;
    struct arena arena;
    struct conf_pairs constants;
    struct http_secrets secrets;
    struct http_plan *plan;
    const struct http_rule *rule;
    struct curl_loop *loop;
    struct auth *auth;
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
    auth_free(gateway->auth);
    arena_fini(&gateway->arena);
    free(gateway);
}

static struct curl_limits limits_of(const struct gateway *gateway) {
    const struct http_settings *settings = gateway->settings;
    return (struct curl_limits){.connect_timeout_ms = settings->connect_timeout_ms,
                                .timeout_ms = settings->timeout_ms,
                                .keep_alive_ms = settings->keep_alive_ms,
                                .answer_max_bytes = settings->answer_max_bytes,
                                .connections_max = settings->connections,
                                .http2 = gateway->description->http2,
                                .allow_insecure = settings->allow_insecure,
                                .allow_private = settings->allow_private,
                                .ca_file = settings->ca_file,
                                .user_agent = "reachd"};
}

static bool signs_tokens(int64_t auth) {
    return auth == HTTP_AUTH_JWT_ES256 || auth == HTTP_AUTH_JWT_RS256 || auth == HTTP_AUTH_OAUTH_JWT || auth == HTTP_AUTH_VAPID;
}

/* The account's secret: a password or token, or a private key. */
static int read_account_secret(struct gateway *gateway, struct err *err) {
    const struct http_settings *settings = gateway->settings;
    struct http_secrets *secrets = &gateway->secrets;
    struct arena *arena = &gateway->arena;
    if (!signs_tokens(gateway->description->auth)) {
        return conf_read_secret(settings->secret_file, arena, &secrets->secret, err);
    }
    const char *text = NULL;
    if (conf_read_key(settings->secret_file, arena, &text, err) < 0) {
        return -1;
    }
    return auth_read_key(text, arena, &secrets->key_pem, &secrets->members, err);
}

/* Reads what the settings name: the account's secret, and the key of receipts. */
static int read_secrets(struct gateway *gateway, struct err *err) {
    const struct http_settings *settings = gateway->settings;
    if (settings->receipt_secret_file != NULL &&
        conf_read_secret(settings->receipt_secret_file, &gateway->arena, &gateway->secrets.receipt_secret, err) < 0) {
        return err_prefix(err, "receipt_secret_file");
    }
    if (settings->secret_file != NULL && read_account_secret(gateway, err) < 0) {
        return err_prefix(err, "secret_file");
    }
    return 0;
}

static void on_auth_ready(void *ctx) {
    struct gateway *gateway = ctx;
    if (!gateway->closing) {
        pump(gateway);
    }
}

static struct auth_setup auth_setup_of(struct gateway *gateway) {
    return (struct auth_setup){.description = gateway->description,
                               .constants = &gateway->constants,
                               .clock = gateway->env->clock,
                               .loop = gateway->loop,
                               .username = gateway->settings->username,
                               .secret = gateway->secrets.secret,
                               .key_pem = gateway->secrets.key_pem,
                               .ready = on_auth_ready,
                               .ctx = gateway};
}

/* What the description and the secret give. */
static int compile(struct gateway *gateway, struct err *err) {
    const struct http_settings *settings = gateway->settings;
    struct arena *arena = &gateway->arena;
    gateway->description = http_settings_description(settings, arena, err);
    if (gateway->description == NULL || read_secrets(gateway, err) < 0 ||
        http_settings_constants(settings, gateway->description, &gateway->secrets, arena, &gateway->constants, err) < 0) {
        return -1;
    }
    gateway->plan = http_plan_new(gateway->description, &gateway->constants, settings->allow_insecure, arena, err);
    gateway->rule = gateway->plan == NULL ? NULL : http_rule_new(gateway->description, arena, err);
    return gateway->rule == NULL ? -1 : 0;
}

static int start(struct gateway *gateway, struct err *err) {
    struct curl_limits limits = limits_of(gateway);
    gateway->loop = curl_loop_new(gateway->env->base, gateway->env->clock, &limits, err);
    gateway->defer = gateway->loop == NULL ? NULL : defer_new(gateway->env->base, err);
    if (gateway->defer == NULL) {
        return -1;
    }
    struct auth_setup setup = auth_setup_of(gateway);
    gateway->auth = auth_new(&setup, &gateway->arena, err);
    return gateway->auth == NULL ? -1 : 0;
}

/* A description may say which channels it can serve. */
static int check_channel(const struct gateway *gateway, const char *channel, struct err *err) {
    const struct conf_strings *channels = &gateway->description->channels;
    for (size_t i = 0; i < channels->n; i++) {
        if (strcmp(channels->items[i], channel) == 0) {
            return 0;
        }
    }
    return channels->n == 0 ? 0 : err_member(err, "channel", "this provider does not serve the channel %s", channel);
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
    if (compile(gateway, err) < 0 || check_channel(gateway, settings->channel, err) < 0 || start(gateway, err) < 0) {
        http_close(gateway);
        return NULL;
    }
    return gateway;
}

static int http_check(const struct gateway_settings *settings, struct err *err) {
    struct gateway gateway = {.settings = settings->driver_settings};
    struct receipt_gateway receipts;
    int result = compile(&gateway, err) < 0 || check_channel(&gateway, settings->channel, err) < 0 ||
                         receipt_gateway_open(settings, &gateway.arena, &receipts, err) < 0
                     ? -1
                     : 0;
    arena_fini(&gateway.arena);
    return result;
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
    bool out = outcome.kind == OUTCOME_SENT || outcome.kind == OUTCOME_UNKNOWN; /* a receipt may settle what is unknown */
    if (out && http_rule_ref_is_key(gateway->rule)) {
        (void)snprintf(outcome.ref, sizeof outcome.ref, "%s", attempt->message->key);
    }
    gateway->n_under_way--;
    if (answer->end == CURL_ANSWERED && answer->status == 401 && auth_refused(gateway->auth)) {
        outcome_set(&outcome, OUTCOME_RETRY, BLAME_GATEWAY, "401",
                    "the access token is not taken any more (HTTP 401); a new one is fetched");
    }
    attempt->done(attempt->ctx, &outcome);
    recycle(attempt);
    if (!gateway->closing) {
        pump(gateway);
    }
}

/* Makes the request. 0, or -1 with *err. */
static int make(struct attempt *attempt, struct err *err) {
    struct gateway *gateway = attempt->gateway;
    struct http_values values;
    struct webpush_subscription subscription;
    http_values_set(&values, attempt->message, clock_wall_ms(gateway->env->clock), gateway->description->validity_max_ms);
    if (gateway->description->body == HTTP_BODY_WEBPUSH) {
        if (webpush_subscription_parse(attempt->message->to, &subscription, err) < 0) {
            return -1;
        }
        values.subscription = &subscription;
        values.text[HTTP_ENDPOINT] = webpush_endpoint(&subscription);
    }
    if (http_plan_needs_alphabet(gateway->plan)) {
        http_values_set_alphabet(&values);
    }
    http_filled_reset(&attempt->filled);
    return http_plan_fill(gateway->plan, &values, &attempt->filled, err);
}

/* Adds the proof and sends. 1, 0 where the proof is still being fetched, -1 with *err. */
static int begin(struct attempt *attempt, struct err *err) {
    struct gateway *gateway = attempt->gateway;
    struct http_filled *filled = &attempt->filled;
    struct auth_proof proof;
    int proven = auth_get(gateway->auth, buf_str(&filled->url), &proof, err);
    if (proven != 1) {
        return proven;
    }
    if (proof.line != NULL && http_filled_add(filled, proof.line) < 0) {
        return err_no_memory(err);
    }
    const char *method = gateway->description->method;
    struct curl_request request = {.method = method == NULL ? "POST" : method,
                                   .url = buf_str(&filled->url),
                                   .headers = filled->headers,
                                   .n_headers = filled->n_headers,
                                   .body = filled->has_body ? buf_str(&filled->body) : NULL,
                                   .body_len = filled->body.len,
                                   .username = proof.username,
                                   .password = proof.password,
                                   .aws_sigv4 = proof.aws_sigv4,
                                   .not_after_mono_ms = attempt->not_after_mono_ms};
    return curl_loop_start(gateway->loop, &request, on_answer, attempt, err) < 0 ? -1 : 1;
}

/* An attempt that cannot even begin: told on the next turn of the loop. */
static void refuse(struct attempt *attempt, const struct err *why) {
    struct outcome outcome;
    bool message_fault = why->code == ERR_MEMBER;
    outcome_set(&outcome, message_fault ? OUTCOME_REJECTED : OUTCOME_RETRY,
                message_fault             ? BLAME_MESSAGE
                : why->code == ERR_MEMORY ? BLAME_NONE
                                          : BLAME_GATEWAY,
                NULL, "not sent: %s", why->text);
    struct err err;
    if (defer_add(attempt->gateway->defer, 0, &outcome, attempt->done, attempt->ctx, &err) < 0) {
        attempt->done(attempt->ctx, &outcome); /* no memory even for that: an answer out of turn is better than none */
    }
    recycle(attempt);
}

static struct attempt *take_first(struct gateway *gateway) {
    struct attempt *attempt = gateway->waiting;
    gateway->waiting = attempt->next;
    if (gateway->waiting == NULL) {
        gateway->waiting_end = &gateway->waiting;
    }
    return attempt;
}

/* Starts waiting attempts while there is room. Where a token is still being fetched, everything waits for it. */
static void pump(struct gateway *gateway) {
    while (gateway->waiting != NULL && gateway->n_under_way < gateway->settings->parallel) {
        struct attempt *attempt = gateway->waiting;
        struct err err;
        err_clear(&err);
        int begun = make(attempt, &err) < 0 ? -1 : begin(attempt, &err);
        if (begun == 0) {
            return;
        }
        (void)take_first(gateway);
        if (begun == 1) {
            gateway->n_under_way++;
        } else {
            refuse(attempt, &err);
        }
    }
}

static void http_flush(struct gateway *gateway) {
    pump(gateway);
}

const struct channel_driver channel_http = {.name = "http",
                                            .settings = &http_table,
                                            .check = http_check,
                                            .open = http_open,
                                            .send = http_send,
                                            .flush = http_flush,
                                            .close = http_close};
