/* preview: see preview.h.
 *
 *   GET  /              the page        GET /app.js, /style.css
 *   GET  /api/set       the notices, their variables, what the checks found
 *   POST /api/render    the messages of one notice, made with the values in the body
 *   GET  /api/source    one file of the set, for the findings beside its lines
 *   GET  /api/changes   server-sent events: one for each change of the directory
 *
 * Listens on loopback only and answers only requests whose Host is that very address, so that no page on the internet can reach it by
 * pointing a name here. The page may load nothing from elsewhere (Content-Security-Policy) and shows a mail in a frame without scripts.
 *
 * Fails: preview_new() where the port is taken or the directory cannot be read; after that a request fails alone.
 * Does not: write anything, or know Redis. */
#include "templates/preview.h"

#include "templates/preview_page.h"
#include "templates/preview_view.h"
#include "templates/report.h"
#include "templates/watch.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum { BODY_MAX_BYTES = 262144, LISTENERS_MAX = 32 };

struct preview {
    char *dir;
    char url[64];
    char host[2][64]; /* what a Host header may say */
    struct event_base *base;
    struct evhttp *http;
    struct template_set *set; /* the last good one, or NULL */
    struct template_report report;
    struct template_watch *watch;
    struct evhttp_request *listeners[LISTENERS_MAX];
    size_t n_listeners;
};

/* ---- answers ------------------------------------------------------------------------------------------------------- */
static void add_headers(struct evhttp_request *request, const char *type) {
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    (void)evhttp_add_header(headers, "Content-Type", type);
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    (void)evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    (void)evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
    (void)evhttp_add_header(headers, "Content-Security-Policy",
                            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
                            "frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'");
}

static void answer(struct evhttp_request *request, int code, const char *type, const char *text, size_t len) {
    struct evbuffer *body = evbuffer_new();
    add_headers(request, type);
    if (body != NULL) {
        (void)evbuffer_add(body, text, len);
    }
    evhttp_send_reply(request, code, NULL, body);
    if (body != NULL) {
        evbuffer_free(body);
    }
}

/* Takes the reference. */
static void answer_json(struct evhttp_request *request, json_t *view, const struct err *err) {
    int code = view == NULL ? 400 : 200;
    if (view == NULL) {
        view = json_pack("{s:s}", "error", err->text);
    }
    char *text = view == NULL ? NULL : json_dumps(view, JSON_COMPACT);
    json_decref(view);
    answer(request, text == NULL ? 500 : code, "application/json", text == NULL ? "{}" : text, text == NULL ? 2 : strlen(text));
    free(text);
}

/* Whether the request may be answered at all. */
static bool is_ours(const struct preview *preview, struct evhttp_request *request) {
    const char *host = evhttp_find_header(evhttp_request_get_input_headers(request), "Host");
    return host != NULL && (strcmp(host, preview->host[0]) == 0 || strcmp(host, preview->host[1]) == 0);
}

static bool refuse(const struct preview *preview, struct evhttp_request *request, enum evhttp_cmd_type method) {
    if (!is_ours(preview, request)) {
        evhttp_send_error(request, 403, "this server answers only on its own address");
        return true;
    }
    if (evhttp_request_get_command(request) != method) {
        evhttp_send_error(request, 405, NULL);
        return true;
    }
    return false;
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */
struct asset {
    const char *path;
    const char *type;
    const char *text;
    size_t len;
};

static const struct asset assets[] = {
    {"/", "text/html; charset=utf-8", preview_index_html, sizeof preview_index_html - 1},
    {"/app.js", "text/javascript; charset=utf-8", preview_app_js, sizeof preview_app_js - 1},
    {"/style.css", "text/css; charset=utf-8", preview_style_css, sizeof preview_style_css - 1},
};

static void on_other(struct evhttp_request *request, void *ctx) {
    const struct preview *preview = ctx;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    if (refuse(preview, request, EVHTTP_REQ_GET)) {
        return;
    }
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
        if (path != NULL && strcmp(path, assets[i].path) == 0) {
            answer(request, 200, assets[i].type, assets[i].text, assets[i].len);
            return;
        }
    }
    evhttp_send_error(request, 404, NULL);
}

