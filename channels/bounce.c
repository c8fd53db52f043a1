/* bounce: see bounce.h.
 *
 * gmime takes the mail apart. A report (multipart/report with a message/delivery-status) is read by its fields: Action says what
 * became of the mail, Status how final it is. Servers that write a plain text instead are recognised by who they are (no return
 * path, or a mailer daemon) and by the status code in their words; an automatic reply is never a bounce. Where the words are not
 * clear nothing is concluded: a false "delivered" or "dead" would be worse than silence.
 *
 * Which mail it is about stands in the address it was sent back to, and that is verified by its tag (verp.h). Nothing inside the mail is
 * believed for that, since anybody can write it.
 *
 * Guarantees: texts that leave here hold no address and no control character. Does not: fetch mail, or push receipts. */
#include "channels/bounce.h"

#include "base/clock.h"
#include "base/text.h"
#include "channels/smtp_reply.h"
#include "channels/verp.h"

#include <ctype.h>
#include <gmime/gmime.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { WORDS_MAX = 4096 };

/* ---- reading the mail ---------------------------------------------------------------------------------------------- */
static GMimeMessage *parse_mail(const char *data, size_t len) {
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(data, len);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    g_object_unref(parser);
    g_object_unref(stream);
    return message;
}

static const char *header(GMimeMessage *message, const char *name) {
    const char *value = g_mime_object_get_header(GMIME_OBJECT(message), name);
    return value != NULL ? value : "";
}

static bool has_type(GMimeObject *object, const char *type, const char *subtype) {
    GMimeContentType *content_type = g_mime_object_get_content_type(object);
    return content_type != NULL && g_mime_content_type_is_type(content_type, type, subtype);
}

/* The decoded content of a part; g_object_unref() it. NULL where it has none. */
static GMimeStream *decode_part(GMimeObject *object) {
    GMimeDataWrapper *content = GMIME_IS_PART(object) ? g_mime_part_get_content(GMIME_PART(object)) : NULL;
    if (content == NULL) {
        return NULL;
    }
    GMimeStream *stream = g_mime_stream_mem_new();
    (void)g_mime_data_wrapper_write_to_stream(content, stream);
    return stream;
}

/* The words as one line of proper UTF-8 without addresses. */
static void copy_plain(const char *text, char *out, size_t cap) {
    char clean[WORDS_MAX];
    (void)snprintf(clean, sizeof clean < cap ? sizeof clean : cap, "%s", text + strspn(text, " \t"));
    text_make_printable(clean, ' ');
    size_t len = strlen(clean);
    while (len > 0 && clean[len - 1] == ' ') {
        clean[--len] = '\0';
    }
    while (len > 0 && len + 4 > cap && !text_is_utf8(clean, len)) { /* the last character was cut */
        clean[--len] = '\0';
    }
    bool foreign = !text_is_utf8(clean, len);
    for (char *at = clean; foreign && *at != '\0'; at++) {
        *at = (unsigned char)*at >= 0x80 ? '?' : *at;
    }
    smtp_hide_addresses(clean, NULL, out, cap);
}

/* ---- delivery reports ---------------------------------------------------------------------------------------------- */

/* 5.1.1 at the start of `text` into out. Whether it is one. */
static bool take_status(const char *text, char out[16]) {
    int class, subject, detail, used = 0;
    if (sscanf(text, " %1d.%3d.%3d%n", &class, &subject, &detail, &used) != 3 || (class != 2 && class != 4 && class != 5)) {
        return false;
    }
    (void)snprintf(out, 16, "%d.%d.%d", class, subject, detail);
    return true;
}

