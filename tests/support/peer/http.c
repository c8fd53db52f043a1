/* http: the gateway that the peer plays, on libevent's evhttp.
 *
 * Any POST, PUT or GET to a path other than /_control is a message: below /sms an SMS, below /push (and /3/device/) a push, anything else
 * "http". Phase "http-read" comes when the request is whole and nothing is kept yet; phase "http-answer" when it is kept. The
 * ordinary answer is 200 {"id":"peer-12","status":"accepted"}.
 *
 * What evhttp would never send (half an answer, rubbish, nothing) is written past it, straight into the connection's buffer,
 * and the connection is closed afterwards. That always happens from a timer and never inside evhttp's own callback, which goes on
 * using the connection after it returns.
 *
 * GET /_control tells counts and rules, POST /_control replaces the rules (see README.md). What it does not do: check
 * credentials or signatures; a test that cares reads the stored request.
 */
#include "tests/support/peer/http.h"

#include "tests/support/peer/http_message.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_server {
    struct peer_world *world;
    SSL_CTX *tls;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
};

/* One request on its way to its answer. */
struct exchange {
    struct http_server *server;
    struct evhttp_request *request;
    struct http_message message;
    struct rules *rules; /* keeps `action` alive */
    const struct peer_action *action;
    struct event *timer;
    bool answering; /* the phase is http-answer */
    char body[96];  /* the ordinary answer */
};

static void exchange_free(struct exchange *exchange) {
    http_message_fini(&exchange->message);
    rules_unref(exchange->rules);
    event_free(exchange->timer);
    free(exchange);
}

/* ---- answers ------------------------------------------------------------------------------------------------------------ */

static void add_headers(struct evhttp_request *request, json_t *headers) {
    struct evkeyvalq *out = evhttp_request_get_output_headers(request);
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(headers, name, value) {
        (void)evhttp_remove_header(out, name); /* absent is fine: only one of a name is wanted */
        if (!json_is_string(value) || evhttp_add_header(out, name, json_string_value(value)) != 0) {
            (void)fprintf(stderr, "sandbox-peer: a rule's header \"%s\" cannot be sent\n", name);
        }
    }
}

static void send_reply(struct evhttp_request *request, int code, const char *body, json_t *headers) {
    struct evbuffer *out = evbuffer_new();
    assert(out != NULL);
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    add_headers(request, headers);
    int failed = evbuffer_add(out, body, strlen(body));
    assert(failed == 0);
    (void)failed;
    evhttp_send_reply(request, code, NULL, out);
    evbuffer_free(out);
}

static void close_flushed(struct bufferevent *bev, void *ctx) {
    if (evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
        evhttp_connection_free(ctx);
    }
}

static void close_gone(struct bufferevent *bev, short what, void *ctx) {
    (void)bev;
    (void)what;
    evhttp_connection_free(ctx);
}

/* Takes the connection away from evhttp: writes `bytes` `repeat` times and closes; with nothing to write it stays silent. */
static void take_over(struct exchange *exchange, const char *bytes, size_t len, int64_t repeat) {
    struct evhttp_connection *connection = evhttp_request_get_connection(exchange->request);
    struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);
    bufferevent_setcb(bev, NULL, len > 0 ? close_flushed : NULL, close_gone, connection);
    int failed = bufferevent_enable(bev, EV_READ | EV_WRITE);
    for (int64_t i = 0; i < repeat && len > 0 && failed == 0; i++) {
        failed = bufferevent_write(bev, bytes, len);
    }
    if (failed != 0) {
        evhttp_connection_free(connection);
    }
}

static void close_now(struct exchange *exchange, bool reset) {
    struct evhttp_connection *connection = evhttp_request_get_connection(exchange->request);
    if (reset) {
        socket_reset_on_close(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)));
    }
    evhttp_connection_free(connection);
}

