/* Due notices that workers are lost over: counted, tried in a group, tried alone, and not counted where nobody was lost. */
#include "tests/support/queue_kit.h"

#include "queue/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Nothing here waits for a lease: its end is put into the past. */
enum { MANY = 100, LEASE_MS = 3600000, SOME_MS = 100, ID_MAX = 24 };

static struct redis_server server;
static struct kit kit;
static size_t n_made;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_start(&kit, &server, "w1", LEASE_MS);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

/* n notices that are due now: n0, n1, ... */
static void make_due(size_t n) {
    static struct queue_change changes[MANY];
    static char ids[MANY][ID_MAX];
    n_made = n;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "n%zu", i);
        changes[i] = kit_change(&kit, ids[i], 0, NOTICE_PLANNED);
        changes[i].due_at_ms = clock_wall_ms(&clock_system);
        changes[i].job_action = QUEUE_JOB_STORE;
        changes[i].job = "{}";
        changes[i].job_len = 2;
    }
    kit_apply(&kit, changes, n);
}

static void all_leases_end(void) {
    for (size_t i = 0; i < n_made; i++) {
        char id[ID_MAX], back[24];
        (void)snprintf(id, sizeof id, "n%zu", i);
        (void)snprintf(back, sizeof back, "-%d", LEASE_MS + 1000);
        (void)redis_server_ask(&server, "ZADD", "reach:due", "XX", "INCR", back, id, NULL);
    }
}

/* The worker is killed with all that it has in hand, and another one comes. */
static void next_life(void) {
    queue_free(kit.queue);
    kit.n_due = kit.n_entries = 0;
    kit.ready = 0;
    kit_connect(&kit, 1000);
    kit.queue->trial.limit_ms = LEASE_MS;
}

static void next_life_has(size_t n, unsigned lost) {
    all_leases_end();
    next_life();
    kit_until_n(&kit, &kit.n_due, n);
    kit_run(&kit, SOME_MS); /* more must not come */
    assert_int_equal(kit.n_due, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(kit.due[i].lost, lost);
    }
}

static struct queue_change result_of(const struct queue_due *due, enum notice_state state) {
    struct queue_change change = kit_change(&kit, due->id, due->held.fence, state);
    change.due_at_ms = 0;
    return change;
}

static void finish_due(size_t from, size_t n) {
    static struct queue_change changes[MANY];
    for (size_t i = 0; i < n; i++) {
        changes[i] = result_of(&kit.due[from + i], NOTICE_REACHED);
    }
    kit_apply(&kit, changes, n);
}

static void fault_18_a_due_notice_counts_the_workers_that_were_lost_over_it(void **state) {
    (void)state;
    make_due(1);
    for (unsigned lost = 0; lost <= QUEUE_LOST_MAX + 1; lost++) {
        next_life_has(1, lost < QUEUE_LOST_MAX ? lost : QUEUE_LOST_MAX);
    }
    finish_due(0, 1);
    assert_int_equal(redis_server_number(&server, "ZCARD", "reach:due", NULL), 0);
}

static void fault_18_what_one_worker_was_lost_over_comes_in_groups(void **state) {
    (void)state;
    make_due(MANY);
    next_life_has(MANY, 0);
    next_life_has(TRIAL_MAX, 1);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 1); /* new work goes on beside them */
    finish_due(0, TRIAL_MAX);
    kit_until_n(&kit, &kit.n_due, MANY);
    assert_int_equal(kit.due[MANY - 1].lost, 1);
}

