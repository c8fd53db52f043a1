/* The smtp driver against servers that lie, stall, cut off and waste its time (faults 25 to 33). */
#include "tests/support/mail_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char one_session[] = "sessions: 1\nidle: 50ms\ncommand_timeout: 2s\n";

/* ---- a server that lies -------------------------------------------------------------------------------------------- */
static void fault_26_a_reply_too_many_is_never_the_acceptance_of_a_message(void **state) {
    (void)state;
    static const char *const rules[] = {
        "[{'phase':'data','nth':1,'action':'garble','bytes':'354 go\\r\\n250 2.0.0 taken\\r\\n'},"
        "{'phase':'after-dot','action':'reply','code':550,'text':'5.6.0 no'}]",
        "[{'phase':'mail','nth':1,'action':'garble','bytes':'250 ok\\r\\n250 ok\\r\\n'},"
        "{'phase':'after-dot','action':'reply','code':550,'text':'5.6.0 no'}]",
        "[{'phase':'rcpt','nth':1,'action':'garble','bytes':'250 ok\\r\\n354 go\\r\\n250 ok\\r\\n250 ok\\r\\n'},"
        "{'phase':'after-dot','action':'reply','code':550,'text':'5.6.0 no'}]",
    };
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, one_session);
    for (unsigned i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        mail_peer_rules(stage.peer, rules[i]);
        assert_int_not_equal(mail_kit_send_one(&stage.kit, "ada@example.org", i)->kind, OUTCOME_SENT);
    }
    mail_stage_clear(&stage);
}

static void fault_25_a_reply_line_of_1100_bytes_is_never_sent(void **state) {
    (void)state;
    static const char *const phases[] = {"banner", "ehlo", "mail", "rcpt", "data", "after-dot"};
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, one_session);
    char line[1101];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    for (unsigned i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        char rules[1400];
        (void)snprintf(rules, sizeof rules, "[{'phase':'%s','action':'garble','bytes':'250 %s250 ok\\r\\n'}]", phases[i], line);
        mail_peer_rules(stage.peer, rules);
        enum outcome_kind kind = mail_kit_send_one(&stage.kit, "ada@example.org", i)->kind;
        assert_int_equal(kind, strcmp(phases[i], "after-dot") == 0 ? OUTCOME_UNKNOWN : OUTCOME_RETRY);
    }
    mail_stage_clear(&stage);
}

/* Every reply of the conversation, cut after every byte. Only the whole acceptance of the message counts. */
static void fault_25_an_answer_cut_at_every_byte_is_never_sent(void **state) {
    (void)state;
    enum { LONGEST = 48, DATA_REPLY = 32 };
    static const char *const phases[] = {"banner", "ehlo", "mail", "rcpt", "data", "after-dot"};
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, "sessions: 1\nidle: 0ms\ncommand_timeout: 2s\n");
    unsigned number = 0;
    for (unsigned i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        for (int at = 0; at <= LONGEST; at++) {
            char rules[128];
            bool last = strcmp(phases[i], "after-dot") == 0;
            int whole = last ? snprintf(NULL, 0, "250 2.0.0 kept as %ld\r\n", mail_stage_taken(&stage) + 1) : INT_MAX;
            (void)snprintf(rules, sizeof rules, "[{'phase':'%s','action':'truncate','at':%d}]", phases[i], at);
            mail_peer_rules(stage.peer, rules);
            enum outcome_kind kind = mail_kit_send_one(&stage.kit, "ada@example.org", number++)->kind;
            enum outcome_kind expected = at >= whole ? OUTCOME_SENT : last ? OUTCOME_UNKNOWN : OUTCOME_RETRY;
            bool may_be_in_doubt =
                strcmp(phases[i], "data") == 0 && at >= DATA_REPLY; /* the message may have left before the end was seen */
            assert_true(kind == expected || (may_be_in_doubt && kind == OUTCOME_UNKNOWN));
        }
    }
    mail_stage_clear(&stage);
}

/* ---- a server that wastes our time --------------------------------------------------------------------------------- */

