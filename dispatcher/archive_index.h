/* archive_index: finds lines in an archive file by notice or by customer. Internal to dispatcher/archive*.c.
 *
 * A finished file NAME.ndjson has its index beside it, NAME.idx, written once and never changed:
 *     "reachidx", u32 version 1, u32 0, u64 number of lines n, u64 size of the archive file; then n rows (u64 hash, u64 offset of the line)
 *     sorted by the hash of the notice's id, then n rows sorted by the hash of the customer's id; numbers as this machine writes them.
 * The hash is the beginning of SHA-256. It only says where to look; the line itself decides. An index may be deleted at any time: its file
 * is then searched from the beginning, and reachd makes the index again at its next start. */
#ifndef REACH_DISPATCHER_ARCHIVE_INDEX_H
#define REACH_DISPATCHER_ARCHIVE_INDEX_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum archive_key { ARCHIVE_BY_ID, ARCHIVE_BY_CUSTOMER, ARCHIVE_KEYS };

struct archive_row {
    uint64_t hash;
    uint64_t offset;
};

struct archive_index {
    struct archive_row *rows[ARCHIVE_KEYS];
    size_t n, cap;
};

#define ARCHIVE_INDEX_INIT ((struct archive_index){0})

void archive_index_fini(struct archive_index *index);

/* Takes down the lines of `text` (whole lines), whose first byte stands at `offset` in the file. A line that is no archive line is left
 * out. 0, or -1 without memory. */
int archive_index_add(struct archive_index *index, const char *text, size_t len, uint64_t offset);

/* Writes it, sorted, as `name` into the directory: whole and on the disk, or not at all. 0, or -1 with *err. */
int archive_index_save(struct archive_index *index, int dir_fd, const char *name, uint64_t data_size, struct err *err);

/* Whether the first `len` bytes of `index_bytes` are an index of a file of `data_size` bytes. */
int archive_index_fits(const void *index_bytes, size_t len, uint64_t data_size);

/* Rows of a fitting index that have this hash: *rows_r borrowed. Returns their number. */
size_t archive_index_find(const void *index_bytes, enum archive_key key, uint64_t hash, const struct archive_row **rows_r);

uint64_t archive_hash(const char *text, size_t len);

/* The value of a line for that key, as it stands between its quotes (still escaped): 1, or 0 where it is no archive line. */
int archive_line_key(const char *line, size_t len, enum archive_key key, const char **value_r, size_t *value_len_r);

#endif
