/* test_err: an error is always one printable line, whatever foreign text it holds. */
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_failure_sets_code_and_text_and_no_member(void **state) {
    (void)state;
    struct err err;
    memset(&err, 'x', sizeof err);
    assert_int_equal(err_set(&err, ERR_LIMIT, "%d of %s", 3, "them"), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "3 of them");
    assert_string_equal(err.member, "");
}

static void a_member_is_named_with_its_path(void **state) {
    (void)state;
    struct err err;
    assert_int_equal(err_member(&err, "customer.contacts[2].address", "is %s", "wrong"), -1);
    assert_int_equal(err.code, ERR_MEMBER);
    assert_string_equal(err.member, "customer.contacts[2].address");
    assert_string_equal(err.text, "is wrong");
}

static void nobody_needs_to_ask_for_the_reason(void **state) {
    (void)state;
    assert_int_equal(err_set(NULL, ERR_SYNTAX, "x"), -1);
    assert_int_equal(err_member(NULL, "m", "x"), -1);
    assert_int_equal(err_no_memory(NULL), -1);
    assert_int_equal(err_system(NULL, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
}

static void foreign_text_cannot_break_the_line(void **state) {
    (void)state;
    struct err err;
    (void)err_member(&err, "a\r\nb",
                     "1\n2\r3\x1b[31m4\x7f"
                     "5\t6");
    assert_string_equal(err.text, "1?2?3?[31m4?5?6");
    assert_string_equal(err.member, "a??b");
    (void)err_prefix(&err, "p\nq");
    assert_string_equal(err.text, "p?q: 1?2?3?[31m4?5?6");
}

static void a_long_text_is_cut_and_stays_a_string(void **state) {
    (void)state;
    struct err err;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_member(&err, text, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(strlen(err.member), sizeof err.member - 1);
    (void)err_prefix(&err, "front");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "front: xxx", 10);
    (void)err_prefix(&err, text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void a_text_is_cut_between_characters(void **state) {
    (void)state;
    struct err err;
    char text[1000];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3) {
            memcpy(text + i, "€", 4);
        }
        (void)err_member(&err, text, "%s", text);
        assert_true(text_is_utf8(err.text, strlen(err.text)));
        assert_true(text_is_utf8(err.member, strlen(err.member)));
        (void)err_prefix(&err, "p");
        assert_true(text_is_utf8(err.text, strlen(err.text)));
        assert_true(strlen(err.text) > sizeof err.text - 4);
    }
}

static void a_prefix_keeps_code_and_member(void **state) {
    (void)state;
    struct err err;
    (void)err_member(&err, "port", "is wrong");
    assert_int_equal(err_prefix(&err, "gateway a"), -1);
    assert_string_equal(err.text, "gateway a: is wrong");
    assert_string_equal(err.member, "port");
    assert_int_equal(err.code, ERR_MEMBER);
}

static void the_system_gives_its_own_reason(void **state) {
    (void)state;
    struct err err;
    errno = ENOENT;
    (void)err_system(&err, "some/file");
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_string_equal(err.text, "some/file: No such file or directory");
    (void)err_no_memory(&err);
    assert_int_equal(err.code, ERR_MEMORY);
    assert_string_equal(err.text, "out of memory");
    err_clear(&err);
    assert_int_equal(err.code, ERR_NONE);
    assert_string_equal(err.text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_sets_code_and_text_and_no_member), cmocka_unit_test(a_member_is_named_with_its_path),
        cmocka_unit_test(nobody_needs_to_ask_for_the_reason),         cmocka_unit_test(foreign_text_cannot_break_the_line),
        cmocka_unit_test(a_long_text_is_cut_and_stays_a_string),      cmocka_unit_test(a_prefix_keeps_code_and_member),
        cmocka_unit_test(a_text_is_cut_between_characters),           cmocka_unit_test(the_system_gives_its_own_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
