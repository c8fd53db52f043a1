/* lines: reads a file line by line with bounded memory, however large the file or the line. */
#ifndef REACH_CLI_LINES_H
#define REACH_CLI_LINES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
    int fd; /* borrowed */
    char *buffer;
    size_t cap;
    size_t start;    /* of what has not been handed out */
    size_t end;      /* of what has been read */
    size_t line_max; /* longest line, in bytes without its newline */
    uint64_t number; /* of the line handed out last, from 1 */
    uint64_t offset; /* bytes of the file up to the end of that line */
    bool eof;
};

struct line {
    const char *text; /* without its newline; not NUL-terminated; borrowed until the next call */
    size_t len;
    bool too_long; /* longer than line_max: `text` holds its beginning only */
};

/* Starts at the file's present position. 0, or -1 with *err (no memory). */
int lines_init(struct lines *lines, int fd, size_t line_max, struct err *err);
void lines_fini(struct lines *lines);

/* 1 and *line_r, 0 at the end, -1 with *err where reading failed. A last line without newline is a line. */
int lines_next(struct lines *lines, struct line *line_r, struct err *err);

/* Whether a line holds nothing but blanks. */
bool line_is_blank(const struct line *line);

#endif