/* One group of fields that is about a recipient. Whether it is. */
static bool read_group(GMimeMessage *group, struct bounce *bounce) {
    const char *action = header(group, "Action");
    (void)take_status(header(group, "Status"), bounce->status);
    if (strcasecmp(action, "failed") == 0) {
        bounce->kind = bounce->status[0] == '4' ? BOUNCE_FAILED : BOUNCE_REJECTED;
    } else if (strcasecmp(action, "delayed") == 0) {
        bounce->kind = BOUNCE_DELAYED;
    } else if (strcasecmp(action, "delivered") == 0) {
        bounce->kind = BOUNCE_DELIVERED;
    } else {
        return action[0] != '\0'; /* relayed, expanded: nothing is known of the mailbox */
    }
    const char *words = header(group, "Diagnostic-Code");
    const char *after_type = strchr(words, ';');
    copy_plain(after_type != NULL ? after_type + 1 : words, bounce->detail, sizeof bounce->detail);
    return true;
}

/* The content of a message/delivery-status is groups of header fields with blank lines between; the first is about the message. Each mail
 * of ours has one recipient, so the first group about a recipient is the one. */
static void read_report(const char *text, size_t len, struct bounce *bounce) {
    bool found = false;
    while (len > 0 && !found) {
        const char *end = memmem(text, len, "\n\n", 2), *crlf_end = memmem(text, len, "\n\r\n", 3);
        end = end == NULL || (crlf_end != NULL && crlf_end < end) ? crlf_end : end;
        size_t size = end == NULL ? len : (size_t)(end - text) + 1;
        GMimeMessage *group = parse_mail(text, size);
        if (group != NULL) {
            found = read_group(group, bounce);
            g_object_unref(group);
        }
        while (size < len && (text[size] == '\n' || text[size] == '\r')) {
            size++;
        }
        text += size;
        len -= size;
    }
}

struct search {
    struct bounce *bounce;
    bool found;
};

static void on_part(GMimeObject *parent, GMimeObject *part, gpointer data) {
    struct search *search = data;
    (void)parent;
    if (search->found || !(has_type(part, "message", "delivery-status") || has_type(part, "message", "global-delivery-status"))) {
        return;
    }
    GMimeStream *stream = decode_part(part);
    if (stream != NULL) {
        GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
        read_report((const char *)bytes->data, bytes->len, search->bounce);
        search->found = true;
        g_object_unref(stream);
    }
}

/* ---- plain bounces ------------------------------------------------------------------------------------------------- */

/* Who answers by itself on a person's behalf says so (RFC 3834) or has long been known by these fields. */
static bool is_automatic_reply(GMimeMessage *message) {
    return header(message, "X-Autoreply")[0] != '\0' || header(message, "X-Autorespond")[0] != '\0' ||
           strcasecmp(header(message, "Precedence"), "auto_reply") == 0 ||
           strncasecmp(header(message, "Auto-Submitted"), "auto-generated", strlen("auto-generated")) == 0;
}

static bool comes_from_a_mail_system(GMimeMessage *message) {
    const char *from = header(message, "From");
    return strcmp(header(message, "Return-Path"), "<>") == 0 || strcasestr(from, "mailer-daemon") != NULL ||
           strcasestr(from, "postmaster") != NULL;
}

static void first_words(GMimeMessage *message, char out[WORDS_MAX]) {
    out[0] = '\0';
    GMimeObject *body = g_mime_message_get_body(message);
    GMimeStream *stream = body == NULL ? NULL : decode_part(body);
    if (stream != NULL) {
        GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
        size_t len = bytes->len < WORDS_MAX - 1 ? bytes->len : WORDS_MAX - 1;
        if (len > 0) {
            memcpy(out, bytes->data, len);
        }
        out[len] = '\0';
        g_object_unref(stream);
    }
}

/* The first status code, or reply code behind which a text follows ("550 no such user"), that stands alone among the words. */
static const char *find_code(const char *words, char status[16]) {
    for (const char *at = words; *at != '\0'; at++) {
        bool alone = at == words || !(isalnum((unsigned char)at[-1]) || at[-1] == '.');
        if (!alone || (*at != '4' && *at != '5')) {
            continue;
        }
        if (take_status(at, status)) {
            return at;
        }
        if (isdigit((unsigned char)at[1]) && isdigit((unsigned char)at[2]) && (at[3] == ' ' || at[3] == '-')) {
            (void)snprintf(status, 16, "%c.0.0", *at);
            return at;
        }
    }
    return NULL;
}

