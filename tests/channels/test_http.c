/* test_http: the http driver against a scripted server: what goes over the wire, how often, and what is made of the answers. */
#include "channels/http.h"
#include "tests/support/http_kit.h"
#include "tests/support/scripted_http.h"

#include <event2/event.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a gateway on a server of its own -------------------------------------------------------------------------------- */

struct bench {
    struct http_kit kit;
    struct scripted_http *server;
};

/* What every test's gateway has; a test adds lines. {{base}} is the server. */
static const char usual[] =
    "url: \"{{base}}/v1/messages\"\n"
    "body: json\n"
    "fields: {to: \"{{to}}\", text: \"{{text}}\", link: \"{{link}}\", ref: \"{{key}}\"}\n"
    "idempotency_header: Idempotency-Key\n"
    "success_field: /status\n"
    "success_values: [queued, accepted]\n"
    "id: /id\n"
    "code: /code\n"
    "codes: {\"21211\": contact-dead, \"21610\": rejected, \"20003\": account-trouble, \"20429\": retry, \"HTTP 418\": retry}\n";
static const char local[] = "allow_insecure: true\nallow_private: true\n";

static void begin(struct bench *bench, const struct scripted_step *steps, size_t n, const char *more) {
    http_kit_init(&bench->kit);
    bench->server = scripted_http_start(steps, n);
    assert_non_null(bench->server);
    char yaml[4096];
    (void)snprintf(yaml, sizeof yaml, "%s%s%s%svariables: {base: \"http://127.0.0.1:%d\"}\n", more[0] == 'u' ? "" : usual, local, more,
                   strstr(more, "timeout") == NULL ? "timeout: 60s\n" : "", scripted_http_port(bench->server));
    struct err err;
    if (http_kit_open(&bench->kit, "sms", yaml, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void end(struct bench *bench) {
    http_kit_fini(&bench->kit);
    scripted_http_stop(bench->server);
}

static const struct outcome *deliver(struct bench *bench, const struct message *message) {
    return http_kit_deliver(&bench->kit, message);
}

#define assert_outcome http_kit_assert_outcome
#define example http_kit_message

#define STEPS(...) (const struct scripted_step[]){__VA_ARGS__}, sizeof((struct scripted_step[]){__VA_ARGS__}) / sizeof(struct scripted_step)
#define ANSWER(text)                                                                                                                       \
    { SCRIPTED_ANSWER, text, 0 }

static const char *json_answer(int slot, const char *status_line, const char *body) {
    return scripted_answer(slot, status_line, "Content-Type: application/json\r\n", body);
}

/* One message, one answer. */
static void check_answer(const char *status_line, const char *headers, const char *body, enum outcome_kind kind, enum outcome_blame blame) {
    struct bench bench;
    begin(&bench, STEPS(ANSWER(scripted_answer(0, status_line, headers, body))), "");
    assert_outcome(deliver(&bench, &example), kind, blame);
    assert_int_equal(scripted_http_requests(bench.server), 1);
    end(&bench);
}

static const char queued[] = "{\"id\":\"SM123\",\"status\":\"queued\",\"code\":null}";

/* ---- what goes out --------------------------------------------------------------------------------------------------- */

static void accepted_message_is_sent_with_the_gateways_id(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS(ANSWER(json_answer(0, "HTTP/1.1 201 Created", queued))), "");
    const struct outcome *outcome = deliver(&bench, &example);
    assert_outcome(outcome, OUTCOME_SENT, BLAME_NONE);
    assert_string_equal(outcome->ref, "SM123");
    const char *request = scripted_http_request(bench.server, 0);
    assert_non_null(strstr(request, "POST /v1/messages HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "\r\nIdempotency-Key: 0123456789abcdef\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_null(strstr(request, "Expect:"));
    assert_non_null(
        strstr(request, "{\"to\":\"+441632960001\",\"text\":\"Your mailbox password was disabled.\",\"ref\":\"0123456789abcdef\"}"));
    end(&bench);
}

static void hostile_values_stay_in_their_json_string(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS(ANSWER(json_answer(0, "HTTP/1.1 200 OK", queued))), "");
    struct message message = example;
    message.text = "\",\"to\":\"+15550001\" {{to}} \\ \x01 \xc3\xa9";
    (void)deliver(&bench, &message);
    const char *body = strstr(scripted_http_request(bench.server, 0), "\r\n\r\n");
    assert_non_null(body);
    json_t *json = json_loads(body + 4, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "to")), example.to);
    assert_string_equal(json_string_value(json_object_get(json, "text")), message.text);
    json_decref(json);
    end(&bench);
}

static void hostile_values_stay_in_their_form_field_query_and_path(void **state) {
    (void)state;
    struct bench bench;
    begin(
        &bench, STEPS(ANSWER(json_answer(0, "HTTP/1.1 200 OK", queued))),
        "url: \"{{base}}/{{to}}/send?a=b\"\nbody: form\nfields: {To: \"{{to}}\", Body: \"{{text}}\"}\nheaders: {X-Title: \"{{title}}\"}\n");
    struct message message = example;
    message.to = "../x?y=1&z#f";
    message.text = "a&To=+1555;=%\r\n\xc3\xa9 b";
    message.title = "t\r\nX-Evil: 1";
    (void)deliver(&bench, &message);
    const char *request = scripted_http_request(bench.server, 0);
    assert_non_null(strstr(request, "POST /..%2Fx%3Fy%3D1%26z%23f/send?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "\r\n\r\nTo=..%2Fx%3Fy%3D1%26z%23f&Body=a%26To%3D%2B1555%3B%3D%25%0D%0A%C3%A9%20b"));
    assert_non_null(strstr(request, "\r\nX-Title: t  X-Evil: 1\r\n"));
    assert_null(strstr(request, "\r\nX-Evil"));
    end(&bench);
}

static void query_gateway_sends_a_get_with_the_fields_in_the_url(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS(ANSWER(scripted_answer(0, "HTTP/1.1 202 Accepted", "", "0: Accepted for delivery"))),
          "url: \"{{base}}/cgi-bin/sendsms\"\nmethod: GET\nbody: query\nfrom: reachd\n"
          "fields: {from: \"{{from}}\", to: \"{{to_digits}}\", text: \"{{text}}\", absent: \"{{link}}\"}\n"
          "success_field: text\nsuccess_values: [\"0\", \"3\"]\ncode: text\n");
    assert_outcome(deliver(&bench, &example), OUTCOME_SENT, BLAME_NONE);
    const char *request = scripted_http_request(bench.server, 0);
    assert_non_null(
        strstr(request, "GET /cgi-bin/sendsms?from=reachd&to=441632960001&text=Your%20mailbox%20password%20was%20disabled. HTTP"));
    end(&bench);
}

static void nested_json_arrays_and_numbers_are_built(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS(ANSWER(json_answer(0, "HTTP/1.1 200 OK", "{}"))),
          "url: \"{{base}}/\"\nbody: json\n"
          "fields: {message.token: \"{{to}}\", message.android.ttl: \"{{expires_in_s}}s\", list.0: \"{{to}}\", list.1: x, n: \"int:7\", "
          "flag: \"json:true\"}\n");
    struct message message = example;
    message.to = "tok";
    message.expires_at_ms = clock_wall_ms(&clock_system) + 3600500;
    assert_outcome(deliver(&bench, &message), OUTCOME_SENT, BLAME_NONE);
    assert_non_null(
        strstr(scripted_http_request(bench.server, 0),
               "{\"message\":{\"token\":\"tok\",\"android\":{\"ttl\":\"3600s\"}},\"list\":[\"tok\",\"x\"],\"n\":7,\"flag\":true}"));
    end(&bench);
}

static void check_auth(const char *kind, const char *expected) {
    char path[] = "/tmp/reach_test_http_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "s3cret\n", 7), 7);
    (void)close(fd);
    char more[300];
    (void)snprintf(more, sizeof more, "auth: %s\nsecret_file: %s\n", kind, path);
    struct bench bench;
    begin(&bench, STEPS(ANSWER(json_answer(0, "HTTP/1.1 200 OK", queued))), more);
    (void)unlink(path);
    assert_outcome(deliver(&bench, &example), OUTCOME_SENT, BLAME_NONE);
    assert_non_null(strstr(scripted_http_request(bench.server, 0), expected));
    end(&bench);
}

static void each_kind_of_auth_shows_the_secret_where_it_belongs(void **state) {
    (void)state;
    check_auth("basic\nusername: AC1", "\r\nAuthorization: Basic QUMxOnMzY3JldA==\r\n");
    check_auth("bearer", "\r\nAuthorization: Bearer s3cret\r\n");
    check_auth("header\nauth_header: X-Api-Key", "\r\nX-Api-Key: s3cret\r\n");
}

/* ---- exactly one copy ------------------------------------------------------------------------------------------------ */

static void fault_37_request_read_and_connection_closed_is_one_post_and_unknown(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_CLOSE, NULL, 0}), "");
    assert_outcome(deliver(&bench, &example), OUTCOME_UNKNOWN, BLAME_GATEWAY);
    (void)usleep(100000);
    assert_int_equal(scripted_http_requests(bench.server), 1);
    end(&bench);
}

