/* test_notice: the tables behind the lists of channels, contact statuses and states. */
#include "base/notice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_channel_is_found_by_its_name(void **state) {
    (void)state;
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        enum channel_id found = CHANNEL_COUNT;
        const char *name = channel_traits((enum channel_id)i)->name;
        assert_int_equal(channel_find(name, &found), 1);
        assert_int_equal(found, i);
    }
    enum channel_id found;
    assert_int_equal(channel_find("pigeon", &found), 0);
    assert_int_equal(channel_find("", &found), 0);
    assert_int_equal(channel_find("Email", &found), 0);
}

static void only_the_banner_waits_for_the_customer(void **state) {
    (void)state;
    assert_false(channel_traits(CHANNEL_EMAIL)->passive);
    assert_false(channel_traits(CHANNEL_SMS)->passive);
    assert_false(channel_traits(CHANNEL_PUSH)->passive);
    assert_true(channel_traits(CHANNEL_BANNER)->passive);
    assert_int_equal(channel_traits(CHANNEL_EMAIL)->address, ADDRESS_MAILBOX);
    assert_int_equal(channel_traits(CHANNEL_SMS)->address, ADDRESS_E164);
}

static void every_contact_status_is_found_by_its_name(void **state) {
    (void)state;
    enum contact_status found = CONTACT_STATUS_COUNT;
    for (int i = 0; i < CONTACT_STATUS_COUNT; i++) {
        assert_int_equal(contact_status_find(contact_status_name((enum contact_status)i), &found), 1);
        assert_int_equal(found, i);
    }
    assert_int_equal(contact_status_find("dead", &found), 0);
}

static void every_state_is_found_by_letter_and_by_name(void **state) {
    (void)state;
    enum notice_state found = NOTICE_STATE_COUNT;
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        enum notice_state each = (enum notice_state)i;
        assert_int_equal(notice_state_from_letter(notice_state_letter(each), &found), 1);
        assert_int_equal(found, i);
        assert_int_equal(notice_state_from_name(notice_state_name(each), &found), 1);
        assert_int_equal(found, i);
    }
    assert_int_equal(notice_state_from_letter('?', &found), 0);
    assert_int_equal(notice_state_from_letter('\0', &found), 0);
    assert_int_equal(notice_state_from_name("lost", &found), 0);
}

/* The terminal states of product.md, "The life of a notice". */
static void seven_states_are_terminal(void **state) {
    (void)state;
    static const char *const final[] = {"reached", "stranded-handed-to-desk", "expired", "cancelled", "resolved", "duplicate", "dead"};
    int n = 0;
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        n += notice_state_final((enum notice_state)i) ? 1 : 0;
    }
    assert_int_equal(n, sizeof final / sizeof *final);
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        enum notice_state found = NOTICE_STATE_COUNT;
        assert_int_equal(notice_state_from_name(final[i], &found), 1);
        assert_true(notice_state_final(found));
    }
}

static void what_never_became_a_notice_has_no_record(void **state) {
    (void)state;
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        bool counted_only = i == NOTICE_DUPLICATE || i == NOTICE_DEAD;
        assert_int_equal(notice_state_held((enum notice_state)i), !counted_only);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_channel_is_found_by_its_name),
        cmocka_unit_test(only_the_banner_waits_for_the_customer),
        cmocka_unit_test(every_contact_status_is_found_by_its_name),
        cmocka_unit_test(every_state_is_found_by_letter_and_by_name),
        cmocka_unit_test(seven_states_are_terminal),
        cmocka_unit_test(what_never_became_a_notice_has_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
