/* record: what is written is read again, and the timeline stays bounded. */
#include "dispatcher/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void fill(struct record *record, struct arena *arena) {
    const char **accounts = arena_array(arena, 1, sizeof *accounts);
    static const char *domains[] = {"walton.example"};
    accounts[0] = "ada@walton.example";
    *record = (struct record){.customer = "C1",
                              .notice = "mail-password-disabled",
                              .accounts = {accounts, 1},
                              .accepted_at_ms = 1000,
                              .expires_at_ms = 5000,
                              .suspect_since_ms = 900,
                              .domains = {domains, 1},
                              .route = "security",
                              .digest = "d",
                              .origin = "0/1-1",
                              .verdict = "weak",
                              .why = "a \"reason\"",
                              .version = "v2",
                              .addressed = {.name = "Ada", .time_zone = "Europe/London", .locale = "en-GB"},
                              .data = "{\"a\":\"b\"}",
                              .banner = true,
                              .desk = true};
    static const char *logins[] = {"aa", "bb"};
    record->logins = (struct address_list){logins, 2};
    record->login_ref = "cc";
    struct record_try *t = record_try_get(record, arena, 2, "00112233445566aa");
    t->plan.attempts = 3;
    t->plan.last = OUTCOME_RETRY;
    t->plan.best = EVIDENCE_DELIVERED;
    t->plan.early_warning = true;
    t->plan.failed_later = true;
    t->plan.first_at_ms = 11;
    t->plan.last_at_ms = 12;
    t->plan.retry_at_ms = 13;
    t->channel = "sms";
    t->gateway = "sms-main";
    t->to = "••01";
    t->code = "21211";
    t->why = "refused";
    t->ref = "SM1";
    t->check = "0123456789abcdef";
    t->key_mark = "fedcba9876543210";
    t->version = "v1";
    t->made_at_ms = 12;
    t = record_try_get(record, arena, 3, "00112233445566bb"); /* as usual: of the newest version, at the first attempt */
    t->plan.first_at_ms = 14;
    t->check = "fedcba9876543210";
    t->version = "v2";
    t->made_at_ms = 14;
    assert_non_null(record_try_get(record, arena, 4, "00112233445566cc")); /* nothing was made */
    assert_int_equal(record_log(record, arena, 1000, "accepted", NULL), 0);
    assert_int_equal(record_log(record, arena, 1001, "sending", "sms through sms-main"), 0);
}

static void what_is_written_is_read_again(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct buf first = BUF_INIT;
    struct buf second = BUF_INIT;
    struct record record;
    struct record again;
    struct err err;
    fill(&record, &arena);
    record_write(&record, NOTICE_SENT, &first);
    assert_int_equal(record_read(buf_str(&first), &arena, &again, &err), 0);
    record_write(&again, NOTICE_SENT, &second);
    assert_string_equal(buf_str(&first), buf_str(&second));
    assert_int_equal(again.n_tries, 3);
    assert_string_equal(again.tries[0].version, "v1");
    assert_int_equal(again.tries[0].made_at_ms, 12);
    assert_string_equal(again.tries[0].key_mark, "fedcba9876543210");
    assert_null(again.tries[1].key_mark);
    assert_string_equal(again.tries[1].version, "v2");
    assert_int_equal(again.tries[1].made_at_ms, 14);
    assert_null(again.tries[2].version);
    assert_string_equal(again.addressed.time_zone, "Europe/London");
    assert_string_equal(again.data, "{\"a\":\"b\"}");
    assert_memory_equal(&again.tries[0].plan, &record.tries[0].plan, sizeof again.tries[0].plan);
    assert_string_equal(again.tries[0].to, "••01");
    assert_int_equal(again.n_log, 2);
    assert_int_equal(again.suspect_since_ms, 900);
    assert_string_equal(again.domains.items[0], "walton.example");
    assert_true(again.desk);
    assert_true(again.banner);
    assert_string_equal(again.login_ref, "cc");
    assert_int_equal(again.logins.n, 2);
    assert_string_equal(again.logins.items[1], "bb");
    assert_false(again.cleared);
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
}

/* The release is refused while a record's text says "hold":true (queue/lua/effects.lua). */
static void what_a_producer_sends_does_not_look_like_a_hold(void **state) {
    (void)state;
    static const char data[] = "{\"hold\":true,\"in\":{\"hold\":true}}";
    struct arena arena = ARENA_INIT;
    struct buf text = BUF_INIT;
    struct record record;
    struct record again;
    struct err err;
    fill(&record, &arena);
    record.data = data;
    record_write(&record, NOTICE_REACHED, &text);
    assert_null(strstr(buf_str(&text), "\"hold\":true"));
    assert_int_equal(record_read(buf_str(&text), &arena, &again, &err), 0);
    assert_string_equal(again.data, data);
    assert_false(again.held);
    buf_reset(&text);
    record.held = true;
    record_write(&record, NOTICE_REACHED, &text);
    assert_non_null(strstr(buf_str(&text), "\"hold\":true"));
    buf_fini(&text);
    arena_fini(&arena);
}

