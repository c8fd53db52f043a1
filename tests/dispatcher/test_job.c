/* job_parse: what is taken, and that everything else is answered with the member at fault. */
#include "base/buf.h"
#include "dispatcher/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct place {
    struct arena arena;
    const struct mailbox_rules *rules;
};

static const char *const aliases[] = {"mail.walton.example"};

static int setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    const char **items = arena_array(&place->arena, 1, sizeof *items);
    items[0] = aliases[0];
    struct own_domain own = {.domain = "walton.example", .aliases = {items, 1}, .plus_addressing = true};
    struct err err;
    place->rules = mailbox_rules_new(&own, 1, &place->arena, &err);
    assert_non_null(place->rules);
    *state = place;
    return 0;
}

static int teardown(void **state) {
    struct place *place = *state;
    arena_fini(&place->arena);
    free(place);
    return 0;
}

#define HEAD "{\"v\":1,\"type\":\"notice\",\"id\":\"n1\",\"notice\":\"mail-password-disabled\","
#define WHO "\"customer\":{\"id\":\"C1\",\"contacts\":[{\"channel\":\"email\",\"address\":\"ada@example.org\"}]}"
#define CONTACT(members) HEAD "\"customer\":{\"id\":\"C1\",\"contacts\":[{" members "}]}}"

static void a_whole_job_is_read(void **state) {
    struct place *place = *state;
    static const char text[] =
        HEAD "\"customer\":{\"id\":\"C1\",\"locale\":\"en-GB\",\"name\":\"Ada\",\"contacts\":["
             "{\"channel\":\"email\",\"address\":\"ada@alumni.example\",\"forwards_to\":[\"ada@walton.example\"]},"
             "{\"channel\":\"sms\",\"address\":\"+441632960001\",\"verified_at\":\"2026-01-02T03:04:05Z\",\"status\":\"unverified\"},"
             "{\"channel\":\"push\",\"address\":\"tok\",\"gateway\":\"fcm\",\"depends_on\":[\"ada@walton.example\"]},"
             "{\"channel\":\"banner\",\"address\":\"ada@walton.example\"}]},"
             "\"disables\":{\"accounts\":[\"ada@walton.example\"]},\"effective_at\":\"2026-12-23T18:00:00Z\","
             "\"expires_at\":\"2027-01-31T00:00:00Z\",\"promise\":\"PT30M\",\"route\":\"security\",\"data\":{\"reset_url\":\"x\"}}";
    struct job_document document;
    struct err err;
    const char *id = NULL;
    assert_int_equal(job_parse(text, strlen(text), place->rules, &place->arena, &document, &id, &err), 0);
    const struct job *job = &document.job;
    assert_int_equal(document.type, JOB_NOTICE);
    assert_string_equal(id, "n1");
    assert_string_equal(job->customer.locale, "en-GB");
    assert_int_equal(job->customer.n_contacts, 4);
    assert_false(job->customer_by_id);
    assert_string_equal(job->customer.contacts[0].forwards_to.items[0], "ada@walton.example");
    assert_int_equal(job->customer.contacts[1].status, CONTACT_UNVERIFIED);
    assert_string_equal(job->customer.contacts[2].gateway, "fcm");
    assert_int_equal(job->promise_ms, 30 * 60 * 1000);
    assert_true(job->effective_at_ms == INT64_C(1798048800000));
    assert_string_equal(job->disables.accounts.items[0], "ada@walton.example");
    job_document_fini(&document);
}

