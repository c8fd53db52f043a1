/* smtp_command: what the commands mean (RFC 5321 sections 3 and 4): a table of verbs, one function each.
 *
 * Strict in order (EHLO before MAIL, MAIL before RCPT, RCPT before DATA) and in syntax (angle brackets, known parameters only), so
 * that a sloppy client is found out here and not by the first real server. Any recipient is accepted unless a rule says no.
 *
 * A message is kept after its last byte is in and before it is answered; with a rule for "after-dot" whether it is kept follows
 * the code the client is told, or the rule's "store". A dropped or garbled answer counts as kept: that is the case in which
 * only the server knows.
 */
#include "tests/support/peer/smtp_session.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A plain answer that no rule touches. */
static void say(struct smtp_session *session, int code, const char *text) {
    (void)smtp_answer(session, &peer_action_none, code, text, AFTER_NOTHING);
}

void smtp_reset(struct smtp_session *session) {
    for (size_t i = 0; i < session->n_recipients; i++) {
        free(session->recipients[i]);
    }
    session->n_recipients = 0;
    session->has_sender = false;
    session->chunk_last = false;
    session->body_action = NULL;
    session->about = NULL;
    rules_unref(session->body_rules);
    session->body_rules = NULL;
    buf_reset(&session->envelope);
    buf_reset(&session->body);
}

/* ---- greeting ------------------------------------------------------------------------------------------------------------ */

static void do_ehlo(struct smtp_session *session, char *arguments) {
    const struct smtp_options *options = session->server->options;
    char text[512];
    if (*arguments == '\0') {
        say(session, 501, "5.5.4 EHLO needs a name");
        return;
    }
    bool offer_tls = options->tls != NULL && session->tls == NULL;
    bool offer_auth = options->auth != NULL && (session->tls != NULL || options->auth_in_clear);
    (void)snprintf(text, sizeof text, "sandbox-peer\nPIPELINING\nSIZE %zu\n8BITMIME\n%s%s%s%sENHANCEDSTATUSCODES", options->max_bytes,
                   options->chunking ? "CHUNKING\n" : "", options->dsn ? "DSN\n" : "", offer_tls ? "STARTTLS\n" : "",
                   offer_auth ? "AUTH PLAIN LOGIN\n" : "");
    smtp_reset(session);
    int told = smtp_answer(session, smtp_rule(session, PHASE_EHLO, NULL), 250, text, AFTER_NOTHING);
    session->greeted = told < 400;
}

static void do_helo(struct smtp_session *session, char *arguments) {
    if (*arguments == '\0') {
        say(session, 501, "5.5.4 HELO needs a name");
        return;
    }
    smtp_reset(session);
    int told = smtp_answer(session, smtp_rule(session, PHASE_EHLO, NULL), 250, "sandbox-peer", AFTER_NOTHING);
    session->greeted = told < 400;
}

static void do_starttls(struct smtp_session *session, char *arguments) {
    if (session->server->options->tls == NULL || session->tls != NULL) {
        say(session, 502, "5.5.1 STARTTLS is not offered");
    } else if (*arguments != '\0') {
        say(session, 501, "5.5.4 STARTTLS takes no arguments");
    } else {
        const struct peer_action *action = smtp_rule(session, PHASE_STARTTLS, NULL);
        (void)smtp_answer(session, action, 220, "2.0.0 ready", smtp_code(action, 220) < 400 ? AFTER_TLS : AFTER_NOTHING);
    }
}

/* ---- the envelope ---------------------------------------------------------------------------------------------------------- */

