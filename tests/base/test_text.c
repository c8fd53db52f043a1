/* test_text: what is UTF-8, what may be an id, and how an address is masked. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof(text) - 1

static void utf8_is_told_from_what_only_looks_like_it(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        bool good;
    } cases[] = {
        {BYTES(""), true},
        {BYTES("plain"), true},
        {BYTES("nul\0inside"), true},
        {BYTES("\x7f"), true},
        {BYTES("\xc2\x80"), true},         /* first of two bytes */
        {BYTES("\xdf\xbf"), true},         /* last of two */
        {BYTES("\xe0\xa0\x80"), true},     /* first of three */
        {BYTES("\xed\x9f\xbf"), true},     /* last before the surrogates */
        {BYTES("\xee\x80\x80"), true},     /* first behind them */
        {BYTES("\xef\xbf\xbf"), true},     /* U+FFFF */
        {BYTES("\xf0\x90\x80\x80"), true}, /* first of four */
        {BYTES("\xf4\x8f\xbf\xbf"), true}, /* U+10FFFF */
        {BYTES("a\xf0\x9f\x98\x80z"), true},
        {BYTES("\x80"), false}, /* continuation alone */
        {BYTES("\xbf"), false},
        {BYTES("\xc0\x80"), false}, /* overlong NUL */
        {BYTES("\xc0\xaf"), false}, /* overlong slash */
        {BYTES("\xc1\xbf"), false},
        {BYTES("\xe0\x80\xaf"), false}, /* overlong in three */
        {BYTES("\xe0\x9f\xbf"), false},
        {BYTES("\xf0\x80\x80\xaf"), false}, /* overlong in four */
        {BYTES("\xf0\x8f\xbf\xbf"), false},
        {BYTES("\xed\xa0\x80"), false},     /* first surrogate */
        {BYTES("\xed\xbf\xbf"), false},     /* last surrogate */
        {BYTES("\xf4\x90\x80\x80"), false}, /* U+110000 */
        {BYTES("\xf5\x80\x80\x80"), false},
        {BYTES("\xfe"), false},
        {BYTES("\xff"), false},
        {BYTES("\xc3"), false}, /* cut */
        {BYTES("\xe2\x82"), false},
        {BYTES("\xf0\x9f\x98"), false},
        {BYTES("\xc3\x28"), false}, /* no continuation */
        {BYTES("\xe2\x28\xa1"), false},
        {BYTES("\xf0\x9f\x28\x80"), false},
        {BYTES("abc\xff"), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (text_is_utf8(cases[i].text, cases[i].len) != cases[i].good) {
            fail_msg("case %zu", i);
        }
    }
}

static void every_code_point_is_utf8_and_no_surrogate_is(void **state) {
    (void)state;
    for (unsigned long code = 0x800; code <= 0x10ffff; code += 7) {
        char text[4];
        size_t len = code < 0x10000 ? 3 : 4;
        for (size_t i = len - 1; i > 0; i--) {
            text[i] = (char)(0x80 | (code >> (6 * (len - 1 - i)) & 0x3f));
        }
        text[0] = (char)(len == 3 ? 0xe0 | code >> 12 : 0xf0 | code >> 18);
        assert_int_equal(text_is_utf8(text, len), code < 0xd800 || code > 0xdfff);
    }
}

static void an_id_has_no_blanks_and_no_surprises(void **state) {
    (void)state;
    static const char *const good[] = {"a", "C123", "pw-2026:C1", "ada@walton.example", "a.b_c:d@e+f/g=h-i", "0"};
    static const char *const bad[] = {"",    " ",   "a b", "a\n",  "a\t",  "ü",   "a\xff", "a{b}", "a*",
                                      "a,b", "a;b", "a'b", "a\"b", "a\\b", "a%b", "a#",    "~",    "\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(text_is_id(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (text_is_id(bad[i])) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    char longest[130];
    memset(longest, 'x', 128);
    longest[128] = '\0';
    assert_true(text_is_id(longest));
    longest[128] = 'x';
    longest[129] = '\0';
    assert_false(text_is_id(longest));
}

static void an_address_is_masked(void **state) {
    (void)state;
    static const struct {
        const char *address, *masked;
    } cases[] = {
        {"ada@walton.example", "a••@walton.example"},
        {"a@walton.example", "a••@walton.example"},
        {"ünal@walton.example", "ü••@walton.example"},
        {"\"a@b\"@walton.example", "\"••@walton.example"},
        {"+441632960001", "••01"},
        {"abcd", "••"},
        {"abcde", "••de"},
        {"", "••"},
        {"@walton.example", "••le"},
        {"\xff\xff@x.example", "••@x.example"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[64];
        assert_string_equal(text_mask_address(cases[i].address, out, sizeof out), cases[i].masked);
    }
    char small[6];
    assert_true(strlen(text_mask_address("ada@walton.example", small, sizeof small)) < sizeof small);
}

static void control_characters_are_replaced(void **state) {
    (void)state;
    char text[] = "a\x01\x1f\x7f\n\x1b[0mü";
    text_make_printable(text, '.');
    assert_string_equal(text, "a.....[0mü");
}

static void a_cut_character_is_dropped(void **state) {
    (void)state;
    static const struct {
        const char *text, *left;
    } cases[] = {
        {"", ""},           {"abc", "abc"}, {"aü", "aü"},   {"a\xc3", "a"},         {"a€", "a€"},
        {"a\xe2\x82", "a"}, {"a\xe2", "a"}, {"a😀", "a😀"},   {"a\xf0\x9f\x98", "a"}, {"a\xf0\x9f", "a"},
        {"a\xf0", "a"},     {"\xf0", ""},   {"€\xe2", "€"}, {"a\x80", "a\x80"}, /* was never a character: not this function's business */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%s", cases[i].text);
        text_drop_cut(text);
        assert_string_equal(text, cases[i].left);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_told_from_what_only_looks_like_it), cmocka_unit_test(every_code_point_is_utf8_and_no_surrogate_is),
        cmocka_unit_test(an_id_has_no_blanks_and_no_surprises),      cmocka_unit_test(an_address_is_masked),
        cmocka_unit_test(control_characters_are_replaced),           cmocka_unit_test(a_cut_character_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
