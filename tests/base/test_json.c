/* test_json: what a producer may not send, and how the walk over an object names the member at fault. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Parses an exact copy on the heap, so that a sanitizer sees any read behind the end. */
static json_t *parse(const char *text, size_t len, struct err *err) {
    char *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, text, len);
    err_clear(err);
    json_t *value = json_parse_strict(copy, len, 0, err);
    free(copy);
    return value;
}

static json_t *parse_text(const char *text) {
    struct err err;
    json_t *value = parse(text, strlen(text), &err);
    if (value == NULL) {
        fail_msg("refused: %s: %s", text, err.text);
    }
    return value;
}

/* ---- parsing -------------------------------------------------------------------------------------------------------- */

static void one_value_is_parsed(void **state) {
    (void)state;
    static const char *const good[] = {"{}", "[]", " {\"a\": [1, 2.5, true, null, \"\\u00fc\\ud83d\\ude00\"]}\n", "{\"a\":{\"b\":{}}}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        json_decref(parse_text(good[i]));
    }
}

#define BYTES(text)                                                                                                                        \
    { text, sizeof(text) - 1 }

static void everything_else_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        BYTES(""),
        BYTES(" "),
        BYTES("{"),
        BYTES("{\"a\":1"),
        BYTES("{}{}"),
        BYTES("{} x"),
        BYTES("{}\0"),
        BYTES("{\"a\":\"x\0y\"}"),
        BYTES("{\"a\":\"x\\u0000y\"}"),
        BYTES("{\"a\\u0000\":1}"),
        BYTES("{\"a\":1,\"a\":2}"),
        BYTES("{\"b\":{\"a\":1,\"a\":1}}"),
        BYTES("{\"a\":1,\"\\u0061\":2}"),
        BYTES("{'a':1}"),
        BYTES("{\"a\":1,}"),
        BYTES("{a:1}"),
        BYTES("{\"a\":01}"),
        BYTES("{\"a\":+1}"),
        BYTES("{\"a\":.5}"),
        BYTES("{\"a\":NaN}"),
        BYTES("{\"a\":Infinity}"),
        BYTES("{\"a\":9223372036854775808}"),
        BYTES("{\"a\":-9223372036854775809}"),
        BYTES("{\"a\":1e999}"),
        BYTES("{\"a\":\"\xff\"}"),
        BYTES("{\"a\":\"\xc0\xaf\"}"),
        BYTES("{\"a\":\"\xed\xa0\x80\"}"),
        BYTES("{\"a\":\"\\ud800\"}"),
        BYTES("{\"a\":\"\\udc00\\ud800\"}"),
        BYTES("{\"a\":\"\\x41\"}"),
        BYTES("{\"a\":\"tab\there\"}"),
        BYTES("{\"a\":\"line\nhere\"}"),
        BYTES("// comment\n{}"),
        BYTES("\xef\xbb\xbf{}"),
        BYTES("true"),
        BYTES("\"text\""),
        BYTES("1"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err;
        json_t *value = parse(bad[i].text, bad[i].len, &err);
        if (value != NULL) {
            fail_msg("accepted: %s", bad[i].text);
        }
        assert_int_equal(err.code, ERR_SYNTAX);
        assert_true(err.text[0] != '\0');
    }
}

static void an_error_does_not_repeat_what_was_sent(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"address\": \"ada@example.org\" ada@example.org}",
        "{\"ada@example.org\": 1, \"ada@example.org\": 2}",
        "{\"a\": \"ada@example.org",
        "{\"a\": ada@example.org}",
        "[ada@example.org]",
        "ada@example.org",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err err;
        assert_null(parse(texts[i], strlen(texts[i]), &err));
        if (strstr(err.text, "ada") != NULL) {
            fail_msg("repeated: %s", err.text);
        }
    }
}

