/* book: entries are compact and read back; news never costs a customer a contact point. */
#include "dispatcher/book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LIST(...)                                                                                                                          \
    { (const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *) }

static void what_is_packed_is_unpacked_again(void **state) {
    (void)state;
    struct contact contacts[] = {
        {.channel = CHANNEL_EMAIL, .address = "ada@example.org", .status = CONTACT_UNVERIFIED, .verified_at_ms = 1700000000000},
        {.channel = CHANNEL_SMS, .address = "+441632960001", .vanished = true, .changed_at_ms = 1000, .previous_address = "+441632960002"},
        {.channel = CHANNEL_PUSH, .address = "tok", .gateway = "fcm", .depends_on = LIST("a@x.example", "b@x.example")},
        {.channel = CHANNEL_EMAIL, .address = "ada@alumni.example", .forwards_to = LIST("ada@walton.example")},
    };
    struct book_entry entry = {
        .customer =
            {.id = "C1", .name = "Ada", .locale = "en-GB", .accounts = LIST("ada@walton.example"), .contacts = contacts, .n_contacts = 4},
        .attributes = "{\"tier\":\"gold\"}",
        .seen_at_ms = 5000};
    struct arena arena = ARENA_INIT;
    struct buf first = BUF_INIT;
    struct buf second = BUF_INIT;
    struct book_entry again;
    struct err err;
    book_pack(&entry, &first);
    assert_int_equal(book_unpack(first.data, first.len, "C1", &arena, &again, &err), 0);
    book_pack(&again, &second);
    assert_string_equal(buf_str(&first), buf_str(&second));
    assert_int_equal(again.customer.n_contacts, 4);
    assert_int_equal(again.customer.contacts[0].status, CONTACT_UNVERIFIED);
    assert_true(again.customer.contacts[0].verified_at_ms == 1700000000000);
    assert_true(again.customer.contacts[1].vanished);
    assert_string_equal(again.customer.contacts[1].previous_address, "+441632960002");
    assert_int_equal(again.customer.contacts[2].depends_on.n, 2);
    assert_string_equal(again.customer.contacts[2].depends_on.items[1], "b@x.example");
    assert_null(again.customer.time_zone);
    assert_string_equal(again.attributes, "{\"tier\":\"gold\"}");
    assert_true(again.seen_at_ms == 5000);
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
}

static void a_customer_without_anything_is_an_entry_too(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct book_entry again;
    struct err err;
    assert_int_equal(book_unpack("", 0, "C1", &arena, &again, &err), 0);
    assert_int_equal(again.customer.n_contacts, 0);
    assert_int_equal(again.customer.accounts.n, 0);
    arena_fini(&arena);
}

static void a_damaged_entry_is_refused(void **state) {
    (void)state;
    static const char *const damaged[] = {"\x1e",
                                          "\x1e"
                                          "0",
                                          "\x1e"
                                          "00-",
                                          "\x1e"
                                          "90-x",
                                          "\x1e"
                                          "0z-x",
                                          "x\x1f",
                                          "\x1e"
                                          "00-a\x1f\x1fsoon"};
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct book_entry entry;
        struct err err;
        if (book_unpack(damaged[i], strlen(damaged[i]), "C1", &arena, &entry, &err) != -1) {
            fail_msg("case %zu was read", i);
        }
    }
    arena_fini(&arena);
}

/* ---- merging ------------------------------------------------------------------------------------------------------- */

struct merged {
    struct arena arena;
    struct book_entry entry;
    int changed;
};

static void merge(struct merged *m, const struct contact *old, size_t n_old, const struct contact *news, size_t n_news,
                  enum book_news kind) {
    struct book_entry before = {.customer = {.id = "C1", .contacts = old, .n_contacts = n_old}};
    struct book_entry after = {.customer = {.id = "C1", .contacts = news, .n_contacts = n_news}};
    struct err err;
    m->arena = ARENA_INIT;
    m->changed = book_merge(n_old == 0 ? NULL : &before, &after, kind, 9000, NULL, NULL, &m->arena, &m->entry, &err);
    assert_true(m->changed >= 0);
}

