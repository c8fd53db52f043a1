/* Reading: what an earlier life or the dead have left open, lost groups, receipts, due notices. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include "queue/inside.h"

#include "queue/store.h"

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

static void an_entry_without_a_job_is_handed_out_without_a_body(void **state) {
    (void)state;
    assert_non_null(redis_server_ask(&server, "XADD", "reach:intake", "*", "jab", "{}", NULL));
    queue_set_room(kit.queue, 10);
    kit_until_n(&kit, &kit.n_entries, 1);
    assert_null(kit.entries[0].body);
}

static void a_consumer_that_comes_back_takes_up_its_own_leases_again(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 5);
    kit_push(&kit.settings, LANE_BULK, 5);
    queue_set_room(kit.queue, 8);
    kit_until_n(&kit, &kit.n_entries, 8);
    queue_free(kit.queue); /* as if killed: nothing was acknowledged */
    kit.n_entries = 0;
    kit_connect(&kit, 100);
    kit_until_n(&kit, &kit.n_entries, 10);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(kit.entries[i].deliveries, 2);
        assert_int_equal(kit.entries[i].lane, i < 5 ? LANE_URGENT : LANE_BULK);
    }
    assert_int_equal(kit.entries[8].deliveries, 1);
    kit_run(&kit, 100);
    assert_int_equal(kit.n_entries, 10);
}

static void what_is_in_hand_is_not_handed_out_again_after_a_reconnect(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 5);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 5);
    assert_int_equal(redis_server_number(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL), 1);
    kit_until_u(&kit, &kit.ready, 2);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 6);
    kit_run(&kit, 100);
    assert_int_equal(kit.n_entries, 6);
    assert_int_equal(kit.entries[5].deliveries, 1);
}

static void entries_of_a_dead_consumer_are_taken_over_after_the_lease(void **state) {
    (void)state;
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 400;
    kit_connect(&other, 100);
    kit_push(&kit.settings, LANE_URGENT, 5);
    kit_until_n(&other, &other.n_entries, 5);
    int64_t died_ms = clock_mono_ms(&clock_system);
    kit_close(&other); /* dies with five entries */
    queue_set_room(kit.queue, 100);
    kit_run(&kit, 100);
    assert_true(kit.n_entries == 0 || clock_mono_ms(&clock_system) - died_ms >= 300); /* a busy machine may take the whole lease for that */
    kit_until_n(&kit, &kit.n_entries, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(kit.entries[i].deliveries, 2);
    }
}

static void what_is_let_go_comes_back_after_the_lease_and_what_is_in_hand_does_not(void **state) {
    (void)state;
    queue_set_room(kit.queue, 100);
    kit_push(&kit.settings, LANE_URGENT, 2);
    kit_until_n(&kit, &kit.n_entries, 2);
    queue_let_go(kit.queue, LANE_URGENT, kit.entries[1].stream_id);
    kit_until_n(&kit, &kit.n_entries, 3);
    assert_string_equal(kit.entries[2].stream_id, kit.entries[1].stream_id);
    kit_run(&kit, 900);
    assert_int_equal(kit.n_entries, 3);
}

static void fault_05_a_worker_stopped_past_its_lease_begins_nothing(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 1);
    queue_set_room(kit.queue, 10);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_change intent = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    intent.not_after_ms = kit.entries[0].not_after_ms;
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 400;
    kit_connect(&other, 100); /* `kit` stands still meanwhile, as if stopped */
    kit_until_n(&other, &other.n_entries, 1);
    struct queue_refusal poison = {&other.entries[0], NOTICE_DEAD, "n1", "", "kills its workers", NULL, false};
    kit_refuse(&other, &poison, 1); /* no record is left that a token could be compared with */
    kit_apply(&kit, &intent, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 0);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 1);
    kit_close(&other);
}

static void an_intent_within_the_lease_is_granted(void **state) {
    (void)state;
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 600000;
    kit_connect(&other, 10);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&other, &other.n_entries, 1);
    int64_t left_ms = other.entries[0].not_after_ms - clock_wall_ms(&clock_system);
    assert_true(left_ms > 0 && left_ms <= 600000);
    struct queue_change intent = kit_change(&other, "n1", 0, NOTICE_SENDING);
    intent.not_after_ms = other.entries[0].not_after_ms;
    kit_apply(&other, &intent, 1);
    assert_int_equal(other.results[0], QUEUE_APPLIED);
    kit_close(&other);
}

