/* listener_tls: TLS in front of an evhttp server. */
#ifndef REACH_CHANNELS_LISTENER_TLS_H
#define REACH_CHANNELS_LISTENER_TLS_H

#include "base/err.h"

struct evhttp;
struct listener_tls;

/* Makes every connection of `http` accepted from now on speak TLS 1.2 or newer with the certificate chain and key (PEM files).
 * NULL with *err. */
struct listener_tls *listener_tls_new(struct evhttp *http, const char *cert_file, const char *key_file, struct err *err);

/* After the server is freed. NULL is allowed. */
void listener_tls_free(struct listener_tls *tls);

#endif
