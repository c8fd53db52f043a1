/* smtp_wire: watches one SMTP connection, command by command and reply by reply, and stops it when something is wrong.
 *
 * libesmtp speaks the protocol; this stands between it and the socket. It is pure: bytes in, a verdict out. Rules it enforces:
 *   - one reply per command, made of whole lines of at most 1,000 bytes; a reply too many, a cut line, an unsolicited byte end the
 *     connection before libesmtp sees them, so a shifted reply can never be taken for the acceptance of a message;
 *   - nothing received in the clear survives into TLS;
 *   - no MAIL and no AUTH before TLS where TLS is required; no MAIL before a successful AUTH where there are credentials;
 *   - it knows, before the bytes leave, that they hold the end of a message (from then on the server may have accepted it). */
#ifndef REACH_CHANNELS_SMTP_WIRE_H
#define REACH_CHANNELS_SMTP_WIRE_H

#include "channels/smtp_reply.h"

#include <stdint.h>

enum { SMTP_WIRE_LINE_MAX = 1000, SMTP_WIRE_IN_MAX = 8192, SMTP_WIRE_EXPECT_MAX = 32 };

struct smtp_wire_policy {
    bool need_tls;  /* no MAIL, no AUTH before TLS */
    bool need_auth; /* no MAIL before a 235 */
};

/* What is known of the bytes sent so far. Small: the caller may copy it before a write and put it back when the write was partial. */
struct smtp_wire_out {
    enum { SMTP_OUT_LINE, SMTP_OUT_BODY, SMTP_OUT_CHUNK } mode;
    char line[48]; /* the beginning of the command line under way */
    size_t line_len;
    unsigned char dot;                           /* body: how much of CRLF "." CRLF has been seen (2: at the start of a line) */
    uint64_t chunk_left;                         /* chunk: bytes still to come */
    enum smtp_step expect[SMTP_WIRE_EXPECT_MAX]; /* replies owed, oldest first */
    size_t n_expect;
    bool auth_asks;     /* after a 334: the next line is an answer to it */
    bool ends_message;  /* the bytes of the last look held the end of a message */
    bool opens_message; /* ... a MAIL command */
};

struct smtp_wire {
    struct smtp_wire_policy policy;
    struct smtp_wire_out out;
    char in[SMTP_WIRE_IN_MAX]; /* received and not yet handed on */
    size_t in_len;
    size_t in_ready;                            /* of these, whole lines */
    bool in_reply;                              /* the newest reply has more lines to come */
    struct smtp_reply replies[SMTP_STEP_COUNT]; /* the newest reply to each command; those of a transaction are cleared by its MAIL */
    bool tls_begun;
    bool authenticated;
    bool no_login; /* failed because a MAIL came that needs a login, and there was none */
    bool failed;
    char failure[160]; /* why; no address in it */
};

void smtp_wire_init(struct smtp_wire *wire, const struct smtp_wire_policy *policy);

/* Ends the connection's usefulness (keeps the first reason; printf). Returns -1. */
int smtp_wire_fail(struct smtp_wire *wire, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Looks at bytes that are about to be sent. 0 = they may go (out.ends_message, out.opens_message are set); -1 = they must not. */
int smtp_wire_send(struct smtp_wire *wire, const char *data, size_t len);

/* Whether the server owes no reply: then not a byte may come from it. */
bool smtp_wire_quiet(const struct smtp_wire *wire);

/* How many more bytes smtp_wire_receive() can take now. */
size_t smtp_wire_room(const struct smtp_wire *wire);

/* Takes bytes from the server (len <= room). 0, or -1 where they break a rule. */
int smtp_wire_receive(struct smtp_wire *wire, const char *data, size_t len);

/* Hands on at most `cap` bytes of whole, proper lines; returns how many (0: none ready or the wire has failed). */
size_t smtp_wire_give(struct smtp_wire *wire, char *out, size_t cap);

/* The connection changes to TLS now. 0, or -1 where something was received ahead of it. */
int smtp_wire_begin_tls(struct smtp_wire *wire);

#endif