static void fault_18_the_delivery_count_shows_a_job_that_kills_its_workers(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 1);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 1);
    for (unsigned life = 2; life <= 3; life++) {
        queue_free(kit.queue);
        kit.n_entries = 0;
        kit_connect(&kit, 100);
        kit_until_n(&kit, &kit.n_entries, 1);
        assert_int_equal(kit.entries[0].deliveries, life);
    }
}

static void next_life(size_t expected) {
    queue_free(kit.queue);
    kit.n_entries = 0;
    kit_connect(&kit, 100);
    kit_until_n(&kit, &kit.n_entries, expected);
    kit_run(&kit, 60); /* more must not come */
    assert_int_equal(kit.n_entries, expected);
}

static void done_with(const struct queue_entry *entry, const char *id) {
    struct queue_refusal refusal = {entry, NOTICE_DEAD, id, "", "done", NULL, false};
    kit_refuse(&kit, &refusal, 1);
}

/* Ten entries, the first of them kills: two deaths with all of them in hand, then each is tried alone. */
static void fault_18_the_third_time_a_suspect_is_handed_out_alone(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 10);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 10);
    next_life(10);
    next_life(1); /* two deaths: alone from here on */
    assert_int_equal(kit.entries[0].deliveries, 3);
    kit_push(&kit.settings, LANE_BULK, 1);
    kit_until_n(&kit, &kit.n_entries, 2); /* new work goes on meanwhile */
    assert_int_equal(kit.entries[1].deliveries, 1);
    next_life(1);                                   /* the third death */
    assert_int_equal(kit.entries[0].deliveries, 4); /* the worker refuses it unread */
    done_with(&kit.entries[0], "culprit");
    for (size_t i = 1; i < 10; i++) { /* its neighbours have not been blamed: they come one by one, for the third time */
        kit_until_n(&kit, &kit.n_entries, i + 1);
        assert_int_equal(kit.entries[i].deliveries, 3);
        done_with(&kit.entries[i], "neighbour");
    }
    kit_until_n(&kit, &kit.n_entries, 11);
    assert_int_equal(kit.entries[10].lane, LANE_BULK);
    assert_int_equal(kit.entries[10].deliveries, 2);
}

static void fault_18_a_suspect_that_takes_long_does_not_keep_the_others_for_ever(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 2);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 2);
    next_life(2);
    next_life(1);
    kit_until_n(&kit, &kit.n_entries, 2);
}

/* Only the loss of a worker counts: not that of a connection, nor a gateway that takes longer than a lease. */
static void fault_18_what_is_in_hand_does_not_become_a_suspect(void **state) {
    (void)state;
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 200;
    kit_connect(&other, 100);
    kit_push(&kit.settings, LANE_URGENT, 3);
    kit_until_n(&other, &other.n_entries, 3);
    for (unsigned i = 2; i <= 5; i++) {
        assert_true(redis_server_number(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL) >= 1);
        kit_until_u(&other, &other.ready, i);
        kit_run(&other, 120);
    }
    kit_run(&other, 500);
    assert_int_equal(other.n_entries, 3);
    queue_free(other.queue);
    other.n_entries = 0;
    kit_connect(&other, 100);
    kit_until_n(&other, &other.n_entries, 3);
    assert_int_equal(other.entries[0].deliveries, 2);
    kit_close(&other);
}

static void fault_08_a_lost_group_is_made_again_from_the_beginning(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 3);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 3);
    assert_int_equal(redis_server_number(&server, "XGROUP", "DESTROY", "reach:intake", "reachd", NULL), 1);
    kit_push(&kit.settings, LANE_URGENT, 2);
    kit_until_n(&kit, &kit.n_entries, 5); /* the three in hand are not handed out twice */
    kit_run(&kit, 100);
    assert_int_equal(kit.n_entries, 5);
}

