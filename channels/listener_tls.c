/* listener_tls: see listener_tls.h. Also holds the table of the section `listener`.
 *
 * OpenSSL's server defaults from TLS 1.2 on; no client certificates, no session tickets to keep. libevent's bufferevent does the
 * handshake within the loop. */
#include "channels/listener_tls.h"

#include "channels/listener.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct listener_tls {
    SSL_CTX *ctx;
};

struct bufferevent *listener_tls_bufferevent(struct listener_tls *tls, struct event_base *base) {
    SSL *ssl = SSL_new(tls->ctx);
    if (ssl == NULL) {
        return NULL;
    }
    struct bufferevent *bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (bev == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

struct listener_tls *listener_tls_new(const char *cert_file, const char *key_file, struct err *err) {
    struct listener_tls *tls = calloc(1, sizeof *tls);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (tls == NULL || ctx == NULL) {
        free(tls);
        SSL_CTX_free(ctx);
        (void)err_no_memory(err);
        return NULL;
    }
    tls->ctx = ctx;
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
        (void)err_member(err, "listener.cert_file", "cannot be used: it must hold a certificate chain in PEM form");
    } else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        (void)err_member(err, "listener.key_file", "cannot be used: it must hold the certificate's private key in PEM form");
    } else {
        return tls;
    }
    listener_tls_free(tls);
    return NULL;
}

void listener_tls_free(struct listener_tls *tls) {
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        free(tls);
    }
}

/* ---- settings -------------------------------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct listener_settings, member)

static const struct conf_key keys[] = {
    {.name = "address",
     .type = CONF_STRING,
     .offset = AT(address),
     .min = 3,
     .max = 100,
     .help = "where providers' receipts are taken, such as 127.0.0.1:8085; off where it is not given"},
    {.name = "cert_file", .type = CONF_PATH, .offset = AT(cert_file), .help = "certificate chain (PEM); with key_file, TLS"},
    {.name = "key_file", .type = CONF_PATH, .offset = AT(key_file), .help = "private key of the certificate (PEM)"},
    {.name = "body_max",
     .type = CONF_SIZE,
     .offset = AT(body_max_bytes),
     .initial = "64KiB",
     .min = 1024,
     .max = 1 << 20,
     .help = "longest body that is taken"},
    {.name = "timeout",
     .type = CONF_DURATION,
     .offset = AT(timeout_ms),
     .initial = "10s",
     .min = 1000,
     .max = 300000,
     .help = "how long a connection may last, from the first byte of a request to the last of the answer"},
    {.name = "connections",
     .type = CONF_INT,
     .offset = AT(connections_max),
     .initial = "256",
     .min = 1,
     .max = 10000,
     .help = "most connections at once; who comes then waits"},
};

static int check_settings(void *object, struct err *err) {
    const struct listener_settings *settings = object;
    if ((settings->cert_file == NULL) != (settings->key_file == NULL)) {
        return err_member(err, "key_file", "cert_file and key_file go together");
    }
    return 0;
}

const struct conf_table listener_table = {.name = "listener",
                                          .keys = keys,
                                          .n_keys = sizeof keys / sizeof keys[0],
                                          .size = sizeof(struct listener_settings),
                                          .where_offset = AT(where),
                                          .check = check_settings};
