/* sorted: puts any number of lines in order with bounded memory, through sort(1). */
#ifndef REACH_CLI_SORTED_H
#define REACH_CLI_SORTED_H

#include "base/err.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct sorted {
    pid_t child; /* sort(1); 0: none */
    FILE *in;    /* what we write */
    FILE *out;   /* what we read back; NULL until sorted_end_of_input() */
    int out_fd;
    char *line; /* the line read last; owned */
    size_t cap;
};

/* Starts sort(1) with at most `memory_mib` of memory; more goes to files in $TMPDIR. 0, or -1 with *err. */
int sorted_begin(struct sorted *sorted, unsigned memory_mib, struct err *err);

/* Adds a line of `len` bytes, which must hold no newline. A failure is told by sorted_end_of_input(). */
void sorted_add(struct sorted *sorted, const char *line, size_t len);

/* No more lines. 0, or -1 with *err. */
int sorted_end_of_input(struct sorted *sorted, struct err *err);

/* The next line in byte order, without its newline; borrowed until the next call. 1, 0 after the last, -1 with *err. */
int sorted_next(struct sorted *sorted, const char **line_r, size_t *len_r, struct err *err);

/* Ends sort(1) if it still runs and frees everything. */
void sorted_fini(struct sorted *sorted);

#endif
