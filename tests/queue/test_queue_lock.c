/* The lease on an entry is the lock of the notice that has begun from it: its holder's result is granted without a look at the record, and
 * nobody else's change is lost for that. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 3, ID_MAX = 24 };

static struct redis_server server;
static struct kit kit, other;
static struct queue_change intents[MANY];
static char ids[MANY][ID_MAX];

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_start(&kit, &server, "w1", 400);
    kit_start(&other, &server, "w2", 400);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&other);
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

/* n0, n1, ...: begun by the first worker, each from an entry of one lease. */
static void begin(size_t n) {
    kit_push(&kit.settings, LANE_BULK, n);
    queue_set_room(kit.queue, n);
    kit_until_n(&kit, &kit.n_entries, n);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "n%zu", i);
        intents[i] = kit_change(&kit, ids[i], 0, NOTICE_SENDING);
        intents[i].from = &kit.entries[i];
    }
    kit_apply(&kit, intents, n);
}

static struct queue_change result_of(size_t i) {
    struct queue_change result = kit_change(&kit, ids[i], intents[i].fence, NOTICE_REACHED);
    result.ack = &kit.entries[i];
    result.begun_from_ack = true;
    return result;
}

/* The results of `from` and so many behind it. */
static void finish(size_t from, size_t n) {
    struct queue_change results[MANY];
    for (size_t i = 0; i < n; i++) {
        results[i] = result_of(from + i);
    }
    kit_apply(&kit, results, n);
}

/* What another worker does to a notice of the first one. */
static enum queue_result resolve_elsewhere(size_t i) {
    struct queue_change change = kit_change(&other, ids[i], intents[i].fence, NOTICE_RESOLVED);
    kit_apply(&other, &change, 1);
    return other.results[0];
}

static char state_of(const char *id) {
    const char *record = redis_server_ask(&server, "HGET", "reach:notices", id, NULL);
    return record == NULL || record[0] == '(' ? '-' : record[0]; /* "(nil)" */
}

static long long counted(const char *name) {
    long long number = redis_server_number(&server, "HGET", "reach:counters", name, NULL);
    return number < 0 ? 0 : number; /* not there */
}

static long long calls_of(const char *command) {
    char name[48];
    (void)snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
    const char *info = redis_server_ask(&server, "INFO", "commandstats", NULL);
    const char *at = strstr(info, name);
    return at == NULL ? 0 : strtoll(at + strlen(name), NULL, 10);
}

