/* Tests of plan.c: the next action for a notice, from its whole history. Times are in milliseconds after the start. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/hash.h"
#include "dispatcher/core/plan.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

static struct arena arena;
static const struct mailbox_rules *rules;
static const struct doomed_set *ada_dies;

static const struct route_step steps[] = {
    {CHANNEL_EMAIL, EVIDENCE_SENT, 100, 3, 1000},
    {CHANNEL_SMS, EVIDENCE_DELIVERED, 200, 2, 500},
    {CHANNEL_PUSH, EVIDENCE_SENT, 50, 1, 0},
    {CHANNEL_BANNER, EVIDENCE_SEEN, 0, 1, 0},
};
static const struct route security = {"security", steps, COUNT_OF(steps)};
enum { STEP_EMAIL, STEP_SMS, STEP_PUSH, STEP_BANNER };

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

/* A notice on its way: contact points, verdict, history, and the times of the question. */
struct journey {
    struct customer customer;
    struct reach_answer reach;
    struct plan_try tries[16];
    size_t n_tries;
    int64_t effective_ms, expires_ms;
    int64_t suspect_since_ms;
    const struct route *route;
};

static void journey_start(struct journey *j, const struct contact *contacts, size_t n) {
    struct err err;
    *j = (struct journey){.customer = {.id = "C1", .contacts = contacts, .n_contacts = n}, .expires_ms = 100000, .route = &security};
    const struct reach_question question = {.rules = rules, .doomed = ada_dies, .customer = &j->customer};
    if (reach_decide(&question, &arena, &j->reach, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static struct plan_action ask(const struct journey *j, int64_t now_ms) {
    struct plan_action action;
    const struct plan_question question = {j->route, &j->customer, &j->reach, j->tries, j->n_tries, j->effective_ms, j->expires_ms, now_ms};
    plan_next(&question, &action);
    assert_true(action.reason[0] != '\0');
    assert_null(strchr(action.reason, '@'));
    return action;
}

/* Asks, and fails unless the answer is to send that by that. */
static struct plan_action ask_send(const struct journey *j, int64_t now_ms, size_t step, size_t contact) {
    struct plan_action action = ask(j, now_ms);
    if (action.kind != PLAN_SEND || action.step != step || action.contact != contact) {
        fail_msg("kind %d step %zu contact %zu: %s", action.kind, action.step, action.contact, action.reason);
    }
    return action;
}

static void expect_wait(const struct journey *j, int64_t now_ms, int64_t at_ms) {
    struct plan_action action = ask(j, now_ms);
    if (action.kind != PLAN_WAIT || action.at_ms != at_ms) {
        fail_msg("kind %d at %lld: %s", action.kind, (long long)action.at_ms, action.reason);
    }
}

static void expect_kind(const struct journey *j, int64_t now_ms, enum plan_kind kind) {
    struct plan_action action = ask(j, now_ms);
    if (action.kind != kind) {
        fail_msg("kind %d: %s", action.kind, action.reason);
    }
}

/* Records an attempt as the worker does. */
static struct plan_try *record(struct journey *j, const struct plan_action *action, enum outcome_kind outcome, int64_t now_ms,
                               int64_t retry_at_ms) {
    char key[17];
    plan_contact_key(j->customer.contacts[action->contact].channel, j->reach.contacts[action->contact].canonical, key);
    struct plan_try *try = NULL;
    for (size_t i = 0; i < j->n_tries && try == NULL; i++) {
        bool same = j->tries[i].step == action->step && strcmp(j->tries[i].contact_key, key) == 0;
        try = same ? &j->tries[i] : NULL;
    }
    if (try == NULL) {
        assert_true(j->n_tries < COUNT_OF(j->tries));
        try = &j->tries[j->n_tries++];
        *try = (struct plan_try){.step = (uint32_t)action->step, .first_at_ms = now_ms, .early_warning = action->early_warning};
        memcpy(try->contact_key, key, sizeof key);
    }
    try->attempts++;
    try->last = outcome;
    try->last_at_ms = now_ms;
    try->retry_at_ms = retry_at_ms;
    try->best = outcome == OUTCOME_SENT && try->best < EVIDENCE_SENT ? EVIDENCE_SENT : try->best;
    return try;
}

static struct plan_try *send(struct journey *j, int64_t now_ms, size_t step, size_t contact, enum outcome_kind outcome,
                             int64_t retry_at_ms) {
    struct plan_action action = ask_send(j, now_ms, step, contact);
    return record(j, &action, outcome, now_ms, retry_at_ms);
}

static const struct contact all_channels[] = {
    {.channel = CHANNEL_EMAIL, .address = "ada@walton.example"},
    {.channel = CHANNEL_EMAIL, .address = "ada@example.org"},
    {.channel = CHANNEL_EMAIL, .address = "ada@example.net"},
    {.channel = CHANNEL_SMS, .address = "+441632960001"},
    {.channel = CHANNEL_PUSH, .address = "token"},
    {.channel = CHANNEL_BANNER, .address = "ada@walton.example"},
};
static const struct contact one_mail[] = {{.channel = CHANNEL_EMAIL, .address = "ada@example.org"}};
static const struct contact one_number[] = {{.channel = CHANNEL_SMS, .address = "+441632960001"}};
static const struct contact only_doomed[] = {
    {.channel = CHANNEL_EMAIL, .address = "ada@walton.example"},
    {.channel = CHANNEL_EMAIL, .address = "Ada+x@walton.example"},
    {.channel = CHANNEL_EMAIL, .address = "ada@alumni.example", .forwards_to = LIST("ada@walton.example")},
    {.channel = CHANNEL_EMAIL, .address = "old@example.org", .status = CONTACT_BOUNCED},
};

static void the_route_is_walked_in_order_and_past_rejections(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, all_channels, COUNT_OF(all_channels));
    (void)send(&j, 0, STEP_EMAIL, 1, OUTCOME_REJECTED, 0);
    (void)send(&j, 1, STEP_EMAIL, 2, OUTCOME_REJECTED, 0);
    (void)send(&j, 2, STEP_SMS, 3, OUTCOME_REJECTED, 0);
    (void)send(&j, 3, STEP_PUSH, 4, OUTCOME_REJECTED, 0);
    struct plan_action action = ask_send(&j, 4, STEP_BANNER, 5);
    assert_false(action.desk_too || action.early_warning);
    (void)record(&j, &action, OUTCOME_REJECTED, 4, 0);
    action = ask(&j, 5);
    assert_int_equal(action.kind, PLAN_STRANDED);
    assert_true(action.exhausted);
}

static void sent_without_a_bounce_for_long_enough_is_reached(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, all_channels, COUNT_OF(all_channels));
    struct plan_try *try = send(&j, 10, STEP_EMAIL, 1, OUTCOME_SENT, 0);
    expect_wait(&j, 10, 110);
    expect_wait(&j, 109, 110);
    struct plan_action action = ask(&j, 110);
    assert_int_equal(action.kind, PLAN_REACHED);
    assert_int_equal(action.step, STEP_EMAIL);
    assert_int_equal(action.contact, 1);
    try->failed_later = true;
    (void)ask_send(&j, 110, STEP_EMAIL, 2);
    (void)ask_send(&j, 60, STEP_EMAIL, 2);
}

static void better_evidence_than_sent_needs_no_wait(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_mail, 1);
    struct plan_try *try = send(&j, 10, STEP_EMAIL, 0, OUTCOME_SENT, 0);
    try->best = EVIDENCE_DELIVERED;
    expect_kind(&j, 11, PLAN_REACHED);
    try->failed_later = true; /* the report was wrong */
    expect_kind(&j, 12, PLAN_STRANDED);
    try->best = EVIDENCE_SEEN; /* but what the customer did stands */
    expect_kind(&j, 13, PLAN_REACHED);
}

