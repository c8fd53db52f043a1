/* idna: domain names by UTS 46 (non-transitional) through ICU. Pure; private to the core. */
#ifndef REACH_CORE_IDNA_H
#define REACH_CORE_IDNA_H

#include "base/err.h"

#include <stddef.h>

#define DOMAIN_MAX 254 /* RFC 1035 section 2.3.4 as text: 253 characters, and the NUL */

/* Writes the domain as lower-case A-labels without a trailing dot. `domain` is valid UTF-8 of `len` bytes. Refused: what
 * UTS 46 refuses with STD3 rules, CheckBidi, CheckContextJ; labels over 63, names over 253 bytes; a hyphen at either end of a
 * label; a single label; a last label that is a number (an IP address). Hyphens in places 3 and 4 of a label that is no
 * A-label are allowed: such names are in use. 0, or -1 with *err. */
int idna_to_ascii(const char *domain, size_t len, char out[DOMAIN_MAX], struct err *err);

/* The same always through ICU, for the test that compares the two. */
int idna_to_ascii_icu(const char *domain, size_t len, char out[DOMAIN_MAX], struct err *err);

/* Writes the case-folded, NFC form of a text (a local part outside ASCII), NUL-terminated. Refuses what is not a visible
 * character: controls, blanks, format characters (zero width, bidi), unassigned and private code points. 0, or -1 with *err. */
int idna_fold(const char *text, size_t len, char *out, size_t cap, struct err *err);

#endif