static void fault_37_reused_connection_closed_after_the_request_is_one_post_and_unknown(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench,
          STEPS(ANSWER(json_answer(0, "HTTP/1.1 200 OK", queued)), {SCRIPTED_CLOSE, NULL, 0},
                ANSWER(json_answer(1, "HTTP/1.1 200 OK", queued))),
          "");
    assert_outcome(deliver(&bench, &example), OUTCOME_SENT, BLAME_NONE);
    assert_outcome(deliver(&bench, &example), OUTCOME_UNKNOWN, BLAME_GATEWAY);
    (void)usleep(100000);
    assert_int_equal(scripted_http_requests(bench.server), 2); /* libcurl by itself would make it 3 */
    assert_outcome(deliver(&bench, &example), OUTCOME_SENT, BLAME_NONE);
    assert_int_equal(scripted_http_requests(bench.server), 3);
    end(&bench);
}

static void connection_closed_while_idle_is_replaced_without_losing_a_message(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_ANSWER_CLOSE, json_answer(0, "HTTP/1.1 200 OK", queued), 0}), "");
    for (int i = 0; i < 5; i++) {
        assert_outcome(deliver(&bench, &example), OUTCOME_SENT, BLAME_NONE);
        (void)usleep(20000);
    }
    assert_int_equal(scripted_http_requests(bench.server), 5);
    end(&bench);
}

