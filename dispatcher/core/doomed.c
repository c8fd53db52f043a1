/* doomed: see doomed.h and, for doomed_set_new, reach.h.
 *
 * Two hash tables, accounts and domains, filled once and then only read: asking costs one or two look-ups however many
 * accounts die. Everything that can be done once is done here (IDNA, aliases, folding), so that a campaign of a million
 * customers pays for it once.
 *
 * Fails closed: an account or domain that cannot be read stops the job with the member's name; it is never left out, since a
 * set with a hole would let messages through to a dead mailbox. */
#include "dispatcher/core/doomed.h"

#include "base/text.h"
#include "dispatcher/core/hash.h"

#include <stdio.h>
#include <string.h>

struct doomed_set {
    struct str_map accounts; /* canonical -> enum doomed_why */
    struct str_map domains;
};

/* ---- addresses of all kinds ---------------------------------------------------------------------------------------- */

enum address_kind address_kind_of(const char *address) {
    if (strchr(address, '@') != NULL) {
        return ADDRESS_MAILBOX;
    }
    return address[0] == '+' ? ADDRESS_E164 : ADDRESS_TOKEN;
}

/* Tokens and logins are compared as they are; all that is asked of them is that they are text. */
static int check_opaque(const char *address, struct err *err) {
    size_t len = strnlen(address, ADDRESS_TEXT_MAX + 1);
    if (len == 0) {
        return err_set(err, ERR_MEMBER, "the address is empty");
    }
    if (len > ADDRESS_TEXT_MAX) {
        return err_set(err, ERR_MEMBER, "the address is longer than %d bytes", ADDRESS_TEXT_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)address[i] < 0x20 || address[i] == 0x7f) {
            return err_set(err, ERR_MEMBER, "the address has a control character");
        }
    }
    return text_is_utf8(address, len) ? 0 : err_set(err, ERR_MEMBER, "the address is not valid UTF-8");
}

int address_canon(const struct mailbox_rules *rules, enum address_kind kind, const char *address, char buffer[MAILBOX_MAX],
                  const char **canon_r, struct err *err) {
    switch (kind) {
    case ADDRESS_MAILBOX: *canon_r = buffer; return mailbox_canon(rules, address, buffer, err);
    case ADDRESS_E164: *canon_r = address; return phone_check(address, err);
    case ADDRESS_TOKEN:
    case ADDRESS_LOGIN: break;
    }
    *canon_r = address;
    return check_opaque(address, err);
}

/* ---- the set ------------------------------------------------------------------------------------------------------- */

/* Sets the member's name on an error that speaks of one element of a list; -1. */
static int at_member(struct err *err, const char *list, size_t i) {
    if (err != NULL && err->code == ERR_MEMBER) {
        (void)snprintf(err->member, sizeof err->member, "%s[%zu]", list, i);
    }
    return -1;
}

static int add(struct str_map *map, const char *canonical, enum doomed_why why, struct arena *arena, struct err *err) {
    if (str_map_find(map, canonical, NULL)) {
        return 0;
    }
    const char *kept = arena_strdup(arena, canonical);
    if (kept == NULL) {
        return err_no_memory(err);
    }
    (void)str_map_add(map, kept, why);
    return 0;
}

static int add_accounts(struct doomed_set *set, const struct mailbox_rules *rules, const struct address_list *list, const char *name,
                        enum doomed_why why, struct arena *arena, struct err *err) {
    for (size_t i = 0; i < list->n; i++) {
        char buffer[MAILBOX_MAX];
        const char *canonical = NULL;
        enum address_kind kind = address_kind_of(list->items[i]) == ADDRESS_E164 ? ADDRESS_E164 : ADDRESS_MAILBOX;
        if (address_canon(rules, kind, list->items[i], buffer, &canonical, err) != 0) {
            return at_member(err, name, i);
        }
        if (add(&set->accounts, canonical, why, arena, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int add_domains(struct doomed_set *set, const struct mailbox_rules *rules, const struct address_list *list, struct arena *arena,
                       struct err *err) {
    for (size_t i = 0; i < list->n; i++) {
        char canonical[MAILBOX_MAX];
        if (mailbox_canon_domain(rules, list->items[i], canonical, err) != 0) {
            return at_member(err, "disables.domains", i);
        }
        if (add(&set->domains, canonical, DOOMED_DOMAIN, arena, err) != 0) {
            return -1;
        }
    }
    return 0;
}

const struct doomed_set *doomed_set_new(const struct mailbox_rules *rules, const struct disables *disables,
                                        const struct address_list *audience, struct arena *arena, struct err *err) {
    static const struct address_list nobody = {NULL, 0};
    const struct address_list *others = disables->audience_accounts && audience != NULL ? audience : &nobody;
    struct doomed_set *set = arena_alloc(arena, sizeof *set);
    if (set == NULL || str_map_init(&set->accounts, disables->accounts.n + others->n, arena) != 0 ||
        str_map_init(&set->domains, disables->domains.n, arena) != 0) {
        (void)err_no_memory(err);
        return NULL;
    }
    if (add_accounts(set, rules, &disables->accounts, "disables.accounts", DOOMED_ACCOUNT, arena, err) != 0 ||
        add_domains(set, rules, &disables->domains, arena, err) != 0 ||
        add_accounts(set, rules, others, "audience", DOOMED_AUDIENCE, arena, err) != 0) {
        return NULL;
    }
    return set;
}

enum doomed_why doomed_set_find(const struct doomed_set *set, const char *canonical) {
    size_t why = DOOMED_NOT;
    if (str_map_find(&set->accounts, canonical, &why)) {
        return (enum doomed_why)why;
    }
    const char *at = set->domains.n == 0 ? NULL : strchr(canonical, '@');
    return at != NULL && str_map_find(&set->domains, at + 1, NULL) ? DOOMED_DOMAIN : DOOMED_NOT;
}

bool doomed_set_has(const struct doomed_set *set, const char *canonical) {
    return doomed_set_find(set, canonical) != DOOMED_NOT;
}
