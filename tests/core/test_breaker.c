/* Tests of breaker.c and health.c: every cell of the table by what it promises, with the time given. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/health.h"

static const struct breaker_policy policy = {
    .failures_max = 5, .open_ms = 10000, .open_max_ms = 60000, .probes = 3, .probe_lease_ms = 120000};

static bool tell(struct breaker *breaker, enum breaker_event event, int64_t now_ms) {
    struct breaker_news news = {.event = event, .now_ms = now_ms, .retry_after_ms = -1, .reason = "451 try later", .owner = "w1"};
    return breaker_take(breaker, &policy, &news);
}

static struct breaker opened_at(int64_t now_ms) {
    struct breaker breaker = {0};
    for (int i = 0; i < 4; i++) {
        assert_false(tell(&breaker, BREAKER_FAILURE, now_ms));
    }
    assert_true(tell(&breaker, BREAKER_FAILURE, now_ms));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    return breaker;
}

static void it_opens_after_failures_in_a_row_and_says_why(void **state) {
    (void)state;
    struct breaker breaker = opened_at(1000);
    assert_int_equal(breaker.until_ms, 11000);
    assert_int_equal(breaker.changed_at_ms, 1000);
    assert_string_equal(breaker.reason, "451 try later");
}

static void a_success_between_keeps_it_closed(void **state) {
    (void)state;
    struct breaker breaker = {0};
    for (int i = 0; i < 100; i++) {
        assert_false(tell(&breaker, i % 5 == 4 ? BREAKER_SUCCESS : BREAKER_FAILURE, i));
    }
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void failures_max_0_never_opens_it(void **state) {
    (void)state;
    struct breaker_policy never = policy;
    struct breaker breaker = {0};
    never.failures_max = 0;
    for (int i = 0; i < 100; i++) {
        struct breaker_news news = {.event = i % 2 ? BREAKER_FAILURE : BREAKER_REFUSED_US, .now_ms = i, .retry_after_ms = -1};
        assert_false(breaker_take(&breaker, &never, &news));
    }
}

static void fault_34_the_second_refusal_of_our_account_opens_it_for_the_longest_time(void **state) {
    (void)state;
    struct breaker breaker = {0};
    assert_false(tell(&breaker, BREAKER_REFUSED_US, 0));
    assert_true(tell(&breaker, BREAKER_REFUSED_US, 0));
    assert_int_equal(breaker.until_ms, policy.open_max_ms);
}

static void what_was_under_way_is_no_news_while_it_is_open(void **state) {
    (void)state;
    struct breaker breaker = opened_at(0);
    static const enum breaker_event late[] = {BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_REFUSED_US};
    for (size_t i = 0; i < 3; i++) {
        assert_false(tell(&breaker, late[i], 5000));
        assert_int_equal(breaker.state, BREAKER_OPEN);
        assert_int_equal(breaker.until_ms, 10000);
    }
}

static void it_is_probed_not_before_its_time_and_by_one_worker(void **state) {
    (void)state;
    struct breaker breaker = opened_at(0);
    assert_false(tell(&breaker, BREAKER_PROBE, 9999));
    assert_true(tell(&breaker, BREAKER_PROBE, 10000));
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_string_equal(breaker.owner, "w1");
    struct breaker_news other = {.event = BREAKER_PROBE, .now_ms = 20000, .retry_after_ms = -1, .owner = "w2"};
    assert_false(breaker_take(&breaker, &policy, &other));
    assert_string_equal(breaker.owner, "w1");
    other.now_ms = 10000 + policy.probe_lease_ms; /* w1 has died over it */
    assert_true(breaker_take(&breaker, &policy, &other));
    assert_string_equal(breaker.owner, "w2");
}

static void it_closes_when_all_probes_went_through(void **state) {
    (void)state;
    struct breaker breaker = opened_at(0);
    (void)tell(&breaker, BREAKER_PROBE, 10000);
    assert_false(tell(&breaker, BREAKER_SUCCESS, 10001));
    assert_false(tell(&breaker, BREAKER_SUCCESS, 10001));
    assert_true(tell(&breaker, BREAKER_SUCCESS, 10002));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_string_equal(breaker.owner, "");
    assert_string_equal(breaker.reason, "");
}

