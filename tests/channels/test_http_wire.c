/* test_http_wire: what one handle puts on the wire, request after request: fields that are absent, urls and header lines that change. */
#include "tests/support/http_kit.h"
#include "tests/support/scripted_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define example http_kit_message

struct bench {
    struct http_kit kit;
    struct scripted_step yes;
    struct scripted_http *server;
};

/* A gateway on a server of its own that says yes to everything. {{base}} is the server. */
static void begin(struct bench *bench, const char *yaml) {
    http_kit_init(&bench->kit);
    const char *yes = scripted_answer(0, "HTTP/1.1 200 OK", "Content-Type: application/json\r\n", "{}");
    bench->yes = (struct scripted_step){SCRIPTED_ANSWER, yes, 0};
    bench->server = scripted_http_start(&bench->yes, 1);
    assert_non_null(bench->server);
    char whole[1000];
    (void)snprintf(whole, sizeof whole,
                   "%sbody: json\nallow_insecure: true\nallow_private: true\ntimeout: 60s\nvariables: {base: \"http://127.0.0.1:%d\"}\n",
                   yaml, scripted_http_port(bench->server));
    struct err err;
    if (http_kit_open(&bench->kit, "sms", whole, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void end(struct bench *bench) {
    http_kit_fini(&bench->kit);
    scripted_http_stop(bench->server);
}

/* Sends it and gives the request that came, the k-th. */
static const char *request_of(struct bench *bench, const struct message *message, int k) {
    http_kit_assert_outcome(http_kit_deliver(&bench->kit, message), OUTCOME_SENT, BLAME_NONE);
    return scripted_http_request(bench->server, k);
}

/* The first, the last, those around a container: what an absent value leaves is JSON still. */
static void absent_json_fields_leave_no_trace(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        const char *body;
    } cases[] = {
        {"{a: \"{{link}}\", b: \"{{key}}\"}", "{\"b\":\"0123456789abcdef\"}"},
        {"{a: \"{{link}}\"}", "{}"},
        {"{a: \"{{key}}\", b: \"{{link}}\"}", "{\"a\":\"0123456789abcdef\"}"},
        {"{a.b: \"{{link}}\", a.c: x, d: \"{{link}}\", e: y}", "{\"a\":{\"c\":\"x\"},\"e\":\"y\"}"},
        {"{a.b: x, a.c.d: \"{{link}}\", a.c.e: \"{{link}}\", f.0: \"{{link}}\", f.1: y}", "{\"a\":{\"b\":\"x\"},\"f\":[\"y\"]}"},
        {"{a: \"{{link}} of {{key}}\", b: \"of {{key}}\", c: \"\"}", "{\"b\":\"of 0123456789abcdef\",\"c\":\"\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench;
        char yaml[300];
        (void)snprintf(yaml, sizeof yaml, "url: \"{{base}}/\"\nfields: %s\n", cases[i].fields);
        begin(&bench, yaml);
        const char *body = strstr(request_of(&bench, &example, 0), "\r\n\r\n");
        assert_non_null(body);
        assert_string_equal(body + 4, cases[i].body);
        end(&bench);
    }
}

static size_t count(const char *request, const char *text) {
    size_t n = 0;
    for (const char *at = request; (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

/* Handles, connections and parsed URLs are used again: nothing of one request may be seen in the next. */
static void each_request_has_its_own_url_and_lines(void **state) {
    (void)state;
    static const struct {
        const char *to;
        const char *key;
        const char *target;
    } cases[] = {{"a", "1", "/a/x?y=1"},
                 {"a", "1", "/a/x?y=1"},
                 {"b?c=d#e", "2", "/b%3Fc%3Dd%23e/x?y=1"},
                 {"a", "2", "/a/x?y=1"},
                 {"b?c=d#e", "3", "/b%3Fc%3Dd%23e/x?y=1"}};
    struct bench bench;
    begin(&bench, "url: \"{{base}}/{{to}}/x?y=1\"\nfields: {key: \"{{key}}\"}\nidempotency_header: Idempotency-Key\n");
    for (int i = 0; i < 5; i++) {
        struct message message = example;
        message.to = cases[i].to;
        message.key = cases[i].key;
        const char *request = request_of(&bench, &message, i);
        char wanted[100];
        (void)snprintf(wanted, sizeof wanted, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", cases[i].target,
                       scripted_http_port(bench.server));
        assert_memory_equal(request, wanted, strlen(wanted));
        (void)snprintf(wanted, sizeof wanted, "\r\nIdempotency-Key: %s\r\n", cases[i].key);
        assert_int_equal(count(request, wanted), 1);
        assert_int_equal(count(request, "\r\nIdempotency-Key:"), 1);
        assert_int_equal(count(request, "\r\nUser-Agent: reachd\r\n"), 1);
        (void)snprintf(wanted, sizeof wanted, "\r\n\r\n{\"key\":\"%s\"}", cases[i].key);
        assert_non_null(strstr(request, wanted));
    }
    assert_int_equal(scripted_http_connections(bench.server), 1);
    end(&bench);
}

static void a_gateway_may_name_us_otherwise(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "url: \"{{base}}/\"\nheaders: {user-agent: shop/1}\nfields: {key: \"{{key}}\"}\n");
    const char *request = request_of(&bench, &example, 0);
    assert_int_equal(count(request, "\r\nuser-agent: shop/1\r\n"), 1);
    assert_int_equal(count(request, "\r\nUser-Agent:"), 0);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_json_fields_leave_no_trace),
        cmocka_unit_test(each_request_has_its_own_url_and_lines),
        cmocka_unit_test(a_gateway_may_name_us_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
