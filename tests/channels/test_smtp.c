/* The smtp driver against the sandbox peer: what customers get, and what each way of failing is reported as. */
#include "channels/smtp.h"
#include "tests/support/mail_peer.h"
#include "tests/support/mail_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char one_session[] = "sessions: 1\nidle: 50ms\ncommand_timeout: 2s\n";

static void assert_outcome(const struct outcome *outcome, enum outcome_kind kind, enum outcome_blame blame, const char *code) {
    if (outcome->kind != kind || outcome->blame != blame || strcmp(outcome->code, code) != 0) {
        fail_msg("got %s, blame %d, code \"%s\": %s", outcome_name(outcome->kind), (int)outcome->blame, outcome->code, outcome->reason);
    }
    assert_true(outcome->reason[0] != '\0');
    assert_null(strstr(outcome->reason, "example"));
}

/* ---- the good case ------------------------------------------------------------------------------------------------- */
static void a_mail_arrives_whole(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, "from_name: Walton\nreply_to: help@walton.example\nenvelope: bounce@bounces.walton.example\n");
    const struct outcome *outcome = mail_kit_send_one(&stage.kit, "ada@example.org", 7);
    assert_int_equal(outcome->kind, OUTCOME_SENT);
    assert_string_equal(outcome->ref, "00000000000000000000000000000007");
    char *mail = mail_peer_mail(stage.peer, 0);
    assert_non_null(mail);
    assert_non_null(strstr(mail, "bounce+00000000000000000000000000000007@bounces.walton.example"));
    assert_non_null(strstr(mail, "From: \"Walton\" <notices@walton.example>\r\n"));
    assert_non_null(strstr(mail, "To: <ada@example.org>\r\n"));
    assert_non_null(strstr(mail, "Reply-To: <help@walton.example>\r\n"));
    assert_non_null(strstr(mail, "Subject: Your mailbox password has been switched off\r\n"));
    assert_non_null(strstr(mail, "Message-ID: <00000000000000000000000000000007@walton.example>\r\n"));
    assert_non_null(strstr(mail, "Date: Sat, 21 Nov 2026 22:00:00 +0000\r\n"));
    assert_non_null(strstr(mail, "Auto-Submitted: auto-generated\r\n"));
    assert_non_null(strstr(mail, "Content-Language: en-GB\r\n"));
    assert_non_null(strstr(mail, "your mailbox password no longer works.\r\n=2E\r\n"));
    free(mail);
    mail_stage_clear(&stage);
}

static void a_large_mail_arrives_whole(void **state) {
    (void)state;
    static const char *const chunking[] = {"--chunking", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct mail_peer *peer = mail_peer_start(NULL, i == 0 ? NULL : chunking);
        struct mail_kit kit;
        mail_kit_open_plain(&kit, mail_peer_port(peer), one_session);
        mail_kit_assert_large_mail(&kit, peer);
        mail_kit_close(&kit);
        mail_peer_stop(peer);
    }
}

static void a_thousand_mails_go_through_four_sessions(void **state) {
    (void)state;
    enum { N = 1000 };
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, "mailers: 2\nsessions: 4\nmessages_per_session: 50\n");
    for (unsigned i = 0; i < N; i++) {
        char to[64];
        (void)snprintf(to, sizeof to, "customer%u@example.org", i);
        (void)mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, to, i));
    }
    mail_kit_run(&stage.kit);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(stage.kit.outcomes[i].kind, OUTCOME_SENT);
        assert_int_equal(stage.kit.n_answers[i], 1);
    }
    assert_int_equal(mail_stage_taken(&stage), N);
    long sessions = mail_peer_count(stage.peer, "session");
    assert_in_range(sessions, 1, 40);
    mail_stage_clear(&stage);
}

static void a_connection_carries_many_mails_and_is_renewed_after_its_share(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, "sessions: 1\nmessages_per_session: 10\n");
    for (unsigned i = 0; i < 30; i++) {
        (void)mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", i));
    }
    mail_kit_run(&stage.kit);
    assert_int_equal(mail_stage_taken(&stage), 30);
    assert_int_equal(mail_peer_count(stage.peer, "session"), 3);
    mail_stage_clear(&stage);
}

