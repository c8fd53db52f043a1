/* mailbox: see mailbox.h.
 *
 * What it is for: two spellings of one mailbox must compare equal, or a notice goes into the mailbox that is being disabled.
 * An address is split at its only '@'; the local part is checked as a dot-atom (RFC 5321 section 4.1.2, RFC 6531) and folded,
 * the domain goes through IDNA, and for the operator's own domains the aliases, subdomains, "+tags" and dots are
 * taken away as configured.
 *
 * Where two readings are possible, addresses are taken for the same mailbox rather than for two: that can only make a customer
 * look harder to reach than they are, and the desk finds out. The local parts of foreign domains are case-folded for that reason
 * although a server may tell them apart; their "+tags" are not touched, since there it would be a guess.
 *
 * Guarantees: mailbox_canon() of a canonical form is that form; the error never repeats the address.
 * Does not: ask the DNS, know public mail providers, or repair anything. */
#include "dispatcher/core/mailbox.h"

#include "base/text.h"
#include "dispatcher/core/hash.h"
#include "dispatcher/core/idna.h"
#include "dispatcher/core/lookalike.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LOCAL_LONGEST = 64, ADDRESS_LONGEST = 254 /* RFC 5321 section 4.5.3.1.3, without the angle brackets */ };

#define OWN(member) offsetof(struct own_domain, member)
static const struct conf_key own_domain_keys[] = {
    {.name = "domain", .type = CONF_STRING, .offset = OWN(domain), .required = true, .help = "a mail domain of your own"},
    {.name = "aliases",
     .type = CONF_STRINGS,
     .offset = OWN(aliases),
     .help = "other domains under which the same mailboxes can be reached"},
    {.name = "subdomains",
     .type = CONF_BOOL,
     .offset = OWN(subdomains),
     .initial = "false",
     .help = "true: ada@any.sub.walton.example is the mailbox ada@walton.example, likewise below the aliases"},
    {.name = "plus_addressing",
     .type = CONF_BOOL,
     .offset = OWN(plus_addressing),
     .initial = "true",
     .help = "true: ada+shop@ is ada@; say false only where \"+\" is an ordinary character of mailbox names"},
    {.name = "dots_ignored", .type = CONF_BOOL, .offset = OWN(dots_ignored), .initial = "false", .help = "true: a.da@ is ada@"},
};
#undef OWN

const struct conf_table own_domain_table = {
    .name = "own_domains",
    .keys = own_domain_keys,
    .n_keys = sizeof own_domain_keys / sizeof *own_domain_keys,
    .size = sizeof(struct own_domain),
    .where_offset = SIZE_MAX,
};

struct own_rule {
    const char *main; /* canonical name */
    bool subdomains;
    bool plus_addressing;
    bool dots_ignored;
};

struct mailbox_rules {
    struct own_rule *own;
    struct str_map by_name; /* every name and alias -> index in own */
    struct str_map by_look; /* their skeletons (lookalike.h) */
    bool any_subdomains;
};

/* ---- compiling ----------------------------------------------------------------------------------------------------- */

/* What the name looks like. A name of which ICU cannot tell looks like nothing. */
static int add_look(struct mailbox_rules *rules, const char *name, size_t i, struct arena *arena) {
    char skeleton[SKELETON_MAX];
    if (lookalike_skeleton(name, skeleton) != 0) {
        return 0;
    }
    const char *kept = arena_strdup(arena, skeleton);
    if (kept == NULL) {
        return -1;
    }
    (void)str_map_add(&rules->by_look, kept, i);
    return 0;
}

static int add_name(struct mailbox_rules *rules, const char *name, size_t i, const char *what, struct arena *arena, struct err *err) {
    char ascii[DOMAIN_MAX];
    if (!text_is_utf8(name, strlen(name))) {
        return err_set(err, ERR_MEMBER, "%s: the domain is not valid UTF-8", what);
    }
    if (idna_to_ascii(name, strlen(name), ascii, err) != 0) {
        return err_prefix(err, what);
    }
    const char *kept = arena_strdup(arena, ascii);
    if (kept == NULL) {
        return err_no_memory(err);
    }
    if (str_map_find(&rules->by_name, kept, NULL)) {
        return err_set(err, ERR_MEMBER, "%s: %s stands twice (a domain and its aliases may be named once)", what, ascii);
    }
    (void)str_map_add(&rules->by_name, kept, i);
    if (add_look(rules, kept, i, arena) != 0) {
        return err_no_memory(err);
    }
    if (rules->own[i].main == NULL) {
        rules->own[i].main = kept;
    }
    return 0;
}