/* A listening socket on 127.0.0.1; its port. */
static int listen_somewhere(int *fd_r, int backlog) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *fd_r = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd_r, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(*fd_r, backlog), 0);
    assert_int_equal(getsockname(*fd_r, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static void assert_over_within(const struct outcome *outcome, int64_t begin_ms, int64_t limit_ms) {
    assert_int_equal(outcome->kind, OUTCOME_RETRY);
    assert_int_equal(outcome->blame, BLAME_GATEWAY);
    assert_in_range(clock_mono_ms(&clock_system) - begin_ms, 0, limit_ms);
}

static void fault_32_a_connect_that_hangs_is_given_up_after_its_time(void **state) {
    (void)state;
    int fd, fillers[4], n = 0;
    int port = listen_somewhere(&fd, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (; n < 4; n++) { /* a queue that is full answers nobody */
        fillers[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fillers[n], (struct sockaddr *)&address, sizeof address);
    }
    struct mail_kit kit;
    mail_kit_open_plain(&kit, port, "connect_timeout: 300ms\n");
    int64_t begin_ms = clock_mono_ms(&clock_system);
    const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", 1);
    assert_over_within(outcome, begin_ms, 2000);
    assert_non_null(strstr(outcome->reason, "cannot connect"));
    mail_kit_close(&kit);
    while (n > 0) {
        (void)close(fillers[--n]);
    }
    (void)close(fd);
}

struct looper {
    size_t turns;
    int mailers; /* the most that were seen at a time */
};

static void on_turn(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct looper *looper = ctx;
    int pids[8];
    int n = (int)mail_kit_mailers(pids, 8);
    looper->turns++;
    looper->mailers = n > looper->mailers ? n : looper->mailers;
}

/* hangs.test never gets an answer (own_names.c): the whole mailer hangs in getaddrinfo(), which nobody can interrupt. */
static void fault_32_a_name_that_nobody_answers_costs_the_mailer_and_not_the_loop(void **state) {
    (void)state;
    static const struct timeval every = {.tv_usec = 50000};
    struct mail_kit kit;
    struct looper looper = {0};
    mail_kit_own_names(true);
    mail_kit_open(&kit, "hangs.test", 25, "sessions: 1\nconnect_timeout: 200ms\ncommand_timeout: 300ms\nmessage_deadline: 600ms\n");
    assert_non_null(kit.gateway);
    struct event *turn = event_new(kit.base, -1, EV_PERSIST, on_turn, &looper);
    assert_non_null(turn);
    assert_int_equal(event_add(turn, &every), 0);
    const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", 1);
    assert_int_equal(outcome->kind, OUTCOME_RETRY); /* nothing can have left: this is no doubt */
    assert_int_equal(outcome->blame, BLAME_GATEWAY);
    assert_true(looper.turns >= 5); /* the loop went on all the time */
    assert_int_equal(looper.mailers, 1);
    event_free(turn);
    mail_kit_close(&kit);
    mail_kit_own_names(false);
    int pids[8];
    assert_int_equal(mail_kit_mailers(pids, 8), 0); /* the one that hung was ended */
}

/* Serves one connection with a greeting of which a byte goes out every 50 ms. */
static pid_t start_slow_server(int fd) {
    pid_t pid = fork();
    if (pid == 0) {
        int client = accept(fd, NULL, NULL);
        for (const char *at = "220-this is going to take a very, very long time and then some more of it"; *at != '\0'; at++) {
            if (send(client, at, 1, MSG_NOSIGNAL) != 1) {
                break;
            }
            (void)usleep(50000);
        }
        _exit(0);
    }
    return pid;
}

static void fault_32_a_byte_now_and_then_does_not_keep_a_mail_beyond_its_deadline(void **state) {
    (void)state;
    int fd;
    int port = listen_somewhere(&fd, 8);
    pid_t pid = start_slow_server(fd);
    struct mail_kit kit;
    mail_kit_open_plain(&kit, port, "connect_timeout: 200ms\ncommand_timeout: 300ms\nmessage_deadline: 600ms\n");
    int64_t begin_ms = clock_mono_ms(&clock_system);
    assert_over_within(mail_kit_send_one(&kit, "ada@example.org", 1), begin_ms, 2500);
    mail_kit_close(&kit);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)close(fd);
}

static void fault_32_a_server_that_never_greets_is_given_up(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'banner','action':'hang'}]", "sessions: 1\ncommand_timeout: 300ms\n");
    int64_t begin_ms = clock_mono_ms(&clock_system);
    assert_over_within(mail_kit_send_one(&stage.kit, "ada@example.org", 1), begin_ms, 2500);
    mail_stage_clear(&stage);
}

