/* The blocking side: what reachctl reads. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include "queue/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit;
static struct store *store;
static struct arena arena;
static struct err err;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_open(&kit, &server, "w1", 0);
    arena = ARENA_INIT;
    store = store_open(&kit.settings, &err);
    return store == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    (void)state;
    store_close(store);
    arena_fini(&arena);
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

/* Notices n0.. of the customers C0, C1, C0, C1, ... in the states sent, reached, sent, reached, ... */
static void fill(size_t n) {
    for (size_t i = 0; i < n; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "n%zu", i);
        struct queue_change change = kit_change(&kit, id, 0, i % 2 == 0 ? NOTICE_SENT : NOTICE_REACHED);
        change.customer = i % 2 == 0 ? "C0" : "C1";
        change.record = "{\"r\":1}";
        kit_apply(&kit, &change, 1);
    }
}

static void a_push_tells_how_many_are_in(void **state) {
    (void)state;
    enum { N = 1500 };
    static const char *bodies[N];
    static size_t lens[N];
    size_t done = 0;
    for (size_t i = 0; i < N; i++) {
        bodies[i] = "{}";
        lens[i] = 2;
    }
    assert_int_equal(store_push(store, LANE_BULK, bodies, lens, N, &done, &err), 0);
    assert_int_equal(done, N);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:intake:bulk", NULL), N);
    assert_string_equal(redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "1", NULL), "OK");
    assert_int_equal(store_push(store, LANE_BULK, bodies, lens, 3, &done, &err), -1);
    assert_int_equal(done, 0);
    assert_int_equal(err.code, ERR_REDIS);
    assert_non_null(strstr(err.text, "OOM"));
}

static void no_redis_is_one_clear_line(void **state) {
    (void)state;
    struct queue_settings settings = kit.settings;
    settings.address = "unix:/nonexistent/redis.sock";
    assert_null(store_open(&settings, &err));
    assert_int_equal(err.code, ERR_REDIS);
    assert_non_null(strstr(err.text, settings.address));
    settings.address = "127.0.0.1:1";
    assert_null(store_open(&settings, &err));
    assert_int_equal(err.code, ERR_REDIS);
}

static void a_redis_that_stops_in_between_is_an_error_and_not_a_hang(void **state) {
    (void)state;
    redis_server_kill(&server);
    assert_null(store_status(store, &err));
    assert_int_equal(err.code, ERR_REDIS);
    assert_int_equal(redis_server_again(&server, true), 0);
}

static void a_notice_is_found_with_its_job(void **state) {
    (void)state;
    struct queue_record record;
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENT);
    change.record = "{\"r\":1}";
    change.job_action = QUEUE_JOB_STORE;
    change.job = "{job}";
    change.job_len = 5;
    kit_apply(&kit, &change, 1);
    assert_int_equal(store_notice(store, "n1", &arena, &record, &err), 1);
    assert_int_equal(record.state, NOTICE_SENT);
    assert_string_equal(record.record, "{\"r\":1}");
    assert_string_equal(record.job, "{job}");
    assert_int_equal(store_notice(store, "n2", &arena, &record, &err), 0);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:notices", "n3", "rubbish", NULL), 1);
    assert_int_equal(store_notice(store, "n3", &arena, &record, &err), -1);
}

static void a_customers_notices_come_newest_first(void **state) {
    (void)state;
    fill(7);
    json_t *ids = store_customer_notices(store, "C0", &err);
    assert_int_equal(json_array_size(ids), 4);
    assert_string_equal(json_string_value(json_array_get(ids, 0)), "n6");
    assert_string_equal(json_string_value(json_array_get(ids, 3)), "n0");
    json_decref(ids);
    ids = store_customer_notices(store, "C9", &err);
    assert_int_equal(json_array_size(ids), 0);
    json_decref(ids);
}

static void notices_of_one_batch_and_customer_are_chained_too(void **state) {
    (void)state;
    struct queue_change changes[3] = {kit_change(&kit, "a", 0, NOTICE_SENT), kit_change(&kit, "b", 0, NOTICE_SENT),
                                      kit_change(&kit, "c", 0, NOTICE_SENT)};
    kit_apply(&kit, changes, 3);
    json_t *ids = store_customer_notices(store, "C1", &err);
    assert_int_equal(json_array_size(ids), 3);
    assert_string_equal(json_string_value(json_array_get(ids, 0)), "c");
    assert_string_equal(json_string_value(json_array_get(ids, 2)), "a");
    json_decref(ids);
}