static const struct bad_case {
    const char *name;
    const char *text;
    const char *member; /* expected */
    const char *reason; /* part of the text */
} bad_cases[] = {
    {"not JSON", "{\"v\":1,", "", "not valid JSON"},
    {"an array", "[]", "", "must be an object"},
    {"trailing text", "{} x", "", "not valid JSON"},
    {"doubled member", "{\"v\":1,\"v\":1}", "", "not valid JSON"},
    {"NUL inside", "{\"v\":1,\"id\":\"a\\u0000b\"}", "", "not valid JSON"},
    {"no version", "{\"type\":\"notice\",\"id\":\"n1\"}", "v", "missing"},
    {"other version", "{\"v\":2,\"type\":\"notice\",\"id\":\"n1\"}", "v", "from 1 to 1"},
    {"version as text", "{\"v\":\"1\",\"type\":\"notice\",\"id\":\"n1\"}", "v", "integer"},
    {"no type", "{\"v\":1,\"id\":\"n1\"}", "type", "missing"},
    {"unknown type", "{\"v\":1,\"type\":\"notify\",\"id\":\"n1\"}", "type", "must be notice"},
    {"no id", "{\"v\":1,\"type\":\"notice\",\"notice\":\"x\"," WHO "}", "id", "missing"},
    {"blank in id", "{\"v\":1,\"type\":\"notice\",\"id\":\"a b\",\"notice\":\"x\"," WHO "}", "id", "1 to 128 characters"},
    {"unknown member", HEAD WHO ",\"custmer\":1}", "custmer", "unknown member"},
    {"no customer", HEAD "\"route\":\"security\"}", "customer", "missing"},
    {"customer without id", HEAD "\"customer\":{\"contacts\":[]}}", "customer.id", "missing"},
    {"unknown customer member", HEAD "\"customer\":{\"id\":\"C1\",\"nmae\":\"x\"}}", "customer.nmae", "unknown member"},
    {"contacts not an array", HEAD "\"customer\":{\"id\":\"C1\",\"contacts\":{}}}", "customer.contacts", "array"},
    {"unknown channel", CONTACT("\"channel\":\"fax\",\"address\":\"1\""), "customer.contacts[0].channel", "no channel"},
    {"no address", CONTACT("\"channel\":\"email\""), "customer.contacts[0].address", "missing"},
    {"address without domain", CONTACT("\"channel\":\"email\",\"address\":\"ada\""), "customer.contacts[0].address", ""},
    {"address with line break", CONTACT("\"channel\":\"email\",\"address\":\"a@b.example\\r\\nBcc: x\""), "customer.contacts[0].address",
     "control"},
    {"number without plus", CONTACT("\"channel\":\"sms\",\"address\":\"01632960001\""), "customer.contacts[0].address", ""},
    {"number too long", CONTACT("\"channel\":\"sms\",\"address\":\"+1234567890123456\""), "customer.contacts[0].address", ""},
    {"unknown status", CONTACT("\"channel\":\"sms\",\"address\":\"+441632960001\",\"status\":\"ok\""), "customer.contacts[0].status",
     "active"},
    {"bad time", CONTACT("\"channel\":\"sms\",\"address\":\"+441632960001\",\"verified_at\":\"yesterday\""),
     "customer.contacts[0].verified_at", "RFC 3339"},
    {"list of numbers", CONTACT("\"channel\":\"sms\",\"address\":\"+441632960001\",\"depends_on\":[1]"),
     "customer.contacts[0].depends_on[0]", "string"},
    {"nothing disabled", HEAD WHO ",\"disables\":{}}", "disables", "accounts or domains"},
    {"bad account", HEAD WHO ",\"disables\":{\"accounts\":[\"ada@walton.example\",\"x\"]}}", "disables.accounts[1]", ""},
    {"bad domain", HEAD WHO ",\"disables\":{\"domains\":[\"no domain\"]}}", "disables.domains[0]", ""},
    {"expires before effective", HEAD WHO ",\"effective_at\":\"2026-12-23T18:00:00Z\",\"expires_at\":\"2026-12-23T18:00:00Z\"}",
     "expires_at", "later"},
    {"promise of a month", HEAD WHO ",\"promise\":\"P1M\"}", "promise", "ISO 8601"},
    {"data not an object", HEAD WHO ",\"data\":[1]}", "data", "object"},
    {"resolve of nothing", "{\"v\":1,\"type\":\"resolve\",\"id\":\"r1\"}", "notice", "missing"},
    {"disabled without account", "{\"v\":1,\"type\":\"disabled\",\"id\":\"d1\"}", "account", "missing"},
};