static void a_failed_probe_opens_it_for_twice_as_long_up_to_the_limit(void **state) {
    (void)state;
    struct breaker breaker = opened_at(0);
    static const int64_t spans_ms[] = {20000, 40000, 60000, 60000};
    for (size_t i = 0; i < 4; i++) {
        int64_t now_ms = breaker.until_ms;
        assert_true(tell(&breaker, BREAKER_PROBE, now_ms));
        assert_true(tell(&breaker, BREAKER_FAILURE, now_ms));
        assert_int_equal(breaker.state, BREAKER_OPEN);
        assert_int_equal(breaker.until_ms - now_ms, spans_ms[i]);
    }
    (void)tell(&breaker, BREAKER_ENABLE, 0);
    assert_int_equal(breaker.level, 0); /* and from the beginning after it was closed */
}

static void retry_after_holds_it_open_longer_but_not_shorter(void **state) {
    (void)state;
    static const struct { int64_t asked_ms, until_ms; } cases[] = {{-1, 10000}, {0, 10000}, {9000, 10000}, {90000, 90000}};
    for (size_t i = 0; i < 4; i++) {
        struct breaker breaker = {.failures = 4};
        struct breaker_news news = {.event = BREAKER_FAILURE, .retry_after_ms = cases[i].asked_ms};
        assert_true(breaker_take(&breaker, &policy, &news));
        assert_int_equal(breaker.until_ms, cases[i].until_ms);
    }
}

