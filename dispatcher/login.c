/* login: see login.h.
 *
 * Whoever types a login into the login page is not known yet, so what is shown there is found by a keyed hash: a copy of Redis tells nobody
 * who has a message, and a list of addresses cannot be tried against it without the key.
 *
 * Guarantees: the three steps are those of String.prototype.normalize and toLowerCase in JavaScript and of unicodedata.normalize and
 * str.lower in Python, so any website computes the same. Fails: where ICU has no data, or for bytes that are not UTF-8 (0: nobody has
 * such a login). Does not: look at mail aliases; a login is what is typed. */
#include "dispatcher/login.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

enum { UNITS = 4 * LOGIN_MAX_BYTES }; /* normalizing makes a text longer; what does not fit is no login */

static void put_hex(const unsigned char *bytes, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

static int keyed_hash(const char *key, const char *text, size_t len, unsigned char mac[EVP_MAX_MD_SIZE], struct err *err) {
    unsigned int n = 0;
    if (HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, len, mac, &n) == NULL || n != 32) {
        return err_set(err, ERR_SYSTEM, "libcrypto could not make a keyed hash");
    }
    return 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Steps 2 and 3. 1 and *len_r, 0 where it is no text or too long, -1 with *err. */
static int normalize(const char *login, size_t len, char *out, size_t cap, size_t *len_r, struct err *err) {
    UChar given[UNITS];
    UChar composed[UNITS];
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = 0;
    const UNormalizer2 *nfkc = unorm2_getNFKCInstance(&status);
    if (U_FAILURE(status)) {
        return err_set(err, ERR_SYSTEM, "ICU has no data to normalize with: %s", u_errorName(status));
    }
    (void)u_strFromUTF8(given, UNITS, &n, login, (int32_t)len, &status);
    n = unorm2_normalize(nfkc, given, n, composed, UNITS, &status);
    n = u_strToLower(given, UNITS, composed, n, "", &status);
    int32_t bytes = 0;
    (void)u_strToUTF8(out, (int32_t)cap, &bytes, given, n, &status);
    *len_r = (size_t)bytes;
    return U_SUCCESS(status) ? 1 : 0;
}

int login_hash(const char *key, const char *login, char out[LOGIN_HASH_LEN + 1], struct err *err) {
    char text[3 * UNITS + 1];
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len = strlen(login);
    while (len > 0 && is_blank(login[len - 1])) {
        len--;
    }
    while (len > 0 && is_blank(*login)) {
        login++;
        len--;
    }
    if (len == 0 || len > LOGIN_MAX_BYTES) {
        return 0;
    }
    int rc = normalize(login, len, text, sizeof text, &len, err);
    if (rc != 1) {
        return rc;
    }
    if (keyed_hash(key, text, len, mac, err) < 0) {
        return -1;
    }
    put_hex(mac, LOGIN_HASH_LEN / 2, out);
    return 1;
}

int login_ref(const char *key, const char *notice_id, char out[LOGIN_REF_LEN + 1], struct err *err) {
    char text[256];
    unsigned char mac[EVP_MAX_MD_SIZE];
    int len = snprintf(text, sizeof text, "notice\n%s", notice_id);
    if (keyed_hash(key, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1, mac, err) < 0) {
        return -1;
    }
    put_hex(mac, LOGIN_REF_LEN / 2, out);
    return 0;
}
