/* mailbox: when two addresses are the same mailbox. Pure.
 *
 * The canonical form: domain by IDNA (UTS 46 non-transitional, A-labels), lower case, no trailing dot, an own domain's
 * aliases replaced by its main name; local part case-folded and, for own domains as configured, without "+tag" and dots. */
#ifndef REACH_CORE_MAILBOX_H
#define REACH_CORE_MAILBOX_H

#include "base/arena.h"
#include "base/conf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* As configured (section `own_domains`, contract.md). */
struct own_domain {
    const char *domain;
    struct conf_strings aliases;
    bool subdomains;
    bool plus_addressing;
    bool dots_ignored;
};

/* The configuration table of one own domain. */
extern const struct conf_table own_domain_table;

struct mailbox_rules; /* compiled own domains; immutable; lives in the arena it was made in */

/* Compiles `n` own domains. NULL with *err where a domain is invalid or stands twice. */
const struct mailbox_rules *mailbox_rules_new(const struct own_domain *domains, size_t n, struct arena *arena, struct err *err);

#define MAILBOX_MAX 400

/* Writes the canonical form of a mailbox address. 0, or -1 with *err saying in words what is wrong with the address (the
 * address itself is not in the text). A local part outside ASCII is valid here (it can be compared), but see
 * mailbox_wire(). */
int mailbox_canon(const struct mailbox_rules *rules, const char *address, char out[MAILBOX_MAX], struct err *err);

/* Writes the canonical form of a domain (for `disables.domains`), own aliases replaced. 0 or -1 with *err. */
int mailbox_canon_domain(const struct mailbox_rules *rules, const char *domain, char out[MAILBOX_MAX], struct err *err);

/* Writes the address as it goes on the wire: local part as given, domain as A-labels, nothing folded but the domain. -1 with
 * *err for an address that needs SMTPUTF8 (RFC 6531), which libesmtp cannot send. */
int mailbox_wire(const char *address, char out[MAILBOX_MAX], struct err *err);

/* Whether mail can be sent to a valid address at all: mailbox_wire() would take it. */
bool mailbox_is_sendable(const char *address);

/* A sentence about a canonical mailbox that the eye may take for another: one whose parts mix scripts, or whose domain looks like an own
 * domain and is none. NULL for any other. It does not make the address a wrong one. The sentence is a constant. */
const char *mailbox_warning(const struct mailbox_rules *rules, const char *canonical);

/* E.164: '+' and 7..15 digits, no leading zero. 0, or -1 with *err. */
int phone_check(const char *number, struct err *err);

#endif
