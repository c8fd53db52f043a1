/* The auditor that runs by itself: unaccounted 0, or an alarm with the ids. */
#include "tests/support/queue_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_prepare(&kit, &server, "w1");
    kit.settings.audit_interval_ms = 30;
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.ready, 1);
    struct queue_change changes[3] = {kit_change(&kit, "n1", 0, NOTICE_REACHED), kit_change(&kit, "n2", 0, NOTICE_SENDING),
                                      kit_change(&kit, "n3", 0, NOTICE_REACHED)};
    kit_apply(&kit, changes, 3);
    kit_run(&kit, 150);
    return redis_server_number(&server, "XLEN", "reach:events", NULL) == 0 ? 0 : -1; /* all is well: nothing is told */
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

/* Waits for the n-th alarm; the text of its event. */
static const char *alarm(long long n) {
    for (int i = 0; i < 500 && redis_server_number(&server, "XLEN", "reach:events", NULL) < n; i++) {
        kit_run(&kit, 20);
    }
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), n);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:alarm.unaccounted", NULL), n);
    return redis_server_ask(&server, "XREVRANGE", "reach:events", "+", "-", "COUNT", "1", NULL);
}

static void expect(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("%s is not in %s", part, text);
    }
}

static void a_record_that_was_deleted_is_named_once(void **state) {
    (void)state;
    char record[256];
    (void)snprintf(record, sizeof record, "%s", redis_server_ask(&server, "HGET", "reach:notices", "n2", NULL));
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:notices", "n2", NULL), 1);
    const char *event = alarm(1);
    expect(event, "\"type\":\"audit\"");
    expect(event, "\"unaccounted\":1,\"ids\":[\"n2\"]");
    kit_run(&kit, 200);
    (void)alarm(1); /* not again */
    assert_int_equal(redis_server_number(&server, "HSET", "reach:notices", "n2", record, NULL), 1);
    kit_run(&kit, 200);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:notices", "n1", NULL), 1);
    expect(alarm(2), "\"unaccounted\":1,\"ids\":[\"n1\"]"); /* it was well in between: a new alarm */
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:notices", "n3", NULL), 1);
    expect(alarm(3), "\"unaccounted\":2");
}

static void counters_that_were_changed_are_told_without_ids(void **state) {
    (void)state;
    assert_int_equal(redis_server_number(&server, "HINCRBY", "reach:counters", "accepted", "5", NULL), 8);
    expect(alarm(1), "\"unaccounted\":5,\"ids\":[]");
}

static void it_goes_on_after_the_connection_was_lost(void **state) {
    (void)state;
    assert_true(redis_server_number(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL) >= 1);
    kit_until_u(&kit, &kit.ready, 2);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:notices", "n1", NULL), 1);
    expect(alarm(1), "\"ids\":[\"n1\"]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_record_that_was_deleted_is_named_once),
        TEST(counters_that_were_changed_are_told_without_ids),
        TEST(it_goes_on_after_the_connection_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
