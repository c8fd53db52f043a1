/* mime: see mime.h.
 *
 * Guarantees: a value can add neither a header nor a part nor a line of protocol. Addresses are checked (smtp_address.h), every
 * other text is encoded (mime_encode.h), and the boundary holds "=_", which neither encoding can produce.
 *
 * Header fields are the ones a security notice needs and no more: no List-*, nothing that tells which system sent it or whom else it
 * went to. Auto-Submitted keeps holiday notices away (RFC 3834 section 5).
 *
 * Does not: choose words, or put the preheader in (the template's HTML has it). */
#include "channels/mime.h"

#include "base/smtp_address.h"
#include "channels/mime_encode.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { KEY_MAX = 32 };

static int check_key(const char *key, struct err *err) {
    size_t len = key == NULL ? 0 : strspn(key, "0123456789abcdef");
    if (len == 0 || len > KEY_MAX || key[len] != '\0') {
        return err_member(err, "key", "a mail needs a key of 1 to %d hexadecimal digits", KEY_MAX);
    }
    return 0;
}

static int check_address(const char *address, const char *member, struct err *err) {
    struct err why;
    return address == NULL || smtp_address_check(address, &why) == 0 ? 0 : err_member(err, member, "%s", why.text);
}

static int check_message(const struct message *message, struct err *err) {
    if (check_key(message->key, err) != 0) {
        return -1;
    }
    if (message->to == NULL) {
        return err_member(err, "to", "a mail needs a recipient");
    }
    if (check_address(message->to, "to", err) != 0 || check_address(message->from_address, "from_address", err) != 0 ||
        check_address(message->reply_to, "reply_to", err) != 0) {
        return -1;
    }
    if (message->subject == NULL || message->text == NULL) {
        return err_member(err, message->subject == NULL ? "subject" : "text", "a mail needs a subject and a text");
    }
    return 0;
}

/* Five texts one after the other: much cheaper than a format, and there is one of these per header line of every mail. */
static void put_all(struct buf *out, const char *a, const char *b, const char *c, const char *d, const char *e) {
    buf_puts(out, a);
    buf_puts(out, b);
    buf_puts(out, c);
    buf_puts(out, d);
    buf_puts(out, e);
}

static void put_two_digits(struct buf *out, int number, char after) {
    const char text[3] = {(char)('0' + number / 10 % 10), (char)('0' + number % 10), after};
    buf_put(out, text, sizeof text);
}

/* RFC 5322 section 3.3, in UTC. */
static void put_date(struct buf *out, int64_t at_ms) {
    static const char days[][6] = {"Sun, ", "Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, "};
    static const char months[][5] = {"Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec "};
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm = {0};
    (void)gmtime_r(&at, &tm);
    buf_puts(out, "Date: ");
    buf_puts(out, days[tm.tm_wday]);
    put_two_digits(out, tm.tm_mday, ' ');
    buf_puts(out, months[tm.tm_mon]);
    buf_put_i64(out, tm.tm_year + 1900);
    buf_putc(out, ' ');
    put_two_digits(out, tm.tm_hour, ':');
    put_two_digits(out, tm.tm_min, ':');
    put_two_digits(out, tm.tm_sec, ' ');
    buf_puts(out, "+0000\r\n");
}

/* BCP 47 in its plainest reading; what does not look like it is left out. */
static void put_language(struct buf *out, const char *locale) {
    if (locale == NULL || locale[0] == '\0' || strlen(locale) > 35) {
        return;
    }
    for (const char *at = locale; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && *at != '-') {
            return;
        }
    }
    put_all(out, "Content-Language: ", locale, "\r\n", "", "");
}

static void put_part(struct buf *out, const char *type, const char *text) {
    const char *encoding = mime_encoding_for(text);
    put_all(out, "Content-Type: ", type, "; charset=utf-8\r\nContent-Transfer-Encoding: ", encoding, "\r\n\r\n");
    if (strcmp(encoding, "base64") == 0) {
        mime_put_base64(out, text);
    } else {
        mime_put_quoted_printable(out, text);
    }
}

static void put_header(struct buf *out, const struct message *message, const struct mime_sender *sender) {
    put_date(out, message->created_at_ms);
    const char *reply_to = message->reply_to != NULL ? message->reply_to : sender->reply_to;
    mime_put_address_header(out, "From", message->from_name != NULL ? message->from_name : sender->from_name,
                            message->from_address != NULL ? message->from_address : sender->from_address);
    mime_put_address_header(out, "To", message->to_name, message->to);
    if (reply_to != NULL) {
        mime_put_address_header(out, "Reply-To", NULL, reply_to);
    }
    mime_put_text_header(out, "Subject", message->subject);
    put_all(out, "Message-ID: <", message->key, "@", smtp_address_domain(sender->from_address), ">\r\n");
    buf_puts(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    put_language(out, message->locale);
}

static void put_alternatives(struct buf *out, const struct message *message) {
    put_all(out, "Content-Type: multipart/alternative; boundary=\"=_", message->key, "\"\r\n\r\n--=_", message->key, "\r\n");
    put_part(out, "text/plain", message->text);
    put_all(out, "\r\n--=_", message->key, "\r\n", "", "");
    put_part(out, "text/html", message->html);
    put_all(out, "\r\n--=_", message->key, "--\r\n", "", "");
}

int mime_compose(const struct message *message, const struct mime_sender *sender, struct buf *out, struct err *err) {
    size_t start = out->len;
    if (check_message(message, err) != 0) {
        return -1;
    }
    put_header(out, message, sender);
    if (message->html != NULL) {
        put_alternatives(out, message);
    } else {
        put_part(out, "text/plain", message->text);
    }
    if (out->failed) {
        return err_no_memory(err);
    }
    if (out->len - start > MIME_MAX_BYTES) {
        return err_set(err, ERR_LIMIT, "the mail would have %zu bytes, more than the %d that are allowed", out->len - start,
                       (int)MIME_MAX_BYTES);
    }
    return 0;
}
