/* Tests of clearance.c: when an account may be disabled; mostly, when not. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/clearance.h"

static struct arena arena;
static const struct mailbox_rules *rules;
static const struct doomed_set *ada_dies;

static const struct route_step steps[] = {
    {CHANNEL_EMAIL, EVIDENCE_SENT, 100, 3, 0},
    {CHANNEL_SMS, EVIDENCE_DELIVERED, 200, 2, 0},
    {CHANNEL_BANNER, EVIDENCE_SENT, 0, 1, 0},
};
static const struct route route = {"security", steps, COUNT_OF(steps)};

static int setup(void **state) {
    (void)state;
    rules = kit_rules(&arena);
    ada_dies = kit_doomed(rules, "ada@walton.example", NULL, &arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

/* One customer with one contact point on which something has happened, in a question that would be granted. */
struct situation {
    const char *name;
    struct contact contact;
    size_t step;
    struct plan_try try;
    int64_t now_ms;
    int64_t suspect_since_ms;
    enum evidence reaction;
    enum evidence unverified_needs;
    size_t others;
    bool over;
    enum clearance_word word;
};

#define MAIL .contact = {.channel = CHANNEL_EMAIL, .address = "ada@example.org"}
#define WEAK_MAIL .contact = {.channel = CHANNEL_EMAIL, .address = "ada@example.org", .status = CONTACT_UNVERIFIED}
#define DEAD_MAIL .contact = {.channel = CHANNEL_EMAIL, .address = "ada@example.org", .status = CONTACT_BOUNCED}
#define OWN_MAIL .contact = {.channel = CHANNEL_EMAIL, .address = "Ada+x@mail.walton.example"}
#define NEW_MAIL .contact = {.channel = CHANNEL_EMAIL, .address = "ada@example.org", .changed_at_ms = 60}
#define NUMBER .contact = {.channel = CHANNEL_SMS, .address = "+441632960001"}, .step = 1
#define BANNER .contact = {.channel = CHANNEL_BANNER, .address = "ada"}, .step = 2
#define GONE(evidence) .last = OUTCOME_SENT, .attempts = 1, .best = EVIDENCE_##evidence

