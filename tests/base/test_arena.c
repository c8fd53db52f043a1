/* test_arena: memory is zeroed, aligned, does not move, and is given back all at once (the sanitizer watches that). */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void memory_is_zeroed_and_aligned(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    for (size_t size = 0; size < 300; size++) {
        unsigned char *p = arena_alloc(&arena, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, size);
    }
    arena_fini(&arena);
}

static void reused_memory_is_zeroed_again(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            char *p = arena_alloc(&arena, 1000);
            assert_int_equal(p[0] | p[999], 0);
            memset(p, 'x', 1000);
        }
        arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    arena_fini(&arena);
}

static void nothing_moves_while_more_is_taken(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    char *texts[500];
    for (int i = 0; i < 500; i++) {
        texts[i] = arena_printf(&arena, "text %d", i);
        assert_non_null(texts[i]);
        (void)arena_alloc(&arena, (size_t)i * 40);
    }
    for (int i = 0; i < 500; i++) {
        char want[20];
        (void)snprintf(want, sizeof want, "text %d", i);
        assert_string_equal(texts[i], want);
    }
    arena_fini(&arena);
    arena_fini(&arena);
}

static void large_requests_are_served(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    char *large = arena_alloc(&arena, 1 << 20);
    assert_non_null(large);
    large[(1 << 20) - 1] = 'x';
    assert_non_null(arena_alloc(&arena, 1));
    arena_fini(&arena);
}

static void absurd_sizes_are_refused(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX / 2 + 1));
    assert_null(arena_array(&arena, SIZE_MAX / 4, 8));
    assert_null(arena_array(&arena, 8, SIZE_MAX / 4));
    assert_non_null(arena_array(&arena, 0, 8));
    assert_non_null(arena_array(&arena, 8, 0));
    arena_fini(&arena);
}

static void strings_are_copied(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    char text[] = "hello world";
    char *whole = arena_strdup(&arena, text);
    char *part = arena_strndup(&arena, text, 5);
    text[0] = 'J';
    assert_string_equal(whole, "hello world");
    assert_string_equal(part, "hello");
    assert_null(arena_strdup(&arena, NULL));
    assert_null(arena_strndup(&arena, NULL, 3));
    assert_string_equal(arena_printf(&arena, "%s", ""), "");
    arena_fini(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),      cmocka_unit_test(reused_memory_is_zeroed_again),
        cmocka_unit_test(nothing_moves_while_more_is_taken), cmocka_unit_test(large_requests_are_served),
        cmocka_unit_test(absurd_sizes_are_refused),          cmocka_unit_test(strings_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