static void mailers_never_have_more_connections_than_the_settings_say(void **state) {
    (void)state;
    enum { N = 60 };
    struct mail_stage stage;
    struct mail_kit kit;
    mail_stage_set(&stage, "[{'phase':'after-dot','action':'delay','delay_ms':20}]", "mailers: 2\nsessions: 3\n");
    for (unsigned i = 0; i < N; i++) {
        (void)mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", i));
    }
    mail_kit_run(&stage.kit);
    assert_int_equal(mail_stage_taken(&stage), N);
    assert_in_range(mail_peer_count(stage.peer, "session"), 1, 3);
    mail_kit_open(&kit, "localhost", mail_peer_port(stage.peer), "mailers: 4\nsessions: 3\n");
    assert_null(kit.gateway);
    assert_non_null(strstr(kit.err.text, "at least mailers"));
    mail_kit_close(&kit);
    mail_stage_clear(&stage);
}

/* As many as the settings allow: every one of them has a mail without an answer at the same time. */
static void two_hundred_and_fifty_six_mails_are_in_flight_at_once(void **state) {
    (void)state;
    enum { N = 256 };
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'after-dot','action':'hang'}]", "sessions: 256\n");
    for (unsigned i = 0; i < N + 20; i++) {
        (void)mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", i));
    }
    for (int i = 0; i < 600 && mail_peer_count(stage.peer, "command:DATA") < N; i++) {
        mail_kit_run_for(&stage.kit, 50);
    }
    assert_int_equal(mail_peer_count(stage.peer, "session"), N);
    assert_int_equal(stage.kit.n_answered, 0);
    mail_stage_clear(&stage);
}

/* ---- what the server refuses --------------------------------------------------------------------------------------- */
struct refusal {
    const char *rules;
    enum outcome_kind kind;
    enum outcome_blame blame;
    const char *code;
};

static const struct refusal refusals[] = {
    {"[{'phase':'rcpt','action':'reply','code':550,'text':'5.1.1 <ada@example.org>: no such mailbox'}]", OUTCOME_REJECTED, BLAME_CONTACT,
     "550 5.1.1"},
    {"[{'phase':'rcpt','action':'reply','code':550,'text':'no such mailbox here'}]", OUTCOME_REJECTED, BLAME_CONTACT, "550"},
    {"[{'phase':'rcpt','action':'reply','code':550,'text':'5.2.1 mailbox disabled'}]", OUTCOME_REJECTED, BLAME_CONTACT, "550 5.2.1"},
    {"[{'phase':'rcpt','action':'reply','code':552,'text':'5.2.2 mailbox full'}]", OUTCOME_REJECTED, BLAME_NONE, "552 5.2.2"},
    {"[{'phase':'rcpt','action':'reply','code':451,'text':'4.7.1 greylisted, come back later'}]", OUTCOME_RETRY, BLAME_NONE, "451 4.7.1"},
    {"[{'phase':'rcpt','action':'reply','code':452,'text':'4.2.2 mailbox full'}]", OUTCOME_RETRY, BLAME_NONE, "452 4.2.2"},
    {"[{'phase':'rcpt','action':'reply','code':421,'text':'4.3.2 going down'}]", OUTCOME_RETRY, BLAME_GATEWAY, "421 4.3.2"},
    {"[{'phase':'mail','action':'reply','code':550,'text':'5.1.8 sender refused'}]", OUTCOME_REJECTED, BLAME_GATEWAY, "550 5.1.8"},
    {"[{'phase':'mail','action':'reply','code':451,'text':'4.3.0 no'}]", OUTCOME_RETRY, BLAME_GATEWAY, "451 4.3.0"},
    {"[{'phase':'data','action':'reply','code':451,'text':'4.3.0 no'}]", OUTCOME_RETRY, BLAME_GATEWAY, "451 4.3.0"},
    {"[{'phase':'data','action':'reply','code':554,'text':'5.6.0 no'}]", OUTCOME_REJECTED, BLAME_MESSAGE, "554 5.6.0"},
    {"[{'phase':'after-dot','action':'reply','code':554,'text':'5.7.1 looks like spam'}]", OUTCOME_REJECTED, BLAME_NONE, "554 5.7.1"},
    {"[{'phase':'after-dot','action':'reply','code':552,'text':'5.3.4 too big'}]", OUTCOME_REJECTED, BLAME_MESSAGE, "552 5.3.4"},
    {"[{'phase':'after-dot','action':'reply','code':451,'text':'4.3.0 try again'}]", OUTCOME_RETRY, BLAME_GATEWAY, "451 4.3.0"},
    {"[{'phase':'banner','action':'reply','code':554,'text':'no service'}]", OUTCOME_RETRY, BLAME_GATEWAY, "554"},
    {"[{'phase':'ehlo','action':'reply','code':421,'text':'too busy'}]", OUTCOME_RETRY, BLAME_GATEWAY, "421"},
};

