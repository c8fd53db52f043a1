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
    record_write(&record, &first);
    assert_int_equal(record_read(buf_str(&first), &arena, &again, &err), 0);
    record_write(&again, &second);
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
        cmocka_unit_test(a_try_is_found_by_step_and_contact),
        cmocka_unit_test(the_timeline_keeps_its_first_line_and_the_newest),
        cmocka_unit_test(a_damaged_record_is_told),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
