/* What a server's words mean, and that no address survives in a reason. */
#include "channels/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <string.h>

static int add(struct smtp_reply *reply, const char *line) {
    return smtp_reply_add_line(reply, line, strlen(line));
}

struct reading {
    const char *lines[4];
    int code;
    const char *enhanced, *text;
};

static const struct reading readings[] = {
    {{"250 ok"}, 250, "", "ok"},
    {{"250"}, 250, "", ""},
    {{"250 "}, 250, "", ""},
    {{"550 5.1.1 no such user"}, 550, "5.1.1", "no such user"},
    {{"550-5.1.1 no such user", "550-5.1.1 really", "550 5.1.1 not"}, 550, "5.1.1", "no such user really not"},
    {{"550 5.1.1"}, 550, "5.1.1", ""},
    {{"550 4.1.1 of another class"}, 550, "", "4.1.1 of another class"},
    {{"452 4.2.2.9 too many parts"}, 452, "", "4.2.2.9 too many parts"},
    {{"554 5.7.1234 too long"}, 554, "", "5.7.1234 too long"},
    {{"421-4.3.2 going", "421 4.3.2 down"}, 421, "4.3.2", "going down"},
};

static void replies_are_read_as_they_are_meant(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        struct smtp_reply reply = {0};
        for (size_t line = 0; line < 4 && readings[i].lines[line] != NULL; line++) {
            int more = line + 1 < 4 && readings[i].lines[line + 1] != NULL;
            assert_int_equal(add(&reply, readings[i].lines[line]), more);
        }
        assert_int_equal(reply.code, readings[i].code);
        assert_string_equal(reply.enhanced, readings[i].enhanced);
        assert_string_equal(reply.text, readings[i].text);
    }
}

struct verdict {
    enum smtp_step step;
    const char *line;
    enum outcome_kind kind;
    enum outcome_blame blame;
};

static const struct verdict verdicts[] = {
    {SMTP_GREETING, "554 no", OUTCOME_RETRY, BLAME_GATEWAY},
    {SMTP_AUTH, "535 5.7.8 bad password", OUTCOME_RETRY, BLAME_ACCOUNT},
    {SMTP_STARTTLS, "454 4.7.0 not now", OUTCOME_RETRY, BLAME_GATEWAY},
    {SMTP_MAIL, "530 5.7.0 authentication required", OUTCOME_RETRY, BLAME_ACCOUNT},
    {SMTP_MAIL, "552 too big", OUTCOME_REJECTED, BLAME_MESSAGE},
    {SMTP_MAIL, "553 5.1.7 bad sender", OUTCOME_REJECTED, BLAME_GATEWAY},
    {SMTP_MAIL, "452 4.3.1 disk full", OUTCOME_RETRY, BLAME_GATEWAY},
    {SMTP_RCPT, "550 5.1.1 unknown", OUTCOME_REJECTED, BLAME_CONTACT},
    {SMTP_RCPT, "550 5.1.2 no such domain", OUTCOME_REJECTED, BLAME_CONTACT},
    {SMTP_RCPT, "556 5.1.10 null MX", OUTCOME_REJECTED, BLAME_CONTACT},
    {SMTP_RCPT, "550 5.2.1 mailbox disabled", OUTCOME_REJECTED, BLAME_CONTACT},
    {SMTP_RCPT, "552 5.2.2 over quota", OUTCOME_REJECTED, BLAME_NONE},
    {SMTP_RCPT, "550 5.7.1 policy", OUTCOME_REJECTED, BLAME_NONE},
    {SMTP_RCPT, "551 user not local", OUTCOME_REJECTED, BLAME_CONTACT},
    {SMTP_RCPT, "554 no", OUTCOME_REJECTED, BLAME_NONE},
    {SMTP_RCPT, "450 4.2.0 greylisted", OUTCOME_RETRY, BLAME_NONE},
    {SMTP_RCPT, "451 4.3.5 server misconfigured", OUTCOME_RETRY, BLAME_GATEWAY},
    {SMTP_RCPT, "421 4.7.0 too many errors", OUTCOME_RETRY, BLAME_GATEWAY},
    {SMTP_CONTENT, "554 5.6.0 content", OUTCOME_REJECTED, BLAME_MESSAGE},
    {SMTP_CONTENT, "550 5.1.1 unknown after all", OUTCOME_REJECTED, BLAME_CONTACT},
    {SMTP_CONTENT, "451 4.4.2 timeout", OUTCOME_RETRY, BLAME_NONE},
    {SMTP_LAST, "552 5.2.3 too long for this mailbox", OUTCOME_REJECTED, BLAME_MESSAGE},
    {SMTP_CONTENT, "354 go on", OUTCOME_RETRY, BLAME_GATEWAY},
};

static void codes_decide_kind_and_blame(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct smtp_reply reply = {0};
        struct outcome outcome;
        assert_int_equal(add(&reply, verdicts[i].line), 0);
        smtp_judge_refusal(&reply, verdicts[i].step, "ada@example.org", &outcome);
        if (outcome.kind != verdicts[i].kind || outcome.blame != verdicts[i].blame) {
            fail_msg("\"%s\" gives %s, blame %d", verdicts[i].line, outcome_name(outcome.kind), (int)outcome.blame);
        }
        assert_true(outcome.reason[0] != '\0');
    }
}

static void no_refusal_is_ever_sent(void **state) {
    (void)state;
    for (int code = 100; code <= 599; code++) {
        for (enum smtp_step step = 0; step < SMTP_STEP_COUNT; step++) {
            struct smtp_reply reply = {.code = code};
            struct outcome outcome;
            smtp_judge_refusal(&reply, step, NULL, &outcome);
            assert_int_not_equal(outcome.kind, OUTCOME_SENT);
            assert_int_not_equal(outcome.kind, OUTCOME_UNKNOWN);
        }
    }
}

static void addresses_are_taken_out_of_the_words(void **state) {
    (void)state;
    static const struct {
        const char *said, *kept;
    } cases[] = {
        {"<ada.l@example.org>: Recipient address rejected", "<(address)>: Recipient address rejected"},
        {"user ada.l unknown", "user (address) unknown"},
        {"user ADA.L unknown", "user (address) unknown"},
        {"mail for ada.l@example.org, eve@example.net loops", "mail for (address), (address) loops"},
        {"rfc822;ada.l@example.org", "rfc822;(address)"},
        {"adamant ada.llama", "adamant ada.llama"},
        {"no mailbox here by that name", "no mailbox here by that name"},
        {"@", "(address)"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[256];
        smtp_hide_addresses(cases[i].said, "ada.l@example.org", out, sizeof out);
        assert_string_equal(out, cases[i].kept);
    }
}

static void hiding_never_writes_beyond_its_room(void **state) {
    (void)state;
    for (size_t cap = 1; cap < 40; cap++) {
        char out[64];
        memset(out, '#', sizeof out);
        smtp_hide_addresses("x ada@example.org y eve@example.org", "ada@example.org", out, cap);
        assert_true(strlen(out) < cap);
        assert_int_equal(out[cap], '#');
        assert_null(strchr(out, '@'));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_as_they_are_meant),
        cmocka_unit_test(codes_decide_kind_and_blame),
        cmocka_unit_test(no_refusal_is_ever_sent),
        cmocka_unit_test(addresses_are_taken_out_of_the_words),
        cmocka_unit_test(hiding_never_writes_beyond_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
