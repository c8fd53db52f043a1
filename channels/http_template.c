/* http_template: see http_template.h.
 *
 * A template is cut into pieces when the gateway is opened: literals (with the operator's constants already in them) and values
 * of the message. A value is only ever inserted into a piece, never parsed again, so a customer's name that reads {{secret}} stays
 * those ten characters. Encoding is the caller's business for whole fields, and done here per value for URLs, where the
 * literal parts must stay what they are.
 *
 * Constants in a URL are percent-encoded too, except one that begins the URL (the provider's base address). */
#include "channels/http_template.h"

#include "base/sms_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct piece {
    const char *text; /* literal or constant; NULL: a value */
    size_t len;
    bool encode; /* percent-encode `text` in a URL */
    bool absent; /* a constant that has no value here */
    enum http_value value;
};

struct http_template {
    struct piece *pieces;
    size_t n;
};

#define VALUE_NAME(id, name) [id] = name,
static const char *const value_names[HTTP_VALUE_COUNT] = {HTTP_VALUE_LIST(VALUE_NAME)};

/* ---- values ---------------------------------------------------------------------------------------------------------- */

static void set_expiry(struct http_values *values, const struct message *message, int64_t now_ms, int64_t validity_max_ms) {
    if (message->expires_at_ms == 0 && validity_max_ms == 0) {
        return;
    }
    int64_t left_ms = message->expires_at_ms == 0 ? validity_max_ms : message->expires_at_ms - now_ms;
    left_ms = left_ms < 1000 ? 1000 : left_ms;
    left_ms = validity_max_ms != 0 && left_ms > validity_max_ms ? validity_max_ms : left_ms;
    static const enum http_value which[] = {HTTP_EXPIRES_IN_S, HTTP_EXPIRES_IN_MS, HTTP_EXPIRES_IN_MIN, HTTP_EXPIRES_AT_S};
    const int64_t number[] = {left_ms / 1000, left_ms, left_ms < 60000 ? 1 : left_ms / 60000, (now_ms + left_ms) / 1000};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(values->numbers[i], sizeof values->numbers[i], "%" PRId64, number[i]);
        values->text[which[i]] = values->numbers[i];
    }
}

void http_values_set(struct http_values *values, const struct message *message, int64_t now_ms, int64_t validity_max_ms) {
    memset(values, 0, sizeof *values);
    const char **text = values->text;
    text[HTTP_TO] = message->to;
    text[HTTP_TO_DIGITS] = message->to == NULL || message->to[0] != '+' ? message->to : message->to + 1;
    text[HTTP_TITLE] = message->title;
    text[HTTP_TEXT] = message->text;
    text[HTTP_LINK] = message->link;
    text[HTTP_KEY] = message->key;
    text[HTTP_NOTICE] = message->notice;
    text[HTTP_NOTICE_ID] = message->notice_id;
    text[HTTP_SEVERITY] = message->severity;
    text[HTTP_LOCALE] = message->locale;
    (void)snprintf(values->numbers[4], sizeof values->numbers[4], "%" PRId64, now_ms / 1000);
    text[HTTP_NOW_S] = values->numbers[4];
    set_expiry(values, message, now_ms, validity_max_ms);
}

void http_values_set_alphabet(struct http_values *values) {
    const char *text = values->text[HTTP_TEXT];
    if (text != NULL) {
        bool ucs2 = sms_count(text, strlen(text)).ucs2;
        values->text[HTTP_TEXT_TYPE] = ucs2 ? "unicode" : "text";
        values->text[HTTP_TEXT_CODING] = ucs2 ? "2" : "0";
    }
}

/* ---- parsing --------------------------------------------------------------------------------------------------------- */

static size_t count_pieces(const char *text) {
    size_t n = 1;
    for (const char *at = text; (at = strstr(at, "{{")) != NULL; at += 2) {
        n += 2;
    }
    return n;
}

static int unknown_name(const char *name, int len, const struct conf_pairs *constants, struct err *err) {
    struct buf known = BUF_INIT;
    for (size_t i = 0; i < HTTP_VALUE_COUNT; i++) {
        buf_putf(&known, "%s%s", i == 0 ? "" : ", ", value_names[i]);
    }
    for (size_t i = 0; i < constants->n; i++) {
        buf_putf(&known, ", %s", constants->items[i].key);
    }
    const char *names = buf_str(&known);
    (void)err_set(err, ERR_UNKNOWN, "{{%.*s}} is not a placeholder (known: %s)", len, name, names == NULL ? "" : names);
    buf_fini(&known);
    return -1;
}

/* Fills one piece for the name at `name`. 0, or -1 with *err. */
static int resolve(struct piece *piece, const char *name, size_t len, bool first, const struct conf_pairs *constants, struct err *err) {
    for (size_t i = 0; i < HTTP_VALUE_COUNT; i++) {
        if (strlen(value_names[i]) == len && memcmp(value_names[i], name, len) == 0) {
            *piece = (struct piece){.value = (enum http_value)i};
            return 0;
        }
    }
    for (size_t i = 0; i < constants->n; i++) {
        const struct conf_pair *pair = &constants->items[i];
        if (strlen(pair->key) == len && memcmp(pair->key, name, len) == 0) {
            const char *value = pair->value == NULL ? "" : pair->value;
            *piece = (struct piece){.text = value, .len = strlen(value), .encode = !first, .absent = value[0] == '\0'};
            return 0;
        }
    }
    return unknown_name(name, (int)len, constants, err);
}