static void a_report_that_does_not_come_moves_on_but_still_counts_later(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, all_channels + 3, 2);
    struct plan_try *sms = send(&j, 0, STEP_SMS, 0, OUTCOME_SENT, 0);
    expect_wait(&j, 0, 200);
    expect_wait(&j, 199, 200);
    (void)send(&j, 200, STEP_PUSH, 1, OUTCOME_SENT, 0);
    expect_wait(&j, 201, 250);
    sms->best = EVIDENCE_DELIVERED;
    struct plan_action action = ask(&j, 202);
    assert_int_equal(action.kind, PLAN_REACHED);
    assert_int_equal(action.step, STEP_SMS);
}

static void retries_come_when_due_and_end_by_count(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_mail, 1);
    (void)send(&j, 0, STEP_EMAIL, 0, OUTCOME_RETRY, 40);
    expect_wait(&j, 0, 40);
    expect_wait(&j, 39, 40);
    (void)send(&j, 40, STEP_EMAIL, 0, OUTCOME_RETRY, 90);
    (void)send(&j, 90, STEP_EMAIL, 0, OUTCOME_RETRY, 200);
    struct plan_action action = ask(&j, 91); /* three attempts were allowed: no waiting for a fourth */
    assert_int_equal(action.kind, PLAN_STRANDED);
    assert_true(action.exhausted);
}

