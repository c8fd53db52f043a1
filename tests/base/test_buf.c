/* test_buf: every byte put is there in order, and a failure sticks. */
#include "base/buf.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_empty_buffer_is_an_empty_string(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    assert_string_equal(buf_str(&buf), "");
    char *taken = buf_take(&buf);
    assert_string_equal(taken, "");
    free(taken);
    buf_fini(&buf);
    buf_fini(&buf);
}

static void puts_follow_one_another(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_puts(&buf, "ab");
    buf_putc(&buf, 'c');
    buf_put(&buf, "d\0e", 3);
    buf_put(&buf, NULL, 0);
    buf_putf(&buf, "%d-%s", 7, "x");
    assert_int_equal(buf.len, 9);
    assert_memory_equal(buf.data, "abcd\0e7-x", 10);
    buf_cut(&buf, 9);
    assert_int_equal(buf.len, 9);
    buf_cut(&buf, 3);
    assert_string_equal(buf_str(&buf), "abc");
    buf_reset(&buf);
    buf_cut(&buf, 0);
    assert_string_equal(buf_str(&buf), "");
    buf_puts(&buf, "again");
    assert_string_equal(buf_str(&buf), "again");
    buf_fini(&buf);
}

static void growth_keeps_the_content(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    for (int i = 0; i < 100000; i++) {
        buf_putc(&buf, (char)('a' + i % 26));
    }
    assert_int_equal(buf.len, 100000);
    assert_int_equal(strlen(buf_str(&buf)), 100000);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(buf.data[i], 'a' + i % 26);
    }
    buf_fini(&buf);
}

static void a_printf_longer_than_the_room_fits(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_putf(&buf, "%01000d", 7);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf.data[999], '7');
    assert_int_equal(buf.data[1000], 0);
    buf_fini(&buf);
}

static void a_failure_sticks_until_reset(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_puts(&buf, "x");
    assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2), -1);
    buf_puts(&buf, "y");
    assert_null(buf_str(&buf));
    assert_null(buf_take(&buf));
    buf_reset(&buf);
    buf_puts(&buf, "z");
    assert_string_equal(buf_str(&buf), "z");
    buf_fini(&buf);
}

static void numbers_are_written_to_their_limits(void **state) {
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {{0, "0"}, {7, "7"}, {-1, "-1"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}};
    struct buf buf = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&buf);
        buf_put_i64(&buf, cases[i].value);
        assert_string_equal(buf_str(&buf), cases[i].text);
    }
    buf_reset(&buf);
    buf_put_u64(&buf, UINT64_MAX);
    assert_string_equal(buf_str(&buf), "18446744073709551615");
    buf_fini(&buf);
}

static void json_strings_are_escaped(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\r\t\b\f", "\"\\n\\r\\t\\b\\f\""},
        {"\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\""},
        {"ü€😀", "\"ü€😀\""},
        {"</script>", "\"</script>\""},
        {NULL, "null"},
    };
    struct buf buf = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&buf);
        buf_put_json_str(&buf, cases[i].in);
        assert_string_equal(buf_str(&buf), cases[i].out);
    }
    buf_fini(&buf);
}

static void what_is_written_as_json_reads_back_the_same(void **state) {
    (void)state;
    char all[128];
    for (int i = 0; i < 127; i++) {
        all[i] = (char)(i + 1);
    }
    all[127] = '\0';
    struct buf buf = BUF_INIT;
    buf_put_json_str(&buf, all);
    json_t *back = json_loads(buf_str(&buf), JSON_DECODE_ANY, NULL);
    assert_non_null(back);
    assert_string_equal(json_string_value(back), all);
    json_decref(back);
    buf_fini(&buf);
}

static void taking_empties_the_buffer(void **state) {
    (void)state;
    struct buf buf = BUF_INIT;
    buf_puts(&buf, "mine");
    char *taken = buf_take(&buf);
    assert_string_equal(taken, "mine");
    assert_null(buf.data);
    buf_puts(&buf, "next");
    assert_string_equal(buf_str(&buf), "next");
    free(taken);
    buf_fini(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_string), cmocka_unit_test(puts_follow_one_another),
        cmocka_unit_test(growth_keeps_the_content),           cmocka_unit_test(a_printf_longer_than_the_room_fits),
        cmocka_unit_test(a_failure_sticks_until_reset),       cmocka_unit_test(numbers_are_written_to_their_limits),
        cmocka_unit_test(json_strings_are_escaped),           cmocka_unit_test(what_is_written_as_json_reads_back_the_same),
        cmocka_unit_test(taking_empties_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
