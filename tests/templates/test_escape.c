/* What becomes of foreign values. */
#include "templates/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check_clean(enum clean_kind kind, const char *in, const char *wanted) {
    struct arena arena = ARENA_INIT;
    const char *out = NULL;
    size_t len = 0;
    assert_int_equal(escape_clean(kind, in, strlen(in), &arena, &out, &len), 0);
    assert_string_equal(out, wanted);
    assert_int_equal(len, strlen(wanted));
    arena_fini(&arena);
}

static void check_escaped(enum escape escape, const char *in, const char *wanted) {
    struct buf out = BUF_INIT;
    escape_put(&out, escape, in, strlen(in));
    assert_string_equal(buf_str(&out), wanted);
    buf_fini(&out);
}

static void plain_words_stay_as_they_are(void **state) {
    (void)state;
    check_clean(CLEAN_WORDS, "Ada Lovelace", "Ada Lovelace");
    check_clean(CLEAN_WORDS, "Zoë Müller-Straße", "Zoë Müller-Straße");
    check_clean(CLEAN_WORDS, "آدا", "آدا");
    check_clean(CLEAN_WORDS, "J. R. R. Tolkien", "J. R. R. Tolkien");
    check_clean(CLEAN_WORDS, "1.50 and 3/4", "1.50 and 3/4");
    check_clean(CLEAN_WORDS, "می\u200cخواهم", "می\u200cخواهم");
}

static void line_breaks_and_controls_become_blanks(void **state) {
    (void)state;
    check_clean(CLEAN_WORDS, "a\r\nBcc: x", "a  Bcc: x");
    check_clean(CLEAN_WORDS, "a\x1b[31mb\x7f", "a [31mb ");
    check_clean(CLEAN_WORDS, "a\u2028b\u2029c\xc2\x85 d", "a b c  d");
}

static void hidden_characters_go(void **state) {
    (void)state;
    check_clean(CLEAN_WORDS, "a\u202egnp.exe", "agnp. exe");
    check_clean(CLEAN_WORDS, "e\u200bvi\u2060l\ufeff\u00ad", "evil");
    check_clean(CLEAN_WORDS, "x\U000e0041y\ue000z", "xyz");
}

static void what_looks_like_a_link_is_broken(void **state) {
    (void)state;
    check_clean(CLEAN_WORDS, "https://evil.example/x", "https: // evil. example/x");
    check_clean(CLEAN_WORDS, "www.evil.com", "www. evil. com");
    check_clean(CLEAN_WORDS, "//localhost", "// localhost");
    check_clean(CLEAN_WORDS, "mailto:me@evil", "mailto: me@evil");
    check_clean(CLEAN_WORDS, "1.2.3.4", "1.2. 3.4");
    check_clean(CLEAN_WORDS, "at 12:30", "at 12:30");
    check_clean(CLEAN_WORDS, "me@evil.com", "me@evil. com");
    check_clean(CLEAN_WORDS, "evil\u3002com", "evil\u3002 com");
    check_clean(CLEAN_WORDS, "e.\u200bv.com", "e. v. com");
    assert_true(escape_has_link("evil.com", 8));
    assert_false(escape_has_link("Ada", 3));
    assert_false(escape_has_link("Dr. Who", 7));
}

static void an_address_keeps_its_dots(void **state) {
    (void)state;
    check_clean(CLEAN_ADDRESS, "a••@walton.example", "a••@walton.example");
    check_clean(CLEAN_ADDRESS, "a\n@b\u202e.c", "a @b.c");
}

static void broken_utf8_is_refused(void **state) {
    struct arena arena = ARENA_INIT;
    const char *out = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(escape_clean(CLEAN_WORDS, "a\xff", 2, &arena, &out, &len), -1);
    assert_int_equal(escape_clean(CLEAN_WORDS, "\xc0\xaf", 2, &arena, &out, &len), -1);
    arena_fini(&arena);
}

static void each_place_escapes_in_its_own_way(void **state) {
    (void)state;
    check_escaped(ESCAPE_HTML, "<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    check_escaped(ESCAPE_URL_PART, "a/b?c=d&e \u00e9\"", "a%2Fb%3Fc%3Dd%26e%20%C3%A9%22");
    check_escaped(ESCAPE_NONE, "<&>", "<&>");
    check_escaped(ESCAPE_HTML, "", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_words_stay_as_they_are),
        cmocka_unit_test(line_breaks_and_controls_become_blanks),
        cmocka_unit_test(hidden_characters_go),
        cmocka_unit_test(what_looks_like_a_link_is_broken),
        cmocka_unit_test(an_address_keeps_its_dots),
        cmocka_unit_test(broken_utf8_is_refused),
        cmocka_unit_test(each_place_escapes_in_its_own_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