static void on_set(struct evhttp_request *request, void *ctx) {
    const struct preview *preview = ctx;
    const struct err err = {.text = "out of memory"};
    if (!refuse(preview, request, EVHTTP_REQ_GET)) {
        answer_json(request, preview_set_view(preview->set, &preview->report), &err);
    }
}

static void on_render(struct evhttp_request *request, void *ctx) {
    const struct preview *preview = ctx;
    struct err err = {0};
    if (refuse(preview, request, EVHTTP_REQ_POST)) {
        return;
    }
    struct evbuffer *body = evhttp_request_get_input_buffer(request);
    size_t len = evbuffer_get_length(body);
    json_error_t why;
    json_t *wanted = json_loadb((const char *)evbuffer_pullup(body, -1), len, JSON_REJECT_DUPLICATES, &why);
    json_t *view = NULL;
    if (json_is_object(wanted)) {
        view = preview_messages_view(preview->set, wanted, &err);
    } else {
        (void)err_set(&err, ERR_SYNTAX, "the request is not a JSON object");
    }
    json_decref(wanted);
    answer_json(request, view, &err);
}

static void on_source(struct evhttp_request *request, void *ctx) {
    const struct preview *preview = ctx;
    struct evkeyvalq query;
    struct err err = {0};
    if (refuse(preview, request, EVHTTP_REQ_GET)) {
        return;
    }
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    if (text == NULL || evhttp_parse_query_str(text, &query) < 0) {
        evhttp_send_error(request, 400, NULL);
        return;
    }
    const char *file = evhttp_find_header(&query, "file");
    answer_json(request, preview_source_view(preview->dir, file == NULL ? "" : file, &err), &err);
    evhttp_clear_headers(&query);
}

/* ---- telling pages of changes -------------------------------------------------------------------------------------- */
/* Where a page went away while it was being told something, libevent takes the request off its connection and leaves it to us to end it
 * (and by that to free it); else it frees the request with the connection. */
static void forget(struct preview *preview, const struct evhttp_connection *connection) {
    for (size_t i = preview->n_listeners; i > 0; i--) {
        struct evhttp_request *request = preview->listeners[i - 1];
        const struct evhttp_connection *own = evhttp_request_get_connection(request);
        if (own != NULL && own != connection) {
            continue;
        }
        preview->listeners[i - 1] = preview->listeners[--preview->n_listeners];
        if (own == NULL) {
            evhttp_send_reply_end(request);
        }
    }
}

static void on_gone(struct evhttp_connection *connection, void *ctx) {
    forget(ctx, connection);
}

static void send_event(struct evhttp_request *request, const char *text) {
    struct evbuffer *chunk = evbuffer_new();
    if (chunk != NULL) {
        (void)evbuffer_add(chunk, text, strlen(text));
        evhttp_send_reply_chunk(request, chunk);
        evbuffer_free(chunk);
    }
}

static void on_changes(struct evhttp_request *request, void *ctx) {
    struct preview *preview = ctx;
    if (refuse(preview, request, EVHTTP_REQ_GET)) {
        return;
    }
    if (preview->n_listeners == LISTENERS_MAX) {
        evhttp_send_error(request, 503, "too many open pages");
        return;
    }
    add_headers(request, "text/event-stream");
    evhttp_send_reply_start(request, 200, NULL);
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_gone, preview);
    preview->listeners[preview->n_listeners++] = request;
    send_event(request, "retry: 500\ndata: hello\n\n");
}