static void fault_09_a_deleted_stream_is_made_again(void **state) {
    (void)state;
    assert_int_equal(redis_server_number(&server, "DEL", "reach:intake", NULL), 1);
    queue_set_room(kit.queue, 100);
    kit_run(&kit, 50);
    kit_push(&kit.settings, LANE_URGENT, 2);
    kit_until_n(&kit, &kit.n_entries, 2);
}

static void fault_06_entries_trimmed_while_in_a_lease_do_not_stop_the_reading(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 3);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 3);
    queue_free(kit.queue);
    kit.n_entries = 0;
    assert_int_equal(redis_server_number(&server, "XTRIM", "reach:intake", "MAXLEN", "1", NULL), 2);
    kit_connect(&kit, 100);
    kit_until_n(&kit, &kit.n_entries, 1);
    kit_run(&kit, 50);
    assert_int_equal(kit.n_entries, 1);
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 1);
}

/* Waits until the stream has `n` entries left. */
static void until_left(const char *stream, long long n) {
    for (int i = 0; i < 100 && redis_server_number(&server, "XLEN", stream, NULL) != n; i++) {
        kit_run(&kit, 30);
    }
    assert_int_equal(redis_server_number(&server, "XLEN", stream, NULL), n);
}

static void finish_entries(size_t from, size_t n) {
    struct queue_change changes[64];
    char ids[64][32];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "n%zu", from + i);
        changes[i] = kit_change(&kit, ids[i], 0, NOTICE_REACHED);
        changes[i].ack = &kit.entries[from + i];
    }
    kit_apply(&kit, changes, n);
}

static void fault_07_a_deleted_consumer_takes_no_entry_with_it(void **state) {
    (void)state;
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 400;
    kit_connect(&other, 5);
    kit_push(&kit.settings, LANE_URGENT, 5);
    kit_until_n(&other, &other.n_entries, 5);
    kit_close(&other);
    assert_int_equal(redis_server_number(&server, "XGROUP", "DELCONSUMER", "reach:intake", "reachd", "w2", NULL), 0);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 5);
    assert_int_equal(kit.entries[0].deliveries, 2);
}

/* All leases of a lane, by hand. */
static void delete_leases(const char *lane) {
    static const char script[] = "local n = 0 for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do "
                                 "if string.find(f, ARGV[1] .. '/', 1, true) then n = n + redis.call('HDEL', KEYS[1], f) end end return n";
    assert_int_equal(redis_server_number(&server, "EVAL", script, "1", "reach:leases", lane, NULL), 1);
}

static void fault_07_the_entries_of_a_deleted_lease_are_found_and_handed_out_again(void **state) {
    (void)state;
    kit_prepare(&other, &server, "w2");
    kit_connect(&other, 5);
    kit_push(&kit.settings, LANE_URGENT, 5);
    kit_until_n(&other, &other.n_entries, 5);
    kit_close(&other);
    delete_leases("urgent");
    kit_push(&kit.settings, LANE_URGENT, 3);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 3);
    finish_entries(0, 3); /* has the stream trimmed: the five lie before these */
    kit_until_n(&kit, &kit.n_entries, 8);
    /* In whatever order, and the three that were finished may be among them: they are in no doubt, and found to be finished. */
    unsigned seen = 0;
    for (int round = 0; round < 200 && seen != 0x1f; round++) {
        for (size_t i = 3; i < kit.n_entries; i++) {
            seen |= 1U << (unsigned)(kit.entries[i].body[strlen("{\"n\":")] - '0');
        }
        kit_run(&kit, 30);
    }
    assert_int_equal(seen, 0x1f); /* 0, 1, 2, 3 and 4 */
}

static void the_sum_of_a_stream_survives_what_others_delete(void **state) {
    (void)state;
    queue_set_room(kit.queue, 100);
    kit_push(&kit.settings, LANE_URGENT, 6);
    kit_until_n(&kit, &kit.n_entries, 6);
    assert_int_equal(redis_server_number(&server, "XDEL", "reach:intake", kit.entries[1].stream_id, kit.entries[4].stream_id, NULL), 2);
    finish_entries(0, 6);
    until_left("reach:intake", 0);
    kit_push(&kit.settings, LANE_URGENT, 4);
    kit_until_n(&kit, &kit.n_entries, 10);
    finish_entries(6, 4);
    until_left("reach:intake", 0);
    assert_int_equal(kit.n_entries, 10);
}

