/* counts: the counters of Redis as numbers, and what must hold between them. */
#ifndef REACH_QUEUE_COUNTS_H
#define REACH_QUEUE_COUNTS_H

#include "queue/queue.h"
#include "queue/reply.h"

struct counts {
    int64_t accepted;
    int64_t retired;                        /* finished records that have left Redis for the archive; their states stay counted */
    int64_t retired_of[NOTICE_STATE_COUNT]; /* the same, state by state */
    int64_t states[NOTICE_STATE_COUNT];
};

struct sums {
    int64_t all, held, finished;
};

/* All states; those that have a record; those that are final. */
struct sums counts_sum(const int64_t states[NOTICE_STATE_COUNT]);

/* Reads the answer to HGETALL counters. `counters` (may be NULL) is given the free ones by their names. */
void counts_take(const redisReply *reply, struct counts *counts, json_t *counters);

/* How many notices the counters and `records` (number of records in Redis) cannot account for. */
int64_t counts_unaccounted(const struct counts *counts, int64_t records);

/* off_r[state]: how many more of `records` (in Redis, state by state) there are than the counters say. Where it is not known of all retired
 * ones in which state they were (a Redis that was filled by an early version), final states are not compared. */
void counts_compare(const struct counts *counts, const int64_t records[NOTICE_STATE_COUNT], int64_t off_r[NOTICE_STATE_COUNT]);

/* How many notices at least are in another state than the counters say. */
int64_t counts_wrong(const int64_t off[NOTICE_STATE_COUNT]);

/* {"accepted": n, "planned": n, ...}: a new object. */
json_t *counts_object(const int64_t states[NOTICE_STATE_COUNT]);

#endif
