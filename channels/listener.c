/* listener: see listener.h.
 *
 *   request ──▶ path known? ──▶ [SNS: certificate at hand? else fetched] ──▶ genuine? ──▶ readable? ──▶ take() ──▶ stored? ──▶ 200
 *                  404                          503                            403           400                     503
 *
 * A provider counts a receipt as delivered when it sees 200, so that is only said once the receipt is stored for good; anything else
 * makes the provider try again, which is harmless, because a receipt applied twice changes nothing. What is refused is counted
 * and logged, at most one line in ten seconds, without anything out of the request in it.
 *
 * Off unless configured; plain HTTP only on loopback, behind the operator's proxy; bodies, headers, connections and their time are limited
 * (listener_door.h). A subscription that SNS asks about is confirmed only for the topic that the operator has named, at a host of
 * Amazon's. It knows no provider (receipt.h does) and nothing of notices. */
#include "channels/listener.h"

#include "base/log.h"
#include "channels/curl_loop.h"
#include "channels/listener_door.h"
#include "channels/listener_tls.h"
#include "channels/receipt_gateway.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { RECEIPTS_MAX = 64, HEADERS_MAX_BYTES = 16384, QUIET_MS = 10000 };

#define RETRY_AFTER_S "5"

/* The gateways of one listener_load(). */
struct generation {
    struct arena arena;
    struct receipt_gateway *gateways;
    size_t n;
    size_t n_visits;
    struct generation *older;
};

/* A request that waits for a certificate or for take(). */
struct visit {
    struct listener *listener;
    struct generation *generation;
    const struct receipt_gateway *gateway;
    struct evhttp_request *request; /* NULL once the provider has hung up */
    struct arena arena;
    struct receipt_request receipt;
    const char *certificate_url;
    size_t n_receipts;
    struct visit *next;
    struct visit *prev;
};

struct listener {
    struct event_base *base;
    const struct clock *clock;
    const struct listener_settings *settings;
    const struct listener_handlers *handlers;
    void *ctx;
    struct evhttp *http;
    struct listener_door *door;
    struct door_limits limits;
    struct listener_tls *tls;
    struct generation *gateways; /* newest first */
    struct curl_loop *fetcher;   /* of certificates; made when first needed */
    struct arena certificate_arena;
    const char *certificate_url; /* the newest, and what is there */
    const char *certificate;
    struct visit *visits;
    uint64_t counts[LISTENER_EVENTS];
    int64_t quiet_until_ms;
};

const char *listener_event_name(enum listener_event event) {
    static const char *const names[] = {[LISTENER_TAKEN] = "taken",     [LISTENER_PENDING] = "pending", [LISTENER_FORGED] = "forged",
                                        [LISTENER_GARBLED] = "garbled", [LISTENER_UNKNOWN] = "unknown", [LISTENER_FAILED] = "failed"};
    return names[event];
}

static void count(struct listener *listener, const struct receipt_gateway *gateway, enum listener_event event, uint64_t n) {
    listener->counts[event] += n;
    if (listener->handlers->count != NULL) {
        listener->handlers->count(listener->ctx, gateway == NULL ? NULL : gateway->name, event, n);
    }
}

/* ---- generations ----------------------------------------------------------------------------------------------------- */

