/* dot: undoes dot-stuffing and finds the end of the message.
 *
 * Only CR LF ends a line. A bare CR or a bare LF is content, is kept as it is, and a dot after it is content too: a peer that was
 * generous here would hide exactly the fault that the smuggling tests look for. The state survives between calls, so the
 * message may come cut at any byte.
 *
 * The final line's CR LF belongs to the message; the "." CR LF that ends it does not. Never fails by itself: `out` remembers a
 * failed allocation.
 */
#include "tests/support/peer/dot.h"

#include <string.h>

/* Content up to the next CR goes over in one piece. */
static size_t feed_plain(enum dot_state *state, const char *bytes, size_t len, struct buf *out) {
    const char *cr = memchr(bytes, '\r', len);
    size_t n = cr == NULL ? len : (size_t)(cr - bytes) + 1;
    buf_put(out, bytes, n);
    *state = cr == NULL ? DOT_IN_LINE : DOT_CR;
    return n;
}

/* After a CR that is content: a LF starts a line, another CR may be the one that counts. */
static void feed_after_cr(enum dot_state *state, char c, struct buf *out) {
    buf_putc(out, c);
    *state = c == '\n' ? DOT_LINE_START : c == '\r' ? DOT_CR : DOT_IN_LINE;
}

/* After the dot that opened a line: it was stuffing, unless CR LF follow. */
static void feed_after_dot(enum dot_state *state, char c, struct buf *out) {
    if (c == '\r') {
        *state = DOT_DOT_CR;
        return;
    }
    buf_putc(out, c);
    *state = DOT_IN_LINE;
}

static void feed_after_dot_cr(enum dot_state *state, char c, struct buf *out) {
    if (c == '\n') {
        *state = DOT_DONE;
        return;
    }
    buf_putc(out, '\r');
    feed_after_cr(state, c, out);
}

size_t dot_feed(enum dot_state *state, const char *bytes, size_t len, struct buf *out) {
    size_t used = 0;
    while (used < len && *state != DOT_DONE) {
        char c = bytes[used];
        switch (*state) {
        case DOT_LINE_START:
            if (c == '.') {
                *state = DOT_DOT;
                used++;
                break;
            }
            used += feed_plain(state, bytes + used, len - used, out);
            break;
        case DOT_IN_LINE: used += feed_plain(state, bytes + used, len - used, out); break;
        case DOT_CR: feed_after_cr(state, c, out), used++; break;
        case DOT_DOT: feed_after_dot(state, c, out), used++; break;
        case DOT_DOT_CR: feed_after_dot_cr(state, c, out), used++; break;
        case DOT_DONE: break;
        }
    }
    return used;
}
