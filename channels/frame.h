/* frame: messages of bytes between two processes of one machine, over a stream socket.
 *
 *     +----------------+--------+-------------------------------+
 *     | length, 4 byte | type   | fields, length - 1 bytes      |
 *     +----------------+--------+-------------------------------+
 *
 * Numbers are in the machine's own order. A string is its length (4 bytes), its bytes and a NUL, so that the reader can use it in
 * place as a C string. Both ends are ours and of one build, yet the reader trusts nothing: every length is checked. */
#ifndef REACH_CHANNELS_FRAME_H
#define REACH_CHANNELS_FRAME_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest frame in bytes, without its length field. */
enum { FRAME_MAX_BYTES = 1 << 20, FRAME_HEAD_BYTES = 4 };

/* Starts a frame of `type` at the end of `out`; returns the mark for frame_end(). */
size_t frame_begin(struct buf *out, uint8_t type);

/* Writes the length of the frame that started at `mark`. 0, or -1 where it is too long or memory ran out: then the frame is taken
 * back (and `out->failed` tells about memory). */
int frame_end(struct buf *out, size_t mark);

void frame_put_u32(struct buf *out, uint32_t value);
void frame_put_i64(struct buf *out, int64_t value);

/* `data` NULL is written as a missing string, which reads back as NULL. */
void frame_put_bytes(struct buf *out, const char *data, size_t len);
void frame_put_str(struct buf *out, const char *text);

/* One frame that has been read; a cursor over its fields. */
struct frame {
    uint8_t type;
    const char *at; /* borrowed from the bytes it was read from */
    size_t left;
    bool failed; /* a field was missing or cut: the values read are not to be used */
};

/* Looks for a whole frame at the start of `data`. 1 and *frame_r, *used_r; 0 where more bytes are needed; -1 where this is no frame. */
int frame_next(const char *data, size_t len, struct frame *frame_r, size_t *used_r);

uint32_t frame_get_u32(struct frame *frame);
int64_t frame_get_i64(struct frame *frame);

/* A string, NUL-terminated, borrowed; NULL where it is missing or the frame is broken (look at `failed`). */
const char *frame_get_bytes(struct frame *frame, size_t *len_r);

/* The same for a text: a NUL inside breaks the frame. */
const char *frame_get_str(struct frame *frame);

/* Whether every field was there and none is left over. */
bool frame_done(const struct frame *frame);

#endif