/* The ordinary answer as it would stand on the wire, cut after `at` bytes. */
static void send_cut(struct exchange *exchange, int64_t at) {
    char whole[512];
    int len = snprintf(whole, sizeof whole, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(exchange->body), exchange->body);
    assert(len > 0 && (size_t)len < sizeof whole);
    if (at == 0) {
        close_now(exchange, false);
        return;
    }
    take_over(exchange, whole, at < len ? (size_t)at : (size_t)len, 1);
}

/* Ends the exchange the way its action wants. */
static void emit(struct exchange *exchange) {
    const struct peer_action *action = exchange->action;
    switch (action->kind) {
    case ACTION_REPLY:
        send_reply(exchange->request, action->code, action->text != NULL ? action->text : "{\"error\":\"as the rule says\"}",
                   action->headers);
        break;
    case ACTION_GARBLE: take_over(exchange, action->bytes, action->bytes_len, action->repeat); break;
    case ACTION_TRUNCATE: send_cut(exchange, action->at); break;
    case ACTION_HANG: take_over(exchange, NULL, 0, 0); break;
    case ACTION_DROP:
    case ACTION_CLOSE: close_now(exchange, action->reset); break;
    default: send_reply(exchange->request, 200, exchange->body, NULL); break;
    }
    exchange_free(exchange);
}

/* ---- the two phases -------------------------------------------------------------------------------------------------------- */

static void keep(struct exchange *exchange) {
    struct http_message *message = &exchange->message;
    char *text = http_message_text(message, exchange->request);
    const char *recipient = message->recipient;
    struct sink_message taken = {
        .channel = message->channel,
        .folder = message->channel,
        .suffix = "json",
        .recipients = &recipient,
        .n_recipients = recipient != NULL ? 1 : 0,
        .key = message->key,
        .notice = message->notice,
        .tls = exchange->server->tls != NULL ? "TLS" : NULL,
        .content = text,
        .content_len = strlen(text),
        .size_bytes = message->body.len,
    };
    uint64_t seq = sink_take(exchange->server->world->sink, &taken);
    (void)snprintf(exchange->body, sizeof exchange->body, "{\"id\":\"peer-%llu\",\"status\":\"accepted\"}", (unsigned long long)seq);
    free(text);
}

/* Asks the rules for this phase; true where the answer has to wait for the timer. */
static bool ask_rules(struct exchange *exchange, enum peer_phase phase) {
    struct peer_world *world = exchange->server->world;
    const char *recipient = exchange->message.recipient;
    struct peer_moment moment = {.phase = phase,
                                 .channel = exchange->message.channel,
                                 .recipients = &recipient,
                                 .n_recipients = recipient != NULL ? 1 : 0,
                                 .path = exchange->message.path};
    rules_unref(exchange->rules);
    exchange->rules = rules_ref(world->rules);
    exchange->action = rules_match(exchange->rules, &moment);
    const struct peer_action *action = exchange->action;
    if (action->kind != ACTION_NONE && action->kind != ACTION_DELAY && (action->kind != ACTION_REPLY || action->code >= 400)) {
        sink_refuse(world->sink, moment.channel, recipient, peer_phase_name(phase), peer_action_name(action->kind), action->code);
    }
    if (action->kind == ACTION_NONE || (action->kind == ACTION_REPLY && action->delay_ms == 0)) {
        return false;
    }
    struct timeval wait = {.tv_sec = action->delay_ms / 1000, .tv_usec = (action->delay_ms % 1000) * 1000};
    int failed = event_add(exchange->timer, &wait);
    assert(failed == 0);
    (void)failed;
    return true;
}

static void answer(struct exchange *exchange) {
    exchange->answering = true;
    keep(exchange);
    if (!ask_rules(exchange, PHASE_HTTP_ANSWER)) {
        emit(exchange);
    }
}

/* After the phase http-read and its delay. */
static void after_read(struct exchange *exchange) {
    const struct peer_action *action = exchange->action;
    if (action->kind == ACTION_NONE || action->kind == ACTION_DELAY) {
        answer(exchange);
        return;
    }
    if (action->store == STORE_YES || (action->store == STORE_BY_CODE && action->kind == ACTION_REPLY && action->code < 300)) {
        keep(exchange);
    }
    emit(exchange);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    struct exchange *exchange = ctx;
    (void)fd;
    (void)what;
    if (exchange->answering) {
        emit(exchange);
    } else {
        after_read(exchange);
    }
}