static void each_refusal_gets_its_outcome(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, "sessions: 1\nidle: 0ms\n");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        mail_peer_rules(stage.peer, refusals[i].rules);
        assert_outcome(mail_kit_send_one(&stage.kit, "ada@example.org", (unsigned)i), refusals[i].kind, refusals[i].blame,
                       refusals[i].code);
    }
    assert_int_equal(mail_stage_taken(&stage), 0);
    mail_stage_clear(&stage);
}

static void refused_recipients_do_not_harm_their_neighbours(void **state) {
    (void)state;
    enum { N = 60 };
    struct mail_stage stage;
    mail_stage_set(&stage,
                   "[{'phase':'rcpt','recipient':'gone*','action':'reply','code':550,'text':'5.1.1 no'},"
                   "{'phase':'rcpt','recipient':'later*','action':'reply','code':451,'text':'4.7.1 later'}]",
                   "sessions: 2\n");
    static const char *const names[] = {"ada@example.org", "gone@example.org", "later@example.org"};
    static const enum outcome_kind kinds[] = {OUTCOME_SENT, OUTCOME_REJECTED, OUTCOME_RETRY};
    for (unsigned i = 0; i < N; i++) {
        (void)mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, names[i % 3], i));
    }
    mail_kit_run(&stage.kit);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(stage.kit.outcomes[i].kind, kinds[i % 3]);
    }
    assert_int_equal(mail_stage_taken(&stage), N / 3);
    mail_stage_clear(&stage);
}

static void a_server_that_is_down_is_asked_once_for_a_whole_batch(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'banner','action':'reply','code':421,'text':'closed for repairs'}]", "sessions: 8\n");
    for (unsigned i = 0; i < 200; i++) {
        (void)mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", i));
    }
    mail_kit_run(&stage.kit);
    for (size_t i = 0; i < 200; i++) {
        assert_outcome(&stage.kit.outcomes[i], OUTCOME_RETRY, BLAME_GATEWAY, "421");
    }
    assert_in_range(mail_peer_count(stage.peer, "session"), 1, 5);
    mail_stage_clear(&stage);
}

static void nobody_listening_is_retry_and_the_gateways_fault(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, one_session);
    (void)kill(mail_peer_pid(stage.peer), SIGTERM);
    (void)waitpid(mail_peer_pid(stage.peer), NULL, WNOWAIT | WEXITED);
    int port = mail_peer_port(stage.peer);
    mail_kit_close(&stage.kit);
    mail_peer_stop(stage.peer);
    struct mail_kit kit;
    mail_kit_open_plain(&kit, port, one_session);
    assert_outcome(mail_kit_send_one(&kit, "ada@example.org", 1), OUTCOME_RETRY, BLAME_GATEWAY, "");
    mail_kit_close(&kit);
}

/* ---- what is in doubt ---------------------------------------------------------------------------------------------- */
static void fault_24_dropped_after_the_final_dot_is_unknown_and_keeps_its_message_id(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'after-dot','nth':1,'action':'drop'}]", one_session);
    assert_outcome(mail_kit_send_one(&stage.kit, "ada@example.org", 24), OUTCOME_UNKNOWN, BLAME_GATEWAY, "");
    assert_int_equal(mail_kit_send_one(&stage.kit, "ada@example.org", 24)->kind, OUTCOME_SENT);
    json_t *index = mail_peer_index(stage.peer);
    assert_int_equal(json_array_size(index), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(index, 0), "key")),
                        json_string_value(json_object_get(json_array_get(index, 1), "key")));
    json_decref(index);
    mail_stage_clear(&stage);
}

