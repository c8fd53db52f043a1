/* The auditor that runs by itself: unaccounted 0, or an alarm with the ids. */
#include "tests/support/queue_kit.h"

#include "queue/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- state by state ------------------------------------------------------------------------------------------------ */

/* A notice whose text says its state, as the dispatcher's does. */
static struct queue_change said(const char *id, uint64_t fence_seen, enum notice_state state, const char *text) {
    struct queue_change change = kit_change(&kit, id, fence_seen, state);
    change.record = text;
    return change;
}

/* Moves a notice to another state by hand: its number of records stays, nothing is counted. */
static void move_by_hand(const char *id, char letter) {
    char record[256];
    (void)snprintf(record, sizeof record, "%s", redis_server_ask(&server, "HGET", "reach:notices", id, NULL));
    record[0] = letter;
    assert_int_equal(redis_server_number(&server, "HSET", "reach:notices", id, record, NULL), 0);
}

static void a_state_that_was_changed_behind_the_counters_is_named(void **state) {
    (void)state;
    struct queue_change changes[2] = {said("n4", 0, NOTICE_SENT, "{\"s\":\"t\"}"), said("n5", 0, NOTICE_REACHED, "{\"s\":\"R\"}")};
    kit_apply(&kit, changes, 2);
    move_by_hand("n4", 'R');
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0); /* the number of records is right */
    const char *event = alarm(1);
    expect(event, "\"unaccounted\":1,\"states\":{\"sent\":-1,\"reached\":1},\"ids\":[\"n4\"]");
    kit_run(&kit, 300);
    (void)alarm(1); /* not again */
    move_by_hand("n4", 't');
    kit_run(&kit, 300);
    move_by_hand("n5", 'E'); /* between final states */
    expect(alarm(2), "\"states\":{\"reached\":-1,\"expired\":1},\"ids\":[\"n5\"]");
}

static void a_counter_that_was_moved_to_another_state_is_told_without_ids(void **state) {
    (void)state;
    assert_int_equal(redis_server_number(&server, "HINCRBY", "reach:counters", "state:R", "-1", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HINCRBY", "reach:counters", "state:E", "1", NULL), 1);
    expect(alarm(1), "\"states\":{\"reached\":1,\"expired\":-1},\"ids\":[]");
}

enum { MANY = 6000, ROUND = 500 };

/* Thousands of notices go on changing, new ones come, while they are counted page by page again and again: nothing is told. Then one is
 * moved by hand, still while the others change. */
static void changes_during_the_recount_are_no_difference(void **state) {
    (void)state;
    static struct queue_change changes[ROUND];
    static char ids[MANY][16];
    static uint64_t fences[MANY];
    static const enum notice_state states[] = {NOTICE_PLANNED, NOTICE_SENDING, NOTICE_SENT, NOTICE_DELIVERED};
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < ROUND; i++) {
            int at = round < MANY / ROUND ? round * ROUND + i : (i * 11 + round * 7919) % MANY; /* 11 and 6,000 have no divisor in common */
            (void)snprintf(ids[at], sizeof ids[at], "many%d", at);
            changes[i] = kit_change(&kit, ids[at], fences[at], states[(round + i / 4) % 4]);
            fences[at] = changes[i].fence;
        }
        kit_apply(&kit, changes, ROUND);
        for (int i = 0; i < ROUND; i++) {
            assert_int_equal(kit.results[i], QUEUE_APPLIED);
        }
    }
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), 0);
    struct queue_change change = said("moved", 0, NOTICE_SENT, "{\"s\":\"t\"}");
    kit_apply(&kit, &change, 1);
    move_by_hand("moved", 'V');
    for (int round = 0; round < 400 && redis_server_number(&server, "XLEN", "reach:events", NULL) == 0; round++) {
        for (int i = 0; i < ROUND; i++) {
            int at = (i * 11 + round * 7919) % MANY;
            changes[i] = kit_change(&kit, ids[at], fences[at], states[(round + i / 4) % 4]);
            fences[at] = changes[i].fence;
        }
        kit_apply(&kit, changes, ROUND);
    }
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), 1); /* found while they changed, not after */
    expect(alarm(1), "\"states\":{\"sent\":-1,\"resolved\":1},\"ids\":[\"moved\"]");
}

static void no_notice_leaves_while_it_is_counted(void **state) {
    (void)state;
    struct err err;
    struct queue_retired retired = {.id = "n1"};
    char token[17] = "";
    (void)snprintf(token, sizeof token, "%.16s", redis_server_ask(&server, "HGET", "reach:notices", "n1", NULL) + 1);
    retired.fence = strtoull(token, NULL, 16);
    kit.queue->stopped = true; /* its own auditor stands still */
    kit_run(&kit, 100);
    (void)redis_server_ask(&server, "DEL", "reach:audit", NULL);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:audit", " by", "another", NULL), 1);
    assert_int_equal(queue_retire(kit.queue, &retired, 1, &err), 0);
    kit_run(&kit, 100);
    assert_int_equal(redis_server_number(&server, "HEXISTS", "reach:notices", "n1", NULL), 1);
    assert_int_equal(redis_server_number(&server, "DEL", "reach:audit", NULL), 1);
    assert_int_equal(queue_retire(kit.queue, &retired, 1, &err), 0);
    while (queue_pending(kit.queue) > 0) {
        kit_run(&kit, 5);
    }
    assert_int_equal(redis_server_number(&server, "HEXISTS", "reach:notices", "n1", NULL), 0);
    kit.queue->stopped = false;
    queue_free(kit.queue);
    kit_connect(&kit, 10); /* counts anew: the one that has left is no difference */
    kit_run(&kit, 300);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_record_that_was_deleted_is_named_once),
        TEST(counters_that_were_changed_are_told_without_ids),
        TEST(it_goes_on_after_the_connection_was_lost),
        TEST(a_state_that_was_changed_behind_the_counters_is_named),
        TEST(a_counter_that_was_moved_to_another_state_is_told_without_ids),
        TEST(changes_during_the_recount_are_no_difference),
        TEST(no_notice_leaves_while_it_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
