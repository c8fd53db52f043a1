/* smtp: the byte side of the peer's SMTP server: listens, reads lines, bodies and chunks, and sends answers - or what a rule wants
 * in their place.
 *
 * Every answer goes through smtp_answer(): it may be delayed, replaced, cut, replaced by rubbish, or not come at all. The state of the
 * conversation has moved on by then as if the answer had been given, so "the server accepted it but the client never heard"
 * is what a dropped answer means. While an answer is delayed no further input is looked at: pipelined commands wait their
 * turn as they would in a slow server.
 *
 * A session is freed in exactly one place, at the end of smtp_pump(); everything else only marks it dead. STARTTLS throws away
 * what the client sent in clear after the command (RFC 3207 section 4.2).
 *
 * A rule's strings live in the set it came from; a session that still has to act on one holds the set.
 *
 * What it does not do: queue, relay, look anything up, or speak to anybody who is not on this machine.
 */
#include "tests/support/peer/smtp_session.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void smtp_pump(struct smtp_session *session);
static void on_read(struct bufferevent *bev, void *ctx);
static void on_written(struct bufferevent *bev, void *ctx);
static void on_event(struct bufferevent *bev, short what, void *ctx);

static void session_free(struct smtp_session *session) {
    *session->link = session->next;
    if (session->next != NULL) {
        session->next->link = session->link;
    }
    smtp_reset(session);
    if (session->bev != NULL) {
        bufferevent_free(session->bev);
    }
    event_free(session->timer);
    rules_unref(session->pending_rules);
    buf_fini(&session->pending);
    buf_fini(&session->envelope);
    buf_fini(&session->body);
    free(session);
}

const struct peer_action *smtp_rule(struct smtp_session *session, enum peer_phase phase, const char *recipient) {
    struct peer_moment moment = {
        .phase = phase,
        .channel = "email",
        .recipients = recipient != NULL ? &recipient : (const char *const *)session->recipients,
        .n_recipients = recipient != NULL ? 1 : session->n_recipients,
    };
    session->about = moment.n_recipients > 0 ? moment.recipients[0] : NULL;
    return rules_match(session->server->world->rules, &moment);
}

int smtp_code(const struct peer_action *action, int code) {
    return action->kind == ACTION_REPLY ? action->code : code;
}

/* ---- answering ---------------------------------------------------------------------------------------------------------- */

/* "250-first", "250 last" with CR LF; `text` has its lines separated by '\n'. */
static void format_reply(struct buf *out, int code, const char *text) {
    const char *end;
    while ((end = strchr(text, '\n')) != NULL) {
        buf_putf(out, "%03d-%.*s\r\n", code, (int)(end - text), text);
        text = end + 1;
    }
    buf_putf(out, "%03d %s\r\n", code, text);
    assert(!out->failed);
}

static void write_after(struct smtp_session *session, const char *bytes, size_t len, enum smtp_after after) {
    if (after != AFTER_NOTHING) {
        session->after = after;
        session->held = true;
    }
    sink_trace(session->server->world->sink, session->number, "S", bytes, len);
    if (bufferevent_write(session->bev, bytes, len) != 0) {
        session->dead = true;
    }
}

/* Does what `action` wants with the answer that is ready in `pending`. */
static void emit(struct smtp_session *session, const struct peer_action *action, enum smtp_after after) {
    struct buf *answer = &session->pending;
    switch (action->kind) {
    case ACTION_GARBLE:
        for (int64_t i = 0; i < action->repeat; i++) {
            write_after(session, action->bytes != NULL ? action->bytes : "", action->bytes_len, after);
        }
        break;
    case ACTION_TRUNCATE:
        write_after(session, answer->data, (size_t)action->at < answer->len ? (size_t)action->at : answer->len, AFTER_CLOSE);
        session->dead = action->at == 0;
        break;
    case ACTION_HANG: session->held = true; break;
    case ACTION_DROP:
    case ACTION_CLOSE:
        if (action->reset) {
            socket_reset_on_close(bufferevent_getfd(session->bev));
        }
        session->dead = true;
        break;
    default: write_after(session, answer->data, answer->len, after); break;
    }
}

/* Notes in the sink that a rule kept the client from what it wanted. */
static void note_refusal(struct smtp_session *session, const struct peer_action *action, int told) {
    bool refused = action->kind != ACTION_NONE && action->kind != ACTION_DELAY && (action->kind != ACTION_REPLY || told >= 400);
    if (refused) {
        sink_refuse(session->server->world->sink, "email", session->about, peer_phase_name(action->phase), peer_action_name(action->kind),
                    action->kind == ACTION_REPLY ? told : 0);
    }
}