static void acknowledged_entries_are_trimmed_and_open_ones_stay(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 10);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 10);
    struct queue_change changes[9];
    char ids[9][16];
    for (int i = 0; i < 9; i++) { /* all but the eighth */
        (void)snprintf(ids[i], sizeof ids[i], "n%d", i);
        changes[i] = kit_change(&kit, ids[i], 0, NOTICE_REACHED);
        changes[i].ack = &kit.entries[i < 7 ? i : i + 1];
    }
    kit_apply(&kit, changes, 9);
    until_left("reach:intake", 3);
    struct queue_change last = kit_change(&kit, "n9", 0, NOTICE_REACHED);
    last.ack = &kit.entries[7];
    kit_apply(&kit, &last, 1);
    until_left("reach:intake", 0);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 11);
}

static void a_group_of_somebody_else_keeps_what_it_has_not_read(void **state) {
    (void)state;
    assert_string_equal(redis_server_ask(&server, "XGROUP", "CREATE", "reach:intake", "audit", "0", NULL), "OK");
    kit_push(&kit.settings, LANE_URGENT, 2);
    queue_set_room(kit.queue, 100);
    kit_until_n(&kit, &kit.n_entries, 2);
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_REACHED);
    change.ack = &kit.entries[0];
    kit_apply(&kit, &change, 1);
    kit_run(&kit, 1300);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:intake", NULL), 2);
}

static void receipts_are_read_without_room_and_settled_once(void **state) {
    (void)state;
    struct err err;
    struct store *store = store_open(&kit.settings, &err);
    assert_int_equal(store_push_receipt(store, "{\"v\":1}", &err), 0);
    assert_int_equal(store_push_receipt(store, "broken", &err), 0);
    store_close(store);
    kit_until_n(&kit, &kit.n_receipts, 2);
    assert_string_equal(kit.receipts[0].body, "{\"v\":1}");
    const char *reasons[] = {NULL, "is not JSON"};
    assert_int_equal(queue_receipts_done(kit.queue, kit.receipts, reasons, 2, &err), 0);
    assert_int_equal(queue_receipts_done(kit.queue, kit.receipts, reasons, 2, &err), 0);
    while (queue_pending(kit.queue) > 0) {
        kit_run(&kit, 5);
    }
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:dead", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:receipts", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:receipts-refused", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 0);
}

/* A notice that is due at `due_ms` from now. */
static struct queue_change due_in(struct kit *worker, const char *id, int64_t due_ms) {
    struct queue_change change = kit_change(worker, id, 0, NOTICE_PLANNED);
    change.due_at_ms = clock_wall_ms(&clock_system) + due_ms;
    change.job_action = QUEUE_JOB_STORE;
    change.job = "{}";
    change.job_len = 2;
    return change;
}

static void a_due_notice_is_handed_out_when_its_time_has_come(void **state) {
    (void)state;
    queue_set_room(kit.queue, 100);
    struct queue_change change = due_in(&kit, "n1", 150);
    int64_t due_ms = change.due_at_ms;
    kit_apply(&kit, &change, 1);
    kit_until_n(&kit, &kit.n_due, 1);
    int64_t late_ms = clock_wall_ms(&clock_system) - due_ms;
    assert_true(late_ms >= 0);
    assert_string_equal(kit.due[0].id, "n1");
    assert_string_equal(kit.due[0].held.record, "{}");
    assert_string_equal(kit.due[0].held.job, "{}");
    assert_true(kit.due[0].held.fence == change.fence);
    struct queue_change done = kit_change(&kit, "n1", kit.due[0].held.fence, NOTICE_REACHED);
    done.due_at_ms = 0;
    kit_apply(&kit, &done, 1);
    kit_run(&kit, 600);
    assert_int_equal(kit.n_due, 1);
}

static void a_due_notice_comes_again_when_its_holder_does_nothing_for_a_lease(void **state) {
    (void)state;
    queue_set_room(kit.queue, 100);
    struct queue_change change = due_in(&kit, "n1", 1);
    kit_apply(&kit, &change, 1);
    kit_until_n(&kit, &kit.n_due, 1);
    int64_t given_ms = clock_mono_ms(&clock_system);
    kit_run(&kit, 200);
    assert_true(kit.n_due == 1 || clock_mono_ms(&clock_system) - given_ms >= 300);
    kit_until_n(&kit, &kit.n_due, 2);
}