static void retries_end_by_time_too(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_mail, 1);
    struct plan_try *try = send(&j, 0, STEP_EMAIL, 0, OUTCOME_RETRY, 999);
    expect_wait(&j, 1, 999);
    (void)ask_send(&j, 999, STEP_EMAIL, 0);
    expect_kind(&j, 1000, PLAN_STRANDED);
    try->retry_at_ms = 1000; /* the next attempt would be too late: no use in waiting for it */
    expect_kind(&j, 1, PLAN_STRANDED);
}

static void an_unknown_outcome_is_left_alone_until_its_time_and_counts_as_an_attempt(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, all_channels + 3, 2);
    (void)send(&j, 0, STEP_SMS, 0, OUTCOME_UNKNOWN, 100);
    expect_wait(&j, 1, 100);
    (void)send(&j, 100, STEP_SMS, 0, OUTCOME_UNKNOWN, 200);
    expect_wait(&j, 199, 200); /* the last attempt is allowed its time */
    struct plan_action action = ask_send(&j, 200, STEP_PUSH, 1);
    (void)record(&j, &action, OUTCOME_REJECTED, 200, 0);
    j.tries[0].best = EVIDENCE_DELIVERED; /* it had gone out after all */
    expect_kind(&j, 201, PLAN_REACHED);
}

static void an_unknown_outcome_alone_is_never_reached(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_mail, 1);
    j.tries[0] = (struct plan_try){.step = 0, .attempts = 3, .last = OUTCOME_UNKNOWN, .first_at_ms = 1, .last_at_ms = 1};
    plan_contact_key(CHANNEL_EMAIL, "ada@example.org", j.tries[0].contact_key);
    j.n_tries = 1;
    expect_kind(&j, 99999, PLAN_STRANDED);
}

static void a_banner_is_waited_for_until_the_notice_expires(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, all_channels, COUNT_OF(all_channels));
    j.reach.verdict = VERDICT_REACHABLE;
    for (size_t i = 0; i < 5; i++) {
        j.reach.contacts[i].survives = j.reach.contacts[i].evidence_counts = j.reach.contacts[i].doomed = false;
    }
    struct plan_try *try = send(&j, 0, STEP_BANNER, 5, OUTCOME_SENT, 0);
    expect_wait(&j, 1, 100000);
    expect_kind(&j, 100000, PLAN_EXPIRED);
    try->best = EVIDENCE_SEEN;
    expect_kind(&j, 100000, PLAN_REACHED); /* evidence before the end is not lost to a late look */
    try->best = EVIDENCE_SENT;
    j.expires_ms = 0;
    expect_wait(&j, 1, 1 + PLAN_LOOK_AGAIN_MS); /* no end: only something new can change this */
}

