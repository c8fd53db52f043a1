/* The smtp driver over TLS: which servers it believes, and that nothing leaves towards the others. */
#include "tests/support/mail_certs.h"
#include "tests/support/mail_kit.h"
#include "tests/support/mail_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct mail_certs *certs;

static struct mail_peer *start_peer(const char *kind, const char *rules, const char *const *more) {
    const char *arguments[12] = {"--tls-cert", mail_certs_path(certs, kind, "pem"), "--tls-key", mail_certs_path(certs, kind, "key")};
    for (size_t i = 0; more != NULL && more[i] != NULL && i < 7; i++) {
        arguments[4 + i] = more[i];
    }
    return mail_peer_start(rules, arguments);
}

static void open_kit(struct mail_kit *kit, const char *host, const struct mail_peer *peer, const char *yaml) {
    char text[1024];
    (void)snprintf(text, sizeof text, "ca_file: %s\nsessions: 1\nidle: 50ms\ncommand_timeout: 3s\n%s", mail_certs_path(certs, "ca", "pem"),
                   yaml);
    mail_kit_open(kit, host, mail_peer_port(peer), text);
    if (kit->gateway == NULL) {
        fail_msg("%s", kit->err.text);
    }
}

static const char *tls_of_first_mail(const struct mail_peer *peer) {
    static char version[16];
    json_t *index = mail_peer_index(peer);
    const char *text = json_string_value(json_object_get(json_array_get(index, 0), "tls"));
    (void)snprintf(version, sizeof version, "%s", text != NULL ? text : "none");
    json_decref(index);
    return version;
}

static void a_server_with_a_good_certificate_gets_mail_over_tls(void **state) {
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    static const char *const versions[] = {"1.2", "1.3"};
    for (size_t i = 0; i < 4; i++) {
        const char *const more[] = {"--tls-min", versions[i / 2], "--tls-max", versions[i / 2], NULL};
        char expected[16];
        struct mail_peer *peer = start_peer("good", NULL, more);
        struct mail_kit kit;
        open_kit(&kit, hosts[i % 2], peer, "");
        assert_int_equal(mail_kit_send_one(&kit, "ada@example.org", 1)->kind, OUTCOME_SENT);
        (void)snprintf(expected, sizeof expected, "TLSv%s", versions[i / 2]);
        assert_string_equal(tls_of_first_mail(peer), expected);
        mail_kit_close(&kit);
        mail_peer_stop(peer);
    }
}

struct bad_certificate {
    const char *kind, *said;
};

static const struct bad_certificate bad_certificates[] = {
    {"expired", "expired"}, {"early", "not yet valid"}, {"wrong", "mismatch"}, {"self", "self-signed"}, {"foreign", "issuer"},
};

static void a_large_mail_arrives_whole_over_tls(void **state) {
    (void)state;
    struct mail_peer *peer = start_peer("good", NULL, NULL);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, "");
    mail_kit_assert_large_mail(&kit, peer);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

static void fault_29_no_mail_goes_to_a_server_with_a_bad_certificate(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_certificates / sizeof bad_certificates[0]; i++) {
        struct mail_peer *peer = start_peer(bad_certificates[i].kind, NULL, NULL);
        struct mail_kit kit;
        open_kit(&kit, "localhost", peer, "");
        const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", (unsigned)i);
        assert_int_equal(outcome->kind, OUTCOME_RETRY);
        assert_int_equal(outcome->blame, BLAME_GATEWAY);
        if (strstr(outcome->reason, bad_certificates[i].said) == NULL) {
            fail_msg("%s: %s", bad_certificates[i].kind, outcome->reason);
        }
        assert_int_equal(mail_peer_count(peer, "command:MAIL"), 0);
        mail_kit_close(&kit);
        mail_peer_stop(peer);
    }
}

/* alias.test is 127.0.0.1 by way of a CNAME to localhost (own_names.c), which is the name that libesmtp itself would compare with. */
static void fault_29_a_certificate_that_is_right_for_the_cname_only_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *kind, *host;
        bool good;
    } cases[] = {{"good", "localhost", true}, {"good", "alias.test", false}, {"alias", "alias.test", true}, {"alias", "localhost", false}};
    mail_kit_own_names(true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mail_peer *peer = start_peer(cases[i].kind, NULL, NULL);
        struct mail_kit kit;
        open_kit(&kit, cases[i].host, peer, "");
        const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", (unsigned)i);
        if ((outcome->kind == OUTCOME_SENT) != cases[i].good || (!cases[i].good && strstr(outcome->reason, "mismatch") == NULL)) {
            fail_msg("%s with certificate %s: %s, %s", cases[i].host, cases[i].kind, outcome_name(outcome->kind), outcome->reason);
        }
        assert_int_equal(mail_peer_count(peer, "command:STARTTLS"), 1);
        assert_int_equal(mail_peer_count(peer, "command:MAIL"), cases[i].good ? 1 : 0);
        mail_kit_close(&kit);
        mail_peer_stop(peer);
    }
    mail_kit_own_names(false);
}

