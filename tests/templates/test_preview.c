/* The preview server: what it answers, whom it answers, and that it tells of changes. */
#include "set_fixture.h"

#include "templates/preview.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

static pid_t server;
static unsigned port;

/* Serves until it is killed; the address goes to `out`. */
static int serve(const char *dir, FILE *out) {
    struct err err = {0};
    struct event_base *base = event_base_new();
    struct preview *preview = base == NULL ? NULL : preview_new(base, dir, 0, &err);
    if (preview == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    (void)fprintf(out, "%s\n", preview_url(preview));
    (void)fflush(out);
    (void)event_base_dispatch(base);
    return 0;
}

static int start(void **state) {
    int ends[2];
    char url[100] = "";
    assert_int_equal(fixture_setup(state), 0);
    assert_int_equal(pipe(ends), 0);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        FILE *out = fdopen(ends[1], "w");
        _exit(out == NULL ? 1 : serve(fixture_dir, out));
    }
    (void)close(ends[1]);
    FILE *in = fdopen(ends[0], "r");
    assert_non_null(in);
    assert_non_null(fgets(url, sizeof url, in));
    assert_int_equal(fclose(in), 0);
    assert_int_equal(sscanf(url, "http://127.0.0.1:%u/", &port), 1);
    return 0;
}

static int stop(void **state) {
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(waitpid(server, NULL, 0), server);
    return fixture_teardown(state);
}

static int open_connection(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval limit = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* One request on a connection of its own; the whole answer. */
static const char *ask(const char *method, const char *path, const char *host, const char *body) {
    static char answer[200000];
    char request[4000];
    size_t len = 0;
    int fd = open_connection();
    (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method,
                   path, host, strlen(body), body);
    send_all(fd, request);
    for (ssize_t n = 1; n > 0 && len<sizeof answer - 1; len += n> 0 ? (size_t)n : 0) {
        n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
    }
    answer[len] = '\0';
    (void)close(fd);
    return answer;
}

static const char *here(void) {
    static char host[40];
    (void)snprintf(host, sizeof host, "127.0.0.1:%u", port);
    return host;
}

static void the_page_and_its_parts_are_served(void **state) {
    (void)state;
    assert_non_null(strstr(ask("GET", "/", here(), ""), "<title>Messages preview</title>"));
    assert_non_null(strstr(ask("GET", "/", here(), ""), "Content-Security-Policy: default-src 'none'"));
    assert_non_null(strstr(ask("GET", "/app.js", here(), ""), "'use strict'"));
    assert_non_null(strstr(ask("GET", "/style.css", here(), ""), ":root"));
    assert_non_null(strstr(ask("GET", "/nothing", here(), ""), " 404 "));
    assert_non_null(strstr(ask("POST", "/", here(), ""), " 405 "));
}

static void another_host_name_is_refused(void **state) {
    (void)state;
    assert_non_null(strstr(ask("GET", "/api/set", "evil.example", ""), " 403 "));
    assert_non_null(strstr(ask("POST", "/api/render", "evil.example", "{}"), " 403 "));
}

static void the_set_and_its_messages_are_answered(void **state) {
    (void)state;
    const char *set = ask("GET", "/api/set", here(), "");
    assert_non_null(strstr(set, "\"notice\":\"n\""));
    assert_non_null(strstr(set, "\"example\":{\"word\":\"hello\""));
    const char *messages = ask("POST", "/api/render", here(), "{\"notice\":\"n\",\"locale\":\"en\",\"data\":{\"word\":\"<you>\"}}");
    assert_non_null(strstr(messages, "\"subject\":\"About <you>\""));
    assert_non_null(strstr(messages, "Hello &lt;you&gt;"));
    assert_non_null(strstr(messages, "\"segments\":1"));
    messages = ask("POST", "/api/render", here(), "{\"notice\":\"n\",\"locale\":\"en\",\"data\":{}}");
    assert_non_null(strstr(messages, "\"member\":\"data.word\""));
    assert_non_null(strstr(ask("POST", "/api/render", here(), "[]"), " 400 "));
    assert_non_null(strstr(ask("POST", "/api/render", here(), "{"), " 400 "));
}

static void only_files_of_the_set_are_shown(void **state) {
    static const char *const bad[] = {"../../etc/passwd", "/etc/passwd", "n/../../x",      "n/.hidden", "", "n/",
                                      "n//etc",           "%2e%2e/x",    "n/en/nothing.md"};
    (void)state;
    assert_non_null(strstr(ask("GET", "/api/source?file=n/en/sms.txt", here(), ""), "walton.example"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[100];
        (void)snprintf(path, sizeof path, "/api/source?file=%s", bad[i]);
        assert_non_null(strstr(ask("GET", path, here(), ""), " 400 "));
    }
}

/* Reads until `text` has come or five seconds have passed. */
static void wait_for(int fd, const char *text) {
    char got[4000] = "";
    size_t len = 0;
    while (strstr(got, text) == NULL && len < sizeof got - 1) {
        ssize_t n = recv(fd, got + len, sizeof got - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
        got[len] = '\0';
    }
}

static int64_t now_ms(void) {
    struct timeval now;
    assert_int_equal(gettimeofday(&now, NULL), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

static void a_change_is_told_within_a_second_and_the_last_good_words_stay(void **state) {
    char request[200];
    (void)state;
    int64_t asked_ms = now_ms();
    (void)ask("GET", "/api/set", here(), "");
    int64_t answer_ms = now_ms() - asked_ms; /* how fast this machine is just now */
    int fd = open_connection();
    (void)snprintf(request, sizeof request, "GET /api/changes HTTP/1.1\r\nHost: %s\r\n\r\n", here());
    send_all(fd, request);
    wait_for(fd, "data: hello");
    int64_t saved_ms = now_ms();
    fixture_write("n/en/sms.txt", "broken {{wrod}}\n");
    wait_for(fd, "data: changed");
    assert_true(now_ms() - saved_ms < 1000 + 20 * answer_ms);
    assert_non_null(strstr(ask("GET", "/api/set", here(), ""), "unknown variable {{wrod}}"));
    assert_non_null(strstr(ask("POST", "/api/render", here(), "{\"notice\":\"n\",\"data\":{\"word\":\"you\"}}"), "Walton: you"));
    fixture_write("n/en/sms.txt", "New: {{word}} walton.example\n");
    wait_for(fd, "data: changed");
    assert_non_null(strstr(ask("POST", "/api/render", here(), "{\"notice\":\"n\",\"data\":{\"word\":\"you\"}}"), "New: you"));
    (void)close(fd);
}

static void a_directory_that_is_not_there_is_an_error(void **state) {
    struct err err = {0};
    (void)state;
    struct event_base *base = event_base_new();
    assert_null(preview_new(base, "/nonexistent/words", 0, &err));
    assert_true(err.text[0] != '\0');
    assert_null(preview_new(base, fixture_dir, (uint16_t)port, &err));
    assert_int_equal(err.code, ERR_NET);
    struct preview *second = preview_new(base, fixture_dir, 0, &err);
    assert_non_null(second);
    preview_free(second);
    event_base_free(base);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_page_and_its_parts_are_served),
        TEST(another_host_name_is_refused),
        TEST(the_set_and_its_messages_are_answered),
        TEST(only_files_of_the_set_are_shown),
        TEST(a_change_is_told_within_a_second_and_the_last_good_words_stay),
        TEST(a_directory_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