static void who_has_only_a_banner_gets_it_and_the_desk(void **state) {
    (void)state;
    static const struct route_step lax_steps[] = {{CHANNEL_BANNER, EVIDENCE_SENT, 10, 1, 0}};
    static const struct route lax = {"lax", lax_steps, 1};
    struct journey j;
    journey_start(&j, all_channels + 5, 1);
    j.route = &lax;
    assert_int_equal(j.reach.verdict, VERDICT_PASSIVE);
    assert_true(ask_send(&j, 0, 0, 0).desk_too);
    struct plan_try *try = send(&j, 0, 0, 0, OUTCOME_SENT, 0);
    assert_true(ask(&j, 5).desk_too);
    expect_wait(&j, 5, 10);
    expect_kind(&j, 10, PLAN_STRANDED); /* whatever the route says, a banner that nobody saw is no evidence for them */
    try->best = EVIDENCE_DELIVERED;
    expect_kind(&j, 11, PLAN_STRANDED);
    try->best = EVIDENCE_SEEN;
    expect_kind(&j, 12, PLAN_REACHED);
}

static void the_stranded_get_one_early_warning_per_address_before_the_change(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, only_doomed, COUNT_OF(only_doomed));
    j.effective_ms = 50;
    struct plan_action action = ask_send(&j, 0, STEP_EMAIL, 0);
    assert_true(action.early_warning);
    struct plan_try *try = record(&j, &action, OUTCOME_SENT, 0, 0);
    action = ask_send(&j, 49, STEP_EMAIL, 2); /* the second spelling of the first is not warned again */
    assert_true(action.early_warning);
    expect_kind(&j, 50, PLAN_STRANDED); /* too late for the other */
    (void)record(&j, &action, OUTCOME_RETRY, 49, 60);
    action = ask(&j, 49);
    assert_int_equal(action.kind, PLAN_STRANDED);
    assert_false(action.exhausted);
    try->best = EVIDENCE_ACKNOWLEDGED; /* an early warning is never evidence */
    expect_kind(&j, 49, PLAN_STRANDED);
    expect_kind(&j, 5000, PLAN_STRANDED);
}

static void an_early_warning_is_no_evidence_even_where_the_address_lives_after_all(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_mail, 1);
    j.tries[0] = (struct plan_try){.step = 0, .attempts = 1, .last = OUTCOME_SENT, .best = EVIDENCE_ACKNOWLEDGED, .early_warning = true};
    plan_contact_key(CHANNEL_EMAIL, "ada@example.org", j.tries[0].contact_key);
    j.n_tries = 1;
    assert_false(ask_send(&j, 500, STEP_EMAIL, 0).early_warning);
    assert_int_equal(plan_proven(&j.tries[0], &steps[0], 500), EVIDENCE_NONE);
    assert_null(plan_find_try(&(struct plan_question){&security, &j.customer, &j.reach, j.tries, 1, 0, 0, 500}, 0, 0));
}

static void no_early_warning_once_the_change_is_in_force(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, only_doomed, COUNT_OF(only_doomed));
    expect_kind(&j, 0, PLAN_STRANDED); /* no effective_at: the account is dead already */
    j.effective_ms = 50;
    expect_kind(&j, 50, PLAN_STRANDED);
    expect_kind(&j, 51, PLAN_STRANDED);
    assert_true(ask_send(&j, 49, STEP_EMAIL, 0).early_warning);
}

static void the_reachable_get_no_early_warning(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, all_channels, 2);
    j.effective_ms = 50;
    assert_false(ask_send(&j, 0, STEP_EMAIL, 1).early_warning);
}

static void who_has_only_a_banner_is_warned_early_first(void **state) {
    (void)state;
    const struct contact contacts[] = {all_channels[0], all_channels[5]};
    struct journey j;
    journey_start(&j, contacts, 2);
    j.effective_ms = 50;
    assert_true(ask_send(&j, 0, STEP_EMAIL, 0).early_warning);
    assert_false(ask_send(&j, 50, STEP_BANNER, 1).early_warning);
    struct plan_action action = ask(&j, 0);
    (void)record(&j, &action, OUTCOME_SENT, 0, 0);
    assert_false(ask_send(&j, 1, STEP_BANNER, 1).early_warning);
}

