/* auth_token: see auth_token.h.
 *
 * libjwt signs; this file fills the claims from their templates and refuses keys of the wrong kind with a sentence an operator can
 * act on, when the gateway is opened and not at the first message. The private key stays in the arena as the PEM text that libjwt
 * wants for every signature; it is never printed. */
#include "channels/auth_token.h"

#include "channels/http_fields.h"
#include "channels/webpush.h"

#include <inttypes.h>
#include <jwt.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct auth_token {
    jwt_alg_t algorithm;
    const char *pem;
    const struct http_fields *header;
    const struct http_fields *claims;
    char point[2 * WEBPUSH_POINT_BYTES]; /* base64url */
};

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

static EVP_PKEY *parse_key(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

static int read_point(struct auth_token *token, EVP_PKEY *key, struct err *err) {
    char group[32] = "";
    unsigned char point[WEBPUSH_POINT_BYTES];
    size_t len = 0;
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
        strcmp(group, "prime256v1") != 0 || EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) != 1 ||
        len != sizeof point) {
        return err_member(err, "secret_file", "must hold a P-256 private key (make one: openssl ecparam -name prime256v1 -genkey -noout)");
    }
    struct buf text = BUF_INIT;
    webpush_base64_put(&text, point, len);
    int result = text.failed ? err_no_memory(err) : 0;
    (void)snprintf(token->point, sizeof token->point, "%s", result == 0 ? text.data : "");
    buf_fini(&text);
    return result;
}

static int check_key(struct auth_token *token, struct err *err) {
    EVP_PKEY *key = parse_key(token->pem);
    int result = 0;
    if (key == NULL) {
        result = err_member(err, "secret_file", "must hold a private key in PEM form without a passphrase");
    } else if (token->algorithm == JWT_ALG_ES256) {
        result = read_point(token, key, err);
    } else if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < 2048) {
        result = err_member(err, "secret_file", "must hold an RSA private key of 2,048 bits or more");
    }
    EVP_PKEY_free(key);
    return result;
}

struct auth_token *auth_token_new(const struct http_description *description, const struct conf_pairs *constants, const char *pem,
                                  struct arena *arena, struct err *err) {
    struct auth_token *token = arena_alloc(arena, sizeof *token);
    if (token == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    bool elliptic = description->auth == HTTP_AUTH_JWT_ES256 || description->auth == HTTP_AUTH_VAPID;
    token->algorithm = elliptic ? JWT_ALG_ES256 : JWT_ALG_RS256;
    token->pem = pem;
    if (check_key(token, err) < 0) {
        return NULL;
    }
    token->header = http_fields_new("jwt_header", &description->jwt_header, true, constants, arena, err);
    token->claims = token->header == NULL ? NULL : http_fields_new("jwt_claims", &description->jwt_claims, true, constants, arena, err);
    if (token->claims == NULL || http_fields_check_json(token->header, err) < 0 || http_fields_check_json(token->claims, err) < 0) {
        return NULL;
    }
    return token;
}

const char *auth_token_point(const struct auth_token *token) {
    return token->point;
}

/* ---- signing --------------------------------------------------------------------------------------------------------- */

struct token_values {
    struct http_values values;
    char now[24];
    char end[24];
    char random[33];
};

static int set_values(struct token_values *all, const char *origin, int64_t now_s, int64_t end_s, struct err *err) {
    unsigned char random[16];
    if (RAND_bytes(random, sizeof random) != 1) {
        return err_set(err, ERR_SYSTEM, "OpenSSL has no random numbers");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(all->random + 2 * i, 3, "%02x", random[i]);
    }
    (void)snprintf(all->now, sizeof all->now, "%" PRId64, now_s);
    (void)snprintf(all->end, sizeof all->end, "%" PRId64, end_s);
    memset(&all->values, 0, sizeof all->values);
    all->values.text[HTTP_NOW_S] = all->now;
    all->values.text[HTTP_TOKEN_END_S] = all->end;
    all->values.text[HTTP_RANDOM] = all->random;
    all->values.text[HTTP_ORIGIN] = origin;
    return 0;
}

/* Hands a JSON object of fields to libjwt. 0 or -1. */
static int add_fields(jwt_t *jwt, int (*add)(jwt_t *jwt, const char *json), const struct http_fields *fields,
                      const struct http_values *values, struct err *err) {
    struct buf json = BUF_INIT;
    int result = http_fields_put_json(fields, values, &json, err);
    if (result == 0 && (buf_str(&json) == NULL || add(jwt, json.data) != 0)) {
        result = err_set(err, ERR_SYSTEM, "libjwt does not take the claims");
    }
    buf_fini(&json);
    return result;
}

int auth_token_sign(const struct auth_token *token, const char *origin, int64_t now_s, int64_t end_s, struct buf *out, struct err *err) {
    struct token_values all;
    jwt_t *jwt = NULL;
    char *text = NULL;
    int result = set_values(&all, origin, now_s, end_s, err);
    if (result == 0 && jwt_new(&jwt) != 0) {
        result = err_no_memory(err);
    }
    if (result == 0) {
        result = add_fields(jwt, jwt_add_headers_json, token->header, &all.values, err) < 0 ||
                         add_fields(jwt, jwt_add_grants_json, token->claims, &all.values, err) < 0
                     ? -1
                     : 0;
    }
    if (result == 0) {
        bool keyed = jwt_set_alg(jwt, token->algorithm, (const unsigned char *)token->pem, (int)strlen(token->pem)) == 0;
        text = keyed ? jwt_encode_str(jwt) : NULL;
        result = text != NULL ? 0 : err_member(err, "secret_file", "cannot sign a token with this key");
    }
    if (text != NULL) {
        buf_puts(out, text);
        free(text);
    }
    jwt_free(jwt);
    return result;
}