static const struct situation situations[] = {
    {"sent and no bounce for long enough", MAIL, .try = {GONE(SENT)}, .now_ms = 100, .word = CLEARANCE_GRANT},
    {"sent just now", MAIL, .try = {GONE(SENT)}, .now_ms = 99, .word = CLEARANCE_NOT_YET},
    {"sent, then a bounce", MAIL, .try = {GONE(SENT), .failed_later = true}, .now_ms = 100, .word = CLEARANCE_NOT_YET},
    {"sent, then a bounce, and nothing is left", MAIL, .try = {GONE(SENT), .failed_later = true}, .now_ms = 100, .over = true,
     .word = CLEARANCE_DESK},
    {"delivered, then a bounce", MAIL, .try = {GONE(DELIVERED), .failed_later = true}, .now_ms = 500, .word = CLEARANCE_NOT_YET},
    {"acknowledged, then a bounce", MAIL, .try = {GONE(ACKNOWLEDGED), .failed_later = true}, .now_ms = 1, .word = CLEARANCE_GRANT},
    {"an unknown outcome", MAIL, .try = {.last = OUTCOME_UNKNOWN, .attempts = 1}, .now_ms = 99999, .word = CLEARANCE_NOT_YET},
    {"rejected", MAIL, .try = {.last = OUTCOME_REJECTED, .attempts = 1}, .now_ms = 99999, .word = CLEARANCE_NOT_YET},
    {"an early warning, acknowledged", OWN_MAIL, .try = {GONE(ACKNOWLEDGED), .early_warning = true}, .now_ms = 500,
     .word = CLEARANCE_NOT_YET},
    {"the account itself, acknowledged", OWN_MAIL, .try = {GONE(ACKNOWLEDGED)}, .now_ms = 500, .word = CLEARANCE_NOT_YET},
    {"a contact point lost since", DEAD_MAIL, .try = {GONE(ACKNOWLEDGED)}, .now_ms = 500, .word = CLEARANCE_NOT_YET},
    {"a changed contact point", NEW_MAIL, .try = {GONE(ACKNOWLEDGED)}, .now_ms = 500, .suspect_since_ms = 50, .word = CLEARANCE_NOT_YET},
    {"changed before the suspicion", NEW_MAIL, .try = {GONE(SENT)}, .now_ms = 500, .suspect_since_ms = 60, .word = CLEARANCE_GRANT},
    {"delivery is asked for, only sent", NUMBER, .try = {GONE(SENT)}, .now_ms = 99999, .word = CLEARANCE_NOT_YET},
    {"delivery is asked for and there", NUMBER, .try = {GONE(DELIVERED)}, .now_ms = 1, .word = CLEARANCE_GRANT},
    {"unverified, as the route says", WEAK_MAIL, .try = {GONE(SENT)}, .now_ms = 100, .word = CLEARANCE_GRANT},
    {"unverified, where more is asked for", WEAK_MAIL, .try = {GONE(SENT)}, .now_ms = 100, .unverified_needs = EVIDENCE_SEEN, .over = true,
     .word = CLEARANCE_DESK},
    {"unverified, and more is there", WEAK_MAIL, .try = {GONE(SEEN)}, .now_ms = 100, .unverified_needs = EVIDENCE_SEEN,
     .word = CLEARANCE_GRANT},
    {"verified, where more is asked for the unverified", MAIL, .try = {GONE(SENT)}, .now_ms = 100, .unverified_needs = EVIDENCE_SEEN,
     .word = CLEARANCE_GRANT},
    {"a banner that is only there", BANNER, .try = {GONE(SENT)}, .now_ms = 99999, .word = CLEARANCE_NOT_YET},
    {"a banner reported as delivered", BANNER, .try = {GONE(DELIVERED)}, .now_ms = 99999, .word = CLEARANCE_NOT_YET},
    {"a banner that was seen", BANNER, .try = {GONE(SEEN)}, .now_ms = 1, .word = CLEARANCE_GRANT},
    {"the stranded, who saw their banner", OWN_MAIL, .reaction = EVIDENCE_SEEN, .word = CLEARANCE_GRANT},
    {"the stranded, of whom a machine says delivered", OWN_MAIL, .reaction = EVIDENCE_DELIVERED, .word = CLEARANCE_NOT_YET},
    {"the stranded", OWN_MAIL, .over = true, .word = CLEARANCE_DESK},
    {"somebody else holds the account", MAIL, .try = {GONE(SENT)}, .now_ms = 100, .others = 1, .word = CLEARANCE_NOT_YET},
    {"somebody else holds the account of one who reacted", OWN_MAIL, .reaction = EVIDENCE_ACKNOWLEDGED, .others = 1,
     .word = CLEARANCE_NOT_YET},
};

static struct clearance_answer ask_for(const struct situation *s, const char *account, const struct doomed_set *doomed, int64_t valid_ms) {
    struct err err;
    struct reach_answer reach;
    struct clearance_answer answer;
    const struct customer customer = {.id = "C1", .contacts = &s->contact, .n_contacts = 1};
    const struct reach_question who = {.rules = rules, .doomed = ada_dies, .customer = &customer, .suspect_since_ms = s->suspect_since_ms};
    assert_int_equal(reach_decide(&who, &arena, &reach, &err), 0);
    struct plan_try try = s->try;
    try.step = (uint32_t)s->step;
    plan_contact_key(s->contact.channel, reach.contacts[0].canonical, try.contact_key);
    const struct plan_question plan = {&route, &customer, &reach, &try, s->try.attempts > 0, 0, 0, s->now_ms};
    const struct clearance_question question = {.plan = &plan,
                                                .doomed = doomed,
                                                .account = account,
                                                .reaction = s->reaction,
                                                .unverified_needs = s->unverified_needs,
                                                .others = s->others,
                                                .over = s->over,
                                                .valid_ms = valid_ms};
    clearance_decide(&question, &answer);
    assert_true(answer.reason[0] != '\0');
    assert_null(strchr(answer.reason, '@'));
    return answer;
}