static void connections_are_kept_and_used_again(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS(ANSWER(json_answer(0, "HTTP/1.1 200 OK", queued))), "parallel: 4\nconnections: 4\n");
    for (int i = 0; i < 40; i++) {
        http_kit_take(&bench.kit, &example);
    }
    channel_http.flush(bench.kit.gateway);
    http_kit_wait(&bench.kit, 40);
    assert_int_equal(scripted_http_requests(bench.server), 40);
    assert_in_range(scripted_http_connections(bench.server), 1, 4);
    end(&bench);
}

static void silence_until_the_time_out_is_unknown(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_STALL, NULL, 0}), "timeout: 1s\n");
    assert_outcome(deliver(&bench, &example), OUTCOME_UNKNOWN, BLAME_GATEWAY);
    assert_int_equal(scripted_http_requests(bench.server), 1);
    end(&bench);
}

static void refused_connection_is_retry_and_the_gateways_fault(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_STALL, NULL, 0}), "");
    scripted_http_stop(bench.server);
    bench.server = NULL;
    assert_outcome(deliver(&bench, &example), OUTCOME_RETRY, BLAME_GATEWAY);
    end(&bench);
}

static void on_late_done(void *ctx, const struct outcome *outcome) {
    struct outcome *copy = ctx;
    *copy = *outcome;
}

