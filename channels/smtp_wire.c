/* smtp_wire: see smtp_wire.h.
 *
 * Outgoing bytes are read as command lines, message body (after a 354) or BDAT chunks, just far enough to count the replies that
 * are owed and to notice the end of a message. Incoming bytes are cut into lines; only whole lines of replies that are owed are
 * handed on.
 *
 * Guarantees: once it has failed nothing is sent or handed on any more. Fails towards "the server said nothing": the caller then
 * reports retry or, after the end of a message was let out, unknown; never sent.
 *
 * Does not: know of sockets, TLS records or libesmtp (channels/mailer/guard.c does). */
#include "channels/smtp_wire.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void smtp_wire_init(struct smtp_wire *wire, const struct smtp_wire_policy *policy) {
    memset(wire, 0, sizeof *wire);
    wire->policy = *policy;
    wire->out.expect[0] = SMTP_GREETING;
    wire->out.n_expect = 1;
}

static void reset_reply(struct smtp_reply *reply) {
    reply->code = 0;
    reply->enhanced[0] = reply->text[0] = '\0';
}

int smtp_wire_fail(struct smtp_wire *wire, const char *format, ...) {
    if (!wire->failed) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(wire->failure, sizeof wire->failure, format, args);
        va_end(args);
        wire->failed = true;
        wire->in_len = wire->in_ready = 0;
        if (wire->in_reply) { /* half a reply is none */
            reset_reply(&wire->replies[wire->out.expect[0]]);
        }
    }
    return -1;
}

bool smtp_wire_quiet(const struct smtp_wire *wire) {
    return wire->out.n_expect == 0;
}

/* ---- outgoing ------------------------------------------------------------------------------------------------------ */
struct verb {
    const char *word;
    enum smtp_step step;
};

/* Those of every mail first. */
static const struct verb verbs[] = {
    {"MAIL FROM:", SMTP_MAIL}, {"RCPT TO:", SMTP_RCPT}, {"DATA", SMTP_DATA},         {"BDAT ", SMTP_CHUNK}, {"RSET", SMTP_RSET},
    {"EHLO ", SMTP_EHLO},      {"HELO ", SMTP_EHLO},    {"STARTTLS", SMTP_STARTTLS}, {"AUTH ", SMTP_AUTH},  {"QUIT", SMTP_QUIT},
};

static enum smtp_step find_step(const struct smtp_wire *wire) {
    if (wire->out.auth_asks) {
        return SMTP_AUTH;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strncasecmp(wire->out.line, verbs[i].word, strlen(verbs[i].word)) == 0) {
            return verbs[i].step;
        }
    }
    return SMTP_OTHER;
}

static int owe(struct smtp_wire *wire, enum smtp_step step) {
    if (wire->out.n_expect == SMTP_WIRE_EXPECT_MAX) {
        return smtp_wire_fail(wire, "too many commands without an answer");
    }
    wire->out.expect[wire->out.n_expect++] = step;
    return 0;
}

static void forget_transaction(struct smtp_wire *wire) {
    for (enum smtp_step step = SMTP_MAIL; step <= SMTP_LAST; step++) {
        reset_reply(&wire->replies[step]);
    }
}

static int check_policy(struct smtp_wire *wire, enum smtp_step step) {
    if ((step == SMTP_MAIL || step == SMTP_AUTH) && wire->policy.need_tls && !wire->tls_begun) {
        return smtp_wire_fail(wire, "TLS is required and the server did not offer it");
    }
    if (step == SMTP_MAIL && wire->policy.need_auth && !wire->authenticated) {
        wire->no_login = true; /* a login that was refused is told in the server's words, ahead of this */
        return smtp_wire_fail(wire, "there are credentials for this server and it offers no login that we can use (AUTH PLAIN or LOGIN)");
    }
    return 0;
}