static void answer_later(struct smtp_session *session, const struct peer_action *action, enum smtp_after after) {
    struct timeval wait = {.tv_sec = action->delay_ms / 1000, .tv_usec = (action->delay_ms % 1000) * 1000};
    session->held = true;
    session->pending_action = action;
    session->pending_after = after;
    session->pending_rules = rules_ref(session->server->world->rules);
    if (event_add(session->timer, &wait) != 0) {
        session->dead = true;
    }
}

int smtp_answer(struct smtp_session *session, const struct peer_action *action, int code, const char *text, enum smtp_after after) {
    int told = smtp_code(action, code);
    if (action->kind == ACTION_REPLY) {
        text = action->text != NULL ? action->text : "as the rule says";
        after = told == 421 ? AFTER_CLOSE : after; /* RFC 5321 section 3.8 */
    }
    buf_reset(&session->pending);
    format_reply(&session->pending, told, text);
    note_refusal(session, action, told);
    if (action->delay_ms > 0) {
        answer_later(session, action, after);
    } else {
        emit(session, action, after);
    }
    return told;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    struct smtp_session *session = ctx;
    (void)fd;
    (void)what;
    session->held = false;
    emit(session, session->pending_action, session->pending_after);
    rules_unref(session->pending_rules);
    session->pending_rules = NULL;
    smtp_pump(session);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

/* One line without its CR LF (a bare LF is tolerated here as everywhere on the net). 1 and the caller frees, 0 none yet. */
static int read_line(struct smtp_session *session, char **line_r) {
    struct evbuffer *input = bufferevent_get_input(session->bev);
    size_t len = 0;
    *line_r = evbuffer_readln(input, &len, EVBUFFER_EOL_CRLF);
    if (*line_r == NULL && evbuffer_get_length(input) > SMTP_LINE_MAX) {
        session->state = SMTP_OVER;
        (void)smtp_answer(session, &peer_action_none, 500, "5.5.6 line too long", AFTER_CLOSE);
    }
    return *line_r != NULL;
}

/* Credentials do not go into the trace. */
static void trace_line(const struct smtp_session *session, const char *line) {
    bool secret = session->state == SMTP_AUTH_LINE || strncasecmp(line, "AUTH ", 5) == 0;
    const char *shown = secret ? "AUTH (not shown)" : line;
    sink_trace(session->server->world->sink, session->number, "C", shown, strlen(shown));
}

static bool step_line(struct smtp_session *session) {
    char *line = NULL;
    if (!read_line(session, &line)) {
        return false;
    }
    trace_line(session, line);
    if (session->state == SMTP_AUTH_LINE) {
        smtp_auth_line(session, line);
    } else {
        smtp_line(session, line);
    }
    free(line);
    return true;
}

/* A rule for the phase "body" strikes once so many bytes are in. */
static bool body_fault(struct smtp_session *session) {
    const struct peer_action *action = session->body_action;
    if (action == NULL || action->kind == ACTION_NONE || session->body.len < (size_t)action->at) {
        return false;
    }
    session->body_action = NULL;
    (void)smtp_answer(session, action, 451, "4.3.0 interrupted", AFTER_CLOSE);
    return true;
}

static bool step_body(struct smtp_session *session) {
    struct evbuffer *input = bufferevent_get_input(session->bev);
    struct evbuffer_iovec piece;
    if (body_fault(session)) {
        return true;
    }
    if (evbuffer_peek(input, -1, NULL, &piece, 1) < 1 || piece.iov_len == 0) {
        return false;
    }
    size_t used = dot_feed(&session->dot, piece.iov_base, piece.iov_len, &session->body);
    assert(!session->body.failed);
    (void)evbuffer_drain(input, used); /* what was peeked can be drained */
    if (session->body.len > session->server->options->max_bytes) {
        session->body.len = session->server->options->max_bytes + 1; /* refused at its end; need not be kept */
    }
    if (session->dot == DOT_DONE) {
        session->state = SMTP_COMMAND;
        smtp_message_end(session);
    }
    return true;
}

static bool step_chunk(struct smtp_session *session) {
    struct evbuffer *input = bufferevent_get_input(session->bev);
    size_t have = evbuffer_get_length(input);
    size_t take = have < session->chunk_left ? have : session->chunk_left;
    if (buf_reserve(&session->body, take + 1) != 0) {
        session->dead = true;
        return true;
    }
    (void)evbuffer_remove(input, session->body.data + session->body.len, take); /* `take` bytes are there */
    session->body.len += take;
    session->body.data[session->body.len] = '\0';
    session->chunk_left -= take;
    if (session->chunk_left > 0) {
        return false;
    }
    session->state = SMTP_COMMAND;
    if (session->chunk_last) {
        smtp_message_end(session);
        return true;
    }
    (void)smtp_answer(session, &peer_action_none, 250, "2.0.0 chunk taken", AFTER_NOTHING);
    return true;
}

/* One step of the conversation; false where it needs more input. */
static bool step(struct smtp_session *session) {
    switch (session->state) {
    case SMTP_COMMAND:
    case SMTP_AUTH_LINE: return step_line(session);
    case SMTP_BODY: return step_body(session);
    case SMTP_CHUNK: return step_chunk(session);
    case SMTP_OVER: break;
    }
    return false;
}

/* Goes on as far as the input reaches. The only place where a session ends. */
static void smtp_pump(struct smtp_session *session) {
    while (!session->dead && !session->held && step(session)) {
    }
    if (session->dead) {
        session_free(session);
    }
}

static void on_read(struct bufferevent *bev, void *ctx) {
    (void)bev;
    smtp_pump(ctx);
}

/* ---- TLS and the end ------------------------------------------------------------------------------------------------------- */

/* Puts a TLS server on the same socket. Whatever was sent in clear after STARTTLS is gone with the old buffer. */
static void start_tls(struct smtp_session *session) {
    struct peer_world *world = session->server->world;
    int fd = bufferevent_getfd(session->bev);
    SSL *ssl = SSL_new(session->server->options->tls);
    assert(ssl != NULL);
    if (bufferevent_setfd(session->bev, -1) != 0) {
        session->dead = true;
        SSL_free(ssl);
        return;
    }
    bufferevent_free(session->bev);
    session->bev = bufferevent_openssl_socket_new(world->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    assert(session->bev != NULL);
    bufferevent_openssl_set_allow_dirty_shutdown(session->bev, 1);
    bufferevent_setcb(session->bev, on_read, on_written, on_event, session);
    if (bufferevent_enable(session->bev, EV_READ | EV_WRITE) != 0) {
        session->dead = true;
    }
    session->tls = ssl;
    session->greeted = false;
    smtp_reset(session);
}

static void on_written(struct bufferevent *bev, void *ctx) {
    struct smtp_session *session = ctx;
    if (evbuffer_get_length(bufferevent_get_output(bev)) > 0) {
        return;
    }
    enum smtp_after after = session->after;
    session->after = AFTER_NOTHING;
    if (after == AFTER_CLOSE) {
        session->dead = true;
    }
    if (after == AFTER_TLS) {
        start_tls(session);
    }
    if (session->dead) {
        smtp_pump(session);
    }
}

static void on_event(struct bufferevent *bev, short what, void *ctx) {
    struct smtp_session *session = ctx;
    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        session->held = false; /* the handshake is done */
        return;
    }
    if (session->tls != NULL && session->held && !SSL_is_init_finished(session->tls)) {
        sink_count(session->server->world->sink, "tls-failed");
    }
    session->dead = true;
    smtp_pump(session);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *ctx) {
    struct smtp_server *server = ctx;
    struct smtp_session *session = calloc(1, sizeof *session);
    (void)listener;
    (void)address;
    (void)len;
    assert(session != NULL);
    socket_no_delay(fd);
    session->server = server;
    session->number = ++server->n_sessions;
    session->link = &server->sessions;
    session->next = server->sessions;
    if (session->next != NULL) {
        session->next->link = &session->next;
    }
    server->sessions = session;
    session->timer = evtimer_new(server->world->base, on_timer, session);
    session->bev = bufferevent_socket_new(server->world->base, fd, BEV_OPT_CLOSE_ON_FREE);
    assert(session->timer != NULL && session->bev != NULL);
    bufferevent_setcb(session->bev, on_read, on_written, on_event, session);
    session->dead = bufferevent_enable(session->bev, EV_READ | EV_WRITE) != 0;
    sink_count(server->world->sink, "session");
    const struct peer_action *action = smtp_rule(session, PHASE_BANNER, NULL);
    (void)smtp_answer(session, action, 220, "sandbox-peer ESMTP", smtp_code(action, 220) < 400 ? AFTER_NOTHING : AFTER_CLOSE);
    smtp_pump(session);
}

struct smtp_server *smtp_server_new(struct peer_world *world, const struct smtp_options *options, const char *listen, struct err *err) {
    struct loopback where;
    if (loopback_parse(listen, &where, err) != 0) {
        return NULL;
    }
    struct smtp_server *server = calloc(1, sizeof *server);
    assert(server != NULL);
    server->world = world;
    server->options = options;
    server->listener =
        evconnlistener_new_bind(world->base, on_accept, server, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, 1024,
                                (struct sockaddr *)&where.address, (int)where.len);
    if (server->listener == NULL) {
        (void)err_system(err, listen);
        free(server);
        return NULL;
    }
    return server;
}

void smtp_server_free(struct smtp_server *server) {
    if (server == NULL) {
        return;
    }
    while (server->sessions != NULL) {
        session_free(server->sessions);
    }
    evconnlistener_free(server->listener);
    free(server);
}

int smtp_server_port(const struct smtp_server *server) {
    return socket_port(evconnlistener_get_fd(server->listener));
}