static void attempt_whose_lease_has_run_out_does_not_begin(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS(ANSWER(json_answer(0, "HTTP/1.1 200 OK", queued))), "");
    struct err err;
    int64_t past_ms = clock_mono_ms(&clock_system) - 1;
    struct outcome outcome = {.kind = OUTCOME_SENT};
    assert_int_equal(channel_http.send(bench.kit.gateway, &example, past_ms, on_late_done, &outcome, &err), 0);
    channel_http.flush(bench.kit.gateway);
    int64_t until_ms = past_ms + 5000;
    while (outcome.kind == OUTCOME_SENT && clock_mono_ms(&clock_system) < until_ms) {
        (void)event_base_loop(bench.kit.base, EVLOOP_ONCE);
    }
    assert_outcome(&outcome, OUTCOME_RETRY, BLAME_NONE);
    assert_int_equal(scripted_http_requests(bench.server), 0);
    end(&bench);
}

static void close_reports_what_is_under_way_as_unknown_and_the_rest_as_retry(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_STALL, NULL, 0}), "parallel: 2\n");
    for (int i = 0; i < 3; i++) {
        http_kit_take(&bench.kit, &example);
    }
    channel_http.flush(bench.kit.gateway);
    int64_t until_ms = clock_mono_ms(&clock_system) + 5000;
    while (scripted_http_requests(bench.server) < 2 && clock_mono_ms(&clock_system) < until_ms) {
        (void)event_base_loop(bench.kit.base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(bench.kit.n_done, 0);
    channel_http.close(bench.kit.gateway);
    bench.kit.gateway = NULL;
    assert_int_equal(bench.kit.n_done, 3);
    assert_outcome(&bench.kit.outcomes[0], OUTCOME_UNKNOWN, BLAME_GATEWAY);
    assert_outcome(&bench.kit.outcomes[1], OUTCOME_UNKNOWN, BLAME_GATEWAY);
    assert_outcome(&bench.kit.outcomes[2], OUTCOME_RETRY, BLAME_NONE);
    end(&bench);
}

/* ---- what the answers mean ------------------------------------------------------------------------------------------- */

static void table_of_codes_decides(void **state) {
    (void)state;
    static const struct {
        const char *status_line, *body;
        enum outcome_kind kind;
        enum outcome_blame blame;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request", "{\"code\":21211}", OUTCOME_REJECTED, BLAME_CONTACT},
        {"HTTP/1.1 400 Bad Request", "{\"code\":21610}", OUTCOME_REJECTED, BLAME_MESSAGE},
        {"HTTP/1.1 400 Bad Request", "{\"code\":\"20003\"}", OUTCOME_RETRY, BLAME_ACCOUNT},
        {"HTTP/1.1 400 Bad Request", "{\"code\":20429}", OUTCOME_RETRY, BLAME_NONE},
        {"HTTP/1.1 200 OK", "{\"code\":21211,\"status\":\"failed\"}", OUTCOME_REJECTED, BLAME_CONTACT},
        {"HTTP/1.1 400 Bad Request", "{\"code\":99999}", OUTCOME_REJECTED, BLAME_MESSAGE},
        {"HTTP/1.1 418 Teapot", "nonsense", OUTCOME_RETRY, BLAME_NONE},
        {"HTTP/1.1 401 Unauthorized", "", OUTCOME_RETRY, BLAME_ACCOUNT},
        {"HTTP/1.1 403 Forbidden", "{}", OUTCOME_RETRY, BLAME_ACCOUNT},
        {"HTTP/1.1 404 Not Found", "", OUTCOME_REJECTED, BLAME_MESSAGE},
        {"HTTP/1.1 429 Too Many Requests", "", OUTCOME_RETRY, BLAME_GATEWAY},
        {"HTTP/1.1 503 Unavailable", "<html>", OUTCOME_RETRY, BLAME_GATEWAY},
        {"HTTP/1.1 500 Oops", "", OUTCOME_UNKNOWN, BLAME_NONE},
        {"HTTP/1.1 502 Bad Gateway", "<html>", OUTCOME_UNKNOWN, BLAME_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_answer(cases[i].status_line, "", cases[i].body, cases[i].kind, cases[i].blame);
    }
}

static void fault_40_status_200_proves_nothing_by_itself(void **state) {
    (void)state;
    check_answer("HTTP/1.1 200 OK", "Content-Type: text/html\r\n", "<html>Welcome to the hotel</html>", OUTCOME_UNKNOWN, BLAME_NONE);
    check_answer("HTTP/1.1 200 OK", "", "{\"status\":\"failed\"}", OUTCOME_REJECTED, BLAME_MESSAGE);
    check_answer("HTTP/1.1 200 OK", "", "{\"error\":\"no\"}", OUTCOME_UNKNOWN, BLAME_NONE);
    check_answer("HTTP/1.1 200 OK", "", "{\"status\":\"queued\",\"status\":\"failed\"}", OUTCOME_UNKNOWN, BLAME_NONE);
    check_answer("HTTP/1.1 200 OK", "", "", OUTCOME_UNKNOWN, BLAME_NONE);
}

static void header_may_say_whether_it_was_taken_and_under_which_id(void **state) {
    (void)state;
    static const struct {
        const char *header;
        enum outcome_kind kind;
        enum outcome_blame blame;
    } cases[] = {{"X-Verdict: queued\r\nX-Id: m-1\r\n", OUTCOME_SENT, BLAME_NONE},
                 {"X-Verdict: refused\r\nX-Id: m-1\r\n", OUTCOME_REJECTED, BLAME_MESSAGE},
                 {"X-Id: m-1\r\n", OUTCOME_UNKNOWN, BLAME_NONE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench;
        begin(&bench, STEPS(ANSWER(scripted_answer(0, "HTTP/1.1 200 OK", cases[i].header, ""))),
              "url: \"{{base}}/\"\nbody: form\nfields: {to: \"{{to}}\"}\nsuccess_field: header:X-Verdict\nsuccess_values: [queued]\nid: "
              "header:X-Id\n");
        assert_outcome(deliver(&bench, &example), cases[i].kind, cases[i].blame);
        assert_string_equal(bench.kit.outcomes[0].ref, cases[i].kind == OUTCOME_SENT ? "m-1" : "");
        end(&bench);
    }
}

static void fault_38_redirects_are_not_followed(void **state) {
    (void)state;
    static const char *const targets[] = {"Location: file:///etc/passwd\r\n", "Location: http://169.254.169.254/latest/\r\n",
                                          "Location: /v1/other\r\n"};
    for (size_t i = 0; i < 3; i++) {
        check_answer("HTTP/1.1 307 Temporary Redirect", targets[i], "", OUTCOME_RETRY, BLAME_ACCOUNT);
    }
}

static void fault_40_endless_body_is_cut(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_ENDLESS, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", 0}), "timeout: 120s\n");
    int64_t from_ms = clock_mono_ms(&clock_system);
    assert_outcome(deliver(&bench, &example), OUTCOME_UNKNOWN, BLAME_NONE);
    assert_in_range(clock_mono_ms(&clock_system) - from_ms, 0, 60000); /* cut, and not ended by the time-out */
    end(&bench);
}

static void fault_40_gzip_bomb_is_not_inflated(void **state) {
    (void)state;
    /* 1 GiB of zeros, as the beginning of its gzip form: never asked for, never inflated. */
    static const char bomb[] = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n"
                               "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xec\xc1\x01\x0d\x00\x00\x00\xc2\xa0\xf7";
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_ANSWER, bomb, sizeof bomb - 1}), "");
    assert_outcome(deliver(&bench, &example), OUTCOME_UNKNOWN, BLAME_NONE);
    assert_null(strcasestr(scripted_http_request(bench.server, 0), "accept-encoding"));
    end(&bench);
}

