/* frame: see frame.h.
 *
 * Guarantees: a reader never looks beyond the bytes it was given, whatever they are; a frame that fails stays failed and gives
 * zeros and NULL. Does not: touch sockets, so that a blocking and a non-blocking end can share it. */
#include "channels/frame.h"

#include <string.h>

static const uint32_t missing = UINT32_MAX;

size_t frame_begin(struct buf *out, uint8_t type) {
    size_t mark = out->len;
    frame_put_u32(out, 0);
    buf_put(out, &type, sizeof type);
    return mark;
}

int frame_end(struct buf *out, size_t mark) {
    if (out->failed) {
        return -1;
    }
    size_t len = out->len - mark - FRAME_HEAD_BYTES;
    if (len > FRAME_MAX_BYTES) {
        out->len = mark;
        return -1;
    }
    uint32_t head = (uint32_t)len;
    memcpy(out->data + mark, &head, sizeof head);
    return 0;
}

void frame_put_u32(struct buf *out, uint32_t value) {
    buf_put(out, &value, sizeof value);
}

void frame_put_i64(struct buf *out, int64_t value) {
    buf_put(out, &value, sizeof value);
}

void frame_put_bytes(struct buf *out, const char *data, size_t len) {
    if (data == NULL) {
        frame_put_u32(out, missing);
        return;
    }
    frame_put_u32(out, (uint32_t)(len > FRAME_MAX_BYTES ? FRAME_MAX_BYTES : len)); /* too long: frame_end() refuses */
    buf_put(out, data, len);
    buf_putc(out, '\0');
}

void frame_put_str(struct buf *out, const char *text) {
    frame_put_bytes(out, text, text == NULL ? 0 : strlen(text));
}

int frame_next(const char *data, size_t len, struct frame *frame_r, size_t *used_r) {
    uint32_t size;
    if (len < FRAME_HEAD_BYTES) {
        return 0;
    }
    memcpy(&size, data, sizeof size);
    if (size < 1 || size > FRAME_MAX_BYTES) {
        return -1;
    }
    if (len - FRAME_HEAD_BYTES < size) {
        return 0;
    }
    *frame_r = (struct frame){.type = (uint8_t)data[FRAME_HEAD_BYTES], .at = data + FRAME_HEAD_BYTES + 1, .left = size - 1};
    *used_r = FRAME_HEAD_BYTES + size;
    return 1;
}

/* The next `len` bytes, or NULL where they are not there. */
static const char *take(struct frame *frame, size_t len) {
    if (frame->failed || frame->left < len) {
        frame->failed = true;
        return NULL;
    }
    const char *at = frame->at;
    frame->at += len;
    frame->left -= len;
    return at;
}

uint32_t frame_get_u32(struct frame *frame) {
    uint32_t value = 0;
    const char *at = take(frame, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return value;
}

int64_t frame_get_i64(struct frame *frame) {
    int64_t value = 0;
    const char *at = take(frame, sizeof value);
    if (at != NULL) {
        memcpy(&value, at, sizeof value);
    }
    return value;
}

const char *frame_get_bytes(struct frame *frame, size_t *len_r) {
    *len_r = 0;
    uint32_t len = frame_get_u32(frame);
    if (frame->failed || len == missing) {
        return NULL;
    }
    const char *at = take(frame, (size_t)len + 1);
    if (at == NULL || at[len] != '\0') {
        frame->failed = true;
        return NULL;
    }
    *len_r = len;
    return at;
}

const char *frame_get_str(struct frame *frame) {
    size_t len;
    const char *at = frame_get_bytes(frame, &len);
    if (at != NULL && strlen(at) != len) {
        frame->failed = true;
        return NULL;
    }
    return at;
}

bool frame_done(const struct frame *frame) {
    return !frame->failed && frame->left == 0;
}