static void every_fault_names_its_member(void **state) {
    struct place *place = *state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof *bad_cases; i++) {
        const struct bad_case *c = &bad_cases[i];
        struct job_document document;
        struct err err;
        int result = job_parse(c->text, strlen(c->text), place->rules, &place->arena, &document, NULL, &err);
        if (result != -1 || strcmp(err.member, c->member) != 0 || strstr(err.text, c->reason) == NULL || err.text[0] == '\0') {
            fail_msg("%s: result %d, member '%s', text '%s'", c->name, result, err.member, err.text);
        }
        job_document_fini(&document);
    }
}

static void no_error_quotes_an_address(void **state) {
    struct place *place = *state;
    static const char text[] = CONTACT("\"channel\":\"email\",\"address\":\"secret.person@@example\"");
    struct job_document document;
    struct err err;
    assert_int_equal(job_parse(text, strlen(text), place->rules, &place->arena, &document, NULL, &err), -1);
    assert_null(strstr(err.text, "secret"));
    job_document_fini(&document);
    static const char broken[] = "{\"v\":1,\"id\":\"x\" secret.person@example.org}";
    assert_int_equal(job_parse(broken, strlen(broken), place->rules, &place->arena, &document, NULL, &err), -1);
    assert_null(strstr(err.text, "secret"));
    job_document_fini(&document);
}

static void the_id_is_told_even_of_a_job_that_is_refused(void **state) {
    struct place *place = *state;
    static const char text[] = "{\"v\":1,\"type\":\"notice\",\"id\":\"n7\",\"bogus\":true}";
    struct job_document document;
    struct err err;
    const char *id = NULL;
    assert_int_equal(job_parse(text, strlen(text), place->rules, &place->arena, &document, &id, &err), -1);
    assert_string_equal(id, "n7");
    job_document_fini(&document);
}

static void too_large_a_job_is_refused_before_it_is_parsed(void **state) {
    struct place *place = *state;
    struct buf text = BUF_INIT;
    buf_puts(&text, HEAD WHO ",\"data\":{\"x\":\"");
    while (text.len <= 65536) {
        buf_putc(&text, 'x');
    }
    buf_puts(&text, "\"}}");
    struct job_document document;
    struct err err;
    assert_int_equal(job_parse(text.data, text.len, place->rules, &place->arena, &document, NULL, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    job_document_fini(&document);
    buf_fini(&text);
}

static void too_deep_a_job_is_refused(void **state) {
    struct place *place = *state;
    struct buf text = BUF_INIT;
    buf_puts(&text, HEAD WHO ",\"data\":{\"x\":");
    for (int i = 0; i < 20000; i++) {
        buf_putc(&text, '[');
    }
    struct job_document document;
    struct err err;
    assert_int_equal(job_parse(text.data, text.len, place->rules, &place->arena, &document, NULL, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    job_document_fini(&document);
    buf_fini(&text);
}

static void digest_of(struct place *place, const char *text, char out[33]) {
    struct job_document document;
    struct err err;
    if (job_parse(text, strlen(text), place->rules, &place->arena, &document, NULL, &err) != 0) {
        fail_msg("%s: %s", err.member, err.text);
    }
    memcpy(out, document.digest, 33);
    job_document_fini(&document);
}

static void the_digest_is_over_what_a_job_says(void **state) {
    struct place *place = *state;
    char a[33];
    char b[33];
    char c[33];
    digest_of(place, HEAD WHO ",\"data\":{\"x\":1,\"y\":[1,2]}}", a);
    digest_of(place,
              "{ \"data\" : {\"y\":[1,2], \"x\":1}, " WHO
              ", \"notice\":\"mail-password-disabled\",\"id\":\"n1\",\"type\":\"notice\",\"v\":1}",
              b);
    digest_of(place, HEAD WHO ",\"data\":{\"x\":1,\"y\":[2,1]}}", c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_job_is_read),
        cmocka_unit_test(every_fault_names_its_member),
        cmocka_unit_test(no_error_quotes_an_address),
        cmocka_unit_test(the_id_is_told_even_of_a_job_that_is_refused),
        cmocka_unit_test(too_large_a_job_is_refused_before_it_is_parsed),
        cmocka_unit_test(too_deep_a_job_is_refused),
        cmocka_unit_test(the_digest_is_over_what_a_job_says),
    };
    return cmocka_run_group_tests_name("job", tests, setup, teardown);
}