static void dropped_before_the_end_of_the_message_is_retry(void **state) {
    (void)state;
    static const char *const phases[] = {"mail", "rcpt", "data"};
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, one_session);
    for (unsigned i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        char rules[128];
        (void)snprintf(rules, sizeof rules, "[{'phase':'%s','action':'drop'}]", phases[i]);
        mail_peer_rules(stage.peer, rules);
        assert_int_equal(mail_kit_send_one(&stage.kit, "ada@example.org", i)->kind, OUTCOME_RETRY);
    }
    assert_int_equal(mail_stage_taken(&stage), 0);
    mail_stage_clear(&stage);
}

static void a_server_that_falls_silent_after_the_message_is_unknown(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'after-dot','nth':1,'action':'hang'}]", "sessions: 1\ncommand_timeout: 300ms\n");
    assert_outcome(mail_kit_send_one(&stage.kit, "ada@example.org", 1), OUTCOME_UNKNOWN, BLAME_GATEWAY, "");
    assert_int_equal(mail_kit_send_one(&stage.kit, "ada@example.org", 2)->kind, OUTCOME_SENT);
    mail_stage_clear(&stage);
}

/* Kills every mailer while the peer holds back its answer in `phase`; the outcome of the mail in progress. */
static struct outcome kill_in_phase(const char *phase, enum outcome_kind *waiting_r) {
    struct mail_stage stage;
    char rules[128];
    int pids[8];
    (void)snprintf(rules, sizeof rules, "[{'phase':'%s','nth':1,'action':'hang'}]", phase);
    mail_stage_set(&stage, rules, one_session);
    size_t first = mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", 1));
    size_t second = mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "bob@example.org", 2));
    mail_kit_run_for(&stage.kit, 300);
    assert_int_equal(stage.kit.n_answered, 0);
    size_t n = mail_kit_mailers(pids, 8);
    assert_int_equal(n, 1);
    (void)kill(pids[0], SIGKILL);
    mail_kit_run(&stage.kit);
    struct outcome outcome = stage.kit.outcomes[first];
    *waiting_r = stage.kit.outcomes[second].kind;
    mail_kit_run_for(&stage.kit, 300); /* it starts again by itself */
    assert_int_equal(mail_kit_send_one(&stage.kit, "cyd@example.org", 3)->kind, OUTCOME_SENT);
    mail_stage_clear(&stage);
    return outcome;
}

static void a_mailer_killed_after_the_message_leaves_that_mail_unknown_and_the_others_to_retry(void **state) {
    (void)state;
    enum outcome_kind waiting;
    struct outcome outcome = kill_in_phase("after-dot", &waiting);
    assert_outcome(&outcome, OUTCOME_UNKNOWN, BLAME_NONE, "");
    assert_int_equal(waiting, OUTCOME_RETRY);
}

static void a_mailer_killed_before_the_end_of_the_message_leaves_all_mails_to_retry(void **state) {
    (void)state;
    static const char *const phases[] = {"banner", "mail", "rcpt", "data"};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        enum outcome_kind waiting;
        struct outcome outcome = kill_in_phase(phases[i], &waiting);
        assert_outcome(&outcome, OUTCOME_RETRY, BLAME_NONE, "");
        assert_int_equal(waiting, OUTCOME_RETRY);
    }
}

/* ---- what outlives reachd ------------------------------------------------------------------------------------------ */
static struct {
    size_t n;
    char notice[32];
    uint64_t attempt;
    struct outcome outcome;
} remembered;

static void note_remembered(void *ctx, const char *notice_id, uint64_t attempt, const struct outcome *outcome) {
    (void)ctx;
    if (attempt == 7 || attempt == 8) { /* of two mails; one process dies with both */
        remembered.n++;
        if (attempt == 7) {
            (void)snprintf(remembered.notice, sizeof remembered.notice, "%s", notice_id);
            remembered.attempt = attempt;
            remembered.outcome = *outcome;
        }
    }
}

