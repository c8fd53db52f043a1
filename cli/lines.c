/* lines: see lines.h.
 *
 * One buffer, filled by large reads; a line is a slice of it, so nothing is copied but the part of a line that straddles two
 * reads. A line longer than allowed is skipped to its end and reported as such: one absurd line costs neither memory nor the
 * rest of the file.
 *
 * Does not: know about JSON, or about encodings; a NUL is a byte like any other. */
#include "cli/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024 };

int lines_init(struct lines *lines, int fd, size_t line_max, struct err *err) {
    *lines = (struct lines){.fd = fd, .line_max = line_max, .cap = line_max + 1 + READ_BYTES};
    lines->buffer = malloc(lines->cap);
    return lines->buffer == NULL ? err_no_memory(err) : 0;
}

void lines_fini(struct lines *lines) {
    free(lines->buffer);
    *lines = (struct lines){.fd = -1};
}

static void move_to_front(struct lines *lines) {
    memmove(lines->buffer, lines->buffer + lines->start, lines->end - lines->start);
    lines->end -= lines->start;
    lines->start = 0;
}

/* Reads more behind what is there; there is room for it. */
static int fill(struct lines *lines, struct err *err) {
    size_t room = lines->cap - lines->end;
    ssize_t n;
    do { /* never more than READ_BYTES at once: memory that is not touched costs nothing */
        n = read(lines->fd, lines->buffer + lines->end, room < READ_BYTES ? room : READ_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return err_system(err, "read");
    }
    lines->end += (size_t)n;
    lines->eof = n == 0;
    return 0;
}

static int hand_out(struct lines *lines, size_t len, size_t used, bool too_long, struct line *line_r) {
    *line_r = (struct line){.text = lines->buffer + lines->start, .len = len, .too_long = too_long || len > lines->line_max};
    lines->start += used;
    lines->offset += used;
    lines->number++;
    return 1;
}

/* Drops the rest of a line that is too long, keeping its beginning at the front of the buffer. */
static int skip_rest(struct lines *lines, struct line *line_r, struct err *err) {
    size_t kept = lines->line_max + 1;
    move_to_front(lines);
    for (;;) {
        char *newline = memchr(lines->buffer + kept, '\n', lines->end - kept);
        size_t drop = newline == NULL ? lines->end : (size_t)(newline - lines->buffer) + 1;
        if (newline != NULL || lines->eof) {
            lines->offset += drop - kept;
            memmove(lines->buffer + kept, lines->buffer + drop, lines->end - drop);
            lines->end -= drop - kept;
            return hand_out(lines, kept, kept, true, line_r);
        }
        lines->offset += drop - kept;
        lines->end = kept;
        if (fill(lines, err) < 0) {
            return -1;
        }
    }
}

int lines_next(struct lines *lines, struct line *line_r, struct err *err) {
    size_t searched = 0;
    for (;;) {
        size_t have = lines->end - lines->start;
        char *newline = have == 0 ? NULL : memchr(lines->buffer + lines->start + searched, '\n', have - searched);
        if (newline != NULL) {
            size_t len = (size_t)(newline - (lines->buffer + lines->start));
            return hand_out(lines, len, len + 1, false, line_r);
        }
        if (lines->eof) {
            return have == 0 ? 0 : hand_out(lines, have, have, false, line_r);
        }
        if (have > lines->line_max) {
            return skip_rest(lines, line_r, err);
        }
        searched = have;
        move_to_front(lines);
        if (fill(lines, err) < 0) {
            return -1;
        }
    }
}

bool line_is_blank(const struct line *line) {
    for (size_t i = 0; i < line->len; i++) {
        char c = line->text[i];
        if (c != ' ' && c != '\t' && c != '\r') {
            return false;
        }
    }
    return true;
}