static void a_chain_that_runs_in_a_circle_ends(void **state) {
    (void)state;
    fill(3);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:previous", "n0", "n2", NULL), 1);
    json_t *ids = store_customer_notices(store, "C0", &err);
    assert_int_equal(json_array_size(ids), 2);
    json_decref(ids);
}

static int count_each(void *ctx, const char *id, const struct queue_record *record) {
    size_t *n = ctx;
    assert_non_null(id);
    assert_string_equal(record->record, "{\"r\":1}");
    (*n)++;
    return 0;
}

static void each_notice_of_a_state_is_visited(void **state) {
    (void)state;
    size_t sent = 0, all = 0;
    fill(9);
    assert_int_equal(store_each_notice(store, NOTICE_SENT, count_each, &sent, &err), 0);
    assert_int_equal(store_each_notice(store, NOTICE_STATE_COUNT, count_each, &all, &err), 0);
    assert_int_equal(sent, 5);
    assert_int_equal(all, 9);
}

static void values_are_read_without_the_prefix(void **state) {
    (void)state;
    const char *value = NULL;
    const char *keys[] = {"clearance:{a}", "clearance:{b}"};
    const char *values[2];
    (void)redis_server_ask(&server, "SET", "reach:clearance:{a}", "{}", NULL);
    (void)redis_server_ask(&server, "HSET", "reach:contacts", "C1", "{\"id\":\"C1\"}", NULL);
    assert_int_equal(store_get(store, "clearance:{a}", &arena, &value, &err), 1);
    assert_string_equal(value, "{}");
    assert_int_equal(store_get(store, "clearance:{b}", &arena, &value, &err), 0);
    assert_int_equal(store_get(store, "contacts", &arena, &value, &err), -1);
    assert_int_equal(store_get_many(store, keys, 2, &arena, values, &err), 0);
    assert_string_equal(values[0], "{}");
    assert_null(values[1]);
    assert_int_equal(store_customer(store, "C1", &arena, &value, &err), 1);
    assert_string_equal(value, "{\"id\":\"C1\"}");
    assert_int_equal(store_hget(store, "contacts", "C2", &arena, &value, &err), 0);
    json_t *hash = store_hash(store, "contacts", &err);
    assert_string_equal(json_string_value(json_object_get(hash, "C1")), "{\"id\":\"C1\"}");
    json_decref(hash);
    hash = store_hash(store, "nothing", &err);
    assert_int_equal(json_object_size(hash), 0);
    json_decref(hash);
}

static json_int_t lane(const char *name, const char *member) {
    json_t *status = store_status(store, &err);
    assert_non_null(status);
    json_int_t n = json_integer_value(json_object_get(json_object_get(json_object_get(status, "lanes"), name), member));
    json_decref(status);
    return n;
}

static void the_lanes_show_what_waits_what_is_pending_and_how_old_it_is(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 5);
    kit_push(&kit.settings, LANE_BULK, 3);
    assert_int_equal(lane("urgent", "waiting"), 5);
    assert_int_equal(lane("bulk", "waiting"), 3);
    queue_set_room(kit.queue, 2);
    kit_until_n(&kit, &kit.n_entries, 2);
    assert_int_equal(lane("urgent", "waiting"), 3);
    assert_int_equal(lane("urgent", "pending"), 2);
    kit_run(&kit, 30);
    json_int_t age = lane("urgent", "oldest_ms");
    assert_true(age >= 30 && age < 60000);
    assert_int_equal(redis_server_number(&server, "DEL", "reach:intake:bulk", NULL), 1);
    assert_int_equal(lane("bulk", "waiting"), 0);
    assert_int_equal(lane("bulk", "oldest_ms"), 0);
}

static void waiting_is_right_although_redis_has_lost_count(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 5);
    (void)redis_server_ask(&server, "XADD", "reach:intake", "99999999999999-1", "job", "{}", NULL);
    assert_int_equal(redis_server_number(&server, "XDEL", "reach:intake", "99999999999999-1", NULL), 1);
    assert_int_equal(lane("urgent", "waiting"), 5);
}

static void a_record_deleted_by_hand_is_unaccounted_and_named(void **state) {
    (void)state;
    fill(6);
    json_t *audit = store_audit(store, &err);
    assert_int_equal(json_integer_value(json_object_get(audit, "unaccounted")), 0);
    assert_int_equal(json_integer_value(json_object_get(audit, "records")), 6);
    assert_int_equal(json_array_size(json_object_get(audit, "ids")), 0);
    assert_true(json_is_true(json_object_get(audit, "still")));
    json_decref(audit);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:notices", "n3", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 1);
    audit = store_audit(store, &err);
    assert_int_equal(json_integer_value(json_object_get(audit, "unaccounted")), 1);
    assert_int_equal(json_array_size(json_object_get(audit, "ids")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(audit, "ids"), 0)), "n3");
    json_decref(audit);
}

