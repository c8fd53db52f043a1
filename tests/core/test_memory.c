/* Want of memory: every allocation of the core is made to fail once, in turn. Each time there must be an error that says so (or the
 * right answer, where the allocation did not matter), and nothing may crash. The linker puts the functions below in the place of the
 * arena's (tests/core.mk). */
#include "tests/core/core_kit.h"

#include <stdlib.h>

static size_t allocations; /* made so far */
static size_t fails_at;    /* which of them fails; 0: none */

static bool fails_now(void) {
    return ++allocations == fails_at;
}

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl51-cpp): the linker gives these names
void *__real_arena_alloc(struct arena *arena, size_t size);
void *__real_arena_array(struct arena *arena, size_t n, size_t size);
char *__real_arena_strdup(struct arena *arena, const char *text);
void *__wrap_arena_alloc(struct arena *arena, size_t size);
void *__wrap_arena_array(struct arena *arena, size_t n, size_t size);
char *__wrap_arena_strdup(struct arena *arena, const char *text);

void *__wrap_arena_alloc(struct arena *arena, size_t size) {
    return fails_now() ? NULL : __real_arena_alloc(arena, size);
}

void *__wrap_arena_array(struct arena *arena, size_t n, size_t size) {
    return fails_now() ? NULL : __real_arena_array(arena, n, size);
}

char *__wrap_arena_strdup(struct arena *arena, const char *text) {
    return fails_now() ? NULL : __real_arena_strdup(arena, text);
}

// NOLINTEND(bugprone-reserved-identifier,cert-dcl51-cpp)

/* A customer with a bit of everything, so that every allocation of the core is met. More entries than are compared one by one. */
static const struct contact contacts[] = {
    {.channel = CHANNEL_EMAIL, .address = "ada@mail.walton.example"},
    {.channel = CHANNEL_EMAIL, .address = "a@x.example", .forwards_to = LIST("ada@walton.example", "b@x.example")},
    {.channel = CHANNEL_EMAIL, .address = "b@x.example", .depends_on = LIST("a@x.example", "token")},
    {.channel = CHANNEL_EMAIL, .address = "new@x.example", .changed_at_ms = 9, .previous_address = "old@x.example"},
    {.channel = CHANNEL_SMS, .address = "+441632960001", .status = CONTACT_BOUNCED},
    {.channel = CHANNEL_SMS, .address = "wrong"},
    {.channel = CHANNEL_PUSH, .address = "token", .depends_on = LIST("ada@walton.example", "unheard-of")},
    {.channel = CHANNEL_BANNER, .address = "login"},
    {.channel = CHANNEL_EMAIL, .address = "d@x.example"},
    {.channel = CHANNEL_EMAIL, .address = "e@x.example"},
    {.channel = CHANNEL_EMAIL, .address = "f@x.example"},
};

/* From the configuration to the answer. 0 or -1 with *err. */
static int whole_way(size_t n, struct arena *arena, struct reach_answer *answer, struct err *err) {
    static const char *aliases[] = {"mail.walton.example"};
    static const struct own_domain own[] = {{"walton.example", {aliases, 1}, true, true, true}};
    static const char *accounts[] = {"ada@walton.example"}, *dead[] = {"dead.example"};
    const struct disables disables = {{accounts, 1}, {dead, 1}, true};
    const struct address_list audience = {accounts, 1};
    const struct customer customer = {.id = "C", .contacts = contacts, .n_contacts = n};
    struct customer both;
    const struct mailbox_rules *rules = mailbox_rules_new(own, 1, arena, err);
    if (rules == NULL) {
        return -1;
    }
    const struct doomed_set *doomed = doomed_set_new(rules, &disables, &audience, arena, err);
    if (doomed == NULL || reach_with_previous(&customer, 5, arena, &both, err) != 0) {
        return -1;
    }
    const struct reach_question question = {
        .rules = rules, .doomed = doomed, .customer = &both, .suspect_since_ms = 5, .tolerate_invalid = true};
    return reach_decide(&question, arena, answer, err);
}

static void check_way(size_t n) {
    struct arena arena = ARENA_INIT;
    struct reach_answer answer;
    struct err err;
    allocations = fails_at = 0;
    assert_int_equal(whole_way(n, &arena, &answer, &err), 0);
    size_t needed = allocations;
    enum verdict verdict = answer.verdict;
    arena_fini(&arena);
    assert_true(needed > 10);
    for (size_t k = 1; k <= needed; k++) {
        err_clear(&err);
        allocations = 0;
        fails_at = k;
        int rc = whole_way(n, &arena, &answer, &err);
        fails_at = 0;
        if (rc == 0 ? answer.verdict != verdict : err.code != ERR_MEMORY) {
            fail_msg("allocation %zu of %zu: %d, %s", k, needed, rc, err.text);
        }
        arena_fini(&arena);
    }
}

static void want_of_memory_is_an_error_and_never_a_wrong_answer(void **state) {
    (void)state;
    for (size_t n = 0; n <= COUNT_OF(contacts); n++) {
        check_way(n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_memory_is_an_error_and_never_a_wrong_answer),
    };
    return cmocka_run_group_tests_name("core, without memory", tests, NULL, NULL);
}
