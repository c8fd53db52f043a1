/* receipt_sns: messages of Amazon SNS: where their certificate is, whether they are genuine, what is in them. */
#ifndef REACH_CHANNELS_RECEIPT_SNS_H
#define REACH_CHANNELS_RECEIPT_SNS_H

#include "channels/receipt.h"

#include <jansson.h>

/* Whether a certificate may be fetched from there: https://sns.REGION.amazonaws.com[.cn]/....pem and nothing else. */
bool receipt_sns_certificate_ok(const char *url);

/* The address of the signing certificate that a message names, where receipt_sns_certificate_ok(); copied to the arena. NULL otherwise. */
const char *receipt_sns_certificate(const char *body, size_t len, struct arena *arena);

/* Verifies a message (signature versions 1 and 2) with its certificate (PEM), not older than an hour, and that it is of our topic: Amazon
 * signs everybody's topics with the same certificate, so the signature alone proves nothing. 0, or -1 with *err. */
int receipt_sns_check(const char *body, size_t len, const char *topic, const char *certificate, int64_t now_ms, struct err *err);

/* Whether it asks to confirm a subscription; and where that is done: https://sns.REGION.amazonaws.com[.cn]/?... and nothing else, in the
 * arena, else NULL. */
bool receipt_sns_is_subscription(const char *body, size_t len);
const char *receipt_sns_subscription_url(const char *body, size_t len, struct arena *arena);

/* The JSON text in `Message` of a Notification as a new object; NULL with *err for any other type of message. */
json_t *receipt_sns_inner(const char *body, size_t len, struct err *err);

#endif