static void fault_33_a_server_that_stops_reading_in_the_middle_never_gets_the_end_of_the_message(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'body','at':2000,'nth':1,'action':'hang'}]", "sessions: 1\ncommand_timeout: 500ms\n");
    struct message *message = mail_kit_message(&stage.kit, "ada@example.org", 33);
    char *text = malloc(200001);
    assert_non_null(text);
    memset(text, 'a', 200000);
    text[200000] = '\0';
    message->text = text;
    size_t index = mail_kit_send(&stage.kit, message);
    mail_kit_run(&stage.kit);
    assert_int_not_equal(stage.kit.outcomes[index].kind, OUTCOME_SENT);
    assert_int_equal(mail_kit_send_one(&stage.kit, "ada@example.org", 34)->kind, OUTCOME_SENT);
    assert_int_equal(mail_peer_count(stage.peer, "session"), 2);
    free(text);
    mail_stage_clear(&stage);
}

/* ---- many ---------------------------------------------------------------------------------------------------------- */

/* Standard error goes into a file from now on, the mailer's too: there a sanitizer tells what it has found, at the latest at the end. */
static FILE *catch_errors(int *stderr_r) {
    FILE *file = tmpfile();
    assert_non_null(file);
    *stderr_r = dup(STDERR_FILENO);
    assert_true(*stderr_r >= 0);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    return file;
}

static void assert_nothing_found(FILE *file, int saved_stderr) {
    char line[512];
    bool found = false;
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved_stderr);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        found = found || strstr(line, "Sanitizer") != NULL || strstr(line, "runtime error") != NULL;
        (void)fputs(line, stderr);
    }
    (void)fclose(file);
    assert_false(found);
}

/* `make test` runs it with AddressSanitizer, which looks for leaks when the mailer ends. */
static void fault_31_ten_thousand_connections_of_one_mailer(void **state) {
    (void)state;
    enum { N = 10000 };
    static const char *const arguments[] = {"--quiet-store", NULL};
    int saved_stderr;
    struct mail_peer *peer = mail_peer_start(NULL, arguments);
    FILE *errors = catch_errors(&saved_stderr);
    struct mail_kit kit;
    mail_kit_open_plain(&kit, mail_peer_port(peer), "sessions: 32\nmessages_per_session: 1\n");
    for (unsigned i = 0; i < N; i++) {
        (void)mail_kit_send(&kit, mail_kit_message(&kit, "ada@example.org", i));
    }
    mail_kit_run(&kit);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(kit.outcomes[i].kind, OUTCOME_SENT);
    }
    assert_int_equal(mail_peer_count(peer, "session"), N);
    mail_kit_close(&kit);
    assert_nothing_found(errors, saved_stderr);
    mail_peer_stop(peer);
}

/* ---- TLS ----------------------------------------------------------------------------------------------------------- */
static void fault_27_without_starttls_nothing_is_sent(void **state) {
    (void)state;
    struct mail_peer *peer = mail_peer_start(NULL, NULL); /* offers no STARTTLS, as if a man in the middle had taken it out */
    struct mail_kit kit;
    mail_kit_open(&kit, "127.0.0.1", mail_peer_port(peer), one_session);
    assert_non_null(kit.gateway);
    const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", 27);
    assert_int_equal(outcome->kind, OUTCOME_RETRY);
    assert_int_equal(outcome->blame, BLAME_GATEWAY);
    assert_non_null(strstr(outcome->reason, "TLS"));
    assert_int_equal(mail_peer_count(peer, "command:MAIL"), 0);
    assert_int_equal(mail_peer_count(peer, "taken:email"), 0);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_26_a_reply_too_many_is_never_the_acceptance_of_a_message),
        cmocka_unit_test(fault_25_a_reply_line_of_1100_bytes_is_never_sent),
        cmocka_unit_test(fault_25_an_answer_cut_at_every_byte_is_never_sent),
        cmocka_unit_test(fault_32_a_connect_that_hangs_is_given_up_after_its_time),
        cmocka_unit_test(fault_32_a_name_that_nobody_answers_costs_the_mailer_and_not_the_loop),
        cmocka_unit_test(fault_32_a_byte_now_and_then_does_not_keep_a_mail_beyond_its_deadline),
        cmocka_unit_test(fault_32_a_server_that_never_greets_is_given_up),
        cmocka_unit_test(fault_33_a_server_that_stops_reading_in_the_middle_never_gets_the_end_of_the_message),
        cmocka_unit_test(fault_31_ten_thousand_connections_of_one_mailer),
        cmocka_unit_test(fault_27_without_starttls_nothing_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
