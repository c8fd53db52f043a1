/* test_listener: receipts over HTTP, from the socket to the callback. */
#include "base/conf.h"
#include "channels/http_settings.h"
#include "channels/listener.h"
#include "tests/support/server.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { REPLY_MAX = 4096, TAKEN_MAX = 32 };

enum manner { STORE_NOW, STORE_LATER, STORE_FAILS, STORE_NEVER };

struct bench {
    struct event_base *base;
    struct arena arena;
    struct listener_settings settings;
    struct listener *listener;
    struct gateway_settings gateways[2];
    enum manner manner;
    struct provider_receipt taken[TAKEN_MAX];
    char gateway[64];
    size_t n_taken;
    struct event *later;
    listener_stored_fn *stored;
    void *stored_ctx;
    char secret_path[64];
    char address[32];
    int port;
};

static void on_later(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct bench *bench = arg;
    bench->stored(bench->stored_ctx, true);
}

static void on_take(void *ctx, const char *gateway, const struct provider_receipt *receipts, size_t n, listener_stored_fn *stored,
                    void *stored_ctx) {
    struct bench *bench = ctx;
    for (size_t i = 0; i < n && bench->n_taken < TAKEN_MAX; i++) {
        bench->taken[bench->n_taken++] = receipts[i];
    }
    (void)snprintf(bench->gateway, sizeof bench->gateway, "%s", gateway);
    struct timeval soon = {.tv_usec = 20000};
    bench->stored = stored;
    bench->stored_ctx = stored_ctx;
    switch (bench->manner) {
    case STORE_NOW: stored(stored_ctx, true); break;
    case STORE_FAILS: stored(stored_ctx, false); break;
    case STORE_LATER: assert_int_equal(event_base_once(bench->base, -1, EV_TIMEOUT, on_later, bench, &soon), 0); break;
    case STORE_NEVER: break;
    }
}

static const struct listener_handlers handlers = {.take = on_take};

static void write_secret(struct bench *bench) {
    (void)snprintf(bench->secret_path, sizeof bench->secret_path, "/tmp/reach_test_listener_XXXXXX");
    int fd = mkstemp(bench->secret_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "s3cret\n", 7), 7);
    (void)close(fd);
}

static void add_gateway(struct bench *bench, int i, const char *name, const char *yaml) {
    struct err err;
    char whole[1000];
    int len = snprintf(whole, sizeof whole, "%ssecret_file: %s\nreceipt_secret_file: %s\nallow_insecure: true\n", yaml, bench->secret_path,
                       bench->secret_path);
    struct http_settings *settings = arena_alloc(&bench->arena, sizeof *settings);
    if (conf_read_text(whole, (size_t)len, "test.yaml", &http_table, settings, &bench->arena, &err) < 0) {
        fail_msg("%s", err.text);
    }
    bench->gateways[i] = (struct gateway_settings){.name = name, .channel = "sms", .driver = "http", .driver_settings = settings};
    size_t at_fault = 0;
    if (listener_load(bench->listener, bench->gateways, (size_t)i + 1, &at_fault, &err) != i + 1) {
        fail_msg("%s", err.text);
    }
}

/* A port that nobody has right now. */
static void begin(struct bench *bench, const char *cert_file, const char *key_file) {
    memset(bench, 0, sizeof *bench);
    bench->base = event_base_new();
    bench->port = server_free_port();
    (void)snprintf(bench->address, sizeof bench->address, "127.0.0.1:%d", bench->port);
    bench->settings = (struct listener_settings){.address = bench->address,
                                                 .body_max_bytes = 4096,
                                                 .timeout_ms = 2000,
                                                 .connections_max = 4,
                                                 .cert_file = cert_file,
                                                 .key_file = key_file};
    struct err err;
    bench->listener = listener_new(bench->base, &clock_system, &bench->settings, &handlers, bench, &err);
    if (bench->listener == NULL) {
        fail_msg("%s", err.text);
    }
    write_secret(bench);
    add_gateway(bench, 0, "kannel-1", "description: kannel\nusername: u\nfrom: \"1\"\nvariables: {base: \"http://k.example\"}\n");
    add_gateway(bench, 1, "twilio-1",
                "description: twilio\nusername: AC1\nfrom: \"+1\"\nreceipt_url: https://example.org/receipts/twilio-1\nvariables: "
                "{account_sid: AC1}\n");
}

static void end(struct bench *bench) {
    listener_free(bench->listener);
    event_base_free(bench->base);
    arena_fini(&bench->arena);
    (void)unlink(bench->secret_path);
}

/* ---- a provider in a child process ----------------------------------------------------------------------------------- */

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

