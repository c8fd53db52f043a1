/* Entries that change no notice: dead letters, duplicates, control jobs; what kills workers. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include "queue/store.h"

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
    kit_open(&kit, &server, "w1", 1000);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

static void push_named(const char *id) {
    struct err err;
    struct store *store = store_open(&kit.settings, &err);
    char body[64];
    const char *bodies = body;
    size_t len = (size_t)snprintf(body, sizeof body, "{\"id\":\"%s\"}", id), done = 0;
    assert_int_equal(store_push(store, LANE_BULK, &bodies, &len, 1, &done, &err), 0);
    store_close(store);
    kit_until_n(&kit, &kit.n_entries, 1);
}

/* Its entry made a notice in `state` and is then refused as what may kill workers. */
static void refuse_begun(enum notice_state state, const char *origin_end) {
    push_named("n1");
    char record[96];
    (void)snprintf(record, sizeof record, "{\"x\":\"1/%s%s\"}", kit.entries[0].stream_id, origin_end);
    struct queue_change change = kit_change(&kit, "n1", 0, state);
    change.record = record;
    kit_apply(&kit, &change, 1);
    struct queue_refusal refusal = {&kit.entries[0], NOTICE_DEAD, NULL, "", "handed out 4 times", "{}", true};
    kit_refuse(&kit, &refusal, 1);
}

static void what_kills_workers_is_not_dead_while_its_notice_is_in_flight_but_goes_on(void **state) {
    (void)state;
    refuse_begun(NOTICE_SENDING, "");
    assert_int_equal(kit.results[0], QUEUE_BEGUN);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:dead", NULL), 0);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 1);
    assert_int_equal(kit_status(&kit.settings, "dead"), 0);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:jobs", "n1", NULL), "{\"id\":\"n1\"}");
    assert_int_equal(redis_server_number(&server, "ZCARD", "reach:due", NULL), 1);
    assert_int_equal(kit_pending(&kit.settings, "bulk"), 0);
}

static void what_kills_workers_is_only_acknowledged_where_its_notice_has_ended(void **state) {
    (void)state;
    refuse_begun(NOTICE_REACHED, "");
    assert_int_equal(kit.results[0], QUEUE_BEGUN);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 1);
    assert_int_equal(kit_status(&kit.settings, "finished"), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    assert_int_equal(redis_server_number(&server, "ZCARD", "reach:due", NULL), 0);
}

static void what_kills_workers_is_dead_where_the_notice_of_that_id_is_another_entrys(void **state) {
    (void)state;
    refuse_begun(NOTICE_SENDING, "9");
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:dead", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 2);
    assert_int_equal(kit_status(&kit.settings, "dead"), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void what_kills_workers_is_dead_where_it_is_no_job_at_all(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_BULK, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_refusal refusal = {&kit.entries[0], NOTICE_DEAD, NULL, "", "handed out 4 times", NULL, true};
    kit_refuse(&kit, &refusal, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit_status(&kit.settings, "dead"), 1);
}

static void a_refused_job_is_dead_once_with_its_reason(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_BULK, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_refusal refusal = {&kit.entries[0], NOTICE_DEAD, "j1", "customer.id", "must be a string", "{\"id\":\"j1\"}", false};
    kit_refuse(&kit, &refusal, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    kit_refuse(&kit, &refusal, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:dead", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 1);
    assert_int_equal(kit_status(&kit.settings, "dead"), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    struct err err;
    struct store *store = store_open(&kit.settings, &err);
    json_t *dead = store_dead(store, 0, &err);
    json_t *letter = json_array_get(dead, 0);
    assert_string_equal(json_string_value(json_object_get(letter, "job")), "{\"n\":0}");
    assert_string_equal(json_string_value(json_object_get(letter, "reason")), "must be a string");
    assert_string_equal(json_string_value(json_object_get(letter, "member")), "customer.id");
    assert_string_equal(json_string_value(json_object_get(letter, "id")), "j1");
    json_decref(dead);
    store_close(store);
}

static void a_duplicate_is_counted_and_not_a_dead_letter(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_refusal refusal = {&kit.entries[0], NOTICE_DUPLICATE, "j1", "", "", NULL, false};
    kit_refuse(&kit, &refusal, 1);
    assert_int_equal(kit_status(&kit.settings, "duplicates"), 1);
    assert_int_equal(kit_status(&kit.settings, "finished"), 1);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:dead", NULL), 0);
}

static unsigned control_answers;
static enum queue_result control_result;
static void on_control(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    (void)ctx;
    assert_null(err);
    assert_int_equal(n, 1);
    control_answers++;
    control_result = results[0];
}

static void a_control_job_has_its_effects_once(void **state) {
    (void)state;
    struct err err;
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_effect effect = {QUEUE_HSET, "contacts", "C1", "{}", 0};
    struct queue_control control = {&kit.entries[0], "contacts", "{}", &effect, 1};
    control_answers = 0;
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(queue_control(kit.queue, &control, 1, on_control, NULL, &err), 0);
        kit_until_u(&kit, &control_answers, i);
        assert_int_equal(control_result, i == 1 ? QUEUE_APPLIED : QUEUE_STALE);
    }
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:contacts", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:contacts", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_kills_workers_is_not_dead_while_its_notice_is_in_flight_but_goes_on),
        TEST(what_kills_workers_is_only_acknowledged_where_its_notice_has_ended),
        TEST(what_kills_workers_is_dead_where_the_notice_of_that_id_is_another_entrys),
        TEST(what_kills_workers_is_dead_where_it_is_no_job_at_all),
        TEST(a_refused_job_is_dead_once_with_its_reason),
        TEST(a_duplicate_is_counted_and_not_a_dead_letter),
        TEST(a_control_job_has_its_effects_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
