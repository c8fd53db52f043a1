/* acks: how the entries that a batch acknowledges go to a script: entries that follow one another in a lease in one row. */
#ifndef REACH_QUEUE_ACKS_H
#define REACH_QUEUE_ACKS_H

#include "queue/command.h"
#include "queue/held.h"

struct ack {
    enum stream stream;
    struct queue_leased leased;
    const char *id; /* borrowed */
};

/* One entry's. Where it came again while it was in hand (a Redis that had lost its lease), it stands in that newer lease. */
struct ack ack_of(const struct held *held, enum stream stream, const char *id, const struct queue_leased *leased);

/* Puts them into the order of the rows: by stream, lease, id. */
void acks_sort(struct ack *acks, size_t n);

/* How many rows the n sorted acks make. */
size_t acks_rows(const struct ack *acks, size_t n);

/* The rows, five arguments each, as lua/leases.lua takes them: lane, token, number, id before, last id. */
void acks_put(struct command *command, const struct ack *acks, size_t n);

#endif
