/* Tests of quiet.c: which messages wait and until when, by the customer's clock, over changes to daylight saving. */
#include "base/clock.h"
#include "dispatcher/quiet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const char *const day[] = {"mon-sun 08:00-21:00"};
static const char *const skipped[] = {"mon-sun 02:30-21:00"};

static const struct quiet_settings rules[] = {
    {.channel = "sms", .locale = "de", .send = {(const char **)(uintptr_t)day, 1}, .time_zone = "Europe/Berlin", .unless = 2},
    {.channel = "sms", .locale = "fr", .send = {(const char **)(uintptr_t)skipped, 1}, .time_zone = "Europe/Paris", .unless = 3},
    {.channel = "push", .send = {(const char **)(uintptr_t)day, 1}, .time_zone = "Europe/London", .unless = 2},
};
static const struct conf_list items = {.items = (void *)(uintptr_t)rules, .n = 3, .item_size = sizeof rules[0]};

struct row {
    enum channel_id channel;
    const char *locale, *time_zone, *severity, *now, *until; /* until NULL: it goes now */
};

static void check(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct arena arena = ARENA_INIT;
        struct err err;
        struct quiet_question q = {rows[i].channel, rows[i].locale, rows[i].time_zone, rows[i].severity, 0};
        char text[TIME_TEXT_MAX];
        assert_int_equal(time_parse(rows[i].now, &q.now_ms), 0);
        int64_t until_ms = quiet_until(&items, &q, &arena, &err);
        const char *wanted = rows[i].until == NULL ? rows[i].now : rows[i].until;
        if (strcmp(time_format(until_ms, text), wanted) != 0) {
            fail_msg("row %zu at %s: until %s and not %s", i, rows[i].now, text, wanted);
        }
        arena_fini(&arena);
    }
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof *(rows))

static void messages_wait_for_the_morning_of_their_channel_and_locale(void **state) {
    (void)state;
    static const struct row rows[] = {
        {CHANNEL_SMS, "de", NULL, "warning", "2026-12-01T22:00:00Z", "2026-12-02T07:00:00Z"},
        {CHANNEL_SMS, "de-AT", NULL, "info", "2026-12-01T03:00:00Z", "2026-12-01T07:00:00Z"},
        {CHANNEL_SMS, "de", NULL, "info", "2026-12-01T19:59:59Z", NULL},
        {CHANNEL_SMS, "de", NULL, "info", "2026-12-01T20:00:00Z", "2026-12-02T07:00:00Z"},
        {CHANNEL_SMS, "den", NULL, "info", "2026-12-01T22:00:00Z", NULL}, /* another language */
        {CHANNEL_SMS, NULL, NULL, "info", "2026-12-01T22:00:00Z", NULL},
        {CHANNEL_EMAIL, "de", NULL, "info", "2026-12-01T22:00:00Z", NULL},
        {CHANNEL_PUSH, NULL, NULL, "info", "2026-12-01T22:00:00Z", "2026-12-02T08:00:00Z"},
    };
    CHECK(rows);
}

static void critical_notices_go_at_any_time_where_the_item_says_so(void **state) {
    (void)state;
    static const struct row rows[] = {
        {CHANNEL_SMS, "de", NULL, "critical", "2026-12-01T22:00:00Z", NULL},
        {CHANNEL_SMS, "fr", NULL, "critical", "2026-12-01T22:00:00Z", "2026-12-02T01:30:00Z"}, /* unless: never */
        {CHANNEL_SMS, "de", NULL, NULL, "2026-12-01T22:00:00Z", "2026-12-02T07:00:00Z"},
    };
    CHECK(rows);
}

static void the_customers_own_clock_counts(void **state) {
    (void)state;
    static const struct row rows[] = {
        {CHANNEL_SMS, "de", "America/New_York", "info", "2026-12-01T22:00:00Z", NULL},
        {CHANNEL_SMS, "de", "America/New_York", "info", "2026-12-01T08:00:00Z", "2026-12-01T13:00:00Z"},
        {CHANNEL_SMS, "de", "Mars/Olympus", "info", "2026-12-01T22:00:00Z", "2026-12-02T07:00:00Z"}, /* nobody knows it */
    };
    CHECK(rows);
}

static void fault_58_quiet_hours_follow_the_clock_on_the_wall_over_gaps_and_overlaps(void **state) {
    (void)state;
    static const struct row rows[] = {
        {CHANNEL_SMS, "de", NULL, "info", "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"}, /* 08:00 summer time */
        {CHANNEL_SMS, "de", NULL, "info", "2026-10-24T22:00:00Z", "2026-10-25T07:00:00Z"}, /* 08:00 winter time */
        {CHANNEL_SMS, "fr", NULL, "info", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"}, /* 02:30 is skipped: 03:00 */
        {CHANNEL_SMS, "fr", NULL, "info", "2026-03-29T01:00:00Z", NULL},
        {CHANNEL_SMS, "fr", NULL, "info", "2026-10-25T00:00:00Z", "2026-10-25T01:30:00Z"}, /* 02:30 comes twice: the second */
        {CHANNEL_SMS, "fr", NULL, "info", "2026-10-25T01:30:00Z", NULL},
    };
    CHECK(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_wait_for_the_morning_of_their_channel_and_locale),
        cmocka_unit_test(critical_notices_go_at_any_time_where_the_item_says_so),
        cmocka_unit_test(the_customers_own_clock_counts),
        cmocka_unit_test(fault_58_quiet_hours_follow_the_clock_on_the_wall_over_gaps_and_overlaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
