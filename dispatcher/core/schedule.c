/* schedule: see schedule.h.
 *
 * A day is looked at as a whole: the spans of its weekday, turned from local time into moments by ICU, so that the hour that is
 * missing in spring and the one that comes twice in autumn are counted as the clock on the desk's wall counts them. Everything else
 * is a walk over such spans, day after day, at most DESK_LOOK_AHEAD_DAYS of them.
 *
 * Guarantees: spans of a day are sorted and do not overlap, because those that would are refused when they are compiled.
 * Fails: only while compiling. Does not: know public holidays that nobody has listed. */
#include "dispatcher/core/schedule.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/ustring.h>

enum { SPANS_MAX = 8, DAY_MINUTES = 24 * 60 };

struct span {
    int from_minute;
    int to_minute;
};

struct day_off {
    int from; /* year * 10000 + month * 100 + day */
    int to;
};

struct desk_hours {
    UChar zone[64];
    int zone_len;
    struct span spans[7][SPANS_MAX]; /* by weekday, Sunday first as ICU counts */
    size_t n_spans[7];
    struct day_off *off;
    size_t n_off;
};

static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/* ---- compiling ---------------------------------------------------------------------------------------------------------- */

/* The weekday at *text, which is moved behind it; -1 where there is none. */
static int take_day(const char **text) {
    for (int day = 0; day < 7; day++) {
        if (strncmp(*text, day_names[day], 3) == 0) {
            *text += 3;
            return day;
        }
    }
    return -1;
}

/* "mon-fri,sun": a bit for each day. 0 where it is not that. */
static unsigned take_days(const char **text) {
    unsigned days = 0;
    do {
        *text += days != 0 ? 1 : 0; /* the comma */
        int from = take_day(text);
        int to = from;
        if (from >= 0 && **text == '-') {
            (*text)++;
            to = take_day(text);
        }
        if (from < 0 || to < 0) {
            return 0;
        }
        for (int day = from;; day = (day + 1) % 7) {
            days |= 1U << day;
            if (day == to) {
                break;
            }
        }
    } while (**text == ',');
    return days;
}

/* "09:00-17:00"; the end may be 24:00. */
static bool take_span(const char *text, struct span *span) {
    unsigned h1, m1, h2, m2;
    int end = 0;
    if (sscanf(text, "%2u:%2u-%2u:%2u%n", &h1, &m1, &h2, &m2, &end) != 4 || text[end] != '\0' || m1 > 59 || m2 > 59) {
        return false;
    }
    span->from_minute = (int)(h1 * 60 + m1);
    span->to_minute = (int)(h2 * 60 + m2);
    return span->from_minute < span->to_minute && span->to_minute <= DAY_MINUTES;
}

/* Puts a span among those of a day, in order. -1 where it overlaps or there are too many. */
static int add_span(struct desk_hours *hours, int day, struct span span) {
    struct span *spans = hours->spans[day];
    size_t at = hours->n_spans[day];
    if (at == SPANS_MAX) {
        return -1;
    }
    while (at > 0 && spans[at - 1].from_minute > span.from_minute) {
        spans[at] = spans[at - 1];
        at--;
    }
    spans[at] = span;
    hours->n_spans[day]++;
    bool overlaps = (at > 0 && spans[at - 1].to_minute > span.from_minute) ||
                    (at + 1 < hours->n_spans[day] && spans[at + 1].from_minute < span.to_minute);
    return overlaps ? -1 : 0;
}

static int compile_hours(struct desk_hours *hours, const char *text, const char *member, struct err *err) {
    const char *rest = text;
    struct span span;
    unsigned days = take_days(&rest);
    if (days == 0 || *rest != ' ' || !take_span(rest + 1, &span)) {
        return err_member(err, member, "must be days and hours such as \"mon-fri 09:00-17:00\"");
    }
    for (int day = 0; day < 7; day++) {
        if ((days & 1U << day) != 0 && add_span(hours, day, span) < 0) {
            return err_member(err, member, "overlaps with other hours of the same day, or there are more than %d", SPANS_MAX);
        }
    }
    return 0;
}