static const struct contact email_a = {.channel = CHANNEL_EMAIL, .address = "a@example.org"};
static const struct contact email_b = {.channel = CHANNEL_EMAIL, .address = "b@example.org"};
static const struct contact phone = {.channel = CHANNEL_SMS, .address = "+441632960001"};

static void what_vanishes_upstream_is_kept_and_marked(void **state) {
    (void)state;
    struct merged m;
    struct contact old[] = {email_a, phone};
    merge(&m, old, 2, &email_a, 1, BOOK_WHOLE);
    assert_int_equal(m.changed, 1);
    assert_int_equal(m.entry.customer.n_contacts, 2);
    assert_false(m.entry.customer.contacts[0].vanished);
    assert_true(m.entry.customer.contacts[1].vanished);
    arena_fini(&m.arena);
}

static void a_job_that_mentions_only_some_says_nothing_about_the_others(void **state) {
    (void)state;
    struct merged m;
    struct contact old[] = {email_a, phone};
    merge(&m, old, 2, &email_a, 1, BOOK_GLIMPSE);
    assert_int_equal(m.changed, 0);
    assert_false(m.entry.customer.contacts[1].vanished);
    arena_fini(&m.arena);
}

static void a_replaced_address_is_remembered_with_its_time(void **state) {
    (void)state;
    struct merged m;
    merge(&m, &email_a, 1, &email_b, 1, BOOK_WHOLE);
    assert_int_equal(m.entry.customer.n_contacts, 2);
    assert_string_equal(m.entry.customer.contacts[1].address, "b@example.org");
    assert_string_equal(m.entry.customer.contacts[1].previous_address, "a@example.org");
    assert_true(m.entry.customer.contacts[1].changed_at_ms == 9000);
    assert_true(m.entry.customer.contacts[0].vanished);
    arena_fini(&m.arena);
}

static void what_comes_back_is_no_longer_vanished(void **state) {
    (void)state;
    struct merged m;
    struct contact old[] = {email_a, phone};
    old[1].vanished = true;
    struct contact news[] = {email_a, phone};
    merge(&m, old, 2, news, 2, BOOK_WHOLE);
    assert_int_equal(m.entry.customer.n_contacts, 2);
    assert_false(m.entry.customer.contacts[1].vanished);
    arena_fini(&m.arena);
}

static void what_the_customer_took_back_stays_taken_back(void **state) {
    (void)state;
    struct merged m;
    struct contact old[] = {email_a, phone};
    old[1].status = CONTACT_WITHDRAWN;
    merge(&m, old, 2, &email_a, 1, BOOK_WHOLE);
    assert_int_equal(m.entry.customer.contacts[1].status, CONTACT_WITHDRAWN);
    assert_false(m.entry.customer.contacts[1].vanished);
    arena_fini(&m.arena);
}

static void a_glimpse_does_not_make_a_dead_contact_point_look_alive(void **state) {
    (void)state;
    struct merged m;
    static const char *target[] = {"ada@walton.example"};
    struct contact old = {.channel = CHANNEL_EMAIL, .address = "a@example.org", .status = CONTACT_BOUNCED, .forwards_to = {target, 1}};
    struct contact told = {.channel = CHANNEL_EMAIL, .address = "a@example.org", .status_told = true};
    merge(&m, &old, 1, &email_a, 1, BOOK_GLIMPSE);
    assert_int_equal(m.changed, 0);
    assert_int_equal(m.entry.customer.contacts[0].status, CONTACT_BOUNCED);
    assert_int_equal(m.entry.customer.contacts[0].forwards_to.n, 1);
    arena_fini(&m.arena);
    merge(&m, &old, 1, &told, 1, BOOK_GLIMPSE); /* in so many words */
    assert_int_equal(m.entry.customer.contacts[0].status, CONTACT_ACTIVE);
    arena_fini(&m.arena);
    merge(&m, &old, 1, &email_a, 1, BOOK_WHOLE); /* all that is known now */
    assert_int_equal(m.entry.customer.contacts[0].status, CONTACT_ACTIVE);
    assert_int_equal(m.entry.customer.contacts[0].forwards_to.n, 0);
    arena_fini(&m.arena);
}

