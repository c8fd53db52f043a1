/* receipt: what a provider tells us later about a message: delivered, failed, read. Pure: a request as it came in; whether it is
 * genuine, and what it says, out. listener.c receives them; docs/gateways.md lists what each provider sends. */
#ifndef REACH_CHANNELS_RECEIPT_H
#define REACH_CHANNELS_RECEIPT_H

#include "base/arena.h"
#include "base/err.h"
#include "channels/http_description.h"

#include <stdint.h>

enum receipt_signature {
    RECEIPT_UNSIGNED,        /* receipts are not taken over HTTP */
    RECEIPT_SECRET_PATH,     /* the path ends with the secret (Kannel) */
    RECEIPT_TWILIO,          /* X-Twilio-Signature: HMAC-SHA1 over public URL and sorted parameters */
    RECEIPT_VONAGE_JWT,      /* Authorization: Bearer, HS256, with a hash of the body */
    RECEIPT_PLIVO_V2,        /* X-Plivo-Signature-V2: HMAC-SHA256 over URL and nonce; the body is not covered */
    RECEIPT_MESSAGEBIRD_JWT, /* MessageBird-Signature-JWT: HS256, with hashes of URL and body */
    RECEIPT_SNS              /* Amazon SNS message, RSA, certificate from an Amazon host */
};

/* A request of a provider. Everything is borrowed; strings are never NULL unless it says so. */
struct receipt_request {
    const char *url;         /* public, exactly as the provider called it, with the query */
    const char *topic;       /* SNS: the ARN of the only topic that counts; or NULL */
    const char *path_secret; /* what followed the gateway's name in the path, or "" */
    const char *query;       /* without '?' */
    const char *body;        /* NUL-terminated */
    size_t body_len;
    const char *(*header)(const void *ctx, const char *name); /* NULL where there is none */
    const void *ctx;
};

struct provider_receipt {
    char ref[128];      /* the gateway's id of the message */
    const char *status; /* "delivered", "failed", "bounced", "seen", "acknowledged"; static */
    char code[32];      /* provider's code of a failure, or "" */
};

struct receipt_rule; /* lives in the arena */

/* Compiles the receipts' side of a description. NULL with *err naming the key at fault. `description` is borrowed. */
const struct receipt_rule *receipt_rule_new(const struct http_description *description, struct arena *arena, struct err *err);

/* Whether the provider sends receipts that this rule can read and verify. */
bool receipt_rule_is_usable(const struct receipt_rule *rule);

/* RECEIPT_SNS only: address of the certificate the request says it is signed with, in the arena; NULL where it is not one of
 * Amazon's ("https://sns.REGION.amazonaws.com/...pem"). The caller fetches it and passes it on as the key. */
const char *receipt_certificate_url(const struct receipt_rule *rule, const struct receipt_request *request, struct arena *arena);

/* Checks the signature in constant time, and that it is not older or younger than five minutes (an hour for SNS) where the provider signs a
 * time. `key`: the secret, or the certificate (PEM) for SNS. 0 genuine, -1 with *err (one line, no secret in it). */
int receipt_verify(const struct receipt_rule *rule, const struct receipt_request *request, const char *key, int64_t now_ms,
                   struct err *err);

/* RECEIPT_SNS only: whether a genuine request asks to confirm a subscription, and the address that confirms it (in the arena; NULL where it
 * is not one of Amazon's). */
bool receipt_is_subscription(const struct receipt_rule *rule, const struct receipt_request *request);
const char *receipt_subscription_url(const struct receipt_rule *rule, const struct receipt_request *request, struct arena *arena);

/* Reads what a genuine request says: the number of receipts put into out (0: nothing of interest, such as "queued"), or -1 with *err
 * where it cannot be read. */
int receipt_read(const struct receipt_rule *rule, const struct receipt_request *request, struct provider_receipt *out, size_t cap,
                 struct err *err);

#endif
