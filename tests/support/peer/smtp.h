/* smtp: the peer's SMTP side. RFC 5321 with PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES; when asked CHUNKING, DSN, STARTTLS, AUTH. */
#ifndef REACH_PEER_SMTP_H
#define REACH_PEER_SMTP_H

#include "base/err.h"
#include "tests/support/peer/world.h"

#include <openssl/ssl.h>

struct smtp_options {
    SSL_CTX *tls;       /* NULL: no STARTTLS */
    const char *auth;   /* "user:password"; NULL: no AUTH */
    bool auth_in_clear; /* offer AUTH without TLS too */
    bool require_tls;   /* refuse MAIL in clear */
    bool require_auth;  /* refuse MAIL before AUTH */
    bool chunking;      /* offer CHUNKING (RFC 3030) */
    bool dsn;           /* offer DSN (RFC 3461) */
    size_t max_bytes;   /* of a message */
};

struct smtp_server;

/* Listens on "127.0.0.1:0"-like text (a loopback address). Everything is borrowed. NULL with *err. */
struct smtp_server *smtp_server_new(struct peer_world *world, const struct smtp_options *options, const char *listen, struct err *err);
void smtp_server_free(struct smtp_server *server);

/* The port it got. */
int smtp_server_port(const struct smtp_server *server);

#endif
