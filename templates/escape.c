/* escape: see escape.h.
 *
 * A customer's value passes two gates. escape_clean() makes it a harmless piece of one line, the same for every channel:
 * control characters and line breaks become blanks (no second header, no second line in an SMS), bidi controls and invisible
 * characters go (what is read is what was sent), and a blank is put into anything that a mail program or a telephone would
 * turn into a link by itself: after "//", after a scheme's colon and after a full stop that joins two letters. So "evil.example/x"
 * in a name arrives as "evil. example/x". escape_put() then escapes for the very place: HTML, a piece of a URL, plain text.
 *
 * Guarantees: the output of escape_put(ESCAPE_HTML) holds none of < > " ' and no bare &; that of ESCAPE_URL_PART only
 * unreserved characters and %XX.
 *
 * Does not: look at Markdown or Mustache. Values never meet either: both are compiled when the set is loaded. */
#include "templates/escape.h"

#include "base/text.h"

#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf.h>

static const char *html_entity(char c) {
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

static void put_html(struct buf *out, const char *text, size_t len) {
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        const char *entity = html_entity(text[i]);
        if (entity != NULL) {
            buf_put(out, text + start, i - start);
            buf_puts(out, entity);
            start = i + 1;
        }
    }
    buf_put(out, text + start, len - start);
}

static bool is_unreserved(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

static void put_url_part(struct buf *out, const char *text, size_t len) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_unreserved(c)) {
            buf_putc(out, (char)c);
        } else {
            buf_putc(out, '%');
            buf_putc(out, hex[c >> 4]);
            buf_putc(out, hex[c & 15]);
        }
    }
}

void escape_put(struct buf *out, enum escape escape, const char *text, size_t len) {
    switch (escape) {
    case ESCAPE_NONE: buf_put(out, text, len); break;
    case ESCAPE_HTML: put_html(out, text, len); break;
    case ESCAPE_URL_PART: put_url_part(out, text, len); break;
    }
}

/* Characters that can be in no clean value at all. ZWNJ and ZWJ stay: Persian and Indic names need them. */
static bool is_hidden(UChar32 c) {
    if (c < 0xa0 || c == 0x200c || c == 0x200d) {
        return false;
    }
    return u_charType(c) == U_FORMAT_CHAR || u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) || U_IS_UNICODE_NONCHAR(c) ||
           u_charType(c) == U_PRIVATE_USE_CHAR || (c >= 0xfff9 && c <= 0xfffd);
}

static bool is_blank(UChar32 c) {
    return c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x2028 || c == 0x2029;
}

/* Full stops as IDNA reads them (UTS 46). */
static bool is_stop(UChar32 c) {
    return c == '.' || c == 0x3002 || c == 0xff0e || c == 0xff61;
}

static bool is_slash(UChar32 c) {
    return c == '/' || c == '\\' || c == 0xff0f;
}

/* A full stop between two of these may be a domain's. */
static bool joins(UChar32 c) {
    if (c < 0x80) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    }
    return u_isalpha(c) || u_charType(c) == U_OTHER_SYMBOL || u_charType(c) == U_NON_SPACING_MARK;
}

static bool joins_left(UChar32 c) {
    return joins(c) || u_isdigit(c) || c == ')' || c == ']' || c == '%';
}

/* Reads text as clean characters, one at a time. What the template has before and after the value is not known, so a value begins as if
 * behind a letter, and one that ends with "//" gets its blank all the same. */
struct cleaner {
    enum clean_kind kind;
    UChar32 before_stop; /* the one before `previous` */
    UChar32 previous;
    int stops; /* full stops since the last blank */
    bool changed;
    bool linked;
};

/* Whether a blank must go before `c`. */
static bool breaks_before(const struct cleaner *cleaner, UChar32 c) {
    if (cleaner->kind == CLEAN_ADDRESS) {
        return false;
    }
    if (is_slash(cleaner->previous)) {
        return is_slash(cleaner->before_stop) && c != ' ';
    }
    if (cleaner->previous == ':') {
        return u_isalpha(cleaner->before_stop) && c != ' ';
    }
    if (is_stop(cleaner->previous) && u_isdigit(c)) {
        return cleaner->stops > 1; /* 1.2.3.4 */
    }
    return is_stop(cleaner->previous) && joins_left(cleaner->before_stop) && joins(c);
}

