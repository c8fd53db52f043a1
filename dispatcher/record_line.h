/* record_line: how a line of the timeline, a time and a hash are written in a record, in few bytes. Internal to dispatcher/record.c. */
#ifndef REACH_DISPATCHER_RECORD_LINE_H
#define REACH_DISPATCHER_RECORD_LINE_H

#include "dispatcher/record.h"

#include <jansson.h>

/* Writes a time (not 0) of a notice. */
void record_time_put(struct buf *out, const struct record *record, int64_t at_ms);
int64_t record_time_read(const struct record *record, int64_t written);

/* Writes a JSON string: a hash in lower-case hex digits as base64 behind a `*`, anything else as it is. */
void record_hash_put(struct buf *out, const char *text);
/* What it was; NULL for NULL, or without memory. */
const char *record_hash_read(const char *written, struct arena *arena);

/* Writes a line as a JSON array. */
void record_line_put(struct buf *out, const struct record *record, const struct record_line *line);

/* Reads one; record's tries and `why` are there already. What is no line gives an empty one. */
struct record_line record_line_read(const json_t *array, const struct record *record, struct arena *arena);

#endif
