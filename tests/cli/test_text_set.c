/* The set of texts that may be larger than memory: the same answers whether a file is used or not, and memory that does not grow. */
#include "cli/text_set.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SMALL_BYTES = 65536, LARGE_BYTES = 64 * 1024 * 1024, TEXTS = 20000 };

static const char *text_of(unsigned i) {
    static char text[64];
    (void)snprintf(text, sizeof text, "user%u@walton.example", i * 2654435761U);
    return text;
}

static void add(struct text_set *set, const char *text) {
    struct err err;
    if (text_set_add(set, text, &err) < 0) {
        fail_msg("%s: %s", text, err.text);
    }
}

static struct text_set *make(size_t memory_bytes) {
    struct err err;
    struct text_set *set = text_set_new(memory_bytes, &err);
    assert_non_null(set);
    return set;
}

static void end(struct text_set *set) {
    struct err err;
    assert_int_equal(text_set_end(set, &err), 0);
}

static void counts(void *ctx, const char *text) {
    (void)text;
    ++*(size_t *)ctx;
}

static size_t unmarked(struct text_set *set) {
    struct err err;
    size_t n = 0;
    assert_int_equal(text_set_each_unmarked(set, counts, &n, &err), 0);
    return n;
}

/* The even ones are added, some of them again and again, late ones after the file has been begun. */
static void a_set_of_any_size_knows_what_was_added_and_nothing_else(void **state) {
    static const size_t sizes[] = {SMALL_BYTES, LARGE_BYTES};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct err err;
        struct text_set *set = make(sizes[s]);
        for (unsigned i = 0; i < TEXTS; i += 2) {
            add(set, text_of(i));
            add(set, text_of(i % 1000 / 2 * 2));
        }
        end(set);
        for (unsigned i = 0; i < TEXTS; i++) {
            assert_int_equal(text_set_has(set, text_of(i), &err), i % 2 == 0);
        }
        assert_int_equal(unmarked(set), TEXTS / 2);
        text_set_free(set);
    }
}

static void is_7(void *ctx, const char *text) {
    assert_string_equal(text, text_of(14));
    ++*(int *)ctx;
}

static void what_was_not_marked_is_told(void **state) {
    static const size_t sizes[] = {SMALL_BYTES, LARGE_BYTES};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct err err;
        int told = 0;
        struct text_set *set = make(sizes[s]);
        for (unsigned i = 0; i < TEXTS; i += 2) {
            add(set, text_of(i));
        }
        end(set);
        for (unsigned i = 0; i < TEXTS; i++) {
            assert_int_equal(i == 14 ? 0 : text_set_mark(set, text_of(i), &err), i != 14 && i % 2 == 0);
        }
        assert_int_equal(text_set_mark(set, text_of(16), &err), 1); /* again */
        assert_int_equal(text_set_each_unmarked(set, is_7, &told, &err), 0);
        assert_int_equal(told, 1);
        text_set_free(set);
    }
}

/* Empty, of one byte, longer than the memory, and those that differ in their last byte only. */
static void texts_of_any_length_are_kept(void **state) {
    (void)state;
    struct err err;
    struct text_set *set = make(SMALL_BYTES);
    static char text[3 * SMALL_BYTES];
    static const size_t lengths[] = {0, 1, 400, SMALL_BYTES - 1, SMALL_BYTES, sizeof text - 1};
    memset(text, 'x', sizeof text - 1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            text[lengths[i]] = '\0';
            if (round == 0) {
                add(set, text);
                add(set, text);
            } else {
                assert_int_equal(text_set_has(set, text, &err), 1);
            }
            text[lengths[i]] = 'x';
        }
        if (round == 0) {
            end(set);
        }
    }
    text[399] = 'y';
    text[400] = '\0';
    assert_int_equal(text_set_has(set, text, &err), 0);
    assert_int_equal(unmarked(set), sizeof lengths / sizeof *lengths);
    text_set_free(set);
}

static void an_empty_set_has_nothing(void **state) {
    (void)state;
    struct err err;
    struct text_set *set = make(0);
    end(set);
    assert_int_equal(text_set_has(set, "", &err), 0);
    assert_int_equal(unmarked(set), 0);
    text_set_free(set);
}

/* A process of its own may write no more than 64 KiB to any file. */
static void a_file_that_cannot_grow_is_told_and_no_answer_is_made_up(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {SMALL_BYTES, SMALL_BYTES};
        struct err err = {0};
        struct text_set *set = text_set_new(SMALL_BYTES, &err);
        (void)signal(SIGXFSZ, SIG_IGN);
        int rc = set == NULL || setrlimit(RLIMIT_FSIZE, &limit) < 0 ? 1 : 0;
        for (unsigned i = 0; rc == 0 && i < 100 * TEXTS; i++) {
            rc = text_set_add(set, text_of(i), &err);
        }
        bool told = rc < 0 && err.code == ERR_SYSTEM && strstr(err.text, "is there room in $TMPDIR?") != NULL;
        text_set_free(set);
        _exit(told ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_of_any_size_knows_what_was_added_and_nothing_else),
        cmocka_unit_test(what_was_not_marked_is_told),
        cmocka_unit_test(texts_of_any_length_are_kept),
        cmocka_unit_test(an_empty_set_has_nothing),
        cmocka_unit_test(a_file_that_cannot_grow_is_told_and_no_answer_is_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
