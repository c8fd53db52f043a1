/* Tests of mailbox.c and idna.c: which spellings are one mailbox, what is refused and how, and that the short way through ASCII
 * gives what ICU gives. */
#include "tests/core/core_kit.h"

#include "dispatcher/core/idna.h"

#include <stdlib.h>

static struct arena arena;
static const struct mailbox_rules *rules;

static int setup(void **state) {
    (void)state;
    rules = kit_rules(&arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_fini(&arena);
    return 0;
}

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define A63 A60 "aaa"
#define A64 A60 "aaaa"

static const struct {
    const char *address, *canonical;
} spellings[] = {
    {"ada@example.org", "ada@example.org"},
    {"ADA@Example.ORG", "ada@example.org"},
    {"ada@example.org.", "ada@example.org"},
    {"ada+shop@example.org", "ada+shop@example.org"}, /* not an own domain: no guess */
    {"a.da@example.org", "a.da@example.org"},
    {"ada@walton.example", "ada@walton.example"},
    {"Ada+Shop@WALTON.example.", "ada@walton.example"},
    {"ada+a+b@walton.co.example", "ada@walton.example"},
    {"ada@mail.walton.example", "ada@walton.example"},
    {"ada@sub.walton.example", "ada@sub.walton.example"}, /* subdomains: false */
    {"a.da@walton.example", "a.da@walton.example"},       /* dots_ignored: false */
    {"a.d.a+x@dots.example", "ada@dots.example"},
    {"a.da+x.y@any.sub.dots.example", "ada@dots.example"},
    {"ada@x.dots.co.example", "ada@dots.example"}, /* below an alias */
    {"a.+x@dots.example", "a@dots.example"},
    {"ada+x@plain.example", "ada+x@plain.example"},
    {"ada@a.b.plain.example", "ada@plain.example"},
    {"ada@notplain.example", "ada@notplain.example"},
    {"ada@b\xc3\xbc"
     "cher.example",
     "ada@xn--bcher-kva.example"},
    {"ada@B\xc3\x9c"
     "CHER.example",
     "ada@xn--bcher-kva.example"},
    {"ada@bu\xcc\x88"
     "cher.example",
     "ada@xn--bcher-kva.example"}, /* decomposed */
    {"ada@xn--bcher-kva.EXAMPLE", "ada@xn--bcher-kva.example"},
    {"ada+tag@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"},
    {"ada@walton\xe3\x80\x82"
     "example",
     "ada@walton.example"}, /* ideographic full stop */
    {"ada@\xef\xbd\x97"
     "alton.example",
     "ada@walton.example"}, /* full-width w */
    {"ada@wal\xc2\xad"
     "ton.example",
     "ada@walton.example"}, /* soft hyphen: IDNA ignores it */
    {"ada@stra\xc3\x9f"
     "e.example",
     "ada@xn--strae-oqa.example"}, /* non-transitional: not strasse */
    {"\xc3\x84"
     "da@example.org",
     "\xc3\xa4"
     "da@example.org"},
    {"A\xcc\x88"
     "da@example.org",
     "\xc3\xa4"
     "da@example.org"},
    {"stra\xc3\x9f"
     "e@example.org",
     "strasse@example.org"}, /* full case folding */
    {"ada@r3---sn.example", "ada@r3---sn.example"},
    {"!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~@example.org"},
    {A64 "@example.org", A64 "@example.org"},
    {"ada@" A63 ".example", "ada@" A63 ".example"},
};

static void spellings_of_one_mailbox_become_one(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(spellings); i++) {
        char out[MAILBOX_MAX], again[MAILBOX_MAX];
        struct err err;
        if (mailbox_canon(rules, spellings[i].address, out, &err) != 0) {
            fail_msg("%s: %s", spellings[i].address, err.text);
        }
        assert_string_equal(out, spellings[i].canonical);
        assert_int_equal(mailbox_canon(rules, out, again, &err), 0);
        assert_string_equal(again, out);
    }
}

