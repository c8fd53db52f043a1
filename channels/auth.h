/* auth: shows a gateway who we are: passwords, fixed tokens, tokens signed here, tokens fetched with a signed one. */
#ifndef REACH_CHANNELS_AUTH_H
#define REACH_CHANNELS_AUTH_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "channels/curl_loop.h"
#include "channels/http_description.h"

struct auth;

struct auth_setup {
    const struct http_description *description;
    const struct conf_pairs *constants;
    const struct clock *clock;
    struct curl_loop *loop;   /* HTTP_AUTH_OAUTH_JWT: carries the exchange */
    const char *username;     /* basic, aws-sigv4 */
    const char *secret;       /* password, token, secret key; or NULL */
    const char *key_pem;      /* private key of the signing kinds; or NULL */
    void (*ready)(void *ctx); /* a token that was being fetched is there, or cannot be had: ask again */
    void *ctx;
};

/* What a request shows. Borrowed until the next call of auth_get(). */
struct auth_proof {
    const char *line; /* a header line, or NULL */
    const char *username;
    const char *password;
    const char *aws_sigv4;
};

/* Everything in *setup is borrowed for the life. Signs once to prove the key. NULL with *err naming the key at fault. */
struct auth *auth_new(const struct auth_setup *setup, struct arena *arena, struct err *err);

/* Not to be called while its loop carries an exchange: free the loop first. NULL is allowed. */
void auth_free(struct auth *auth);

/* The proof for a request to `url`: 1; 0 = being fetched, ready() will be called from the loop; -1 with *err = cannot be had now (the
 * next fetch is tried a little later). */
int auth_get(struct auth *auth, const char *url, struct auth_proof *proof_r, struct err *err);

/* The gateway has refused the proof (401). True where the proof was a token that a token service gave: it may have been revoked, and a
 * new one is fetched, but not more often than once in five seconds; whether the account itself is in trouble, that service will tell. */
bool auth_refused(struct auth *auth);

/* Takes a private key out of what a key file holds: PEM itself, or a JSON object (as Google hands out) whose `private_key` is PEM; its
 * other strings become *members_r. Everything lives in the arena. 0, or -1 with *err. */
int auth_read_key(const char *text, struct arena *arena, const char **pem_r, struct conf_pairs *members_r, struct err *err);

#endif