static void read_plain(GMimeMessage *message, struct bounce *bounce) {
    char words[WORDS_MAX];
    if (is_automatic_reply(message) || !comes_from_a_mail_system(message)) {
        return;
    }
    first_words(message, words);
    const char *code = find_code(words, bounce->status);
    if (code == NULL) {
        return;
    }
    const char *line = code;
    while (line > words && line[-1] != '\n') {
        line--;
    }
    words[strcspn(code, "\r\n") + (size_t)(code - words)] = '\0';
    bounce->kind = bounce->status[0] == '5' ? BOUNCE_REJECTED : BOUNCE_DELAYED;
    copy_plain(line, bounce->detail, sizeof bounce->detail);
}

/* ---- parsing ------------------------------------------------------------------------------------------------------- */
static int64_t written_at(GMimeMessage *message) {
    GDateTime *date = g_mime_message_get_date(message);
    return date == NULL ? 0 : (int64_t)g_date_time_to_unix(date) * 1000;
}

static GMimeMessage *open_mail(const char *mail, size_t len, struct err *err) {
    static bool ready;
    if (!ready) {
        g_mime_init();
        ready = true;
    }
    if (len > BOUNCE_MAX_BYTES) {
        (void)err_set(err, ERR_LIMIT, "the mail has %zu bytes, more than the %d that are looked at", len, (int)BOUNCE_MAX_BYTES);
        return NULL;
    }
    GMimeMessage *message = parse_mail(mail, len);
    if (message == NULL) {
        (void)err_set(err, ERR_SYNTAX, "this is not a mail");
    }
    return message;
}

static void read_mail(GMimeMessage *message, struct bounce *bounce) {
    struct search search = {.bounce = bounce};
    *bounce = (struct bounce){.kind = BOUNCE_NOTHING, .at_ms = written_at(message)};
    g_mime_message_foreach(message, on_part, &search);
    if (!search.found) {
        read_plain(message, bounce);
    }
}

int bounce_parse(const char *mail, size_t len, struct bounce *bounce, struct err *err) {
    GMimeMessage *message = open_mail(mail, len, err);
    if (message == NULL) {
        return -1;
    }
    read_mail(message, bounce);
    g_object_unref(message);
    return 0;
}

/* ---- receipts ------------------------------------------------------------------------------------------------------ */

/* The gateway that `address` belongs to. 1 with *gateway_r and key, 0 none, -1 with *err. */
static int find_gateway(const struct bounce_gateway *gateways, size_t n, const char *address, const struct bounce_gateway **gateway_r,
                        char key[VERP_KEY_MAX + 1], struct err *err) {
    int result = 0;
    for (size_t i = 0; i < n; i++) {
        const struct verp verp = {.base = gateways[i].envelope, .secret = gateways[i].secret};
        int found = verp_read(&verp, address, key, err);
        if (found == 1) {
            *gateway_r = &gateways[i];
            return 1;
        }
        result = found < 0 ? -1 : result; /* two gateways may share an envelope, each with its secret */
    }
    return result;
}

/* The address inside "Name <address>" or the bare one, without blanks. */
static void bare_address(const char *value, char out[SMTP_ADDRESS_MAX + 1]) {
    const char *open = strrchr(value, '<');
    const char *start = open != NULL ? open + 1 : value + strspn(value, " \t");
    (void)snprintf(out, SMTP_ADDRESS_MAX + 1, "%.*s", (int)strcspn(start, "> \t\r\n,"), start);
}

