/* The core against a second implementation, on random customers.
 *
 * A customer is drawn as numbers: mailbox 7, number 2, token 1. The second implementation works on those numbers alone, with loops
 * that run until nothing changes: slow, and obvious. Only then are the addresses written out for reach_decide(), every time in another
 * spelling (case, tags, dots, aliases, subdomains, U-labels and A-labels, several scripts, look-alikes that are other mailboxes).
 * So the two share neither an algorithm nor an idea of how addresses are compared.
 *
 *   REACH_SEED=n  other random numbers      REACH_ROUNDS=n  other than 100,000 customers */
#include "tests/core/core_kit.h"

#include <stdlib.h>

/* ---- random numbers ------------------------------------------------------------------------------------------------ */

static uint64_t seed;

static uint32_t pick(uint32_t n) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)((seed >> 33) % n);
}

static bool chance(uint32_t percent) {
    return pick(100) < percent;
}

/* ---- the world of addresses ---------------------------------------------------------------------------------------- */

/* Spellings of one local part; the first is a mailbox name of its own, none is the name of another row. */
static const char *const locals[][4] = {
    {"ada", "ADA", "Ada", "aDa"},
    {"bob", "Bob", "BOB", "bOb"},
    {"\xd0\xb0"
     "da",
     "\xd0\x90"
     "da",
     "\xd0\xb0"
     "DA",
     "\xd0\x90"
     "Da"},                                                    /* Cyrillic a: looks like the first */
    {"zo\xc3\xab", "zoe\xcc\x88", "ZO\xc3\x8b", "Zo\xc3\xab"}, /* composed and decomposed */
    {"\xce\xb1\xce\xb4\xce\xb1", "\xce\x91\xce\x94\xce\x91", "\xce\x91\xce\xb4\xce\xb1", "\xce\xb1\xce\x94\xce\x91"}, /* Greek */
    {"strasse",
     "stra\xc3\x9f"
     "e",
     "STRASSE",
     "Stra\xe1\xba\x9e"
     "e"},
};
enum { LOCALS = COUNT_OF(locals) };

struct domain_row {
    const char *spellings[6];
    bool tags, dots; /* as kit_rules() has it */
};

static const struct domain_row domains[] = {
    {{"walton.example", "WALTON.example", "walton.co.example", "mail.walton.example.", "\357\275\227alton.example", "Walton.Co.Example"},
     true,
     false},
    {{"dots.example", "a.dots.example", "x.Y.dots.co.example", "Dots.co.example", "DOTS.example.", "sub.dots.example"}, true, true},
    {{"b\xc3\xbc"
      "cher.example",
      "xn--bcher-kva.example",
      "B\xc3\x9c"
      "CHER.example",
      "bu\xcc\x88"
      "cher.example",
      "XN--BCHER-KVA.example",
      "b\xc3\xbc"
      "cher\xe3\x80\x82"
      "example"},
     true,
     false},
    {{"example.org", "Example.ORG", "example.org.", "EXAMPLE.org",
      "exam\xc2\xad"
      "ple.org",
      "example\xef\xbc\x8e"
      "org"},
     false,
     false},
    {{"\xd0\xbf\xd1\x80.example", "xn--o1ac.example", "\xd0\x9f\xd1\x80.example", "\xd0\xbf\xd0\xa0.example", "\xd0\x9f\xd0\xa0.example.",
      "XN--o1ac.example"},
     false,
     false},
    {{"sub.walton.example", "Sub.walton.example", "SUB.WALTON.EXAMPLE", "sub.walton.example.", "sub.Walton.example", "sUb.walton.example"},
     false,
     false}, /* an own domain without `subdomains`: another one */
};
enum { DOMAINS = COUNT_OF(domains) };

enum { MAILBOXES = LOCALS * DOMAINS, NUMBERS = 3, TOKENS = 3, LOGINS = 2 };
enum { NUMBER_0 = MAILBOXES, TOKEN_0 = NUMBER_0 + NUMBERS, LOGIN_0 = TOKEN_0 + TOKENS, IDS = LOGIN_0 + LOGINS };

static int domain_of(int id) {
    return id < MAILBOXES ? id / LOCALS : -1;
}

static const char *spell(int id, struct arena *arena) {
    if (id >= NUMBER_0) {
        static const char *const others[] = {"+441632960001", "+441632960002", "+4930123456", "token-a",
                                             "token-A",       "token-b",       "ada",         "ada@walton.example"};
        return others[id - NUMBER_0];
    }
    const struct domain_row *domain = &domains[domain_of(id)];
    const char *local = locals[id % LOCALS][pick(4)];
    bool ascii = (local[0] & 0x80) == 0 && (local[1] & 0x80) == 0;
    const char *dot = domain->dots && ascii && chance(40) ? "." : "";
    const char *tag = domain->tags && chance(30) ? "+x.y" : "";
    return arena_printf(arena, "%.1s%s%s%s@%s", local, dot, local + 1, tag, domain->spellings[pick(6)]);
}

