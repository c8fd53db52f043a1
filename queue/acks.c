/* acks: see acks.h.
 *
 * A lease knows its open entries as ranges of ids, `after` exclusive. What a worker finishes in one batch is mostly what it was handed
 * out in one batch, so a few rows say it all: the round trip's unit is the batch here too, and Redis needs no look at any single entry.
 *
 * Guarantees: a row holds nothing but acknowledged entries, since places that follow one another have nothing between them. Does not:
 * know which entries are open; the script does. */
#include "queue/acks.h"
#include "queue/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Follows nothing and is followed by nothing, not even by another one. */
static const size_t NO_PLACE = SIZE_MAX / 2;

struct ack ack_of(const struct held *held, enum stream stream, const char *id, const struct queue_leased *leased) {
    struct ack ack = {stream, *leased, id};
    uint64_t lease = held_lease(held, stream, id);
    if (lease != 0 && lease != leased->lease && stream_id_read(id, &ack.leased.after_ms, &ack.leased.after_seq) == 0) {
        ack.leased.lease = lease;
        ack.leased.place = NO_PLACE; /* a row of its own, from the id before it on */
        ack.leased.after_ms -= ack.leased.after_seq == 0;
        ack.leased.after_seq--;
    }
    return ack;
}

static int in_order(const void *a, const void *b) {
    const struct ack *x = a, *y = b;
    if (x->stream != y->stream) {
        return x->stream < y->stream ? -1 : 1;
    }
    if (x->leased.lease != y->leased.lease) {
        return x->leased.lease < y->leased.lease ? -1 : 1;
    }
    if (x->leased.after_ms != y->leased.after_ms) {
        return x->leased.after_ms < y->leased.after_ms ? -1 : 1;
    }
    return x->leased.after_seq < y->leased.after_seq ? -1 : x->leased.after_seq > y->leased.after_seq;
}

void acks_sort(struct ack *acks, size_t n) {
    if (n > 1) {
        qsort(acks, n, sizeof *acks, in_order);
    }
}

static bool follows(const struct ack *next, const struct ack *ack) {
    return next->stream == ack->stream && next->leased.lease == ack->leased.lease && next->leased.place == ack->leased.place + 1;
}

/* How many of the acks make the first row. */
static size_t row_len(const struct ack *acks, size_t n) {
    size_t len = n > 0 ? 1 : 0;
    while (len < n && follows(&acks[len], &acks[len - 1])) {
        len++;
    }
    return len;
}

size_t acks_rows(const struct ack *acks, size_t n) {
    size_t rows = 0;
    for (size_t at = 0; at < n; at += row_len(acks + at, n - at)) {
        rows++;
    }
    return rows;
}

static void put_row(struct command *command, const struct ack *acks, size_t len) {
    char token[RECORD_TOKEN_LEN], after[48];
    queue_record_token(acks[0].leased.lease, token);
    (void)snprintf(after, sizeof after, "%" PRIu64 "-%" PRIu64, acks[0].leased.after_ms, acks[0].leased.after_seq);
    command_puts(command, stream_name(acks[0].stream));
    command_put(command, token, sizeof token);
    command_put_i64(command, (int64_t)len);
    command_puts(command, after);
    command_puts(command, acks[len - 1].id);
}

void acks_put(struct command *command, const struct ack *acks, size_t n) {
    for (size_t at = 0, len = 0; at < n; at += len) {
        len = row_len(acks + at, n - at);
        put_row(command, acks + at, len);
    }
}
