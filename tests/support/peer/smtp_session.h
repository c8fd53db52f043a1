/* smtp_session: one SMTP conversation, as its two halves (smtp.c: bytes; smtp_command.c: meaning) see it. Private to the peer. */
#ifndef REACH_PEER_SMTP_SESSION_H
#define REACH_PEER_SMTP_SESSION_H

#include "base/buf.h"
#include "tests/support/peer/dot.h"
#include "tests/support/peer/smtp.h"

#include <event2/bufferevent.h>

enum { SMTP_RECIPIENTS_MAX = 100, SMTP_LINE_MAX = 4096, SMTP_PATH_MAX = 512 };

enum smtp_state {
    SMTP_COMMAND,   /* a line is a command */
    SMTP_AUTH_LINE, /* a line is an answer to AUTH's question */
    SMTP_BODY,      /* after 354 */
    SMTP_CHUNK,     /* inside BDAT */
    SMTP_OVER       /* nothing more is read; closes once everything is written */
};

enum smtp_after { AFTER_NOTHING, AFTER_TLS, AFTER_CLOSE };

struct smtp_session {
    struct smtp_server *server;
    struct smtp_session *next, **link; /* the server's list */
    struct bufferevent *bev;
    struct event *timer;
    uint64_t number;
    enum smtp_state state;
    enum smtp_after after; /* once the output is written */
    bool held;             /* waits for the timer, a handshake, or for ever: input stays where it is */
    bool dead;             /* to be freed by smtp_pump() */
    bool greeted;
    SSL *tls; /* borrowed from bev; NULL in clear */
    char user[128];
    bool auth_login;
    char auth_user[128]; /* AUTH LOGIN: between the two questions */

    const char *about; /* whom the last rule was asked about; borrowed, for the answer that follows at once */

    /* the answer that waits for the timer */
    struct buf pending;
    const struct peer_action *pending_action;
    enum smtp_after pending_after;
    struct rules *pending_rules;

    /* the transaction */
    bool has_sender;
    char sender[SMTP_PATH_MAX];
    char *recipients[SMTP_RECIPIENTS_MAX];
    size_t n_recipients;
    struct buf envelope; /* X-Envelope lines */
    struct buf body;
    enum dot_state dot;
    const struct peer_action *body_action;
    struct rules *body_rules; /* keeps body_action alive */
    size_t chunk_left;
    bool chunk_last;
};

struct smtp_server {
    struct peer_world *world;
    const struct smtp_options *options;
    struct evconnlistener *listener;
    struct smtp_session *sessions;
    uint64_t n_sessions;
};

/* The rule for this phase of this session; `recipient` NULL: those of the transaction. */
const struct peer_action *smtp_rule(struct smtp_session *session, enum peer_phase phase, const char *recipient);

/* Answers "CODE text" (text may hold lines separated by '\n') unless `action` wants something else. The code the client is told:
 * where it is not `code`, the caller must follow that one. */
int smtp_answer(struct smtp_session *session, const struct peer_action *action, int code, const char *text, enum smtp_after after);

/* The code that smtp_answer() will tell. */
int smtp_code(const struct peer_action *action, int code);

/* Carries out one line, without its end. */
void smtp_line(struct smtp_session *session, char *line);

/* The whole message is here: keeps or refuses it and answers. */
void smtp_message_end(struct smtp_session *session);

/* Forgets the transaction. */
void smtp_reset(struct smtp_session *session);

/* AUTH, first line and further lines. */
void smtp_auth(struct smtp_session *session, char *arguments);
void smtp_auth_line(struct smtp_session *session, const char *line);

#endif
