/* Reading: the lanes beside one another, each for itself; room; the next batch while one is looked through. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include "queue/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit;

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

/* All lanes are read in one step, and each for itself. */
static void fault_08_a_lost_group_of_one_lane_costs_the_others_nothing(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 2);
    kit_push(&kit.settings, LANE_BULK, 2);
    assert_int_equal(redis_server_number(&server, "XGROUP", "DESTROY", "reach:receipts", "reachd", NULL), 1);
    queue_set_room(kit.queue, 2000);
    kit_until_n(&kit, &kit.n_entries, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(kit.entries[i].deliveries, 1);
    }
    assert_int_equal(kit.ready, 1); /* the connection stands */
    assert_non_null(redis_server_ask(&server, "XADD", "reach:receipts", "*", "receipt", "{}", NULL));
    kit_until_n(&kit, &kit.n_receipts, 1);
}

/* Every answer about receipts is an error from now on. */
static void spoil_receipts(void) {
    assert_int_equal(redis_server_number(&server, "DEL", "reach:receipts", NULL), 1);
    assert_string_equal(redis_server_ask(&server, "SET", "reach:receipts", "no stream", NULL), "OK");
}

static void bulk_is_read_behind_urgent_while_another_lane_is_spoilt(void **state) {
    (void)state;
    spoil_receipts();
    kit_push(&kit.settings, LANE_BULK, 5);
    queue_set_room(kit.queue, 300); /* less than a batch: bulk is asked for in a second step */
    kit_until_n(&kit, &kit.n_entries, 5);
}

static void fault_08_a_lost_group_is_made_again_while_another_lane_is_spoilt(void **state) {
    (void)state;
    spoil_receipts();
    assert_int_equal(redis_server_number(&server, "XGROUP", "DESTROY", "reach:intake", "reachd", NULL), 1);
    kit_push(&kit.settings, LANE_URGENT, 5);
    queue_set_room(kit.queue, 2000);
    kit_until_n(&kit, &kit.n_entries, 5);
}

static void bulk_is_read_while_the_urgent_lane_is_spoilt(void **state) {
    (void)state;
    assert_int_equal(redis_server_number(&server, "DEL", "reach:intake", NULL), 1);
    assert_string_equal(redis_server_ask(&server, "SET", "reach:intake", "no stream", NULL), "OK");
    kit_push(&kit.settings, LANE_BULK, 5);
    queue_set_room(kit.queue, 300);
    kit_until_n(&kit, &kit.n_entries, 5);
}

static void a_lease_that_is_over_in_a_spoilt_lane_holds_no_other_back(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_BULK, 3);
    queue_set_room(kit.queue, 3);
    kit_until_n(&kit, &kit.n_entries, 3);
    for (size_t i = 0; i < 3; i++) {
        queue_let_go(kit.queue, LANE_BULK, kit.entries[i].stream_id);
    }
    assert_int_equal(redis_server_number(&server, "DEL", "reach:intake:bulk", NULL), 1);
    assert_string_equal(redis_server_ask(&server, "SET", "reach:intake:bulk", "no stream", NULL), "OK");
    kit_run(&kit, 600); /* the lease is over */
    kit_push(&kit.settings, LANE_URGENT, 2);
    queue_set_room(kit.queue, 300);
    kit_until_n(&kit, &kit.n_entries, 5);
}

/* The cursor moves and nobody has what was read: that must not go on at full speed. */
static void where_no_lease_can_be_written_reading_pauses(void **state) {
    (void)state;
    assert_string_equal(redis_server_ask(&server, "SET", "reach:leases", "no hash", NULL), "OK");
    kit_push(&kit.settings, LANE_BULK, 5);
    queue_set_room(kit.queue, 2000);
    for (int i = 0; i < 3000 && !kit.queue->trouble_told; i++) {
        kit_run(&kit, 20);
    }
    assert_true(kit.queue->trouble_told);
    assert_int_equal(kit.n_entries, 0);
    assert_int_equal(redis_server_number(&server, "DEL", "reach:leases", NULL), 1);
    kit_until_n(&kit, &kit.n_entries, 5); /* when the first lease, which holds them all, is over */
}

static void a_spoilt_lane_holds_nothing_else_back(void **state) {
    (void)state;
    spoil_receipts();
    kit_push(&kit.settings, LANE_BULK, 1);
    queue_set_room(kit.queue, 2000);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_REACHED);
    change.ack = &kit.entries[0];
    kit_apply(&kit, &change, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    kit_run(&kit, 300);
    assert_false(kit.queue->in_trouble || kit.queue->trouble_told);
    assert_true(kit.queue->reading.told[STREAM_RECEIPTS]);
    assert_int_equal(redis_server_number(&server, "DEL", "reach:receipts", NULL), 1);
    assert_non_null(redis_server_ask(&server, "XADD", "reach:receipts", "*", "receipt", "{}", NULL));
    kit_until_n(&kit, &kit.n_receipts, 1);
    assert_false(kit.queue->reading.told[STREAM_RECEIPTS]);
}

