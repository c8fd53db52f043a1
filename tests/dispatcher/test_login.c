/* The hash under which the login page finds its banner: values computed in Python, the same as in docs/contract.md. */
#include "dispatcher/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

static const char key[] = "a key of the example, at least 32 bytes";

static const struct login_case {
    const char *login, *hash;
} cases[] = {
    {"ada@walton.example", "c5fcc52525e52e3d5d56f3ef24197b2435d4a44f59d562eb7f88cd331bf7817a"},
    {" \tAda@Walton.Example\r\n", "c5fcc52525e52e3d5d56f3ef24197b2435d4a44f59d562eb7f88cd331bf7817a"},
    {"STRA\xc3\x9f"
     "E",
     "5c7ceed3865e77a6f0ff6c2efd6857a39990ad61cea525a3810078c20460cea2"},
    {"\xef\xbc\xa1\xef\xbc\xa4\xef\xbc\xa1", "a27aa84f753bb769d0d84da62db1e5ef7bf9d85de61c88fd4479118f4ae5fd75"},
    {"\xc4\xb0stanbul", "8ef7d9e07b2e4b832253a97e828e61e2a53488a370a18fd8420eb0f5c0a1f993"},
    {"\xce\x9f\xce\x94\xce\x9f\xce\xa3", "8b027a9f07e5836f927675efdca91d08631abcfc8bd547045fe99a28ab094b58"},
};

static void every_website_computes_the_same_hash(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char hash[LOGIN_HASH_LEN + 1];
        struct err err;
        assert_int_equal(login_hash(key, cases[i].login, hash, &err), 1);
        assert_string_equal(hash, cases[i].hash);
    }
}

static void another_key_gives_another_hash(void **state) {
    char hash[LOGIN_HASH_LEN + 1];
    struct err err;
    (void)state;
    assert_int_equal(login_hash("another", cases[0].login, hash, &err), 1);
    assert_string_not_equal(hash, cases[0].hash);
}

static void what_nobody_can_type_has_no_hash(void **state) {
    char hash[LOGIN_HASH_LEN + 1];
    char lengthy[LOGIN_MAX_BYTES + 2];
    struct err err;
    (void)state;
    (void)memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    assert_int_equal(login_hash(key, "", hash, &err), 0);
    assert_int_equal(login_hash(key, " \t ", hash, &err), 0);
    assert_int_equal(login_hash(key, lengthy, hash, &err), 0);
    assert_int_equal(login_hash(key, lengthy + 1, hash, &err), 1);
    assert_int_equal(login_hash(key, "\xff\xfe", hash, &err), 0);
}

static void a_notice_is_not_named_by_its_ref(void **state) {
    char a[LOGIN_REF_LEN + 1];
    char b[LOGIN_REF_LEN + 1];
    struct err err;
    (void)state;
    assert_int_equal(login_ref(key, "n-1", a, &err), 0);
    assert_int_equal(login_ref(key, "n-2", b, &err), 0);
    assert_int_equal(strlen(a), LOGIN_REF_LEN);
    assert_string_not_equal(a, b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_website_computes_the_same_hash),
        cmocka_unit_test(another_key_gives_another_hash),
        cmocka_unit_test(what_nobody_can_type_has_no_hash),
        cmocka_unit_test(a_notice_is_not_named_by_its_ref),
    };
    return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}