/* Frees the old ones that no request uses any more. */
static void drop_old(struct listener *listener) {
    for (struct generation **link = &listener->gateways->older; *link != NULL;) {
        struct generation *old = *link;
        if (old->n_visits > 0) {
            link = &old->older;
            continue;
        }
        *link = old->older;
        arena_fini(&old->arena);
        free(old);
    }
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

static void visit_free(struct visit *visit) {
    struct listener *listener = visit->listener;
    if (visit->prev != NULL) {
        visit->prev->next = visit->next;
    } else {
        listener->visits = visit->next;
    }
    if (visit->next != NULL) {
        visit->next->prev = visit->prev;
    }
    visit->generation->n_visits--;
    if (listener->gateways->older != NULL) {
        drop_old(listener);
    }
    arena_fini(&visit->arena);
    free(visit);
}

static void reply(struct listener *listener, struct evhttp_request *request, int status, const char *words) {
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    (void)evhttp_add_header(headers, "Content-Type", "text/plain");
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    (void)evhttp_add_header(headers, "Connection", "close");
    if (status == 503) {
        (void)evhttp_add_header(headers, "Retry-After", RETRY_AFTER_S);
    }
    listener_door_request(listener->door, request);
    evhttp_send_reply(request, status, words, NULL);
}

static void answer_take(struct visit *visit, int status, const char *words) {
    if (visit->request != NULL) {
        evhttp_connection_set_closecb(evhttp_request_get_connection(visit->request), NULL, NULL);
        reply(visit->listener, visit->request, status, words);
    }
    visit_free(visit);
}

/* One line in ten seconds is enough to be noticed; the counters have the rest. */
static void tell(struct listener *listener, const char *gateway, const char *what, const struct err *err) {
    int64_t now_ms = clock_mono_ms(listener->clock);
    if (now_ms >= listener->quiet_until_ms) {
        listener->quiet_until_ms = now_ms + QUIET_MS;
        log_warning("listener: a receipt for gateway %s was refused: %s (%s)", gateway, what, err->text);
    }
}

static void refuse_take(struct visit *visit, int status, const char *what, enum listener_event event, const struct err *err) {
    count(visit->listener, visit->gateway, event, 1);
    tell(visit->listener, visit->gateway->name, what, err);
    answer_take(visit, status, what);
}

static void on_stored(void *stored_ctx, bool stored) {
    struct visit *visit = stored_ctx;
    if (stored) {
        count(visit->listener, visit->gateway, LISTENER_TAKEN, visit->n_receipts);
        answer_take(visit, 200, "OK");
    } else {
        count(visit->listener, visit->gateway, LISTENER_FAILED, 1);
        answer_take(visit, 503, "Try again");
    }
}

/* ---- addresses of Amazon's ------------------------------------------------------------------------------------------- */

static int fetch(struct visit *visit, const char *url, curl_done_fn *done, struct err *err) {
    struct listener *listener = visit->listener;
    if (listener->fetcher == NULL) {
        struct curl_limits limits = {.connect_timeout_ms = 5000,
                                     .timeout_ms = 10000,
                                     .keep_alive_ms = 0,
                                     .answer_max_bytes = 16384,
                                     .connections_max = 2,
                                     .user_agent = "reachd"};
        listener->fetcher = curl_loop_new(listener->base, listener->clock, &limits, err);
    }
    struct curl_request request = {.method = "GET", .url = url, .not_after_mono_ms = INT64_MAX};
    return listener->fetcher == NULL ? -1 : curl_loop_start(listener->fetcher, &request, done, visit, err);
}

static void on_confirmed(void *ctx, const struct curl_answer *answer) {
    struct visit *visit = ctx;
    struct err err;
    if (answer->end != CURL_ANSWERED || answer->status != 200) {
        (void)err_set(&err, ERR_NET, "%s", answer->end == CURL_ANSWERED ? "Amazon did not take the confirmation" : answer->why);
        refuse_take(visit, 503, "the subscription could not be confirmed", LISTENER_FAILED, &err);
        return;
    }
    log_notice("listener: gateway %s: the subscription of its topic is confirmed", visit->gateway->name);
    count(visit->listener, visit->gateway, LISTENER_PENDING, 1);
    answer_take(visit, 200, "OK");
}

/* A genuine request of the configured topic to confirm its subscription (receipt_verify() has seen to both). */
static void confirm_take(struct visit *visit) {
    struct err err;
    const char *url = receipt_subscription_url(visit->gateway->rule, &visit->receipt, &visit->arena);
    if (url == NULL) {
        (void)err_set(&err, ERR_CONFLICT, "its address is not one of Amazon's");
        refuse_take(visit, 403, "not a subscription to confirm", LISTENER_FORGED, &err);
    } else if (fetch(visit, url, on_confirmed, &err) < 0) {
        refuse_take(visit, 503, "the subscription could not be confirmed", LISTENER_FAILED, &err);
    }
}

/* ---- judging --------------------------------------------------------------------------------------------------------- */

static void judge_take(struct visit *visit, const char *key) {
    struct listener *listener = visit->listener;
    const struct receipt_gateway *gateway = visit->gateway;
    struct provider_receipt receipts[RECEIPTS_MAX];
    struct err err;
    if (receipt_verify(gateway->rule, &visit->receipt, key, clock_wall_ms(listener->clock), &err) < 0) {
        refuse_take(visit, 403, "not genuine", LISTENER_FORGED, &err);
        return;
    }
    if (receipt_is_subscription(gateway->rule, &visit->receipt)) {
        confirm_take(visit);
        return;
    }
    int n = receipt_read(gateway->rule, &visit->receipt, receipts, RECEIPTS_MAX, &err);
    if (n < 0) {
        refuse_take(visit, 400, "cannot be read", LISTENER_GARBLED, &err);
    } else if (n == 0) {
        count(listener, gateway, LISTENER_PENDING, 1);
        answer_take(visit, 200, "OK");
    } else {
        visit->n_receipts = (size_t)n;
        listener->handlers->take(listener->ctx, gateway->name, receipts, (size_t)n, on_stored, visit);
    }
}

/* ---- certificates ---------------------------------------------------------------------------------------------------- */

static void on_certificate(void *ctx, const struct curl_answer *answer) {
    struct visit *visit = ctx;
    struct listener *listener = visit->listener;
    struct err err;
    if (answer->end != CURL_ANSWERED || answer->status != 200 || answer->body_cut) {
        (void)err_set(&err, ERR_NET, "%s", answer->end == CURL_ANSWERED ? "it could not be fetched" : answer->why);
        refuse_take(visit, 503, "no certificate", LISTENER_FAILED, &err);
        return;
    }
    arena_reset(&listener->certificate_arena);
    listener->certificate = arena_strndup(&listener->certificate_arena, answer->body, answer->body_len);
    listener->certificate_url = arena_strdup(&listener->certificate_arena, visit->certificate_url);
    if (listener->certificate == NULL || listener->certificate_url == NULL) {
        listener->certificate = listener->certificate_url = NULL;
        (void)err_no_memory(&err);
        refuse_take(visit, 503, "no certificate", LISTENER_FAILED, &err);
        return;
    }
    judge_take(visit, listener->certificate);
}

static void find_certificate_take(struct visit *visit) {
    struct listener *listener = visit->listener;
    struct err err;
    visit->certificate_url = receipt_certificate_url(visit->gateway->rule, &visit->receipt, &visit->arena);
    if (visit->certificate_url == NULL) {
        (void)err_set(&err, ERR_CONFLICT, "no certificate of Amazon's is named");
        refuse_take(visit, 403, "not genuine", LISTENER_FORGED, &err);
    } else if (listener->certificate_url != NULL && strcmp(listener->certificate_url, visit->certificate_url) == 0) {
        judge_take(visit, listener->certificate);
    } else if (fetch(visit, visit->certificate_url, on_certificate, &err) < 0) {
        refuse_take(visit, 503, "no certificate", LISTENER_FAILED, &err);
    }
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static const char *header_of(const void *ctx, const char *name) {
    const struct visit *visit = ctx;
    return visit->request == NULL ? NULL : evhttp_find_header(evhttp_request_get_input_headers(visit->request), name);
}

static void on_hang_up(struct evhttp_connection *connection, void *ctx) {
    (void)connection;
    struct visit *visit = ctx;
    visit->request = NULL; /* it goes with its connection; on_stored() still comes */
}

/* The gateway whose name the path ("NAME" or "NAME/SECRET", decoded) begins with, and what follows. NULL where there is none. */
static const struct receipt_gateway *find_gateway(const struct listener *listener, const char *path, const char **rest_r) {
    const struct receipt_gateway *best = NULL;
    for (size_t i = 0; i < listener->gateways->n; i++) {
        const struct receipt_gateway *gateway = &listener->gateways->gateways[i];
        size_t len = strlen(gateway->name);
        bool fits = strncmp(path, gateway->name, len) == 0 && (path[len] == '\0' || path[len] == '/');
        if (fits && (best == NULL || len > strlen(best->name))) { /* a name may hold slashes */
            *rest_r = path[len] == '/' ? path + len + 1 : "";
            best = gateway;
        }
    }
    return best;
}

/* Copies what the provider sent: it must outlive the request where the provider hangs up. 0 or -1. */
static int fill_visit(struct visit *visit, const char *path_secret) {
    struct arena *arena = &visit->arena;
    struct evbuffer *input = evhttp_request_get_input_buffer(visit->request);
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(visit->request));
    size_t len = evbuffer_get_length(input);
    char *body = arena_alloc(arena, len + 1);
    const char *base = visit->gateway->public_url == NULL ? "" : visit->gateway->public_url;
    visit->receipt = (struct receipt_request){.url = query == NULL ? arena_strdup(arena, base) : arena_printf(arena, "%s?%s", base, query),
                                              .path_secret = arena_strdup(arena, path_secret),
                                              .topic = visit->gateway->topic,
                                              .query = arena_strdup(arena, query == NULL ? "" : query),
                                              .body = body,
                                              .body_len = len,
                                              .header = header_of,
                                              .ctx = visit};
    if (body == NULL || visit->receipt.url == NULL || visit->receipt.path_secret == NULL || visit->receipt.query == NULL ||
        evbuffer_copyout(input, body, len) != (ev_ssize_t)len) {
        return -1;
    }
    body[len] = '\0';
    return 0;
}

static void admit(struct listener *listener, struct evhttp_request *request, const char *path) {
    const char *rest = "";
    const struct receipt_gateway *gateway = find_gateway(listener, path, &rest);
    struct visit *visit = gateway == NULL ? NULL : calloc(1, sizeof *visit);
    if (gateway == NULL) {
        count(listener, NULL, LISTENER_UNKNOWN, 1);
        reply(listener, request, 404, "Not found");
        return;
    }
    if (visit == NULL) {
        reply(listener, request, 503, "Try again");
        return;
    }
    visit->listener = listener;
    visit->generation = listener->gateways;
    visit->generation->n_visits++;
    visit->gateway = gateway;
    visit->request = request;
    visit->next = listener->visits;
    if (visit->next != NULL) {
        visit->next->prev = visit;
    }
    listener->visits = visit;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_hang_up, visit);
    if (fill_visit(visit, rest) < 0) {
        answer_take(visit, 503, "Try again");
    } else if (gateway->key == NULL) {
        find_certificate_take(visit);
    } else {
        judge_take(visit, gateway->key);
    }
}

