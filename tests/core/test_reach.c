/* Tests of reach.c and what stands behind it (doomed.c, graph.c, words.c): which contact points survive, the verdict, the
 * reasons, and what happens with input that nobody should send. */
#include "tests/core/core_kit.h"

#include <stdlib.h>

static struct arena arena;
static const struct mailbox_rules *rules;
static const struct doomed_set *ada_dies, *walton_dies;

static int setup(void **state) {
    (void)state;
    arena = ARENA_INIT;
    rules = kit_rules(&arena);
    ada_dies = kit_doomed(rules, "ada@walton.example", NULL, &arena);
    walton_dies = kit_doomed(rules, NULL, "walton.example", &arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct reach_answer decide_with(const struct reach_question *question) {
    struct reach_answer answer;
    struct err err;
    err_clear(&err);
    if (reach_decide(question, &arena, &answer, &err) != 0) {
        fail_msg("%s: %s", err.member, err.text);
    }
    return answer;
}

static struct reach_answer decide(const struct doomed_set *doomed, const struct contact *contacts, size_t n) {
    const struct customer customer = {.id = "C1", .contacts = contacts, .n_contacts = n};
    return decide_with(&(struct reach_question){.rules = rules, .doomed = doomed, .customer = &customer});
}

/* A contact point in a line. */
#define MAIL(...)                                                                                                                          \
    { .channel = CHANNEL_EMAIL, .address = __VA_ARGS__ }
#define SMS(...)                                                                                                                           \
    { .channel = CHANNEL_SMS, .address = __VA_ARGS__ }
#define PUSH(...)                                                                                                                          \
    { .channel = CHANNEL_PUSH, .address = __VA_ARGS__ }
#define BANNER(...)                                                                                                                        \
    { .channel = CHANNEL_BANNER, .address = __VA_ARGS__ }
#define IS(name) .status = CONTACT_##name
#define DEPENDS(...) .depends_on = LIST(__VA_ARGS__)
#define FORWARDS(...) .forwards_to = LIST(__VA_ARGS__)

enum { CONTACTS_MAX = 6 };

struct reach_case {
    const char *name;
    struct contact contacts[CONTACTS_MAX];
    size_t n;
    const char *survive; /* one letter per contact point: y survives, w survives but is weak, n not, d not but works until the change */
    enum verdict verdict;
};

static const struct reach_case ada_cases[] = {
    {"the account itself dies", {MAIL("ada@walton.example")}, 1, "d", VERDICT_STRANDED},
    {"upper case is no disguise", {MAIL("ADA@Walton.Example.")}, 1, "d", VERDICT_STRANDED},
    {"a tag is no disguise", {MAIL("ada+safe@walton.example")}, 1, "d", VERDICT_STRANDED},
    {"an alias domain is no disguise", {MAIL("ada@mail.walton.example")}, 1, "d", VERDICT_STRANDED},
    {"a full-width letter is no disguise",
     {MAIL("ada@\xef\xbd\x97"
           "alton.example")},
     1,
     "d",
     VERDICT_STRANDED},
    {"somebody else's mailbox there lives", {MAIL("bob@walton.example")}, 1, "y", VERDICT_REACHABLE},
    {"an alternate lives", {MAIL("ada@walton.example"), MAIL("ada@example.org")}, 2, "dy", VERDICT_REACHABLE},
    {"nobody without contact points is reachable", {MAIL("unused")}, 0, "", VERDICT_STRANDED},
    {"a bounced alternate does not help", {MAIL("ada@walton.example"), MAIL("ada@example.org", IS(BOUNCED))}, 2, "dn", VERDICT_STRANDED},
    {"nor a blocked one", {MAIL("ada@example.org", IS(BLOCKED))}, 1, "n", VERDICT_STRANDED},
    {"nor a withdrawn one", {SMS("+441632960001", IS(WITHDRAWN))}, 1, "n", VERDICT_STRANDED},
    {"an unverified one is weak", {MAIL("ada@example.org", IS(UNVERIFIED))}, 1, "w", VERDICT_WEAK},
    {"one verified one is enough", {MAIL("a@example.org", IS(UNVERIFIED)), SMS("+441632960001")}, 2, "wy", VERDICT_REACHABLE},
    {"weak beats passive", {BANNER("ada"), MAIL("ada@example.org", IS(UNVERIFIED))}, 2, "yw", VERDICT_WEAK},
    {"a banner alone is passive", {MAIL("ada@walton.example"), BANNER("ada@walton.example")}, 2, "dy", VERDICT_PASSIVE},
    {"an unverified banner is passive too", {BANNER("ada", IS(UNVERIFIED))}, 1, "w", VERDICT_PASSIVE},
    {"a banner dies where it says so",
     {MAIL("ada@walton.example"), BANNER("ada@walton.example", DEPENDS("ada@walton.example"))},
     2,
     "dd",
     VERDICT_STRANDED},
    {"a vanished one stays usable", {MAIL("ada@example.org", .vanished = true)}, 1, "y", VERDICT_REACHABLE},
    {"a bounced account is dead already", {MAIL("ada@walton.example", IS(BOUNCED))}, 1, "n", VERDICT_STRANDED},

    {"a token dies with the mailbox it needs", {PUSH("tok", DEPENDS("ada@walton.example"))}, 1, "d", VERDICT_STRANDED},
    {"a token lives with a mailbox that lives", {PUSH("tok", DEPENDS("ada@example.org"))}, 1, "y", VERDICT_REACHABLE},
    {"all dependencies must live", {PUSH("tok", DEPENDS("ada@example.org", "Ada@Walton.example"))}, 1, "d", VERDICT_STRANDED},
    {"a dependency is looked up among the contact points",
     {PUSH("tok", DEPENDS("ADA@example.org")), MAIL("ada@example.org", IS(BOUNCED))},
     2,
     "nn",
     VERDICT_STRANDED},
    {"a dependency on a number", {PUSH("tok", DEPENDS("+441632960001")), SMS("+441632960001", IS(BLOCKED))}, 2, "nn", VERDICT_STRANDED},
    {"a dependency on a token", {PUSH("t2", DEPENDS("t1")), PUSH("t1", DEPENDS("ada@walton.example"))}, 2, "dd", VERDICT_STRANDED},
    {"a dependency on a login", {PUSH("t1", DEPENDS("ada")), BANNER("ada")}, 2, "yy", VERDICT_REACHABLE},
    {"a mailbox is not the login of the same name",
     {PUSH("t1", DEPENDS("ada@walton.example")), BANNER("ada@walton.example")},
     2,
     "dy",
     VERDICT_PASSIVE},
    {"a number not on file but not doomed", {PUSH("tok", DEPENDS("+441632960009"))}, 1, "y", VERDICT_REACHABLE},
    {"a phone may need a mailbox", {SMS("+441632960001", DEPENDS("ada@walton.example"))}, 1, "d", VERDICT_STRANDED},
    {"dependencies chain",
     {PUSH("t", DEPENDS("c@x.example")), MAIL("c@x.example", DEPENDS("b@x.example")), MAIL("b@x.example", DEPENDS("ada@walton.example"))},
     3,
     "ddd",
     VERDICT_STRANDED},
    {"two that need each other do not hold each other up",
     {MAIL("a@x.example", DEPENDS("b@x.example")), MAIL("b@x.example", DEPENDS("a@x.example"))},
     2,
     "nn",
     VERDICT_STRANDED},
    {"one that needs itself does not live", {MAIL("a@x.example", DEPENDS("A@x.example"))}, 1, "n", VERDICT_STRANDED},

    {"a forward to the account dies", {MAIL("ada@alumni.example", FORWARDS("ada@walton.example"))}, 1, "d", VERDICT_STRANDED},
    {"a forward to its alias dies", {MAIL("ada@alumni.example", FORWARDS("Ada+x@walton.co.example"))}, 1, "d", VERDICT_STRANDED},
    {"one living target is enough",
     {MAIL("ada@alumni.example", FORWARDS("ada@walton.example", "ada@example.org"))},
     1,
     "y",
     VERDICT_REACHABLE},
    {"a target that is a bounced contact point is no target",
     {MAIL("ada@alumni.example", FORWARDS("ada@example.org")), MAIL("ada@example.org", IS(BOUNCED))},
     2,
     "nn",
     VERDICT_STRANDED},
    {"forwards chain",
     {MAIL("a@x.example", FORWARDS("b@x.example")), MAIL("b@x.example", FORWARDS("c@x.example")),
      MAIL("c@x.example", FORWARDS("ada@walton.example"))},
     3,
     "ddd",
     VERDICT_STRANDED},
    {"a chain that ends in a real mailbox lives",
     {MAIL("a@x.example", FORWARDS("b@x.example")), MAIL("b@x.example", FORWARDS("c@y.example"))},
     2,
     "yy",
     VERDICT_REACHABLE},
    {"a circle without a mailbox does not live",
     {MAIL("a@x.example", FORWARDS("b@x.example")), MAIL("b@x.example", FORWARDS("a@x.example"))},
     2,
     "nn",
     VERDICT_STRANDED},
    {"a circle with a way out lives",
     {MAIL("a@x.example", FORWARDS("b@x.example")), MAIL("b@x.example", FORWARDS("a@x.example", "c@y.example"))},
     2,
     "yy",
     VERDICT_REACHABLE},
    {"a circle with a way out into the account does not",
     {MAIL("a@x.example", FORWARDS("b@x.example")), MAIL("b@x.example", FORWARDS("a@x.example", "ada@walton.example"))},
     2,
     "dd",
     VERDICT_STRANDED},
    {"dependencies and forwards must both hold",
     {MAIL("a@x.example", FORWARDS("c@y.example"), DEPENDS("ada@walton.example"))},
     1,
     "d",
     VERDICT_STRANDED},
    {"shared targets",
     {MAIL("a@x.example", FORWARDS("c@y.example")), MAIL("b@x.example", FORWARDS("c@y.example")), MAIL("c@y.example", IS(BLOCKED))},
     3,
     "nnn",
     VERDICT_STRANDED},

    {"of two entries the worse status holds", {MAIL("ada@example.org"), MAIL("Ada@Example.org", IS(WITHDRAWN))}, 2, "nn", VERDICT_STRANDED},
    {"whichever comes first", {MAIL("ada@example.org", IS(WITHDRAWN)), MAIL("ada@example.org")}, 2, "nn", VERDICT_STRANDED},
    {"verified and unverified is unverified", {MAIL("ada@example.org"), MAIL("ada@example.org", IS(UNVERIFIED))}, 2, "ww", VERDICT_WEAK},
    {"of two entries both sets of conditions hold",
     {MAIL("ada@alumni.example"), MAIL("ada@alumni.example", FORWARDS("ada@walton.example"))},
     2,
     "dd",
     VERDICT_STRANDED},
    {"entries with forwards of their own each need one",
     {MAIL("a@x.example", FORWARDS("c@y.example")), MAIL("a@x.example", FORWARDS("ada@walton.example"))},
     2,
     "dd",
     VERDICT_STRANDED},
    {"mail cannot be sent outside ASCII", {MAIL("z\303\266e@example.org")}, 1, "n", VERDICT_STRANDED},
    {"but such a mailbox can hold up another",
     {MAIL("ada@alumni.example", FORWARDS("z\303\266e@example.org")), MAIL("z\303\266e@example.org")},
     2,
     "yn",
     VERDICT_REACHABLE},
    {"the same text on two channels is two contact points", {PUSH("x", IS(BOUNCED)), BANNER("x")}, 2, "ny", VERDICT_PASSIVE},
};

static void check_case(const struct reach_case *c, const struct doomed_set *doomed) {
    struct reach_answer answer = decide(doomed, c->contacts, c->n);
    assert_int_equal(answer.n_contacts, c->n);
    for (size_t i = 0; i < c->n; i++) {
        const struct reach_contact *is = &answer.contacts[i];
        char letter = "ndyw"[is->weak ? 3 : is->survives ? 2 : is->doomed ? 1 : 0];
        if (letter != c->survive[i] || (is->weak && !is->survives) || (is->doomed && is->survives)) {
            fail_msg("%s: contact point %zu is '%c' (%s)", c->name, i, letter, is->reason);
        }
        assert_int_equal(is->evidence_counts, is->survives);
        assert_true(is->reason[0] != '\0' && is->reason_masked[0] != '\0');
        assert_null(strstr(is->reason_masked, "ada@"));
    }
    if (answer.verdict != c->verdict) {
        fail_msg("%s: %s", c->name, verdict_name(answer.verdict));
    }
}

static void every_rule_of_survival_holds(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ada_cases); i++) {
        check_case(&ada_cases[i], ada_dies);
    }
}

