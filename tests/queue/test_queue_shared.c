/* What workers share beside the notices: states and rates of gateways. Against a real Redis; its own clock is the only one. */
#include "tests/support/queue_kit.h"

#include "queue/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit;
static struct kit other;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_open(&kit, &server, "w1", 10);
    kit_open(&other, &server, "w2", 10);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&other);
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

/* ---- states ---------------------------------------------------------------------------------------------------------- */

struct verdict {
    unsigned answers;
    bool written;
    char present[64];
};

static void on_gateway(void *ctx, bool written, const char *present) {
    struct verdict *verdict = ctx;
    verdict->answers++;
    verdict->written = written;
    (void)snprintf(verdict->present, sizeof verdict->present, "%s", present == NULL ? "" : present);
}

static struct verdict change(struct kit *worker, const char *seen, const char *text) {
    struct verdict verdict = {0};
    struct err err;
    struct queue_gateway_change wanted = {
        .gateway = "sms", .seen = seen, .text = text, .counts = "gateway.sms.opened", .event = "{\"type\":\"gateway\"}"};
    assert_int_equal(queue_gateway(worker->queue, &wanted, on_gateway, &verdict, &err), 0);
    kit_until_u(worker, &verdict.answers, 1);
    return verdict;
}

static void of_two_workers_that_saw_the_same_state_one_changes_it(void **state) {
    (void)state;
    assert_true(change(&kit, "", "open 1").written);
    struct verdict second = change(&other, "", "open 2");
    assert_false(second.written);
    assert_string_equal(second.present, "open 1");
    assert_true(change(&other, "open 1", "half-open").written);
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:gateways", "sms", NULL), "half-open");
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:counters", "count:gateway.sms.opened", NULL), "2");
    assert_string_equal(redis_server_ask(&server, "XLEN", "reach:events", NULL), "2");
}

static void a_change_that_was_made_already_is_counted_once(void **state) {
    (void)state;
    assert_true(change(&kit, "", "open").written);
    assert_true(change(&kit, "", "open").written); /* its answer was lost, it is sent again */
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:counters", "count:gateway.sms.opened", NULL), "1");
    assert_string_equal(redis_server_ask(&server, "XLEN", "reach:events", NULL), "1");
}

static void an_operator_changes_it_in_the_same_way(void **state) {
    (void)state;
    struct err err;
    struct store *store = store_open(&kit.settings, &err);
    assert_non_null(store);
    struct queue_gateway_change wanted = {.gateway = "sms", .seen = "", .text = "drained", .counts = "gateway.sms.drained", .event = "{}"};
    assert_int_equal(store_gateway_put(store, &wanted, &err), 1);
    assert_false(change(&kit, "", "open").written);
    wanted.text = "closed";
    assert_int_equal(store_gateway_put(store, &wanted, &err), 0);
    wanted.seen = "drained";
    assert_int_equal(store_gateway_put(store, &wanted, &err), 1);
    store_close(store);
}

/* ---- rates ----------------------------------------------------------------------------------------------------------- */

struct permits {
    unsigned answers;
    struct queue_rate_answer rows[4];
};

static void on_rates(void *ctx, const struct queue_rate_answer *answers, size_t n) {
    struct permits *permits = ctx;
    permits->answers++;
    memcpy(permits->rows, answers, n * sizeof *answers);
}

static struct permits ask(struct kit *worker, const struct queue_rate_ask *asks, size_t n) {
    struct permits permits = {0};
    struct err err;
    assert_int_equal(queue_rate(worker->queue, asks, n, on_rates, &permits, &err), 0);
    kit_until_u(worker, &permits.answers, 1);
    return permits;
}

static void a_burst_goes_at_once_and_the_rest_waits_its_interval(void **state) {
    (void)state;
    const int64_t hour_us = INT64_C(3600000000);
    struct queue_rate_ask wanted = {.gateway = "sms", .interval_us = hour_us, .burst = 5, .wanted = 7};
    struct permits got = ask(&kit, &wanted, 1);
    assert_int_equal(got.rows[0].granted, 5);
    assert_in_range(got.rows[0].wait_ms, 3590000, 3600000);
}

static void workers_share_one_rate(void **state) {
    (void)state;
    struct queue_rate_ask wanted = {.gateway = "sms", .interval_us = INT64_C(3600000000), .burst = 5, .wanted = 3};
    assert_int_equal(ask(&kit, &wanted, 1).rows[0].granted, 3);
    assert_int_equal(ask(&other, &wanted, 1).rows[0].granted, 2);
    assert_int_equal(ask(&kit, &wanted, 1).rows[0].granted, 0);
}

