/* test_http_kannel: the kannel description against Kannel itself, with its own fake SMSC and with an SMPP centre made of npm smpp behind it
 * (tests/support/smsc.js), and Kannel's delivery reports against the listener.
 *
 * Kannel binds every interface, so each test lives in a network namespace of its own, where there is only loopback. Skipped where
 * Kannel is not installed or no namespace can be made. */
#include "base/conf.h"
#include "channels/http.h"
#include "channels/listener.h"
#include "tests/support/http_kit.h"
#include "tests/support/oracle.h"
#include "tests/support/server.h"
#include "tests/support/shell.h"

#include <event2/event.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SMSC_PORT = 10001, SENDSMS_PORT = 13013, RECEIPT_PORT = 18085, SMSBOX_PORT = 13001, SMPP_PORT = 2775 };

static const char common_conf[] = "group = core\n"
                                  "admin-port = 13000\n"
                                  "smsbox-port = 13001\n"
                                  "admin-password = x\n"
                                  "box-allow-ip = 127.0.0.1\n"
                                  "box-deny-ip = *.*.*.*\n"
                                  "dlr-storage = internal\n"
                                  "\n"
                                  "group = smsbox\n"
                                  "bearerbox-host = 127.0.0.1\n"
                                  "sendsms-port = 13013\n"
                                  "\n"
                                  "group = sendsms-user\n"
                                  "username = reachd\n"
                                  "password = p4ss\n"
                                  "\n"
                                  "group = sms-service\n"
                                  "keyword = default\n"
                                  "text = none\n"
                                  "\n";

static const char fake_conf[] = "group = smsc\n"
                                "smsc = fake\n"
                                "smsc-id = fake\n"
                                "port = 10001\n"
                                "connect-allow-ip = 127.0.0.1\n";
static const char smpp_conf[] = "group = smsc\n"
                                "smsc = smpp\n"
                                "smsc-id = npm\n"
                                "host = 127.0.0.1\n"
                                "port = 2775\n"
                                "transceiver-mode = true\n"
                                "smsc-username = reachd\n"
                                "smsc-password = smpppass\n"
                                "system-type = VMA\n"
                                "reconnect-delay = 1\n";

static bool smpp_is_there;

struct bench {
    struct http_kit kit;
    char dir[40];
    pid_t bearerbox;
    pid_t smsbox;
    pid_t fakesmsc; /* or the SMPP centre */
    struct listener_settings listener_settings;
    struct listener *listener;
    char ref[128];
    char status[16];
};

static int loopback_up(void) {
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK};
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int result = ioctl(fd, SIOCSIFFLAGS, &request);
    (void)close(fd);
    return result;
}

/* 0, or -1 where this test cannot run here. */
static int fence(void) {
    if (shell("command -v bearerbox smsbox >/dev/null && test -x /usr/lib/kannel/test/fakesmsc") != 0) {
        return -1;
    }
    return unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0 ? -1 : loopback_up();
}

/* Starts a program with its output in a file of the directory. */
static pid_t start(const struct bench *bench, const char *log, char *const *argv) {
    char path[80];
    (void)snprintf(path, sizeof path, "%s/%s", bench->dir, log);
    return server_start(argv, path);
}

static void start_kannel(struct bench *bench, const char *smsc_conf) {
    char conf[80];
    (void)snprintf(conf, sizeof conf, "%s/kannel.conf", bench->dir);
    FILE *file = fopen(conf, "w");
    assert_non_null(file);
    assert_true(fputs(common_conf, file) >= 0 && fputs(smsc_conf, file) >= 0);
    assert_int_equal(fclose(file), 0);
    char bearerbox[] = "bearerbox";
    char smsbox[] = "smsbox";
    bench->bearerbox = start(bench, "bearerbox.log", (char *[]){bearerbox, conf, NULL});
    assert_true(server_wait(bench->bearerbox, SMSBOX_PORT));
    bench->smsbox = start(bench, "smsbox.log", (char *[]){smsbox, conf, NULL});
    assert_true(server_wait(bench->smsbox, SENDSMS_PORT));
}

