/* curl_loop: see curl_loop.h. The only file that knows libcurl.
 *
 * libcurl's multi_socket interface tells which sockets to watch and when to come back (on_socket, on_timer); socket_watch.c and
 * libevent do the watching; every event goes back in through curl_multi_socket_action, after which finished transfers are collected.
 *
 * Exactly one request on the wire. When a kept-alive connection turns out to be dead, libcurl silently sends the request again
 * on a new one, also a POST whose first copy the peer has read. The pre-request callback, which libcurl calls before each
 * try, refuses the second try unless not one byte of the first was taken by the kernel (CURLINFO_REQUEST_SIZE); so the
 * speed of keep-alive is kept and the caller learns NO_ANSWER instead of sending a message twice. The same byte count
 * tells NOT_SENT from NO_ANSWER after every other failure.
 *
 * Nothing foreign steers us: no redirects, no proxy or .netrc from the environment, https only unless allowed, certificate and
 * host name verified, public addresses only unless allowed (checked on the socket, after the name look-up, so that DNS cannot
 * lead inside), no decompression, a capped body, a time limit on everything.
 *
 * Bodies stay far below the size (1 MiB) from which libcurl would wait for 100 Continue, one more way to send a body twice.
 *
 * Easy handles are used again, with the URL and header lines of their last request where these are the same: setting one up costs a
 * quarter of a request. The URL is kept parsed, since libcurl would take it apart and put it together again for every request (a
 * tenth of a request), and our name goes out as a header line, which is copied once where CURLOPT_USERAGENT is copied twice, character by
 * character. It does not retry, queue or judge an answer. */
#include "channels/curl_loop.h"

#include "base/buf.h"
#include "channels/curl_address.h"
#include "channels/socket_watch.h"

#include <assert.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum stop { STOP_NONE, STOP_AGAIN, STOP_LATE, STOP_PRIVATE };

struct transfer {
    struct curl_loop *loop;
    CURL *easy;
    struct buf url;             /* what the handle holds, */
    struct curl_slist *headers; /* as long as the next request has the same: the request's own lines, */
    struct curl_slist *agent;   /* then ours; NULL where the request brings its own, or signs its lines */
    bool signs;                 /* aws_sigv4: libcurl signs every line of `headers` */
    CURLU *parsed;              /* of `url` */
    struct buf body;            /* of the answer */
    bool body_cut;
    bool has_account; /* the handle holds a user name */
    enum stop stop;
    int64_t not_after_mono_ms;
    curl_done_fn *done;
    void *ctx;
    char error[CURL_ERROR_SIZE];
    struct transfer *next; /* in `idle`, or in `busy` */
    struct transfer *prev; /* in `busy` */
};

struct curl_loop {
    struct event_base *base;
    const struct clock *clock;
    struct curl_limits limits;
    CURLM *multi;
    struct event *timer;
    struct transfer *idle;
    struct transfer *busy;
    struct socket_watches *watches;
};

/* ---- answers --------------------------------------------------------------------------------------------------------- */

static const char *answer_header(const struct curl_answer *answer, const char *name) {
    struct curl_header *header = NULL;
    return curl_easy_header(answer->handle, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

static void take_from_busy(struct transfer *transfer) {
    struct curl_loop *loop = transfer->loop;
    if (transfer->prev != NULL) {
        transfer->prev->next = transfer->next;
    } else {
        loop->busy = transfer->next;
    }
    if (transfer->next != NULL) {
        transfer->next->prev = transfer->prev;
    }
    transfer->next = transfer->prev = NULL;
}

/* Why a transfer failed, without the host, address or path that libcurl's own texts hold. */
static const char *plain_failure(const struct transfer *transfer, CURLcode result) {
    switch (transfer->stop) {
    case STOP_AGAIN: return "the gateway closed the connection without an answer";
    case STOP_LATE: return "the time to begin had passed";
    case STOP_PRIVATE: return "the gateway's address is private or loopback, which allow_private would have to permit";
    case STOP_NONE: break;
    }
    return curl_easy_strerror(result);
}

static struct curl_answer describe(const struct transfer *transfer, CURLcode result) {
    long status = 0;
    long sent_bytes = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    struct curl_answer answer = {.body = buf_str(&transfer->body),
                                 .body_len = transfer->body.len,
                                 .body_cut = transfer->body_cut || (result != CURLE_OK && status >= 200),
                                 .why = "",
                                 .header = answer_header,
                                 .handle = transfer->easy};
    if (answer.body == NULL) {
        answer.body = "";
        answer.body_len = 0;
        answer.body_cut = true;
    }
    if (status >= 200 && transfer->stop == STOP_NONE) {
        answer.end = CURL_ANSWERED;
        answer.status = (int)status;
        return answer;
    }
    answer.end = sent_bytes == 0 ? CURL_NOT_SENT : CURL_NO_ANSWER;
    answer.late = answer.end == CURL_NOT_SENT && transfer->stop == STOP_LATE;
    answer.why = result == CURLE_OK ? "the answer had no final status" : plain_failure(transfer, result);
    return answer;
}

/* Reports a transfer that libcurl is done with and makes its handle ready for the next. */
static void finish(struct transfer *transfer, CURLcode result) {
    struct curl_loop *loop = transfer->loop;
    CURLMcode removed = curl_multi_remove_handle(loop->multi, transfer->easy);
    assert(removed == CURLM_OK);
    (void)removed;
    take_from_busy(transfer);
    struct curl_answer answer = describe(transfer, result);
    transfer->done(transfer->ctx, &answer);
    transfer->next = loop->idle;
    loop->idle = transfer;
}

static void collect(struct curl_loop *loop) {
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(loop->multi, &left)) != NULL;) {
        if (message->msg == CURLMSG_DONE) {
            struct transfer *transfer = NULL;
            CURLcode result = message->data.result; /* the message dies with the removal of its handle */
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
            finish(transfer, result);
        }
    }
}