static int add_own(struct mailbox_rules *rules, const struct own_domain *own, size_t i, struct arena *arena, struct err *err) {
    char what[64];
    rules->own[i] = (struct own_rule){NULL, own->subdomains, own->plus_addressing, own->dots_ignored};
    rules->any_subdomains |= own->subdomains;
    (void)snprintf(what, sizeof what, "own_domains[%zu].domain", i);
    if (add_name(rules, own->domain, i, what, arena, err) != 0) {
        return -1;
    }
    for (size_t k = 0; k < own->aliases.n; k++) {
        (void)snprintf(what, sizeof what, "own_domains[%zu].aliases[%zu]", i, k);
        if (add_name(rules, own->aliases.items[k], i, what, arena, err) != 0) {
            return -1;
        }
    }
    return 0;
}

const struct mailbox_rules *mailbox_rules_new(const struct own_domain *domains, size_t n, struct arena *arena, struct err *err) {
    struct mailbox_rules *rules = arena_alloc(arena, sizeof *rules);
    size_t names = n;
    for (size_t i = 0; i < n; i++) {
        names += domains[i].aliases.n;
    }
    if (rules == NULL || (rules->own = arena_array(arena, n, sizeof *rules->own)) == NULL ||
        str_map_init(&rules->by_name, names, arena) != 0 || str_map_init(&rules->by_look, names, arena) != 0) {
        (void)err_no_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (add_own(rules, &domains[i], i, arena, err) != 0) {
            return NULL;
        }
    }
    return rules;
}

/* The rule for a finished domain name, or NULL. */
static const struct own_rule *find_rule(const struct mailbox_rules *rules, const char *domain) {
    size_t i = 0;
    if (rules == NULL || rules->by_name.n == 0) {
        return NULL;
    }
    if (str_map_find(&rules->by_name, domain, &i)) {
        return &rules->own[i];
    }
    for (const char *dot = strchr(domain, '.'); rules->any_subdomains && dot != NULL; dot = strchr(dot + 1, '.')) {
        if (str_map_find(&rules->by_name, dot + 1, &i) && rules->own[i].subdomains) {
            return &rules->own[i];
        }
    }
    return NULL;
}

/* ---- the parts of an address --------------------------------------------------------------------------------------- */

/* Characters of an unquoted local part (RFC 5322 section 3.2.3, atext), '.' included, upper case as lower case; 0: not one. */
static inline char atom(char c) {
    static const char other[] = ".!#$%&'*+-/=?^_`{|}~";
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
        return c;
    }
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    if (c != '\0' && memchr(other, c, sizeof other - 1) != NULL) {
        return c;
    }
    return '\0';
}

struct parts {
    const char *local;
    size_t local_len;
    const char *domain;
    size_t domain_len;
    bool ascii_local;
};

/* What no part of an address may hold; and whether it is worth looking at at all. */
static int check_bytes(const char *address, size_t len, struct err *err) {
    bool ascii = true;
    if (len == 0) {
        return err_set(err, ERR_MEMBER, "the address is empty");
    }
    if (len > (size_t)4 * DOMAIN_MAX) {
        return err_set(err, ERR_MEMBER, "the address is longer than %d bytes", ADDRESS_LONGEST);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)address[i];
        if (c < 0x20 || c == 0x7f) {
            return err_set(err, ERR_MEMBER, "the address has a control character");
        }
        if (c == ' ') {
            return err_set(err, ERR_MEMBER, "the address has a space");
        }
        ascii &= c < 0x80;
    }
    return ascii || text_is_utf8(address, len) ? 0 : err_set(err, ERR_MEMBER, "the address is not valid UTF-8");
}

