/* The line reader: every line once, in order, whatever the sizes of lines and reads, and never more memory than allowed. */
#include "cli/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1000 };

/* An unnamed file with this content, at its start. */
static int file_of(const char *content, size_t len) {
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = dup(fileno(file));
    assert_int_equal(write(fd, content, len), (ssize_t)len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    (void)fclose(file);
    return fd;
}

static void expect(struct lines *lines, const char *text) {
    struct line line;
    struct err err;
    assert_int_equal(lines_next(lines, &line, &err), 1);
    assert_int_equal(line.len, strlen(text));
    assert_memory_equal(line.text, text, line.len);
    assert_false(line.too_long);
}

static void expect_end(struct lines *lines) {
    struct line line;
    struct err err;
    assert_int_equal(lines_next(lines, &line, &err), 0);
    assert_int_equal(lines_next(lines, &line, &err), 0);
    (void)close(lines->fd);
    lines_fini(lines);
}

static void open_text(struct lines *lines, const char *content) {
    struct err err;
    assert_int_equal(lines_init(lines, file_of(content, strlen(content)), LINE_MAX_BYTES, &err), 0);
}

static void lines_come_once_and_are_numbered(void **state) {
    struct lines lines;
    (void)state;
    open_text(&lines, "one\n\nthree\n");
    expect(&lines, "one");
    expect(&lines, "");
    expect(&lines, "three");
    assert_int_equal(lines.number, 3);
    assert_int_equal(lines.offset, 11);
    expect_end(&lines);
}

static void a_last_line_without_newline_is_a_line(void **state) {
    struct lines lines;
    (void)state;
    open_text(&lines, "one\ntwo");
    expect(&lines, "one");
    expect(&lines, "two");
    assert_int_equal(lines.offset, 7);
    expect_end(&lines);
    open_text(&lines, "");
    expect_end(&lines);
}

static void a_line_at_the_limit_is_whole_and_one_byte_more_is_too_long(void **state) {
    char content[LINE_MAX_BYTES * 2 + 8];
    struct lines lines;
    struct line line;
    struct err err;
    (void)state;
    memset(content, 'a', LINE_MAX_BYTES);
    content[LINE_MAX_BYTES] = '\n';
    memset(content + LINE_MAX_BYTES + 1, 'b', LINE_MAX_BYTES + 1);
    strcpy(content + 2 * LINE_MAX_BYTES + 2, "\nc\n");
    open_text(&lines, content);
    assert_int_equal(lines_next(&lines, &line, &err), 1);
    assert_int_equal(line.len, LINE_MAX_BYTES);
    assert_false(line.too_long);
    assert_int_equal(lines_next(&lines, &line, &err), 1);
    assert_true(line.too_long);
    expect(&lines, "c");
    assert_int_equal(lines.offset, strlen(content));
    expect_end(&lines);
}

static void a_huge_line_costs_no_memory_and_loses_no_other(void **state) {
    enum { HUGE_BYTES = 3 * 1024 * 1024 };
    char *content = malloc(HUGE_BYTES + 16);
    struct lines lines;
    struct line line;
    struct err err;
    (void)state;
    assert_non_null(content);
    memset(content, 'x', HUGE_BYTES + 16);
    memcpy(content, "a\n", 2);
    memcpy(content + HUGE_BYTES, "\nb\n", 4);
    open_text(&lines, content);
    size_t cap = lines.cap;
    expect(&lines, "a");
    assert_int_equal(lines_next(&lines, &line, &err), 1);
    assert_true(line.too_long);
    assert_true(line.len <= LINE_MAX_BYTES + 1);
    expect(&lines, "b");
    assert_int_equal(lines.number, 3);
    assert_int_equal(lines.offset, HUGE_BYTES + 3);
    assert_int_equal(lines.cap, cap);
    expect_end(&lines);
    memcpy(content + HUGE_BYTES, "", 1); /* the same without an end of line */
    open_text(&lines, content);
    expect(&lines, "a");
    assert_int_equal(lines_next(&lines, &line, &err), 1);
    assert_true(line.too_long);
    expect_end(&lines);
    free(content);
}

/* Lines of every length around the size of a read, so that ends of line fall on every place of the buffer. */
static void lines_survive_the_seams_between_reads(void **state) {
    enum { LINES = 4000 };
    char *content = malloc(LINES * (LINE_MAX_BYTES + 1) + 1);
    size_t len = 0;
    struct lines lines;
    struct line line;
    struct err err;
    (void)state;
    assert_non_null(content);
    for (size_t i = 0; i < LINES; i++) {
        memset(content + len, 'a' + (int)(i % 26), i * 7 % LINE_MAX_BYTES);
        len += i * 7 % LINE_MAX_BYTES;
        content[len++] = '\n';
    }
    content[len] = '\0';
    open_text(&lines, content);
    for (size_t i = 0; i < LINES; i++) {
        assert_int_equal(lines_next(&lines, &line, &err), 1);
        assert_int_equal(line.len, i * 7 % LINE_MAX_BYTES);
        assert_true(line.len == 0 || (line.text[0] == 'a' + (int)(i % 26) && line.text[line.len - 1] == line.text[0]));
    }
    assert_int_equal(lines.offset, len);
    expect_end(&lines);
    free(content);
}

static void a_pipe_that_gives_a_byte_at_a_time_gives_the_same_lines(void **state) {
    int ends[2];
    struct lines lines;
    struct err err;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one\nt", 5), 5);
    assert_int_equal(lines_init(&lines, ends[0], LINE_MAX_BYTES, &err), 0);
    expect(&lines, "one");
    assert_int_equal(write(ends[1], "wo\n", 3), 3);
    (void)close(ends[1]);
    expect(&lines, "two");
    expect_end(&lines);
}

static void a_failed_read_is_told(void **state) {
    struct lines lines = {.fd = -1};
    struct line line;
    struct err err;
    (void)state;
    assert_int_equal(lines_init(&lines, -1, LINE_MAX_BYTES, &err), 0);
    assert_int_equal(lines_next(&lines, &line, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    lines_fini(&lines);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_once_and_are_numbered),
        cmocka_unit_test(a_last_line_without_newline_is_a_line),
        cmocka_unit_test(a_line_at_the_limit_is_whole_and_one_byte_more_is_too_long),
        cmocka_unit_test(a_huge_line_costs_no_memory_and_loses_no_other),
        cmocka_unit_test(lines_survive_the_seams_between_reads),
        cmocka_unit_test(a_pipe_that_gives_a_byte_at_a_time_gives_the_same_lines),
        cmocka_unit_test(a_failed_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
