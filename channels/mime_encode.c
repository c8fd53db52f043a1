/* mime_encode: see mime_encode.h.
 *
 * Written here because the kept libraries that could do it (gmime, glib) build a tree of objects for every mail, which costs more
 * than all the rest of handing a mail over; the forms themselves are small. Base64 is OpenSSL's. The results are compared with what
 * other people's parsers make of them in the tests.
 *
 * Guarantees: whatever the text, the output is printable ASCII, CRLF and nothing else; control characters in a header become
 * blanks. Does not: check that the text is UTF-8 (the template engine and the job reader do). */
#include "channels/mime_encode.h"

#include <endian.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    QP_LINE = 75,      /* and a soft "=" makes 76 */
    BASE64_BYTES = 57, /* make 76 characters */
    WORD_BYTES = 45,   /* in one encoded word: 60 characters and 12 of frame */
    HEADER_LINE = 76,
    PLAIN_WORD_MAX = 60, /* an ASCII word that is longer cannot be folded: encode it */
};

/* ---- bodies -------------------------------------------------------------------------------------------------------- */

/* Length of the line end at `text` (CRLF, LF, CR), or 0. */
static size_t line_end(const char *text) {
    if (text[0] == '\r') {
        return text[1] == '\n' ? 2 : 1;
    }
    return text[0] == '\n' ? 1 : 0;
}

/* Eight bytes at a time, because every byte of every mail passes here. */
static const uint64_t ones = UINT64_C(0x0101010101010101);
static const uint64_t high = UINT64_C(0x8080808080808080);