static void a_contact_point_lost_on_the_way_is_neither_used_nor_evidence(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, all_channels + 1, 2);
    struct plan_try *try = send(&j, 0, STEP_EMAIL, 0, OUTCOME_RETRY, 10);
    j.reach.contacts[0].survives = j.reach.contacts[0].evidence_counts = false; /* bounced elsewhere, say */
    (void)ask_send(&j, 10, STEP_EMAIL, 1);
    try->last = OUTCOME_SENT;
    try->best = EVIDENCE_ACKNOWLEDGED;
    (void)ask_send(&j, 10, STEP_EMAIL, 1);
}

static void a_contact_point_that_became_doomed_gets_no_retry_at_the_boundary(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, only_doomed, 1);
    j.effective_ms = 50;
    struct plan_action action = ask_send(&j, 0, STEP_EMAIL, 0);
    struct plan_try *try = record(&j, &action, OUTCOME_RETRY, 0, 10);
    try->early_warning = false; /* as if it had been an ordinary attempt while it still survived */
    for (int64_t now_ms = 50; now_ms < 53; now_ms++) {
        expect_kind(&j, now_ms, PLAN_STRANDED);
    }
}

static void a_changed_contact_point_is_told_and_not_waited_for(void **state) {
    (void)state;
    const struct contact contacts[] = {{.channel = CHANNEL_EMAIL, .address = "new@example.org"},
                                       {.channel = CHANNEL_EMAIL, .address = "old@example.org"}};
    struct journey j;
    journey_start(&j, contacts, 2);
    j.reach.contacts[0].evidence_counts = false;
    struct plan_try *try = send(&j, 0, STEP_EMAIL, 0, OUTCOME_SENT, 0);
    try->best = EVIDENCE_ACKNOWLEDGED;
    (void)send(&j, 0, STEP_EMAIL, 1, OUTCOME_SENT, 0);
    expect_wait(&j, 1, 100);
    struct plan_action action = ask(&j, 100);
    assert_int_equal(action.kind, PLAN_REACHED);
    assert_int_equal(action.contact, 1);
}

static void an_address_listed_twice_is_sent_to_once(void **state) {
    (void)state;
    const struct contact contacts[] = {{.channel = CHANNEL_SMS, .address = "+441632960001"},
                                       {.channel = CHANNEL_SMS, .address = "+441632960001"}};
    struct journey j;
    journey_start(&j, contacts, 2);
    (void)send(&j, 0, STEP_SMS, 0, OUTCOME_REJECTED, 0);
    expect_kind(&j, 1, PLAN_STRANDED);
}

static void an_expired_notice_is_not_sent(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_mail, 1);
    (void)ask_send(&j, 99999, STEP_EMAIL, 0);
    expect_kind(&j, 100000, PLAN_EXPIRED);
    (void)send(&j, 99950, STEP_EMAIL, 0, OUTCOME_SENT, 0);
    expect_wait(&j, 99960, 100000); /* its wait would end at 100050 */
    expect_kind(&j, 100000, PLAN_EXPIRED);
    j.expires_ms = 0;
    expect_kind(&j, 100050, PLAN_REACHED);
}

static void a_route_without_a_step_for_what_survives_ends_at_the_desk(void **state) {
    (void)state;
    static const struct route mail_only = {"mail", steps, 1};
    static const struct route empty = {"empty", NULL, 0};
    struct journey j;
    journey_start(&j, one_number, 1);
    j.route = &mail_only;
    assert_true(ask(&j, 0).exhausted);
    j.route = &empty;
    expect_kind(&j, 0, PLAN_STRANDED);
    struct journey nobody;
    journey_start(&nobody, one_number, 0);
    assert_false(ask(&nobody, 0).exhausted);
}