static void on_request(struct evhttp_request *request, void *ctx) {
    static const char root[] = "/receipts/";
    struct listener *listener = ctx;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *raw = uri == NULL ? NULL : evhttp_uri_get_path(uri);
    char *path = raw == NULL ? NULL : evhttp_uridecode(raw, 0, NULL);
    enum evhttp_cmd_type command = evhttp_request_get_command(request);
    if (command != EVHTTP_REQ_POST && command != EVHTTP_REQ_GET) {
        count(listener, NULL, LISTENER_UNKNOWN, 1);
        reply(listener, request, 405, "Method not allowed");
    } else if (path == NULL || strncmp(path, root, sizeof root - 1) != 0) {
        count(listener, NULL, LISTENER_UNKNOWN, 1);
        reply(listener, request, 404, "Not found");
    } else {
        admit(listener, request, path + sizeof root - 1);
    }
    free(path);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

static int open_socket(const struct sockaddr_storage *address, int len, struct err *err) {
    int on = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)address, (socklen_t)len) < 0 || listen(fd, 128) < 0) {
        (void)err_system(err, "listener.address");
        if (fd >= 0) {
            (void)evutil_closesocket(fd);
        }
        return -1;
    }
    return fd;
}

static int start(struct listener *listener, struct err *err) {
    const struct listener_settings *settings = listener->settings;
    struct sockaddr_storage address = {0};
    int len = sizeof address;
    if (evutil_parse_sockaddr_port(settings->address, (struct sockaddr *)&address, &len) != 0) {
        return err_member(err, "listener.address", "must be an address and a port, such as 127.0.0.1:8085");
    }
    if (settings->cert_file == NULL && !is_loopback(&address)) {
        return err_member(err, "listener.address", "is not loopback: give cert_file and key_file, or listen on 127.0.0.1 behind a proxy");
    }
    if (settings->cert_file != NULL) {
        listener->tls = listener_tls_new(settings->cert_file, settings->key_file, err);
        if (listener->tls == NULL) {
            return -1;
        }
    }
    int fd = open_socket(&address, len, err);
    if (fd < 0) {
        return -1;
    }
    listener->limits = (struct door_limits){settings->connections_max, settings->timeout_ms};
    listener->door = listener_door_new(listener->base, listener->clock, listener->http, fd, listener->tls, &listener->limits, err);
    return listener->door == NULL ? -1 : 0;
}