static void a_drained_gateway_listens_to_operators_only(void **state) {
    (void)state;
    struct breaker breaker = {0};
    assert_true(tell(&breaker, BREAKER_DRAIN, 1));
    for (int event = 0; event < BREAKER_EVENT_COUNT; event++) {
        if (event != BREAKER_ENABLE) {
            assert_false(tell(&breaker, (enum breaker_event)event, INT64_C(1) << 40));
            assert_int_equal(breaker.state, BREAKER_DRAINED);
        }
    }
    assert_true(tell(&breaker, BREAKER_ENABLE, 2));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void an_operator_can_open_close_and_drain_it_in_every_state(void **state) {
    (void)state;
    static const struct {
        enum breaker_event event;
        enum breaker_state ends;
    } orders[] = {{BREAKER_TRIP, BREAKER_OPEN}, {BREAKER_DRAIN, BREAKER_DRAINED}, {BREAKER_ENABLE, BREAKER_CLOSED}};
    for (int from = 0; from < BREAKER_STATE_COUNT; from++) {
        for (size_t i = 0; i < 3; i++) {
            struct breaker breaker = {.state = (enum breaker_state)from};
            (void)tell(&breaker, orders[i].event, 1);
            bool stays = from == BREAKER_DRAINED && orders[i].event != BREAKER_ENABLE;
            assert_int_equal(breaker.state, stays ? BREAKER_DRAINED : orders[i].ends);
        }
    }
}

static void outcomes_tell_of_the_gateway_what_they_can(void **state) {
    (void)state;
    static const struct {
        enum outcome_kind kind;
        enum outcome_blame blame;
        int event; /* -1: nothing */
    } cases[] = {
        {OUTCOME_SENT, BLAME_NONE, BREAKER_SUCCESS},
        {OUTCOME_REJECTED, BLAME_CONTACT, BREAKER_SUCCESS},
        {OUTCOME_REJECTED, BLAME_MESSAGE, BREAKER_SUCCESS},
        {OUTCOME_RETRY, BLAME_CONTACT, BREAKER_SUCCESS},
        {OUTCOME_RETRY, BLAME_NONE, -1},
        {OUTCOME_UNKNOWN, BLAME_NONE, -1},
        {OUTCOME_RETRY, BLAME_GATEWAY, BREAKER_FAILURE},
        {OUTCOME_UNKNOWN, BLAME_GATEWAY, BREAKER_FAILURE},
        {OUTCOME_RETRY, BLAME_ACCOUNT, BREAKER_REFUSED_US},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome = {.kind = cases[i].kind, .blame = cases[i].blame};
        enum breaker_event event = BREAKER_EVENT_COUNT;
        assert_int_equal(breaker_event_of(&outcome, &event), cases[i].event >= 0);
        assert_int_equal(event, cases[i].event >= 0 ? cases[i].event : BREAKER_EVENT_COUNT);
    }
}

/* ---- as text --------------------------------------------------------------------------------------------------------- */

static void what_is_written_is_read_again(void **state) {
    (void)state;
    for (int s = 0; s < BREAKER_STATE_COUNT; s++) {
        struct health health = {.breaker = {.state = (enum breaker_state)s, .level = 7, .until_ms = 123456789012, .changed_at_ms = 9},
                                .share = {.points = 70, .moved_at_ms = 5}};
        (void)snprintf(health.breaker.owner, sizeof health.breaker.owner, "%s", s == BREAKER_HALF_OPEN ? "host-1" : "");
        (void)snprintf(health.breaker.reason, sizeof health.breaker.reason, "%s", s == BREAKER_CLOSED ? "" : "421 4.3.2 two  blanks");
        char text[HEALTH_TEXT_MAX];
        char again[HEALTH_TEXT_MAX];
        struct health read;
        health_init(&read);
        health_write(&health, text);
        assert_int_equal(health_read(text, &read), 0);
        health_write(&read, again);
        assert_string_equal(text, again);
        assert_int_equal(read.breaker.until_ms, 123456789012);
        assert_string_equal(read.breaker.reason, health.breaker.reason);
    }
}

static void counts_of_ones_own_survive_reading_the_same_state(void **state) {
    (void)state;
    struct health health;
    char text[HEALTH_TEXT_MAX];
    health_init(&health);
    health.breaker.failures = 3;
    health_write(&health, text);
    assert_int_equal(health_read(text, &health), 0);
    assert_int_equal(health.breaker.failures, 3);
    health.breaker.changed_at_ms = 17; /* others have changed it meanwhile */
    health.breaker.failures = 3;
    assert_int_equal(health_read(text, &health), 0);
    assert_int_equal(health.breaker.failures, 0);
}

static void a_damaged_text_is_a_gateway_of_which_nothing_is_known(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "closed", "ajar 0 0 0 100 0 - ", "closed 0 0 0 101 0 - ", "closed 0 0 0 -1 0 -", "open x 0 0 1 0 -"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct health health;
        memset(&health, 'x', sizeof health);
        assert_int_equal(health_read(bad[i], &health), -1);
        assert_int_equal(health.breaker.state, BREAKER_CLOSED);
        assert_int_equal(health.share.points, SHARE_FULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_after_failures_in_a_row_and_says_why),
        cmocka_unit_test(a_success_between_keeps_it_closed),
        cmocka_unit_test(failures_max_0_never_opens_it),
        cmocka_unit_test(fault_34_the_second_refusal_of_our_account_opens_it_for_the_longest_time),
        cmocka_unit_test(what_was_under_way_is_no_news_while_it_is_open),
        cmocka_unit_test(it_is_probed_not_before_its_time_and_by_one_worker),
        cmocka_unit_test(it_closes_when_all_probes_went_through),
        cmocka_unit_test(a_failed_probe_opens_it_for_twice_as_long_up_to_the_limit),
        cmocka_unit_test(retry_after_holds_it_open_longer_but_not_shorter),
        cmocka_unit_test(a_drained_gateway_listens_to_operators_only),
        cmocka_unit_test(an_operator_can_open_close_and_drain_it_in_every_state),
        cmocka_unit_test(outcomes_tell_of_the_gateway_what_they_can),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(counts_of_ones_own_survive_reading_the_same_state),
        cmocka_unit_test(a_damaged_text_is_a_gateway_of_which_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
