/* tls: the one TLS context of a mailer. */
#ifndef REACH_CHANNELS_MAILER_TLS_H
#define REACH_CHANNELS_MAILER_TLS_H

#include "base/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* A client context that trusts `ca_file` (PEM; NULL: the system's), verifies the certificate and that it is for `host` (a name, or an IP
 * address). The caller frees it with SSL_CTX_free(). NULL with *err. */
SSL_CTX *tls_context_new(const char *host, const char *ca_file, struct err *err);

/* Whether `host` is written as an IP address. */
bool tls_host_is_address(const char *host);

#endif