static void an_import_without_statuses_does_not_revive_what_bounced(void **state) {
    (void)state;
    struct merged m;
    struct contact old[] = {{.channel = CHANNEL_EMAIL, .address = "a@example.org", .status = CONTACT_BOUNCED}, phone};
    struct contact told = {.channel = CHANNEL_EMAIL, .address = "a@example.org", .status_told = true};
    merge(&m, old, 2, &email_a, 1, BOOK_UPSTREAM);
    assert_int_equal(m.entry.customer.contacts[0].status, CONTACT_BOUNCED);
    assert_true(m.entry.customer.contacts[1].vanished);
    arena_fini(&m.arena);
    merge(&m, old, 2, &told, 1, BOOK_UPSTREAM); /* in so many words */
    assert_int_equal(m.entry.customer.contacts[0].status, CONTACT_ACTIVE);
    arena_fini(&m.arena);
}

static void an_old_job_only_adds_what_the_book_does_not_know(void **state) {
    (void)state;
    struct merged m;
    struct contact old = {.channel = CHANNEL_EMAIL, .address = "a@example.org", .status = CONTACT_WITHDRAWN};
    struct contact news[] = {{.channel = CHANNEL_EMAIL, .address = "a@example.org", .status_told = true}, phone};
    struct book_entry before = {.customer = {.id = "C1", .name = "Ada Byron", .contacts = &old, .n_contacts = 1}};
    struct book_entry after = {.customer = {.id = "C1", .name = "Ada", .locale = "en", .contacts = news, .n_contacts = 2}};
    struct err err;
    m.arena = ARENA_INIT;
    assert_int_equal(book_merge(&before, &after, BOOK_OLD_NEWS, 9000, NULL, NULL, &m.arena, &m.entry, &err), 1);
    assert_int_equal(m.entry.customer.contacts[0].status, CONTACT_WITHDRAWN);
    assert_int_equal(m.entry.customer.n_contacts, 2);
    assert_string_equal(m.entry.customer.name, "Ada Byron");
    assert_string_equal(m.entry.customer.locale, "en");
    arena_fini(&m.arena);
}

static void the_same_news_twice_changes_nothing(void **state) {
    (void)state;
    struct merged first;
    struct merged second;
    struct contact old[] = {email_a, phone};
    merge(&first, old, 2, &email_b, 1, BOOK_WHOLE);
    merge(&second, first.entry.customer.contacts, first.entry.customer.n_contacts, &email_b, 1, BOOK_WHOLE);
    assert_int_equal(first.changed, 1);
    assert_int_equal(second.changed, 0);
    assert_int_equal(second.entry.customer.n_contacts, first.entry.customer.n_contacts);
    arena_fini(&first.arena);
    arena_fini(&second.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_unpacked_again),
        cmocka_unit_test(a_customer_without_anything_is_an_entry_too),
        cmocka_unit_test(a_damaged_entry_is_refused),
        cmocka_unit_test(what_vanishes_upstream_is_kept_and_marked),
        cmocka_unit_test(a_job_that_mentions_only_some_says_nothing_about_the_others),
        cmocka_unit_test(a_replaced_address_is_remembered_with_its_time),
        cmocka_unit_test(what_comes_back_is_no_longer_vanished),
        cmocka_unit_test(what_the_customer_took_back_stays_taken_back),
        cmocka_unit_test(a_glimpse_does_not_make_a_dead_contact_point_look_alive),
        cmocka_unit_test(an_import_without_statuses_does_not_revive_what_bounced),
        cmocka_unit_test(an_old_job_only_adds_what_the_book_does_not_know),
        cmocka_unit_test(the_same_news_twice_changes_nothing),
    };
    return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}
