/* Tests of share.c: load is divided by weight, moves away in steps and drifts back, with the time given. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/share.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE };

static const struct share_policy policy = {.step = 10, .error_ms = MINUTE, .slow_ms = 10 * MINUTE, .back_ms = HOUR};

/* How often each of n slots gets its turn. */
static void take_turns(struct share_slot *slots, size_t n, unsigned turns, unsigned *got) {
    memset(got, 0, n * sizeof *got);
    for (unsigned i = 0; i < turns; i++) {
        size_t index = n;
        assert_int_equal(share_pick(slots, n, &index), 1);
        assert_true(index < n && slots[index].usable);
        got[index]++;
    }
}

static void turns_are_divided_by_weight_in_every_stretch(void **state) {
    (void)state;
    struct share_slot slots[] = {{.weight = 70, .usable = true}, {.weight = 20, .usable = true}, {.weight = 10, .usable = true}};
    unsigned got[3];
    for (int stretch = 0; stretch < 5; stretch++) {
        take_turns(slots, 3, 10, got);
        assert_int_equal(got[0], 7);
        assert_int_equal(got[1], 2);
        assert_int_equal(got[2], 1);
    }
}

static void weight_0_serves_only_where_no_other_can(void **state) {
    (void)state;
    struct share_slot slots[] = {{.weight = 5, .usable = true}, {.weight = 0, .usable = true}, {.weight = 0, .usable = true}};
    unsigned got[3];
    take_turns(slots, 3, 100, got);
    assert_int_equal(got[0], 100);
    slots[0].usable = false;
    take_turns(slots, 3, 100, got);
    assert_int_equal(got[1], 50);
    assert_int_equal(got[2], 50);
}

static void who_was_away_does_not_get_the_turns_it_missed(void **state) {
    (void)state;
    struct share_slot slots[] = {{.weight = 1, .usable = true}, {.weight = 1, .usable = false}};
    unsigned got[2];
    take_turns(slots, 2, 1000, got);
    assert_int_equal(got[0], 1000);
    slots[1].usable = true;
    take_turns(slots, 2, 10, got);
    assert_in_range(got[1], 4, 6);
}

static void nobody_is_picked_where_nobody_is_usable(void **state) {
    (void)state;
    struct share_slot slots[] = {{.weight = 1}, {.weight = 2}};
    size_t index = 7;
    assert_int_equal(share_pick(slots, 2, &index), 0);
    assert_int_equal(share_pick(slots, 0, &index), 0);
    assert_int_equal(index, 7);
}

static void errors_take_one_step_a_minute(void **state) {
    (void)state;
    struct share share = {.points = SHARE_FULL};
    unsigned steps = 0;
    for (int64_t now_ms = HOUR; now_ms < HOUR + 5 * MINUTE; now_ms += 100) {
        steps += share_take(&share, &policy, SHARE_ERROR, now_ms);
    }
    assert_int_equal(steps, 5);
    assert_int_equal(share.points, 50);
}

static void slowness_takes_one_step_in_ten_minutes_and_never_goes_below_0(void **state) {
    (void)state;
    struct share share = {.points = SHARE_FULL};
    for (int64_t now_ms = HOUR; now_ms < HOUR + 30 * MINUTE; now_ms += 1000) {
        (void)share_take(&share, &policy, SHARE_SLOW, now_ms);
    }
    assert_int_equal(share.points, 70);
    for (int64_t now_ms = 2 * HOUR; now_ms < 10 * HOUR; now_ms += MINUTE) {
        (void)share_take(&share, &policy, SHARE_SLOW, now_ms);
    }
    assert_int_equal(share.points, 0);
}

static void it_drifts_back_a_step_an_hour_while_nothing_happens(void **state) {
    (void)state;
    struct share share = {.points = 70, .moved_at_ms = HOUR};
    assert_false(share_take(&share, &policy, SHARE_TICK, 2 * HOUR - 1));
    assert_true(share_take(&share, &policy, SHARE_TICK, 2 * HOUR));
    assert_false(share_take(&share, &policy, SHARE_TICK, 2 * HOUR + MINUTE));
    assert_true(share_take(&share, &policy, SHARE_ERROR, 2 * HOUR + MINUTE)); /* trouble again */
    assert_false(share_take(&share, &policy, SHARE_TICK, 3 * HOUR));          /* counted from that */
    for (int64_t now_ms = 3 * HOUR; now_ms < 24 * HOUR; now_ms += MINUTE) {
        (void)share_take(&share, &policy, SHARE_TICK, now_ms);
    }
    assert_int_equal(share.points, SHARE_FULL);
    assert_false(share_take(&share, &policy, SHARE_TICK, 48 * HOUR));
}

/* Two providers of equal weight; one of them fails from minute 10 to 20. What part of the load it gets, minute by minute. */
static void load_moves_in_steps_away_from_a_failing_gateway_and_back(void **state) {
    (void)state;
    struct share shares[] = {{.points = SHARE_FULL}, {.points = SHARE_FULL}};
    struct share_slot slots[] = {{.usable = true}, {.usable = true}};
    unsigned part[24 * 60];
    for (unsigned minute = 0; minute < 24 * 60; minute++) {
        int64_t now_ms = HOUR + (int64_t)minute * MINUTE;
        unsigned got[2];
        for (size_t i = 0; i < 2; i++) {
            (void)share_take(&shares[i], &policy, SHARE_TICK, now_ms);
            slots[i].weight = 50 * shares[i].points;
        }
        take_turns(slots, 2, 100, got);
        if (minute >= 10 && minute < 20 && got[0] > 0) {
            (void)share_take(&shares[0], &policy, SHARE_ERROR, now_ms);
        }
        part[minute] = got[0];
    }
    assert_int_equal(part[0], 50);
    for (unsigned minute = 1; minute < 24 * 60; minute++) {
        unsigned was = part[minute - 1];
        assert_true(minute < 12 || minute >= 21 || part[minute] <= was + 1); /* down while it fails */
        assert_true(minute < 21 || part[minute] + 1 >= was);                 /* up afterwards */
        assert_true(part[minute] + 12 > was && part[minute] < was + 12);     /* never a jump */
    }
    assert_int_equal(part[20], 0);
    assert_int_equal(part[24 * 60 - 1], 50);
}

static void a_round_of_answers_is_slow_when_enough_of_them_are(void **state) {
    (void)state;
    static const struct {
        unsigned every; /* each so-manyth is slow */
        bool due;
    } cases[] = {{1, true}, {2, true}, {3, true}, {4, false}, {10, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct share_watch watch = {0};
        bool due = false;
        for (unsigned n = 0; n < SHARE_SAMPLES; n++) {
            assert_false(due);
            due = share_watch_take(&watch, n % cases[i].every == 0, 30);
        }
        assert_int_equal(due, cases[i].due);
        assert_int_equal(watch.n, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_divided_by_weight_in_every_stretch),
        cmocka_unit_test(weight_0_serves_only_where_no_other_can),
        cmocka_unit_test(who_was_away_does_not_get_the_turns_it_missed),
        cmocka_unit_test(nobody_is_picked_where_nobody_is_usable),
        cmocka_unit_test(errors_take_one_step_a_minute),
        cmocka_unit_test(slowness_takes_one_step_in_ten_minutes_and_never_goes_below_0),
        cmocka_unit_test(it_drifts_back_a_step_an_hour_while_nothing_happens),
        cmocka_unit_test(load_moves_in_steps_away_from_a_failing_gateway_and_back),
        cmocka_unit_test(a_round_of_answers_is_slow_when_enough_of_them_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