/* One of them kills: the second loss costs a group, the third the culprit alone. */
static void fault_18_what_two_workers_were_lost_over_comes_alone(void **state) {
    (void)state;
    make_due(3);
    next_life_has(3, 0);
    next_life_has(3, 1);
    next_life_has(1, 2);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_run(&kit, SOME_MS);
    assert_int_equal(kit.n_entries, 0); /* nothing else is handed out meanwhile */
    struct queue_change intent = kit_change(&kit, kit.due[0].id, kit.due[0].held.fence, NOTICE_SENDING);
    intent.due_at_ms = kit.due[0].lease_end_ms;
    intent.lost_if_over = 3;
    kit_apply(&kit, &intent, 1);
    kit_run(&kit, SOME_MS);
    assert_int_equal(kit.n_due + kit.n_entries, 1); /* it is still being sent */
    struct queue_change result = kit_change(&kit, kit.due[0].id, intent.fence, NOTICE_REACHED);
    result.due_at_ms = 0;
    kit_apply(&kit, &result, 1);
    kit_until_n(&kit, &kit.n_due, 2); /* the next one, alone too */
    assert_int_equal(kit.due[1].lost, 2);
    finish_due(1, 1);
    kit_until_n(&kit, &kit.n_due, 3);
    finish_due(2, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
}

static void fault_18_one_that_takes_long_does_not_keep_the_others_for_ever(void **state) {
    (void)state;
    make_due(2);
    next_life_has(2, 0);
    next_life_has(2, 1);
    next_life_has(1, 2);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit.queue->trial.until_ms = 0;
    kit_until_n(&kit, &kit.n_due, 2);
    kit.queue->trial.until_ms = 0;
    kit_until_n(&kit, &kit.n_entries, 1);
}

static void an_intent_goes_on_counting_and_a_result_begins_anew(void **state) {
    (void)state;
    make_due(1);
    next_life_has(1, 0);
    next_life_has(1, 1);
    struct queue_change intent = kit_change(&kit, "n0", kit.due[0].held.fence, NOTICE_SENDING);
    intent.due_at_ms = clock_wall_ms(&clock_system) + LEASE_MS;
    intent.lost_if_over = 2;
    kit_apply(&kit, &intent, 1);
    next_life_has(1, 2);
    struct queue_change result = kit_change(&kit, "n0", intent.fence, NOTICE_SENT);
    result.due_at_ms = clock_wall_ms(&clock_system) + 1;
    kit_apply(&kit, &result, 1);
    kit_until_n(&kit, &kit.n_due, 2);
    assert_int_equal(kit.due[1].lost, 0);
}

/* Gives everything in hand back and waits for the answer. */
static void give_back(int64_t due_ms) {
    static struct queue_lease leases[MANY];
    struct err err;
    for (size_t i = 0; i < kit.n_due; i++) {
        leases[i] = (struct queue_lease){kit.due[i].id, kit.due[i].lease_end_ms, due_ms};
    }
    assert_int_equal(queue_give_back(kit.queue, leases, kit.n_due, &err), 0);
    for (int i = 0; i < 1000 && queue_pending(kit.queue) > 0; i++) {
        kit_run(&kit, 10);
    }
    assert_int_equal(queue_pending(kit.queue), 0);
}

static void what_is_given_back_does_not_count_and_comes_at_once(void **state) {
    (void)state;
    make_due(3);
    next_life_has(3, 0);
    queue_stop_reading(kit.queue);
    give_back(clock_wall_ms(&clock_system));
    next_life();
    kit_until_n(&kit, &kit.n_due, 3);
    assert_int_equal(kit.due[0].lost, 0);
    next_life_has(3, 1);
    queue_stop_reading(kit.queue);
    give_back(-1); /* at the end of its lease as before */
    assert_true(redis_server_number(&server, "ZCOUNT", "reach:due", "-inf", "+inf", NULL) == 3);
    next_life();
    kit_run(&kit, SOME_MS);
    assert_int_equal(kit.n_due, 0);
    next_life_has(3, 1);
}

static void a_lease_that_is_not_ours_any_more_is_not_given_back(void **state) {
    (void)state;
    make_due(1);
    next_life_has(1, 0);
    struct queue_lease stale = {"n0", kit.due[0].lease_end_ms, 1};
    struct err err;
    next_life_has(1, 1);
    assert_int_equal(queue_give_back(kit.queue, &stale, 1, &err), 0);
    next_life_has(1, 2);
}

static void what_a_worker_claims_while_it_is_being_stopped_does_not_count(void **state) {
    (void)state;
    make_due(5);
    queue_set_room(kit.queue, 100);
    while (!kit.queue->upkeep.claiming) {
        assert_int_equal(event_base_loop(kit.base, EVLOOP_ONCE), 0);
    }
    queue_stop_reading(kit.queue); /* the claim is on its way */
    assert_true(queue_pending(kit.queue) > 0);
    for (int i = 0; i < 1000 && queue_pending(kit.queue) > 0; i++) {
        kit_run(&kit, 10);
    }
    assert_int_equal(kit.n_due, 0);
    next_life();
    kit_until_n(&kit, &kit.n_due, 5);
    assert_int_equal(kit.due[0].lost, 0);
}

static void a_notice_that_is_buried_leaves_its_job_in_the_dead_letters(void **state) {
    (void)state;
    make_due(1);
    next_life_has(1, 0);
    struct queue_effect bury = {QUEUE_BURY, "dead", "n0 bulk 2026-11-26T04:00:00Z it may be what stops the worker", "{\"its\":\"job\"}", 0};
    struct queue_change end = result_of(&kit.due[0], NOTICE_HANDED_TO_DESK);
    end.job_action = QUEUE_JOB_DROP;
    end.effects = &bury;
    end.n_effects = 1;
    kit_apply(&kit, &end, 1);
    const char *letter = redis_server_ask(&server, "XRANGE", "reach:dead", "-", "+", NULL);
    assert_non_null(strstr(letter, "{\"its\":\"job\"}"));
    assert_non_null(strstr(letter, "it may be what stops the worker"));
    assert_non_null(strstr(letter, "bulk"));
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    assert_int_equal(kit_status(&kit.settings, "finished"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(fault_18_a_due_notice_counts_the_workers_that_were_lost_over_it),
        TEST(fault_18_what_one_worker_was_lost_over_comes_in_groups),
        TEST(fault_18_what_two_workers_were_lost_over_comes_alone),
        TEST(fault_18_one_that_takes_long_does_not_keep_the_others_for_ever),
        TEST(an_intent_goes_on_counting_and_a_result_begins_anew),
        TEST(what_is_given_back_does_not_count_and_comes_at_once),
        TEST(a_lease_that_is_not_ours_any_more_is_not_given_back),
        TEST(what_a_worker_claims_while_it_is_being_stopped_does_not_count),
        TEST(a_notice_that_is_buried_leaves_its_job_in_the_dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
