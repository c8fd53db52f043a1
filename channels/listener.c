/* listener: see listener.h.
 *
 *   request ──▶ path known? ──▶ [SNS: certificate at hand? else fetched] ──▶ genuine? ──▶ readable? ──▶ take() ──▶ stored? ──▶ 200
 *                  404                          503                            403           400                     503
 *
 * A provider counts a receipt as delivered when it sees 200, so that is only said once the receipt is stored for good; anything else
 * makes the provider try again, which is harmless, because a receipt applied twice changes nothing. What is refused is counted
 * and logged, at most one line in ten seconds, without anything out of the request in it.
 *
 * Off unless configured; plain HTTP only on loopback, behind the operator's proxy; bodies, headers and time are limited. It knows no
 * provider (receipt.h does) and nothing of notices. */
#include "channels/listener.h"

#include "base/log.h"
#include "channels/curl_loop.h"
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

enum { GATEWAYS_MAX = 64, RECEIPTS_MAX = 64, HEADERS_MAX_BYTES = 16384, QUIET_MS = 10000 };

/* A request that waits for a certificate or for take(). */
struct visit {
    struct listener *listener;
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
    listener_take_fn *take;
    void *ctx;
    struct evhttp *http;
    struct listener_tls *tls;
    struct arena arena;
    struct receipt_gateway gateways[GATEWAYS_MAX];
    size_t n_gateways;
    struct curl_loop *fetcher; /* of certificates; made when first needed */
    struct arena certificate_arena;
    const char *certificate_url; /* the newest, and what is there */
    const char *certificate;
    struct visit *visits;
    struct listener_counts counts;
    int64_t quiet_until_ms;
};

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
    arena_fini(&visit->arena);
    free(visit);
}

static void reply(struct evhttp_request *request, int status, const char *words) {
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    (void)evhttp_add_header(headers, "Content-Type", "text/plain");
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_send_reply(request, status, words, NULL);
}

