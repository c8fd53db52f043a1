/* test_outcome: an outcome always has a reason, and the reason is one line. */
#include "base/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void an_outcome_starts_clean(void **state) {
    (void)state;
    struct outcome outcome;
    memset(&outcome, 'x', sizeof outcome);
    outcome_set(&outcome, OUTCOME_RETRY, BLAME_GATEWAY, "451", "greylisted, code %d", 451);
    assert_int_equal(outcome.kind, OUTCOME_RETRY);
    assert_int_equal(outcome.blame, BLAME_GATEWAY);
    assert_int_equal(outcome.retry_after_ms, -1);
    assert_string_equal(outcome.code, "451");
    assert_string_equal(outcome.ref, "");
    assert_string_equal(outcome.reason, "greylisted, code 451");
}

static void a_reason_is_never_empty(void **state) {
    (void)state;
    static const struct {
        enum outcome_kind kind;
        const char *reason;
    } cases[] = {
        {OUTCOME_SENT, "sent without a reason"},
        {OUTCOME_RETRY, "retry without a reason"},
        {OUTCOME_REJECTED, "rejected without a reason"},
        {OUTCOME_UNKNOWN, "unknown without a reason"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome;
        outcome_set(&outcome, cases[i].kind, BLAME_NONE, NULL, "%s", "");
        assert_string_equal(outcome.reason, cases[i].reason);
        assert_string_equal(outcome.code, "");
    }
}

static void foreign_text_stays_on_one_line(void **state) {
    (void)state;
    struct outcome outcome;
    outcome_set(&outcome, OUTCOME_REJECTED, BLAME_CONTACT, "5\r\n50", "%s", "no\r\nsuch\x1b[31muser");
    assert_string_equal(outcome.code, "5  50");
    assert_string_equal(outcome.reason, "no  such [31muser");
}

static void long_texts_are_cut(void **state) {
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct outcome outcome;
    outcome_set(&outcome, OUTCOME_UNKNOWN, BLAME_GATEWAY, text, "%s", text);
    assert_int_equal(strlen(outcome.code), sizeof outcome.code - 1);
    assert_int_equal(strlen(outcome.reason), sizeof outcome.reason - 1);
}

static void every_kind_has_its_name(void **state) {
    (void)state;
    assert_string_equal(outcome_name(OUTCOME_SENT), "sent");
    assert_string_equal(outcome_name(OUTCOME_RETRY), "retry");
    assert_string_equal(outcome_name(OUTCOME_REJECTED), "rejected");
    assert_string_equal(outcome_name(OUTCOME_UNKNOWN), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outcome_starts_clean),        cmocka_unit_test(a_reason_is_never_empty),
        cmocka_unit_test(foreign_text_stays_on_one_line), cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(every_kind_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
