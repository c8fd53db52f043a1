/* Leases: what is taken in one read is held, acknowledged and handed out again as one. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit, other;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_start(&kit, &server, "w1", 400);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

static void take(size_t n) {
    kit_push(&kit.settings, LANE_URGENT, n);
    queue_set_room(kit.queue, 1000);
    kit_until_n(&kit, &kit.n_entries, kit.n_entries + n);
}

/* Ends the notices of some entries; `which` are their places among those handed out. */
static void finish(struct kit *worker, const size_t *which, size_t n) {
    struct queue_change changes[64] = {{0}};
    char ids[64][64];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "n-%s", worker->entries[which[i]].stream_id);
        changes[i] = kit_change(worker, ids[i], 0, NOTICE_REACHED);
        changes[i].ack = &worker->entries[which[i]];
    }
    kit_apply(worker, changes, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(worker->results[i], QUEUE_APPLIED);
    }
}

static void next_life(size_t expected) {
    queue_free(kit.queue);
    kit.n_entries = 0;
    kit_connect(&kit, 1000);
    kit_until_n(&kit, &kit.n_entries, expected);
    kit_run(&kit, 60); /* more must not come */
    assert_int_equal(kit.n_entries, expected);
}

static long long leases(void) {
    return redis_server_number(&server, "EVAL",
                               "local n = 0 for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do "
                               "if string.find(f, '/', 1, true) then n = n + 1 end end return n",
                               "1", "reach:leases", NULL);
}

static void a_batch_is_one_lease_and_nothing_is_pending_in_the_group(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_BULK, 200);
    queue_set_room(kit.queue, 200);
    kit_until_n(&kit, &kit.n_entries, 200);
    assert_int_equal(leases(), 1);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 200);
    assert_int_equal(strncmp(redis_server_ask(&server, "XPENDING", "reach:intake:bulk", "reachd", NULL), "0", 1), 0);
}

/* In any order, in several batches; the rest is exactly what a worker finds that comes back. */
static void what_is_acknowledged_leaves_its_lease_and_the_rest_is_handed_out_again(void **state) {
    (void)state;
    static const size_t first[] = {7, 2, 3}, second[] = {0, 9, 5};
    char left[4][48];
    take(10);
    finish(&kit, first, 3);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 7);
    finish(&kit, second, 3);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 4);
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(left[i], sizeof left[i], "%s", kit.entries[(const size_t[]){1, 4, 6, 8}[i]].stream_id);
    }
    next_life(4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(kit.entries[i].stream_id, left[i]);
        assert_int_equal(kit.entries[i].deliveries, 2);
    }
    static const size_t all[] = {0, 1, 2, 3}; /* there are holes between them */
    finish(&kit, all, 4);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 0);
    assert_int_equal(leases(), 0);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "acked:urgent", NULL), 10);
}

enum { MANY = 60 };

static size_t random_below(size_t n) {
    static uint32_t random = 20261126;
    random = random * 1664525U + 1013904223U;
    return (random >> 8) % n;
}

static void shuffle(size_t *order, size_t n) {
    for (size_t i = n - 1; i > 0; i--) {
        size_t at = random_below(i + 1), kept = order[i];
        order[i] = order[at];
        order[at] = kept;
    }
}

/* Sixty entries in an order of no kind, in batches of no size; in the middle a new life, which finds what is left. */
static void whatever_the_order_what_is_open_is_what_was_not_acknowledged(void **state) {
    (void)state;
    size_t order[MANY], left = MANY;
    char ids[MANY][48];
    take(MANY);
    for (size_t i = 0; i < MANY; i++) {
        order[i] = i;
    }
    shuffle(order, MANY);
    while (left > MANY / 2) {
        size_t n = 1 + random_below(7);
        left -= n;
        finish(&kit, order + left, n);
        assert_int_equal(kit_pending(&kit.settings, "urgent"), left);
    }
    for (size_t i = 0; i < left; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%s", kit.entries[order[i]].stream_id);
    }
    next_life(left);
    for (size_t i = 0; i < left; i++) {
        size_t k = 0;
        while (k < left && strcmp(ids[i], kit.entries[k].stream_id) != 0) {
            k++;
        }
        assert_true(k < left);
        order[i] = k;
    }
    while (left > 0) {
        size_t n = 1 + random_below(left < 7 ? left : 7);
        left -= n;
        finish(&kit, order + left, n);
        assert_int_equal(kit_pending(&kit.settings, "urgent"), left);
    }
    assert_int_equal(leases(), 0);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "acked:urgent", NULL), MANY);
}