static void tries_that_belong_to_nothing_are_ignored(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_mail, 1);
    j.tries[0] = (struct plan_try){.step = 77, .best = EVIDENCE_ACKNOWLEDGED, .last = OUTCOME_SENT};
    plan_contact_key(CHANNEL_EMAIL, "ada@example.org", j.tries[0].contact_key);
    j.tries[1] = (struct plan_try){.step = 0, .best = EVIDENCE_ACKNOWLEDGED, .last = OUTCOME_SENT, .contact_key = "0123456789abcdef"};
    j.n_tries = 2;
    (void)ask_send(&j, 0, STEP_EMAIL, 0);
}

static void waits_at_the_end_of_time_do_not_overflow(void **state) {
    (void)state;
    struct journey j;
    journey_start(&j, one_number, 1);
    j.expires_ms = 0;
    j.tries[0] = (struct plan_try){.step = 1, .attempts = 1, .last = OUTCOME_SENT, .best = EVIDENCE_SENT, .last_at_ms = INT64_MAX};
    plan_contact_key(CHANNEL_SMS, "+441632960001", j.tries[0].contact_key);
    j.n_tries = 1;
    expect_wait(&j, INT64_MAX - 1, INT64_MAX);
}

/* A route walked to its end, whatever happens, ends; and never sends twice to the same contact point in a step beyond its attempts. */
static void every_journey_ends(void **state) {
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        struct journey j;
        journey_start(&j, all_channels, COUNT_OF(all_channels));
        int64_t now_ms = 0;
        int actions = 0;
        for (bool over = false; !over; actions++) {
            struct plan_action action = ask(&j, now_ms);
            seed = seed * 1664525 + 1013904223;
            if (action.kind == PLAN_SEND) {
                struct plan_try *try = record(&j, &action, (enum outcome_kind)(seed >> 30), now_ms, now_ms + (seed >> 20) % 300);
                try->failed_later = try->last == OUTCOME_SENT && (seed >> 16) % 3 == 0;
                assert_true(try->attempts <= steps[try->step].attempts_max);
                assert_int_not_equal(action.contact, 0);
            } else if (action.kind == PLAN_WAIT) {
                assert_true(action.at_ms > now_ms);
                now_ms = action.at_ms;
            } else {
                over = true;
            }
            assert_true(actions < 100);
        }
    }
}

/* ---- small things -------------------------------------------------------------------------------------------------- */

static void evidence_has_names(void **state) {
    (void)state;
    for (int e = EVIDENCE_NONE; e <= EVIDENCE_ACKNOWLEDGED; e++) {
        enum evidence found = EVIDENCE_NONE;
        assert_int_equal(evidence_find(evidence_name((enum evidence)e), &found), 1);
        assert_int_equal(found, e);
    }
    enum evidence found;
    assert_int_equal(evidence_find("read", &found), 0);
}

static void the_key_of_a_contact_point_never_changes(void **state) {
    (void)state;
    char key[17];
    plan_contact_key(CHANNEL_EMAIL, "ada@example.org", key);
    assert_string_equal(key, "20e4f2ef609984d3");
    char other[17];
    plan_contact_key(CHANNEL_PUSH, "ada@example.org", other);
    assert_string_not_equal(key, other);
}

static void the_hash_is_the_one_of_the_crypto_library(void **state) {
    (void)state;
    unsigned char key[16] = {0}, data[64], digest[8];
    unsigned size = sizeof digest;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(i * 7);
    }
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    assert_non_null(mac);
    for (size_t len = 0; len <= sizeof data; len++) {
        EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
        OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
        size_t got = 0;
        assert_int_equal(EVP_MAC_init(ctx, key, sizeof key, params), 1);
        assert_int_equal(EVP_MAC_update(ctx, data, len), 1);
        assert_int_equal(EVP_MAC_final(ctx, digest, &got, sizeof digest), 1);
        EVP_MAC_CTX_free(ctx);
        uint64_t expected = 0;
        for (int i = 7; i >= 0; i--) {
            expected = expected << 8 | digest[i];
        }
        assert_true(hash_bytes(data, len) == expected);
    }
    EVP_MAC_free(mac);
}

