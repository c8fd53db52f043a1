/* The fast reader of contacts files against the strict one: what the fast way takes, the strict way takes, with the same meaning.
 *
 * Lines are damaged at random in every way a file can be damaged; a fixed seed makes a failure repeatable. */
#include "base/json.h"
#include "cli/customer_line.h"
#include "dispatcher/book.h"
#include "dispatcher/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const good_lines[] = {
    "{\"id\":\"C1\"}",
    "{\"id\":\"C123\",\"name\":\"Zo\xc3\xab\",\"locale\":\"en-GB\",\"time_zone\":\"Europe/London\",\"accounts\":[\"ada@walton.example\"],"
    "\"attributes\":{\"tier\":\"gold\",\"n\":12,\"x\":true,\"y\":null},\"contacts\":[{\"channel\":\"email\",\"address\":\"ada@example."
    "org\","
    "\"status\":\"active\",\"verified_at\":\"2026-01-02T03:04:05Z\",\"changed_at\":\"2026-01-03T03:04:05+01:00\",\"gateway\":\"relay\","
    "\"depends_on\":[],\"forwards_to\":[\"a@b.example\",\"c@d.example\"]},{\"channel\":\"sms\",\"address\":\"+441632960001\","
    "\"previous_address\":\"+441632960002\",\"vanished\":true}]}",
    "{ \"contacts\" : [ { \"address\" : \"t-1\" , \"channel\" : \"push\" , \"depends_on\" : [ \"a@b.example\" ] } ] , \"id\" : \"x\" }",
    "{\"id\":\"C9\",\"contacts\":[],\"accounts\":[],\"attributes\":{}}",
    "{\"id\":\"C9\",\"name\":\"Zo\\u00eb\",\"contacts\":[{\"channel\":\"banner\",\"address\":\"l\\/ogin\"}]}",
};

static const struct mailbox_rules *rules;
static struct arena rules_arena;

static int make_rules(void **state) {
    struct err err;
    (void)state;
    rules = mailbox_rules_new(NULL, 0, &rules_arena, &err);
    return rules == NULL ? -1 : 0;
}

static int drop_rules(void **state) {
    (void)state;
    arena_fini(&rules_arena);
    return 0;
}

/* The customer as text, so that two can be compared. */
static char *as_text(const struct customer *customer) {
    struct buf out = BUF_INIT;
    struct book_entry entry = {.customer = *customer};
    buf_puts(&out, customer->id);
    buf_putc(&out, '\n');
    book_pack(&entry, &out);
    return buf_take(&out);
}

/* 1 the strict way takes the line and gives `text`; 0 it does not, and the address is to blame; -1 it does not for its form. */
static int read_strictly(const char *line, size_t len, const char *text) {
    struct arena arena = ARENA_INIT;
    struct job job = {0};
    struct err err;
    int answer = -1;
    json_t *document = json_parse_strict(line, len, CUSTOMER_LINE_MAX_BYTES, &err);
    if (document != NULL && job_read_customer(document, rules, &arena, &job, &err) == 0) {
        char *strict = as_text(&job.customer);
        assert_string_equal(strict, text);
        free(strict);
        answer = 1;
    } else if (document != NULL && strstr(err.member, "address") != NULL && strstr(err.text, "must be") == NULL) {
        answer = 0;
    }
    json_decref(document);
    arena_fini(&arena);
    return answer;
}

/* Reads a line the fast way; where it is taken, the strict way must take it too. Returns whether it was taken fast. */
static bool compare(struct customer_reader *reader, const char *line, size_t len) {
    struct arena arena = ARENA_INIT;
    struct customer customer;
    struct err err;
    uint64_t fast = reader->n_fast;
    int result = customer_line_read(reader, line, len, &arena, &customer, &err);
    bool taken_fast = reader->n_fast > fast;
    if (result == 0 && taken_fast) {
        char *text = as_text(&customer);
        if (read_strictly(line, len, text) < 0) {
            fail_msg("taken the fast way only: %.*s", (int)len, line);
        }
        free(text);
    }
    arena_fini(&arena);
    return taken_fast;
}

static void plain_lines_go_the_fast_way_and_mean_the_same(void **state) {
    struct customer_reader reader;
    (void)state;
    customer_reader_init(&reader);
    for (size_t i = 0; i < 4; i++) {
        assert_true(compare(&reader, good_lines[i], strlen(good_lines[i])));
    }
    customer_reader_fini(&reader);
}

static void escapes_go_the_slow_way_and_are_read(void **state) {
    struct customer_reader reader;
    struct arena arena = ARENA_INIT;
    struct customer customer;
    struct err err;
    (void)state;
    customer_reader_init(&reader);
    assert_int_equal(customer_line_read(&reader, good_lines[4], strlen(good_lines[4]), &arena, &customer, &err), 0);
    assert_string_equal(customer.name, "Zo\xc3\xab");
    assert_string_equal(customer.contacts[0].address, "l/ogin");
    assert_int_equal(reader.n_slow, 1);
    customer_reader_fini(&reader);
    arena_fini(&arena);
}