static void clean_character(struct cleaner *cleaner, UChar32 c, const char *bytes, size_t n, struct buf *out) {
    if (is_hidden(c)) {
        cleaner->changed = true;
        return;
    }
    if (is_blank(c)) {
        cleaner->changed = cleaner->changed || c != ' ';
        c = ' ';
        bytes = " ";
        n = 1;
    }
    if (breaks_before(cleaner, c)) {
        cleaner->changed = true;
        cleaner->linked = true;
        cleaner->stops = 0;
        buf_putc(out, ' ');
    }
    cleaner->stops = c == ' ' ? 0 : cleaner->stops + is_stop(c);
    buf_put(out, bytes, n);
    cleaner->before_stop = cleaner->previous;
    cleaner->previous = c;
}

/* Decodes one character of well-formed UTF-8; its length. */
static size_t decode(const unsigned char *text, UChar32 *c_r) {
    size_t n = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    *c_r = n == 1 ? text[0] : text[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        *c_r = *c_r << 6 | (text[i] & 0x3f);
    }
    return n;
}

/* 0, or -1 where the bytes are not UTF-8. */
static int clean_all(struct cleaner *cleaner, const char *text, size_t len, struct buf *out) {
    if (!text_is_utf8(text, len)) {
        return -1;
    }
    for (size_t i = 0; i < len;) {
        UChar32 c = 0;
        size_t n = decode((const unsigned char *)text + i, &c);
        clean_character(cleaner, c, text + i, n, out);
        i += n;
    }
    if (cleaner->kind == CLEAN_WORDS && is_slash(cleaner->previous) && is_slash(cleaner->before_stop)) {
        cleaner->changed = true;
        buf_putc(out, ' ');
    }
    return 0;
}

/* Most values are plain words: seen in one pass, without decoding. */
static bool is_plain(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c >= 0x7f || c == '.' || c == ':' || c == '/' || c == '\\') {
            return false;
        }
    }
    return true;
}

int escape_clean(enum clean_kind kind, const char *text, size_t len, struct arena *arena, const char **text_r, size_t *len_r) {
    *text_r = text;
    *len_r = len;
    if (is_plain(text, len)) {
        return 0;
    }
    struct cleaner cleaner = {.kind = kind, .before_stop = 'a', .previous = 'a'};
    struct buf out = BUF_INIT;
    int rc = clean_all(&cleaner, text, len, &out);
    if (rc == 0 && cleaner.changed) {
        const char *cleaned = buf_str(&out);
        *text_r = cleaned == NULL ? NULL : arena_strndup(arena, cleaned, out.len);
        *len_r = out.len;
        rc = *text_r == NULL ? -1 : 0;
    }
    buf_fini(&out);
    return rc;
}

bool escape_has_link(const char *text, size_t len) {
    struct cleaner cleaner = {.kind = CLEAN_WORDS, .before_stop = 'a', .previous = 'a'};
    struct buf out = BUF_INIT;
    bool linked = !is_plain(text, len) && clean_all(&cleaner, text, len, &out) == 0 && cleaner.linked;
    buf_fini(&out);
    return linked;
}

static bool is_ascii(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

bool escape_turns(const char *text, size_t len, bool right_to_left) {
    if (!right_to_left && is_ascii(text, len)) {
        return false;
    }
    for (size_t i = 0; i < len;) {
        UChar32 c = 0;
        i += decode((const unsigned char *)text + i, &c);
        UCharDirection direction = u_charDirection(c);
        bool is_rtl = direction == U_RIGHT_TO_LEFT || direction == U_RIGHT_TO_LEFT_ARABIC;
        if (right_to_left ? direction == U_LEFT_TO_RIGHT : is_rtl) {
            return true;
        }
    }
    return false;
}