/* "FROM:<path> PARAMS": writes the path (may be empty) and points *params_r at the rest. false where it is anything else. */
static bool read_path(char *arguments, const char *word, char path[SMTP_PATH_MAX], char **params_r) {
    size_t n = strlen(word);
    if (strncasecmp(arguments, word, n) != 0 || arguments[n] != '<') {
        return false;
    }
    char *start = arguments + n + 1;
    char *end = strchr(start, '>');
    if (end == NULL || (size_t)(end - start) >= SMTP_PATH_MAX || (end[1] != '\0' && end[1] != ' ')) {
        return false;
    }
    memcpy(path, start, (size_t)(end - start));
    path[end - start] = '\0';
    *params_r = end + 1 + strspn(end + 1, " ");
    for (const char *c = path; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* Whether every parameter is one that was offered. */
static bool params_known(const struct smtp_options *options, const char *params, bool of_mail) {
    static const char *const mail[] = {"SIZE=", "BODY=", "AUTH=", "RET=", "ENVID="};
    static const char *const rcpt[] = {"NOTIFY=", "ORCPT="};
    while (*params != '\0') {
        bool known = false;
        for (size_t i = 0; of_mail && i < 5; i++) {
            known |= strncasecmp(params, mail[i], strlen(mail[i])) == 0 && (i < 3 || options->dsn);
        }
        for (size_t i = 0; !of_mail && i < 2; i++) {
            known |= strncasecmp(params, rcpt[i], strlen(rcpt[i])) == 0 && options->dsn;
        }
        if (!known) {
            return false;
        }
        params += strcspn(params, " ");
        params += strspn(params, " ");
    }
    return true;
}

static void do_mail(struct smtp_session *session, char *arguments) {
    const struct smtp_options *options = session->server->options;
    char *params = NULL;
    if (!session->greeted || session->has_sender) {
        say(session, 503, session->greeted ? "5.5.1 there is a sender already" : "5.5.1 EHLO first");
    } else if (options->require_tls && session->tls == NULL) {
        say(session, 530, "5.7.0 STARTTLS first");
    } else if (options->require_auth && session->user[0] == '\0') {
        say(session, 530, "5.7.0 AUTH first");
    } else if (!read_path(arguments, "FROM:", session->sender, &params)) {
        say(session, 501, "5.5.4 MAIL FROM:<address> is expected");
    } else if (!params_known(options, params, true)) {
        say(session, 555, "5.5.4 unknown parameter");
    } else if (smtp_answer(session, smtp_rule(session, PHASE_MAIL, NULL), 250, "2.1.0 ok", AFTER_NOTHING) < 400) {
        session->has_sender = true;
        buf_putf(&session->envelope, "X-Envelope-From: %s\r\n", arguments + 5);
    }
}

static void do_rcpt(struct smtp_session *session, char *arguments) {
    char recipient[SMTP_PATH_MAX];
    char *params = NULL;
    if (!session->has_sender) {
        say(session, 503, "5.5.1 MAIL first");
    } else if (!read_path(arguments, "TO:", recipient, &params) || recipient[0] == '\0') {
        say(session, 501, "5.5.4 RCPT TO:<address> is expected");
    } else if (!params_known(session->server->options, params, false)) {
        say(session, 555, "5.5.4 unknown parameter");
    } else if (session->n_recipients == SMTP_RECIPIENTS_MAX) {
        say(session, 452, "4.5.3 too many recipients");
    } else if (smtp_answer(session, smtp_rule(session, PHASE_RCPT, recipient), 250, "2.1.5 ok", AFTER_NOTHING) < 400) {
        session->recipients[session->n_recipients] = strdup(recipient);
        assert(session->recipients[session->n_recipients] != NULL);
        session->n_recipients++;
        buf_putf(&session->envelope, "X-Envelope-To: %s\r\n", arguments + 3);
    }
}

/* ---- the message ----------------------------------------------------------------------------------------------------------- */

static void do_data(struct smtp_session *session, char *arguments) {
    if (session->n_recipients == 0 || session->body.len > 0) {
        say(session, session->has_sender ? 554 : 503, session->has_sender ? "5.5.1 no valid recipients" : "5.5.1 MAIL first");
    } else if (*arguments != '\0') {
        say(session, 501, "5.5.4 DATA takes no arguments");
    } else if (smtp_answer(session, smtp_rule(session, PHASE_DATA, NULL), 354, "end with <CR><LF>.<CR><LF>", AFTER_NOTHING) < 400) {
        session->state = SMTP_BODY;
        session->dot = DOT_LINE_START;
        session->body_action = smtp_rule(session, PHASE_BODY, NULL);
        session->body_rules = rules_ref(session->server->world->rules);
    }
}

static void do_bdat(struct smtp_session *session, char *arguments) {
    char *end = arguments;
    unsigned long long size = isdigit((unsigned char)*arguments) ? strtoull(arguments, &end, 10) : 0;
    bool last = strcasecmp(end, " LAST") == 0;
    /* After a mistake the bytes that follow cannot be told from commands: the conversation is over. */
    if (!session->server->options->chunking || end == arguments || (*end != '\0' && !last) || size > session->server->options->max_bytes) {
        (void)smtp_answer(session, &peer_action_none, 501, "5.5.4 BDAT size [LAST] is expected", AFTER_CLOSE);
    } else if (session->n_recipients == 0) {
        (void)smtp_answer(session, &peer_action_none, 503, "5.5.1 no valid recipients", AFTER_CLOSE);
    } else {
        session->chunk_left = (size_t)size;
        session->chunk_last = last;
        session->state = SMTP_CHUNK;
    }
}

/* The value of Message-ID in the message's head, without angle brackets; "" where there is none. */
static void find_message_id(const char *message, char *out, size_t cap) {
    const char *line = message;
    out[0] = '\0';
    while (line != NULL && strncmp(line, "\r\n", 2) != 0) {
        if (strncasecmp(line, "Message-ID:", 11) == 0) {
            line += 11;
            line += strspn(line, " \t<\r\n");
            (void)snprintf(out, cap, "%.*s", (int)strcspn(line, "> \t\r\n"), line);
            return;
        }
        line = strstr(line, "\r\n");
        line = line == NULL ? NULL : line + 2;
    }
}

static uint64_t keep(struct smtp_session *session) {
    char key[256];
    struct buf file = BUF_INIT;
    find_message_id(buf_str(&session->body), key, sizeof key);
    buf_put(&file, session->envelope.data, session->envelope.len);
    buf_put(&file, session->body.data, session->body.len);
    assert(!file.failed);
    struct sink_message message = {
        .channel = "email",
        .folder = "mail",
        .suffix = "eml",
        .recipients = (const char *const *)session->recipients,
        .n_recipients = session->n_recipients,
        .key = key[0] != '\0' ? key : NULL,
        .from = session->sender,
        .tls = session->tls != NULL ? SSL_get_version(session->tls) : NULL,
        .user = session->user[0] != '\0' ? session->user : NULL,
        .session = session->number,
        .content = file.data,
        .content_len = file.len,
        .size_bytes = session->body.len,
    };
    uint64_t seq = sink_take(session->server->world->sink, &message);
    buf_fini(&file);
    return seq;
}

void smtp_message_end(struct smtp_session *session) {
    const struct peer_action *action = smtp_rule(session, PHASE_AFTER_DOT, NULL);
    char text[64] = "5.3.4 too large";
    int code = session->body.len > session->server->options->max_bytes ? 552 : 250;
    bool take = action->store == STORE_BY_CODE ? smtp_code(action, code) < 400 : action->store == STORE_YES;
    if (take && code == 250) {
        (void)snprintf(text, sizeof text, "2.0.0 kept as %llu", (unsigned long long)keep(session));
    }
    (void)smtp_answer(session, action, code, text, AFTER_NOTHING);
    smtp_reset(session);
}

/* ---- the rest --------------------------------------------------------------------------------------------------------------- */

static void do_rset(struct smtp_session *session, char *arguments) {
    (void)arguments;
    smtp_reset(session);
    say(session, 250, "2.0.0 ok");
}

static void do_noop(struct smtp_session *session, char *arguments) {
    (void)arguments;
    say(session, 250, "2.0.0 ok");
}

static void do_vrfy(struct smtp_session *session, char *arguments) {
    (void)arguments;
    say(session, 252, "2.5.2 send and see");
}

static void do_quit(struct smtp_session *session, char *arguments) {
    (void)arguments;
    session->state = SMTP_OVER;
    (void)smtp_answer(session, &peer_action_none, 221, "2.0.0 bye", AFTER_CLOSE);
}

static const struct smtp_verb {
    const char *name;
    void (*run)(struct smtp_session *session, char *arguments);
} verbs[] = {
    {"MAIL", do_mail}, {"RCPT", do_rcpt}, {"DATA", do_data}, {"BDAT", do_bdat}, {"EHLO", do_ehlo},         {"HELO", do_helo},
    {"RSET", do_rset}, {"NOOP", do_noop}, {"VRFY", do_vrfy}, {"QUIT", do_quit}, {"STARTTLS", do_starttls}, {"AUTH", smtp_auth},
};

void smtp_line(struct smtp_session *session, char *line) {
    size_t n = strcspn(line, " ");
    char *arguments = line + n + strspn(line + n, " ");
    for (size_t len = strlen(arguments); len > 0 && arguments[len - 1] == ' '; len--) {
        arguments[len - 1] = '\0';
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strlen(verbs[i].name) == n && strncasecmp(line, verbs[i].name, n) == 0) {
            char counter[32];
            (void)snprintf(counter, sizeof counter, "command:%s", verbs[i].name);
            sink_count(session->server->world->sink, counter);
            verbs[i].run(session, arguments);
            return;
        }
    }
    sink_count(session->server->world->sink, "command:?");
    say(session, 500, "5.5.2 unknown command");
}
