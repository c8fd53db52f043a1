/* waits: see waits.h. A ring of windows of ten seconds; a length is kept as the bucket it falls into, so that texts of several workers add
 * up. Does not: read a clock. */
#include "dispatcher/core/waits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t bounds_ms[WAITS_BUCKETS] = {10, 30, 100, 300, 1000, 3000, 10000, 30000, 60000, 300000, 900000, 3600000, INT64_MAX};

/* Empties the windows between the newest one and now. */
static void move_on(struct waits *waits, int64_t now_ms) {
    int64_t window = now_ms / WAITS_WINDOW_MS;
    for (int64_t i = 1; i <= WAITS_WINDOWS && waits->newest + i <= window; i++) {
        memset(waits->windows[(waits->newest + i) % WAITS_WINDOWS], 0, sizeof waits->windows[0]);
    }
    if (window - waits->newest > WAITS_WINDOWS) {
        memset(waits->windows, 0, sizeof waits->windows);
    }
    waits->newest = window > waits->newest ? window : waits->newest;
}

void waits_add(struct waits *waits, unsigned lane, int64_t wait_ms, int64_t now_ms) {
    move_on(waits, now_ms);
    struct waits_lane *window = &waits->windows[waits->newest % WAITS_WINDOWS][lane];
    size_t bucket = 0;
    while (wait_ms > bounds_ms[bucket]) {
        bucket++;
    }
    window->n[bucket]++;
    window->max_ms = wait_ms > window->max_ms ? wait_ms : window->max_ms;
}

static void add_lane(struct waits_lane *sum, const struct waits_lane *more) {
    for (size_t i = 0; i < WAITS_BUCKETS; i++) {
        sum->n[i] += more->n[i];
    }
    sum->max_ms = more->max_ms > sum->max_ms ? more->max_ms : sum->max_ms;
}

void waits_write(struct waits *waits, int64_t now_ms, char out[WAITS_TEXT_MAX]) {
    move_on(waits, now_ms);
    size_t len = (size_t)snprintf(out, WAITS_TEXT_MAX, "%" PRId64, now_ms);
    for (size_t lane = 0; lane < WAITS_LANES; lane++) {
        struct waits_lane sum = {0};
        for (size_t i = 0; i < WAITS_WINDOWS; i++) {
            add_lane(&sum, &waits->windows[i][lane]);
        }
        for (size_t i = 0; i < WAITS_BUCKETS; i++) {
            len += (size_t)snprintf(out + len, WAITS_TEXT_MAX - len, " %" PRIu32, sum.n[i]);
        }
        len += (size_t)snprintf(out + len, WAITS_TEXT_MAX - len, " %" PRId64, sum.max_ms);
    }
}

int waits_read(const char *text, int64_t now_ms, struct waits_lane lanes[WAITS_LANES]) {
    enum { NUMBERS = 1 + WAITS_LANES * (WAITS_BUCKETS + 1) };
    int64_t numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) {
        char *end = NULL;
        numbers[i] = strtoll(text, &end, 10);
        if (end == text || numbers[i] < 0) {
            return -1;
        }
        text = end;
    }
    if (now_ms - numbers[0] > WAITS_WINDOWS * WAITS_WINDOW_MS) {
        return 0;
    }
    for (size_t lane = 0; lane < WAITS_LANES; lane++) {
        const int64_t *from = numbers + 1 + lane * (WAITS_BUCKETS + 1);
        struct waits_lane more = {.max_ms = from[WAITS_BUCKETS]};
        for (size_t i = 0; i < WAITS_BUCKETS; i++) {
            more.n[i] = (uint32_t)from[i];
        }
        add_lane(&lanes[lane], &more);
    }
    return 1;
}

uint32_t waits_count(const struct waits_lane *lane) {
    uint32_t n = 0;
    for (size_t i = 0; i < WAITS_BUCKETS; i++) {
        n += lane->n[i];
    }
    return n;
}

int64_t waits_percentile(const struct waits_lane *lane, unsigned percent) {
    uint64_t wanted = (uint64_t)waits_count(lane) * percent;
    uint64_t sum = 0;
    for (size_t i = 0; i < WAITS_BUCKETS; i++) {
        sum += lane->n[i];
        if (lane->n[i] > 0 && sum * 100 >= wanted) {
            return bounds_ms[i] < lane->max_ms ? bounds_ms[i] : lane->max_ms;
        }
    }
    return 0;
}