static void several_gateways_are_asked_for_in_one_call_and_do_not_mix(void **state) {
    (void)state;
    const struct queue_rate_ask wanted[] = {{"a", INT64_C(3600000000), 2, 9}, {"b", 1000000, 1, 1}, {"c", 1, 1000, 50}};
    struct permits got = ask(&kit, wanted, 3);
    assert_int_equal(got.rows[0].granted, 2);
    assert_int_equal(got.rows[1].granted, 1);
    assert_int_equal(got.rows[1].wait_ms, 0);
    assert_int_equal(got.rows[2].granted, 50);
}

static int64_t redis_now_us(void) {
    char text[64];
    (void)snprintf(text, sizeof text, "%s",
                   redis_server_ask(&server, "EVAL", "local t=redis.call('TIME') return t[1]*1000000+t[2]", "0", NULL));
    return strtoll(text, NULL, 10);
}

/* Never more than burst + time / interval, and all of that where it is asked for in time: what a burst does not hold is lost to a pause of
 * the test itself. The time is Redis's, taken around the whole and around every call. */
static void over_any_time_no_more_goes_than_burst_and_rate_allow(void **state) {
    (void)state;
    enum { INTERVAL_US = 2000, BURST = 10 };
    struct queue_rate_ask wanted = {.gateway = "sms", .interval_us = INTERVAL_US, .burst = BURST, .wanted = 100};
    int64_t granted = 0, lost_us = 0;
    int64_t begin_us = redis_now_us(), before_us = begin_us, now_us = begin_us;
    for (int i = 0; i < 200; i++) {
        granted += (int64_t)ask(i % 2 ? &kit : &other, &wanted, 1).rows[0].granted;
        int64_t after_us = redis_now_us();
        int64_t pause_us = after_us - before_us; /* from before the last call to after this one */
        lost_us += pause_us > INTERVAL_US * BURST ? pause_us - INTERVAL_US * BURST : 0;
        before_us = now_us;
        now_us = after_us;
    }
    int64_t spent_us = now_us - begin_us;
    assert_true(granted <= BURST + spent_us / INTERVAL_US + 1);
    granted += (int64_t)ask(&kit, &wanted, 1).rows[0].granted;
    assert_true(granted >= (spent_us - lost_us) / INTERVAL_US);
}

static void after_a_rest_no_more_than_the_burst_goes_at_once(void **state) {
    (void)state;
    struct queue_rate_ask wanted = {.gateway = "sms", .interval_us = 3600000000, .burst = 4, .wanted = 100};
    assert_string_equal(redis_server_ask(&server, "HSET", "reach:rates", "sms", "1", NULL), "1"); /* last used in 1970 */
    assert_int_equal(ask(&kit, &wanted, 1).rows[0].granted, 4);
}

static void a_clock_that_was_set_back_delays_by_a_burst_at_most(void **state) {
    (void)state;
    struct queue_rate_ask wanted = {.gateway = "sms", .interval_us = 1000000, .burst = 5, .wanted = 1};
    assert_string_equal(redis_server_ask(&server, "HSET", "reach:rates", "sms", "9000000000000000", NULL), "1"); /* in 2255 */
    struct permits got = ask(&kit, &wanted, 1);
    assert_int_equal(got.rows[0].granted, 0);
    assert_in_range(got.rows[0].wait_ms, 1, 1000);
}

/* ---- room ------------------------------------------------------------------------------------------------------------ */

static void places_kept_for_urgent_entries_are_left_free_by_bulk(void **state) {
    (void)state;
    queue_stop_reading(other.queue);
    queue_set_reserve(kit.queue, 4);
    kit_push(&kit.settings, LANE_BULK, 20);
    queue_set_room(kit.queue, 10);
    kit_until_n(&kit, &kit.n_entries, 6);
    kit_push(&kit.settings, LANE_URGENT, 20);
    kit_until_n(&kit, &kit.n_entries, 10);
    kit_run(&kit, 100);
    assert_int_equal(kit.n_entries, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(kit.entries[i].lane, i < 6 ? LANE_BULK : LANE_URGENT);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(of_two_workers_that_saw_the_same_state_one_changes_it),
        TEST(a_change_that_was_made_already_is_counted_once),
        TEST(an_operator_changes_it_in_the_same_way),
        TEST(a_burst_goes_at_once_and_the_rest_waits_its_interval),
        TEST(workers_share_one_rate),
        TEST(several_gateways_are_asked_for_in_one_call_and_do_not_mix),
        TEST(over_any_time_no_more_goes_than_burst_and_rate_allow),
        TEST(after_a_rest_no_more_than_the_burst_goes_at_once),
        TEST(a_clock_that_was_set_back_delays_by_a_burst_at_most),
        TEST(places_kept_for_urgent_entries_are_left_free_by_bulk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