static int split(const char *address, size_t len, struct parts *parts, struct err *err) {
    const char *at = memchr(address, '@', len);
    size_t local_len = at == NULL ? len : (size_t)(at - address);
    *parts = (struct parts){address, local_len, address + local_len + 1, len - local_len - 1, true};
    if (address[0] == '"') {
        return err_set(err, ERR_MEMBER,
                       "the part before the '@' is in quotes; such addresses are refused because one mailbox can be "
                       "written in many ways in them and mail servers read them differently");
    }
    if (at == NULL) {
        return err_set(err, ERR_MEMBER, "the address has no '@'");
    }
    if (memchr(parts->domain, '@', parts->domain_len) != NULL) {
        return err_set(err, ERR_MEMBER, "the address has more than one '@'");
    }
    if (local_len == 0) {
        return err_set(err, ERR_MEMBER, "there is nothing before the '@'");
    }
    if (local_len > LOCAL_LONGEST) {
        return err_set(err, ERR_MEMBER, "the part before the '@' is longer than %d bytes", LOCAL_LONGEST);
    }
    if (parts->domain_len == 0) {
        return err_set(err, ERR_MEMBER, "there is nothing after the '@'");
    }
    if (parts->domain[0] == '[') {
        return err_set(err, ERR_MEMBER, "the domain is an IP address in brackets; only names are taken");
    }
    return 0;
}

static int check_local(struct parts *parts, struct err *err) {
    const char *local = parts->local;
    size_t len = parts->local_len;
    if (local[0] == '.' || local[len - 1] == '.') {
        return err_set(err, ERR_MEMBER, "the part before the '@' begins or ends with a dot");
    }
    for (size_t i = 0; i < len; i++) {
        char c = local[i];
        if ((unsigned char)c >= 0x80) {
            parts->ascii_local = false;
        } else if (atom(c) == '\0') {
            return err_set(err, ERR_MEMBER, "the part before the '@' has the character '%c', which is not allowed there", c);
        } else if (c == '.' && local[i + 1] == '.') {
            return err_set(err, ERR_MEMBER, "the part before the '@' has two dots in a row");
        }
    }
    return 0;
}

/* Splits and checks everything but the domain, whose A-labels it writes to `ascii`. */
static int parse(const char *address, struct parts *parts, char ascii[DOMAIN_MAX], struct err *err) {
    size_t len = strnlen(address, (size_t)4 * DOMAIN_MAX + 1);
    if (check_bytes(address, len, err) != 0 || split(address, len, parts, err) != 0 || check_local(parts, err) != 0 ||
        idna_to_ascii(parts->domain, parts->domain_len, ascii, err) != 0) {
        return -1;
    }
    if (parts->local_len + 1 + strlen(ascii) > ADDRESS_LONGEST) {
        return err_set(err, ERR_MEMBER, "the address is longer than %d bytes", ADDRESS_LONGEST);
    }
    return 0;
}

/* ---- the canonical form -------------------------------------------------------------------------------------------- */

static int fold_local(const struct parts *parts, char *out, size_t cap, struct err *err) {
    if (!parts->ascii_local) {
        if (idna_fold(parts->local, parts->local_len, out, cap, err) != 0) {
            return -1;
        }
        struct parts folded = {.local = out, .local_len = strlen(out)};
        return check_local(&folded, err); /* folding can give ASCII, such as ';' for the Greek question mark */
    }
    for (size_t i = 0; i < parts->local_len; i++) {
        out[i] = atom(parts->local[i]);
    }
    out[parts->local_len] = '\0';
    return 0;
}

/* Takes away what does not tell mailboxes of an own domain apart. */
static int apply_rule(const struct own_rule *rule, char *local, struct err *err) {
    char *plus = rule->plus_addressing ? strchr(local, '+') : NULL;
    if (plus != NULL) {
        *plus = '\0';
    }
    if (rule->dots_ignored) {
        char *to = local;
        for (const char *from = local; *from != '\0'; from++) {
            if (*from != '.') {
                *to++ = *from;
            }
        }
        *to = '\0';
    }
    size_t len = strlen(local);
    if (len == 0 || local[len - 1] == '.') {
        return err_set(err, ERR_MEMBER, "there is no mailbox name before the '+'");
    }
    return 0;
}

