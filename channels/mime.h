/* mime: a finished message (base/message.h) as an Internet mail (RFC 5322, 2045-2047). Pure. */
#ifndef REACH_CHANNELS_MIME_H
#define REACH_CHANNELS_MIME_H

#include "base/buf.h"
#include "base/err.h"
#include "base/message.h"

/* Largest mail that is made, header and body, in bytes. */
enum { MIME_MAX_BYTES = 262144 };

struct mime_sender {
    const char *from_address; /* has passed smtp_address_check(); message.from_address overrides it */
    const char *from_name;    /* or NULL; message.from_name overrides it */
    const char *reply_to;     /* has passed smtp_address_check(), or NULL; message.reply_to overrides it */
};

/* Appends header and body to `out`: ASCII, CRLF. text/plain and text/html become multipart/alternative in this order; without html the
 * mail is text/plain. The same message always gives the same bytes: Date is created_at_ms, Message-ID is "<key@domain
 * of sender.from_address>".
 * 0, or -1 with *err: ERR_MEMBER where a member is missing or cannot be used ("to", "from_address",
 * "reply_to", "key", "subject", "text"), ERR_LIMIT, ERR_MEMORY. */
int mime_compose(const struct message *message, const struct mime_sender *sender, struct buf *out, struct err *err);

#endif
