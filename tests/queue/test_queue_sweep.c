/* The slow walk: lost work is found, old finished notices leave. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include "queue/gone.h"
#include "queue/store.h"

#include <hiredis/hiredis.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit;

/* A token whose epoch is `age_s` old, so that a record looks as if it had last been changed then. */
static uint64_t token_aged(int64_t age_s) {
    return (uint64_t)(clock_wall_ms(&clock_system) / 1000 - age_s) * 64 << 24 | 1;
}

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_prepare(&kit, &server, "w1");
    kit.settings.retention_ms = 7 * 86400000;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

static void put(const char *id, const char *customer, enum notice_state state, int64_t age_s) {
    struct queue_change change = kit_change(&kit, id, 0, state);
    change.customer = customer;
    change.fence = token_aged(age_s);
    kit_apply(&kit, &change, 1);
}

static void start(size_t room) {
    kit_connect(&kit, room);
    kit_until_u(&kit, &kit.ready, 1);
}

/* A second life of the queue begins a new walk at once. */
static void walk_again(void) {
    queue_free(kit.queue);
    kit_connect(&kit, 100);
    kit_until_u(&kit, &kit.ready, kit.ready + 1);
    kit_run(&kit, 400);
}

static void work_that_no_timer_owns_is_handed_out(void **state) {
    (void)state;
    start(100);
    put("lost", "C1", NOTICE_SENDING, 86400);
    put("fresh", "C1", NOTICE_SENDING, 10);
    put("stranded", "C1", NOTICE_STRANDED, 86400);
    struct queue_change owned = kit_change(&kit, "owned", 0, NOTICE_SENT);
    owned.fence = token_aged(86400);
    owned.due_at_ms = clock_wall_ms(&clock_system) + 3600000;
    kit_apply(&kit, &owned, 1);
    walk_again();
    assert_int_equal(kit.n_due, 1);
    assert_string_equal(kit.due[0].id, "lost");
}

static void old_finished_notices_leave_and_are_still_accounted_for(void **state) {
    (void)state;
    start(100);
    put("old-1", "C1", NOTICE_REACHED, 30 * 86400);
    put("old-2", "C2", NOTICE_EXPIRED, 30 * 86400);
    put("new", "C3", NOTICE_REACHED, 86400);
    put("open", "C4", NOTICE_STRANDED, 30 * 86400);
    walk_again();
    assert_int_equal(kit.n_old, 2);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 2);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:last", NULL), 2);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 4);
    assert_int_equal(kit_status(&kit.settings, "finished"), 3);
    assert_int_equal(kit_status(&kit.settings, "retired"), 2);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void a_customers_chain_leads_past_what_has_left(void **state) {
    (void)state;
    struct err err;
    start(100);
    put("a", "C1", NOTICE_SENT, 30 * 86400);
    put("b", "C1", NOTICE_REACHED, 30 * 86400);
    put("c", "C1", NOTICE_STRANDED, 30 * 86400);
    put("d", "C1", NOTICE_REACHED, 30 * 86400);
    kit.settings.lease_ms = INT64_C(86400000) * 60; /* "a" is not to be picked up here */
    walk_again();
    struct store *store = store_open(&kit.settings, &err);
    json_t *ids = store_customer_notices(store, "C1", &err);
    assert_int_equal(json_array_size(ids), 2);
    assert_string_equal(json_string_value(json_array_get(ids, 0)), "c");
    assert_string_equal(json_string_value(json_array_get(ids, 1)), "a");
    json_decref(ids);
    json_t *audit = store_audit(store, &err);
    assert_int_equal(json_integer_value(json_object_get(audit, "unaccounted")), 0);
    assert_int_equal(json_array_size(json_object_get(audit, "ids")), 0);
    json_decref(audit);
    store_close(store);
}

static void a_notice_that_changed_after_it_was_archived_stays(void **state) {
    (void)state;
    struct err err;
    start(0);
    put("n1", "C1", NOTICE_REACHED, 10);
    struct queue_retired stale = {.id = "n1", .fence = token_aged(99)};
    assert_int_equal(queue_retire(kit.queue, &stale, 1, &err), 0);
    while (queue_pending(kit.queue) > 0) {
        kit_run(&kit, 5);
    }
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void an_open_desk_case_keeps_its_notice(void **state) {
    (void)state;
    struct err err;
    start(100);
    put("case", "C1", NOTICE_HANDED_TO_DESK, 30 * 86400);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:desk", "case", "{}", NULL), 1);
    walk_again();
    assert_int_equal(kit.n_old, 0);
    struct queue_retired retired = {.id = "case", .fence = token_aged(30 * 86400)}; /* opened after it was handed out */
    assert_int_equal(queue_retire(kit.queue, &retired, 1, &err), 0);
    while (queue_pending(kit.queue) > 0) {
        kit_run(&kit, 5);
    }
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:desk", "case", NULL), 1);
    walk_again();
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 0);
}

/* ---- ids that have left ------------------------------------------------------------------------------------------- */

struct answer {
    size_t n;
    bool archived[4], found[4], same[4], other[4]; /* the kit retires without a digest */
};