static void a_try_is_found_by_step_and_contact(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct record record = {0};
    struct record_try *a = record_try_get(&record, &arena, 0, "aaaaaaaaaaaaaaaa");
    a->plan.attempts = 7;
    (void)record_try_get(&record, &arena, 1, "aaaaaaaaaaaaaaaa");
    assert_int_equal(record.n_tries, 2);
    assert_int_equal(record_try_get(&record, &arena, 0, "aaaaaaaaaaaaaaaa")->plan.attempts, 7);
    assert_int_equal(record.n_tries, 2);
    arena_fini(&arena);
}

static void the_timeline_keeps_its_first_line_and_the_newest(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct record record = {0};
    for (int i = 0; i < RECORD_LOG_MAX + 10; i++) {
        assert_int_equal(record_log(&record, &arena, i, i == 0 ? "accepted" : "sending", NULL), 0);
    }
    assert_int_equal(record.n_log, RECORD_LOG_MAX);
    assert_string_equal(record.log[0].what, "accepted");
    assert_int_equal(record.log[1].at_ms, 11);
    assert_int_equal(record.log[RECORD_LOG_MAX - 1].at_ms, RECORD_LOG_MAX + 9);
    arena_fini(&arena);
}

/* A notice as most end: one mail, taken at once. */
static void fill_usual(struct record *record, struct arena *arena) {
    const int64_t at_ms = INT64_C(1795666840571);
    static const char *accounts[] = {"ada@walton.example"};
    *record = (struct record){.customer = "C12345",
                              .notice = "mail-password-disabled",
                              .accounts = {accounts, 1},
                              .n_own = 1,
                              .accepted_at_ms = at_ms,
                              .promise_at_ms = at_ms + 1800000,
                              .route = "security",
                              .digest = "b6c6ac47660c5cca4f389862344e984e",
                              .origin = "0/1795666840536-0",
                              .verdict = "reachable",
                              .why = "sent by email",
                              .locale = "en",
                              .version = "7403fdff3efa8889362ab1abcc1eba41cf5a025a0e2e832b05f444203aa91a76",
                              .addressed = {.name = "Ada Lovelace", .locale = "en-GB"},
                              .data = "{\"reset_url\":\"https://walton.example/reset\",\"n\":[1,2.5,null]}",
                              .cleared = true};
    struct record_try *t = record_try_get(record, arena, 0, "e1666236335396e8");
    t->plan =
        (struct plan_try){.attempts = 2, .last = OUTCOME_SENT, .best = EVIDENCE_SENT, .first_at_ms = at_ms, .last_at_ms = at_ms + 900};
    (void)snprintf(t->plan.contact_key, sizeof t->plan.contact_key, "e1666236335396e8");
    t->channel = "email";
    t->gateway = "relay";
    t->to = "a••@example.org";
    t->code = "250 2.0.0";
    t->why = "kept as 1";
    t->ref = "c1fa5df9e7ce4dc948f8a6d7080866ba";
    t->check = "81861950188c1acd";
    t->version = record->version;
    t->made_at_ms = at_ms;
    assert_int_equal(record_log(record, arena, at_ms, "accepted", NULL), 0);
    assert_int_equal(record_log(record, arena, at_ms, "sending", "email through relay, attempt 1"), 0);
    assert_int_equal(record_log(record, arena, at_ms + 5, "retry", "relay: come back later"), 0);
    assert_int_equal(record_log(record, arena, at_ms + 890, "sending", "email through relay, attempt 2"), 0);
    assert_int_equal(record_log(record, arena, at_ms + 900, "sent", "relay: kept as 1"), 0);
    assert_int_equal(record_log(record, arena, at_ms + 900, "reached", "sent by email"), 0);
}

static void the_timeline_takes_little_room_and_says_all(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct buf text = BUF_INIT;
    struct record record, again;
    struct err err;
    fill_usual(&record, &arena);
    record_write(&record, NOTICE_REACHED, &text);
    assert_in_range(text.len, 400, 790); /* 990 where the timeline says everything a second time */
    assert_non_null(strstr(buf_str(&text), "{\"s\":\"R\","));
    assert_non_null(strstr(buf_str(&text),
                           "[[0,\"accepted\"],[0,\"sending\",1],[5,\"retry\",\"relay: come back later\"],[890,\"sending\",2],"
                           "[900,\"sent\",0],[900,\"reached\",0]]"));
    assert_int_equal(record_read(buf_str(&text), &arena, &again, &err), 0);
    assert_int_equal(again.n_log, record.n_log);
    for (size_t i = 0; i < record.n_log; i++) {
        assert_int_equal(again.log[i].at_ms, record.log[i].at_ms);
        assert_string_equal(again.log[i].what, record.log[i].what);
        assert_true((again.log[i].detail == NULL) == (record.log[i].detail == NULL));
        assert_string_equal(again.log[i].detail == NULL ? "" : again.log[i].detail,
                            record.log[i].detail == NULL ? "" : record.log[i].detail);
    }
    assert_memory_equal(&again.tries[0].plan, &record.tries[0].plan, sizeof again.tries[0].plan);
    assert_int_equal(again.promise_at_ms, record.promise_at_ms);
    assert_int_equal(again.effective_at_ms, 0);
    assert_string_equal(again.digest, record.digest);
    assert_string_equal(again.version, record.version);
    assert_string_equal(again.tries[0].version, record.version);
    assert_string_equal(again.data, record.data);
    buf_fini(&text);
    arena_fini(&arena);
}