static const struct {
    const char *address, *says;
} refusals[] = {
    {"", "empty"},
    {"ada", "no '@'"},
    {"ada.example.org", "no '@'"},
    {"ada\xef\xbc\xa0"
     "example.org",
     "no '@'"}, /* full-width at sign */
    {"@example.org", "nothing before"},
    {"ada@", "nothing after"},
    {"ada@.", "empty part"},
    {"a@b@example.org", "more than one '@'"},
    {"\"ada\"@example.org", "in quotes"},
    {"\"a@b\"@example.org", "in quotes"},
    {"ada@@example.org", "more than one '@'"},
    {".ada@example.org", "begins or ends with a dot"},
    {"ada.@example.org", "begins or ends with a dot"},
    {"a..da@example.org", "two dots in a row"},
    {"a da@example.org", "space"},
    {" ada@example.org", "space"},
    {"ada@example.org ", "space"},
    {"ada@exa mple.org", "space"},
    {"ada\t@example.org", "control"},
    {"ada@example.org\r\nBcc: x@example.org", "control"},
    {"ada\x7f@example.org", "control"},
    {"a(b)da@example.org", "the character '('"},
    {"ada,bob@example.org", "the character ','"},
    {"<ada@example.org>", "the character '<'"},
    {"mailto:ada@example.org", "the character ':'"},
    {"a\\da@example.org", "the character '\\'"},
    {"ada@[192.0.2.1]", "IP address in brackets"},
    {"ada@[IPv6:2001:db8::1]", "IP address in brackets"},
    {"ada@192.0.2.1", "IP address"},
    {"ada@example.0x7f", "IP address"},
    {"ada@localhost", "single word"},
    {"ada@example..org", "empty part"},
    {"ada@.example.org", "empty part"},
    {"ada@example.org..", "empty part"},
    {"ada@-example.org", "hyphen"},
    {"ada@example-.org", "hyphen"},
    {"ada@exa_mple.org", "character that a domain name cannot have"},
    {"ada@exa!mple.org", "character that a domain name cannot have"},
    {"ada@example.org>", "character that a domain name cannot have"},
    {"ada@" A64 ".example", "longer than 63"},
    {"ada@" A63 "." A63 "." A63 "." A63 ".example", "longer than 253"},
    {A64 "a@example.org", "longer than 64"},
    {A64 "@" A63 "." A63 "." A60 ".example", "longer than 254"},
    {"ada@xn--.example", "xn--"},
    {"ada@xn--ada-.example", "xn--"},
    {"ada@xn--99999999999.example", "xn--"},
    {"ada@xn--\xc3\xbc.example", "xn--"},
    {"ada@\xcc\x88"
     "ada.example",
     "combining mark"},
    {"ada@\xd7\x90"
     "a.example",
     "right-to-left"},
    {"ada@a\xe2\x80\x8d"
     "b.example",
     "joiner"},
    {"ada@\xed\xa0\x80.example", "UTF-8"}, /* a surrogate */
    {"ada\xff@example.org", "UTF-8"},
    {"ada@exampl\xc3", "UTF-8"},                  /* truncated */
    {"ada\xe2\x80\x8b@example.org", "invisible"}, /* zero width space */
    // NOLINTNEXTLINE(misc-misleading-bidirectional): it is the point of the case
    {"ada\xe2\x80\xae@example.org", "invisible"}, /* right-to-left override */
    {"ada\xc2\xa0@example.org", "invisible"},     /* no-break space */
    {"ada\xc2\x85@example.org", "invisible"},     /* a C1 control */
    {"ada\xef\xb8\x8f@example.org", "invisible"}, /* variation selector */
    {"ada\xcd\x8f@example.org", "invisible"},     /* combining grapheme joiner */
    {"+tag@walton.example", "before the '+'"},
    {"ada.+tag@walton.example", "before the '+'"},
};

static void what_cannot_be_an_address_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        char out[MAILBOX_MAX];
        struct err err;
        err_clear(&err);
        if (mailbox_canon(rules, refusals[i].address, out, &err) != -1) {
            fail_msg("accepted: %s -> %s", refusals[i].address, out);
        }
        if (strstr(err.text, refusals[i].says) == NULL) {
            fail_msg("%s: \"%s\" does not say \"%s\"", refusals[i].address, err.text, refusals[i].says);
        }
        assert_null(strstr(err.text, "example.org"));
    }
}

static void an_endless_address_is_refused(void **state) {
    (void)state;
    size_t len = (size_t)10 << 20;
    char *address = malloc(len + 1), out[MAILBOX_MAX];
    struct err err;
    assert_non_null(address);
    memset(address, 'a', len);
    address[len] = '\0';
    assert_int_equal(mailbox_canon(rules, address, out, &err), -1);
    address[len / 2] = '@';
    assert_int_equal(mailbox_canon(rules, address, out, &err), -1);
    assert_int_equal(mailbox_canon_domain(rules, address, out, &err), -1);
    assert_int_equal(mailbox_wire(address, out, &err), -1);
    free(address);
}

