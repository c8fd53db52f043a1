/* receipt_sign: see receipt_sign.h.
 *
 * A receipt can set a message to delivered and so release an account for disabling: a forged one must not get in. OpenSSL makes the
 * hashes, libjwt checks the tokens; the algorithm of a token is fixed by us, never taken from the token (so "none" and a public key
 * used as a shared secret lead nowhere). Comparisons do not stop at the first difference.
 *
 * Providers that sign no time (Twilio, Plivo) leave replay to what follows: a receipt applied twice changes nothing, and final states
 * never change back. */
#include "channels/receipt_sign.h"

#include "base/buf.h"
#include "channels/webpush.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_S = 300, DIGEST_MAX = EVP_MAX_MD_SIZE };

static int forged(struct err *err) {
    return err_set(err, ERR_CONFLICT, "the signature does not fit");
}

static int unsigned_request(const char *header, struct err *err) {
    return err_set(err, ERR_CONFLICT, "there is no %s header", header);
}

/* Whether two texts are the same, in a time that only depends on their lengths. */
static bool same_text(const char *a, const char *b) {
    size_t len = strlen(a);
    return len == strlen(b) && CRYPTO_memcmp(a, b, len) == 0;
}

/* Hashes both, so that not even the secret's length shows. */
static bool same_secret(const char *a, const char *b) {
    unsigned char da[DIGEST_MAX];
    unsigned char db[DIGEST_MAX];
    return EVP_Digest(a, strlen(a), da, NULL, EVP_sha256(), NULL) == 1 && EVP_Digest(b, strlen(b), db, NULL, EVP_sha256(), NULL) == 1 &&
           CRYPTO_memcmp(da, db, 32) == 0;
}

int receipt_check_secret_path(const struct receipt_request *request, const char *secret, struct err *err) {
    return secret[0] != '\0' && same_secret(request->path_secret, secret) ? 0
                                                                          : err_set(err, ERR_CONFLICT, "the path does not hold the secret");
}

/* Whether base64(HMAC(key, text)) is `expected`. */
static bool hmac_fits(const EVP_MD *digest, const char *key, const struct buf *text, const char *expected) {
    unsigned char mac[DIGEST_MAX];
    unsigned int mac_len = 0;
    char base64[DIGEST_MAX * 2];
    if (buf_str(text) == NULL ||
        HMAC(digest, key, (int)strlen(key), (const unsigned char *)buf_str(text), text->len, mac, &mac_len) == NULL) {
        return false;
    }
    (void)EVP_EncodeBlock((unsigned char *)base64, mac, (int)mac_len);
    return same_text(base64, expected);
}

/* ---- Twilio ---------------------------------------------------------------------------------------------------------- */

static int by_name_then_value(const void *a, const void *b) {
    const struct evkeyval *const *pair_a = a;
    const struct evkeyval *const *pair_b = b;
    int order = strcmp((*pair_a)->key, (*pair_b)->key);
    return order != 0 ? order : strcmp((*pair_a)->value, (*pair_b)->value);
}

/* Appends every parameter, sorted; the same name and value twice counts once. 0 or -1. */
static int put_sorted(const struct evkeyvalq *fields, struct buf *out) {
    size_t n = 0;
    const struct evkeyval *pair;
    for (pair = fields->tqh_first; pair != NULL; pair = pair->next.tqe_next) {
        n++;
    }
    const struct evkeyval **sorted = calloc(n + 1, sizeof(const struct evkeyval *));
    if (sorted == NULL) {
        return -1;
    }
    n = 0;
    for (pair = fields->tqh_first; pair != NULL; pair = pair->next.tqe_next) {
        sorted[n++] = pair;
    }
    qsort(sorted, n, sizeof(const struct evkeyval *), by_name_then_value);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || by_name_then_value(&sorted[i - 1], &sorted[i]) != 0) {
            buf_puts(out, sorted[i]->key);
            buf_puts(out, sorted[i]->value);
        }
    }
    free(sorted);
    return 0;
}