static void start_fake_smsc(struct bench *bench) {
    char *argv[] = {(char[]){"/usr/lib/kannel/test/fakesmsc"},
                    (char[]){"-H"},
                    (char[]){"127.0.0.1"},
                    (char[]){"-r"},
                    (char[]){"10001"},
                    (char[]){"-m"},
                    (char[]){"0"},
                    (char[]){"123 456 text nothing"},
                    NULL};
    bench->fakesmsc = start(bench, "fakesmsc.log", argv);
}

static void on_take(void *ctx, const char *gateway, const struct provider_receipt *receipts, size_t n, listener_stored_fn *stored,
                    void *stored_ctx) {
    struct bench *bench = ctx;
    assert_string_equal(gateway, "test");
    assert_int_equal(n, 1);
    (void)snprintf(bench->ref, sizeof bench->ref, "%s", receipts[0].ref);
    (void)snprintf(bench->status, sizeof bench->status, "%s", receipts[0].status);
    stored(stored_ctx, true);
}

static const struct listener_handlers handlers = {.take = on_take};

static void begin_with(struct bench *bench, const char *smsc_conf) {
    memset(bench, 0, sizeof *bench);
    assert_int_equal(fence(), 0); /* a fresh network: Kannel cannot bind a port that was used a moment ago */
    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/reach_test_kannel_XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    start_kannel(bench, smsc_conf);
    http_kit_init(&bench->kit);
    const char *secret = http_kit_file(&bench->kit, "p4ss\n"); /* files[0] */
    const char *receipt_secret = http_kit_file(&bench->kit, "receipt-s3cret\n");
    char yaml[1000];
    (void)snprintf(yaml, sizeof yaml,
                   "description: kannel\nusername: reachd\nsecret_file: %s\nreceipt_secret_file: %s\nfrom: \"12345\"\n"
                   "receipt_url: http://127.0.0.1:%d/receipts/test\nvariables: {base: \"http://127.0.0.1:%d\"}\n"
                   "allow_insecure: true\nallow_private: true\n",
                   secret, receipt_secret, RECEIPT_PORT, SENDSMS_PORT);
    struct err err;
    bench->listener_settings =
        (struct listener_settings){.address = "127.0.0.1:18085", .body_max_bytes = 4096, .timeout_ms = 2000, .connections_max = 8};
    bench->listener = listener_new(bench->kit.base, &clock_system, &bench->listener_settings, &handlers, bench, &err);
    assert_non_null(bench->listener);
    size_t at_fault = 0;
    if (http_kit_open(&bench->kit, "sms", yaml, &err) < 0 ||
        listener_load(bench->listener, &bench->kit.settings, 1, &at_fault, &err) != 1) {
        fail_msg("%s", err.text);
    }
}

static void begin(struct bench *bench) {
    begin_with(bench, fake_conf);
}

static void end(struct bench *bench) {
    listener_free(bench->listener);
    http_kit_fini(&bench->kit);
    server_stop(bench->fakesmsc);
    server_stop(bench->smsbox);
    server_stop(bench->bearerbox);
    char clear[80];
    (void)snprintf(clear, sizeof clear, "rm -rf %s", bench->dir);
    assert_int_equal(shell(clear), 0);
}

/* Runs the loop until a receipt is there, for so long at most. */
static void wait_receipt(struct bench *bench, int wait_ms) {
    int64_t until_ms = clock_mono_ms(&clock_system) + wait_ms;
    while (bench->status[0] == '\0' && clock_mono_ms(&clock_system) < until_ms) {
        struct timeval step = {.tv_usec = 10000};
        (void)event_base_loopexit(bench->kit.base, &step);
        (void)event_base_dispatch(bench->kit.base);
    }
}