/* "2026-12-25" at *text, which is moved behind it. 0 where it is no date. */
static int take_date(const char **text) {
    int year, month, day;
    int end = 0;
    if (sscanf(*text, "%4d-%2d-%2d%n", &year, &month, &day, &end) != 3 || end != 10 || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > 31) {
        return 0;
    }
    *text += end;
    return year * 10000 + month * 100 + day;
}

static int compile_off(struct day_off *off, const char *text, const char *member, struct err *err) {
    off->from = take_date(&text);
    off->to = off->from;
    if (off->from != 0 && strncmp(text, "..", 2) == 0) {
        text += 2;
        off->to = take_date(&text);
    }
    if (off->from == 0 || off->to < off->from || *text != '\0') {
        return err_member(err, member, "must be a date or two, such as \"2026-12-25\" or \"2026-12-24..2027-01-06\"");
    }
    return 0;
}

static int compile_zone(struct desk_hours *hours, const char *time_zone, struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    UChar known[64];
    UBool is_system = 0;
    size_t len = strlen(time_zone);
    if (len < sizeof hours->zone / sizeof *hours->zone) {
        u_charsToUChars(time_zone, hours->zone, (int32_t)len);
        hours->zone_len = (int)len;
        (void)ucal_getCanonicalTimeZoneID(hours->zone, hours->zone_len, known, 64, &is_system, &status);
    }
    if (len == 0 || len >= sizeof hours->zone / sizeof *hours->zone || U_FAILURE(status) || !is_system) {
        return err_member(err, "time_zone", "is no time zone that is known here (such as Europe/London)");
    }
    return 0;
}