static void a_domain_of_exactly_253_bytes_is_taken(void **state) {
    (void)state;
    char domain[300], out[MAILBOX_MAX];
    struct err err;
    (void)snprintf(domain, sizeof domain, "%s.%s.%s.%.61s", A63, A63, A63, A63);
    assert_int_equal(strlen(domain), 253);
    assert_int_equal(mailbox_canon_domain(rules, domain, out, &err), 0);
    (void)strcat(domain, ".");
    assert_int_equal(mailbox_canon_domain(rules, domain, out, &err), 0);
    (void)snprintf(domain, sizeof domain, "%s.%s.%s.%.62s", A63, A63, A63, A63);
    assert_int_equal(mailbox_canon_domain(rules, domain, out, &err), -1);
}

static void domains_are_compared_by_their_main_name(void **state) {
    (void)state;
    static const struct {
        const char *domain, *canonical;
    } cases[] = {
        {"Example.ORG", "example.org"},
        {"mail.WALTON.example.", "walton.example"},
        {"x.y.dots.co.example", "dots.example"},
        {"B\xc3\x9c"
         "CHER.example",
         "xn--bcher-kva.example"},
        {"ada@walton.example", NULL},
        {"", NULL},
        {"walton", NULL},
        {"wal ton.example", NULL},
        {"*.example", NULL},
        {"192.0.2.1", NULL},
        {"walton.example\n", NULL},
        {"\xff.example", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[MAILBOX_MAX];
        struct err err;
        int rc = mailbox_canon_domain(rules, cases[i].domain, out, &err);
        assert_int_equal(rc, cases[i].canonical == NULL ? -1 : 0);
        if (rc == 0) {
            assert_string_equal(out, cases[i].canonical);
        }
    }
}

static void the_wire_form_keeps_the_local_part(void **state) {
    (void)state;
    char out[MAILBOX_MAX];
    struct err err;
    assert_int_equal(mailbox_wire("A.da+Shop@B\xc3\xbc"
                                  "cher.Example.",
                                  out, &err),
                     0);
    assert_string_equal(out, "A.da+Shop@xn--bcher-kva.example");
    assert_int_equal(mailbox_wire("Ada@mail.walton.example", out, &err), 0);
    assert_string_equal(out, "Ada@mail.walton.example");
    assert_int_equal(mailbox_wire("\xc3\xa4"
                                  "da@example.org",
                                  out, &err),
                     -1);
    assert_non_null(strstr(err.text, "SMTPUTF8"));
    assert_int_equal(mailbox_wire("ada@example.org\r\n", out, &err), -1);
}

static void numbers_are_e164_or_refused(void **state) {
    (void)state;
    static const char *const good[] = {"+1234567", "+441632960001", "+123456789012345"};
    static const struct {
        const char *number, *says;
    } bad[] = {
        {"", "'+'"},
        {"441632960001", "'+'"},
        {"00441632960001", "'+'"},
        {"+", "too few"},
        {"+123456", "few"},
        {"+1234567890123456", "many"},
        {"+0441632960", "zero"},
        {"+44 1632 960001", "digits"},
        {"+44(0)1632", "digits"},
        {"+4416x", "digits"},
        {"++441632960001", "digits"},
        {"+44163296\xd9\xa1\xd9\xa2", "digits"}, /* Arabic-Indic digits */
    };
    struct err err;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(phone_check(good[i], &err), 0);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(phone_check(bad[i].number, &err), -1);
        if (strstr(err.text, bad[i].says) == NULL) {
            fail_msg("%s: %s", bad[i].number, err.text);
        }
    }
}

static void own_domains_named_twice_or_wrongly_are_refused(void **state) {
    (void)state;
    static const char *alias_of_itself[] = {"A.example"}, *alias_taken[] = {"b.example"}, *alias_wrong[] = {"c.example", "c_d.example"};
    static const struct own_domain twice[] = {{"a.example", {NULL, 0}, false, false, false},
                                              {"A.EXAMPLE.", {NULL, 0}, false, false, false}};
    static const struct own_domain itself[] = {{"a.example", {alias_of_itself, 1}, false, false, false}};
    static const struct own_domain taken[] = {{"a.example", {alias_taken, 1}, false, false, false},
                                              {"b.example", {NULL, 0}, false, false, false}};
    static const struct own_domain wrong[] = {{"a.example", {alias_wrong, 2}, false, false, false}};
    struct err err;
    assert_null(mailbox_rules_new(twice, 2, &arena, &err));
    assert_non_null(strstr(err.text, "own_domains[1].domain"));
    assert_null(mailbox_rules_new(itself, 1, &arena, &err));
    assert_null(mailbox_rules_new(taken, 2, &arena, &err));
    assert_null(mailbox_rules_new(wrong, 1, &arena, &err));
    assert_non_null(strstr(err.text, "own_domains[0].aliases[1]"));
    assert_non_null(mailbox_rules_new(NULL, 0, &arena, &err));
}