static void fault_28_what_is_injected_before_the_handshake_is_refused(void **state) {
    (void)state;
    static const char *const injected[] = {
        "220 go\\r\\n250 injected\\r\\n",
        "220 go\\r\\n2",
        "220-go\\r\\n220 on\\r\\n250-relay\\r\\n250 AUTH PLAIN\\r\\n250 ok\\r\\n250 ok\\r\\n354 go\\r\\n250 taken\\r\\n",
    };
    for (size_t i = 0; i < sizeof injected / sizeof injected[0]; i++) {
        char rules[256];
        (void)snprintf(rules, sizeof rules, "[{'phase':'starttls','action':'garble','bytes':'%s'}]", injected[i]);
        struct mail_peer *peer = start_peer("good", rules, NULL);
        struct mail_kit kit;
        open_kit(&kit, "localhost", peer, "");
        const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", (unsigned)i);
        assert_int_equal(outcome->kind, OUTCOME_RETRY);
        assert_int_equal(outcome->blame, BLAME_GATEWAY);
        assert_int_equal(mail_peer_count(peer, "command:MAIL"), 0);
        mail_kit_close(&kit);
        mail_peer_stop(peer);
    }
}

static void a_refused_starttls_is_retry_with_the_servers_words(void **state) {
    (void)state;
    struct mail_peer *peer = start_peer("good", "[{'phase':'starttls','action':'reply','code':454,'text':'4.7.0 not today'}]", NULL);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, "");
    const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", 1);
    assert_int_equal(outcome->kind, OUTCOME_RETRY);
    assert_string_equal(outcome->code, "454 4.7.0");
    assert_string_equal(outcome->reason, "not today");
    assert_int_equal(mail_peer_count(peer, "command:MAIL"), 0);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

static void fault_25_an_answer_cut_inside_tls_is_never_sent(void **state) {
    (void)state;
    static const char *const phases[] = {"mail", "rcpt", "data", "after-dot"};
    struct mail_peer *peer = start_peer("good", NULL, NULL);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, "");
    unsigned number = 0;
    for (size_t i = 0; i < 4; i++) {
        for (int at = 0; at <= 5; at++) {
            char rules[128];
            (void)snprintf(rules, sizeof rules, "[{'phase':'%s','action':'truncate','at':%d}]", phases[i], at);
            mail_peer_rules(peer, rules);
            assert_int_equal(mail_kit_send_one(&kit, "ada@example.org", number++)->kind, i == 3 ? OUTCOME_UNKNOWN : OUTCOME_RETRY);
        }
    }
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

static void fault_26_a_reply_too_many_inside_tls_is_never_the_acceptance_of_a_message(void **state) {
    (void)state;
    struct mail_peer *peer = start_peer("good",
                                        "[{'phase':'data','action':'garble','bytes':'354 go\\r\\n250 2.0.0 taken\\r\\n'},"
                                        "{'phase':'after-dot','action':'reply','code':550,'text':'5.6.0 no'}]",
                                        NULL);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, "");
    assert_int_not_equal(mail_kit_send_one(&kit, "ada@example.org", 1)->kind, OUTCOME_SENT);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

/* ---- AUTH ---------------------------------------------------------------------------------------------------------- */
static void write_password(char path[192], const char *password) {
    (void)snprintf(path, 192, "%s", mail_certs_path(certs, "password", "txt"));
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "%s\n", password);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void with_the_right_password_mail_goes_and_the_login_is_known(void **state) {
    (void)state;
    static const char *const more[] = {"--auth", "reachd:s3cret", "--require-auth", NULL};
    char path[192], yaml[256];
    write_password(path, "s3cret");
    (void)snprintf(yaml, sizeof yaml, "username: reachd\npassword_file: %s\n", path);
    struct mail_peer *peer = start_peer("good", NULL, more);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, yaml);
    assert_int_equal(mail_kit_send_one(&kit, "ada@example.org", 1)->kind, OUTCOME_SENT);
    json_t *index = mail_peer_index(peer);
    assert_string_equal(json_string_value(json_object_get(json_array_get(index, 0), "user")), "reachd");
    json_decref(index);
    assert_int_equal(mail_peer_count(peer, "auth-in-clear"), 0);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

static void a_server_that_knows_only_login_is_logged_in_at(void **state) {
    (void)state;
    static const char *const more[] = {"--auth", "reachd:s3cret", "--require-auth", NULL};
    static const char rules[] = "[{'phase':'ehlo','nth':2,'action':'garble','bytes':'250-relay\\r\\n250 AUTH LOGIN\\r\\n'}]";
    char path[192], yaml[256];
    write_password(path, "s3cret");
    (void)snprintf(yaml, sizeof yaml, "username: reachd\npassword_file: %s\n", path);
    struct mail_peer *peer = start_peer("good", rules, more);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, yaml);
    assert_int_equal(mail_kit_send_one(&kit, "ada@example.org", 1)->kind, OUTCOME_SENT);
    assert_int_equal(mail_peer_count(peer, "command:AUTH"), 1);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

