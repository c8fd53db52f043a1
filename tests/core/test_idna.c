/* Tests of idna.c that are not about addresses: the limits of names and labels. With --filter it is a filter for the oracle test
 * (test_idna_oracle.sh): one name a line in, its A-labels or an empty line out. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/idna.h"

#include <stdio.h>
#include <stdlib.h>

static void names_at_the_limits_are_taken_and_beyond_refused(void **state) {
    (void)state;
    /* Sixty a's and some u-umlauts: the A-label of a label may be longer than the label. */
    static const struct {
        int a, umlauts;
        bool fits;
    } cases[] = {{63, 0, true}, {64, 0, false}, {50, 1, true}, {55, 1, true}, {60, 1, false}, {0, 30, true}, {0, 100, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char name[512] = "";
        char out[DOMAIN_MAX];
        struct err err;
        for (int k = 0; k < cases[i].a; k++) {
            (void)strcat(name, "a");
        }
        for (int k = 0; k < cases[i].umlauts; k++) {
            (void)strcat(name, "\xc3\xbc");
        }
        (void)strcat(name, ".example");
        int rc = idna_to_ascii(name, strlen(name), out, &err);
        if (rc != (cases[i].fits ? 0 : -1)) {
            fail_msg("%d and %d: %s", cases[i].a, cases[i].umlauts, rc == 0 ? out : err.text);
        }
        if (rc == 0) {
            assert_true(strcspn(out, ".") <= 63);
        }
    }
}

static void a_finished_name_stays_as_it_is(void **state) {
    (void)state;
    static const char *const names[] = {"xn--bcher-kva.example", "xn--o1ac.xn--p1ai", "a-b.c--d.example", "1.2.3.a"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char out[DOMAIN_MAX];
        struct err err;
        assert_int_equal(idna_to_ascii(names[i], strlen(names[i]), out, &err), 0);
        assert_string_equal(out, names[i]);
    }
}

static void folding_is_refused_where_it_does_not_fit(void **state) {
    (void)state;
    char out[8];
    struct err err;
    assert_int_equal(idna_fold("\xc3\x84"
                               "da",
                               4, out, sizeof out, &err),
                     0);
    assert_string_equal(out, "\xc3\xa4"
                             "da");
    assert_int_equal(idna_fold("\xc3\x84"
                               "dadada",
                               8, out, sizeof out, &err),
                     -1);
}

static int filter(void) {
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n = getline(&line, &cap, stdin); n > 0; n = getline(&line, &cap, stdin)) {
        char out[DOMAIN_MAX];
        size_t len = line[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n;
        if (puts(idna_to_ascii(line, len, out, NULL) == 0 ? out : "") == EOF) {
            break;
        }
    }
    free(line);
    return ferror(stdin) || fflush(stdout) != 0 ? 1 : 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--filter") == 0) {
        return filter();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_at_the_limits_are_taken_and_beyond_refused),
        cmocka_unit_test(a_finished_name_stays_as_it_is),
        cmocka_unit_test(folding_is_refused_where_it_does_not_fit),
    };
    return cmocka_run_group_tests_name("idna", tests, NULL, NULL);
}