static void what_is_wrong_is_told_as_the_strict_reader_tells_it(void **state) {
    static const struct {
        const char *line;
        const char *member;
    } cases[] = {
        {"", ""},
        {"{\"id\":\"C1\"", ""},
        {"{\"id\":\"C1\"} x", ""},
        {"{\"id\" \"C1\"}", ""},
        {"{\"id\":\"C1\",\"id\":\"C2\"}", ""},
        {"{\"id\":\"C1\",\"name\":\"\xff\"}", ""},
        {"{\"name\":\"Ada\"}", "id"},
        {"{\"id\":\"C 1\"}", "id"},
        {"{\"id\":\"C1\",\"nmae\":\"Ada\"}", "nmae"},
        {"{\"id\":\"C1\",\"contacts\":{}}", "contacts"},
        {"{\"id\":\"C1\",\"contacts\":[{\"channel\":\"pigeon\",\"address\":\"x\"}]}", "contacts[0].channel"},
        {"{\"id\":\"C1\",\"contacts\":[{\"channel\":\"email\"}]}", "contacts[0].address"},
        {"{\"id\":\"C1\",\"contacts\":[{\"channel\":\"sms\",\"address\":\"+441632960001\",\"status\":\"fine\"}]}", "contacts[0].status"},
        {"{\"id\":\"C1\",\"attributes\":{\"a\":1,\"a\":2}}", ""},
        {"{\"id\":\"C1\",\"attributes\":{\"a\":01}}", ""},
    };
    struct customer_reader reader;
    struct arena arena = ARENA_INIT;
    struct customer customer;
    struct err err;
    (void)state;
    customer_reader_init(&reader);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err_clear(&err);
        assert_int_equal(customer_line_read(&reader, cases[i].line, strlen(cases[i].line), &arena, &customer, &err), -1);
        assert_string_equal(err.member, cases[i].member);
        assert_true(strlen(err.text) > 0);
    }
    assert_int_equal(reader.n_fast, 0);
    customer_reader_fini(&reader);
    arena_fini(&arena);
}

static void a_customer_with_very_many_contact_points_is_read(void **state) {
    enum { MANY = 100000 };
    struct buf line = BUF_INIT;
    struct customer_reader reader;
    struct arena arena = ARENA_INIT;
    struct customer customer;
    struct err err;
    (void)state;
    buf_puts(&line, "{\"id\":\"C1\",\"contacts\":[");
    for (int i = 0; i < MANY; i++) {
        buf_putf(&line, "%s{\"channel\":\"email\",\"address\":\"a%d@x.example\",\"forwards_to\":[\"a%d@x.example\"]}", i == 0 ? "" : ",", i,
                 i + 1);
    }
    buf_puts(&line, "]}");
    customer_reader_init(&reader);
    assert_int_equal(customer_line_read(&reader, line.data, line.len, &arena, &customer, &err), 0);
    assert_int_equal(customer.n_contacts, MANY);
    assert_string_equal(customer.contacts[MANY - 1].forwards_to.items[0], "a100000@x.example");
    assert_int_equal(reader.n_fast, 1);
    customer_reader_fini(&reader);
    arena_fini(&arena);
    buf_fini(&line);
}

/* xorshift64: the same damage on every machine. */
static uint64_t draw(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Damages a line in one place. `line` has room for some bytes more. */
static size_t damage(char *line, size_t len, uint64_t *seed) {
    static const char bytes[] = "{}[]\":,\\ \t\n\x7f\x80\xc3"
                                "0129-+.etrufalsn";
    size_t at = draw(seed) % len;
    size_t n = 1 + draw(seed) % 3;
    switch (draw(seed) % 5) {
    case 0: line[at] = bytes[draw(seed) % (sizeof bytes - 1)]; return len;
    case 1: line[at] = (char)draw(seed); return len;
    case 2: /* something is missing */
        n = at + n > len ? len - at : n;
        memmove(line + at, line + at + n, len - at - n);
        return len - n;
    case 3: /* something is there twice */
        n = at + n * 8 > len ? len - at : n * 8;
        memmove(line + at + n, line + at, len - at);
        return len + n;
    default: return at == 0 ? 1 : at; /* cut off */
    }
}

static void no_damage_makes_the_fast_way_take_what_the_strict_way_refuses(void **state) {
    enum { ROUNDS = 200000 };
    struct customer_reader reader;
    uint64_t seed = 20261121;
    size_t taken = 0;
    (void)state;
    customer_reader_init(&reader);
    for (size_t i = 0; i < ROUNDS; i++) {
        char line[1200];
        const char *good = good_lines[i % 4];
        size_t len = strlen(good);
        memcpy(line, good, len);
        for (uint64_t times = 1 + draw(&seed) % 2; times > 0 && len > 0; times--) {
            len = damage(line, len, &seed);
        }
        taken += len > 0 && compare(&reader, line, len) ? 1 : 0;
    }
    customer_reader_fini(&reader);
    assert_true(taken > ROUNDS / 50); /* some damage leaves a good line: the comparison was not empty */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_go_the_fast_way_and_mean_the_same),
        cmocka_unit_test(escapes_go_the_slow_way_and_are_read),
        cmocka_unit_test(what_is_wrong_is_told_as_the_strict_reader_tells_it),
        cmocka_unit_test(a_customer_with_very_many_contact_points_is_read),
        cmocka_unit_test(no_damage_makes_the_fast_way_take_what_the_strict_way_refuses),
    };
    return cmocka_run_group_tests(tests, make_rules, drop_rules);
}