static void never_more_than_the_room_is_handed_out(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 30);
    kit_push(&kit.settings, LANE_BULK, 30);
    kit_run(&kit, 60);
    assert_int_equal(kit.n_entries, 0);
    queue_set_room(kit.queue, 7);
    kit_until_n(&kit, &kit.n_entries, 7);
    kit_run(&kit, 60);
    assert_int_equal(kit.n_entries, 7);
    queue_set_room(kit.queue, 40);
    kit_until_n(&kit, &kit.n_entries, 47);
    kit_run(&kit, 60);
    assert_int_equal(kit.n_entries, 47);
    queue_set_room(kit.queue, 1000);
    kit_until_n(&kit, &kit.n_entries, 60);
}

static void the_urgent_lane_is_read_before_the_bulk_lane(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_BULK, 300);
    kit_push(&kit.settings, LANE_URGENT, 20);
    queue_set_room(kit.queue, 50);
    kit_until_n(&kit, &kit.n_entries, 50);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(kit.entries[i].lane, LANE_URGENT);
    }
    assert_int_equal(kit.entries[20].lane, LANE_BULK);
    assert_string_equal(kit.entries[0].body, "{\"n\":0}");
    assert_int_equal(kit.entries[0].deliveries, 1);
}

/* ---- what Redis does while the worker is busy ---------------------------------------------------------------------- */

/* Waits, without the loop, until a command's answer is a number of at least `least`. */
static bool redis_does(long long least, const char *command, const char *key, const char *field) {
    for (int i = 0; i < 6000; i++) {
        if (redis_server_number(&server, command, key, field, NULL) >= least) {
            return true;
        }
        (void)usleep(10000);
    }
    return false;
}

/* w1 again, with other settings. */
static void begin_again(int64_t batch, int64_t lease_ms) {
    kit_close(&kit);
    kit_prepare(&kit, &server, "w1");
    kit.settings.batch = batch;
    kit.settings.lease_ms = lease_ms;
    kit_connect(&kit, 0);
    kit_until_u(&kit, &kit.ready, 1);
}

static bool is_read_ahead, has_gone;

/* The second lease of the lane is there while the entries of the first one are being looked through. */
static void look_for_the_next_lease(struct kit *worker, const struct queue_entry *entries, size_t n) {
    (void)entries;
    (void)n;
    if (worker->n_batches == 1) {
        is_read_ahead = redis_does(3, "HLEN", "reach:leases", NULL); /* two, and how far the lane was read */
    }
}

static void the_next_batch_is_read_while_one_is_looked_through(void **state) {
    (void)state;
    begin_again(kit.settings.batch, 60000);
    size_t batch = (size_t)kit.settings.batch;
    kit.on_entries = look_for_the_next_lease;
    kit_push(&kit.settings, LANE_BULK, 3 * batch);
    queue_set_room(kit.queue, 3 * batch); /* the urgent lane is promised a batch each time */
    kit_until_n(&kit, &kit.n_entries, 3 * batch);
    assert_true(is_read_ahead);
    for (size_t i = 0; i < 3 * batch; i++) {
        assert_int_equal(strtoul(kit.entries[i].body + 5, NULL, 10), i); /* {"n":<i>} */
    }
}

static void reading_ahead_leaves_the_room_of_the_batch_in_hand_alone(void **state) {
    (void)state;
    size_t batch = (size_t)kit.settings.batch;
    kit_push(&kit.settings, LANE_URGENT, 4 * batch);
    queue_set_room(kit.queue, batch + batch / 2);
    kit_until_n(&kit, &kit.n_entries, batch + batch / 2);
    kit_run(&kit, 60);
    assert_int_equal(kit.n_entries, batch + batch / 2);
}

static void look_away_for_a_lease(struct kit *worker, const struct queue_entry *entries, size_t n) {
    (void)entries;
    (void)n;
    if (worker->n_batches == 1) {
        (void)usleep(600000);
    }
}

/* Were the next step asked for before the batch is in hand, it could be a look for leases that are over: this one. */
static void what_is_being_handed_out_is_not_taken_for_lost(void **state) {
    (void)state;
    begin_again(10, 400);
    kit.on_entries = look_away_for_a_lease;
    kit_push(&kit.settings, LANE_URGENT, 30);
    queue_set_room(kit.queue, 1000);
    kit_until_n(&kit, &kit.n_entries, 30);
    kit_run(&kit, 200);
    const char *leases = redis_server_ask(&server, "HVALS", "reach:leases", NULL);
    assert_null(strstr(leases, "\n2 ")); /* the second delivery */
    assert_int_not_equal(strncmp(leases, "2 ", 2), 0);
}

/* All that comes of the urgent lane is in hand already: it is full all the same, and the bulk lane is not asked beside the round under way.
 */
