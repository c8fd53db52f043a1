/* auth_token: signed tokens (JWT, RFC 7519) out of a description's header and claims. */
#ifndef REACH_CHANNELS_AUTH_TOKEN_H
#define REACH_CHANNELS_AUTH_TOKEN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "channels/http_description.h"

struct auth_token; /* lives in the arena */

/* Compiles the claims and looks at the key (PEM): P-256 for the ES256 kinds and vapid, RSA of 2,048 bits or more for the others.
 * NULL with *err naming the key at fault. */
struct auth_token *auth_token_new(const struct http_description *description, const struct conf_pairs *constants, const char *pem,
                                  struct arena *arena, struct err *err);

/* Appends a token that is valid from now_s to end_s; `origin` fills {{origin}} and may be NULL. 0, or -1 with *err. */
int auth_token_sign(const struct auth_token *token, const char *origin, int64_t now_s, int64_t end_s, struct buf *out, struct err *err);

/* The public key as base64url of its uncompressed point: the k= of VAPID. "" where the key is not P-256. */
const char *auth_token_point(const struct auth_token *token);

#endif
