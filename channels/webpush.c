/* webpush: see webpush.h.
 *
 * RFC 8291 in short: a fresh P-256 key pair and the browser's public key give a shared secret (ECDH); HKDF-SHA-256 with the browser's
 * auth secret turns it into keying material bound to both public keys; HKDF with a fresh salt gives the AES-128-GCM key and nonce.
 * The body is salt, record size, our public key and one encrypted record that ends with the delimiter 0x02 (RFC 8188).
 *
 * OpenSSL does the arithmetic. A browser's key comes from outside: a point that is not on the curve is refused by OpenSSL when it is
 * decoded, and the message is then rejected, not retried. Key material is wiped. Knows nothing of HTTP. */
#include "channels/webpush.h"

#include "base/json.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_BYTES = 4096, TAG_BYTES = 16, KEY_BYTES = 16, NONCE_BYTES = 12 };

/* ---- base64url ------------------------------------------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void webpush_base64_put(struct buf *out, const unsigned char *data, size_t len) {
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16 | (n > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (n > 2 ? data[i + 2] : 0);
        for (size_t k = 0; k <= n; k++) {
            buf_putc(out, alphabet[bits >> (18 - 6 * k) & 63]);
        }
    }
}

/* The value of a digit of base64 or base64url, or -1. */
static int digit_value(char c) {
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at != NULL ? (int)(at - alphabet) : c == '+' ? 62 : c == '/' ? 63 : -1;
}

int webpush_base64_get(const char *text, size_t len, unsigned char *out, size_t cap) {
    while (len > 0 && text[len - 1] == '=') {
        len--;
    }
    if (len % 4 == 1) {
        return -1;
    }
    size_t n = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        int value = digit_value(text[i]);
        if (value < 0) {
            return -1;
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0) {
            if (n == cap) {
                return -1;
            }
            out[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
        }
    }
    return (int)n;
}

/* ---- subscriptions --------------------------------------------------------------------------------------------------- */

/* Printable ASCII, http(s), no credentials. */
static int check_endpoint(const char *endpoint, size_t len, struct err *err) {
    size_t scheme = strncmp(endpoint, "https://", 8) == 0 ? 8 : strncmp(endpoint, "http://", 7) == 0 ? 7 : 0;
    size_t host = scheme == 0 ? 0 : strcspn(endpoint + scheme, "/?#");
    if (host == 0 || memchr(endpoint + scheme, '@', host) != NULL || len >= sizeof((struct webpush_subscription *)0)->endpoint) {
        return err_set(err, ERR_MEMBER, "the subscription's endpoint is not an address");
    }
    for (size_t i = 0; i < len; i++) {
        if (endpoint[i] <= ' ' || endpoint[i] > '~') {
            return err_set(err, ERR_MEMBER, "the subscription's endpoint is not an address");
        }
    }
    return 0;
}

static int fill(struct webpush_subscription *subscription, const char *const part[3], const size_t len[3], struct err *err) {
    if (check_endpoint(part[0], len[0], err) < 0) {
        return -1;
    }
    memcpy(subscription->endpoint, part[0], len[0]);
    subscription->endpoint[len[0]] = '\0';
    if (webpush_base64_get(part[1], len[1], subscription->p256dh, WEBPUSH_POINT_BYTES) != WEBPUSH_POINT_BYTES ||
        subscription->p256dh[0] != 4) {
        return err_set(err, ERR_MEMBER, "the subscription's p256dh is not an uncompressed P-256 key");
    }
    if (webpush_base64_get(part[2], len[2], subscription->auth, WEBPUSH_AUTH_BYTES) != WEBPUSH_AUTH_BYTES) {
        return err_set(err, ERR_MEMBER, "the subscription's auth is not 16 bytes");
    }
    return 0;
}

static int parse_json(const char *text, struct webpush_subscription *subscription, struct err *err) {
    json_t *json = json_parse_strict(text, strlen(text), 0, err);
    json_t *keys = json_object_get(json, "keys");
    json_t *parts[3] = {json_object_get(json, "endpoint"), json_object_get(keys, "p256dh"), json_object_get(keys, "auth")};
    const char *part[3] = {NULL};
    size_t len[3] = {0};
    int result = 0;
    for (size_t i = 0; i < 3; i++) {
        part[i] = json_string_value(parts[i]);
        len[i] = json_string_length(parts[i]);
        result = part[i] == NULL ? -1 : result;
    }
    if (result < 0) {
        (void)err_set(err, ERR_MEMBER, "the subscription lacks endpoint, keys.p256dh or keys.auth");
    } else {
        result = fill(subscription, part, len, err);
    }
    json_decref(json);
    return result;
}

