/* tls: see tls.h.
 *
 * libesmtp's own context verifies nothing by default, is freed and used again, and compares the certificate with the name that DNS
 * gave back. With this context OpenSSL itself checks chain, dates and the name that the operator wrote down, during the handshake; no
 * callback can relax it. Sessions are not resumed, so each connection is checked anew.
 *
 * Fails where the CA file cannot be read or holds no certificate: the mailer then refuses to start. */
#include "channels/mailer/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

bool tls_host_is_address(const char *host) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static int trust(SSL_CTX *context, const char *ca_file, struct err *err) {
    int ok = ca_file != NULL ? SSL_CTX_load_verify_file(context, ca_file) : SSL_CTX_set_default_verify_paths(context);
    if (ok != 1) {
        const char *reason = ERR_reason_error_string(ERR_peek_error());
        (void)err_member(err, "ca_file", "no CA certificates in %s: %s", ca_file != NULL ? ca_file : "the system's store",
                         reason != NULL ? reason : "unreadable");
        ERR_clear_error();
        return -1;
    }
    return 0;
}

static int expect_host(SSL_CTX *context, const char *host, struct err *err) {
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int ok = tls_host_is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(param, host) : X509_VERIFY_PARAM_set1_host(param, host, 0);
    return ok == 1 ? 0 : err_member(err, "host", "\"%s\" is neither a host name nor an address", host);
}

SSL_CTX *tls_context_new(const char *host, const char *ca_file, struct err *err) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1); /* a record with one system call; see guard.c */
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || expect_host(context, host, err) != 0 ||
        trust(context, ca_file, err) != 0) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}