static void with_a_domain_every_mailbox_there_dies_under_every_name(void **state) {
    (void)state;
    const struct reach_case cases[] = {
        {"anybody's", {MAIL("bob@walton.example")}, 1, "d", VERDICT_STRANDED},
        {"under an alias", {MAIL("bob@walton.co.example")}, 1, "d", VERDICT_STRANDED},
        {"a spouse's mailbox as an alternate", {MAIL("ada@walton.example"), MAIL("bob@mail.walton.example")}, 2, "dd", VERDICT_STRANDED},
        {"a forward into it", {MAIL("ada@alumni.example", FORWARDS("bob+ada@walton.example"))}, 1, "d", VERDICT_STRANDED},
        {"another domain lives", {MAIL("bob@nowalton.example"), MAIL("bob@sub.walton.example")}, 2, "yy", VERDICT_REACHABLE},
        {"a number lives", {SMS("+441632960001")}, 1, "y", VERDICT_REACHABLE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_case(&cases[i], walton_dies);
    }
    const struct doomed_set *alias_dies = kit_doomed(rules, NULL, "MAIL.walton.example.", &arena);
    check_case(&cases[0], alias_dies);
    const struct contact below[] = {MAIL("x@any.sub.dots.example"), MAIL("x@dots.co.example")};
    assert_int_equal(decide(kit_doomed(rules, NULL, "deep.dots.example", &arena), below, 2).verdict, VERDICT_STRANDED);
}

static void in_an_audience_every_account_of_everyone_dies(void **state) {
    (void)state;
    static const char *accounts[] = {"ada@walton.example", "Bob@walton.co.example", "ada@walton.example"};
    const struct address_list audience = {accounts, 3};
    const struct contact contacts[] = {MAIL("bob+home@walton.example"), MAIL("eve@walton.example")};
    struct err err;
    const struct disables all = {.audience_accounts = true}, none = {.audience_accounts = false};
    const struct doomed_set *set = doomed_set_new(rules, &all, &audience, &arena, &err);
    assert_non_null(set);
    struct reach_answer answer = decide(set, contacts, 2);
    assert_false(answer.contacts[0].survives);
    assert_non_null(strstr(answer.contacts[0].reason, "bob+home@walton.example is the same mailbox as an account"));
    assert_true(answer.contacts[1].survives);
    answer = decide(doomed_set_new(rules, &none, &audience, &arena, &err), contacts, 2);
    assert_true(answer.contacts[0].survives);
    assert_non_null(doomed_set_new(rules, &all, NULL, &arena, &err));
}

static bool is_bob(void *ctx, const char *canonical) {
    ++*(int *)ctx;
    return strcmp(canonical, "bob@walton.example") == 0;
}

static void accounts_too_many_for_a_set_die_as_well(void **state) {
    (void)state;
    const struct contact contacts[] = {MAIL("Bob+home@mail.walton.example"),
                                       MAIL("eve@walton.example"),
                                       MAIL("ada@walton.example"),
                                       {.channel = CHANNEL_PUSH, .address = "bob@walton.example"}};
    const struct customer customer = {.id = "C1", .contacts = contacts, .n_contacts = 4};
    struct reach_answer answer;
    struct err err;
    int asked = 0;
    const struct reach_question question = {
        .rules = rules, .doomed = ada_dies, .customer = &customer, .dies_too = is_bob, .dies_too_ctx = &asked};
    assert_int_equal(reach_decide(&question, &arena, &answer, &err), 0);
    assert_false(answer.contacts[0].survives);
    assert_true(answer.contacts[0].doomed);
    assert_non_null(strstr(answer.contacts[0].reason, "is the same mailbox as an account that is disabled in the same change"));
    assert_true(answer.contacts[1].survives);
    assert_non_null(strstr(answer.contacts[2].reason, "is the account being disabled")); /* known without asking */
    assert_true(answer.contacts[3].survives);                                            /* a token is no account */
    assert_int_equal(asked, 2);
}

static void a_set_that_cannot_be_read_is_refused_with_its_member(void **state) {
    (void)state;
    static const char *bad[] = {"ada@walton.example", "", "x@walton.example"}, *domains[] = {"a.example", "b.example", "no domain"};
    struct err err;
    const struct disables accounts = {.accounts = {bad, 3}}, doms = {.domains = {domains, 3}}, others = {.audience_accounts = true};
    const struct address_list audience = {bad, 3};
    assert_null(doomed_set_new(rules, &accounts, NULL, &arena, &err));
    assert_string_equal(err.member, "disables.accounts[1]");
    assert_null(doomed_set_new(rules, &doms, NULL, &arena, &err));
    assert_string_equal(err.member, "disables.domains[2]");
    assert_null(doomed_set_new(rules, &others, &audience, &arena, &err));
    assert_string_equal(err.member, "audience[1]");
}

static void a_number_can_be_the_account(void **state) {
    (void)state;
    const struct contact contacts[] = {SMS("+441632960001"), SMS("+441632960002"), PUSH("t", DEPENDS("+441632960001"))};
    struct reach_answer answer = decide(kit_doomed(rules, "+441632960001", NULL, &arena), contacts, 3);
    assert_false(answer.contacts[0].survives);
    assert_string_equal(answer.contacts[0].reason, "+441632960001 is the number being disabled");
    assert_true(answer.contacts[1].survives);
    assert_false(answer.contacts[2].survives);
}

static void reasons_are_said_in_words(void **state) {
    (void)state;
    const struct contact contacts[] = {
        MAIL("ada@mail.walton.example"),
        MAIL("ada@walton.example"),
        MAIL("ada@alumni.example", FORWARDS("ada@walton.example")),
        MAIL("ada@two.example", FORWARDS("ada@walton.example", "old@example.org")),
        PUSH("secret-token", DEPENDS("ada@walton.example")),
        SMS("+441632960001", IS(BOUNCED)),
        MAIL("old@example.org", IS(WITHDRAWN)),
        MAIL("Old@example.org"),
        PUSH("t2", DEPENDS("secret-token")),
        MAIL("l1@x.example", FORWARDS("l2@x.example")),
        MAIL("l2@x.example", FORWARDS("l1@x.example")),
        MAIL("new@example.org", IS(UNVERIFIED)),
        MAIL("d@x.example"),
        MAIL("d@x.example", DEPENDS("+441632960001")),
        BANNER("ada@walton.example"),
    };
    static const char *const says[][2] = {
        {"ada@mail.walton.example is the same mailbox as the account being disabled",
         "a\xe2\x80\xa2\xe2\x80\xa2@mail.walton.example is the same mailbox as the account being disabled"},
        {"ada@walton.example is the account being disabled", "a\xe2\x80\xa2\xe2\x80\xa2@walton.example is the account being disabled"},
        {"it only forwards to ada@walton.example, which is being disabled",
         "it only forwards to a\xe2\x80\xa2\xe2\x80\xa2@walton.example, which is being disabled"},
        {"it only forwards to ada@walton.example, which is being disabled, and to 1 more, none of which survives", NULL},
        {"it depends on ada@walton.example, which is being disabled", NULL},
        {"the number is bounced: messages to it came back", NULL},
        {"the address is withdrawn: the customer has taken it back", NULL},
        {"the address is withdrawn: the customer has taken it back (says another entry for the same one)", NULL},
        {"it depends on a push token, which does not survive either", NULL},
        {"it only forwards to l2@x.example, which leads in a circle and to no mailbox", NULL},
        {"it only forwards to l1@x.example, which leads in a circle and to no mailbox", NULL},
        {"it survives, but nobody has verified that it is the customer's", NULL},
        {"another entry for the same address depends on something that does not survive", NULL},
        {"it depends on +441632960001, which is bounced", "it depends on \xe2\x80\xa2\xe2\x80\xa2"
                                                          "01, which is bounced"},
        {"it survives, but it tells the customer only when they come by themselves", NULL},
    };
    struct reach_answer answer = decide(ada_dies, contacts, COUNT_OF(contacts));
    for (size_t i = 0; i < COUNT_OF(contacts); i++) {
        assert_string_equal(answer.contacts[i].reason, says[i][0]);
        if (says[i][1] != NULL) {
            assert_string_equal(answer.contacts[i].reason_masked, says[i][1]);
        }
        assert_null(strstr(answer.contacts[i].reason, "secret-token"));
        assert_null(strstr(answer.contacts[i].reason_masked, "ada@"));
    }
    answer = decide(walton_dies, contacts, 1);
    assert_string_equal(answer.contacts[0].reason,
                        "ada@mail.walton.example is a mailbox of walton.example, where every mailbox is being disabled");
}

static void an_address_that_cannot_be_one_is_named(void **state) {
    (void)state;
    const struct {
        struct contact contact;
        const char *member;
    } cases[] = {
        {MAIL("ada@"), "customer.contacts[1].address"},
        {SMS("01632960001"), "customer.contacts[1].address"},
        {PUSH(""), "customer.contacts[1].address"},
        {PUSH("to\nken"), "customer.contacts[1].address"},
        {PUSH("\xc3"), "customer.contacts[1].address"},
        {BANNER("\x1b[2J"), "customer.contacts[1].address"},
        {PUSH("t", DEPENDS("a@x.example", "ada@@x")), "customer.contacts[1].depends_on[1]"},
        {PUSH("t", FORWARDS("unheard-of")), "customer.contacts[1].forwards_to[0]"},
        {PUSH("t", DEPENDS("")), "customer.contacts[1].depends_on[0]"},
        {PUSH("t", DEPENDS("+12")), "customer.contacts[1].depends_on[0]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct contact contacts[] = {MAIL("ada@example.org"), cases[i].contact};
        const struct customer customer = {.id = "C1", .contacts = contacts, .n_contacts = 2};
        struct reach_question question = {.rules = rules, .doomed = ada_dies, .customer = &customer};
        struct reach_answer answer;
        struct err err;
        err_clear(&err);
        assert_int_equal(reach_decide(&question, &arena, &answer, &err), -1);
        assert_int_equal(err.code, ERR_MEMBER);
        assert_string_equal(err.member, cases[i].member);
        assert_int_equal(answer.verdict, VERDICT_STRANDED);
        assert_int_equal(reach_decide(&question, &arena, &answer, NULL), -1);

        question.tolerate_invalid = true;
        answer = decide_with(&question);
        assert_int_equal(answer.verdict, VERDICT_REACHABLE);
        assert_true(answer.contacts[0].survives);
        assert_false(answer.contacts[1].survives);
        assert_false(answer.contacts[1].doomed);
        assert_int_equal(reach_use_at(&answer.contacts[1], &contacts[1], 1000, 0), REACH_NEVER);
    }
}

static void a_changed_contact_point_is_weak_and_no_evidence(void **state) {
    (void)state;
    const struct contact contacts[] = {MAIL("new@example.org", .changed_at_ms = 1001, .previous_address = "old@example.org"),
                                       SMS("+441632960001", .changed_at_ms = 1000, .previous_address = "+441632960009")};
    const struct customer customer = {.id = "C1", .contacts = contacts, .n_contacts = 2};
    struct reach_question question = {.rules = rules, .doomed = ada_dies, .customer = &customer, .suspect_since_ms = 1000};
    struct reach_answer answer = decide_with(&question);
    assert_true(answer.contacts[0].survives && answer.contacts[0].weak && !answer.contacts[0].evidence_counts);
    assert_true(answer.contacts[1].survives && !answer.contacts[1].weak && answer.contacts[1].evidence_counts);
    question.suspect_since_ms = 0;
    answer = decide_with(&question);
    assert_true(answer.contacts[0].evidence_counts && !answer.contacts[0].weak);
    question.suspect_since_ms = 999;
    assert_int_equal(decide_with(&question).verdict, VERDICT_WEAK);

    struct customer both, same;
    struct err err;
    assert_int_equal(reach_with_previous(&customer, 1000, &arena, &both, &err), 0);
    assert_int_equal(both.n_contacts, 3);
    assert_string_equal(both.contacts[1].address, "old@example.org");
    assert_string_equal(both.contacts[2].address, "+441632960001");
    question.customer = &both;
    question.suspect_since_ms = 1000;
    answer = decide_with(&question);
    assert_true(answer.contacts[1].survives && answer.contacts[1].evidence_counts);
    assert_int_equal(reach_with_previous(&customer, 0, &arena, &same, &err), 0);
    assert_ptr_equal(same.contacts, contacts);
}

static void routes_that_share_a_fate_are_called_single(void **state) {
    (void)state;
    static const struct {
        const char *name;
        struct contact contacts[3];
        size_t n;
        bool single;
    } cases[] = {
        {"one route", {SMS("+441632960001")}, 1, true},
        {"one route and a banner", {SMS("+441632960001"), BANNER("ada")}, 2, true},
        {"one address twice", {SMS("+441632960001"), SMS("+441632960001")}, 2, true},
        {"one mail domain", {MAIL("a@x.example"), MAIL("b@X.example")}, 2, true},
        {"two mail domains", {MAIL("a@x.example"), MAIL("a@y.example")}, 2, false},
        {"one gateway", {MAIL("a@x.example", .gateway = "g"), SMS("+441632960001", .gateway = "g")}, 2, true},
        {"two gateways", {SMS("+441632960001", .gateway = "g"), SMS("+441632960002", .gateway = "h")}, 2, false},
        {"any gateway", {SMS("+441632960001"), SMS("+441632960002")}, 2, false},
        {"one of them any", {SMS("+441632960001", .gateway = "g"), SMS("+441632960002")}, 2, false},
        {"the dead do not count", {MAIL("a@x.example"), MAIL("ada@walton.example"), MAIL("b@y.example", IS(BOUNCED))}, 3, true},
        {"nothing is no route", {MAIL("ada@walton.example"), BANNER("ada")}, 2, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (decide(ada_dies, cases[i].contacts, cases[i].n).single_route != cases[i].single) {
            fail_msg("%s", cases[i].name);
        }
    }
    const struct customer customer = {.id = "C1", .contacts = cases[7].contacts, .n_contacts = 2};
    struct reach_question question = {.rules = rules, .doomed = ada_dies, .customer = &customer};
    question.sole_gateway[CHANNEL_SMS] = "only";
    assert_true(decide_with(&question).single_route);
}

static void look_alikes_are_reported_and_change_nothing(void **state) {
    (void)state;
    static const struct {
        const char *address;
        const char *says; /* NULL: no warning */
    } cases[] = {
        {"ada@example.org", NULL},
        {"bob@walton.example", NULL},
        {"anna@b\303\274cher.example", NULL},                          /* an own domain in IDN */
        {"z\303\266e@m\303\274nchen.example", NULL},                   /* one script */
        {"\320\260\320\275\320\275\320\260@example.org", NULL},        /* all Cyrillic before the '@' */
        {"\345\261\261\343\201\256@example.org", NULL},                /* Han and Hiragana: Japanese */
        {"\320\260da@example.org", "several scripts"},                 /* Cyrillic a, Latin da */
        {"ada@ex\320\260mple.org", "several scripts"},                 /* in the domain */
        {"ada@xn--exmple-4nf.org", "several scripts"},                 /* the same as an A-label */
        {"bob@w\320\260lton.example", "looks like one of our own"},    /* Cyrillic a in our name */
        {"bob@w\316\261lton.co.example", "looks like one of our own"}, /* Greek alpha in an alias */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct contact contact = MAIL(cases[i].address);
        struct reach_answer answer = decide(ada_dies, &contact, 1);
        const char *warning = answer.contacts[0].warning;
        if ((warning == NULL) != (cases[i].says == NULL) || (warning != NULL && strstr(warning, cases[i].says) == NULL)) {
            fail_msg("%s: %s", cases[i].address, warning == NULL ? "no warning" : warning);
        }
        assert_int_equal(answer.n_warnings, cases[i].says == NULL ? 0 : 1);
        assert_int_equal(answer.verdict, mailbox_is_sendable(cases[i].address) ? VERDICT_REACHABLE : VERDICT_STRANDED);
    }
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

static void at_the_boundary_a_doomed_contact_point_is_never_used(void **state) {
    (void)state;
    static const enum contact_status statuses[] = {CONTACT_ACTIVE, CONTACT_UNVERIFIED, CONTACT_BOUNCED, CONTACT_BLOCKED, CONTACT_WITHDRAWN};
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        const struct contact contacts[] = {{.channel = CHANNEL_EMAIL, .address = "ada@walton.example", .status = statuses[i]},
                                           {.channel = CHANNEL_EMAIL, .address = "a@x.example", .forwards_to = LIST("ada@walton.example")},
                                           {.channel = CHANNEL_EMAIL, .address = "ada@example.org", .status = statuses[i]}};
        struct reach_answer answer = decide(ada_dies, contacts, 3);
        bool usable = i < 2;
        static const int64_t effective_ms = 1798048800000;
        static const struct {
            int64_t effective_ms, now_ms;
            bool before;
        } times[] = {
            {effective_ms, 0, true},
            {effective_ms, effective_ms - 1, true},
            {effective_ms, effective_ms, false},
            {effective_ms, effective_ms + 1, false},
            {effective_ms, INT64_MAX, false},
            {0, 0, false},
            {0, effective_ms, false},
            {INT64_MAX, INT64_MAX, false},
        };
        for (size_t t = 0; t < COUNT_OF(times); t++) {
            enum reach_use expected = usable && times[t].before ? REACH_EARLY_WARNING : REACH_NEVER;
            assert_int_equal(reach_use_at(&answer.contacts[0], &contacts[0], times[t].effective_ms, times[t].now_ms), expected);
            assert_int_equal(reach_use_at(&answer.contacts[1], &contacts[1], times[t].effective_ms, times[t].now_ms), expected);
            assert_int_equal(reach_use_at(&answer.contacts[2], &contacts[2], times[t].effective_ms, times[t].now_ms),
                             usable ? REACH_EVIDENCE : REACH_NEVER);
        }
    }
}

static void a_contact_point_that_bounced_since_the_answer_is_not_used(void **state) {
    (void)state;
    const struct contact contacts[] = {MAIL("ada@walton.example"), MAIL("ada@example.org")};
    struct reach_answer answer = decide(ada_dies, contacts, 2);
    static const enum contact_status dead[] = {CONTACT_BOUNCED, CONTACT_BLOCKED, CONTACT_WITHDRAWN};
    for (size_t i = 0; i < COUNT_OF(dead); i++) {
        for (size_t c = 0; c < 2; c++) {
            struct contact now = contacts[c];
            assert_int_not_equal(reach_use_at(&answer.contacts[c], &now, 100, 99), REACH_NEVER);
            now.status = dead[i];
            assert_int_equal(reach_use_at(&answer.contacts[c], &now, 100, 99), REACH_NEVER);
        }
    }
}

/* ---- bad and big input --------------------------------------------------------------------------------------------- */

static struct contact *many(size_t n, size_t text_bytes, char **texts_r) {
    struct contact *contacts = arena_array(&arena, n, sizeof *contacts);
    char *texts = arena_alloc(&arena, n * text_bytes);
    assert_non_null(contacts);
    assert_non_null(texts);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(texts + i * text_bytes, text_bytes, "c%zu@x.example", i);
        contacts[i] = (struct contact){.channel = CHANNEL_EMAIL, .address = texts + i * text_bytes};
    }
    *texts_r = texts;
    return contacts;
}

static void a_chain_of_100000_forwards_is_followed_to_its_end(void **state) {
    (void)state;
    enum { N = 100000, TEXT = 24 };
    char *texts;
    struct contact *contacts = many(N, TEXT, &texts);
    const char **targets = arena_array(&arena, N, sizeof *targets);
    for (size_t i = 0; i < N; i++) {
        targets[i] = i + 1 < N ? texts + (i + 1) * TEXT : "ada@walton.example";
        contacts[i].forwards_to = (struct address_list){&targets[i], 1};
    }
    struct reach_answer answer = decide(ada_dies, contacts, N);
    assert_int_equal(answer.verdict, VERDICT_STRANDED);
    assert_true(answer.contacts[0].doomed);
    targets[N - 1] = "eve@walton.example";
    answer = decide(ada_dies, contacts, N);
    assert_int_equal(answer.verdict, VERDICT_REACHABLE);
    assert_true(answer.contacts[0].survives);
    targets[N - 1] = "c0@x.example";
    answer = decide(ada_dies, contacts, N);
    assert_int_equal(answer.verdict, VERDICT_STRANDED);
    assert_false(answer.contacts[N / 2].doomed);
}

static void ten_thousand_contact_points_of_one_customer_are_judged(void **state) {
    (void)state;
    enum { N = 10000, TEXT = 24 };
    char *texts;
    struct contact *contacts = many(N, TEXT, &texts);
    const char *all[1] = {"ada@walton.example"};
    for (size_t i = 0; i < N; i++) {
        contacts[i].address = i % 2 == 0 ? "Same@x.example" : texts + i * TEXT;
        contacts[i].depends_on = (struct address_list){all, i % 3 == 0 ? 1 : 0};
    }
    struct reach_answer answer = decide(ada_dies, contacts, N);
    assert_int_equal(answer.verdict, VERDICT_REACHABLE);
    assert_false(answer.contacts[2].survives); /* its twin depends on the account */
    assert_int_equal(answer.contacts[N - 2].first, 0);
    assert_true(answer.contacts[1].survives);
    assert_false(answer.contacts[3].survives);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_rule_of_survival_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(with_a_domain_every_mailbox_there_dies_under_every_name, setup, teardown),
        cmocka_unit_test_setup_teardown(in_an_audience_every_account_of_everyone_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(accounts_too_many_for_a_set_die_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(a_set_that_cannot_be_read_is_refused_with_its_member, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_can_be_the_account, setup, teardown),
        cmocka_unit_test_setup_teardown(reasons_are_said_in_words, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_that_cannot_be_one_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_contact_point_is_weak_and_no_evidence, setup, teardown),
        cmocka_unit_test_setup_teardown(routes_that_share_a_fate_are_called_single, setup, teardown),
        cmocka_unit_test_setup_teardown(look_alikes_are_reported_and_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(at_the_boundary_a_doomed_contact_point_is_never_used, setup, teardown),
        cmocka_unit_test_setup_teardown(a_contact_point_that_bounced_since_the_answer_is_not_used, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chain_of_100000_forwards_is_followed_to_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand_contact_points_of_one_customer_are_judged, setup, teardown),
    };
    return cmocka_run_group_tests_name("reach", tests, NULL, NULL);
}
