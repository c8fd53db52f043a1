/* core_kit: short ways to write down customers, own domains and changes in the tests of the core. */
#ifndef REACH_TESTS_CORE_KIT_H
#define REACH_TESTS_CORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "dispatcher/core/mailbox.h"
#include "dispatcher/core/reach.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A list of addresses in place: LIST("a@b.example", "c@d.example"). */
#define LIST(...)                                                                                                                          \
    { (const char *[]){__VA_ARGS__}, COUNT_OF(((const char *[]){__VA_ARGS__})) }

/* The own domains of the tests. */
static inline const struct mailbox_rules *kit_rules(struct arena *arena) {
    static const char *aliases[] = {"walton.co.example", "mail.walton.example"};
    static const char *dotted[] = {"dots.co.example"};
    static const struct own_domain own[] = {
        {"walton.example", {aliases, 2}, false, true, false},
        {"Dots.Example", {dotted, 1}, true, true, true},
        {"plain.example", {NULL, 0}, true, false, false},
        {"b\xc3\xbc"
         "cher.example",
         {NULL, 0},
         false,
         true,
         false},
    };
    struct err err;
    const struct mailbox_rules *rules = mailbox_rules_new(own, COUNT_OF(own), arena, &err);
    if (rules == NULL) {
        fail_msg("%s", err.text);
    }
    return rules;
}

static inline const struct doomed_set *kit_doomed_list(const struct mailbox_rules *rules, struct address_list accounts,
                                                       struct address_list domains, struct arena *arena) {
    struct err err;
    const struct disables disables = {accounts, domains, false};
    const struct doomed_set *set = doomed_set_new(rules, &disables, NULL, arena, &err);
    if (set == NULL) {
        fail_msg("%s: %s", err.member, err.text);
    }
    return set;
}

/* One account or one domain dies; either may be NULL. */
static inline const struct doomed_set *kit_doomed(const struct mailbox_rules *rules, const char *account, const char *domain,
                                                  struct arena *arena) {
    const char *accounts[] = {account}, *domains[] = {domain};
    return kit_doomed_list(rules, (struct address_list){accounts, account != NULL}, (struct address_list){domains, domain != NULL}, arena);
}

#endif
