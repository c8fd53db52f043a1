/* waits: how long the jobs of the last minute waited in each lane, from the stream to the first change that was recorded. Pure. */
#ifndef REACH_CORE_WAITS_H
#define REACH_CORE_WAITS_H

#include <stddef.h>
#include <stdint.h>

enum { WAITS_LANES = 2, WAITS_BUCKETS = 13, WAITS_WINDOWS = 6, WAITS_WINDOW_MS = 10000, WAITS_TEXT_MAX = 512 };

struct waits_lane {
    uint32_t n[WAITS_BUCKETS]; /* by length; the bounds are in waits.c */
    int64_t max_ms;
};

struct waits {
    struct waits_lane windows[WAITS_WINDOWS][WAITS_LANES];
    int64_t newest; /* number of the newest window */
};

/* Notes one wait. */
void waits_add(struct waits *waits, unsigned lane, int64_t wait_ms, int64_t now_ms);

/* All lanes of the last minute as text: "now_ms" and, a lane, the buckets and the longest. */
void waits_write(struct waits *waits, int64_t now_ms, char out[WAITS_TEXT_MAX]);

/* Adds such a text to `lanes` where it is not older than a minute. 1 added, 0 too old, -1 no such text. */
int waits_read(const char *text, int64_t now_ms, struct waits_lane lanes[WAITS_LANES]);

uint32_t waits_count(const struct waits_lane *lane);

/* So long or less did `percent` of them wait: a bound of a bucket, at most the longest. 0 where there are none. */
int64_t waits_percentile(const struct waits_lane *lane, unsigned percent);

#endif
