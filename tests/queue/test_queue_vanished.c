/* Redis was killed, or another one promoted, and has lost jobs that it had handed out: what has not begun on them does not begin. */
#include "tests/support/queue_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) != 0) {
        return -1;
    }
    kit_open(&kit, &server, "w1", 100);
    kit_push(&kit.settings, LANE_BULK, 3);
    kit_until_n(&kit, &kit.n_entries, 3);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

static struct queue_change begins(const char *id, size_t entry) {
    struct queue_change change = kit_change(&kit, id, 0, NOTICE_SENDING);
    change.from = &kit.entries[entry];
    return change;
}

/* Redis loses the entry, and then this connection. */
static void lose(size_t entry) {
    assert_int_equal(redis_server_number(&server, "XDEL", "reach:intake:bulk", kit.entries[entry].stream_id, NULL), 1);
    redis_server_kill(&server);
    kit_until_u(&kit, &kit.lost, 1);
}

static void come_back(void) {
    assert_int_equal(redis_server_again(&server, true), 0);
    kit_until_u(&kit, &kit.ready, 2);
}

static void only_what_is_gone_is_not_in_hand_any_more(void **state) {
    (void)state;
    lose(1);
    come_back();
    assert_true(queue_in_hand(kit.queue, &kit.entries[0]));
    assert_false(queue_in_hand(kit.queue, &kit.entries[1]));
    assert_true(queue_in_hand(kit.queue, &kit.entries[2]));
    kit_run(&kit, 50);
    assert_int_equal(kit.n_entries, 3); /* and nothing is handed out a second time */
}

static void a_notice_does_not_begin_on_it_the_others_of_its_batch_do(void **state) {
    (void)state;
    struct queue_change changes[] = {begins("n0", 0), begins("n1", 1), begins("n2", 2)};
    changes[2].ack = &kit.entries[2];
    lose(1);
    kit_apply_later(&kit, changes, 3); /* it waits for Redis */
    come_back();
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit.results[1], QUEUE_STALE);
    assert_int_equal(kit.results[2], QUEUE_APPLIED);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 2);
    assert_int_equal(redis_server_number(&server, "HEXISTS", "reach:notices", "n1", NULL), 0);
    assert_false(queue_in_hand(kit.queue, &kit.entries[2]));
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void a_batch_of_nothing_else_is_answered_without_redis(void **state) {
    (void)state;
    struct queue_change change = begins("n1", 1);
    lose(1);
    kit_apply_later(&kit, &change, 1);
    come_back();
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 0);
}

static void what_had_begun_goes_on(void **state) {
    (void)state;
    struct queue_change first = begins("n1", 1);
    kit_apply(&kit, &first, 1);
    struct queue_change result = kit_change(&kit, "n1", first.fence, NOTICE_REACHED);
    result.ack = &kit.entries[1];
    lose(1);
    kit_apply_later(&kit, &result, 1);
    come_back();
    kit_until_u(&kit, &kit.answers, 2);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(only_what_is_gone_is_not_in_hand_any_more),
        TEST(a_notice_does_not_begin_on_it_the_others_of_its_batch_do),
        TEST(a_batch_of_nothing_else_is_answered_without_redis),
        TEST(what_had_begun_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
