/* The service desk's hours: weekdays, days off, daylight saving, and what is refused. */
#include "base/clock.h"
#include "dispatcher/core/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define LIST(...)                                                                                                                          \
    (struct conf_strings) {                                                                                                                \
        (const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)                                        \
    }

static struct arena arena;

static int fini(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static int64_t at(const char *text) {
    int64_t ms = 0;
    assert_int_equal(time_parse(text, &ms), 0);
    return ms;
}

static void expect_time(int64_t ms, const char *text) {
    char out[TIME_TEXT_MAX];
    assert_string_equal(ms == -1 ? "never" : time_format(ms, out), text);
}

static const struct desk_hours *make(const char *zone, const struct conf_strings *hours, const struct conf_strings *closed) {
    struct err err;
    const struct desk_hours *made = desk_hours_new(zone, hours, closed, &arena, &err);
    if (made == NULL) {
        fail_msg("%s: %s", err.member, err.text);
    }
    return made;
}

static const struct desk_hours *office(void) {
    struct conf_strings closed = LIST("2026-12-24..2027-01-06");
    return make("Europe/London", &LIST("mon-fri 09:00-17:00"), &closed);
}

static void it_is_open_in_its_hours_and_only_then(void **state) {
    const struct desk_hours *desk = office();
    (void)state;
    assert_true(desk_is_open(desk, at("2026-12-23T09:00:00Z")));
    assert_true(desk_is_open(desk, at("2026-12-23T16:59:59Z")));
    assert_false(desk_is_open(desk, at("2026-12-23T17:00:00Z")));
    assert_false(desk_is_open(desk, at("2026-12-23T08:59:59Z")));
    assert_false(desk_is_open(desk, at("2026-12-20T12:00:00Z"))); /* a Sunday */
}

static void two_weeks_of_holidays_are_two_weeks(void **state) {
    const struct desk_hours *desk = office();
    (void)state;
    expect_time(desk_opens_at(desk, at("2026-12-23T18:00:00Z")), "2027-01-07T09:00:00Z");
    assert_int_equal(desk_open_ms(desk, at("2026-12-23T18:00:00Z"), at("2027-01-07T00:00:00Z")), 0);
    assert_int_equal(desk_open_ms(desk, at("2026-12-21T00:00:00Z"), at("2027-01-09T00:00:00Z")), INT64_C(5) * 8 * 3600000);
}

static void work_goes_on_when_it_opens_again(void **state) {
    const struct desk_hours *desk = office();
    (void)state;
    expect_time(desk_done_at(desk, at("2026-12-23T16:00:00Z"), 3600000), "2026-12-23T17:00:00Z");
    expect_time(desk_done_at(desk, at("2026-12-23T16:00:00Z"), 3600001), "2027-01-07T09:00:00.001Z");
    expect_time(desk_done_at(desk, at("2026-12-23T16:00:00Z"), 0), "2026-12-23T16:00:00Z");
    expect_time(desk_done_at(desk, at("2026-12-23T16:00:00Z"), INT64_C(10000) * 3600000), "never");
}

static void hours_are_local_in_summer_and_winter(void **state) {
    struct conf_strings none = {NULL, 0};
    const struct desk_hours *desk = make("Europe/Berlin", &LIST("sun-sat 00:00-24:00"), &none);
    (void)state;
    /* 23 hours in spring, 25 in autumn */
    assert_int_equal(desk_open_ms(desk, at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")), INT64_C(23) * 3600000);
    assert_int_equal(desk_open_ms(desk, at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z")), INT64_C(25) * 3600000);
    desk = make("Europe/Berlin", &LIST("mon 09:00-10:00"), &none);
    expect_time(desk_opens_at(desk, at("2026-07-06T00:00:00Z")), "2026-07-06T07:00:00Z");
    expect_time(desk_opens_at(desk, at("2026-12-07T00:00:00Z")), "2026-12-07T08:00:00Z");
}

static void a_day_may_have_several_spans_in_any_order(void **state) {
    struct conf_strings none = {NULL, 0};
    const struct desk_hours *desk = make("UTC", &LIST("mon,wed 14:00-18:00", "mon 08:00-12:00", "sat-mon 20:00-21:00"), &none);
    (void)state;
    expect_time(desk_opens_at(desk, at("2026-11-23T00:00:00Z")), "2026-11-23T08:00:00Z"); /* a Monday */
    expect_time(desk_opens_at(desk, at("2026-11-23T12:00:00Z")), "2026-11-23T14:00:00Z");
    expect_time(desk_opens_at(desk, at("2026-11-23T18:30:00Z")), "2026-11-23T20:00:00Z");
    expect_time(desk_opens_at(desk, at("2026-11-23T21:00:00Z")), "2026-11-25T14:00:00Z");
    assert_int_equal(desk_open_ms(desk, at("2026-11-23T00:00:00Z"), at("2026-11-24T00:00:00Z")), 9 * 3600000);
}

static void a_desk_without_hours_is_never_open(void **state) {
    struct conf_strings none = {NULL, 0};
    const struct desk_hours *desk = make("UTC", &none, &none);
    (void)state;
    expect_time(desk_opens_at(desk, at("2026-11-23T00:00:00Z")), "never");
    assert_int_equal(desk_open_ms(desk, 0, INT64_C(1) << 40), 0);
}

static void what_makes_no_sense_is_refused_by_name(void **state) {
    static const struct {
        const char *zone, *hours, *closed, *member;
    } cases[] = {
        {"Mars/Olympus", "mon 09:00-10:00", "2026-01-01", "time_zone"},
        {"", "mon 09:00-10:00", "2026-01-01", "time_zone"},
        {"UTC", "mon 10:00-09:00", "2026-01-01", "hours[0]"},
        {"UTC", "mon 09:00-24:01", "2026-01-01", "hours[0]"},
        {"UTC", "mon 09:60-10:00", "2026-01-01", "hours[0]"},
        {"UTC", "moon 09:00-10:00", "2026-01-01", "hours[0]"},
        {"UTC", "mon-fri", "2026-01-01", "hours[0]"},
        {"UTC", "mon 09:00-10:00 ", "2026-01-01", "hours[0]"},
        {"UTC", "mon 09:00-10:00", "2026-13-01", "closed[0]"},
        {"UTC", "mon 09:00-10:00", "2026-1-1", "closed[0]"},
        {"UTC", "mon 09:00-10:00", "2026-02-01..2026-01-01", "closed[0]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        struct conf_strings hours = LIST(cases[i].hours);
        struct conf_strings closed = LIST(cases[i].closed);
        assert_null(desk_hours_new(cases[i].zone, &hours, &closed, &arena, &err));
        assert_string_equal(err.member, cases[i].member);
    }
    struct err err;
    struct conf_strings none = {NULL, 0};
    assert_null(desk_hours_new("UTC", &LIST("mon-wed 09:00-12:00", "tue 11:00-13:00"), &none, &arena, &err));
    assert_string_equal(err.member, "hours[1]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_open_in_its_hours_and_only_then),     cmocka_unit_test(two_weeks_of_holidays_are_two_weeks),
        cmocka_unit_test(work_goes_on_when_it_opens_again),          cmocka_unit_test(hours_are_local_in_summer_and_winter),
        cmocka_unit_test(a_day_may_have_several_spans_in_any_order), cmocka_unit_test(a_desk_without_hours_is_never_open),
        cmocka_unit_test(what_makes_no_sense_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, fini);
}
