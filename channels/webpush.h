/* webpush: messages for browsers: the encryption of RFC 8291 (aes128gcm, RFC 8188) and the subscription a browser hands out. */
#ifndef REACH_CHANNELS_WEBPUSH_H
#define REACH_CHANNELS_WEBPUSH_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

enum { WEBPUSH_POINT_BYTES = 65, WEBPUSH_AUTH_BYTES = 16, WEBPUSH_SALT_BYTES = 16, WEBPUSH_PLAIN_MAX_BYTES = 3993 };

struct webpush_subscription {
    char endpoint[1024];
    unsigned char p256dh[WEBPUSH_POINT_BYTES]; /* the browser's public key, uncompressed P-256 point */
    unsigned char auth[WEBPUSH_AUTH_BYTES];    /* its authentication secret */
};

/* Parses {"endpoint":"https://...","keys":{"p256dh":"...","auth":"..."}} as JSON.stringify(subscription) gives it (other members are
 * ignored), or the same three values separated by blanks. 0, or -1 with *err ERR_MEMBER. */
int webpush_subscription_parse(const char *text, struct webpush_subscription *subscription, struct err *err);

const char *webpush_endpoint(const struct webpush_subscription *subscription);

/* Appends the encrypted body (one record, fresh key and salt). `len` up to WEBPUSH_PLAIN_MAX_BYTES, so that the whole stays within
 * the 4,096 bytes that every push service takes. 0, or -1 with *err: ERR_MEMBER where the subscription's key is not a point of the
 * curve or the text is too long. */
int webpush_encrypt(const struct webpush_subscription *subscription, const char *plain, size_t len, struct buf *out, struct err *err);

/* The same with a key pair (private scalar, 32 bytes) and salt given: for the RFC's own example. */
int webpush_encrypt_with(const struct webpush_subscription *subscription, const unsigned char private_key[32],
                         const unsigned char salt[WEBPUSH_SALT_BYTES], const char *plain, size_t len, struct buf *out, struct err *err);

/* base64url without padding (RFC 4648 section 5). Decoding ignores padding: the number of bytes, or -1 where it is not base64url or does
 * not fit. */
void webpush_base64_put(struct buf *out, const unsigned char *data, size_t len);
int webpush_base64_get(const char *text, size_t len, unsigned char *out, size_t cap);

#endif