const struct desk_hours *desk_hours_new(const char *time_zone, const struct conf_strings *hours, const struct conf_strings *closed,
                                        struct arena *arena, struct err *err) {
    struct desk_hours *made = arena_alloc(arena, sizeof *made);
    struct day_off *off = arena_array(arena, closed->n, sizeof *off);
    char member[32];
    if (made == NULL || off == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    if (compile_zone(made, time_zone, err) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < hours->n; i++) {
        (void)snprintf(member, sizeof member, "hours[%zu]", i);
        if (compile_hours(made, hours->items[i], member, err) < 0) {
            return NULL;
        }
    }
    for (size_t i = 0; i < closed->n; i++) {
        (void)snprintf(member, sizeof member, "closed[%zu]", i);
        if (compile_off(&off[i], closed->items[i], member, err) < 0) {
            return NULL;
        }
    }
    made->off = off;
    made->n_off = closed->n;
    return made;
}

/* ---- one day ------------------------------------------------------------------------------------------------------------ */

/* A local day: ICU's calendar stands on it. */
struct day {
    UCalendar *calendar;
    int year, month, date; /* month from 0, as ICU counts */
    int weekday;           /* 0 Sunday */
};

static int field(const struct day *day, UCalendarDateFields which) {
    UErrorCode status = U_ZERO_ERROR;
    return ucal_get(day->calendar, which, &status);
}

static void read_day(struct day *day) {
    day->year = field(day, UCAL_YEAR);
    day->month = field(day, UCAL_MONTH);
    day->date = field(day, UCAL_DATE);
    day->weekday = field(day, UCAL_DAY_OF_WEEK) - UCAL_SUNDAY;
}

/* Opens the local day in which `at_ms` falls. Close it with ucal_close(). False where ICU has no memory. */
static bool open_day(const struct desk_hours *hours, int64_t at_ms, struct day *day) {
    UErrorCode status = U_ZERO_ERROR;
    day->calendar = ucal_open(hours->zone, hours->zone_len, "en", UCAL_GREGORIAN, &status);
    if (U_FAILURE(status)) {
        return false;
    }
    ucal_setAttribute(day->calendar, UCAL_SKIPPED_WALL_TIME, UCAL_WALLTIME_NEXT_VALID); /* what the clock skips is where it goes on */
    ucal_setMillis(day->calendar, (UDate)at_ms, &status);
    read_day(day);
    return true;
}

static void next_day(struct day *day) {
    UErrorCode status = U_ZERO_ERROR;
    ucal_setDateTime(day->calendar, day->year, day->month, day->date + 1, 12, 0, 0, &status); /* noon is in every day */
    read_day(day);
}

/* The moment of a local minute of the day. */
static int64_t moment(const struct day *day, int minute) {
    UErrorCode status = U_ZERO_ERROR;
    ucal_setDateTime(day->calendar, day->year, day->month, day->date, minute / 60, minute % 60, 0, &status);
    return (int64_t)ucal_getMillis(day->calendar, &status) / 1000 * 1000; /* ICU keeps the milliseconds of before */
}

static bool is_off(const struct desk_hours *hours, const struct day *day) {
    int date = day->year * 10000 + (day->month + 1) * 100 + day->date;
    for (size_t i = 0; i < hours->n_off; i++) {
        if (date >= hours->off[i].from && date <= hours->off[i].to) {
            return true;
        }
    }
    return false;
}

/* ---- walking over the open spans ---------------------------------------------------------------------------------------- */

/* Called for every open span, in order, cut to begin at from_ms at the earliest; true: enough. */
typedef bool span_fn(void *ctx, int64_t begin_ms, int64_t end_ms);

static void walk(const struct desk_hours *hours, int64_t from_ms, span_fn *each, void *ctx) {
    struct day day;
    if (!open_day(hours, from_ms, &day)) {
        return; /* nothing is known to be open */
    }
    for (int n = 0; n <= DESK_LOOK_AHEAD_DAYS; n++) {
        size_t spans = is_off(hours, &day) ? 0 : hours->n_spans[day.weekday];
        for (size_t i = 0; i < spans; i++) {
            int64_t begin_ms = moment(&day, hours->spans[day.weekday][i].from_minute);
            int64_t end_ms = moment(&day, hours->spans[day.weekday][i].to_minute);
            if (end_ms > from_ms && each(ctx, begin_ms > from_ms ? begin_ms : from_ms, end_ms)) {
                ucal_close(day.calendar);
                return;
            }
        }
        next_day(&day);
    }
    ucal_close(day.calendar);
}

static bool take_first(void *ctx, int64_t begin_ms, int64_t end_ms) {
    (void)end_ms;
    *(int64_t *)ctx = begin_ms;
    return true;
}

int64_t desk_opens_at(const struct desk_hours *hours, int64_t at_ms) {
    int64_t first_ms = -1;
    walk(hours, at_ms, take_first, &first_ms);
    return first_ms;
}

bool desk_is_open(const struct desk_hours *hours, int64_t at_ms) {
    return desk_opens_at(hours, at_ms) == at_ms;
}

struct sum {
    int64_t to_ms;
    int64_t open_ms;
};

static bool add_up(void *ctx, int64_t begin_ms, int64_t end_ms) {
    struct sum *sum = ctx;
    int64_t end = end_ms < sum->to_ms ? end_ms : sum->to_ms;
    sum->open_ms += end > begin_ms ? end - begin_ms : 0;
    return end_ms >= sum->to_ms;
}

int64_t desk_open_ms(const struct desk_hours *hours, int64_t from_ms, int64_t to_ms) {
    struct sum sum = {.to_ms = to_ms};
    assert(from_ms <= to_ms);
    walk(hours, from_ms, add_up, &sum);
    return sum.open_ms;
}

struct work {
    int64_t left_ms;
    int64_t done_at_ms; /* -1: not yet */
};

static bool work_off(void *ctx, int64_t begin_ms, int64_t end_ms) {
    struct work *work = ctx;
    if (end_ms - begin_ms >= work->left_ms) {
        work->done_at_ms = begin_ms + work->left_ms;
        return true;
    }
    work->left_ms -= end_ms - begin_ms;
    return false;
}

int64_t desk_done_at(const struct desk_hours *hours, int64_t from_ms, int64_t work_ms) {
    struct work work = {.left_ms = work_ms, .done_at_ms = work_ms == 0 ? from_ms : -1};
    if (work_ms > 0) {
        walk(hours, from_ms, work_off, &work);
    }
    return work.done_at_ms;
}
