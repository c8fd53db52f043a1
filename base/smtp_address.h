/* smtp_address: which mail addresses may go on the wire, and their parts. Pure. */
#ifndef REACH_BASE_SMTP_ADDRESS_H
#define REACH_BASE_SMTP_ADDRESS_H

#include "base/err.h"

#include <stddef.h>

/* Longest address (RFC 5321 section 4.5.3.1.3: 256 octets with its brackets). */
enum { SMTP_ADDRESS_MAX = 254, SMTP_LOCAL_MAX = 64 };

/* Whether `address` is a plain mailbox that can go to a server without SMTPUTF8: dot-atom "@" host name, ASCII (IDN as A-labels).
 * Quoted local parts and address literals are refused: no customer has one and they have been the way in for many. 0, or -1 with *err. */
int smtp_address_check(const char *address, struct err *err);

/* The part behind the '@'; borrowed. "" where there is none. */
const char *smtp_address_domain(const char *address);

#endif
