/* mustache: reads Mustache text into tokens, and judges the engine by the cases of the public specification.
 *
 * Source: mustache(5) and the specification at github.com/mustache/spec (interpolation, sections, inverted, partials,
 * comments, delimiters). */
#ifndef REACH_TEMPLATES_MUSTACHE_H
#define REACH_TEMPLATES_MUSTACHE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum mustache_kind {
    MUSTACHE_TEXT,
    MUSTACHE_VALUE,    /* {{name}} */
    MUSTACHE_RAW,      /* {{{name}}}, {{&name}} */
    MUSTACHE_SECTION,  /* {{#name}} */
    MUSTACHE_INVERTED, /* {{^name}} */
    MUSTACHE_CLOSE,    /* {{/name}} */
    MUSTACHE_PARTIAL   /* {{>name}} */
};

struct name; /* what the tag names, once it is bound; see program.h */

struct mustache_token {
    enum mustache_kind kind;
    bool standalone;  /* a tag that had its line to itself: the line is gone */
    const char *file; /* borrowed from the caller */
    int line;         /* 1-based, where it begins */
    const char *text; /* literal text (borrowed from the source), or the tag's content without padding (in the arena) */
    size_t len;
    const char *indent; /* the blanks before a standalone tag; in the source */
    size_t indent_len;
    const struct name *name;
};

struct mustache_doc {
    struct mustache_token *tokens;
    size_t n;
    int error_line; /* where parsing failed */
};

/* Reads `len` bytes that begin at line `line` of `file`. Comments and delimiter changes leave no token; sections are checked to
 * nest. The tokens live in `arena` and borrow `text`. 0, or -1 with *err and doc->error_line. */
int mustache_parse(const char *text, size_t len, const char *file, int line, struct arena *arena, struct mustache_doc *doc,
                   struct err *err);

/* How a case file of the specification went. */
struct mustache_tally {
    int passed;
    int failed;
};

/* Runs every case of `path` (JSON, the specification's format). A case that wants a missing value to be empty passes where the
 * engine refuses it, and gives the wanted text once missing values are allowed. Each failure is a line in *details.
 * 0 and *tally; -1 with *err where the file cannot be used. */
int mustache_check_file(const char *path, struct mustache_tally *tally, struct buf *details, struct err *err);

#endif