static void a_counter_changed_by_hand_is_unaccounted(void **state) {
    (void)state;
    fill(2);
    assert_int_equal(redis_server_number(&server, "HINCRBY", "reach:counters", "accepted", "3", NULL), 5);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 3);
}

static void a_state_changed_by_hand_is_found_by_the_audit(void **state) {
    (void)state;
    fill(4);
    char text[64];
    (void)snprintf(text, sizeof text, "%s", redis_server_ask(&server, "HGET", "reach:notices", "n0", NULL));
    text[0] = 'n';
    assert_int_equal(redis_server_number(&server, "HSET", "reach:notices", "n0", text, NULL), 0);
    json_t *audit = store_audit(store, &err);
    assert_int_equal(json_integer_value(json_object_get(audit, "unaccounted")), 1);
    json_decref(audit);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:audit", NULL), 0);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:audit", " by", "reachd", NULL),
                     1); /* reachd is counting: the walk has to do */
    audit = store_audit(store, &err);
    assert_int_equal(json_integer_value(json_object_get(audit, "unaccounted")), 1);
    json_decref(audit);
}

static void a_record_that_says_two_states_is_named(void **state) {
    (void)state;
    struct queue_change change = kit_change(&kit, "two", 0, NOTICE_REACHED);
    change.record = "{\"s\":\"R\"}";
    kit_apply(&kit, &change, 1);
    char text[64];
    (void)snprintf(text, sizeof text, "E%s", redis_server_ask(&server, "HGET", "reach:notices", "two", NULL) + 1);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:notices", "two", text, NULL), 0);
    json_t *audit = store_audit(store, &err);
    assert_int_equal(json_integer_value(json_object_get(audit, "unaccounted")), 1); /* from one final state to another */
    assert_int_equal(json_array_size(json_object_get(audit, "ids")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(audit, "ids"), 0)), "two");
    assert_true(json_is_true(json_object_get(audit, "still")));
    json_decref(audit);
}

static int note_customer(void *ctx, const char *customer, const char *text, size_t len) {
    char *list = ctx;
    assert_int_equal(strlen(text), len);
    (void)snprintf(list + strlen(list), 64 - strlen(list), "%s=%s ", customer, text);
    return 0;
}

static void an_entry_of_the_book_is_written_only_over_the_one_that_was_seen(void **state) {
    (void)state;
    struct store_customer_put puts[] = {{"C1", NULL, "one", false, NULL, false}, {"C2", "old", "two", false, NULL, false}};
    assert_int_equal(store_customers_put(store, puts, 2, 5, &err), 0);
    assert_true(puts[0].written);
    assert_false(puts[1].written);
    struct store_customer_put again[] = {{"C1", "one", "three", false, NULL, false}};
    assert_int_equal(store_customers_put(store, again, 1, 5, &err), 0);
    assert_true(again[0].written);
    const char *ids[] = {"C1", "C2"}, *texts[2];
    assert_int_equal(store_customers_get(store, ids, 2, &arena, texts, &err), 0);
    assert_string_equal(texts[0], "three");
    assert_null(texts[1]);
    char list[64] = "";
    assert_int_equal(store_each_customer(store, note_customer, list, &err), 0);
    assert_string_equal(list, "C1=three ");
}

static void only_a_record_that_says_enough_and_is_not_over_allows(void **state) {
    (void)state;
    static const struct {
        const char *value;
        bool allowed;
    } cases[] = {
        {"{\"granted_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":\"2999-12-31T23:59:59.120Z\",\"notice\":\"n1\"}", true},
        {"{\"granted_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":\"2020-02-29T00:00:00Z\",\"notice\":\"n1\"}", false},
        {"{\"granted_at\":\"2026-01-01T00:00:00Z\",\"notice\":\"n1\"}", false},
        {"{\"granted_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":\"9999\",\"notice\":\"n1\"}", false},
        {"{\"granted_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":\"2999-12-31T23:59:59+01:00\",\"notice\":\"n1\"}", false},
        {"{\"expires_at\":\"2999-12-31T23:59:59Z\",\"notice\":\"n1\"}", false},
        {"yes", false},
        {"[]", false},
    };
    const char *keys[sizeof cases / sizeof *cases + 1];
    bool allowed[sizeof cases / sizeof *cases + 1];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        keys[i] = arena_printf(&arena, "clearance:{%zu}", i);
        assert_string_equal(redis_server_ask(&server, "SET", arena_printf(&arena, "reach:%s", keys[i]), cases[i].value, NULL), "OK");
    }
    keys[sizeof cases / sizeof *cases] = "clearance:{nobody}";
    assert_string_equal(redis_server_ask(&server, "FUNCTION", "FLUSH", NULL), "OK"); /* it is loaded where it is not there */
    assert_int_equal(store_allowed(store, keys, sizeof keys / sizeof *keys, allowed, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(allowed[i], cases[i].allowed);
    }
    assert_false(allowed[sizeof cases / sizeof *cases]);
}