static void fault_05_of_two_workers_with_the_same_due_notice_only_one_may_change_it(void **state) {
    (void)state;
    queue_set_room(kit.queue, 100);
    struct queue_change change = due_in(&kit, "n1", 1);
    kit_apply(&kit, &change, 1);
    kit_until_n(&kit, &kit.n_due, 1);
    kit_prepare(&other, &server, "w2");
    other.settings.lease_ms = 400;
    kit_connect(&other, 100);
    kit_until_n(&other, &other.n_due, 1); /* the lease of the first is over */
    struct queue_change by_other = kit_change(&other, "n1", other.due[0].held.fence, NOTICE_SENDING);
    kit_apply(&other, &by_other, 1);
    assert_int_equal(other.results[0], QUEUE_APPLIED);
    struct queue_change by_first = kit_change(&kit, "n1", kit.due[0].held.fence, NOTICE_SENDING);
    kit_apply(&kit, &by_first, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    kit_close(&other);
}

static void due_notices_take_room_too(void **state) {
    (void)state;
    struct queue_change changes[20];
    char ids[20][16];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "n%d", i);
        changes[i] = due_in(&kit, ids[i], 1);
    }
    kit_apply(&kit, changes, 20);
    queue_set_room(kit.queue, 6);
    kit_run(&kit, 150);
    assert_int_equal(kit.n_due, 6);
}

static void nothing_is_read_after_stop_but_changes_go_through(void **state) {
    (void)state;
    queue_set_room(kit.queue, 100);
    kit_run(&kit, 20);
    queue_stop_reading(kit.queue);
    kit_push(&kit.settings, LANE_URGENT, 2);
    struct queue_change change = due_in(&kit, "n1", 1);
    kit_apply(&kit, &change, 1);
    kit_run(&kit, 100);
    assert_int_equal(kit.n_entries + kit.n_due, 0);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_entry_without_a_job_is_handed_out_without_a_body),
        TEST(a_consumer_that_comes_back_takes_up_its_own_leases_again),
        TEST(what_is_in_hand_is_not_handed_out_again_after_a_reconnect),
        TEST(entries_of_a_dead_consumer_are_taken_over_after_the_lease),
        TEST(what_is_let_go_comes_back_after_the_lease_and_what_is_in_hand_does_not),
        TEST(fault_05_a_worker_stopped_past_its_lease_begins_nothing),
        TEST(an_intent_within_the_lease_is_granted),
        TEST(fault_18_the_delivery_count_shows_a_job_that_kills_its_workers),
        TEST(fault_18_the_third_time_a_suspect_is_handed_out_alone),
        TEST(fault_18_a_suspect_that_takes_long_does_not_keep_the_others_for_ever),
        TEST(fault_18_what_is_in_hand_does_not_become_a_suspect),
        TEST(fault_08_a_lost_group_is_made_again_from_the_beginning),
        TEST(fault_09_a_deleted_stream_is_made_again),
        TEST(fault_06_entries_trimmed_while_in_a_lease_do_not_stop_the_reading),
        TEST(fault_07_a_deleted_consumer_takes_no_entry_with_it),
        TEST(fault_07_the_entries_of_a_deleted_lease_are_found_and_handed_out_again),
        TEST(the_sum_of_a_stream_survives_what_others_delete),
        TEST(acknowledged_entries_are_trimmed_and_open_ones_stay),
        TEST(a_group_of_somebody_else_keeps_what_it_has_not_read),
        TEST(receipts_are_read_without_room_and_settled_once),
        TEST(a_due_notice_is_handed_out_when_its_time_has_come),
        TEST(a_due_notice_comes_again_when_its_holder_does_nothing_for_a_lease),
        TEST(fault_05_of_two_workers_with_the_same_due_notice_only_one_may_change_it),
        TEST(due_notices_take_room_too),
        TEST(nothing_is_read_after_stop_but_changes_go_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