static void an_own_subdomain_named_for_itself_is_itself(void **state) {
    (void)state;
    static const struct own_domain own[] = {{"walton.example", {NULL, 0}, true, true, false},
                                            {"shop.walton.example", {NULL, 0}, false, false, false}};
    struct err err;
    char out[MAILBOX_MAX];
    const struct mailbox_rules *mine = mailbox_rules_new(own, 2, &arena, &err);
    assert_non_null(mine);
    assert_int_equal(mailbox_canon(mine, "ada@shop.walton.example", out, &err), 0);
    assert_string_equal(out, "ada@shop.walton.example");
    assert_int_equal(mailbox_canon(mine, "ada@x.shop.walton.example", out, &err), 0);
    assert_string_equal(out, "ada@walton.example");
}

static uint64_t random_state = 1;

static uint32_t next_random(void) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33);
}

static void ascii_without_icu_gives_what_icu_gives(void **state) {
    (void)state;
    static const char letters[] = "abcXYZ019-.-.xn--_ \xc3\xbc";
    for (int round = 0; round < 200000; round++) {
        char domain[DOMAIN_MAX], quick[DOMAIN_MAX], icu[DOMAIN_MAX];
        size_t len = next_random() % (round % 50 == 0 ? DOMAIN_MAX - 1 : 14);
        for (size_t i = 0; i < len; i++) {
            domain[i] = letters[next_random() % (sizeof letters - (round % 10 == 0 ? 3 : 5))];
        }
        domain[len] = '\0';
        struct err quick_err, icu_err;
        err_clear(&quick_err);
        err_clear(&icu_err);
        int a = idna_to_ascii(domain, len, quick, &quick_err), b = idna_to_ascii_icu(domain, len, icu, &icu_err);
        if (a != b || strcmp(quick_err.text, icu_err.text) != 0 || (a == 0 && strcmp(quick, icu) != 0)) {
            fail_msg("%s: %d %s, by ICU %d %s", domain, a, a == 0 ? quick : quick_err.text, b, b == 0 ? icu : icu_err.text);
        }
    }
}

/* Every code point of Unicode as a local part: refused, or its canonical form is its own. */
static void the_canonical_form_of_any_character_is_stable(void **state) {
    (void)state;
    size_t taken = 0;
    for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
        char address[32], once[MAILBOX_MAX], twice[MAILBOX_MAX];
        struct err err;
        int n = c < 0x800     ? snprintf(address, sizeof address, "a%c%c@example.org", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 63)))
                : c < 0x10000 ? snprintf(address, sizeof address, "a%c%c%c@example.org", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 63)),
                                         (int)(0x80 | (c & 63)))
                              : snprintf(address, sizeof address, "a%c%c%c%c@example.org", (int)(0xf0 | c >> 18),
                                         (int)(0x80 | (c >> 12 & 63)), (int)(0x80 | (c >> 6 & 63)), (int)(0x80 | (c & 63)));
        assert_true(n > 0);
        if (mailbox_canon(rules, address, once, &err) == 0) {
            taken++;
            if (mailbox_canon(rules, once, twice, &err) != 0 || strcmp(once, twice) != 0) {
                fail_msg("U+%04X: %s, then %s", c, once, twice);
            }
        }
    }
    assert_true(taken > 100000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_of_one_mailbox_become_one),
        cmocka_unit_test(what_cannot_be_an_address_is_refused_by_name),
        cmocka_unit_test(an_endless_address_is_refused),
        cmocka_unit_test(a_domain_of_exactly_253_bytes_is_taken),
        cmocka_unit_test(domains_are_compared_by_their_main_name),
        cmocka_unit_test(the_wire_form_keeps_the_local_part),
        cmocka_unit_test(numbers_are_e164_or_refused),
        cmocka_unit_test(own_domains_named_twice_or_wrongly_are_refused),
        cmocka_unit_test(an_own_subdomain_named_for_itself_is_itself),
        cmocka_unit_test(ascii_without_icu_gives_what_icu_gives),
        cmocka_unit_test(the_canonical_form_of_any_character_is_stable),
    };
    return cmocka_run_group_tests_name("mailbox", tests, setup, teardown);
}