static uint64_t load_word(const char *text) {
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

/* How many of the bytes are outside ASCII. */
static size_t count_foreign(const char *text, size_t len) {
    size_t foreign = 0, i = 0;
    for (; i + 8 <= len; i += 8) {
        foreign += (((load_word(text + i) & high) >> 7) * ones) >> 56; /* the sum of eight ones and zeros */
    }
    for (; i < len; i++) {
        foreign += (size_t)((unsigned char)text[i] >> 7);
    }
    return foreign;
}

const char *mime_encoding_for(const char *text) {
    size_t len = strlen(text);
    return count_foreign(text, len) > len / 6 ? "base64" : "quoted-printable";
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* May stand in quoted-printable as it is; a blank not at the end of a line. */
static bool is_plain(unsigned char c) {
    return (c >= ' ' && c <= '~' && c != '=') || c == '\t';
}

/* Which of eight bytes may not stand as they are, tabs among them (RFC 2045 section 6.7: 33 to 126 without 61, and blanks): their highest
 * bit. In each byte of each term that bit tells: foreign; 127; below a blank; '='. Bytes cannot disturb each other where it is set
 * beforehand; a foreign byte can disturb those behind it, so only the first one that is told counts. */
static uint64_t not_plain(uint64_t word) {
    uint64_t not_below_blank = (word | high) - ones * ' ';
    uint64_t not_equals_sign = ((word ^ ones * '=') | high) - ones;
    return (word | (word + ones) | ~not_below_blank | ~not_equals_sign) & high;
}

/* Copies bytes that may stand as they are, at most `max`, and tells how many. `left` bytes of the text can be read; `out` has room for
 * eight bytes more, because what a word has too much is written and then written over. */
static size_t copy_plain(char *out, const char *text, size_t max, size_t left) {
    size_t n = 0;
    while (n < max && left - n >= 8) {
        uint64_t word = load_word(text + n);
        uint64_t stops = le64toh(not_plain(word));
        memcpy(out + n, &word, sizeof word);
        n += stops == 0 ? 8 : (size_t)__builtin_ctzll(stops) / 8;
        if (stops != 0 && (n >= max || text[n] != '\t')) {
            return n < max ? n : max;
        }
        n += stops != 0; /* a tab */
    }
    while (n < max && is_plain((unsigned char)text[n])) {
        out[n] = text[n];
        n++;
    }
    return n < max ? n : max;
}

/* What may not stand at the beginning of a line: mail systems would change it, or take it for a boundary. */
static bool needs_code_first(const char *text) {
    return text[0] == '.' || text[0] == '-' || (text[0] == 'F' && strncmp(text, "From ", 5) == 0);
}

static char *put_line_end(char *out, const char *end, size_t len) {
    memcpy(out, end, len);
    return out + len;
}

static char *put_coded(char *out, unsigned char c) {
    static const char hex[] = "0123456789ABCDEF";
    out[0] = '=';
    out[1] = hex[c >> 4];
    out[2] = hex[c & 15];
    return out + 3;
}

/* The worst case: every byte coded, a soft line end for every 24 of them, a line end, and what copy_plain() writes over. */
static size_t worst_case(size_t len) {
    return 3 * len + 3 * (len / 24 + 1) + 16;
}

/* How many bytes from `text` on were put as they are. A blank that ends a line must not be among them. */
static size_t put_plain(char *out, const char *text, size_t room, size_t left) {
    bool code_first = room == QP_LINE && needs_code_first(text);
    size_t run = code_first ? 0 : copy_plain(out, text, left < room ? left : room, left);
    bool ends_line = run > 0 && (run == left || line_end(text + run) > 0);
    return ends_line && is_blank(text[run - 1]) ? run - 1 : run;
}

void mime_put_quoted_printable(struct buf *out, const char *text) {
    size_t len = strlen(text);
    const char *end = text + len;
    size_t room = QP_LINE; /* left in the line under way */
    if (buf_reserve(out, worst_case(len)) < 0) {
        return;
    }
    char *at = out->data + out->len;
    while (text < end) {
        size_t run = put_plain(at, text, room, (size_t)(end - text));
        size_t line_ends = line_end(text + run);
        at += run;
        text += run;
        room -= run;
        if (line_ends > 0) {
            at = put_line_end(at, "\r\n", 2);
            text += line_ends;
            room = QP_LINE;
        } else if (text < end && room < 3) {
            at = put_line_end(at, "=\r\n", 3);
            room = QP_LINE;
        } else if (text < end) {
            at = put_coded(at, (unsigned char)*text++);
            room -= 3;
        }
    }
    at = room < QP_LINE ? put_line_end(at, "\r\n", 2) : at;
    out->len = (size_t)(at - out->data);
    *at = '\0';
}

static void put_base64_line(struct buf *out, const unsigned char *data, size_t len) {
    unsigned char line[4 * ((BASE64_BYTES + 2) / 3) + 1];
    int n = EVP_EncodeBlock(line, data, (int)len);
    buf_put(out, line, (size_t)n);
    buf_put(out, "\r\n", 2);
}

void mime_put_base64(struct buf *out, const char *text) {
    unsigned char chunk[BASE64_BYTES];
    size_t len = 0;
    while (*text != '\0') {
        size_t end = line_end(text);
        const char *bytes = end > 0 ? "\r\n" : text;
        size_t n = end > 0 ? 2 : 1;
        text += end > 0 ? end : 1;
        for (size_t i = 0; i < n; i++) {
            chunk[len++] = (unsigned char)bytes[i];
            if (len == sizeof chunk) {
                put_base64_line(out, chunk, len);
                len = 0;
            }
        }
    }
    if (len > 0) {
        put_base64_line(out, chunk, len);
    }
}

/* ---- headers ------------------------------------------------------------------------------------------------------- */
static unsigned char header_byte(char c) {
    unsigned char byte = (unsigned char)c;
    return byte < 0x20 || byte == 0x7f ? ' ' : byte;
}

/* Plain ASCII that can be folded and that nobody could take for an encoded word. */
static bool plain_in_header(const char *text) {
    size_t word = 0;
    for (const char *at = text; *at != '\0'; at++) {
        word = *at == ' ' ? 0 : word + 1;
        if (word > PLAIN_WORD_MAX || (unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f) {
            return false;
        }
    }
    return strstr(text, "=?") == NULL && text[0] != ' ' && (text[0] == '\0' || text[strlen(text) - 1] != ' ') && strstr(text, "  ") == NULL;
}

/* How many bytes of `text` go into one encoded word: no character is cut in two (RFC 2047 section 5). */
static size_t word_len(const char *text) {
    size_t len = strlen(text);
    if (len <= WORD_BYTES) {
        return len;
    }
    len = WORD_BYTES;
    while (len > WORD_BYTES - 4 && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

static void put_encoded_words(struct buf *out, const char *text) {
    const char *gap = "";
    while (*text != '\0') {
        unsigned char bytes[WORD_BYTES];
        unsigned char coded[4 * ((WORD_BYTES + 2) / 3) + 1];
        size_t len = word_len(text);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = header_byte(text[i]);
        }
        int n = EVP_EncodeBlock(coded, bytes, (int)len);
        buf_puts(out, gap);
        buf_puts(out, "=?UTF-8?B?");
        buf_put(out, coded, (size_t)n);
        buf_puts(out, "?=");
        gap = "\r\n ";
        text += len;
    }
}

/* Bytes since the last line end. */
static size_t column_of(const struct buf *out) {
    size_t column = 0;
    while (column < out->len && out->data[out->len - column - 1] != '\n') {
        column++;
    }
    return column;
}

static void put_folded(struct buf *out, const char *text) {
    size_t column = column_of(out);
    while (*text != '\0') {
        size_t word = strcspn(text + 1, " ") + 1; /* a word with the blank before it */
        if (*text == ' ' && column + word > HEADER_LINE) {
            buf_put(out, "\r\n", 2);
            column = 0;
        }
        buf_put(out, text, word);
        column += word;
        text += word;
    }
}

void mime_put_text_header(struct buf *out, const char *name, const char *text) {
    buf_puts(out, name);
    buf_puts(out, ": ");
    if (plain_in_header(text)) {
        put_folded(out, text);
    } else {
        put_encoded_words(out, text);
    }
    buf_put(out, "\r\n", 2);
}

static void put_quoted_string(struct buf *out, const char *text) {
    buf_putc(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            buf_putc(out, '\\');
        }
        buf_putc(out, *text);
    }
    buf_putc(out, '"');
}

void mime_put_address_header(struct buf *out, const char *name, const char *display, const char *address) {
    buf_puts(out, name);
    buf_puts(out, ": ");
    if (display != NULL && display[0] != '\0') {
        if (plain_in_header(display) && strlen(display) <= PLAIN_WORD_MAX) {
            put_quoted_string(out, display);
        } else {
            put_encoded_words(out, display);
        }
        buf_puts(out, column_of(out) + strlen(address) + 3 > HEADER_LINE ? "\r\n " : " ");
    }
    buf_putc(out, '<');
    buf_puts(out, address);
    buf_puts(out, ">\r\n");
}
