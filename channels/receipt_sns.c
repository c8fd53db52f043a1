/* receipt_sns: see receipt_sns.h.
 *
 * SNS signs with RSA and says in the message itself where its certificate can be had, so everything hangs on that address: only
 * hosts of the form sns.REGION.amazonaws.com count, over https, which the caller fetches with TLS verified. The signed text is
 * a fixed list of members, name and value on a line each, as Amazon documents it. Anybody can have Amazon sign a message of a topic of
 * their own: only the topic that the operator has named counts, and only its subscription is confirmed. */
#include "channels/receipt_sns.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { AGE_MAX_MS = 3600000 };

/* What follows the slash after https://sns.REGION.amazonaws.com[.cn], or NULL where the address is none of Amazon's. */
static const char *after_host(const char *url) {
    static const char begin[] = "https://sns.";
    static const char *const ends[] = {".amazonaws.com/", ".amazonaws.com.cn/"};
    if (strncmp(url, begin, sizeof begin - 1) != 0) {
        return NULL;
    }
    const char *region = url + sizeof begin - 1;
    size_t region_len = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t len = strlen(ends[i]);
        if (region_len > 0 && strncmp(region + region_len, ends[i], len) == 0) {
            return region + region_len + len;
        }
    }
    return NULL;
}

#define WORD_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

bool receipt_sns_certificate_ok(const char *url) {
    const char *path = after_host(url);
    size_t plain = path == NULL ? 0 : strspn(path, WORD_CHARACTERS);
    return plain > 4 && path[plain] == '\0' && strcmp(path + plain - 4, ".pem") == 0;
}

static const char *member(json_t *json, const char *name) {
    const char *value = json_string_value(json_object_get(json, name));
    return value == NULL ? "" : value;
}

const char *receipt_sns_certificate(const char *body, size_t len, struct arena *arena) {
    struct err ignored;
    json_t *json = json_parse_strict(body, len, 0, &ignored);
    const char *url = member(json, "SigningCertURL");
    const char *copy = receipt_sns_certificate_ok(url) ? arena_strdup(arena, url) : NULL;
    json_decref(json);
    return copy;
}

bool receipt_sns_is_subscription(const char *body, size_t len) {
    struct err ignored;
    json_t *json = json_parse_strict(body, len, 0, &ignored);
    bool found = strcmp(member(json, "Type"), "SubscriptionConfirmation") == 0;
    json_decref(json);
    return found;
}

const char *receipt_sns_subscription_url(const char *body, size_t len, struct arena *arena) {
    struct err ignored;
    json_t *json = json_parse_strict(body, len, 0, &ignored);
    const char *url = member(json, "SubscribeURL");
    const char *query = after_host(url);
    bool ours = query != NULL && query[0] == '?' && query[strspn(query, WORD_CHARACTERS "?&=:%")] == '\0';
    const char *copy = ours ? arena_strdup(arena, url) : NULL;
    json_decref(json);
    return copy;
}

/* The text that is signed. */
static void put_signed(json_t *json, struct buf *out) {
    static const char *const notification[] = {"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", NULL};
    static const char *const confirmation[] = {"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type", NULL};
    bool notice = strcmp(member(json, "Type"), "Notification") == 0;
    for (const char *const *name = notice ? notification : confirmation; *name != NULL; name++) {
        if (json_is_string(json_object_get(json, *name))) {
            buf_putf(out, "%s\n%s\n", *name, member(json, *name));
        }
    }
}

static EVP_PKEY *certificate_key(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = certificate == NULL ? NULL : X509_get_pubkey(certificate);
    X509_free(certificate);
    BIO_free(bio);
    return key;
}

static bool signature_fits(EVP_PKEY *key, const EVP_MD *digest, const struct buf *text, const char *base64) {
    unsigned char signature[1024];
    size_t len = strlen(base64);
    if (len == 0 || len % 4 != 0 || len > sizeof signature || buf_str(text) == NULL) {
        return false;
    }
    int n = EVP_DecodeBlock(signature, (const unsigned char *)base64, (int)len);
    n -= n > 0 ? (base64[len - 1] == '=') + (base64[len - 2] == '=') : 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool fits = n > 0 && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, digest, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, signature, (size_t)n, (const unsigned char *)buf_str(text), text->len) == 1;
    EVP_MD_CTX_free(ctx);
    return fits;
}

static int check_time(json_t *json, int64_t now_ms, struct err *err) {
    int64_t at_ms = 0;
    if (time_parse(member(json, "Timestamp"), &at_ms) < 0 || at_ms < now_ms - AGE_MAX_MS || at_ms > now_ms + AGE_MAX_MS) {
        return err_set(err, ERR_CONFLICT, "the message is too old or from the future");
    }
    return 0;
}

int receipt_sns_check(const char *body, size_t len, const char *topic, const char *certificate, int64_t now_ms, struct err *err) {
    json_t *json = json_parse_strict(body, len, 0, err);
    if (json == NULL) {
        return -1;
    }
    const char *version = member(json, "SignatureVersion");
    const EVP_MD *digest = strcmp(version, "1") == 0 ? EVP_sha1() : strcmp(version, "2") == 0 ? EVP_sha256() : NULL;
    EVP_PKEY *key = certificate_key(certificate);
    struct buf text = BUF_INIT;
    put_signed(json, &text);
    int result = 0;
    if (digest == NULL || key == NULL || !signature_fits(key, digest, &text, member(json, "Signature"))) {
        result = err_set(err, ERR_CONFLICT, "the signature does not fit");
    } else if (topic == NULL || strcmp(member(json, "TopicArn"), topic) != 0) {
        result = err_set(err, ERR_CONFLICT, "the message is not of the topic that receipt_topic names");
    } else {
        result = check_time(json, now_ms, err);
    }
    buf_fini(&text);
    EVP_PKEY_free(key);
    json_decref(json);
    return result;
}

json_t *receipt_sns_inner(const char *body, size_t len, struct err *err) {
    json_t *json = json_parse_strict(body, len, 0, err);
    json_t *inner = NULL;
    if (json != NULL && strcmp(member(json, "Type"), "Notification") == 0) {
        const char *message = member(json, "Message");
        inner = json_parse_strict(message, strlen(message), 0, err);
    } else if (json != NULL) {
        (void)err_set(err, ERR_UNKNOWN, "this is no notification");
    }
    json_decref(json);
    return inner;
}