/* Sends `request` and copies the answer to `out_fd`. */
static void __attribute__((noreturn)) be_provider(int port, const char *request, size_t len, int out_fd) {
    int fd = connect_to(port);
    char text[REPLY_MAX];
    if (fd >= 0 && send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len) {
        for (ssize_t n; (n = recv(fd, text, sizeof text, 0)) > 0;) {
            if (write(out_fd, text, (size_t)n) != n) {
                _exit(1);
            }
        }
    }
    _exit(0);
}

/* What the listener answers to a raw request. */
static const char *talk(struct bench *bench, const char *request, size_t len) {
    static char reply[REPLY_MAX];
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    int port = bench->port;
    pid_t pid = fork();
    if (pid == 0) {
        be_provider(port, request, len, fds[1]);
    }
    (void)close(fds[1]);
    int status = 0;
    for (int i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
        struct timeval step = {.tv_usec = 5000};
        (void)event_base_loopexit(bench->base, &step);
        (void)event_base_dispatch(bench->base);
    }
    ssize_t n = read(fds[0], reply, sizeof reply - 1);
    (void)close(fds[0]);
    reply[n < 0 ? 0 : n] = '\0';
    return reply;
}

static void assert_status(struct bench *bench, const char *request, int status) {
    char expected[32];
    (void)snprintf(expected, sizeof expected, "HTTP/1.1 %d ", status);
    const char *reply = talk(bench, request, strlen(request));
    if (strncmp(reply, expected, strlen(expected)) != 0) {
        fail_msg("expected %d, got: %.200s\nfor: %.100s", status, reply, request);
    }
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

static void genuine_receipt_is_handed_on_and_answered_200(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), 200);
    assert_int_equal(bench.n_taken, 1);
    assert_string_equal(bench.gateway, "kannel-1");
    assert_string_equal(bench.taken[0].ref, "k1");
    assert_string_equal(bench.taken[0].status, "delivered");
    assert_int_equal(listener_count(bench.listener, LISTENER_TAKEN), 1);
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=8"), 200); /* only pending */
    assert_int_equal(bench.n_taken, 1);
    assert_int_equal(listener_count(bench.listener, LISTENER_PENDING), 1);
    end(&bench);
}

static void signed_receipt_is_checked_against_the_public_address(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    static const char text[] = "https://example.org/receipts/twilio-1MessageSidSM1MessageStatusdelivered";
    static const char body[] = "MessageStatus=delivered&MessageSid=SM1";
    unsigned char mac[20];
    size_t mac_len = 0;
    assert_non_null(
        EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, "s3cret", 6, (const unsigned char *)text, strlen(text), mac, sizeof mac, &mac_len));
    char signature[64];
    (void)EVP_EncodeBlock((unsigned char *)signature, mac, 20);
    static const char *const paths[] = {"/receipts/twilio-1", "/receipts/twilio-1?x=1"};
    static const int statuses[] = {200, 403};
    for (size_t i = 0; i < 2; i++) {
        char request[1000];
        (void)snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: internal\r\nConnection: close\r\nX-Twilio-Signature: %s\r\nContent-Type: "
                       "application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
                       paths[i], signature, strlen(body), body);
        assert_status(&bench, request, statuses[i]);
    }
    assert_int_equal(bench.n_taken, 1);
    assert_string_equal(bench.taken[0].ref, "SM1");
    end(&bench);
}

static void fault_43_forged_garbled_and_lost_requests_change_nothing(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    assert_status(&bench, GET("/receipts/kannel-1?ref=k1&status=1"), 403);
    assert_status(&bench, GET("/receipts/kannel-1/wrong?ref=k1&status=1"), 403);
    assert_status(&bench, GET("/receipts/twilio-1?ref=k1&status=1"), 403);
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=77"), 400);
    assert_status(&bench, GET("/receipts/kannel-1/s3cret"), 400);
    assert_status(&bench, GET("/receipts/nobody"), 404);
    assert_status(&bench, GET("/receipts/kannel-12/s3cret?ref=k1&status=1"), 404);
    assert_status(&bench, GET("/"), 404);
    assert_status(&bench, GET("/receipts/"), 404);
    assert_status(&bench, GET("/receipts/../receipts/kannel-1/s3cret?ref=k1&status=1"), 404);
    assert_status(&bench, "DELETE /receipts/kannel-1/s3cret HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405);
    assert_int_equal(bench.n_taken, 0);
    assert_int_equal(listener_count(bench.listener, LISTENER_FORGED), 3);
    assert_int_equal(listener_count(bench.listener, LISTENER_GARBLED), 2);
    end(&bench);
}

static void large_body_is_refused_before_it_is_read(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    assert_status(&bench, "POST /receipts/kannel-1/s3cret HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 100000000\r\n\r\n",
                  413);
    assert_int_equal(bench.n_taken, 0);
    end(&bench);
}

static void provider_is_told_200_only_once_the_receipt_is_stored(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    bench.manner = STORE_FAILS;
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), 503);
    bench.manner = STORE_LATER;
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), 200);
    assert_int_equal(listener_count(bench.listener, LISTENER_FAILED), 1);
    assert_int_equal(listener_count(bench.listener, LISTENER_TAKEN), 1);
    end(&bench);
}