static void check_retry_after(const char *header, int64_t min_ms, int64_t max_ms) {
    struct bench bench;
    begin(&bench, STEPS(ANSWER(scripted_answer(0, "HTTP/1.1 429 Slow down", header, ""))), "");
    const struct outcome *outcome = deliver(&bench, &example);
    assert_outcome(outcome, OUTCOME_RETRY, BLAME_GATEWAY);
    if (outcome->retry_after_ms < min_ms || outcome->retry_after_ms > max_ms) {
        fail_msg("%s gave %lld ms", header, (long long)outcome->retry_after_ms);
    }
    end(&bench);
}

static void fault_41_retry_after_is_clamped(void **state) {
    (void)state;
    char date[80];
    time_t soon = time(NULL) + 60;
    struct tm tm;
    (void)strftime(date, sizeof date, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&soon, &tm));
    check_retry_after(date, 55000, 60000);
    check_retry_after("Retry-After: 120\r\n", 120000, 120000);
    check_retry_after("Retry-After: -1\r\n", -1, -1);
    check_retry_after("Retry-After: 1000000000000\r\n", 86400000, 86400000);
    check_retry_after("Retry-After: 99999999999999999999999999\r\n", 86400000, 86400000);
    check_retry_after("Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 0, 0);
    check_retry_after("Retry-After: Fri, 31 Dec 2999 23:59:59 GMT\r\n", 86400000, 86400000);
    check_retry_after("Retry-After: soon\r\n", -1, -1);
    check_retry_after("", -1, -1);
}