static void on_message(struct evhttp_request *request, void *ctx) {
    struct http_server *server = ctx;
    struct exchange *exchange = calloc(1, sizeof *exchange);
    assert(exchange != NULL);
    exchange->server = server;
    exchange->request = request;
    exchange->timer = evtimer_new(server->world->base, on_timer, exchange);
    assert(exchange->timer != NULL);
    (void)snprintf(exchange->body, sizeof exchange->body, "{\"status\":\"accepted\"}");
    http_message_read(&exchange->message, request);
    sink_count(server->world->sink, "request");
    socket_no_delay(bufferevent_getfd(evhttp_connection_get_bufferevent(evhttp_request_get_connection(request))));
    if (!ask_rules(exchange, PHASE_HTTP_READ)) {
        after_read(exchange);
    }
}

/* ---- control ---------------------------------------------------------------------------------------------------------------- */

static void report(struct http_server *server, struct evhttp_request *request) {
    json_t *root = json_pack("{s:O,s:o}", "counts", sink_counts(server->world->sink), "rules", rules_report(server->world->rules));
    assert(root != NULL);
    char *text = json_dumps(root, JSON_COMPACT);
    assert(text != NULL);
    send_reply(request, 200, text, NULL);
    free(text);
    json_decref(root);
}

static void on_control(struct evhttp_request *request, void *ctx) {
    struct http_server *server = ctx;
    struct http_message message;
    struct err err = {0};
    if (evhttp_request_get_command(request) == EVHTTP_REQ_GET) {
        report(server, request);
        return;
    }
    http_message_read(&message, request);
    struct rules *rules = rules_parse(message.body.data, message.body.len, &err);
    if (rules != NULL) {
        rules_unref(server->world->rules);
        server->world->rules = rules;
        report(server, request);
    } else {
        json_t *root = json_pack("{s:s,s:s}", "error", err.text, "member", err.member);
        char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
        send_reply(request, 400, text != NULL ? text : "{}", NULL);
        free(text);
        json_decref(root);
    }
    http_message_fini(&message);
}

/* ---- the server ------------------------------------------------------------------------------------------------------------- */

static struct bufferevent *tls_bufferevent(struct event_base *base, void *ctx) {
    struct http_server *server = ctx;
    SSL *ssl = SSL_new(server->tls);
    assert(ssl != NULL);
    struct bufferevent *bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    assert(bev != NULL);
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

struct http_server *http_server_new(struct peer_world *world, SSL_CTX *tls, size_t max_bytes, const char *listen, struct err *err) {
    struct loopback where;
    char host[INET6_ADDRSTRLEN] = "";
    if (loopback_parse(listen, &where, err) != 0) {
        return NULL;
    }
    int port = loopback_text(&where, host);
    struct http_server *server = calloc(1, sizeof *server);
    assert(server != NULL);
    server->world = world;
    server->tls = tls;
    server->http = evhttp_new(world->base);
    assert(server->http != NULL);
    evhttp_set_max_body_size(server->http, (ev_ssize_t)max_bytes);
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(server->http, on_message, server);
    if (tls != NULL) {
        evhttp_set_bevcb(server->http, tls_bufferevent, server);
    }
    server->bound = evhttp_bind_socket_with_handle(server->http, host, (ev_uint16_t)port);
    if (server->bound == NULL || evhttp_set_cb(server->http, "/_control", on_control, server) != 0) {
        (void)err_system(err, listen);
        http_server_free(server);
        return NULL;
    }
    return server;
}

void http_server_free(struct http_server *server) {
    if (server == NULL) {
        return;
    }
    evhttp_free(server->http);
    free(server);
}

int http_server_port(const struct http_server *server) {
    return socket_port(evhttp_bound_socket_get_fd(server->bound));
}