static int find_recipient(GMimeMessage *message, const struct bounce_gateway *gateways, size_t n, const char *recipient,
                          const struct bounce_gateway **gateway_r, char key[VERP_KEY_MAX + 1], struct err *err) {
    static const char *const names[] = {"Delivered-To", "X-Original-To", "Envelope-To", "To"};
    if (recipient != NULL) {
        return find_gateway(gateways, n, recipient, gateway_r, key, err);
    }
    int result = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char address[SMTP_ADDRESS_MAX + 1];
        bare_address(header(message, names[i]), address);
        int found = find_gateway(gateways, n, address, gateway_r, key, err);
        if (found == 1) {
            return 1;
        }
        result = found < 0 ? -1 : result;
    }
    return result;
}

/* Whether a final refusal is about the address (RFC 3463: bad mailbox or domain, mailbox disabled, or no more than "no") and not about
 * this one mail or our standing (policy, content, a full mailbox). */
static bool is_about_address(const char *status) {
    static const char *const ours[] = {"5.1.7", "5.1.8", "5.1.9"};
    static const char *const theirs[] = {"5.0.", "5.1.", "5.2.1"};
    bool about = status[0] == '\0';
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++) {
        about = about || strncmp(status, theirs[i], strlen(theirs[i])) == 0;
    }
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        about = about && strcmp(status, ours[i]) != 0;
    }
    return about;
}

/* What the receipt says, or NULL: nothing. "bounced" marks the mailbox as dead in the contact book, "failed" does not. */
static const char *receipt_status(const struct bounce *bounce) {
    switch (bounce->kind) {
    case BOUNCE_REJECTED: return is_about_address(bounce->status) ? "bounced" : "failed";
    case BOUNCE_FAILED: return "failed";
    case BOUNCE_DELIVERED: return "delivered";
    case BOUNCE_DELAYED:
    case BOUNCE_NOTHING: return NULL;
    }
    return NULL;
}

static void put_receipt(struct buf *out, const struct bounce_gateway *gateway, const char *key, const struct bounce *bounce) {
    char at[TIME_TEXT_MAX], detail[300];
    (void)snprintf(detail, sizeof detail, "%s%s%s", bounce->status, bounce->status[0] != '\0' && bounce->detail[0] != '\0' ? " " : "",
                   bounce->detail);
    buf_puts(out, "{\"v\":1,\"gateway\":");
    buf_put_json_str(out, gateway->name);
    buf_puts(out, ",\"ref\":");
    buf_put_json_str(out, key);
    buf_puts(out, ",\"status\":");
    buf_put_json_str(out, receipt_status(bounce));
    if (bounce->at_ms > 0) {
        buf_puts(out, ",\"at\":");
        buf_put_json_str(out, time_format(bounce->at_ms, at));
    }
    if (detail[0] != '\0') {
        buf_puts(out, ",\"detail\":");
        buf_put_json_str(out, detail);
    }
    buf_putc(out, '}');
}

int bounce_to_receipt(const struct bounce_gateway *gateways, size_t n_gateways, const char *recipient, const char *mail, size_t len,
                      struct buf *receipt, struct err *err) {
    const struct bounce_gateway *gateway = NULL;
    char key[VERP_KEY_MAX + 1];
    struct bounce bounce;
    GMimeMessage *message = open_mail(mail, len, err);
    if (message == NULL) {
        return -1;
    }
    int result = find_recipient(message, gateways, n_gateways, recipient, &gateway, key, err);
    if (result == 0) {
        (void)err_set(err, ERR_UNKNOWN, "the mail was not sent to an envelope address of any gateway");
    } else if (result == 1) {
        read_mail(message, &bounce);
        if (receipt_status(&bounce) == NULL) {
            (void)err_set(err, ERR_UNKNOWN,
                          bounce.kind == BOUNCE_DELAYED ? "the mail is only delayed"
                                                        : "the mail does not say that anything was delivered or not");
            result = 0;
        } else {
            put_receipt(receipt, gateway, key, &bounce);
            result = receipt->failed ? err_no_memory(err) : 1;
        }
    }
    g_object_unref(message);
    return result;
}