static void a_result_under_its_lease_is_counted_like_any_other(void **state) {
    (void)state;
    begin(MANY);
    assert_int_equal(counted("state:s"), MANY);
    long long looks = calls_of("hmget");
    finish(0, MANY);
    assert_int_equal(calls_of("hmget"), looks); /* no record was looked at */
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(kit.results[i], QUEUE_APPLIED);
        assert_int_equal(state_of(ids[i]), 'R');
    }
    assert_int_equal(counted("state:s"), 0);
    assert_int_equal(counted("state:R"), MANY);
    assert_int_equal(counted("accepted"), MANY);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 0);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void what_somebody_else_has_changed_is_not_overwritten(void **state) {
    (void)state;
    begin(1);
    assert_int_equal(resolve_elsewhere(0), QUEUE_APPLIED);
    finish(0, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(state_of("n0"), 'V');
    assert_int_equal(counted("state:R"), 0);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 1); /* the entry comes again */
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void the_others_of_a_touched_lease_go_by_their_records(void **state) {
    (void)state;
    begin(MANY);
    assert_int_equal(resolve_elsewhere(1), QUEUE_APPLIED);
    finish(0, 2);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit.results[1], QUEUE_STALE);
    finish(2, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(state_of("n1"), 'V');
    assert_int_equal(counted("state:R"), 2);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void another_lease_is_not_touched_by_that(void **state) {
    (void)state;
    begin(1);
    assert_int_equal(resolve_elsewhere(0), QUEUE_APPLIED);
    kit_push(&kit.settings, LANE_BULK, 1);
    queue_set_room(kit.queue, 1);
    kit_until_n(&kit, &kit.n_entries, 2);
    (void)snprintf(ids[1], sizeof ids[1], "n1");
    intents[1] = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    intents[1].from = &kit.entries[1];
    kit_apply(&kit, &intents[1], 1);
    long long looks = calls_of("hmget");
    finish(1, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(calls_of("hmget"), looks);
}

static bool is_marked(void) {
    const char *leases = redis_server_ask(&server, "HVALS", "reach:leases", NULL);
    return strchr(leases, '!') != NULL;
}

/* A worker's turn of the loop makes one batch of all that is ready: notices that begin, results of what has begun, others. */
static void in_one_batch_with_others_a_result_is_granted_by_its_lease(void **state) {
    (void)state;
    begin(2);
    struct queue_change waits = kit_change(&kit, "waits", 0, NOTICE_PLANNED);
    kit_apply(&kit, &waits, 1);
    kit_push(&kit.settings, LANE_BULK, 1);
    queue_set_room(kit.queue, 1);
    kit_until_n(&kit, &kit.n_entries, 3);
    struct queue_change mixed[] = {kit_change(&kit, "new", 0, NOTICE_SENDING), result_of(0),
                                   kit_change(&kit, "waits", waits.fence, NOTICE_SENDING)};
    mixed[0].from = &kit.entries[2];
    kit_apply(&kit, mixed, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(kit.results[i], QUEUE_APPLIED);
    }
    assert_false(is_marked());
    long long looks = calls_of("hmget");
    finish(1, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(calls_of("hmget"), looks);
    assert_int_equal(counted("state:R"), 2);
    assert_int_equal(counted("state:s"), 2);
    assert_int_equal(counted("accepted"), 4);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void in_one_batch_with_others_what_was_touched_is_not_overwritten(void **state) {
    (void)state;
    begin(2);
    assert_int_equal(resolve_elsewhere(1), QUEUE_APPLIED);
    assert_true(is_marked());
    struct queue_change mixed[] = {kit_change(&kit, "new", 0, NOTICE_SENDING), result_of(0), result_of(1),
                                   kit_change(&kit, "nowhere", 5, NOTICE_SENDING)};
    kit_apply(&kit, mixed, 4);
    static const enum queue_result expected[] = {QUEUE_APPLIED, QUEUE_APPLIED, QUEUE_STALE, QUEUE_STALE};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(kit.results[i], expected[i]);
    }
    assert_int_equal(state_of("n1"), 'V');
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

/* The holder goes on by its tokens where one of its leases is marked; that marks no other. */
static void a_mark_does_not_spread_to_other_leases_of_the_same_batch(void **state) {
    (void)state;
    begin(2);
    assert_int_equal(resolve_elsewhere(0), QUEUE_APPLIED);
    kit_push(&kit.settings, LANE_BULK, 2);
    queue_set_room(kit.queue, 2);
    kit_until_n(&kit, &kit.n_entries, 4);
    struct queue_change later[] = {kit_change(&kit, "m0", 0, NOTICE_SENDING), kit_change(&kit, "m1", 0, NOTICE_SENDING)};
    later[0].from = &kit.entries[2];
    later[1].from = &kit.entries[3];
    kit_apply(&kit, later, 2);
    struct queue_change ends[] = {kit_change(&kit, "m0", later[0].fence, NOTICE_REACHED),
                                  kit_change(&kit, "m1", later[1].fence, NOTICE_REACHED)};
    for (size_t i = 0; i < 2; i++) {
        ends[i].ack = &kit.entries[2 + i];
        ends[i].begun_from_ack = true;
    }
    struct queue_change both[] = {result_of(1), ends[0]};
    kit_apply(&kit, both, 2); /* of the marked lease and of the other one */
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit.results[1], QUEUE_APPLIED);
    long long looks = calls_of("hmget");
    kit_apply(&kit, &ends[1], 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(calls_of("hmget"), looks);
}

static void a_lease_that_is_gone_locks_nothing(void **state) {
    (void)state;
    begin(2);
    assert_int_equal(redis_server_number(&server, "DEL", "reach:leases", NULL), 1);
    assert_int_equal(resolve_elsewhere(1), QUEUE_APPLIED);
    finish(0, 2);
    assert_int_equal(kit.results[0], QUEUE_APPLIED); /* by its token */
    assert_int_equal(kit.results[1], QUEUE_STALE);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void who_has_taken_the_lease_over_has_the_notice_too(void **state) {
    (void)state;
    begin(1);
    queue_set_room(other.queue, 10);
    kit_until_n(&other, &other.n_entries, 1); /* the first worker was stopped longer than its lease */
    struct queue_change again = kit_change(&other, "n0", intents[0].fence, NOTICE_SENDING);
    kit_apply(&other, &again, 1);
    assert_int_equal(other.results[0], QUEUE_APPLIED);
    finish(0, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    struct queue_change result = kit_change(&other, "n0", again.fence, NOTICE_REACHED);
    result.ack = &other.entries[0];
    kit_apply(&other, &result, 1);
    assert_int_equal(other.results[0], QUEUE_APPLIED);
    assert_int_equal(counted("state:R"), 1);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 0);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

/* A Redis that is back may have lost the intent and still have the lease. */
static void after_a_reconnect_the_record_is_looked_at(void **state) {
    (void)state;
    begin(2);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:notices", "n0", NULL), 1);
    assert_int_equal(redis_server_number(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL), 2);
    kit_until_u(&kit, &kit.ready, 2);
    finish(0, 2);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(kit.results[1], QUEUE_APPLIED);
    assert_int_equal(state_of("n0"), '-');
}

/* The same for a result that was on its way when the connection was lost; whether Redis has carried it out or not, it counts once. */
static void a_result_that_is_sent_again_counts_once(void **state) {
    (void)state;
    begin(MANY);
    struct queue_change results[MANY];
    for (size_t i = 0; i < MANY; i++) {
        results[i] = result_of(i);
    }
    unsigned answers = kit.answers;
    kit_apply_later(&kit, results, 1);
    (void)redis_server_ask(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL);
    kit_apply_later(&kit, results + 1, 2);
    kit_until_u(&kit, &kit.answers, answers + 2);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(state_of(ids[i]), 'R');
    }
    assert_int_equal(counted("state:R"), MANY);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 0);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void a_moved_contact_book_is_told_under_a_lease_as_well(void **state) {
    (void)state;
    begin(2);
    struct queue_change results[] = {result_of(0), result_of(1)};
    assert_int_equal(redis_server_number(&server, "HSET", "reach:contacts", "C1", "{}", NULL), 1);
    results[1].decided_on = "";
    kit_apply(&kit, results, 2);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit.results[1], QUEUE_MOVED);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 1);
    char seen[QUEUE_SEEN_LEN];
    assert_int_equal(queue_book_seen("{}", seen), 0);
    results[1].decided_on = seen;
    kit_apply(&kit, &results[1], 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_result_under_its_lease_is_counted_like_any_other),
        TEST(what_somebody_else_has_changed_is_not_overwritten),
        TEST(the_others_of_a_touched_lease_go_by_their_records),
        TEST(another_lease_is_not_touched_by_that),
        TEST(in_one_batch_with_others_a_result_is_granted_by_its_lease),
        TEST(in_one_batch_with_others_what_was_touched_is_not_overwritten),
        TEST(a_mark_does_not_spread_to_other_leases_of_the_same_batch),
        TEST(a_lease_that_is_gone_locks_nothing),
        TEST(who_has_taken_the_lease_over_has_the_notice_too),
        TEST(after_a_reconnect_the_record_is_looked_at),
        TEST(a_result_that_is_sent_again_counts_once),
        TEST(a_moved_contact_book_is_told_under_a_lease_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
