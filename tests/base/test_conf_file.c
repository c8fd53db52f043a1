/* test_conf_file: the two functions of conf that touch the file system: a configuration is named in its errors, and a secret is one
 * line of a file that is nobody else's. */
#include "base/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct little {
    int64_t count;
    const char *path;
};

static const struct conf_key keys[] = {
    {.name = "count", .type = CONF_INT, .offset = offsetof(struct little, count), .initial = "7", .min = 1, .max = 10},
    {.name = "path", .type = CONF_PATH, .offset = offsetof(struct little, path), .initial = "messages"},
};
static const struct conf_table table = {"little", keys, 2, sizeof(struct little), SIZE_MAX, NULL};

struct state {
    struct arena arena;
    struct little got;
    struct err err;
    char dir[64];
};

static int set_up(void **state_r) {
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return -1;
    }
    (void)snprintf(state->dir, sizeof state->dir, "%s", "/tmp/reach-test-conf-XXXXXX");
    *state_r = state;
    return mkdtemp(state->dir) == NULL ? -1 : 0;
}

static int tear_down(void **state_r) {
    struct state *state = *state_r;
    arena_fini(&state->arena);
    (void)rmdir(state->dir);
    free(state);
    return 0;
}

static void write_file(const char *path, const char *text, mode_t mode) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void a_file_is_read_and_named_in_errors(void **state_r) {
    struct state *state = *state_r;
    char path[100];
    char want[200];
    (void)snprintf(path, sizeof path, "%s/reachd.yaml", state->dir);
    write_file(path, "count: 3\n", 0644);
    assert_int_equal(conf_read_file(path, &table, &state->got, &state->arena, &state->err), 0);
    assert_int_equal(state->got.count, 3);
    (void)snprintf(want, sizeof want, "%s/messages", state->dir);
    assert_string_equal(state->got.path, want);
    write_file(path, "count: 30\n", 0644);
    assert_int_equal(conf_read_file(path, &table, &state->got, &state->arena, &state->err), -1);
    (void)snprintf(want, sizeof want, "%s:1: count: \"30\" is out of range (allowed: 1 to 10)", path);
    assert_string_equal(state->err.text, want);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(conf_read_file(path, &table, &state->got, &state->arena, &state->err), -1);
    (void)snprintf(want, sizeof want, "%s: No such file or directory", path);
    assert_string_equal(state->err.text, want);
    assert_int_equal(conf_read_file(state->dir, &table, &state->got, &state->arena, &state->err), -1);
    assert_int_equal(state->err.code, ERR_SYSTEM);
}

static void a_secret_is_one_line_of_a_private_file(void **state_r) {
    struct state *state = *state_r;
    char longest[4097];
    memset(longest, 'x', 4096);
    longest[4096] = '\0';
    char too_long[4099];
    (void)snprintf(too_long, sizeof too_long, "%sx\n", longest);
    const struct {
        const char *text;
        mode_t mode;
        const char *secret; /* NULL: refused */
    } cases[] = {
        {"hunter2\n", 0600, "hunter2"},
        {"hunter2", 0400, "hunter2"},
        {"hunter2\r\n", 0440, "hunter2"},
        {"a b\nsecond line\n", 0640, "a b"},
        {longest, 0600, longest},
        {too_long, 0600, NULL},
        {"", 0600, NULL},
        {"\nhunter2\n", 0600, NULL},
        {"a\tb\n", 0600, NULL},
        {"hunter2\n", 0644, NULL},
        {"hunter2\n", 0660, NULL},
        {"hunter2\n", 0604, NULL},
    };
    char path[100];
    (void)snprintf(path, sizeof path, "%s/secret", state->dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *secret = NULL;
        (void)unlink(path);
        write_file(path, cases[i].text, cases[i].mode);
        int rc = conf_read_secret(path, &state->arena, &secret, &state->err);
        if (rc != (cases[i].secret == NULL ? -1 : 0)) {
            fail_msg("case %zu: %d", i, rc);
        }
        if (cases[i].secret != NULL) {
            assert_string_equal(secret, cases[i].secret);
        } else {
            assert_null(strstr(state->err.text, "hunter2"));
        }
    }
    assert_non_null(strstr(state->err.text, "chmod 600"));
    assert_int_equal(unlink(path), 0);
    const char *secret = NULL;
    assert_int_equal(conf_read_secret(path, &state->arena, &secret, &state->err), -1);
    assert_int_equal(conf_read_secret(state->dir, &state->arena, &secret, &state->err), -1);
}

static void a_key_may_have_many_lines(void **state_r) {
    struct state *state = *state_r;
    char path[100];
    (void)snprintf(path, sizeof path, "%s/key", state->dir);
    const char *key = NULL;
    write_file(path, "-----BEGIN X-----\nabc\n-----END X-----\n", 0600);
    assert_int_equal(conf_read_key(path, &state->arena, &key, &state->err), 0);
    assert_string_equal(key, "-----BEGIN X-----\nabc\n-----END X-----\n");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(conf_read_key(path, &state->arena, &key, &state->err), -1);
    write_file(path, "", 0600);
    assert_int_equal(conf_read_key(path, &state->arena, &key, &state->err), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(conf_read_key(path, &state->arena, &key, &state->err), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_read_and_named_in_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_may_have_many_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_secret_is_one_line_of_a_private_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