static void listener_can_close_while_a_receipt_is_being_stored(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    bench.manner = STORE_NEVER;
    int fd = connect_to(bench.port);
    assert_true(fd >= 0);
    static const char request[] = GET("/receipts/kannel-1/s3cret?ref=k1&status=1");
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    for (int i = 0; i < 400 && bench.n_taken == 0; i++) {
        struct timeval step = {.tv_usec = 5000};
        (void)event_base_loopexit(bench.base, &step);
        (void)event_base_dispatch(bench.base);
    }
    assert_int_equal(bench.n_taken, 1);
    end(&bench);
    (void)close(fd);
}

static void provider_that_hangs_up_early_does_no_harm(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    bench.manner = STORE_LATER;
    int fd = connect_to(bench.port);
    static const char request[] = GET("/receipts/kannel-1/s3cret?ref=k1&status=1");
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    struct linger abort = {.l_onoff = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    (void)close(fd);
    for (int i = 0; i < 50; i++) {
        struct timeval step = {.tv_usec = 5000};
        (void)event_base_loopexit(bench.base, &step);
        (void)event_base_dispatch(bench.base);
    }
    assert_int_equal(listener_count(bench.listener, LISTENER_TAKEN), bench.n_taken);
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k2&status=1"), 200);
    end(&bench);
}

/* Runs the loop until nobody is in any more or `ms` are over. */
static void turn(struct bench *bench, int ms) {
    struct timeval step = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)event_base_loopexit(bench->base, &step);
    (void)event_base_dispatch(bench->base);
}

/* Slowloris: peers that say a little now and then hold every place; each is cut when its life is over, and who waits gets in. */
static void slow_peers_are_cut_and_do_not_keep_others_out(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    int fds[8];
    for (size_t i = 0; i < 8; i++) { /* twice as many as there are places */
        fds[i] = connect_to(bench.port);
        assert_true(fds[i] >= 0);
        assert_int_equal(send(fds[i], "GET /receipts/", 14, MSG_NOSIGNAL), 14);
    }
    for (int i = 0; i < 600 && listener_cut(bench.listener) < 8; i++) {
        for (size_t k = 0; k < 8; k++) {
            (void)send(fds[k], "x", 1, MSG_NOSIGNAL); /* never silent for long */
        }
        turn(&bench, 50);
    }
    assert_int_equal(listener_cut(bench.listener), 8);
    for (size_t i = 0; i < 8; i++) {
        (void)close(fds[i]);
    }
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), 200);
    end(&bench);
}

static void many_receipts_follow_one_another_on_few_places(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    for (int i = 0; i < 20; i++) {
        bench.n_taken = 0;
        assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), 200);
    }
    assert_int_equal(listener_count(bench.listener, LISTENER_TAKEN), 20);
    end(&bench);
}

static void provider_is_told_when_to_come_again(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    bench.manner = STORE_FAILS;
    static const char request[] = GET("/receipts/kannel-1/s3cret?ref=k1&status=1");
    const char *reply = talk(&bench, request, sizeof request - 1);
    assert_non_null(strstr(reply, "503"));
    assert_non_null(strstr(reply, "Retry-After: "));
    end(&bench);
}

static void gateways_are_replaced_as_a_whole_or_not_at_all(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    struct gateway_settings next[2] = {bench.gateways[1], bench.gateways[0]};
    size_t at_fault = 9;
    struct err err;
    struct http_settings broken = *(const struct http_settings *)bench.gateways[0].driver_settings;
    broken.receipt_secret_file = "/nowhere/secret";
    next[1].driver_settings = &broken;
    assert_int_equal(listener_load(bench.listener, next, 2, &at_fault, &err), -1);
    assert_int_equal(at_fault, 1);
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), 200); /* as before */
    assert_int_equal(listener_load(bench.listener, next, 1, &at_fault, &err), 1);
    assert_true(listener_is_settled(bench.listener));
    assert_status(&bench, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), 404);
    end(&bench);
}