int webpush_subscription_parse(const char *text, struct webpush_subscription *subscription, struct err *err) {
    if (text[0] == '{') {
        return parse_json(text, subscription, err);
    }
    const char *part[3];
    size_t len[3];
    for (size_t i = 0; i < 3; i++) {
        part[i] = text;
        len[i] = strcspn(text, " ");
        text += len[i] + strspn(text + len[i], " ");
    }
    if (len[2] == 0 || text[0] != '\0') {
        return err_set(err, ERR_MEMBER, "the contact point is no Web Push subscription");
    }
    return fill(subscription, part, len, err);
}

const char *webpush_endpoint(const struct webpush_subscription *subscription) {
    return subscription->endpoint;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

/* An EVP key out of a public point and, where given, a private scalar. NULL on failure. */
static EVP_PKEY *key_of(const unsigned char point[WEBPUSH_POINT_BYTES], BIGNUM *scalar) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (ctx != NULL && build != NULL && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, WEBPUSH_POINT_BYTES) == 1 &&
        (scalar == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar) == 1) &&
        (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(ctx) == 1) {
        (void)EVP_PKEY_fromdata(ctx, &key, scalar == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* The public point of a private scalar. 0 or -1. */
static int point_of(const BIGNUM *scalar, unsigned char point[WEBPUSH_POINT_BYTES]) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *public_point = group == NULL ? NULL : EC_POINT_new(group);
    size_t len = 0;
    if (public_point != NULL && EC_POINT_mul(group, public_point, scalar, NULL, NULL, NULL) == 1) {
        len = EC_POINT_point2oct(group, public_point, POINT_CONVERSION_UNCOMPRESSED, point, WEBPUSH_POINT_BYTES, NULL);
    }
    EC_POINT_free(public_point);
    EC_GROUP_free(group);
    return len == WEBPUSH_POINT_BYTES ? 0 : -1;
}

static EVP_PKEY *key_from_scalar(const unsigned char private_key[32], unsigned char point[WEBPUSH_POINT_BYTES]) {
    BIGNUM *scalar = BN_bin2bn(private_key, 32, NULL);
    EVP_PKEY *key = scalar != NULL && point_of(scalar, point) == 0 ? key_of(point, scalar) : NULL;
    BN_clear_free(scalar);
    return key;
}

static EVP_PKEY *key_fresh(unsigned char point[WEBPUSH_POINT_BYTES]) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    size_t len = 0;
    if (key != NULL && (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, WEBPUSH_POINT_BYTES, &len) != 1 ||
                        len != WEBPUSH_POINT_BYTES)) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static int derive(EVP_PKEY *ours, EVP_PKEY *theirs, unsigned char secret[32]) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ours, NULL);
    size_t len = 32;
    bool done = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, theirs) == 1 &&
                EVP_PKEY_derive(ctx, secret, &len) == 1 && len == 32;
    EVP_PKEY_CTX_free(ctx);
    return done ? 0 : -1;
}

/* HKDF-SHA-256 (RFC 5869). 0 or -1. */
static int hkdf(const void *salt, size_t salt_len, const void *key, size_t key_len, const void *info, size_t info_len, unsigned char *out,
                size_t out_len) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    char digest[] = "SHA256";
    /* OpenSSL's parameters are not const, but it only reads these. */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_len),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, key_len),
                           OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, info_len),
                           OSSL_PARAM_construct_end()};
    bool done = ctx != NULL && EVP_KDF_derive(ctx, out, out_len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return done ? 0 : -1;
}

/* ---- encryption ------------------------------------------------------------------------------------------------------ */

struct keys {
    unsigned char secret[32];   /* ECDH */
    unsigned char material[32]; /* IKM of RFC 8291 section 3.4 */
    unsigned char key[KEY_BYTES];
    unsigned char nonce[NONCE_BYTES];
};