static void fault_34_a_refused_login_is_tried_once_for_a_whole_batch_and_no_mail_goes_without_it(void **state) {
    (void)state;
    static const char *const more[] = {"--auth", "reachd:s3cret", NULL}; /* the server would take mail without a login */
    char path[192], yaml[256];
    write_password(path, "wrong");
    (void)snprintf(yaml, sizeof yaml, "username: reachd\npassword_file: %s\n", path);
    struct mail_peer *peer = start_peer("good", NULL, more);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, yaml);
    for (unsigned i = 0; i < 100; i++) {
        (void)mail_kit_send(&kit, mail_kit_message(&kit, "ada@example.org", i));
    }
    mail_kit_run(&kit);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(kit.outcomes[i].kind, OUTCOME_RETRY);
        assert_int_equal(kit.outcomes[i].blame, BLAME_ACCOUNT);
        assert_string_equal(kit.outcomes[i].code, "535 5.7.8");
    }
    assert_int_equal(mail_peer_count(peer, "command:MAIL"), 0);
    assert_in_range(mail_peer_count(peer, "command:AUTH"), 1, 4);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

static void a_server_without_a_login_gets_no_mail_where_there_are_credentials(void **state) {
    (void)state;
    char path[192], yaml[256];
    write_password(path, "s3cret");
    (void)snprintf(yaml, sizeof yaml, "username: reachd\npassword_file: %s\n", path);
    struct mail_peer *peer = start_peer("good", NULL, NULL);
    struct mail_kit kit;
    open_kit(&kit, "localhost", peer, yaml);
    const struct outcome *outcome = mail_kit_send_one(&kit, "ada@example.org", 1);
    assert_int_equal(outcome->kind, OUTCOME_RETRY);
    assert_int_equal(outcome->blame, BLAME_ACCOUNT);
    assert_non_null(strstr(outcome->reason, "offers no login"));
    assert_int_equal(mail_peer_count(peer, "command:MAIL"), 0);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

static void a_ca_file_that_is_none_is_told_when_the_gateway_is_opened(void **state) {
    (void)state;
    char yaml[256];
    (void)snprintf(yaml, sizeof yaml, "ca_file: %s\n", mail_certs_path(certs, "good", "key"));
    struct mail_kit kit;
    mail_kit_open(&kit, "localhost", 25, yaml);
    assert_null(kit.gateway);
    assert_non_null(strstr(kit.err.text, "CA certificates"));
    mail_kit_close(&kit);
}

/* ---- many ---------------------------------------------------------------------------------------------------------- */
static void fault_30_a_thousand_mails_over_tls_1_3_alone_and_none_hangs(void **state) {
    (void)state;
    static const char *const more[] = {"--tls-min", "1.3", "--no-files", NULL};
    struct mail_peer *peer = start_peer("good", NULL, more);
    struct mail_kit kit;
    char yaml[512];
    (void)snprintf(yaml, sizeof yaml, "ca_file: %s\nsessions: 8\nmessages_per_session: 1\ncommand_timeout: 5s\n",
                   mail_certs_path(certs, "ca", "pem"));
    mail_kit_open(&kit, "localhost", mail_peer_port(peer), yaml);
    assert_non_null(kit.gateway);
    for (unsigned i = 0; i < 1000; i++) {
        (void)mail_kit_send(&kit, mail_kit_message(&kit, "ada@example.org", i));
    }
    mail_kit_run(&kit);
    for (size_t i = 0; i < 1000; i++) {
        if (kit.outcomes[i].kind != OUTCOME_SENT) {
            fail_msg("mail %zu: %s", i, kit.outcomes[i].reason);
        }
    }
    assert_int_equal(mail_peer_count(peer, "session"), 1000);
    mail_kit_close(&kit);
    mail_peer_stop(peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_with_a_good_certificate_gets_mail_over_tls),
        cmocka_unit_test(a_large_mail_arrives_whole_over_tls),
        cmocka_unit_test(fault_29_no_mail_goes_to_a_server_with_a_bad_certificate),
        cmocka_unit_test(fault_29_a_certificate_that_is_right_for_the_cname_only_is_refused),
        cmocka_unit_test(fault_28_what_is_injected_before_the_handshake_is_refused),
        cmocka_unit_test(a_refused_starttls_is_retry_with_the_servers_words),
        cmocka_unit_test(fault_25_an_answer_cut_inside_tls_is_never_sent),
        cmocka_unit_test(fault_26_a_reply_too_many_inside_tls_is_never_the_acceptance_of_a_message),
        cmocka_unit_test(with_the_right_password_mail_goes_and_the_login_is_known),
        cmocka_unit_test(a_server_that_knows_only_login_is_logged_in_at),
        cmocka_unit_test(fault_34_a_refused_login_is_tried_once_for_a_whole_batch_and_no_mail_goes_without_it),
        cmocka_unit_test(a_server_without_a_login_gets_no_mail_where_there_are_credentials),
        cmocka_unit_test(a_ca_file_that_is_none_is_told_when_the_gateway_is_opened),
        cmocka_unit_test(fault_30_a_thousand_mails_over_tls_1_3_alone_and_none_hangs),
    };
    certs = mail_certs_make();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mail_certs_remove(certs);
    return failed;
}