static void answer_of_many_kinds_never_leaks_the_address(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench,
          STEPS(ANSWER(
              json_answer(0, "HTTP/1.1 400 Bad Request", "{\"code\":\"no such number +441632960001\",\"message\":\"+441632960001\"}"))),
          "");
    const struct outcome *outcome = deliver(&bench, &example);
    assert_outcome(outcome, OUTCOME_REJECTED, BLAME_MESSAGE);
    assert_string_equal(outcome->code, "400");
    end(&bench);
}

/* ---- where requests may go ------------------------------------------------------------------------------------------- */

static void assert_refused(const char *yaml, const char *expected) {
    struct bench bench;
    http_kit_init(&bench.kit);
    bench.server = NULL;
    struct err err;
    err_clear(&err);
    assert_int_equal(http_kit_open(&bench.kit, "sms", yaml, &err), -1);
    char whole[600];
    (void)snprintf(whole, sizeof whole, "%s: %s", err.member, err.text);
    if (strstr(whole, expected) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", expected, whole);
    }
    end(&bench);
}

static void fault_39_bad_urls_are_refused_when_the_gateway_is_opened(void **state) {
    (void)state;
    assert_refused("url: \"http://sms.example/\"\n", "allow_insecure");
    assert_refused("url: \"https://user:pass@sms.example/\"\n", "user name");
    assert_refused("url: \"ftp://sms.example/\"\n", "https");
    assert_refused("url: \"file:///etc/passwd\"\n", "https");
    assert_refused("url: \"https://{{to}}/x\"\n", "host");
    assert_refused("url: \"https://sms.example{{to}}/x\"\n", "host");
    assert_refused("url: \"https://sms.example/{{nonsense}}\"\n", "not a placeholder");
    assert_refused("url: \"https://sms.example/\"\nbody: json\nfields: {a: \"{{to}\"}\n", "{{ without }}");
    assert_refused("url: \"https://sms.example/\"\nbody: json\nfields: {a: x, a.b: y}\n", "a.b");
    assert_refused("url: \"https://sms.example/\"\nbody: json\nfields: {a: \"json:{\"}\n", "not JSON");
    assert_refused("url: \"https://sms.example/\"\nheaders: {\"Bad Name\": x}\n", "Bad Name");
    assert_refused("url: \"https://sms.example/\"\nauth: basic\n", "username");
    assert_refused("url: \"https://sms.example/\"\nauth: bearer\n", "secret_file");
    assert_refused("url: \"https://sms.example/\"\nid: status\n", "place");
    assert_refused("url: \"https://sms.example/\"\ncodes: {\"1\": maybe}\n", "maybe");
    assert_refused("url: \"https://sms.example/\"\nsuccess_status: [2x]\n", "2x");
}