static bool log_holds(const struct bench *bench, const char *log, const char *text) {
    char command[300];
    (void)snprintf(command, sizeof command, "grep -qF '%s' %s/%s", text, bench->dir, log);
    return shell(command) == 0;
}

static void message_reaches_the_fake_smsc_and_its_delivery_report_comes_back(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    start_fake_smsc(&bench);
    for (int i = 0; i < 100 && !log_holds(&bench, "bearerbox.log", "FakeSMSC: client connected"); i++) {
        (void)usleep(50000);
    }
    struct message message = http_kit_message;
    message.text = "Gr\xc3\xbc\xc3\x9f"
                   "e: a&b=c?";
    const struct outcome *outcome = http_kit_deliver(&bench.kit, &message);
    http_kit_assert_outcome(outcome, OUTCOME_SENT, BLAME_NONE);
    assert_string_equal(outcome->ref, message.key);
    wait_receipt(&bench, 8000);
    assert_string_equal(bench.ref, message.key);
    assert_string_equal(bench.status, "delivered");
    end(&bench);
}

static void smsc_that_is_down_gives_sent_but_no_delivery(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    http_kit_assert_outcome(http_kit_deliver(&bench.kit, &http_kit_message), OUTCOME_SENT, BLAME_NONE);
    wait_receipt(&bench, 1000);
    assert_string_equal(bench.status, "");
    end(&bench);
}

static void start_smpp_smsc(struct bench *bench) {
    char *argv[] = {(char[]){"node"}, (char[]){"tests/support/smsc.js"}, (char[]){"2775"}, NULL};
    bench->fakesmsc = start(bench, "smsc.log", argv);
    assert_true(server_wait(bench->fakesmsc, SMPP_PORT));
}

static void message_passes_an_smpp_centre_and_its_delivery_report_comes_back(void **state) {
    (void)state;
    if (!smpp_is_there) {
        (void)printf("skipped: the packages of tests/package.json are not there\n");
        skip();
    }
    struct bench bench;
    begin_with(&bench, smpp_conf);
    /* The centre is down: taken by Kannel ("3: Queued"), and nobody says delivered. */
    const struct outcome *outcome = http_kit_deliver(&bench.kit, &http_kit_message);
    http_kit_assert_outcome(outcome, OUTCOME_SENT, BLAME_NONE);
    wait_receipt(&bench, 500);
    assert_string_equal(bench.status, "");
    /* It comes up: Kannel hands the message over, and the report that follows is ours. */
    start_smpp_smsc(&bench);
    wait_receipt(&bench, 60000);
    assert_string_equal(bench.ref, http_kit_message.key);
    assert_string_equal(bench.status, "delivered");
    assert_true(log_holds(&bench, "smsc.log", "took 441632960001 coding 0: Your mailbox password was disabled."));
    end(&bench);
}

static void wrong_password_is_trouble_with_the_account(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    channel_http.close(bench.kit.gateway);
    FILE *file = fopen(bench.kit.files[0], "w");
    assert_non_null(file);
    assert_true(fputs("wrong\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    struct err err;
    bench.kit.gateway = channel_http.open(&bench.kit.env, &bench.kit.settings, &err);
    assert_non_null(bench.kit.gateway);
    http_kit_assert_outcome(http_kit_deliver(&bench.kit, &http_kit_message), OUTCOME_RETRY, BLAME_ACCOUNT);
    end(&bench);
}

int main(void) {
    smpp_is_there = oracle_is_ready(); /* before the network is fenced off */
    if (fence() < 0) {
        (void)printf("skipped: Kannel is not installed, or no network namespace can be made\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_reaches_the_fake_smsc_and_its_delivery_report_comes_back),
        cmocka_unit_test(smsc_that_is_down_gives_sent_but_no_delivery),
        cmocka_unit_test(message_passes_an_smpp_centre_and_its_delivery_report_comes_back),
        cmocka_unit_test(wrong_password_is_trouble_with_the_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