/* Refusals are settled row by row, in one call: the lease is written once, with all of them gone from it. */
static void refusals_of_one_call_leave_their_lease_whatever_lies_between_them(void **state) {
    (void)state;
    struct queue_refusal refusals[MANY / 2];
    take(MANY);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY / 2; i++) {
            size_t at = round == 0 ? MANY - 1 - 2 * i : 2 * i; /* backwards, then forwards */
            refusals[i] = (struct queue_refusal){&kit.entries[at], NOTICE_DUPLICATE, "n", "", "again", NULL, false};
        }
        kit_refuse(&kit, refusals, MANY / 2);
        for (size_t i = 0; i < MANY / 2; i++) {
            assert_int_equal(kit.results[i], QUEUE_APPLIED);
        }
        assert_int_equal(kit_pending(&kit.settings, "urgent"), MANY / 2 * (1 - round));
    }
    assert_int_equal(leases(), 0);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "acked:urgent", NULL), MANY);
}

static void a_worker_with_little_room_takes_a_lease_of_its_earlier_life_in_parts(void **state) {
    (void)state;
    take(10);
    queue_free(kit.queue);
    kit.n_entries = 0;
    kit_connect(&kit, 4);
    kit_until_n(&kit, &kit.n_entries, 4);
    kit_run(&kit, 60);
    assert_int_equal(kit.n_entries, 4);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 10);
    queue_set_room(kit.queue, 1000);
    kit_until_n(&kit, &kit.n_entries, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(kit.entries[i].deliveries, 2);
    }
}

static void fault_05_whose_lease_was_taken_over_acknowledges_nothing(void **state) {
    (void)state;
    static const size_t all[] = {0, 1, 2};
    struct queue_refusal refusal = {.state = NOTICE_DEAD, .id = "n1", .member = "", .reason = "stale"};
    take(3);
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 8000;
    kit_connect(&other, 100); /* `kit` stands still meanwhile, as if stopped */
    kit_until_n(&other, &other.n_entries, 3);
    refusal.entry = &kit.entries[0];
    kit_refuse(&kit, &refusal, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:dead", NULL), 0);
    struct queue_change late = kit_change(&kit, "late", 0, NOTICE_REACHED);
    late.ack = &kit.entries[1];
    kit_apply(&kit, &late, 1);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 3);
    finish(&other, all, 3);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 0);
    kit_close(&other);
}

static void what_somebody_else_has_pending_in_our_group_is_taken_over(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 3);
    assert_non_null(redis_server_ask(&server, "XREADGROUP", "GROUP", "reachd", "by-hand", "STREAMS", "reach:intake", ">", NULL));
    take(1);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 4);
    kit_until_n(&kit, &kit.n_entries, 4); /* when the lease is over */
    assert_int_equal(strncmp(redis_server_ask(&server, "XPENDING", "reach:intake", "reachd", NULL), "0", 1), 0);
    static const size_t all[] = {3, 0, 1, 2};
    finish(&kit, all, 4);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 0);
}

static void fault_07_everything_comes_again_where_the_leases_were_lost(void **state) {
    (void)state;
    static const size_t done[] = {0, 2};
    take(4);
    finish(&kit, done, 2);
    queue_free(kit.queue);
    assert_int_equal(redis_server_number(&server, "DEL", "reach:leases", NULL), 1);
    kit.n_entries = 0;
    kit_connect(&kit, 1000);
    take(1); /* its lease begins at the stream's beginning */
    kit_until_n(&kit, &kit.n_entries, 5);
}

/* `kit` stands still for longer than its lease; another worker takes everything over and dies. */
static void somebody_takes_over_and_dies(size_t n) {
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 400;
    kit_connect(&other, 1000);
    kit_until_n(&other, &other.n_entries, n);
    kit_close(&other);
}

static void let_go(size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        queue_let_go(kit.queue, LANE_URGENT, kit.entries[i].stream_id);
    }
}

/* One by one, since two workers were lost over them. */
static void finish_as_they_come(size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        kit_until_n(&kit, &kit.n_entries, i + 1);
        finish(&kit, &i, 1);
    }
}

static void what_is_in_hand_under_a_lost_lease_costs_nothing_of_the_new_one(void **state) {
    (void)state;
    take(10);
    let_go(5, 10);
    somebody_takes_over_and_dies(10);
    finish_as_they_come(10, 15);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 5);
}

static void a_lease_of_nothing_but_what_is_in_hand_keeps_no_other_waiting(void **state) {
    (void)state;
    take(2);
    take(2);
    let_go(2, 4);
    somebody_takes_over_and_dies(4);
    finish_as_they_come(4, 6);
    take(1);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 3);
}

