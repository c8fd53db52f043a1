/* receipt_sign: the signatures that providers put on their receipts, one function each. All compare in constant time and
 * return 0 for a genuine one, -1 with *err otherwise. */
#ifndef REACH_CHANNELS_RECEIPT_SIGN_H
#define REACH_CHANNELS_RECEIPT_SIGN_H

#include "channels/receipt.h"

int receipt_check_secret_path(const struct receipt_request *request, const char *secret, struct err *err);

/* https://www.twilio.com/docs/usage/security: HMAC-SHA1, base64, over the URL and every POST parameter, sorted, name then value. */
int receipt_check_twilio(const struct receipt_request *request, const char *auth_token, struct err *err);

/* Vonage "signed webhooks": HS256; `iat` within five minutes, `payload_hash` is the SHA-256 of the body. */
int receipt_check_vonage(const struct receipt_request *request, const char *secret, int64_t now_ms, struct err *err);

/* Plivo V2: HMAC-SHA256, base64, over the URL without query and the nonce. */
int receipt_check_plivo(const struct receipt_request *request, const char *auth_token, struct err *err);

/* MessageBird: HS256; `nbf` and `exp` hold now, `url_hash` and `payload_hash` fit. */
int receipt_check_messagebird(const struct receipt_request *request, const char *secret, int64_t now_ms, struct err *err);

#endif