/* ---- between libcurl and libevent ------------------------------------------------------------------------------------ */

static void on_ready(void *ctx, int fd, int ready) {
    struct curl_loop *loop = ctx;
    int running = 0;
    int flags = ((ready & SOCKET_READ) != 0 ? CURL_CSELECT_IN : 0) | ((ready & SOCKET_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(loop->multi, fd, flags, &running);
    collect(loop);
}

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct curl_loop *loop = arg;
    int running = 0;
    (void)curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(loop);
}

static int on_timer(CURLM *multi, long wait_ms, void *arg) {
    (void)multi;
    struct curl_loop *loop = arg;
    if (wait_ms < 0) {
        return event_del(loop->timer) < 0 ? -1 : 0;
    }
    if (wait_ms == 0) { /* after what is ready by now, without asking the kernel again before */
        event_active(loop->timer, EV_TIMEOUT, 1);
        return 0;
    }
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    return event_add(loop->timer, &wait) < 0 ? -1 : 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int wants, void *arg, void *socket_arg) {
    (void)easy;
    (void)socket_arg;
    struct curl_loop *loop = arg;
    int wanted =
        wants == CURL_POLL_REMOVE ? 0 : ((wants & CURL_POLL_IN) != 0 ? SOCKET_READ : 0) | ((wants & CURL_POLL_OUT) != 0 ? SOCKET_WRITE : 0);
    return socket_watch_want(loop->watches, fd, wanted);
}

/* ---- callbacks of one transfer --------------------------------------------------------------------------------------- */

/* Called by libcurl right before each try to send the request. */
static int on_request(void *arg, char *peer, char *local, int peer_port, int local_port) {
    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    struct transfer *transfer = arg;
    long sent_bytes = 0;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent_bytes) != CURLE_OK || sent_bytes > 0) {
        transfer->stop = STOP_AGAIN;
        return CURL_PREREQFUNC_ABORT;
    }
    if (clock_mono_ms(transfer->loop->clock) > transfer->not_after_mono_ms) {
        transfer->stop = STOP_LATE;
        return CURL_PREREQFUNC_ABORT;
    }
    return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    struct transfer *transfer = arg;
    if (!transfer->loop->limits.allow_private && !curl_address_is_public(&address->addr)) {
        transfer->stop = STOP_PRIVATE;
        return CURL_SOCKET_BAD;
    }
    transfer->stop = STOP_NONE; /* another address of the same name may have been refused before */
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    if (fd >= 0 && socket_watch_opened(transfer->loop->watches, fd) < 0) {
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

/* Belongs to the connection, which may outlive the transfer that opened it. */
static int on_close(void *arg, curl_socket_t fd) {
    struct curl_loop *loop = arg;
    socket_watch_closing(loop->watches, fd);
    return close(fd);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
    struct transfer *transfer = arg;
    size_t len = size * n;
    size_t room = (size_t)transfer->loop->limits.answer_max_bytes - transfer->body.len;
    if (len > room) {
        buf_put(&transfer->body, data, room);
        transfer->body_cut = true;
        return CURL_WRITEFUNC_ERROR;
    }
    buf_put(&transfer->body, data, len);
    return transfer->body.failed ? CURL_WRITEFUNC_ERROR : len;
}

/* ---- handles --------------------------------------------------------------------------------------------------------- */

static void transfer_free(struct transfer *transfer) {
    if (transfer == NULL) {
        return;
    }
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    curl_url_cleanup(transfer->parsed);
    buf_fini(&transfer->url);
    buf_fini(&transfer->body);
    free(transfer);
}

/* The options that are the same for every request of a loop. */
static CURLcode set_up(struct transfer *transfer) {
    const struct curl_limits *limits = &transfer->loop->limits;
    CURL *easy = transfer->easy;
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad != CURLE_OK ? bad : curl_easy_setopt(easy, option, value)
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, limits->allow_insecure ? "http,https" : "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    SET(CURLOPT_HTTP_VERSION, limits->http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PIPEWAIT, limits->http2 ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)limits->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)limits->timeout_ms);
    SET(CURLOPT_MAXAGE_CONN, (long)(limits->keep_alive_ms / 1000));
    SET(CURLOPT_FORBID_REUSE, limits->keep_alive_ms < 1000 ? 1L : 0L);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, transfer->loop);
    SET(CURLOPT_PREREQFUNCTION, on_request);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    if (limits->ca_file != NULL) {
        SET(CURLOPT_CAINFO, limits->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    return bad;
}

static struct transfer *transfer_get(struct curl_loop *loop, struct err *err) {
    struct transfer *transfer = loop->idle;
    if (transfer != NULL) {
        loop->idle = transfer->next;
        transfer->next = NULL;
        return transfer;
    }
    transfer = calloc(1, sizeof *transfer);
    if (transfer != NULL) {
        transfer->loop = loop;
        transfer->easy = curl_easy_init();
        transfer->parsed = curl_url();
    }
    if (transfer == NULL || transfer->easy == NULL || transfer->parsed == NULL) {
        transfer_free(transfer);
        (void)err_no_memory(err);
        return NULL;
    }
    CURLcode result = set_up(transfer);
    if (result != CURLE_OK) {
        (void)err_set(err, ERR_NET, "libcurl cannot be set up: %s", curl_easy_strerror(result));
        transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

static bool has_headers(const struct transfer *transfer, const struct curl_request *request) {
    const struct curl_slist *at = transfer->headers;
    for (size_t i = 0; i < request->n_headers; i++, at = at->next) {
        if (at == transfer->agent || strcmp(at->data, request->headers[i]) != 0) {
            return false;
        }
    }
    return at == transfer->agent;
}

/* Appends a line and gives its node. NULL when there is no memory. */
static struct curl_slist *add_line(struct transfer *transfer, const char *line) {
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    struct curl_slist *last = longer;
    transfer->headers = longer != NULL ? longer : transfer->headers;
    while (last != NULL && last->next != NULL) {
        last = last->next;
    }
    return last;
}

static CURLcode set_headers(struct transfer *transfer, const struct curl_request *request) {
    static const char agent[] = "User-Agent: ";
    bool signs = request->aws_sigv4 != NULL;
    if (transfer->headers != NULL && transfer->signs == signs && has_headers(transfer, request)) {
        return CURLE_OK;
    }
    curl_slist_free_all(transfer->headers);
    transfer->headers = transfer->agent = NULL;
    transfer->signs = signs;
    bool named = signs; /* a line that proxies may change is not to be signed: CURLOPT_USERAGENT then */
    for (size_t i = 0; i < request->n_headers; i++) {
        if (add_line(transfer, request->headers[i]) == NULL) {
            return CURLE_OUT_OF_MEMORY;
        }
        named = named || strncasecmp(request->headers[i], agent, sizeof agent - 2) == 0;
    }
    if (!named) {
        char line[sizeof agent + 64];
        (void)snprintf(line, sizeof line, "%s%s", agent, transfer->loop->limits.user_agent);
        transfer->agent = add_line(transfer, line);
        if (transfer->agent == NULL) {
            return CURLE_OUT_OF_MEMORY;
        }
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static CURLcode set_url(struct transfer *transfer, const char *url) {
    struct buf *held = &transfer->url;
    if (held->len > 0 && strcmp(held->data, url) == 0) {
        return CURLE_OK;
    }
    buf_reset(held);
    CURLUcode bad = curl_url_set(transfer->parsed, CURLUPART_URL, url, 0);
    if (bad != CURLUE_OK) {
        return bad == CURLUE_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_URL_MALFORMAT;
    }
    buf_puts(held, url);
    return held->failed ? CURLE_OUT_OF_MEMORY : curl_easy_setopt(transfer->easy, CURLOPT_CURLU, transfer->parsed);
}

static CURLcode set_request(struct transfer *transfer, const struct curl_request *request) {
    CURL *easy = transfer->easy;
    CURLcode bad = set_url(transfer, request->url);
    bad = bad != CURLE_OK ? bad : set_headers(transfer, request);
    if (request->body != NULL) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        SET(CURLOPT_POSTFIELDS, request->body);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    bool implied = strcmp(request->method, request->body != NULL ? "POST" : "GET") == 0;
    SET(CURLOPT_CUSTOMREQUEST, implied ? NULL : request->method);
    if (request->username != NULL || transfer->has_account) {
        SET(CURLOPT_USERNAME, request->username);
        SET(CURLOPT_PASSWORD, request->password);
        SET(CURLOPT_AWS_SIGV4, request->aws_sigv4);
        SET(CURLOPT_USERAGENT, request->aws_sigv4 != NULL ? transfer->loop->limits.user_agent : NULL);
        SET(CURLOPT_HTTPAUTH, request->aws_sigv4 != NULL ? (long)CURLAUTH_AWS_SIGV4 : (long)CURLAUTH_BASIC);
        transfer->has_account = request->username != NULL;
    }
    return bad;
#undef SET
}

int curl_loop_start(struct curl_loop *loop, const struct curl_request *request, curl_done_fn *done, void *ctx, struct err *err) {
    struct transfer *transfer = transfer_get(loop, err);
    if (transfer == NULL) {
        return -1;
    }
    assert(request->body_len <= CURL_REQUEST_MAX_BYTES);
    buf_reset(&transfer->body);
    transfer->body_cut = false;
    transfer->stop = STOP_NONE;
    transfer->not_after_mono_ms = request->not_after_mono_ms;
    transfer->done = done;
    transfer->ctx = ctx;
    CURLcode result = set_request(transfer, request);
    if (result != CURLE_OK || curl_multi_add_handle(loop->multi, transfer->easy) != CURLM_OK) {
        transfer_free(transfer);
        return err_set(err, ERR_NET, "libcurl does not take the request: %s", curl_easy_strerror(result));
    }
    transfer->next = loop->busy;
    if (loop->busy != NULL) {
        loop->busy->prev = transfer;
    }
    loop->busy = transfer;
    return 0;
}

static CURLMcode set_up_multi(struct curl_loop *loop) {
    CURLMcode bad = CURLM_OK;
#define SET(option, value) bad = bad != CURLM_OK ? bad : curl_multi_setopt(loop->multi, option, value)
    SET(CURLMOPT_SOCKETFUNCTION, on_socket);
    SET(CURLMOPT_SOCKETDATA, loop);
    SET(CURLMOPT_TIMERFUNCTION, on_timer);
    SET(CURLMOPT_TIMERDATA, loop);
    SET(CURLMOPT_MAX_HOST_CONNECTIONS, (long)loop->limits.connections_max);
    SET(CURLMOPT_MAXCONNECTS, (long)loop->limits.connections_max);
    SET(CURLMOPT_PIPELINING, loop->limits.http2 ? (long)CURLPIPE_MULTIPLEX : (long)CURLPIPE_NOTHING);
#undef SET
    return bad;
}

struct curl_loop *curl_loop_new(struct event_base *base, const struct clock *clock, const struct curl_limits *limits, struct err *err) {
    static bool global_done;
    if (!global_done && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void)err_set(err, ERR_NET, "libcurl cannot be started");
        return NULL;
    }
    global_done = true;
    struct curl_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    loop->base = base;
    loop->clock = clock;
    loop->limits = *limits;
    loop->multi = curl_multi_init();
    loop->timer = evtimer_new(base, on_time, loop);
    loop->watches = socket_watches_new(base, on_ready, loop);
    if (loop->multi == NULL || loop->timer == NULL || loop->watches == NULL || set_up_multi(loop) != CURLM_OK) {
        curl_loop_free(loop);
        (void)err_no_memory(err);
        return NULL;
    }
    return loop;
}

void curl_loop_free(struct curl_loop *loop) {
    if (loop == NULL) {
        return;
    }
    while (loop->busy != NULL) {
        finish(loop->busy, CURLE_ABORTED_BY_CALLBACK);
    }
    for (struct transfer *next, *transfer = loop->idle; transfer != NULL; transfer = next) {
        next = transfer->next;
        transfer_free(transfer);
    }
    if (loop->multi != NULL) {
        (void)curl_multi_cleanup(loop->multi);
    }
    socket_watches_free(loop->watches);
    if (loop->timer != NULL) {
        event_free(loop->timer);
    }
    free(loop);
}

int64_t curl_loop_date_s(const char *text) {
    return (int64_t)curl_getdate(text, NULL);
}