/* BDAT size [LAST]: its content follows at once. */
static int begin_chunk(struct smtp_wire *wire) {
    char *rest = NULL;
    wire->out.chunk_left = strtoull(wire->out.line + strlen("BDAT "), &rest, 10);
    bool last = strncasecmp(rest, " LAST", strlen(" LAST")) == 0;
    wire->out.mode = wire->out.chunk_left > 0 ? SMTP_OUT_CHUNK : SMTP_OUT_LINE;
    wire->out.ends_message = wire->out.ends_message || last;
    return owe(wire, last ? SMTP_LAST : SMTP_CHUNK);
}

static int end_line(struct smtp_wire *wire) {
    wire->out.line[wire->out.line_len] = '\0';
    wire->out.line_len = 0;
    enum smtp_step step = find_step(wire);
    wire->out.auth_asks = false;
    if (check_policy(wire, step) != 0) {
        return -1;
    }
    if (step == SMTP_CHUNK) {
        return begin_chunk(wire);
    }
    if (step == SMTP_MAIL) {
        forget_transaction(wire);
        wire->out.opens_message = true;
    }
    return owe(wire, step);
}

static int send_line_byte(struct smtp_wire *wire, char c) {
    if (c == '\n') {
        return end_line(wire);
    }
    if (c != '\r' && wire->out.line_len < sizeof wire->out.line - 1) {
        wire->out.line[wire->out.line_len++] = c;
    }
    return 0;
}

/* Follows CRLF "." CRLF; `dot` counts the bytes of it seen so far. A message body begins at the start of a line (dot 2). A CR that is not
 * the beginning of a line end has no place in a mail: some servers would take it for one. */
static int send_body_byte(struct smtp_wire *wire, char c) {
    static const char end[] = "\r\n.\r\n";
    unsigned char *dot = &wire->out.dot;
    if (c == end[*dot]) {
        (*dot)++;
    } else if (*dot == 1 || *dot == 4) {
        return smtp_wire_fail(wire, "the message holds a CR by itself");
    } else {
        *dot = c == '\r' ? 1 : 0;
    }
    if (*dot < sizeof end - 1) {
        return 0;
    }
    *dot = 0;
    wire->out.mode = SMTP_OUT_LINE;
    wire->out.ends_message = true;
    return owe(wire, SMTP_CONTENT);
}

/* Looks at one byte, or passes over everything that cannot belong to the pattern; returns how many bytes that were. */
static size_t send_body(struct smtp_wire *wire, const char *data, size_t len) {
    if (wire->out.dot == 0) {
        const char *cr = memchr(data, '\r', len);
        if (cr == NULL) {
            return len;
        }
        size_t before = (size_t)(cr - data);
        if (len - before > 2 && cr[1] == '\n' && cr[2] != '.' && cr[2] != '\r') {
            return before + 3;
        }
        if (before > 0) {
            return before;
        }
    }
    (void)send_body_byte(wire, *data);
    return 1;
}

/* Bytes of a chunk need no look; returns how many were passed over. */
static size_t skip_chunk(struct smtp_wire *wire, size_t len) {
    size_t n = wire->out.chunk_left < len ? (size_t)wire->out.chunk_left : len;
    wire->out.chunk_left -= n;
    if (wire->out.chunk_left == 0) {
        wire->out.mode = SMTP_OUT_LINE;
    }
    return n;
}

int smtp_wire_send(struct smtp_wire *wire, const char *data, size_t len) {
    wire->out.ends_message = wire->out.opens_message = false;
    for (size_t i = 0; i < len && !wire->failed;) {
        switch (wire->out.mode) {
        case SMTP_OUT_LINE: (void)send_line_byte(wire, data[i++]); break;
        case SMTP_OUT_BODY: i += send_body(wire, data + i, len - i); break;
        case SMTP_OUT_CHUNK: i += skip_chunk(wire, len - i); break;
        }
    }
    return wire->failed ? -1 : 0;
}

/* ---- incoming ------------------------------------------------------------------------------------------------------ */
size_t smtp_wire_room(const struct smtp_wire *wire) {
    return wire->failed ? 0 : sizeof wire->in - wire->in_len;
}