/* ---- a customer in numbers ----------------------------------------------------------------------------------------- */

enum { POINTS_MAX = 40, TARGETS_MAX = 3 };

struct point {
    int id;
    enum contact_status status;
    bool changed;
    const char *gateway;
    int depends[TARGETS_MAX], forwards[TARGETS_MAX];
    size_t n_depends, n_forwards;
    bool alive, doomed; /* what the slow way finds */
};

struct drawn {
    struct point points[POINTS_MAX];
    size_t n;
    bool doomed[IDS];
    bool doomed_domain[DOMAINS];
    int pool[10]; /* the few addresses of this customer, so that they meet */
    size_t n_pool;
};

static enum channel_id channel_of(int id) {
    return id < NUMBER_0 ? CHANNEL_EMAIL : id < TOKEN_0 ? CHANNEL_SMS : id < LOGIN_0 ? CHANNEL_PUSH : CHANNEL_BANNER;
}

/* A target may be anything but a login whose name reads as a mailbox, or a token or login that is not on file. */
static int draw_target(const struct drawn *drawn) {
    for (;;) {
        int id = drawn->pool[pick((uint32_t)drawn->n_pool)];
        bool on_file = id < TOKEN_0;
        for (size_t i = 0; i < drawn->n; i++) {
            on_file |= drawn->points[i].id == id;
        }
        if (on_file && id != IDS - 1) {
            return id;
        }
        if (chance(10)) {
            return (int)pick(MAILBOXES);
        }
    }
}

static void draw(struct drawn *drawn) {
    static const enum contact_status statuses[] = {CONTACT_UNVERIFIED, CONTACT_BOUNCED, CONTACT_BLOCKED, CONTACT_WITHDRAWN};
    static const char *const gateways[] = {NULL, NULL, "g1", "g2"};
    *drawn = (struct drawn){.n_pool = 2 + pick(8), .n = pick(100) == 0 ? pick(POINTS_MAX + 1) : pick(8)};
    for (size_t i = 0; i < drawn->n_pool; i++) {
        drawn->pool[i] = (int)(chance(65) ? pick(MAILBOXES) : NUMBER_0 + pick(IDS - NUMBER_0));
        drawn->doomed[drawn->pool[i]] = drawn->pool[i] < TOKEN_0 && chance(30);
    }
    if (chance(30)) {
        drawn->doomed_domain[pick(DOMAINS)] = true;
    }
    for (size_t i = 0; i < drawn->n; i++) {
        struct point *p = &drawn->points[i];
        p->id = drawn->pool[pick((uint32_t)drawn->n_pool)];
        p->status = chance(80) ? CONTACT_ACTIVE : statuses[pick(4)];
        p->changed = chance(10);
        p->gateway = gateways[pick(4)];
    }
    uint32_t tangle = pick(60);
    for (size_t i = 0; i < drawn->n; i++) {
        struct point *p = &drawn->points[i];
        for (p->n_depends = 0; p->n_depends < TARGETS_MAX && chance(tangle / 2); p->n_depends++) {
            p->depends[p->n_depends] = draw_target(drawn);
        }
        for (p->n_forwards = 0; p->n_forwards < TARGETS_MAX && chance(tangle); p->n_forwards++) {
            p->forwards[p->n_forwards] = draw_target(drawn);
        }
    }
}

/* ---- the slow way -------------------------------------------------------------------------------------------------- */

static bool dies(const struct drawn *drawn, int id) {
    return drawn->doomed[id] || (domain_of(id) >= 0 && drawn->doomed_domain[domain_of(id)]);
}

static bool on_file(const struct drawn *drawn, int id) {
    for (size_t i = 0; i < drawn->n; i++) {
        if (drawn->points[i].id == id) {
            return true;
        }
    }
    return false;
}

static bool target_lives(const struct drawn *drawn, const bool *alive, int id, bool after) {
    return on_file(drawn, id) ? alive[id] : !(after && dies(drawn, id));
}

/* Whether everything that one entry says allows its address to live. */
static bool entry_allows(const struct drawn *drawn, const struct point *p, const bool *alive, bool after) {
    if (p->status != CONTACT_ACTIVE && p->status != CONTACT_UNVERIFIED) {
        return false;
    }
    for (size_t k = 0; k < p->n_depends; k++) {
        if (!target_lives(drawn, alive, p->depends[k], after)) {
            return false;
        }
    }
    bool led = p->n_forwards == 0;
    for (size_t k = 0; k < p->n_forwards; k++) {
        led = led || target_lives(drawn, alive, p->forwards[k], after);
    }
    return led;
}