int mailbox_canon(const struct mailbox_rules *rules, const char *address, char out[MAILBOX_MAX], struct err *err) {
    struct parts parts;
    char domain[DOMAIN_MAX];
    if (parse(address, &parts, domain, err) != 0 || fold_local(&parts, out, MAILBOX_MAX, err) != 0) {
        return -1;
    }
    const struct own_rule *rule = find_rule(rules, domain);
    if (rule != NULL && apply_rule(rule, out, err) != 0) {
        return -1;
    }
    const char *name = rule != NULL ? rule->main : domain;
    size_t used = strlen(out), more = strlen(name);
    if (used + 1 + more >= MAILBOX_MAX) {
        return err_set(err, ERR_MEMBER, "the address is too long to be compared");
    }
    out[used] = '@';
    memcpy(out + used + 1, name, more + 1);
    return 0;
}

int mailbox_canon_domain(const struct mailbox_rules *rules, const char *domain, char out[MAILBOX_MAX], struct err *err) {
    char ascii[DOMAIN_MAX];
    size_t len = strnlen(domain, (size_t)4 * DOMAIN_MAX + 1);
    if (len == 0) {
        return err_set(err, ERR_MEMBER, "the domain is empty");
    }
    if (!text_is_utf8(domain, len)) {
        return err_set(err, ERR_MEMBER, "the domain is not valid UTF-8");
    }
    if (memchr(domain, '@', len) != NULL) {
        return err_set(err, ERR_MEMBER, "the domain has an '@'; is it an address?");
    }
    if (idna_to_ascii(domain, len, ascii, err) != 0) {
        return -1;
    }
    const struct own_rule *rule = find_rule(rules, ascii);
    (void)snprintf(out, MAILBOX_MAX, "%s", rule != NULL ? rule->main : ascii);
    return 0;
}

int mailbox_wire(const char *address, char out[MAILBOX_MAX], struct err *err) {
    struct parts parts;
    char domain[DOMAIN_MAX];
    if (parse(address, &parts, domain, err) != 0) {
        return -1;
    }
    if (!parts.ascii_local) {
        return err_set(err, ERR_MEMBER, "the part before the '@' is not ASCII: it needs SMTPUTF8 (RFC 6531), which mail is not sent with");
    }
    (void)snprintf(out, MAILBOX_MAX, "%.*s@%s", (int)parts.local_len, parts.local, domain);
    return 0;
}

bool mailbox_is_sendable(const char *address) {
    for (const char *p = address; *p != '\0' && *p != '@'; p++) {
        if ((*p & 0x80) != 0) {
            return false;
        }
    }
    return true;
}

const char *mailbox_warning(const struct mailbox_rules *rules, const char *canonical) {
    char skeleton[SKELETON_MAX];
    const char *at = strchr(canonical, '@');
    if (at == NULL || lookalike_is_plain(canonical)) {
        return NULL;
    }
    if (rules != NULL && find_rule(rules, at + 1) == NULL && lookalike_skeleton(at + 1, skeleton) == 0 &&
        str_map_find(&rules->by_look, skeleton, NULL)) {
        return "its domain looks like one of our own and is another";
    }
    return lookalike_is_mixed(canonical) ? "it mixes letters of several scripts, which makes it look like another address" : NULL;
}

int phone_check(const char *number, struct err *err) {
    if (number[0] != '+') {
        return err_set(err, ERR_MEMBER, "the number does not begin with '+' (E.164, such as +441632960001)");
    }
    size_t digits = strspn(number + 1, "0123456789");
    if (number[1 + digits] != '\0') {
        return err_set(err, ERR_MEMBER, "the number has something other than digits after the '+' (E.164, such as +441632960001)");
    }
    if (number[1] == '0') {
        return err_set(err, ERR_MEMBER, "the number begins with a zero after the '+'; a country code does not");
    }
    if (digits < 7 || digits > 15) {
        return err_set(err, ERR_MEMBER, "the number has %s digits (E.164: 7 to 15)", digits < 7 ? "too few" : "too many");
    }
    return 0;
}