/* A process of its own sends two mails over one connection and is killed when the peer has the first, before it has answered. */
static void die_while_sending(const struct mail_peer *peer) {
    pid_t pid = fork();
    if (pid == 0) {
        struct mail_kit kit;
        mail_kit_open_plain(&kit, mail_peer_port(peer), one_session);
        for (unsigned i = 7; i <= 8; i++) {
            struct message *message = mail_kit_message(&kit, "ada@example.org", i);
            message->attempt = i;
            (void)mail_kit_send(&kit, message);
        }
        mail_kit_run_for(&kit, 60000);
        _exit(1);
    }
    assert_true(pid > 0);
    for (int i = 0; i < 2000 && mail_peer_count(peer, "taken") == 0; i++) {
        (void)usleep(10000);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What the next process is told after the peer has met the end of the first mail like this. */
static void remember_after(const char *action) {
    char path[64], rules[128];
    struct mail_kit kit;
    (void)snprintf(rules, sizeof rules, "[{'phase':'after-dot','nth':1,%s}]", action);
    (void)snprintf(path, sizeof path, "/tmp/reachd-test-board.%d", (int)getpid());
    struct mail_peer *peer = mail_peer_start(rules, NULL);
    memset(&remembered, 0, sizeof remembered);
    mail_kit_remember(path, note_remembered);
    die_while_sending(peer);
    mail_kit_open_plain(&kit, mail_peer_port(peer), one_session);
    mail_kit_close(&kit);
    mail_kit_remember(NULL, NULL);
    (void)snprintf(path, sizeof path, "/tmp/reachd-test-board.%d.test.0.board", (int)getpid());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mail_peer_count(peer, "taken"), 1); /* nothing was begun after reachd's death */
    mail_peer_stop(peer);
}

static void an_answer_that_comes_after_reachd_died_is_known_to_the_next_one(void **state) {
    (void)state;
    remember_after("'action':'delay','delay_ms':300");
    assert_int_equal(remembered.n, 2);
    assert_string_equal(remembered.notice, "n1");
    assert_outcome(&remembered.outcome, OUTCOME_SENT, BLAME_NONE, "250 2.0.0");
    assert_string_equal(remembered.outcome.ref, "00000000000000000000000000000007");
}

static void what_stays_in_doubt_when_reachd_died_is_not_made_up(void **state) {
    (void)state;
    remember_after("'action':'hang'");
    assert_int_equal(remembered.n, 1); /* the other mail: not sent */
    assert_int_equal(remembered.attempt, 0);
}

static void a_mailer_that_hangs_is_killed_and_started_again(void **state) {
    (void)state;
    struct mail_stage stage;
    int pids[8], again[8];
    mail_stage_set(&stage, NULL, "sessions: 1\nconnect_timeout: 100ms\nmessage_deadline: 200ms\n");
    assert_int_equal(mail_kit_mailers(pids, 8), 1);
    (void)kill(pids[0], SIGSTOP);
    assert_int_equal(mail_kit_send_one(&stage.kit, "ada@example.org", 1)->kind, OUTCOME_RETRY);
    mail_kit_run_for(&stage.kit, 300);
    assert_int_equal(mail_kit_mailers(again, 8), 1);
    assert_int_not_equal(again[0], pids[0]);
    assert_int_equal(mail_kit_send_one(&stage.kit, "ada@example.org", 2)->kind, OUTCOME_SENT);
    mail_stage_clear(&stage);
}

static void closing_answers_what_is_in_flight(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'after-dot','action':'hang'}]", one_session);
    size_t first = mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", 1));
    size_t second = mail_kit_send(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", 2));
    mail_kit_run_for(&stage.kit, 300);
    channel_smtp.close(stage.kit.gateway);
    stage.kit.gateway = NULL;
    assert_int_equal(stage.kit.n_answered, 2);
    assert_int_equal(stage.kit.outcomes[first].kind, OUTCOME_UNKNOWN);
    assert_int_equal(stage.kit.outcomes[second].kind, OUTCOME_RETRY);
    mail_stage_clear(&stage);
}

