/* smtp_reply: what a server's words mean for a mail. Pure. */
#ifndef REACH_CHANNELS_SMTP_REPLY_H
#define REACH_CHANNELS_SMTP_REPLY_H

#include "base/outcome.h"

#include <stdbool.h>
#include <stddef.h>

/* The commands that a server replies to. SMTP_DATA is the reply to DATA itself (354), SMTP_CONTENT the one after the final dot;
 * SMTP_CHUNK and SMTP_LAST are the replies to BDAT without and with LAST (RFC 3030). */
#define SMTP_STEP_LIST(X)                                                                                                                  \
    X(SMTP_GREETING, "greeting")                                                                                                           \
    X(SMTP_EHLO, "EHLO")                                                                                                                   \
    X(SMTP_STARTTLS, "STARTTLS")                                                                                                           \
    X(SMTP_AUTH, "AUTH")                                                                                                                   \
    X(SMTP_MAIL, "MAIL")                                                                                                                   \
    X(SMTP_RCPT, "RCPT")                                                                                                                   \
    X(SMTP_DATA, "DATA")                                                                                                                   \
    X(SMTP_CONTENT, "end of message")                                                                                                      \
    X(SMTP_CHUNK, "BDAT")                                                                                                                  \
    X(SMTP_LAST, "BDAT LAST")                                                                                                              \
    X(SMTP_RSET, "RSET")                                                                                                                   \
    X(SMTP_QUIT, "QUIT")                                                                                                                   \
    X(SMTP_OTHER, "command")

#define SMTP_STEP_ENUM(id, name) id,
enum smtp_step { SMTP_STEP_LIST(SMTP_STEP_ENUM) SMTP_STEP_COUNT };

const char *smtp_step_name(enum smtp_step step);

struct smtp_reply {
    int code;          /* 0: there was none */
    char enhanced[12]; /* RFC 3463 "5.1.1", or empty */
    char text[240];    /* the rest of its lines, joined by a blank */
};

/* Takes one line of a reply without its CRLF into *reply (RFC 5321 section 4.2). 0 = the reply's last line, 1 = more lines follow,
 * -1 = this is no reply or its code is not that of the lines before. */
int smtp_reply_add_line(struct smtp_reply *reply, const char *line, size_t len);

/* What a reply that is not the acceptance of the message means for the mail: 4yz retry, 5yz rejected; whom it is about comes from
 * the step and the enhanced code. Anything else is a broken server: retry. `to` (the envelope recipient) and every address are
 * removed from the text. */
void smtp_judge_refusal(const struct smtp_reply *reply, enum smtp_step step, const char *to, struct outcome *outcome);

/* The server has taken the message (a 2yz reply to SMTP_CONTENT or SMTP_LAST). */
void smtp_judge_accepted(const struct smtp_reply *reply, const char *to, struct outcome *outcome);

/* Copies `text` to `out` without addresses: whatever is joined by '@' becomes "(address)", as does the recipient's local part where it
 * stands alone. Always ends with NUL, cut to cap. */
void smtp_hide_addresses(const char *text, const char *to, char *out, size_t cap);

#endif