static void a_batch_that_is_in_hand_already_upsets_no_round(void **state) {
    (void)state;
    static bool seen[40];
    begin_again(10, 400);
    queue_set_reserve(kit.queue, 5);
    kit_push(&kit.settings, LANE_URGENT, 40);
    queue_set_room(kit.queue, 14);
    kit_until_n(&kit, &kit.n_entries, 14);
    assert_int_equal(redis_server_number(&server, "XGROUP", "DESTROY", "reach:intake", "reachd", NULL), 1);
    queue_set_room(kit.queue, 14);
    kit_until_n(&kit, &kit.n_entries, 28);
    queue_set_reserve(kit.queue, 0);
    queue_set_room(kit.queue, 1000);
    kit_until_n(&kit, &kit.n_entries, 40);
    kit_run(&kit, 100);
    assert_int_equal(kit.n_entries, 40);
    for (size_t i = 0; i < 40; i++) {
        size_t number = strtoul(kit.entries[i].body + 5, NULL, 10);
        assert_int_equal(kit.entries[i].lane, LANE_URGENT);
        assert_true(number < 40 && !seen[number]);
        seen[number] = true;
    }
}

static void take_some_time(struct kit *worker, const struct queue_entry *entries, size_t n) {
    (void)worker;
    (void)entries;
    (void)n;
    (void)usleep(5000);
}

static void a_lease_that_is_over_is_found_under_a_backlog(void **state) {
    (void)state;
    enum { BACKLOG = 3000, LOST = 5 };
    struct kit dead;
    kit_start(&dead, &server, "w2", 400);
    kit_push(&kit.settings, LANE_BULK, LOST);
    queue_set_room(dead.queue, LOST);
    kit_until_n(&dead, &dead.n_entries, LOST);
    kit_close(&dead);
    begin_again(10, 400);
    kit.on_entries = take_some_time; /* 1.5 s in all */
    kit.keep_room = 1000;
    kit_push(&kit.settings, LANE_BULK, BACKLOG);
    queue_set_room(kit.queue, 1000);
    kit_until_n(&kit, &kit.n_entries, BACKLOG + LOST);
    size_t at = 0;
    while (at < kit.n_entries && kit.entries[at].deliveries == 1) {
        at++;
    }
    assert_true(at < BACKLOG);
}

static void reading_ahead_counts_the_receipts_that_came(void **state) {
    (void)state;
    enum { MOST = 4096, MORE = 1000 };
    for (int i = 0; i < MOST + MORE; i++) {
        assert_non_null(redis_server_ask(&server, "XADD", "reach:receipts", "*", "receipt", "{}", NULL));
    }
    kit_push(&kit.settings, LANE_URGENT, 8000);
    queue_set_room(kit.queue, 100000);
    kit_until_n(&kit, &kit.n_entries, 8000);
    kit_run(&kit, 100);
    assert_int_equal(kit.n_receipts, MOST);
}

/* The cursor has gone past what came, and nobody has it: no more of that. */
static void nothing_is_read_ahead_where_no_lease_can_be_written(void **state) {
    (void)state;
    begin_again(10, 400);
    kit_push(&kit.settings, LANE_URGENT, 100);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:leases", "urgent", "no id", NULL), 1); /* of this lane alone */
    queue_set_room(kit.queue, 1000);
    while (!kit.queue->trouble_told) {
        assert_int_not_equal(event_base_loop(kit.base, EVLOOP_ONCE), -1);
    }
    assert_int_equal(kit.queue->reading.busy, 0);
}

static void change_something_large(struct kit *worker, const struct queue_entry *entries, size_t n) {
    static char record[65536];
    (void)n;
    (void)memset(record, ' ', sizeof record - 1);
    struct queue_change change = kit_change(worker, "n1", 0, NOTICE_REACHED);
    change.record = record;
    change.ack = &entries[0];
    kit_apply_later(worker, &change, 1);
    has_gone = redis_does(1, "HEXISTS", "reach:notices", "n1");
}

static void a_large_change_is_made_while_the_worker_is_busy(void **state) {
    (void)state;
    kit.on_entries = change_something_large;
    kit_push(&kit.settings, LANE_BULK, 1);
    queue_set_room(kit.queue, 1);
    kit_until_u(&kit, &kit.answers, 1);
    assert_true(has_gone);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(fault_08_a_lost_group_of_one_lane_costs_the_others_nothing),
        TEST(bulk_is_read_behind_urgent_while_another_lane_is_spoilt),
        TEST(fault_08_a_lost_group_is_made_again_while_another_lane_is_spoilt),
        TEST(bulk_is_read_while_the_urgent_lane_is_spoilt),
        TEST(a_lease_that_is_over_in_a_spoilt_lane_holds_no_other_back),
        TEST(where_no_lease_can_be_written_reading_pauses),
        TEST(a_spoilt_lane_holds_nothing_else_back),
        TEST(never_more_than_the_room_is_handed_out),
        TEST(the_urgent_lane_is_read_before_the_bulk_lane),
        TEST(the_next_batch_is_read_while_one_is_looked_through),
        TEST(reading_ahead_leaves_the_room_of_the_batch_in_hand_alone),
        TEST(a_lease_that_is_over_is_found_under_a_backlog),
        TEST(reading_ahead_counts_the_receipts_that_came),
        TEST(nothing_is_read_ahead_where_no_lease_can_be_written),
        TEST(what_is_being_handed_out_is_not_taken_for_lost),
        TEST(a_batch_that_is_in_hand_already_upsets_no_round),
        TEST(a_large_change_is_made_while_the_worker_is_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