/* Redis lost the leases and the cursor; the worker has everything in hand, and finishes it in one batch of no order. */
static void fault_07_what_came_again_while_in_hand_is_acknowledged_whatever_the_order(void **state) {
    (void)state;
    size_t order[MANY];
    take(MANY);
    assert_int_equal(redis_server_number(&server, "DEL", "reach:leases", NULL), 1);
    assert_string_equal(redis_server_ask(&server, "XGROUP", "SETID", "reach:intake", "reachd", "0", NULL), "OK");
    for (int i = 0; i < 3000 && leases() == 0; i++) {
        kit_run(&kit, 20);
    }
    for (size_t i = 0; i < MANY; i++) {
        order[i] = i;
    }
    shuffle(order, MANY);
    for (size_t i = 0; i < MANY; i += MANY / 3) {
        finish(&kit, order + i, MANY / 3);
        assert_int_equal(kit_pending(&kit.settings, "urgent"), MANY - MANY / 3 - i);
    }
    assert_int_equal(leases(), 0);
}

static void until_counted(const char *counter, long long wanted) {
    for (int i = 0; i < 3000 && redis_server_number(&server, "HGET", "reach:counters", counter, NULL) != wanted; i++) {
        kit_run(&kit, 20);
    }
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", counter, NULL), wanted);
}

/* trim notes that it is gone, reclaim finds it gone: the sum is right after both, so nobody takes finished entries for lost ones. */
static void fault_06_an_open_entry_that_somebody_deletes_brings_no_finished_one_again(void **state) {
    (void)state;
    static const size_t first[] = {1, 2, 3}, next = 6, rest[] = {0, 5};
    take(6);
    finish(&kit, first, 3);
    assert_int_equal(redis_server_number(&server, "XDEL", "reach:intake", kit.entries[4].stream_id, NULL), 1);
    take(1);
    finish(&kit, &next, 1);
    until_counted("trimmed:urgent", 1);
    let_go(4, 5);
    until_counted("acked:urgent", 5);
    finish(&kit, rest, 2);
    for (int i = 0; i < 3000 && redis_server_number(&server, "XLEN", "reach:intake", NULL) > 0; i++) {
        kit_run(&kit, 20);
    }
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:intake", NULL), 0);
    assert_int_equal(kit.n_entries, 7);
}

static void fault_08_a_group_set_back_by_hand_reads_again_and_loses_nothing(void **state) {
    (void)state;
    take(3);
    assert_string_equal(redis_server_ask(&server, "XGROUP", "SETID", "reach:intake", "reachd", "0", NULL), "OK");
    kit_run(&kit, 100);
    assert_int_equal(kit.n_entries, 3); /* all are in hand */
    take(2);
    static const size_t all[] = {0, 1, 2, 3, 4};
    finish(&kit, all, 5);
    for (int i = 0; i < 500 && redis_server_number(&server, "XLEN", "reach:intake", NULL) > 0; i++) {
        kit_run(&kit, 20);
        for (size_t k = 5; k < kit.n_entries; k++) { /* what comes again has a record: the worker only acknowledges it */
            struct queue_refusal again = {&kit.entries[k], NOTICE_DUPLICATE, "n", "", "again", NULL, false};
            kit_refuse(&kit, &again, 1);
        }
    }
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:intake", NULL), 0);
}

static void fault_04_a_lease_whose_answer_was_lost_is_taken_up_after_the_reconnect(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 3);
    assert_non_null(redis_server_ask(&server, "XREADGROUP", "GROUP", "reachd", "w1", "NOACK", "STREAMS", "reach:intake", ">", NULL));
    assert_non_null(
        redis_server_ask(&server, "HSET", "reach:leases", "urgent/0000000000000001", "1 99999999999999 3 0-0,99999999999999-0 w1", NULL));
    queue_set_room(kit.queue, 100);
    assert_int_equal(redis_server_number(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL), 1);
    kit_until_u(&kit, &kit.ready, 2);
    kit_until_n(&kit, &kit.n_entries, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_one_lease_and_nothing_is_pending_in_the_group),
        TEST(what_is_acknowledged_leaves_its_lease_and_the_rest_is_handed_out_again),
        TEST(whatever_the_order_what_is_open_is_what_was_not_acknowledged),
        TEST(refusals_of_one_call_leave_their_lease_whatever_lies_between_them),
        TEST(a_worker_with_little_room_takes_a_lease_of_its_earlier_life_in_parts),
        TEST(fault_05_whose_lease_was_taken_over_acknowledges_nothing),
        TEST(what_somebody_else_has_pending_in_our_group_is_taken_over),
        TEST(fault_07_everything_comes_again_where_the_leases_were_lost),
        TEST(what_is_in_hand_under_a_lost_lease_costs_nothing_of_the_new_one),
        TEST(a_lease_of_nothing_but_what_is_in_hand_keeps_no_other_waiting),
        TEST(fault_07_what_came_again_while_in_hand_is_acknowledged_whatever_the_order),
        TEST(fault_06_an_open_entry_that_somebody_deletes_brings_no_finished_one_again),
        TEST(fault_08_a_group_set_back_by_hand_reads_again_and_loses_nothing),
        TEST(fault_04_a_lease_whose_answer_was_lost_is_taken_up_after_the_reconnect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
