/* buf: see buf.h.
 *
 * Guarantees: after any number of puts either every byte is there, in order, followed by NUL, or `failed` is set and
 * buf_str() answers NULL. Growth doubles, so n bytes cost O(n).
 *
 * Fails: only by want of memory. Does not: shrink, or check that the bytes are UTF-8. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

void buf_fini(struct buf *buf) {
    free(buf->data);
    *buf = BUF_INIT;
}

void buf_reset(struct buf *buf) {
    buf->len = 0;
    buf->failed = false;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

void buf_cut(struct buf *buf, size_t len) {
    assert(len <= buf->len);
    if (len < buf->len) {
        buf->len = len;
        buf->data[len] = '\0';
    }
}

int buf_reserve(struct buf *buf, size_t more) {
    if (buf->failed || more > SIZE_MAX / 4 || buf->len > SIZE_MAX / 4) {
        buf->failed = true;
        return -1;
    }
    size_t need = buf->len + more + 1;
    if (need <= buf->cap) {
        return 0;
    }
    size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap;
    while (cap < need) {
        cap *= 2;
    }
    char *data = realloc(buf->data, cap);
    if (data == NULL) {
        buf->failed = true;
        return -1;
    }
    buf->data = data;
    buf->cap = cap;
    return 0;
}

void buf_put(struct buf *buf, const void *data, size_t len) {
    bool fits = buf->cap - buf->len > len && !buf->failed; /* nearly always */
    if (!fits && buf_reserve(buf, len) < 0) {
        return;
    }
    if (len > 0) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *text) {
    buf_put(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c) {
    buf_put(buf, &c, 1);
}

void buf_putf(struct buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || buf_reserve(buf, (size_t)len) < 0) {
        buf->failed = true;
    } else {
        (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void buf_put_u64(struct buf *buf, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buf_put(buf, digits + at, sizeof digits - at);
}

void buf_put_i64(struct buf *buf, int64_t value) {
    if (value < 0) {
        buf_putc(buf, '-');
        buf_put_u64(buf, 0U - (uint64_t)value);
    } else {
        buf_put_u64(buf, (uint64_t)value);
    }
}

/* The two-character escape of a byte, or 0 where it has none. */
static char short_escape(unsigned char c) {
    switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case '\b': return 'b';
    case '\f': return 'f';
    default: return 0;
    }
}

void buf_put_json(struct buf *buf, const char *text, size_t len) {
    if (text == NULL) {
        buf_put(buf, "null", 4);
        return;
    }
    buf_putc(buf, '"');
    size_t from = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            continue;
        }
        buf_put(buf, text + from, i - from);
        from = i + 1;
        char escape = short_escape(c);
        if (escape != 0) {
            buf_put(buf, (char[]){'\\', escape}, 2);
        } else {
            buf_putf(buf, "\\u%04x", c);
        }
    }
    buf_put(buf, text + from, len - from);
    buf_putc(buf, '"');
}

void buf_put_json_str(struct buf *buf, const char *text) {
    buf_put_json(buf, text, text == NULL ? 0 : strlen(text));
}

const char *buf_str(const struct buf *buf) {
    if (buf->failed) {
        return NULL;
    }
    return buf->data == NULL ? "" : buf->data;
}

char *buf_take(struct buf *buf) {
    if (buf_reserve(buf, 0) < 0) {
        return NULL;
    }
    buf->data[buf->len] = '\0';
    char *data = buf->data;
    *buf = BUF_INIT;
    return data;
}