/* ---- the set ------------------------------------------------------------------------------------------------------- */
static void copy_findings(struct preview *preview, const struct template_report *report) {
    template_report_fini(&preview->report);
    for (size_t i = 0; i < report->n; i++) {
        const struct template_finding *finding = &report->findings[i];
        (void)(finding->is_error ? report_error : report_advice)(&preview->report, finding->file, finding->line, "%s", finding->text);
    }
}

/* A set that was refused leaves the last good one to look at. */
static void on_set_changed(void *ctx, struct template_set *set, const struct template_report *report, const struct err *err) {
    struct preview *preview = ctx;
    (void)err;
    copy_findings(preview, report);
    if (set != NULL) {
        template_set_free(preview->set);
        preview->set = set;
    }
    for (size_t i = 0; i < preview->n_listeners; i++) {
        send_event(preview->listeners[i], "data: changed\n\n");
    }
}

/* 0, or -1 with *err where the directory cannot be read at all. */
static int load(struct preview *preview, struct err *err) {
    preview->set = template_set_load(preview->dir, &preview->report, err);
    return preview->set == NULL && preview->report.n_errors == 0 ? -1 : 0;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */
static int listen_on(struct preview *preview, uint16_t port, struct err *err) {
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(preview->http, "127.0.0.1", port);
    struct sockaddr_storage address;
    ev_socklen_t len = sizeof address;
    if (bound == NULL || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len) < 0) {
        return err_set(err, ERR_NET, "cannot listen on 127.0.0.1:%u; choose another port", port);
    }
    struct sockaddr_in in;
    memcpy(&in, &address, sizeof in);
    unsigned number = ntohs(in.sin_port);
    (void)snprintf(preview->url, sizeof preview->url, "http://127.0.0.1:%u/", number);
    (void)snprintf(preview->host[0], sizeof preview->host[0], "127.0.0.1:%u", number);
    (void)snprintf(preview->host[1], sizeof preview->host[1], "localhost:%u", number);
    return 0;
}

static int start_http(struct preview *preview, uint16_t port, struct err *err) {
    static const struct {
        const char *path;
        void (*handle)(struct evhttp_request *request, void *ctx);
    } routes[] = {{"/api/set", on_set}, {"/api/render", on_render}, {"/api/source", on_source}, {"/api/changes", on_changes}};
    preview->http = evhttp_new(preview->base);
    if (preview->http == NULL) {
        return err_no_memory(err);
    }
    evhttp_set_max_body_size(preview->http, BODY_MAX_BYTES);
    evhttp_set_allowed_methods(preview->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
    evhttp_set_gencb(preview->http, on_other, preview);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        (void)evhttp_set_cb(preview->http, routes[i].path, routes[i].handle, preview);
    }
    return listen_on(preview, port, err);
}

struct preview *preview_new(struct event_base *base, const char *dir, uint16_t port, struct err *err) {
    struct preview *preview = calloc(1, sizeof *preview);
    if (preview == NULL || (preview->dir = strdup(dir)) == NULL) {
        (void)err_no_memory(err);
        free(preview);
        return NULL;
    }
    preview->base = base;
    preview->watch = template_watch_new(base, dir, on_set_changed, preview, err);
    if (preview->watch == NULL || load(preview, err) < 0 || start_http(preview, port, err) < 0) {
        preview_free(preview);
        return NULL;
    }
    return preview;
}

void preview_free(struct preview *preview) {
    if (preview == NULL) {
        return;
    }
    while (preview->n_listeners > 0) {
        struct evhttp_request *request = preview->listeners[--preview->n_listeners];
        struct evhttp_connection *connection = evhttp_request_get_connection(request);
        if (connection != NULL) {
            evhttp_connection_set_closecb(connection, NULL, NULL);
        }
        evhttp_send_reply_end(request);
    }
    if (preview->http != NULL) {
        evhttp_free(preview->http);
    }
    template_watch_free(preview->watch);
    template_set_free(preview->set);
    template_report_fini(&preview->report);
    free(preview->dir);
    free(preview);
}

const char *preview_url(const struct preview *preview) {
    return preview->url;
}
