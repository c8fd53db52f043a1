/* doomed: what dies with a change, as a set that can be asked. Private to the core; built through reach.h. */
#ifndef REACH_CORE_DOOMED_H
#define REACH_CORE_DOOMED_H

#include "dispatcher/core/reach.h"

enum doomed_why {
    DOOMED_NOT,
    DOOMED_ACCOUNT, /* it is one of the accounts */
    DOOMED_DOMAIN,  /* its whole domain dies */
    DOOMED_AUDIENCE /* it is the account of somebody else in the audience */
};

/* Whether a canonical mailbox or number dies, and why. */
enum doomed_why doomed_set_find(const struct doomed_set *set, const char *canonical);

/* How targets and accounts are read: mailboxes hold an '@', numbers begin with '+', anything else is a token or login. */
enum address_kind address_kind_of(const char *address);

#define ADDRESS_TEXT_MAX 4096 /* longest token or login */

/* The canonical form of an address of a kind. *canon_r is `buffer` or, for tokens and logins, the address itself. 0, or -1. */
int address_canon(const struct mailbox_rules *rules, enum address_kind kind, const char *address, char buffer[MAILBOX_MAX],
                  const char **canon_r, struct err *err);

#endif
