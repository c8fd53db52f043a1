/* archive: finished notices that have left Redis, as lines of NDJSON on this machine's disk.
 *
 * Files are YYYYMMDDThhmmssZ-<n>-<consumer>.ndjson, readable by reachd's user alone; the line is described in docs/contract.md. A
 * finished file has an index beside it (archive_index.h). Several reachds may share a directory. */
#ifndef REACH_DISPATCHER_ARCHIVE_H
#define REACH_DISPATCHER_ARCHIVE_H

#include "base/arena.h"
#include "base/buf.h"
#include "dispatcher/archive_index.h"
#include "dispatcher/record.h"

struct event_base;
struct archive;

/* Section `archive` of the configuration. */
struct archive_settings {
    const char *directory; /* NULL: there is no archive, finished notices stay in Redis */
    int64_t file_max;      /* bytes of a file */
    int64_t file_ms;       /* how long a file is written to */
    int64_t keep_ms;       /* files older than that are deleted; 0: never */
    int64_t size_max;      /* bytes of all files together, the oldest are deleted; 0: no limit */
};

/* ---- writing: reachd ---- */

/* Makes the directory where it is missing and starts the child that writes. NULL with *err where it cannot be written to. */
struct archive *archive_new(struct event_base *base, const struct archive_settings *settings, const char *consumer, struct err *err);

/* Waits for the child (it finishes what it has), and frees. NULL is allowed. */
void archive_free(struct archive *archive);

/* The lines are on the disk (err NULL); or some of them may be, and nobody knows which. After a failure it is called only when it makes
 * sense to try again. From the loop. */
typedef void archive_done_fn(void *ctx, const struct err *err);

/* Has whole lines written and synced; taken over and emptied. One call at a time. 0, or -1 with *err (no memory, no child). */
int archive_put(struct archive *archive, struct buf *lines_take, archive_done_fn *done, void *ctx, struct err *err);

/* Adds a notice's line to `out`. `text` is the record as Redis holds it, one line of JSON. */
void archive_put_line(struct buf *out, const char *id, const char *customer, enum notice_state state, uint64_t fence, int64_t now_ms,
                      const char *text);

/* ---- searching: reachctl ---- */

/* A line that was found; all of it in the arena of the search. */
struct archive_found {
    const char *id;
    enum notice_state state;
    const char *archived_at; /* RFC 3339 */
    const char *record;      /* for record_read() */
};

/* 0 to go on, 1 to stop. */
typedef int archive_each_fn(void *ctx, const struct archive_found *found);

/* Calls each() for every line of that notice or customer, from the newest file to the oldest. A notice that was archived twice (a crash
 * between archiving and retiring) comes twice. 0, or -1 with *err where the directory cannot be read. */
int archive_search(const char *directory, enum archive_key key, const char *text, archive_each_fn *each, void *ctx, struct arena *arena,
                   struct err *err);

#endif
