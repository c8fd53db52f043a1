/* dot: the end of an SMTP message, found byte by byte (RFC 5321 section 4.5.2). */
#ifndef REACH_PEER_DOT_H
#define REACH_PEER_DOT_H

#include "base/buf.h"

#include <stdbool.h>

enum dot_state { DOT_LINE_START, DOT_IN_LINE, DOT_CR, DOT_DOT, DOT_DOT_CR, DOT_DONE };

/* Feeds `len` bytes: the message without its stuffing goes to `out`, up to the final "." line, which is not part of it. Returns
 * how many bytes were used; fewer than `len` only once *state is DOT_DONE (what follows is the next command). */
size_t dot_feed(enum dot_state *state, const char *bytes, size_t len, struct buf *out);

#endif