static void backoff_doubles_is_capped_and_honours_the_gateway(void **state) {
    (void)state;
    const uint32_t most = UINT32_MAX;
    static const struct {
        uint32_t attempts;
        int64_t base_ms, cap_ms, retry_after_ms;
        int64_t longest_ms;
    } cases[] = {
        {0, 1000, 60000, -1, 1000},
        {1, 1000, 60000, -1, 1000},
        {2, 1000, 60000, -1, 2000},
        {5, 1000, 60000, -1, 16000},
        {7, 1000, 60000, -1, 60000},
        {UINT32_MAX, 1000, 60000, -1, 60000},
        {UINT32_MAX, 0, 60000, -1, 0},
        {UINT32_MAX, INT64_MAX, INT64_MAX, -1, 86400000},
        {3, -5, -5, -1, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t longest = plan_backoff_ms(cases[i].attempts, cases[i].base_ms, cases[i].cap_ms, cases[i].retry_after_ms, most);
        assert_true(longest <= cases[i].longest_ms && longest >= cases[i].longest_ms - 1);
        assert_int_equal(plan_backoff_ms(cases[i].attempts, cases[i].base_ms, cases[i].cap_ms, cases[i].retry_after_ms, 0), 0);
    }
    assert_int_equal(plan_backoff_ms(1, 1000, 60000, 0, most), 0);
    assert_int_equal(plan_backoff_ms(1, 1000, 60000, 5000, 0), 5000);
    assert_int_equal(plan_backoff_ms(1, 1000, 60000, INT64_MAX, 0), 86400000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_route_is_walked_in_order_and_past_rejections),
        cmocka_unit_test(sent_without_a_bounce_for_long_enough_is_reached),
        cmocka_unit_test(better_evidence_than_sent_needs_no_wait),
        cmocka_unit_test(a_report_that_does_not_come_moves_on_but_still_counts_later),
        cmocka_unit_test(retries_come_when_due_and_end_by_count),
        cmocka_unit_test(retries_end_by_time_too),
        cmocka_unit_test(an_unknown_outcome_is_left_alone_until_its_time_and_counts_as_an_attempt),
        cmocka_unit_test(an_unknown_outcome_alone_is_never_reached),
        cmocka_unit_test(a_banner_is_waited_for_until_the_notice_expires),
        cmocka_unit_test(who_has_only_a_banner_gets_it_and_the_desk),
        cmocka_unit_test(the_stranded_get_one_early_warning_per_address_before_the_change),
        cmocka_unit_test(an_early_warning_is_no_evidence_even_where_the_address_lives_after_all),
        cmocka_unit_test(no_early_warning_once_the_change_is_in_force),
        cmocka_unit_test(the_reachable_get_no_early_warning),
        cmocka_unit_test(who_has_only_a_banner_is_warned_early_first),
        cmocka_unit_test(a_contact_point_lost_on_the_way_is_neither_used_nor_evidence),
        cmocka_unit_test(a_contact_point_that_became_doomed_gets_no_retry_at_the_boundary),
        cmocka_unit_test(a_changed_contact_point_is_told_and_not_waited_for),
        cmocka_unit_test(an_address_listed_twice_is_sent_to_once),
        cmocka_unit_test(an_expired_notice_is_not_sent),
        cmocka_unit_test(a_route_without_a_step_for_what_survives_ends_at_the_desk),
        cmocka_unit_test(tries_that_belong_to_nothing_are_ignored),
        cmocka_unit_test(waits_at_the_end_of_time_do_not_overflow),
        cmocka_unit_test(every_journey_ends),
        cmocka_unit_test(evidence_has_names),
        cmocka_unit_test(the_key_of_a_contact_point_never_changes),
        cmocka_unit_test(the_hash_is_the_one_of_the_crypto_library),
        cmocka_unit_test(backoff_doubles_is_capped_and_honours_the_gateway),
    };
    return cmocka_run_group_tests_name("plan", tests, setup, teardown);
}
