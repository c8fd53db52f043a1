/* The reader of templates by itself, and what check-mustache says of cases. The specification's own cases: test_mustache_spec.sh. */
#include "templates/mustache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct mustache_tally check(const char *cases, char *details_r, size_t cap) {
    char path[] = "/tmp/reach-mustache-XXXXXX";
    struct mustache_tally tally;
    struct buf details = BUF_INIT;
    struct err err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, cases, strlen(cases)), (ssize_t)strlen(cases));
    assert_int_equal(close(fd), 0);
    int rc = mustache_check_file(path, &tally, &details, &err);
    (void)unlink(path);
    (void)snprintf(details_r, cap, "%s%s", rc < 0 ? err.text : "", buf_str(&details));
    buf_fini(&details);
    if (rc < 0) {
        tally = (struct mustache_tally){-1, -1};
    }
    return tally;
}

static void a_wrong_text_fails(void **state) {
    char details[400];
    (void)state;
    struct mustache_tally tally = check("{\"tests\":[{\"name\":\"one\",\"data\":{\"a\":\"x\"},\"template\":\"{{a}}\",\"expected\":\"y\"},"
                                        "{\"name\":\"two\",\"data\":{\"a\":\"x\"},\"template\":\"{{a}}{{b}}\",\"expected\":\"x\"},"
                                        "{\"name\":\"three\",\"data\":{},\"template\":\"{{#a}}\",\"expected\":\"\"}]}",
                                        details, sizeof details);
    assert_int_equal(tally.passed, 1);
    assert_int_equal(tally.failed, 2);
    assert_non_null(strstr(details, "one: wanted \"y\", got \"x\""));
    assert_non_null(strstr(details, "three"));
}

static void a_file_without_cases_is_an_error(void **state) {
    char details[400];
    (void)state;
    assert_int_equal(check("{}", details, sizeof details).passed, -1);
    assert_int_equal(check("{\"tests\":[{\"name\":\"x\"}]}", details, sizeof details).passed, -1);
    assert_int_equal(check("nonsense", details, sizeof details).passed, -1);
}

static void endless_partials_are_stopped(void **state) {
    char details[400];
    (void)state;
    struct mustache_tally tally =
        check("{\"tests\":[{\"name\":\"loop\",\"data\":{},\"template\":\"{{>a}}\",\"partials\":{\"a\":\"x{{>a}}\"},\"expected\":\"\"}]}",
              details, sizeof details);
    assert_int_equal(tally.failed, 1);
    assert_non_null(strstr(details, "nest deeper"));
}

static void syntax_errors_have_a_line(void **state) {
    static const struct {
        const char *text;
        int line;
        const char *told;
    } cases[] = {
        {"a\nb {{x", 2, "never closed"},
        {"{{#a}}\n{{#b}}\n{{/a}}{{/b}}", 3, "must be closed before"},
        {"\n\n{{/a}}", 3, "never opened"},
        {"{{#a}}\n", 1, "never closed"},
        {"x\n{{}}", 2, "without a name"},
        {"{{=x=}}", 1, "not two delimiters"},
        {"{{= a b c =}}", 1, "not two delimiters"},
        {"a\n\n{{!", 3, "never closed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        struct mustache_doc doc;
        struct err err = {0};
        assert_int_equal(mustache_parse(cases[i].text, strlen(cases[i].text), "f", 1, &arena, &doc, &err), -1);
        assert_int_equal(doc.error_line, cases[i].line);
        assert_non_null(strstr(err.text, cases[i].told));
        arena_fini(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_text_fails),
        cmocka_unit_test(a_file_without_cases_is_an_error),
        cmocka_unit_test(endless_partials_are_stopped),
        cmocka_unit_test(syntax_errors_have_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