struct listener *listener_new(struct event_base *base, const struct clock *clock, const struct listener_settings *settings,
                              const struct listener_handlers *handlers, void *ctx, struct err *err) {
    struct listener *listener = calloc(1, sizeof *listener);
    struct generation *none = calloc(1, sizeof *none);
    struct evhttp *http = listener == NULL || none == NULL ? NULL : evhttp_new(base);
    if (http == NULL) {
        free(listener);
        free(none);
        (void)err_no_memory(err);
        return NULL;
    }
    *listener = (struct listener){
        .base = base, .clock = clock, .settings = settings, .handlers = handlers, .ctx = ctx, .http = http, .gateways = none};
    evhttp_set_max_body_size(http, (ev_ssize_t)settings->body_max_bytes);
    evhttp_set_max_headers_size(http, HEADERS_MAX_BYTES);
    evhttp_set_timeout(http, (int)((settings->timeout_ms + 999) / 1000));
    evhttp_set_gencb(http, on_request, listener);
    if (start(listener, err) < 0) {
        listener_free(listener);
        return NULL;
    }
    return listener;
}

void listener_free(struct listener *listener) {
    if (listener == NULL) {
        return;
    }
    curl_loop_free(listener->fetcher); /* answers the visits that wait for a certificate */
    listener_door_free(listener->door);
    evhttp_free(listener->http);
    while (listener->visits != NULL) {
        visit_free(listener->visits);
    }
    drop_old(listener);
    arena_fini(&listener->gateways->arena);
    free(listener->gateways);
    listener_tls_free(listener->tls);
    arena_fini(&listener->certificate_arena);
    free(listener);
}

