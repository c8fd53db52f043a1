/* test_http2: HTTP/2 against nghttpd: many messages over one connection, and TLS that is verified. Skipped where nghttpd is missing. */
#include "channels/http.h"
#include "tests/support/http_kit.h"
#include "tests/support/server.h"
#include "tests/support/shell.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGES = 20000, AT_ONCE = 64 };

struct bench {
    struct http_kit kit;
    char dir[32];
    int port;
    pid_t pid;
};

/* A certificate for localhost and the file that is served. */
static void make_files(const char *dir) {
    char command[600];
    (void)snprintf(command, sizeof command,
                   "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 1 "
                   "-addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null && "
                   "printf '{\"id\":\"x1\",\"status\":\"queued\"}' > send",
                   dir);
    assert_int_equal(shell(command), 0);
}

static void clear_files(const char *dir) {
    char command[100];
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(shell(command), 0);
}

static void start_server(struct bench *bench) {
    char port[16];
    char root[64];
    char key[64];
    char cert[64];
    (void)snprintf(port, sizeof port, "%d", bench->port);
    (void)snprintf(root, sizeof root, "%s", bench->dir);
    (void)snprintf(key, sizeof key, "%s/key.pem", bench->dir);
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", bench->dir);
    char log[64];
    (void)snprintf(log, sizeof log, "%s/nghttpd.log", bench->dir);
    char *argv[] = {(char[]){"nghttpd"}, (char[]){"-a"}, (char[]){"127.0.0.1"}, (char[]){"-d"}, root, port, key, cert, NULL};
    bench->pid = server_start(argv, log);
    assert_true(server_wait(bench->pid, bench->port));
}

static void begin(struct bench *bench, const char *more) {
    if (shell("command -v nghttpd openssl >/dev/null") != 0) {
        skip();
    }
    memset(bench, 0, sizeof *bench);
    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/reach_test_http2_XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    make_files(bench->dir);
    bench->port = server_free_port();
    start_server(bench);
    http_kit_init(&bench->kit);
    char yaml[1000];
    (void)snprintf(
        yaml, sizeof yaml,
        "url: https://localhost:%d/send\nbody: json\nfields: {to: \"{{to}}\", text: \"{{text}}\"}\nsuccess_field: /status\n"
        "success_values: [queued]\nid: /id\nhttp2: true\nallow_private: true\ntimeout: 10s\nconnections: 1\nparallel: %d\n%s%s%s\n",
        bench->port, AT_ONCE, more, more[0] == 'c' ? bench->dir : "", more[0] == 'c' ? "/cert.pem" : "");
    struct err err;
    if (http_kit_open(&bench->kit, "push", yaml, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void end(struct bench *bench) {
    http_kit_fini(&bench->kit);
    server_stop(bench->pid);
    clear_files(bench->dir);
}

struct tally {
    int n[4]; /* by enum outcome_kind */
    int done;
    char last_reason[256];
};

static void on_done(void *ctx, const struct outcome *outcome) {
    struct tally *tally = ctx;
    tally->n[outcome->kind]++;
    tally->done++;
    if (outcome->kind != OUTCOME_SENT) {
        (void)snprintf(tally->last_reason, sizeof tally->last_reason, "%s", outcome->reason);
    }
}

static void thousands_of_messages_share_one_connection_and_none_is_lost(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "ca_file: ");
    struct tally tally = {{0}, 0, ""};
    struct err err;
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(channel_http.send(bench.kit.gateway, &http_kit_message, INT64_MAX, on_done, &tally, &err), 0);
    }
    channel_http.flush(bench.kit.gateway);
    int64_t until_ms = clock_mono_ms(&clock_system) + 150000;
    while (tally.done < MESSAGES && clock_mono_ms(&clock_system) < until_ms) {
        struct timeval step = {.tv_usec = 5000};
        (void)event_base_loopexit(bench.kit.base, &step);
        (void)event_base_dispatch(bench.kit.base);
    }
    if (tally.n[OUTCOME_SENT] != MESSAGES) {
        fail_msg("sent %d, retry %d, rejected %d, unknown %d of %d: %s", tally.n[OUTCOME_SENT], tally.n[OUTCOME_RETRY],
                 tally.n[OUTCOME_REJECTED], tally.n[OUTCOME_UNKNOWN], MESSAGES, tally.last_reason);
    }
    end(&bench);
}

static void certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, "");
    http_kit_assert_outcome(http_kit_deliver(&bench.kit, &http_kit_message), OUTCOME_RETRY, BLAME_GATEWAY);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_messages_share_one_connection_and_none_is_lost),
        cmocka_unit_test(certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