/* Details that look alike are not taken for one another. */
static void a_detail_that_stands_nowhere_else_is_written(void **state) {
    (void)state;
    static const char *const details[][2] = {
        {"sending", "email through relay, attempt "},
        {"sending", "email through relay, attempt 01"},
        {"sending", "email through relay, attempt 1000"},
        {"sending", "email through relay2, attempt 1"},
        {"sent", "relay: kept as 12"},
        {"sent", "relay kept as 1"},
        {"reached", "sent by email "},
        {"reached", ""},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
        struct buf text = BUF_INIT;
        struct record record, again;
        struct err err;
        fill_usual(&record, &arena);
        record.log[1].what = details[i][0];
        record.log[1].detail = details[i][1];
        record.log[1].at_ms = 12345; /* and a time that is far from the others */
        record_write(&record, NOTICE_REACHED, &text);
        assert_int_equal(record_read(buf_str(&text), &arena, &again, &err), 0);
        assert_string_equal(again.log[1].detail, details[i][1]);
        buf_fini(&text);
    }
    arena_fini(&arena);
}

static void a_hash_is_read_as_it_was_written(void **state) {
    (void)state;
    static const char *const texts[] = {"d",
                                        "v2",
                                        "",
                                        "*",

                                        "*not base64!",
                                        "0",
                                        "00",
                                        "ff00",
                                        "00ff11",
                                        "ABCDEF",
                                        "0123456789abcdef0123456789abcdef",
                                        "7403fdff3efa8889362ab1abcc1eba41cf5a025a0e2e832b05f444203aa91a76",
                                        "7403fdff3efa8889362ab1abcc1eba41cf5a025a0e2e832b05f444203aa91a760123456789abcdef"};
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf text = BUF_INIT;
        struct record again;
        struct err err;
        struct record record = {.customer = "C1", .notice = "x", .digest = texts[i], .version = texts[i]};
        record_write(&record, NOTICE_SENT, &text);
        assert_int_equal(record_read(buf_str(&text), &arena, &again, &err), 0);
        assert_non_null(again.digest);
        assert_string_equal(again.digest, texts[i]);
        assert_string_equal(again.version, texts[i]);
        buf_fini(&text);
    }
    arena_fini(&arena);
}

static void a_record_of_an_earlier_version_is_read(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct record record;
    struct err err;
    assert_int_equal(
        record_read("{\"c\":\"C1\",\"n\":\"x\",\"at\":1795300000000,\"prom\":1795301800000,\"data\":\"{\\\"a\\\":1}\",\"a\":[],"
                    "\"tries\":[{\"s\":0,\"k\":\"0123456789abcdef\",\"first\":1795300000001,\"at\":1795300000002}],"
                    "\"log\":[[1795300000000,\"accepted\"],[1795300000003,\"reached\",\"sent by email\"]]}",
                    &arena, &record, &err),
        0);
    assert_int_equal(record.promise_at_ms, INT64_C(1795301800000));
    assert_int_equal(record.tries[0].plan.first_at_ms, INT64_C(1795300000001));
    assert_int_equal(record.log[1].at_ms, INT64_C(1795300000003));
    assert_string_equal(record.log[1].detail, "sent by email");
    assert_string_equal(record.data, "{\"a\":1}");
    arena_fini(&arena);
}

static void a_damaged_record_is_told(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct record record;
    struct err err;
    assert_int_equal(record_read("{\"c\":", &arena, &record, &err), -1);
    assert_int_equal(err.code, ERR_SYNTAX);
    assert_int_equal(record_read("[]", &arena, &record, &err), -1);
    assert_int_equal(record_read("{\"n\":\"x\"}", &arena, &record, &err), -1);
    arena_fini(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_a_producer_sends_does_not_look_like_a_hold),
        cmocka_unit_test(a_try_is_found_by_step_and_contact),
        cmocka_unit_test(the_timeline_keeps_its_first_line_and_the_newest),
        cmocka_unit_test(the_timeline_takes_little_room_and_says_all),
        cmocka_unit_test(a_detail_that_stands_nowhere_else_is_written),
        cmocka_unit_test(a_hash_is_read_as_it_was_written),
        cmocka_unit_test(a_record_of_an_earlier_version_is_read),
        cmocka_unit_test(a_damaged_record_is_told),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
