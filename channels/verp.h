/* verp: the envelope sender of each mail, made so that a bounce names the mail it is about and nobody else can make one up.
 *
 *     bounce@bounces.example  and key 5f…  become  bounce+5f…-0123456789abcdef@bounces.example
 *
 * The part behind '-' is the beginning of HMAC-SHA256(secret, key); without a secret it is left out. Pure. */
#ifndef REACH_CHANNELS_VERP_H
#define REACH_CHANNELS_VERP_H

#include "base/err.h"
#include "base/smtp_address.h"

enum { VERP_KEY_MAX = 32, VERP_TAG_LEN = 16 };

struct verp {
    const char *base;   /* has passed smtp_address_check() and verp_check() */
    const char *secret; /* NULL: no tag; a bounce cannot be verified then */
};

/* Whether `base` leaves room in its local part for the longest key and the tag. 0, or -1 with *err. */
int verp_check(const char *base, struct err *err);

/* Writes the envelope sender for the mail with that key (1..VERP_KEY_MAX hexadecimal digits). 0, or -1 with *err. */
int verp_write(const struct verp *verp, const char *key, char out[SMTP_ADDRESS_MAX + 1], struct err *err);

/* Reads the key out of an address that verp_write() made (letters may have changed their case on the way). 1 and key_r where tag and base
 * are right; 0 where the address is none of this base; -1 with *err where it is but must not be believed (no secret, wrong tag). */
int verp_read(const struct verp *verp, const char *address, char key_r[VERP_KEY_MAX + 1], struct err *err);

#endif
