/* verp: see verp.h.
 *
 * A bounce can withdraw a clearance and mark a contact point as dead, so it must not be possible to invent one: who does not
 * know the secret cannot write an address that verp_read() believes. (Whoever received a mail knows its own address; a false
 * bounce of one's own notice harms nobody else.) Tags are compared in constant time.
 *
 * Does not: remember keys. A key that was never sent is found out by whoever looks it up. */
#include "channels/verp.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char hex_digits[] = "0123456789abcdef";

int verp_check(const char *base, struct err *err) {
    size_t room = SMTP_LOCAL_MAX - 1 - VERP_KEY_MAX - 1 - VERP_TAG_LEN;
    size_t local = strcspn(base, "@");
    if (local > room || strlen(base) + SMTP_LOCAL_MAX - local > SMTP_ADDRESS_MAX) {
        return err_set(err, ERR_LIMIT, "the part before @ may have %zu characters at most, since the notice's key is added to it", room);
    }
    return 0;
}

/* The tag of a key in lower case. */
static int make_tag(const char *secret, const char *key, char out[VERP_TAG_LEN + 1]) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)key, strlen(key), mac, &len) == NULL ||
        len < VERP_TAG_LEN / 2) {
        return -1;
    }
    for (size_t i = 0; i < VERP_TAG_LEN; i++) {
        out[i] = hex_digits[i % 2 == 0 ? mac[i / 2] >> 4 : mac[i / 2] & 15];
    }
    out[VERP_TAG_LEN] = '\0';
    return 0;
}

static size_t key_len(const char *key) {
    size_t len = strspn(key, hex_digits);
    return len <= VERP_KEY_MAX ? len : 0;
}

int verp_write(const struct verp *verp, const char *key, char out[SMTP_ADDRESS_MAX + 1], struct err *err) {
    char tag[VERP_TAG_LEN + 1] = "";
    size_t len = key_len(key);
    if (len == 0 || key[len] != '\0') {
        return err_member(err, "key", "a mail needs a key of 1 to %d hexadecimal digits", VERP_KEY_MAX);
    }
    if (verp->secret != NULL && make_tag(verp->secret, key, tag) != 0) {
        return err_no_memory(err);
    }
    size_t local = strcspn(verp->base, "@"); /* verp_check() has made sure that all of it fits */
    char *to = mempcpy(out, verp->base, local);
    *to++ = '+';
    to = mempcpy(to, key, len);
    if (tag[0] != '\0') {
        *to++ = '-';
        to = mempcpy(to, tag, VERP_TAG_LEN);
    }
    memcpy(to, verp->base + local, strlen(verp->base + local) + 1);
    return 0;
}

/* Cuts "base+" and "@domain" off a lower-case copy of the address: what stands between, or NULL. */
static const char *cut_out(const char *base, const char *address, char copy[SMTP_ADDRESS_MAX + 1]) {
    size_t len = strlen(address), local = strcspn(base, "@");
    const char *domain = base + local;
    if (len > SMTP_ADDRESS_MAX || len < local + 1 + strlen(domain) || strncasecmp(address, base, local) != 0 || address[local] != '+' ||
        strcasecmp(address + len - strlen(domain), domain) != 0) {
        return NULL;
    }
    for (size_t i = 0; i <= len; i++) {
        copy[i] = (char)tolower((unsigned char)address[i]);
    }
    copy[len - strlen(domain)] = '\0';
    return copy + local + 1;
}

int verp_read(const struct verp *verp, const char *address, char key_r[VERP_KEY_MAX + 1], struct err *err) {
    char copy[SMTP_ADDRESS_MAX + 1], tag[VERP_TAG_LEN + 1];
    const char *inner = cut_out(verp->base, address, copy);
    size_t len = inner == NULL ? 0 : key_len(inner);
    if (len == 0) {
        return 0;
    }
    if (verp->secret == NULL) {
        return err_set(err, ERR_CONFLICT, "the bounce cannot be verified: the gateway has no envelope_key_file");
    }
    (void)snprintf(key_r, VERP_KEY_MAX + 1, "%.*s", (int)len, inner);
    if (make_tag(verp->secret, key_r, tag) != 0) {
        return err_no_memory(err);
    }
    bool whole = inner[len] == '-' && strlen(inner + len + 1) == VERP_TAG_LEN;
    if (!whole || CRYPTO_memcmp(inner + len + 1, tag, VERP_TAG_LEN) != 0) {
        return err_set(err, ERR_CONFLICT, "the bounce was not sent to an address of ours: its tag is wrong");
    }
    return 1;
}