static void note_reply(struct smtp_wire *wire, enum smtp_step step) {
    int code = wire->replies[step].code;
    if (step == SMTP_AUTH) {
        wire->out.auth_asks = code == 334;
        wire->authenticated = wire->authenticated || code == 235;
    }
    if (step == SMTP_DATA && code == 354) {
        wire->out.mode = SMTP_OUT_BODY;
        wire->out.dot = 2;
    }
}

/* Nothing is owed, and yet something comes. A server that is going down may say so (RFC 5321 section 3.8). */
static int refuse_surplus(struct smtp_wire *wire, const char *line, size_t len) {
    bool going_down = len >= 3 && memcmp(line, "421", 3) == 0;
    return smtp_wire_fail(wire, going_down ? "the server ended the session" : "the server sent a reply that nothing had asked for");
}

/* One line, without its LF. */
static int take_line(struct smtp_wire *wire, const char *line, size_t len) {
    if (wire->out.n_expect == 0) {
        return refuse_surplus(wire, line, len);
    }
    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    struct smtp_reply *reply = &wire->replies[wire->out.expect[0]];
    if (!wire->in_reply) {
        reset_reply(reply);
    }
    int more = smtp_reply_add_line(reply, line, len);
    wire->in_reply = more != 0;
    if (more < 0) {
        return smtp_wire_fail(wire, "the server's answer to %s is not a reply", smtp_step_name(wire->out.expect[0]));
    }
    if (more == 0) {
        enum smtp_step step = wire->out.expect[0];
        wire->out.n_expect--;
        memmove(wire->out.expect, wire->out.expect + 1, wire->out.n_expect * sizeof wire->out.expect[0]);
        note_reply(wire, step);
    }
    return 0;
}

/* libesmtp looks characters up in a table by their plain value: only printable ASCII may reach it. */
static void make_plain(char *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if ((c < 0x20 && c != '\r' && c != '\n' && c != '\t') || c >= 0x7f) {
            data[i] = '?';
        }
    }
}

int smtp_wire_receive(struct smtp_wire *wire, const char *data, size_t len) {
    if (wire->failed || len > smtp_wire_room(wire)) {
        return smtp_wire_fail(wire, "the server sent more than anybody can want to read");
    }
    memcpy(wire->in + wire->in_len, data, len);
    make_plain(wire->in + wire->in_len, len);
    wire->in_len += len;
    while (wire->in_ready < wire->in_len) {
        char *line = wire->in + wire->in_ready;
        char *end = memchr(line, '\n', wire->in_len - wire->in_ready);
        size_t line_len = end == NULL ? wire->in_len - wire->in_ready : (size_t)(end - line);
        if (line_len > SMTP_WIRE_LINE_MAX) {
            return smtp_wire_fail(wire, "the server sent a line of more than %d bytes", SMTP_WIRE_LINE_MAX);
        }
        if (end == NULL) {
            /* a beginning is surplus too where nothing is owed */
            return wire->out.n_expect > 0 ? 0 : refuse_surplus(wire, line, line_len);
        }
        if (take_line(wire, line, line_len) != 0) {
            return -1;
        }
        wire->in_ready += line_len + 1;
    }
    return 0;
}

size_t smtp_wire_give(struct smtp_wire *wire, char *out, size_t cap) {
    if (wire->failed || wire->in_ready == 0) {
        return 0;
    }
    size_t n = wire->in_ready < cap ? wire->in_ready : cap;
    memcpy(out, wire->in, n);
    memmove(wire->in, wire->in + n, wire->in_len - n);
    wire->in_len -= n;
    wire->in_ready -= n;
    return n;
}

int smtp_wire_begin_tls(struct smtp_wire *wire) {
    if (wire->in_len > 0 || wire->out.n_expect > 0) {
        return smtp_wire_fail(wire, "something was sent in the clear ahead of TLS");
    }
    wire->tls_begun = true;
    return wire->failed ? -1 : 0;
}
