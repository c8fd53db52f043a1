/* clock: the time as a value that is handed in, and the two ISO forms that jobs use.
 *
 * Nothing that decides may read the clock: a shell reads it once per batch and passes `now_ms` down. */
#ifndef REACH_BASE_CLOCK_H
#define REACH_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(void *ctx); /* milliseconds since 1970-01-01T00:00:00Z */
    int64_t (*mono_ms)(void *ctx); /* milliseconds that never go back; goes on while the process is stopped */
    void *ctx;
};

/* The system's clocks. */
extern const struct clock clock_system;

int64_t clock_wall_ms(const struct clock *clock);
int64_t clock_mono_ms(const struct clock *clock);

#define TIME_TEXT_MAX 32

/* RFC 3339 section 5.6 date-time ("2026-12-23T18:00:00Z", fraction and offset allowed, leap second :60 refused).
 * Years 1970..9999. 0 and *ms_r, or -1 where the text is anything else. */
int time_parse(const char *text, int64_t *ms_r);

/* Writes "2026-12-23T18:00:00.123Z" (the fraction only when it is not zero) and returns `out`. */
const char *time_format(int64_t ms, char out[TIME_TEXT_MAX]);

/* ISO 8601 duration of weeks, days, hours, minutes, seconds ("PT30M", "P1DT12H", "P2W", "PT0.5S"); no years or months,
 * whose length nobody can tell. 0 and *ms_r (>= 0), or -1. */
int duration_parse(const char *text, int64_t *ms_r);

#endif