static void fault_39_private_address_is_refused_unless_allowed(void **state) {
    (void)state;
    struct bench bench;
    http_kit_init(&bench.kit);
    bench.server = NULL;
    static const struct scripted_step step[] = {{SCRIPTED_STALL, NULL, 0}};
    bench.server = scripted_http_start(step, 1);
    assert_non_null(bench.server);
    char yaml[600];
    (void)snprintf(yaml, sizeof yaml, "url: \"http://localhost:%d/\"\nallow_insecure: true\n", scripted_http_port(bench.server));
    struct err err;
    assert_int_equal(http_kit_open(&bench.kit, "sms", yaml, &err), 0);
    const struct outcome *outcome = deliver(&bench, &example);
    assert_outcome(outcome, OUTCOME_RETRY, BLAME_GATEWAY);
    assert_non_null(strstr(outcome->reason, "allow_private"));
    assert_int_equal(scripted_http_connections(bench.server), 0);
    end(&bench);
}

static void fault_42_proxy_variables_are_ignored(void **state) {
    (void)state;
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"};
    static const struct scripted_step step[] = {{SCRIPTED_CLOSE, NULL, 0}};
    struct scripted_http *proxy = scripted_http_start(step, 1);
    assert_non_null(proxy);
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", scripted_http_port(proxy));
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(setenv(names[i], url, 1), 0);
    }
    check_answer("HTTP/1.1 200 OK", "", queued, OUTCOME_SENT, BLAME_NONE);
    assert_int_equal(scripted_http_connections(proxy), 0);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
    scripted_http_stop(proxy);
}

static void message_without_what_the_url_needs_is_rejected(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, STEPS({SCRIPTED_CLOSE, NULL, 0}), "url: \"{{base}}/{{link}}\"\n");
    assert_outcome(deliver(&bench, &example), OUTCOME_REJECTED, BLAME_MESSAGE);
    assert_int_equal(scripted_http_connections(bench.server), 0);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_message_is_sent_with_the_gateways_id),
        cmocka_unit_test(hostile_values_stay_in_their_json_string),
        cmocka_unit_test(hostile_values_stay_in_their_form_field_query_and_path),
        cmocka_unit_test(query_gateway_sends_a_get_with_the_fields_in_the_url),
        cmocka_unit_test(nested_json_arrays_and_numbers_are_built),
        cmocka_unit_test(each_kind_of_auth_shows_the_secret_where_it_belongs),
        cmocka_unit_test(fault_37_request_read_and_connection_closed_is_one_post_and_unknown),
        cmocka_unit_test(fault_37_reused_connection_closed_after_the_request_is_one_post_and_unknown),
        cmocka_unit_test(connection_closed_while_idle_is_replaced_without_losing_a_message),
        cmocka_unit_test(connections_are_kept_and_used_again),
        cmocka_unit_test(silence_until_the_time_out_is_unknown),
        cmocka_unit_test(refused_connection_is_retry_and_the_gateways_fault),
        cmocka_unit_test(attempt_whose_lease_has_run_out_does_not_begin),
        cmocka_unit_test(close_reports_what_is_under_way_as_unknown_and_the_rest_as_retry),
        cmocka_unit_test(table_of_codes_decides),
        cmocka_unit_test(fault_40_status_200_proves_nothing_by_itself),
        cmocka_unit_test(header_may_say_whether_it_was_taken_and_under_which_id),
        cmocka_unit_test(fault_38_redirects_are_not_followed),
        cmocka_unit_test(fault_40_endless_body_is_cut),
        cmocka_unit_test(fault_40_gzip_bomb_is_not_inflated),
        cmocka_unit_test(fault_41_retry_after_is_clamped),
        cmocka_unit_test(answer_of_many_kinds_never_leaks_the_address),
        cmocka_unit_test(fault_39_bad_urls_are_refused_when_the_gateway_is_opened),
        cmocka_unit_test(fault_39_private_address_is_refused_unless_allowed),
        cmocka_unit_test(fault_42_proxy_variables_are_ignored),
        cmocka_unit_test(message_without_what_the_url_needs_is_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
