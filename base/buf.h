/* buf: a growing byte buffer with one sticky failure, so that a long run of puts needs one check at its end. */
#ifndef REACH_BASE_BUF_H
#define REACH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;  /* NUL-terminated whenever not NULL; owned by the buffer */
    size_t len;  /* bytes used, without the NUL */
    size_t cap;  /* bytes allocated */
    bool failed; /* an allocation failed: the content is incomplete and must not be used */
};

#define BUF_INIT ((struct buf){0})

/* Frees the content and makes the buffer empty and usable again. */
void buf_fini(struct buf *buf);

/* Empties it, keeping the memory; clears `failed`. */
void buf_reset(struct buf *buf);

/* Drops everything from byte `len` on, which must not be beyond the end. */
void buf_cut(struct buf *buf, size_t len);

/* Makes room for `more` bytes beyond len. 0, or -1 (then `failed` is set). */
int buf_reserve(struct buf *buf, size_t more);

void buf_put(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_putf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_put_i64(struct buf *buf, int64_t value);
void buf_put_u64(struct buf *buf, uint64_t value);

/* Appends `text` (UTF-8, `len` bytes) as a JSON string with its quotes (RFC 8259 section 7). NULL gives `null`. */
void buf_put_json(struct buf *buf, const char *text, size_t len);
void buf_put_json_str(struct buf *buf, const char *text);

/* The content as a string, "" when empty, NULL when an allocation failed. Borrowed until the next call. */
const char *buf_str(const struct buf *buf);

/* Hands the content over as a malloc'd string (the caller frees it) and empties the buffer. NULL when it failed. */
char *buf_take(struct buf *buf);

#endif
