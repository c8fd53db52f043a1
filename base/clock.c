/* clock: see clock.h.
 *
 * Parsing is done by hand because the forms are tiny and strict (strptime accepts too much and is bound to the locale);
 * the calendar itself is timegm(3) and gmtime_r(3).
 *
 * Guarantees: a text that is accepted means exactly one instant; anything doubtful (day 31 of a 30-day month, hour 24,
 * missing zone) is refused. The monotonic clock is CLOCK_BOOTTIME, so a lease also runs out while a process or the machine
 * is suspended. */
#include "base/clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0) {
        return 0;
    }
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_wall(void *ctx) {
    (void)ctx;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_mono(void *ctx) {
    (void)ctx;
    return read_clock(CLOCK_BOOTTIME);
}

const struct clock clock_system = {system_wall, system_mono, NULL};

int64_t clock_wall_ms(const struct clock *clock) {
    return clock->wall_ms(clock->ctx);
}

int64_t clock_mono_ms(const struct clock *clock) {
    return clock->mono_ms(clock->ctx);
}

/* Reads exactly `digits` digits at *p. -1 where there are fewer. */
static int read_number(const char **p, int digits) {
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)(*p)[i])) {
            return -1;
        }
        value = value * 10 + ((*p)[i] - '0');
    }
    *p += digits;
    return value;
}

static bool take(const char **p, char c) {
    if (**p != c) {
        return false;
    }
    (*p)++;
    return true;
}

/* A fraction after '.', at least one digit; only milliseconds count. -1 where malformed. */
static int read_fraction_ms(const char **p) {
    if (!take(p, '.')) {
        return 0;
    }
    int ms = 0;
    int digits = 0;
    for (; isdigit((unsigned char)**p) && digits < 12; (*p)++, digits++) {
        if (digits < 3) {
            ms = ms * 10 + (**p - '0');
        }
    }
    for (int i = digits; i < 3; i++) {
        ms *= 10;
    }
    return digits == 0 ? -1 : ms;
}

/* "Z" or "+hh:mm". 0 and the offset in seconds, or -1. */
static int read_zone(const char **p, int *offset_s_r) {
    *offset_s_r = 0;
    if (take(p, 'Z')) {
        return 0;
    }
    int sign = **p == '+' ? 1 : -1;
    if (!take(p, '+') && !take(p, '-')) {
        return -1;
    }
    int hours = read_number(p, 2);
    if (hours < 0 || hours > 23 || !take(p, ':')) {
        return -1;
    }
    int minutes = read_number(p, 2);
    if (minutes < 0 || minutes > 59) {
        return -1;
    }
    *offset_s_r = sign * (hours * 3600 + minutes * 60);
    return 0;
}

static bool same_day(const struct tm *a, const struct tm *b) {
    return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday;
}

int time_parse(const char *text, int64_t *ms_r) {
    const char *p = text;
    int year = read_number(&p, 4);
    bool ok = year >= 1970 && take(&p, '-');
    int month = ok ? read_number(&p, 2) : -1;
    ok = ok && month >= 1 && month <= 12 && take(&p, '-');
    int day = ok ? read_number(&p, 2) : -1;
    ok = ok && day >= 1 && day <= 31 && take(&p, 'T');
    int hour = ok ? read_number(&p, 2) : -1;
    ok = ok && hour >= 0 && hour <= 23 && take(&p, ':');
    int minute = ok ? read_number(&p, 2) : -1;
    ok = ok && minute >= 0 && minute <= 59 && take(&p, ':');
    int second = ok ? read_number(&p, 2) : -1;
    ok = ok && second >= 0 && second <= 59;
    int fraction_ms = ok ? read_fraction_ms(&p) : -1;
    int offset_s = 0;
    if (fraction_ms < 0 || read_zone(&p, &offset_s) < 0 || *p != '\0') {
        return -1;
    }
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second};
    struct tm asked = tm;
    time_t seconds = timegm(&tm);
    if (!same_day(&tm, &asked)) {
        return -1;
    }
    *ms_r = ((int64_t)seconds - offset_s) * 1000 + fraction_ms;
    return 0;
}

const char *time_format(int64_t ms, char out[TIME_TEXT_MAX]) {
    time_t seconds = (time_t)(ms / 1000);
    int rest = (int)(ms % 1000);
    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    struct tm tm;
    size_t len = 0;
    if (gmtime_r(&seconds, &tm) != NULL) {
        len = strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    if (rest != 0) {
        (void)snprintf(out + len, TIME_TEXT_MAX - len, ".%03dZ", rest);
    } else {
        (void)snprintf(out + len, TIME_TEXT_MAX - len, "Z");
    }
    return out;
}

struct unit {
    char letter;
    bool in_time;
    int64_t ms;
};

/* In the order in which ISO 8601 wants them. */
static const struct unit units[] = {
    {'W', false, INT64_C(604800000)}, {'D', false, INT64_C(86400000)}, {'H', true, 3600000}, {'M', true, 60000}, {'S', true, 1000},
};

int duration_parse(const char *text, int64_t *ms_r) {
    const char *p = text;
    int64_t total = 0;
    bool in_time = false;
    size_t next_unit = 0;
    size_t parts = 0;
    if (!take(&p, 'P')) {
        return -1;
    }
    while (*p != '\0') {
        if (!in_time && take(&p, 'T')) {
            in_time = true;
            if (*p == '\0') {
                return -1;
            }
        }
        int64_t value = 0;
        int digits = 0;
        for (; isdigit((unsigned char)*p) && digits < 9; p++, digits++) {
            value = value * 10 + (*p - '0');
        }
        bool has_fraction = *p == '.';
        int fraction_ms = read_fraction_ms(&p);
        if (digits == 0 || fraction_ms < 0) {
            return -1;
        }
        while (next_unit < sizeof units / sizeof *units && (units[next_unit].letter != *p || units[next_unit].in_time != in_time)) {
            next_unit++;
        }
        if (next_unit == sizeof units / sizeof *units || (has_fraction && *p != 'S')) {
            return -1;
        }
        total += value * units[next_unit].ms + fraction_ms;
        next_unit++;
        p++;
        parts++;
    }
    if (parts == 0) {
        return -1;
    }
    *ms_r = total;
    return 0;
}