static struct clearance_answer ask(const struct situation *s, const char *account, const struct doomed_set *doomed) {
    return ask_for(s, account, doomed, 1000);
}

static void an_account_is_cleared_on_evidence_and_on_nothing_else(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(situations); i++) {
        const struct situation *s = &situations[i];
        struct clearance_answer answer = ask(s, "ada@walton.example", ada_dies);
        if (answer.word != s->word) {
            fail_msg("%s: %d (%s)", s->name, answer.word, answer.reason);
        }
        if (answer.word == CLEARANCE_GRANT) {
            assert_int_equal(answer.expires_at_ms, s->now_ms + 1000);
            assert_true(answer.evidence >= EVIDENCE_SENT);
            assert_true((answer.contact == SIZE_MAX) == (s->reaction >= EVIDENCE_SEEN));
        } else {
            assert_int_equal(answer.expires_at_ms, 0);
            assert_int_equal(answer.evidence, EVIDENCE_NONE);
        }
    }
}

static void an_account_the_change_does_not_name_is_never_cleared(void **state) {
    (void)state;
    const struct doomed_set *nothing = kit_doomed(rules, NULL, NULL, &arena);
    const struct doomed_set *domain = kit_doomed(rules, NULL, "walton.example", &arena);
    for (size_t i = 0; i < COUNT_OF(situations); i++) {
        assert_int_equal(ask(&situations[i], "bob@walton.example", ada_dies).word, CLEARANCE_DESK);
        assert_int_equal(ask(&situations[i], "ada@walton.example", nothing).word, CLEARANCE_DESK);
        assert_int_equal(ask(&situations[i], "ada@walton.example", domain).word, situations[i].word);
    }
}

/* What a late bounce or a lost contact point does to a clearance that was granted: the same question, asked again. */
static void a_clearance_is_taken_back_with_its_evidence(void **state) {
    (void)state;
    struct situation s = situations[0];
    assert_int_equal(ask(&s, "ada@walton.example", ada_dies).word, CLEARANCE_GRANT);
    s.try.failed_later = true;
    assert_int_not_equal(ask(&s, "ada@walton.example", ada_dies).word, CLEARANCE_GRANT);
    s.try.failed_later = false;
    s.contact.status = CONTACT_WITHDRAWN;
    assert_int_not_equal(ask(&s, "ada@walton.example", ada_dies).word, CLEARANCE_GRANT);
}

static void a_record_covers_from_its_grant_to_just_before_its_end(void **state) {
    (void)state;
    static const struct {
        int64_t granted_ms, expires_ms, at_ms;
        bool covers;
    } cases[] = {
        {100, 200, 99, false}, {100, 200, 100, true}, {100, 200, 199, true},  {100, 200, 200, false}, {100, 200, INT64_MAX, false},
        {0, 0, 0, false},      {0, 200, 100, false},  {200, 100, 150, false}, {-5, 200, 100, false},  {100, 100, 100, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(clearance_covers(cases[i].granted_ms, cases[i].expires_ms, cases[i].at_ms), cases[i].covers);
    }
}

static void a_validity_that_makes_no_sense_gives_a_record_that_covers_nothing(void **state) {
    (void)state;
    static const int64_t senseless[] = {0, -1, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(senseless); i++) {
        struct clearance_answer answer = ask_for(&situations[0], "ada@walton.example", ada_dies, senseless[i]);
        assert_int_equal(answer.word, CLEARANCE_GRANT);
        assert_false(clearance_covers(100, answer.expires_at_ms, 100));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_is_cleared_on_evidence_and_on_nothing_else),
        cmocka_unit_test(an_account_the_change_does_not_name_is_never_cleared),
        cmocka_unit_test(a_clearance_is_taken_back_with_its_evidence),
        cmocka_unit_test(a_record_covers_from_its_grant_to_just_before_its_end),
        cmocka_unit_test(a_validity_that_makes_no_sense_gives_a_record_that_covers_nothing),
    };
    return cmocka_run_group_tests_name("clearance", tests, setup, teardown);
}