static void on_found(void *ctx, const struct queue_found *found, size_t n, struct arena *arena_take) {
    struct answer *answer = ctx;
    for (size_t i = 0; i < n; i++) {
        answer->archived[i] = found[i].archived;
        answer->found[i] = found[i].held.found;
        answer->same[i] = queue_is_archived_job(&found[i], NULL);
        answer->other[i] = queue_is_archived_job(&found[i], "another job's");
    }
    answer->n += n;
    arena_fini(arena_take);
}

static void look_up(struct answer *answer) {
    static const char *const ids[] = {"left", "new", "here"};
    struct err err;
    *answer = (struct answer){0};
    assert_int_equal(queue_lookup(kit.queue, ids, NULL, 3, on_found, answer, &err), 0);
    kit_until_n(&kit, &answer->n, 3);
}

static void an_id_is_known_after_its_notice_has_left(void **state) {
    (void)state;
    struct answer answer;
    start(100);
    put("left", "C1", NOTICE_REACHED, 30 * 86400);
    put("here", "C1", NOTICE_REACHED, 10);
    walk_again();
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 1);
    look_up(&answer);
    assert_true(answer.archived[0] && !answer.found[0]);
    assert_true(answer.same[0] && !answer.other[0]);
    assert_false(answer.same[1] || answer.other[1]);
    assert_true(!answer.archived[1] && !answer.found[1]);
    assert_true(!answer.archived[2] && answer.found[2]);
    kit.settings.remember_ms = 0;
    look_up(&answer);
    assert_false(answer.archived[0]);
}

static void ids_are_forgotten_and_their_room_is_used_again(void **state) {
    (void)state;
    struct gone_place place;
    struct answer answer;
    int64_t day = gone_day(clock_wall_ms(&clock_system)), old = day - 40, kept = day - 20;
    char bucket[3 * GONE_ENTRY_LEN];
    start(100);
    gone_place_of("left", &place);
    for (int i = 0; i < 2; i++) {
        char *entry = bucket + (size_t)i * GONE_ENTRY_LEN;
        memcpy(entry, i == 0 ? place.mark : "abcdef", GONE_MARK_LEN);
        gone_content_of(NULL, entry + GONE_MARK_LEN);
        entry[GONE_ENTRY_LEN - 2] = (char)((i == 0 ? old : kept) >> 8);
        entry[GONE_ENTRY_LEN - 1] = (char)(i == 0 ? old : kept);
    }
    redisContext *redis = redisConnectUnix(server.socket);
    freeReplyObject(redisCommand(redis, "HSET reach:archived %s %b", place.bucket, bucket, (size_t)2 * GONE_ENTRY_LEN));
    look_up(&answer);
    assert_false(answer.archived[0]); /* 40 days are more than redis.remember_ids */
    put("left", "C1", NOTICE_REACHED, 30 * 86400);
    walk_again();
    look_up(&answer);
    assert_true(answer.archived[0]);
    redisReply *reply = redisCommand(redis, "HGET reach:archived %s", place.bucket);
    assert_int_equal(reply->len, 2 * GONE_ENTRY_LEN);
    assert_memory_equal(reply->str, "abcdef", GONE_MARK_LEN);
    assert_memory_equal(reply->str + GONE_ENTRY_LEN, place.mark, GONE_MARK_LEN);
    freeReplyObject(reply);
    redisFree(redis);
}

static void memory_does_not_grow_with_what_has_left(void **state) {
    (void)state;
    enum { ROUNDS = 4, N = 4000 };
    static struct queue_change changes[N];
    static char ids[N][32], customers[N][32];
    long long used[ROUNDS];
    start(100);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < N; i++) {
            (void)snprintf(ids[i], sizeof ids[i], "n%d-%d", round, i);
            (void)snprintf(customers[i], sizeof customers[i], "C%d-%d", round, i);
            changes[i] = kit_change(&kit, ids[i], 0, NOTICE_REACHED);
            changes[i].customer = customers[i];
            changes[i].fence = token_aged(30 * 86400);
        }
        kit_apply(&kit, changes, N);
        walk_again();
        kit_until_n(&kit, &kit.n_old, (size_t)(round + 1) * N);
        while (queue_pending(kit.queue) > 0) {
            kit_run(&kit, 5);
        }
        assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), 0);
        assert_int_equal(redis_server_number(&server, "DEL", "reach:archived", NULL), 1); /* as if redis.remember_ids were over */
        assert_int_equal(redis_server_number(&server, "EXISTS", "reach:notices", "reach:last", "reach:previous", "reach:due", NULL), 0);
        const char *info = redis_server_ask(&server, "INFO", "memory", NULL);
        used[round] = strtoll(strstr(info, "used_memory_dataset:") + 20, NULL, 10);
    }
    assert_int_equal(kit_status(&kit.settings, "accepted"), ROUNDS * N);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    /* 1 MB per million: a byte a notice. The events stream and buffers of Redis come and go with some 100 KB. */
    assert_true(used[ROUNDS - 1] - used[0] < 300000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(work_that_no_timer_owns_is_handed_out),
        TEST(old_finished_notices_leave_and_are_still_accounted_for),
        TEST(a_customers_chain_leads_past_what_has_left),
        TEST(a_notice_that_changed_after_it_was_archived_stays),
        TEST(an_open_desk_case_keeps_its_notice),
        TEST(an_id_is_known_after_its_notice_has_left),
        TEST(ids_are_forgotten_and_their_room_is_used_again),
        TEST(memory_does_not_grow_with_what_has_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