static void gateways_that_are_replaced_stay_until_their_last_request_is_answered(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, NULL, NULL);
    bench.manner = STORE_NEVER;
    int fd = connect_to(bench.port);
    static const char request[] = GET("/receipts/kannel-1/s3cret?ref=k1&status=1");
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    for (int i = 0; i < 400 && bench.n_taken == 0; i++) {
        turn(&bench, 5);
    }
    assert_int_equal(bench.n_taken, 1);
    size_t at_fault = 0;
    struct err err;
    assert_int_equal(listener_load(bench.listener, bench.gateways, 2, &at_fault, &err), 2);
    assert_false(listener_is_settled(bench.listener));
    bench.stored(bench.stored_ctx, true);
    assert_true(listener_is_settled(bench.listener));
    char reply[64] = "";
    for (int i = 0; i < 400 && recv(fd, reply, sizeof reply - 1, MSG_DONTWAIT) <= 0; i++) {
        turn(&bench, 5);
    }
    assert_int_equal(strncmp(reply, "HTTP/1.1 200 ", 13), 0);
    (void)close(fd);
    end(&bench);
}

static void plain_http_is_refused_beyond_loopback(void **state) {
    (void)state;
    static const char *const addresses[] = {"0.0.0.0:18085", "[::]:18085", "nonsense", "127.0.0.1:99999"};
    struct event_base *base = event_base_new();
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct listener_settings settings = {.address = addresses[i], .body_max_bytes = 4096, .timeout_ms = 1000, .connections_max = 4};
        struct err err;
        assert_null(listener_new(base, &clock_system, &settings, &handlers, NULL, &err));
        assert_string_equal(err.member, "listener.address");
    }
    event_base_free(base);
}

/* ---- TLS ------------------------------------------------------------------------------------------------------------- */

static void make_certificate(char path[64]) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x509), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x509), 3600));
    assert_int_equal(X509_set_pubkey(x509, key), 1);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    (void)snprintf(path, 64, "/tmp/reach_test_listener_XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(PEM_write_X509(file, x509), 1);
    (void)fclose(file);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void __attribute__((noreturn)) be_tls_provider(int port, const char *request, int out_fd) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    char text[REPLY_MAX];
    if (SSL_set_fd(ssl, connect_to(port)) == 1 && SSL_connect(ssl) == 1 && SSL_write(ssl, request, (int)strlen(request)) > 0) {
        int n = SSL_read(ssl, text, sizeof text);
        if (n < 0 || write(out_fd, text, (size_t)n) != n) {
            _exit(1);
        }
    }
    _exit(0);
}

static void tls_listener_speaks_tls_and_nothing_else(void **state) {
    (void)state;
    char pem[64];
    make_certificate(pem);
    struct bench bench;
    begin(&bench, pem, pem);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    int port = bench.port;
    pid_t pid = fork();
    if (pid == 0) {
        be_tls_provider(port, GET("/receipts/kannel-1/s3cret?ref=k1&status=1"), fds[1]);
    }
    (void)close(fds[1]);
    for (int i = 0; i < 1000 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
        struct timeval step = {.tv_usec = 5000};
        (void)event_base_loopexit(bench.base, &step);
        (void)event_base_dispatch(bench.base);
    }
    char reply[REPLY_MAX] = "";
    assert_true(read(fds[0], reply, sizeof reply - 1) > 0);
    (void)close(fds[0]);
    assert_int_equal(strncmp(reply, "HTTP/1.1 200 ", 13), 0);
    const char *plain =
        talk(&bench, GET("/receipts/kannel-1/s3cret?ref=k2&status=1"), strlen(GET("/receipts/kannel-1/s3cret?ref=k2&status=1")));
    assert_null(strstr(plain, "HTTP/1.1 200"));
    assert_int_equal(bench.n_taken, 1);
    end(&bench);
    (void)unlink(pem);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genuine_receipt_is_handed_on_and_answered_200),
        cmocka_unit_test(signed_receipt_is_checked_against_the_public_address),
        cmocka_unit_test(fault_43_forged_garbled_and_lost_requests_change_nothing),
        cmocka_unit_test(large_body_is_refused_before_it_is_read),
        cmocka_unit_test(provider_is_told_200_only_once_the_receipt_is_stored),
        cmocka_unit_test(listener_can_close_while_a_receipt_is_being_stored),
        cmocka_unit_test(provider_that_hangs_up_early_does_no_harm),
        cmocka_unit_test(slow_peers_are_cut_and_do_not_keep_others_out),
        cmocka_unit_test(many_receipts_follow_one_another_on_few_places),
        cmocka_unit_test(provider_is_told_when_to_come_again),
        cmocka_unit_test(gateways_are_replaced_as_a_whole_or_not_at_all),
        cmocka_unit_test(gateways_that_are_replaced_stay_until_their_last_request_is_answered),
        cmocka_unit_test(plain_http_is_refused_beyond_loopback),
        cmocka_unit_test(tls_listener_speaks_tls_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