static void answer_take(struct visit *visit, int status, const char *words) {
    if (visit->request != NULL) {
        evhttp_connection_set_closecb(evhttp_request_get_connection(visit->request), NULL, NULL);
        reply(visit->request, status, words);
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

static void refuse_take(struct visit *visit, int status, const char *what, uint64_t *count, const struct err *err) {
    (*count)++;
    tell(visit->listener, visit->gateway->name, what, err);
    answer_take(visit, status, what);
}

static void on_stored(void *stored_ctx, bool stored) {
    struct visit *visit = stored_ctx;
    struct listener_counts *counts = &visit->listener->counts;
    if (stored) {
        counts->taken += visit->n_receipts;
        answer_take(visit, 200, "OK");
    } else {
        counts->failed++;
        answer_take(visit, 503, "Try again");
    }
}

/* ---- judging --------------------------------------------------------------------------------------------------------- */

static void judge_take(struct visit *visit, const char *key) {
    struct listener *listener = visit->listener;
    const struct receipt_gateway *gateway = visit->gateway;
    struct provider_receipt receipts[RECEIPTS_MAX];
    struct err err;
    if (receipt_verify(gateway->rule, &visit->receipt, key, clock_wall_ms(listener->clock), &err) < 0) {
        refuse_take(visit, 403, "not genuine", &listener->counts.forged, &err);
        return;
    }
    int n = receipt_read(gateway->rule, &visit->receipt, receipts, RECEIPTS_MAX, &err);
    if (n < 0) {
        refuse_take(visit, 400, "cannot be read", &listener->counts.garbled, &err);
    } else if (n == 0) {
        listener->counts.pending++;
        answer_take(visit, 200, "OK");
    } else {
        visit->n_receipts = (size_t)n;
        listener->take(listener->ctx, gateway->name, receipts, (size_t)n, on_stored, visit);
    }
}

/* ---- certificates ---------------------------------------------------------------------------------------------------- */

static void on_certificate(void *ctx, const struct curl_answer *answer) {
    struct visit *visit = ctx;
    struct listener *listener = visit->listener;
    struct err err;
    if (answer->end != CURL_ANSWERED || answer->status != 200 || answer->body_cut) {
        (void)err_set(&err, ERR_NET, "%s", answer->end == CURL_ANSWERED ? "it could not be fetched" : answer->why);
        refuse_take(visit, 503, "no certificate", &listener->counts.failed, &err);
        return;
    }
    arena_reset(&listener->certificate_arena);
    listener->certificate = arena_strndup(&listener->certificate_arena, answer->body, answer->body_len);
    listener->certificate_url = arena_strdup(&listener->certificate_arena, visit->certificate_url);
    if (listener->certificate == NULL || listener->certificate_url == NULL) {
        listener->certificate = listener->certificate_url = NULL;
        (void)err_no_memory(&err);
        refuse_take(visit, 503, "no certificate", &listener->counts.failed, &err);
        return;
    }
    judge_take(visit, listener->certificate);
}

static int fetch(struct visit *visit, struct err *err) {
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
    struct curl_request request = {.method = "GET", .url = visit->certificate_url, .not_after_mono_ms = INT64_MAX};
    return listener->fetcher == NULL ? -1 : curl_loop_start(listener->fetcher, &request, on_certificate, visit, err);
}

static void find_certificate_take(struct visit *visit) {
    struct listener *listener = visit->listener;
    struct err err;
    visit->certificate_url = receipt_certificate_url(visit->gateway->rule, &visit->receipt, &visit->arena);
    if (visit->certificate_url == NULL) {
        (void)err_set(&err, ERR_CONFLICT, "no certificate of Amazon's is named");
        refuse_take(visit, 403, "not genuine", &listener->counts.forged, &err);
    } else if (listener->certificate_url != NULL && strcmp(listener->certificate_url, visit->certificate_url) == 0) {
        judge_take(visit, listener->certificate);
    } else if (fetch(visit, &err) < 0) {
        refuse_take(visit, 503, "no certificate", &listener->counts.failed, &err);
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
    for (size_t i = 0; i < listener->n_gateways; i++) {
        size_t len = strlen(listener->gateways[i].name);
        if (strncmp(path, listener->gateways[i].name, len) == 0 && (path[len] == '\0' || path[len] == '/')) {
            *rest_r = path[len] == '/' ? path + len + 1 : "";
            return &listener->gateways[i];
        }
    }
    return NULL;
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
        listener->counts.unknown++;
        reply(request, 404, "Not found");
        return;
    }
    if (visit == NULL) {
        reply(request, 503, "Try again");
        return;
    }
    visit->listener = listener;
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
        listener->counts.unknown++;
        reply(request, 405, "Method not allowed");
    } else if (path == NULL || strncmp(path, root, sizeof root - 1) != 0) {
        listener->counts.unknown++;
        reply(request, 404, "Not found");
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
    int fd = open_socket(&address, len, err);
    if (fd < 0) {
        return -1;
    }
    if (evhttp_accept_socket(listener->http, fd) < 0) {
        (void)evutil_closesocket(fd);
        return err_system(err, "listener.address");
    }
    return 0;
}

struct listener *listener_new(struct event_base *base, const struct clock *clock, const struct listener_settings *settings,
                              listener_take_fn *take, void *ctx, struct err *err) {
    struct listener *listener = calloc(1, sizeof *listener);
    struct evhttp *http = listener == NULL ? NULL : evhttp_new(base);
    if (http == NULL) {
        free(listener);
        (void)err_no_memory(err);
        return NULL;
    }
    listener->base = base;
    listener->clock = clock;
    listener->settings = settings;
    listener->take = take;
    listener->ctx = ctx;
    listener->http = http;
    evhttp_set_max_body_size(http, (ev_ssize_t)settings->body_max_bytes);
    evhttp_set_max_headers_size(http, HEADERS_MAX_BYTES);
    evhttp_set_timeout(http, (int)((settings->timeout_ms + 999) / 1000));
    evhttp_set_gencb(http, on_request, listener);
    if (settings->cert_file != NULL) {
        listener->tls = listener_tls_new(http, settings->cert_file, settings->key_file, err);
    }
    if ((settings->cert_file != NULL && listener->tls == NULL) || start(listener, err) < 0) {
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
    evhttp_free(listener->http);
    while (listener->visits != NULL) {
        visit_free(listener->visits);
    }
    listener_tls_free(listener->tls);
    arena_fini(&listener->certificate_arena);
    arena_fini(&listener->arena);
    free(listener);
}

int listener_add(struct listener *listener, const struct gateway_settings *settings, struct err *err) {
    if (listener->n_gateways == GATEWAYS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d gateways with receipts", GATEWAYS_MAX);
    }
    int found = receipt_gateway_open(settings, &listener->arena, &listener->gateways[listener->n_gateways], err);
    if (found == 1) {
        listener->n_gateways++;
    }
    return found;
}

const struct listener_counts *listener_counts(const struct listener *listener) {
    return &listener->counts;
}