static bool address_lives(const struct drawn *drawn, int id, const bool *alive, bool after) {
    if (after && dies(drawn, id)) {
        return false;
    }
    for (size_t i = 0; i < drawn->n; i++) {
        if (drawn->points[i].id == id && !entry_allows(drawn, &drawn->points[i], alive, after)) {
            return false;
        }
    }
    return true;
}

/* Nothing lives; then whatever may live given what lives already, lives; until nothing changes. */
static void least_fixed_point(const struct drawn *drawn, bool *alive, bool after) {
    memset(alive, 0, IDS * sizeof *alive);
    for (bool changed = true; changed;) {
        changed = false;
        for (int id = 0; id < IDS; id++) {
            if (!alive[id] && on_file(drawn, id) && address_lives(drawn, id, alive, after)) {
                alive[id] = changed = true;
            }
        }
    }
}

static bool any_entry(const struct drawn *drawn, int id, bool (*test)(const struct point *)) {
    for (size_t i = 0; i < drawn->n; i++) {
        if (drawn->points[i].id == id && test(&drawn->points[i])) {
            return true;
        }
    }
    return false;
}

static bool is_unverified(const struct point *p) {
    return p->status == CONTACT_UNVERIFIED;
}

static bool is_changed(const struct point *p) {
    return p->changed;
}

static bool is_weak(const struct drawn *drawn, int id) {
    return any_entry(drawn, id, is_unverified) || any_entry(drawn, id, is_changed);
}

static enum verdict slow_verdict(const struct drawn *drawn) {
    bool strong = false, weak = false, passive = false;
    for (size_t i = 0; i < drawn->n; i++) {
        const struct point *p = &drawn->points[i];
        bool banner = channel_of(p->id) == CHANNEL_BANNER;
        strong |= p->alive && !banner && !is_weak(drawn, p->id);
        weak |= p->alive && !banner;
        passive |= p->alive;
    }
    return strong ? VERDICT_REACHABLE : weak ? VERDICT_WEAK : passive ? VERDICT_PASSIVE : VERDICT_STRANDED;
}

/* Every pair of surviving routes shares the same one thing. */
static bool slow_single_route(const struct drawn *drawn) {
    size_t routes = 0;
    bool address = true, domain = true, gateway = true;
    for (size_t i = 0; i < drawn->n; i++) {
        const struct point *a = &drawn->points[i];
        if (!a->alive || channel_of(a->id) == CHANNEL_BANNER) {
            continue;
        }
        routes++;
        for (size_t k = 0; k < drawn->n; k++) {
            const struct point *b = &drawn->points[k];
            if (!b->alive || channel_of(b->id) == CHANNEL_BANNER) {
                continue;
            }
            address &= a->id == b->id;
            domain &= domain_of(a->id) >= 0 && domain_of(a->id) == domain_of(b->id);
            gateway &= a->gateway != NULL && b->gateway != NULL && strcmp(a->gateway, b->gateway) == 0;
        }
    }
    return routes > 0 && (address || domain || gateway);
}

static void solve_slowly(struct drawn *drawn) {
    bool after[IDS], before[IDS];
    least_fixed_point(drawn, after, true);
    least_fixed_point(drawn, before, false);
    for (size_t i = 0; i < drawn->n; i++) {
        drawn->points[i].alive = after[drawn->points[i].id];
        drawn->points[i].doomed = before[drawn->points[i].id] && !after[drawn->points[i].id];
    }
}

/* ---- the same customer in writing ---------------------------------------------------------------------------------- */

static struct address_list write_list(const int *ids, size_t n, struct arena *arena) {
    struct address_list list = {arena_array(arena, n, sizeof *list.items), n};
    for (size_t i = 0; i < n; i++) {
        list.items[i] = spell(ids[i], arena);
    }
    return list;
}

