/* Tests of waits.c: waits are kept for a minute, add up over workers, and are told as percentiles, with the time given. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/waits.h"

static void percentiles_are_bounds_at_most_the_longest(void **state) {
    (void)state;
    struct waits waits = {0};
    struct waits_lane lanes[WAITS_LANES] = {0};
    char text[WAITS_TEXT_MAX];
    for (int i = 0; i < 90; i++) {
        waits_add(&waits, 0, 5, 100000);
    }
    for (int i = 0; i < 10; i++) {
        waits_add(&waits, 0, 2000, 100000);
    }
    waits_write(&waits, 100000, text);
    assert_int_equal(waits_read(text, 100000, lanes), 1);
    assert_int_equal(waits_count(&lanes[0]), 100);
    assert_int_equal(waits_count(&lanes[1]), 0);
    assert_int_equal(waits_percentile(&lanes[0], 50), 10);
    assert_int_equal(waits_percentile(&lanes[0], 95), 2000);
    assert_int_equal(waits_percentile(&lanes[1], 95), 0);
    assert_int_equal(waits_read(text, 100000, lanes), 1); /* another worker says the same */
    assert_int_equal(waits_count(&lanes[0]), 200);
}

static void waits_are_forgotten_after_a_minute(void **state) {
    (void)state;
    struct waits waits = {0};
    char text[WAITS_TEXT_MAX];
    waits_add(&waits, 1, 50, 100000);
    for (int64_t later_ms = 0; later_ms <= 200000; later_ms += 50000) {
        struct waits_lane lanes[WAITS_LANES] = {0};
        waits_write(&waits, 100000 + later_ms, text);
        assert_int_equal(waits_read(text, 100000 + later_ms, lanes), 1);
        assert_int_equal(waits_count(&lanes[1]), later_ms < 60000 ? 1 : 0);
    }
    struct waits_lane lanes[WAITS_LANES] = {0};
    assert_int_equal(waits_read(text, 400000, lanes), 0);
    assert_int_equal(waits_read("1 2 three", 1, lanes), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_bounds_at_most_the_longest),
        cmocka_unit_test(waits_are_forgotten_after_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