/* Fills a generation. The number of gateways, or -1 with *err. */
static int open_gateways(struct generation *made, const struct gateway_settings *gateways, size_t n, size_t *at_fault_r, struct err *err) {
    made->gateways = arena_array(&made->arena, n, sizeof *made->gateways);
    if (made->gateways == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        int found = receipt_gateway_open(&gateways[i], &made->arena, &made->gateways[made->n], err);
        if (found < 0) {
            *at_fault_r = i;
            return -1;
        }
        made->n += (size_t)found;
    }
    return (int)made->n;
}

int listener_load(struct listener *listener, const struct gateway_settings *gateways, size_t n, size_t *at_fault_r, struct err *err) {
    struct generation *made = calloc(1, sizeof *made);
    *at_fault_r = 0;
    if (made == NULL) {
        return err_no_memory(err);
    }
    int found = open_gateways(made, gateways, n, at_fault_r, err);
    if (found < 0) {
        arena_fini(&made->arena);
        free(made);
        return -1;
    }
    made->older = listener->gateways;
    listener->gateways = made;
    drop_old(listener);
    return found;
}

bool listener_is_settled(const struct listener *listener) {
    return listener->gateways->older == NULL;
}

uint64_t listener_count(const struct listener *listener, enum listener_event event) {
    return listener->counts[event];
}

uint64_t listener_cut(const struct listener *listener) {
    return listener_door_cut(listener->door);
}