/* The function's own calendar against the C library's, today. */
static void a_clearance_ends_in_its_very_second(void **state) {
    (void)state;
    const char *key = "clearance:{a}";
    for (int more_s = -2; more_s <= 30; more_s += 32) {
        char at[32];
        bool allowed;
        time_t when = time(NULL) + more_s;
        struct tm parts;
        assert_non_null(gmtime_r(&when, &parts));
        assert_true(strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0);
        const char *value = arena_printf(&arena, "{\"granted_at\":\"x\",\"notice\":\"n\",\"expires_at\":\"%s\"}", at);
        assert_string_equal(redis_server_ask(&server, "SET", "reach:clearance:{a}", value, NULL), "OK");
        assert_int_equal(store_allowed(store, &key, 1, &allowed, &err), 0);
        assert_int_equal(allowed, more_s > 0);
    }
}

static void a_new_contact_point_has_the_waiting_notices_looked_at_again(void **state) {
    (void)state;
    struct queue_change changes[2] = {kit_change(&kit, "n1", 0, NOTICE_STRANDED), kit_change(&kit, "n2", 0, NOTICE_REACHED)};
    kit_apply(&kit, changes, 2);
    struct store_customer_put puts[] = {{"C1", NULL, "one", true, NULL, false}};
    assert_int_equal(store_customers_put(store, puts, 1, 5, &err), 0);
    assert_string_equal(redis_server_ask(&server, "ZSCORE", "reach:due", "n1", NULL), "5");
    assert_string_equal(redis_server_ask(&server, "ZSCORE", "reach:due", "n2", NULL), "(nil)");
}

static void a_field_is_changed_only_where_it_is_what_was_seen(void **state) {
    (void)state;
    assert_int_equal(store_hset_if(store, "desk", "n1", NULL, "open", &err), 1);
    assert_int_equal(store_hset_if(store, "desk", "n1", NULL, "open", &err), 0);
    assert_int_equal(store_hset_if(store, "desk", "n1", "open", "claimed by Ada", &err), 1);
    assert_int_equal(store_hset_if(store, "desk", "n1", "open", "claimed by Bob", &err), 0);
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:desk", "n1", NULL), "claimed by Ada");
    assert_int_equal(store_hset_if(store, "desk", "n1", "claimed by Ada", NULL, &err), 1);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:desk", NULL), 0);
}

static void the_server_tells_what_doctor_asks(void **state) {
    (void)state;
    json_t *about = store_server(store, &err);
    assert_string_equal(json_string_value(json_object_get(about, "aof_enabled")), "1");
    assert_string_equal(json_string_value(json_object_get(about, "maxmemory_policy")), "noeviction");
    assert_string_equal(json_string_value(json_object_get(about, "role")), "master");
    assert_non_null(json_object_get(about, "redis_version"));
    json_decref(about);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_push_tells_how_many_are_in),
        TEST(no_redis_is_one_clear_line),
        TEST(a_redis_that_stops_in_between_is_an_error_and_not_a_hang),
        TEST(a_notice_is_found_with_its_job),
        TEST(a_customers_notices_come_newest_first),
        TEST(notices_of_one_batch_and_customer_are_chained_too),
        TEST(a_chain_that_runs_in_a_circle_ends),
        TEST(each_notice_of_a_state_is_visited),
        TEST(values_are_read_without_the_prefix),
        TEST(the_lanes_show_what_waits_what_is_pending_and_how_old_it_is),
        TEST(waiting_is_right_although_redis_has_lost_count),
        TEST(a_record_deleted_by_hand_is_unaccounted_and_named),
        TEST(a_counter_changed_by_hand_is_unaccounted),
        TEST(a_state_changed_by_hand_is_found_by_the_audit),
        TEST(a_record_that_says_two_states_is_named),
        TEST(an_entry_of_the_book_is_written_only_over_the_one_that_was_seen),
        TEST(only_a_record_that_says_enough_and_is_not_over_allows),
        TEST(a_clearance_ends_in_its_very_second),
        TEST(a_new_contact_point_has_the_waiting_notices_looked_at_again),
        TEST(a_field_is_changed_only_where_it_is_what_was_seen),
        TEST(the_server_tells_what_doctor_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