static int make_keys(const struct webpush_subscription *subscription, EVP_PKEY *ours, const unsigned char our_point[WEBPUSH_POINT_BYTES],
                     const unsigned char salt[WEBPUSH_SALT_BYTES], struct keys *keys, struct err *err) {
    static const char key_info[] = "Content-Encoding: aes128gcm";
    static const char nonce_info[] = "Content-Encoding: nonce";
    unsigned char info[14 + 2 * WEBPUSH_POINT_BYTES] = "WebPush: info";
    memcpy(info + 14, subscription->p256dh, WEBPUSH_POINT_BYTES);
    memcpy(info + 14 + WEBPUSH_POINT_BYTES, our_point, WEBPUSH_POINT_BYTES);
    EVP_PKEY *theirs = key_of(subscription->p256dh, NULL);
    if (theirs == NULL) {
        return err_set(err, ERR_MEMBER, "the subscription's p256dh is not a point of the curve P-256");
    }
    int result = derive(ours, theirs, keys->secret);
    EVP_PKEY_free(theirs);
    if (result < 0 || hkdf(subscription->auth, WEBPUSH_AUTH_BYTES, keys->secret, 32, info, sizeof info, keys->material, 32) < 0 ||
        hkdf(salt, WEBPUSH_SALT_BYTES, keys->material, 32, key_info, sizeof key_info, keys->key, KEY_BYTES) < 0 ||
        hkdf(salt, WEBPUSH_SALT_BYTES, keys->material, 32, nonce_info, sizeof nonce_info, keys->nonce, NONCE_BYTES) < 0) {
        return err_set(err, ERR_SYSTEM, "OpenSSL cannot derive the key of a Web Push message");
    }
    return 0;
}

/* Encrypts plain and the delimiter of the last record. 0 or -1. */
static int seal(const struct keys *keys, const char *plain, size_t len, unsigned char *out) {
    static const unsigned char last_record = 2;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;
    int n_last = 0;
    bool done = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, keys->key, keys->nonce) == 1 &&
                EVP_EncryptUpdate(ctx, out, &n, (const unsigned char *)plain, (int)len) == 1 &&
                EVP_EncryptUpdate(ctx, out + len, &n_last, &last_record, 1) == 1 && EVP_EncryptFinal_ex(ctx, out + len + 1, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + len + 1) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done ? 0 : -1;
}

static int encrypt(const struct webpush_subscription *subscription, EVP_PKEY *ours, const unsigned char point[WEBPUSH_POINT_BYTES],
                   const unsigned char salt[WEBPUSH_SALT_BYTES], const char *plain, size_t len, struct buf *out, struct err *err) {
    if (len > WEBPUSH_PLAIN_MAX_BYTES) {
        return err_set(err, ERR_MEMBER, "%zu bytes are more than the %d of a Web Push message", len, WEBPUSH_PLAIN_MAX_BYTES);
    }
    struct keys keys;
    unsigned char sealed[WEBPUSH_PLAIN_MAX_BYTES + 1 + TAG_BYTES];
    int result = make_keys(subscription, ours, point, salt, &keys, err);
    if (result == 0 && seal(&keys, plain, len, sealed) < 0) {
        result = err_set(err, ERR_SYSTEM, "OpenSSL cannot encrypt a Web Push message");
    }
    if (result == 0) {
        const unsigned char record_size[5] = {0, 0, RECORD_BYTES >> 8, RECORD_BYTES & 255, WEBPUSH_POINT_BYTES};
        buf_put(out, salt, WEBPUSH_SALT_BYTES);
        buf_put(out, record_size, sizeof record_size);
        buf_put(out, point, WEBPUSH_POINT_BYTES);
        buf_put(out, sealed, len + 1 + TAG_BYTES);
        result = out->failed ? err_no_memory(err) : 0;
    }
    OPENSSL_cleanse(&keys, sizeof keys);
    return result;
}

int webpush_encrypt(const struct webpush_subscription *subscription, const char *plain, size_t len, struct buf *out, struct err *err) {
    unsigned char point[WEBPUSH_POINT_BYTES];
    unsigned char salt[WEBPUSH_SALT_BYTES];
    EVP_PKEY *ours = key_fresh(point);
    if (ours == NULL || RAND_bytes(salt, sizeof salt) != 1) {
        EVP_PKEY_free(ours);
        return err_set(err, ERR_SYSTEM, "OpenSSL cannot make a key for a Web Push message");
    }
    int result = encrypt(subscription, ours, point, salt, plain, len, out, err);
    EVP_PKEY_free(ours);
    return result;
}

int webpush_encrypt_with(const struct webpush_subscription *subscription, const unsigned char private_key[32],
                         const unsigned char salt[WEBPUSH_SALT_BYTES], const char *plain, size_t len, struct buf *out, struct err *err) {
    unsigned char point[WEBPUSH_POINT_BYTES];
    EVP_PKEY *ours = key_from_scalar(private_key, point);
    if (ours == NULL) {
        return err_set(err, ERR_SYSTEM, "OpenSSL does not take the given key");
    }
    int result = encrypt(subscription, ours, point, salt, plain, len, out, err);
    EVP_PKEY_free(ours);
    return result;
}
