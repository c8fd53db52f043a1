/* escape: foreign values made harmless for the place where they stand. */
#ifndef REACH_TEMPLATES_ESCAPE_H
#define REACH_TEMPLATES_ESCAPE_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Where a value stands. */
enum escape {
    ESCAPE_NONE,    /* plain text: body, SMS, push, header (a clean value has no line break and no control character) */
    ESCAPE_HTML,    /* HTML text and quoted attributes */
    ESCAPE_URL_PART /* a piece of a URL's path or query: everything but RFC 3986's unreserved characters becomes %XX */
};

/* Appends `len` bytes of `text` as the place wants them. */
void escape_put(struct buf *out, enum escape escape, const char *text, size_t len);

/* What a clean value may look like. */
enum clean_kind {
    CLEAN_WORDS,  /* words: a space goes in wherever a mail program or a telephone would make a link of them */
    CLEAN_ADDRESS /* a masked address: dots stay where they are */
};

/* A clean form of a value: one line, well-formed, no control, bidi override, invisible or non-character; links in it broken.
 * *text_r is `text` itself where nothing had to change, else a copy in the arena. 0, or -1 where the bytes are not UTF-8 or
 * there is no memory. */
int escape_clean(enum clean_kind kind, const char *text, size_t len, struct arena *arena, const char **text_r, size_t *len_r);

/* Whether the text has a letter that is written in the other direction than `right_to_left` says. */
bool escape_turns(const char *text, size_t len, bool right_to_left);

/* Whether escape_clean() of words would have had to break a link. */
bool escape_has_link(const char *text, size_t len);

#endif
