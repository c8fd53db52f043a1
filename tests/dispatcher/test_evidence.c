/* evidence: what a receipt changes, whatever the order and however often it comes. */
#include "dispatcher/evidence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct record_try tries_template[] = {
    {.plan = {.step = 0, .contact_key = "a", .last = OUTCOME_SENT, .best = EVIDENCE_SENT, .last_at_ms = 10},
     .channel = "email",
     .gateway = "mail",
     .ref = "m1"},
    {.plan = {.step = 1, .contact_key = "b", .last = OUTCOME_SENT, .best = EVIDENCE_SENT, .last_at_ms = 20},
     .channel = "sms",
     .gateway = "sms",
     .ref = "s1"},
    {.plan = {.step = 2, .contact_key = "c", .last = OUTCOME_SENT, .best = EVIDENCE_SENT, .last_at_ms = 15},
     .channel = "banner",
     .gateway = "banner"},
    {.plan = {.step = 3, .contact_key = "d", .last = OUTCOME_REJECTED, .last_at_ms = 30}, .channel = "push", .gateway = "push"},
};

enum { EMAIL, SMS, BANNER, PUSH, NOBODY = -1 };

static const struct evidence_case {
    const char *name;
    struct receipt receipt;
    enum evidence_effect effect;
    int touched; /* index of the try that may change */
    enum evidence best;
    bool failed_later;
} cases[] = {
    {"delivered by ref", {.gateway = "mail", .ref = "m1", .status = RECEIPT_DELIVERED}, EVIDENCE_BETTER, EMAIL, EVIDENCE_DELIVERED, false},
    {"ref of another gateway", {.gateway = "sms", .ref = "m1", .status = RECEIPT_DELIVERED}, EVIDENCE_NO_TRY, NOBODY, EVIDENCE_SENT, false},
    {"bounced by ref", {.gateway = "mail", .ref = "m1", .status = RECEIPT_BOUNCED}, EVIDENCE_WITHDRAWN, EMAIL, EVIDENCE_SENT, true},
    {"seen by notice goes to the banner", {.notice = "n", .status = RECEIPT_SEEN}, EVIDENCE_BETTER, BANNER, EVIDENCE_SEEN, false},
    {"dismissed is seen", {.notice = "n", .status = RECEIPT_DISMISSED}, EVIDENCE_BETTER, BANNER, EVIDENCE_SEEN, false},
    {"acknowledged goes to the newest sent",
     {.notice = "n", .status = RECEIPT_ACKNOWLEDGED},
     EVIDENCE_BETTER,
     SMS,
     EVIDENCE_ACKNOWLEDGED,
     false},
    {"failed by notice hits the newest sent", {.notice = "n", .status = RECEIPT_FAILED}, EVIDENCE_WITHDRAWN, SMS, EVIDENCE_SENT, true},
};

static void each_receipt_changes_the_try_it_is_about_and_only_that(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record_try tries[4];
        memcpy(tries, tries_template, sizeof tries);
        struct record record = {.tries = tries, .n_tries = 4};
        enum evidence_effect effect = evidence_apply(&record, &cases[i].receipt, 100);
        if (effect != cases[i].effect) {
            fail_msg("%s: effect %d", cases[i].name, (int)effect);
        }
        for (int k = 0; k < 4; k++) {
            if (k == cases[i].touched) {
                if (tries[k].plan.best != cases[i].best || tries[k].plan.failed_later != cases[i].failed_later) {
                    fail_msg("%s: best %d, failed later %d", cases[i].name, (int)tries[k].plan.best, tries[k].plan.failed_later);
                }
            } else if (memcmp(&tries[k], &tries_template[k], sizeof tries[k]) != 0) {
                fail_msg("%s: try %d was touched", cases[i].name, k);
            }
        }
        assert_int_not_equal(evidence_apply(&record, &cases[i].receipt, 100), EVIDENCE_BETTER); /* the second time it says nothing new */
    }
}

static void whoever_has_seen_a_message_has_received_it(void **state) {
    (void)state;
    struct record_try tries[1] = {tries_template[EMAIL]};
    struct record record = {.tries = tries, .n_tries = 1};
    struct receipt bounced = {.notice = "n", .status = RECEIPT_BOUNCED};
    struct receipt seen = {.gateway = "mail", .ref = "m1", .status = RECEIPT_SEEN};
    assert_int_equal(evidence_apply(&record, &bounced, 1), EVIDENCE_WITHDRAWN);
    assert_int_equal(evidence_apply(&record, &bounced, 1), EVIDENCE_NOTHING);
    assert_int_equal(evidence_apply(&record, &seen, 2), EVIDENCE_BETTER);
    assert_false(tries[0].plan.failed_later);
    assert_int_equal(evidence_apply(&record, &bounced, 3), EVIDENCE_NOTHING);
    assert_int_equal(tries[0].plan.best, EVIDENCE_SEEN);
}

static void a_delivery_report_ends_the_doubt_about_an_unknown_outcome(void **state) {
    (void)state;
    struct record_try tries[1] = {{.plan = {.last = OUTCOME_UNKNOWN, .retry_at_ms = 99}, .channel = "sms", .gateway = "sms"}};
    struct record record = {.tries = tries, .n_tries = 1};
    struct receipt delivered = {.notice = "n", .status = RECEIPT_DELIVERED};
    assert_int_equal(evidence_apply(&record, &delivered, 50), EVIDENCE_BETTER);
    assert_int_equal(tries[0].plan.last, OUTCOME_SENT);
    assert_int_equal(tries[0].plan.retry_at_ms, 0);
}

static const struct bad_receipt {
    const char *text;
    const char *member;
} bad_receipts[] = {
    {"{\"status\":\"seen\",\"notice\":\"n\"}", "v"},
    {"{\"v\":1,\"notice\":\"n\"}", "status"},
    {"{\"v\":1,\"notice\":\"n\",\"status\":\"read\"}", "status"},
    {"{\"v\":1,\"status\":\"seen\"}", "notice"},
    {"{\"v\":1,\"status\":\"seen\",\"gateway\":\"sms\"}", "notice"},
    {"{\"v\":1,\"status\":\"seen\",\"notice\":\"n\",\"when\":1}", "when"},
    {"{\"v\":1,\"status\":\"seen\",\"notice\":\"n\",\"at\":\"now\"}", "at"},
    {"[]", ""},
    {"{", ""},
};

static void a_receipt_that_cannot_be_read_names_its_member(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof bad_receipts / sizeof *bad_receipts; i++) {
        struct receipt receipt;
        struct err err;
        assert_int_equal(receipt_parse(bad_receipts[i].text, strlen(bad_receipts[i].text), &arena, &receipt, &err), -1);
        assert_string_equal(err.member, bad_receipts[i].member);
        assert_string_not_equal(err.text, "");
    }
    arena_fini(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_receipt_changes_the_try_it_is_about_and_only_that),
        cmocka_unit_test(whoever_has_seen_a_message_has_received_it),
        cmocka_unit_test(a_delivery_report_ends_the_doubt_about_an_unknown_outcome),
        cmocka_unit_test(a_receipt_that_cannot_be_read_names_its_member),
    };
    return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