/* ---- bad values ---------------------------------------------------------------------------------------------------- */
static void fault_35_values_cannot_become_protocol(void **state) {
    (void)state;
    static const char *const addresses[] = {
        "ada@example.org>\r\nRCPT TO:<eve@example.org",
        "ada\r\n@example.org",
        "ada@example.org\nDATA",
        "\"ada eve\"@example.org",
        "ada@exa mple.org",
        "<ada@example.org>",
        "ada",
        "@example.org",
        "ada@",
        "ad\xc3\xa4@example.org",
        "ada@ex\xc3\xa4mple.org",
        "ada@[127.0.0.1]",
    };
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, one_session);
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        assert_outcome(mail_kit_send_one(&stage.kit, addresses[i], i), OUTCOME_REJECTED, BLAME_CONTACT, "");
    }
    assert_int_equal(mail_peer_count(stage.peer, "command:MAIL"), 0);
    struct message *message = mail_kit_message(&stage.kit, "ada@example.org", 99);
    message->subject = "Hello\r\nBcc: eve@example.org\r\n\r\nbody";
    message->to_name = "Ada\r\nX-Evil: yes\n\"quoted\" <eve@example.org>";
    message->text = "one\n.\r\nMAIL FROM:<eve@example.org>\r\n.\r\n\r.\r\n";
    message->html = NULL;
    (void)mail_kit_send(&stage.kit, message);
    mail_kit_run(&stage.kit);
    assert_int_equal(mail_stage_taken(&stage), 1);
    char *mail = mail_peer_mail(stage.peer, 0);
    assert_null(strstr(mail, "\nBcc:"));
    assert_null(strstr(mail, "\nX-Evil:"));
    assert_non_null(strstr(mail, "one\r\n=2E\r\nMAIL FROM:<eve@example.org>\r\n=2E\r\n\r\n=2E\r\n"));
    free(mail);
    mail_stage_clear(&stage);
}

static void a_lease_that_is_over_begins_nothing(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, NULL, one_session);
    size_t index = mail_kit_send_until(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", 1), clock_mono_ms(&clock_system) - 1);
    mail_kit_run(&stage.kit);
    assert_outcome(&stage.kit.outcomes[index], OUTCOME_RETRY, BLAME_NONE, "");
    assert_int_equal(mail_stage_taken(&stage), 0);
    mail_stage_clear(&stage);
}

static void a_lease_that_runs_out_on_the_way_keeps_the_message_from_being_ended(void **state) {
    (void)state;
    struct mail_stage stage;
    mail_stage_set(&stage, "[{'phase':'data','action':'delay','delay_ms':400}]", one_session);
    size_t index = mail_kit_send_until(&stage.kit, mail_kit_message(&stage.kit, "ada@example.org", 1), clock_mono_ms(&clock_system) + 200);
    mail_kit_run(&stage.kit);
    assert_int_equal(stage.kit.outcomes[index].kind, OUTCOME_RETRY);
    assert_int_equal(mail_stage_taken(&stage), 0);
    mail_stage_clear(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_arrives_whole),
        cmocka_unit_test(a_large_mail_arrives_whole),
        cmocka_unit_test(a_thousand_mails_go_through_four_sessions),
        cmocka_unit_test(a_connection_carries_many_mails_and_is_renewed_after_its_share),
        cmocka_unit_test(mailers_never_have_more_connections_than_the_settings_say),
        cmocka_unit_test(two_hundred_and_fifty_six_mails_are_in_flight_at_once),
        cmocka_unit_test(each_refusal_gets_its_outcome),
        cmocka_unit_test(refused_recipients_do_not_harm_their_neighbours),
        cmocka_unit_test(a_server_that_is_down_is_asked_once_for_a_whole_batch),
        cmocka_unit_test(nobody_listening_is_retry_and_the_gateways_fault),
        cmocka_unit_test(fault_24_dropped_after_the_final_dot_is_unknown_and_keeps_its_message_id),
        cmocka_unit_test(dropped_before_the_end_of_the_message_is_retry),
        cmocka_unit_test(a_server_that_falls_silent_after_the_message_is_unknown),
        cmocka_unit_test(a_mailer_killed_after_the_message_leaves_that_mail_unknown_and_the_others_to_retry),
        cmocka_unit_test(a_mailer_killed_before_the_end_of_the_message_leaves_all_mails_to_retry),
        cmocka_unit_test(an_answer_that_comes_after_reachd_died_is_known_to_the_next_one),
        cmocka_unit_test(what_stays_in_doubt_when_reachd_died_is_not_made_up),
        cmocka_unit_test(a_mailer_that_hangs_is_killed_and_started_again),
        cmocka_unit_test(closing_answers_what_is_in_flight),
        cmocka_unit_test(fault_35_values_cannot_become_protocol),
        cmocka_unit_test(a_lease_that_is_over_begins_nothing),
        cmocka_unit_test(a_lease_that_runs_out_on_the_way_keeps_the_message_from_being_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
