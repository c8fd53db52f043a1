/* smtp_auth: AUTH PLAIN and LOGIN (RFC 4954, RFC 4616) for one user, so that a client's manners with credentials can be tested.
 *
 * Offered only over TLS unless the peer was started with --auth-in-clear; a client that tries all the same is refused with 538 and
 * counted ("auth-in-clear"), because that is the mistake a test looks for. The given password is never written anywhere.
 */
#include "tests/support/peer/smtp_session.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Base64 into `out` with its length; -1 where it is none or too long. */
static int decode(const char *text, char *out, size_t cap) {
    size_t len = strlen(text);
    unsigned char bytes[600];
    if (len == 0 || len % 4 != 0 || len > 700) {
        return -1;
    }
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    n -= text[len - 1] == '=' ? 1 : 0;
    n -= text[len - 2] == '=' ? 1 : 0;
    if (n < 0 || (size_t)n >= cap) {
        return -1;
    }
    memcpy(out, bytes, (size_t)n);
    out[n] = '\0';
    return n;
}

static void finish(struct smtp_session *session, const char *user, const char *password) {
    char given[700];
    (void)snprintf(given, sizeof given, "%s:%s", user, password);
    bool right = strcmp(given, session->server->options->auth) == 0;
    session->state = SMTP_COMMAND;
    int told = smtp_answer(session, smtp_rule(session, PHASE_AUTH, NULL), right ? 235 : 535,
                           right ? "2.7.0 welcome" : "5.7.8 wrong user name or password", AFTER_NOTHING);
    if (told == 235) {
        (void)snprintf(session->user, sizeof session->user, "%s", user);
    }
}

static void refuse(struct smtp_session *session) {
    session->state = SMTP_COMMAND;
    (void)smtp_answer(session, &peer_action_none, 501, "5.5.2 cannot read that", AFTER_NOTHING);
}

/* "authzid NUL user NUL password" */
static void plain(struct smtp_session *session, const char *text) {
    char bytes[600];
    int n = decode(text, bytes, sizeof bytes);
    const char *user = n > 0 ? memchr(bytes, '\0', (size_t)n) : NULL;
    const char *password = user != NULL ? memchr(user + 1, '\0', (size_t)(bytes + n - user - 1)) : NULL;
    if (password == NULL) {
        refuse(session);
        return;
    }
    finish(session, user + 1, password + 1);
}

static void ask(struct smtp_session *session, const char *question) {
    session->state = SMTP_AUTH_LINE;
    (void)smtp_answer(session, &peer_action_none, 334, question, AFTER_NOTHING);
}

/* LOGIN: first the user, then the password. */
static void login(struct smtp_session *session, const char *text) {
    char value[128];
    if (decode(text, value, sizeof value) < 0) {
        refuse(session);
    } else if (session->auth_user[0] == '\0') {
        (void)snprintf(session->auth_user, sizeof session->auth_user, "%s", value);
        ask(session, "UGFzc3dvcmQ6");
    } else {
        finish(session, session->auth_user, value);
    }
}

void smtp_auth_line(struct smtp_session *session, const char *line) {
    if (strcmp(line, "*") == 0) {
        refuse(session);
    } else if (session->auth_login) {
        login(session, line);
    } else {
        plain(session, line);
    }
}

void smtp_auth(struct smtp_session *session, char *arguments) {
    const struct smtp_options *options = session->server->options;
    session->auth_user[0] = '\0';
    session->auth_login = strncasecmp(arguments, "LOGIN", 5) == 0;
    char *initial = arguments + strcspn(arguments, " ");
    initial += strspn(initial, " ");
    if (session->tls == NULL && !options->auth_in_clear) {
        sink_count(session->server->world->sink, "auth-in-clear");
        (void)smtp_answer(session, &peer_action_none, 538, "5.7.11 not in clear", AFTER_NOTHING);
    } else if (options->auth == NULL || !session->greeted || session->user[0] != '\0') {
        (void)smtp_answer(session, &peer_action_none, 503, "5.5.1 not now", AFTER_NOTHING);
    } else if (!session->auth_login && strncasecmp(arguments, "PLAIN", 5) != 0) {
        (void)smtp_answer(session, &peer_action_none, 504, "5.5.4 PLAIN or LOGIN", AFTER_NOTHING);
    } else if (*initial != '\0') {
        smtp_auth_line(session, initial);
    } else {
        ask(session, session->auth_login ? "VXNlcm5hbWU6" : "");
    }
}