static void size_is_limited_before_parsing(void **state) {
    (void)state;
    struct err err;
    char *text = malloc(JSON_TEXT_MAX_BYTES + 1);
    assert_non_null(text);
    memset(text, ' ', JSON_TEXT_MAX_BYTES + 1);
    text[0] = '{';
    text[1] = '}';
    json_t *value = json_parse_strict(text, JSON_TEXT_MAX_BYTES, 0, &err);
    assert_non_null(value);
    json_decref(value);
    assert_null(json_parse_strict(text, JSON_TEXT_MAX_BYTES + 1, 0, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(json_parse_strict(text, 3, 2, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    free(text);
}

static size_t nested(char *out, char open, char close, size_t depth) {
    memset(out, open, depth);
    memset(out + depth, close, depth);
    return 2 * depth;
}

static void depth_is_limited_before_parsing(void **state) {
    (void)state;
    struct err err;
    char text[60000];
    json_t *value = parse(text, nested(text, '[', ']', JSON_DEPTH_MAX), &err);
    assert_non_null(value);
    json_decref(value);
    assert_null(parse(text, nested(text, '[', ']', JSON_DEPTH_MAX + 1), &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(parse(text, nested(text, '[', ']', 30000), &err));
    assert_int_equal(err.code, ERR_LIMIT);
    /* Brackets inside a string are no nesting, also behind escapes. */
    char string[200] = "[\"\\\\\\\"";
    for (int i = 0; i < 100; i++) {
        strcat(string, "[");
    }
    strcat(string, "\"]");
    json_decref(parse_text(string));
}

/* ---- the walk ------------------------------------------------------------------------------------------------------- */

static void every_kind_of_member_is_read(void **state) {
    (void)state;
    json_t *root = parse_text(
        "{\"s\":\"text\",\"i\":7,\"b\":true,\"t\":\"2026-12-23T18:00:00Z\",\"d\":\"PT30M\",\"o\":{},\"a\":[],\"id\":\"C1\",\"x\":null}");
    struct err err;
    struct json_in in;
    json_in_begin(&in, root, "", &err);
    assert_string_equal(json_in_string(&in, "s", JSON_REQUIRED, 4), "text");
    assert_int_equal(json_in_int(&in, "i", JSON_REQUIRED, 7, 7, 0), 7);
    assert_true(json_in_bool(&in, "b", false));
    assert_int_equal(json_in_time(&in, "t", JSON_REQUIRED), INT64_C(1798048800000));
    assert_int_equal(json_in_duration(&in, "d", JSON_REQUIRED), 1800000);
    assert_non_null(json_in_object(&in, "o", JSON_REQUIRED));
    assert_non_null(json_in_array(&in, "a", JSON_REQUIRED));
    assert_string_equal(json_in_id(&in, "id", JSON_REQUIRED), "C1");
    assert_true(json_is_null(json_in_any(&in, "x", JSON_REQUIRED)));
    assert_int_equal(json_in_end(&in), 0);
    json_decref(root);
}

static void an_absent_member_has_its_absent_value(void **state) {
    (void)state;
    json_t *root = parse_text("{}");
    struct err err;
    struct json_in in;
    json_in_begin(&in, root, "", &err);
    assert_null(json_in_string(&in, "s", JSON_OPTIONAL, 4));
    assert_int_equal(json_in_int(&in, "i", JSON_OPTIONAL, 1, 9, -3), -3);
    assert_true(json_in_bool(&in, "b", true));
    assert_int_equal(json_in_time(&in, "t", JSON_OPTIONAL), 0);
    assert_int_equal(json_in_duration(&in, "d", JSON_OPTIONAL), 0);
    assert_null(json_in_object(&in, "o", JSON_OPTIONAL));
    assert_null(json_in_array(&in, "a", JSON_OPTIONAL));
    assert_int_equal(json_in_end(&in), 0);
    json_decref(root);
}

enum kind { STRING, INT, BOOL, TIME, DURATION, OBJECT, ARRAY, ID };

static void read_member(struct json_in *in, enum kind kind) {
    switch (kind) {
    case STRING: (void)json_in_string(in, "m", JSON_REQUIRED, 4); break;
    case INT: (void)json_in_int(in, "m", JSON_REQUIRED, 1, 9, 0); break;
    case BOOL: (void)json_in_bool(in, "m", false); break;
    case TIME: (void)json_in_time(in, "m", JSON_REQUIRED); break;
    case DURATION: (void)json_in_duration(in, "m", JSON_REQUIRED); break;
    case OBJECT: (void)json_in_object(in, "m", JSON_REQUIRED); break;
    case ARRAY: (void)json_in_array(in, "m", JSON_REQUIRED); break;
    case ID: (void)json_in_id(in, "m", JSON_REQUIRED); break;
    }
}

static void a_wrong_member_is_named_and_the_rule_told(void **state) {
    (void)state;
    static const struct {
        enum kind kind;
        const char *text, *error;
    } bad[] = {
        {STRING, "{}", "is missing"},
        {STRING, "{\"m\":1}", "must be a string"},
        {STRING, "{\"m\":null}", "must be a string"},
        {STRING, "{\"m\":\"\"}", "must be 1 to 4 bytes long"},
        {STRING, "{\"m\":\"12345\"}", "must be 1 to 4 bytes long"},
        {STRING, "{\"m\":\"a\\nb\"}", "must not hold control characters"},
        {STRING, "{\"m\":\"a\\u007f\"}", "must not hold control characters"},
        {INT, "{\"m\":0}", "must be an integer from 1 to 9"},
        {INT, "{\"m\":10}", "must be an integer from 1 to 9"},
        {INT, "{\"m\":1.0}", "must be an integer from 1 to 9"},
        {INT, "{\"m\":\"1\"}", "must be an integer from 1 to 9"},
        {BOOL, "{\"m\":1}", "must be true or false"},
        {BOOL, "{\"m\":\"true\"}", "must be true or false"},
        {TIME, "{\"m\":\"tomorrow\"}", "must be an RFC 3339 time with a zone, such as 2026-12-23T18:00:00Z"},
        {TIME, "{\"m\":1798048800}", "must be a string"},
        {DURATION, "{\"m\":\"30m\"}", "must be an ISO 8601 duration of weeks, days, hours, minutes or seconds, such as PT30M"},
        {OBJECT, "{\"m\":[]}", "must be an object"},
        {ARRAY, "{\"m\":{}}", "must be an array"},
        {ID, "{\"m\":\"a b\"}", "must be 1 to 128 characters out of A-Z a-z 0-9 . _ : @ + / = -"},
        {BOOL, "{\"m\":true,\"extra\":1}", "unknown member"},
        {BOOL, "[]", "must be an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *root = parse_text(bad[i].text);
        struct err err;
        struct json_in in;
        err_clear(&err);
        json_in_begin(&in, root, "customer.contacts[2]", &err);
        read_member(&in, bad[i].kind);
        assert_int_equal(json_in_end(&in), -1);
        assert_int_equal(err.code, ERR_MEMBER);
        assert_string_equal(err.text, bad[i].error);
        assert_memory_equal(err.member, "customer.contacts[2]", 20);
        json_decref(root);
    }
}

static void the_first_fault_is_kept(void **state) {
    (void)state;
    json_t *root = parse_text("{\"a\":1,\"b\":2,\"zzz\":3}");
    struct err err;
    struct json_in in;
    json_in_begin(&in, root, "", &err);
    (void)json_in_string(&in, "a", JSON_REQUIRED, 9);
    (void)json_in_string(&in, "b", JSON_REQUIRED, 9);
    assert_int_equal(json_in_fail(&in, "c", "late"), -1);
    assert_int_equal(json_in_end(&in), -1);
    assert_string_equal(err.member, "a");
    json_decref(root);
}

static void a_long_unknown_name_is_cut(void **state) {
    (void)state;
    char text[2000] = "{\"";
    memset(text + 2, 'n', 1500);
    strcpy(text + 1502, "\":1}");
    json_t *root = parse_text(text);
    struct err err;
    struct json_in in;
    json_in_begin(&in, root, "top", &err);
    assert_int_equal(json_in_end(&in), -1);
    assert_true(strlen(err.member) < sizeof err.member);
    assert_string_equal(err.text, "unknown member");
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_value_is_parsed),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(an_error_does_not_repeat_what_was_sent),
        cmocka_unit_test(size_is_limited_before_parsing),
        cmocka_unit_test(depth_is_limited_before_parsing),
        cmocka_unit_test(every_kind_of_member_is_read),
        cmocka_unit_test(an_absent_member_has_its_absent_value),
        cmocka_unit_test(a_wrong_member_is_named_and_the_rule_told),
        cmocka_unit_test(the_first_fault_is_kept),
        cmocka_unit_test(a_long_unknown_name_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
