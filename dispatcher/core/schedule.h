/* schedule: when the service desk is there. Pure: opening hours and a moment in, an answer out; no clock is read.
 *
 * Hours are local: "mon-fri 09:00-17:00", "sat,sun 10:00-14:00"; days off are dates: "2026-12-25", "2026-12-24..2027-01-06".
 * Daylight saving is that of the time zone (IANA, by ICU). */
#ifndef REACH_CORE_SCHEDULE_H
#define REACH_CORE_SCHEDULE_H

#include "base/arena.h"
#include "base/conf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct desk_hours; /* compiled; immutable; lives in the arena it was made in */

/* Compiles opening hours. `time_zone` is an IANA name. NULL with *err (member "time_zone", "hours[2]", "closed[0]"). Without any
 * hours the desk is never open. */
const struct desk_hours *desk_hours_new(const char *time_zone, const struct conf_strings *hours, const struct conf_strings *closed,
                                        struct arena *arena, struct err *err);

/* Whether the desk is open at that moment (ms since 1970). */
bool desk_is_open(const struct desk_hours *hours, int64_t at_ms);

/* The first moment from at_ms on at which it is open; -1 where there is none within DESK_LOOK_AHEAD_DAYS. */
#define DESK_LOOK_AHEAD_DAYS 400
int64_t desk_opens_at(const struct desk_hours *hours, int64_t at_ms);

/* How long it is open between two moments, in ms. */
int64_t desk_open_ms(const struct desk_hours *hours, int64_t from_ms, int64_t to_ms);

/* When work that takes work_ms of open time is done if it begins at from_ms; -1 where not within DESK_LOOK_AHEAD_DAYS. */
int64_t desk_done_at(const struct desk_hours *hours, int64_t from_ms, int64_t work_ms);

#endif