static void trim(const char **text, const char *end, size_t *len) {
    while (*text < end && isspace((unsigned char)**text)) {
        (*text)++;
    }
    while (end > *text && isspace((unsigned char)end[-1])) {
        end--;
    }
    *len = (size_t)(end - *text);
}

static int parse(struct http_template *template, const char *text, const struct conf_pairs *constants, struct err *err) {
    for (const char *at = text; *at != '\0';) {
        const char *open = strstr(at, "{{");
        const char *end = open == NULL ? at + strlen(at) : open;
        if (end > at) {
            template->pieces[template->n++] = (struct piece){.text = at, .len = (size_t)(end - at)};
        }
        if (open == NULL) {
            break;
        }
        const char *close = strstr(open, "}}");
        if (close == NULL) {
            return err_set(err, ERR_SYNTAX, "{{ without }}");
        }
        const char *name = open + 2;
        size_t len = 0;
        trim(&name, close, &len);
        if (resolve(&template->pieces[template->n], name, len, open == text, constants, err) < 0) {
            return -1;
        }
        template->n++;
        at = close + 2;
    }
    return 0;
}

const struct http_template *http_template_parse(const char *text, const struct conf_pairs *constants, struct arena *arena,
                                                struct err *err) {
    struct http_template *template = arena_alloc(arena, sizeof *template);
    const char *copy = arena_strdup(arena, text);
    struct piece *pieces = arena_array(arena, count_pieces(text), sizeof *pieces);
    if (template == NULL || copy == NULL || pieces == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    template->pieces = pieces;
    return parse(template, copy, constants, err) < 0 ? NULL : template;
}

bool http_template_uses(const struct http_template *template, enum http_value value) {
    for (size_t i = 0; i < template->n; i++) {
        if (template->pieces[i].text == NULL && template->pieces[i].value == value) {
            return true;
        }
    }
    return false;
}

bool http_template_varies_until(const struct http_template *template, size_t end) {
    size_t at = 0;
    for (size_t i = 0; i < template->n && at <= end; i++) {
        if (template->pieces[i].text == NULL) {
            return true;
        }
        at += template->pieces[i].len;
    }
    return false;
}

const char *http_template_fixed(const struct http_template *template, struct arena *arena) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < template->n; i++) {
        const struct piece *piece = &template->pieces[i];
        buf_put(&out, piece->text == NULL ? "" : piece->text, piece->len);
    }
    const char *text = buf_str(&out) == NULL ? NULL : arena_strdup(arena, buf_str(&out));
    buf_fini(&out);
    return text;
}

/* ---- filling --------------------------------------------------------------------------------------------------------- */

void http_put_encoded(struct buf *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL) && c != '\0') {
            buf_putc(out, (char)c);
        } else {
            static const char digits[] = "0123456789ABCDEF";
            const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            buf_put(out, escape, sizeof escape);
        }
    }
}

static int fill(const struct http_template *template, const struct http_values *values, bool url, struct buf *out) {
    for (size_t i = 0; i < template->n; i++) {
        const struct piece *piece = &template->pieces[i];
        if (piece->absent || (piece->text == NULL && values->text[piece->value] == NULL)) {
            return 0;
        }
    }
    for (size_t i = 0; i < template->n; i++) {
        const struct piece *piece = &template->pieces[i];
        const char *text = piece->text == NULL ? values->text[piece->value] : piece->text;
        size_t len = piece->text == NULL ? strlen(text) : piece->len;
        if (url && (piece->text == NULL || piece->encode)) {
            http_put_encoded(out, text, len);
        } else {
            buf_put(out, text, len);
        }
    }
    return 1;
}

int http_template_put(const struct http_template *template, const struct http_values *values, struct buf *out) {
    return fill(template, values, false, out);
}

int http_template_get(const struct http_template *template, const struct http_values *values, struct buf *room, const char **text_r,
                      size_t *len_r) {
    if (template->n == 1) { /* what stands alone ends where its template ends: with a NUL */
        const struct piece *piece = &template->pieces[0];
        *text_r = piece->absent ? NULL : piece->text == NULL ? values->text[piece->value] : piece->text;
        *len_r = *text_r == NULL ? 0 : piece->text == NULL ? strlen(*text_r) : piece->len;
        return *text_r == NULL ? 0 : 1;
    }
    size_t start = room->len;
    if (fill(template, values, false, room) == 0) {
        return 0;
    }
    if (buf_str(room) == NULL) {
        return -1;
    }
    *text_r = buf_str(room) + start;
    *len_r = room->len - start;
    return 1;
}

int http_template_put_url(const struct http_template *template, const struct http_values *values, struct buf *out) {
    return fill(template, values, true, out);
}
