/* record: how a notice is written in Redis: `<state letter><token, 16 hex digits> <customer> <text>`. One that has begun and whose entry
 * stays open has `@<lane>/<lease, 16 hex digits>,<stream id> ` in front of the text: the entry's lease is its lock until then
 * (lua/apply.lua).
 *
 * The head has fixed places, so that a script compares tokens as strings (Lua's numbers are doubles and would round a
 * 64-bit token); the text behind it is the worker's own and nobody else reads it. */
#ifndef REACH_QUEUE_RECORD_H
#define REACH_QUEUE_RECORD_H

#include "base/buf.h"
#include "queue/queue.h"

enum { RECORD_TOKEN_LEN = 16 };

/* The token as 16 lower-case hex digits, without NUL. */
void queue_record_token(uint64_t fence, char out[RECORD_TOKEN_LEN]);

/* Appends the whole record of a change. */
void queue_record_put(struct buf *out, const struct queue_change *change);

/* Reads one: sets found, state, fence and the text (a pointer into `text`); `job` is left alone. `customer_r` (may be NULL)
 * points at the customer's id, customer_len_r bytes long. 0, or -1 where it is no record. */
int queue_record_read(const char *text, size_t len, struct queue_record *record, const char **customer_r, size_t *customer_len_r);

#endif