/* Mail goes only to addresses that are ASCII before the '@'. */
static bool is_sendable(const struct contact *contact) {
    size_t local = contact->channel == CHANNEL_EMAIL ? strcspn(contact->address, "@") : 0;
    for (size_t i = 0; i < local; i++) {
        if ((unsigned char)contact->address[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* Writes the contact points; what turns out not to be sendable is no way to the customer, whatever hangs on it. */
static struct contact *write_contacts(struct drawn *drawn, struct arena *arena) {
    struct contact *contacts = arena_array(arena, drawn->n, sizeof *contacts);
    for (size_t i = 0; i < drawn->n; i++) {
        struct point *p = &drawn->points[i];
        contacts[i] = (struct contact){.channel = channel_of(p->id),
                                       .status = p->status,
                                       .address = spell(p->id, arena),
                                       .gateway = p->gateway,
                                       .changed_at_ms = p->changed ? 2000 : 1000,
                                       .depends_on = write_list(p->depends, p->n_depends, arena),
                                       .forwards_to = write_list(p->forwards, p->n_forwards, arena)};
        p->alive = p->alive && is_sendable(&contacts[i]);
        p->doomed = p->doomed && is_sendable(&contacts[i]);
    }
    return contacts;
}

static const struct doomed_set *write_doomed(const struct drawn *drawn, const struct mailbox_rules *rules, struct arena *arena) {
    const char *accounts[IDS], *names[DOMAINS];
    size_t n_accounts = 0, n_names = 0;
    for (int id = 0; id < IDS; id++) {
        if (drawn->doomed[id]) {
            accounts[n_accounts++] = spell(id, arena);
        }
    }
    for (int d = 0; d < DOMAINS; d++) {
        if (drawn->doomed_domain[d]) {
            names[n_names++] = domains[d].spellings[pick(6)];
        }
    }
    return kit_doomed_list(rules, (struct address_list){accounts, n_accounts}, (struct address_list){names, n_names}, arena);
}

static void compare(const struct drawn *drawn, const struct contact *contacts, const struct reach_answer *answer, uint64_t started) {
    for (size_t i = 0; i < drawn->n; i++) {
        const struct point *p = &drawn->points[i];
        const struct reach_contact *c = &answer->contacts[i];
        bool weak = p->alive && is_weak(drawn, p->id);
        bool counts = p->alive && !any_entry(drawn, p->id, is_changed);
        size_t first = 0;
        while (drawn->points[first].id != p->id) {
            first++;
        }
        if (c->survives != p->alive || c->weak != weak || c->evidence_counts != counts || c->doomed != p->doomed || c->first != first) {
            fail_msg("REACH_SEED=%llu: contact point %zu (%s): survives %d/%d weak %d/%d counts %d/%d doomed %d/%d first %zu/%zu: %s",
                     (unsigned long long)started, i, contacts[i].address, c->survives, p->alive, c->weak, weak, c->evidence_counts, counts,
                     c->doomed, p->doomed, c->first, first, c->reason);
        }
        if (c->reason[0] == '\0' || c->reason_masked[0] == '\0' || (!p->alive && strstr(c->reason, "it survives") != NULL)) {
            fail_msg("REACH_SEED=%llu: contact point %zu: reason \"%s\"", (unsigned long long)started, i, c->reason);
        }
    }
    if (answer->verdict != slow_verdict(drawn) || answer->single_route != slow_single_route(drawn)) {
        fail_msg("REACH_SEED=%llu: %s/%s, single route %d/%d", (unsigned long long)started, verdict_name(answer->verdict),
                 verdict_name(slow_verdict(drawn)), answer->single_route, slow_single_route(drawn));
    }
}

/* ---- the test ------------------------------------------------------------------------------------------------------ */

static void the_core_answers_what_the_slow_way_answers(void **state) {
    (void)state;
    const char *given = getenv("REACH_SEED"), *count = getenv("REACH_ROUNDS");
    unsigned long rounds = count == NULL ? 100000 : strtoul(count, NULL, 10);
    struct arena lasting = ARENA_INIT, arena = ARENA_INIT;
    const struct mailbox_rules *rules = kit_rules(&lasting);
    size_t verdicts[4] = {0}, circles = 0;
    seed = given == NULL ? 20261121 : strtoull(given, NULL, 10);
    for (unsigned long round = 0; round < rounds; round++) {
        uint64_t started = seed;
        struct drawn drawn;
        struct reach_answer answer;
        struct err err;
        draw(&drawn);
        solve_slowly(&drawn);
        const struct contact *contacts = write_contacts(&drawn, &arena);
        const struct customer customer = {.id = "C", .contacts = contacts, .n_contacts = drawn.n};
        const struct reach_question question = {
            .rules = rules, .doomed = write_doomed(&drawn, rules, &arena), .customer = &customer, .suspect_since_ms = 1500};
        if (reach_decide(&question, &arena, &answer, &err) != 0) {
            fail_msg("REACH_SEED=%llu: %s: %s", (unsigned long long)started, err.member, err.text);
        }
        compare(&drawn, contacts, &answer, started);
        verdicts[answer.verdict]++;
        for (size_t i = 0; i < drawn.n; i++) {
            circles += strstr(answer.contacts[i].reason, "circle") != NULL;
        }
        arena_reset(&arena);
    }
    /* The draw must not have become dull: every verdict is common, and there are circles. */
    for (size_t v = 0; v < COUNT_OF(verdicts); v++) {
        assert_true(verdicts[v] >= rounds / 100);
    }
    assert_true(circles >= rounds / 1000);
    arena_fini(&arena);
    arena_fini(&lasting);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_core_answers_what_the_slow_way_answers),
    };
    return cmocka_run_group_tests_name("reach, at random", tests, NULL, NULL);
}