int receipt_check_twilio(const struct receipt_request *request, const char *auth_token, struct err *err) {
    const char *given = request->header(request->ctx, "X-Twilio-Signature");
    if (given == NULL) {
        return unsigned_request("X-Twilio-Signature", err);
    }
    struct evkeyvalq fields = {NULL, NULL};
    if (request->body_len > 0 && evhttp_parse_query_str(request->body, &fields) != 0) {
        return err_set(err, ERR_SYNTAX, "the body is not a form");
    }
    struct buf text = BUF_INIT;
    buf_puts(&text, request->url);
    bool fits = put_sorted(&fields, &text) == 0 && hmac_fits(EVP_sha1(), auth_token, &text, given);
    evhttp_clear_headers(&fields);
    buf_fini(&text);
    return fits ? 0 : forged(err);
}

/* ---- Plivo ----------------------------------------------------------------------------------------------------------- */

int receipt_check_plivo(const struct receipt_request *request, const char *auth_token, struct err *err) {
    const char *given = request->header(request->ctx, "X-Plivo-Signature-V2");
    const char *nonce = request->header(request->ctx, "X-Plivo-Signature-V2-Nonce");
    if (given == NULL || nonce == NULL) {
        return unsigned_request("X-Plivo-Signature-V2", err);
    }
    struct buf text = BUF_INIT;
    buf_put(&text, request->url, strcspn(request->url, "?"));
    buf_puts(&text, nonce);
    bool fits = hmac_fits(EVP_sha256(), auth_token, &text, given);
    buf_fini(&text);
    return fits ? 0 : forged(err);
}

/* ---- tokens ---------------------------------------------------------------------------------------------------------- */

/* Verifies an HS256 token. NULL with *err; else to be freed with jwt_free(). */
static jwt_t *open_token(const char *token, const char *secret, struct err *err) {
    jwt_t *jwt = NULL;
    if (secret[0] == '\0' || jwt_decode(&jwt, token, (const unsigned char *)secret, (int)strlen(secret)) != 0) {
        (void)forged(err);
        return NULL;
    }
    if (jwt_get_alg(jwt) != JWT_ALG_HS256) {
        jwt_free(jwt);
        (void)forged(err);
        return NULL;
    }
    return jwt;
}

/* Whether a claim is the hex SHA-256 of a text. */
static bool hash_fits(jwt_t *jwt, const char *claim, const char *text, size_t len) {
    const char *given = jwt_get_grant(jwt, claim);
    unsigned char digest[DIGEST_MAX];
    if (given == NULL || EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return false;
    }
    char hex[65];
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    return same_text(hex, given);
}

int receipt_check_vonage(const struct receipt_request *request, const char *secret, int64_t now_ms, struct err *err) {
    const char *given = request->header(request->ctx, "Authorization");
    if (given == NULL || strncmp(given, "Bearer ", 7) != 0) {
        return unsigned_request("Authorization: Bearer", err);
    }
    jwt_t *jwt = open_token(given + 7, secret, err);
    if (jwt == NULL) {
        return -1;
    }
    int64_t age_s = now_ms / 1000 - jwt_get_grant_int(jwt, "iat");
    bool fresh = age_s >= -WINDOW_S && age_s <= WINDOW_S;
    bool fits = hash_fits(jwt, "payload_hash", request->body, request->body_len);
    jwt_free(jwt);
    if (!fresh) {
        return err_set(err, ERR_CONFLICT, "the signature is too old or from the future");
    }
    return fits ? 0 : forged(err);
}

int receipt_check_messagebird(const struct receipt_request *request, const char *secret, int64_t now_ms, struct err *err) {
    const char *given = request->header(request->ctx, "MessageBird-Signature-JWT");
    if (given == NULL) {
        return unsigned_request("MessageBird-Signature-JWT", err);
    }
    jwt_t *jwt = open_token(given, secret, err);
    if (jwt == NULL) {
        return -1;
    }
    int64_t now_s = now_ms / 1000;
    bool fresh = jwt_get_grant_int(jwt, "nbf") <= now_s + WINDOW_S && jwt_get_grant_int(jwt, "exp") >= now_s - 1;
    bool fits = hash_fits(jwt, "url_hash", request->url, strlen(request->url)) &&
                (request->body_len == 0 || hash_fits(jwt, "payload_hash", request->body, request->body_len));
    jwt_free(jwt);
    if (!fresh) {
        return err_set(err, ERR_CONFLICT, "the signature is too old or from the future");
    }
    return fits ? 0 : forged(err);
}
