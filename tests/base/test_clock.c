/* test_clock: times and durations: what is accepted means one instant; what is doubtful is refused. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    int64_t ms;
} good_times[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"1970-01-01T00:00:00.1Z", 100},
    {"1970-01-01T00:00:00.123456789Z", 123},
    {"1970-01-01T01:00:00+01:00", 0},
    {"1970-01-01T00:00:00-05:00", 18000000},
    {"2000-02-29T12:00:00Z", INT64_C(951825600000)},
    {"2024-02-29T23:59:59Z", INT64_C(1709251199000)},
    {"2026-12-23T18:00:00Z", INT64_C(1798048800000)},
    {"2026-12-23T23:45:00+05:45", INT64_C(1798048800000)},
    {"2026-12-23T08:30:00-09:30", INT64_C(1798048800000)},
    {"2038-01-19T03:14:08Z", INT64_C(2147483648000)},
    {"9999-12-31T23:59:59Z", INT64_C(253402300799000)},
};

static void a_time_means_one_instant(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good_times / sizeof *good_times; i++) {
        int64_t ms = -7;
        if (time_parse(good_times[i].text, &ms) != 0 || ms != good_times[i].ms) {
            fail_msg("%s: %lld", good_times[i].text, (long long)ms);
        }
    }
}

static void a_doubtful_time_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "2026",
        "2026-12-23",
        "2026-12-23T18:00:00",
        "2026-12-23 18:00:00Z",
        "2026-12-23t18:00:00z",
        "2026-12-23T18:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-12-23T24:00:00Z",
        "2026-12-23T18:60:00Z",
        "2026-12-23T18:00:60Z",
        "2026-12-23T18:00:00.Z",
        "2026-12-23T18:00:00,5Z",
        "2026-12-23T18:00:00.1234567890123Z",
        "2026-12-23T18:00:00+24:00",
        "2026-12-23T18:00:00+01:60",
        "2026-12-23T18:00:00+0100",
        "2026-12-23T18:00:00+01",
        "2026-12-23T18:00:00ZZ",
        "2026-12-23T18:00:00Z ",
        " 2026-12-23T18:00:00Z",
        "+2026-12-23T18:00:00Z",
        "-026-12-23T18:00:00Z",
        "1969-12-31T23:59:59Z",
        "12026-12-23T18:00:00Z",
        "2026-1-23T18:00:00Z",
        "2026-12-23T18:00:00 Z",
        "2026-W52-3T18:00:00Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = -7;
        if (time_parse(bad[i], &ms) != -1) {
            fail_msg("accepted: %s as %lld", bad[i], (long long)ms);
        }
    }
}

static void every_day_of_four_centuries_comes_back(void **state) {
    (void)state;
    char text[TIME_TEXT_MAX];
    for (int64_t day = 0; day < 146097; day += 13) {
        int64_t ms = day * 86400000 + (day % 1000);
        int64_t back = -1;
        assert_int_equal(time_parse(time_format(ms, text), &back), 0);
        assert_int_equal(back, ms);
    }
}

static void a_time_is_written_with_its_fraction_only_where_it_has_one(void **state) {
    (void)state;
    char text[TIME_TEXT_MAX];
    assert_string_equal(time_format(INT64_C(1798048800000), text), "2026-12-23T18:00:00Z");
    assert_string_equal(time_format(INT64_C(1798048800007), text), "2026-12-23T18:00:00.007Z");
    assert_string_equal(time_format(-1, text), "1969-12-31T23:59:59.999Z");
    assert_true(strlen(time_format(INT64_MAX, text)) < TIME_TEXT_MAX);
    assert_true(strlen(time_format(INT64_MIN, text)) < TIME_TEXT_MAX);
}

static void a_duration_is_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"PT30M", 1800000},
        {"PT0S", 0},
        {"PT0.5S", 500},
        {"PT1.25S", 1250},
        {"P1D", 86400000},
        {"P1DT12H", 129600000},
        {"P2W", INT64_C(1209600000)},
        {"PT1H2M3S", 3723000},
        {"P1W2DT3H4M5.006S", INT64_C(788645006)},
        {"PT90M", 5400000},
        {"P999999999W", INT64_C(604799999395200000)},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = -7;
        if (duration_parse(good[i].text, &ms) != 0 || ms != good[i].ms) {
            fail_msg("%s: %lld", good[i].text, (long long)ms);
        }
    }
}

static void a_doubtful_duration_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",        "P",     "PT",    "30M",    "PT30",  "P30M",          "P1Y",   "P1M",    "P1DT",   "PT1S1M", "PT1M1M",
        "PT-1S",   "P-1D",  "-PT1S", "PT1.5M", "PT1.S", "PT.5S",         "PT 1S", "PT1S ",  "pt1s",   "PT1s",   "PTT1S",
        "PT1ST1S", "PT1SD", "P1H",   "PT1D",   "PT1W",  "PT9999999999S", "P1D1W", "PT1,5S", "PT0x1S",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = -7;
        if (duration_parse(bad[i], &ms) != -1) {
            fail_msg("accepted: %s as %lld", bad[i], (long long)ms);
        }
    }
}

static int64_t fixed(void *ctx) {
    return *(int64_t *)ctx;
}

static void a_clock_is_what_is_handed_in(void **state) {
    (void)state;
    int64_t now = 42;
    struct clock clock = {fixed, fixed, &now};
    assert_int_equal(clock_wall_ms(&clock), 42);
    now = 43;
    assert_int_equal(clock_mono_ms(&clock), 43);
    assert_true(clock_wall_ms(&clock_system) > INT64_C(1700000000000));
    int64_t before = clock_mono_ms(&clock_system);
    assert_true(clock_mono_ms(&clock_system) >= before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_means_one_instant),
        cmocka_unit_test(a_doubtful_time_is_refused),
        cmocka_unit_test(every_day_of_four_centuries_comes_back),
        cmocka_unit_test(a_time_is_written_with_its_fraction_only_where_it_has_one),
        cmocka_unit_test(a_duration_is_read),
        cmocka_unit_test(a_doubtful_duration_is_refused),
        cmocka_unit_test(a_clock_is_what_is_handed_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
