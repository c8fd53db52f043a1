/* http: the peer's HTTP side: a gateway that takes every message, and the control endpoint. */
#ifndef REACH_PEER_HTTP_H
#define REACH_PEER_HTTP_H

#include "base/err.h"
#include "tests/support/peer/world.h"

#include <openssl/ssl.h>

struct http_server;

/* Listens on a loopback address; with TLS where `tls` is given. Everything is borrowed. NULL with *err. */
struct http_server *http_server_new(struct peer_world *world, SSL_CTX *tls, size_t max_bytes, const char *listen, struct err *err);
void http_server_free(struct http_server *server);

/* The port it got. */
int http_server_port(const struct http_server *server);

#endif
