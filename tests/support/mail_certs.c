/* mail_certs: see mail_certs.h. */
#include "tests/support/mail_certs.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY_S = 86400, SERIAL_FIRST = 1000 };

struct mail_certs {
    char dir[128];
    long serial;
};

struct authority {
    X509 *cert;
    EVP_PKEY *key;
};

static void need(int ok, const char *what) {
    if (!ok) {
        (void)fprintf(stderr, "cannot make certificates: %s\n", what);
        exit(99);
    }
}

const char *mail_certs_path(const struct mail_certs *certs, const char *kind, const char *ending) {
    static char paths[8][192];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s.%s", certs->dir, kind, ending);
    return path;
}

static FILE *create(const struct mail_certs *certs, const char *kind, const char *ending) {
    FILE *file = fopen(mail_certs_path(certs, kind, ending), "we");
    need(file != NULL, "a file");
    return file;
}

static void add_extension(X509 *cert, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    need(extension != NULL && X509_add_ext(cert, extension, -1), "an extension");
    X509_EXTENSION_free(extension);
}

/* A certificate for `key` from from_s to until_s (seconds from now); `names` NULL: a CA. */
static X509 *new_cert(struct mail_certs *certs, EVP_PKEY *key, const char *title, const char *names, long from_s, long until_s) {
    X509 *cert = X509_new();
    need(cert != NULL && X509_set_version(cert, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(cert), certs->serial++) &&
             X509_gmtime_adj(X509_getm_notBefore(cert), from_s) != NULL && X509_gmtime_adj(X509_getm_notAfter(cert), until_s) != NULL &&
             X509_set_pubkey(cert, key) &&
             X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)title, -1, -1, 0),
         "a certificate");
    if (names == NULL) {
        add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    } else {
        add_extension(cert, NID_subject_alt_name, names);
    }
    return cert;
}

static void sign_and_write(const struct mail_certs *certs, const char *kind, X509 *cert, const struct authority *by) {
    need(X509_set_issuer_name(cert, X509_get_subject_name(by->cert)) && X509_sign(cert, by->key, EVP_sha256()) > 0, "a signature");
    FILE *file = create(certs, kind, "pem");
    need(PEM_write_X509(file, cert) && fclose(file) == 0, "writing a certificate");
}

static struct authority make_authority(struct mail_certs *certs, const char *kind) {
    struct authority authority = {.key = EVP_EC_gen("P-256")};
    need(authority.key != NULL, "a key");
    authority.cert = new_cert(certs, authority.key, kind, NULL, -DAY_S * 3, DAY_S * 30L);
    sign_and_write(certs, kind, authority.cert, &authority);
    return authority;
}

/* `by` NULL: by itself. */
static void make_server(struct mail_certs *certs, const char *kind, const char *names, long from_s, long until_s,
                        const struct authority *by) {
    struct authority server = {.key = EVP_EC_gen("P-256")};
    need(server.key != NULL, "a key");
    server.cert = new_cert(certs, server.key, kind, names, from_s, until_s);
    sign_and_write(certs, kind, server.cert, by != NULL ? by : &server);
    FILE *file = create(certs, kind, "key");
    need(PEM_write_PrivateKey(file, server.key, NULL, NULL, 0, NULL, NULL) && fclose(file) == 0, "writing a key");
    X509_free(server.cert);
    EVP_PKEY_free(server.key);
}

struct mail_certs *mail_certs_make(void) {
    static const char here[] = "DNS:localhost,IP:127.0.0.1";
    struct mail_certs *certs = calloc(1, sizeof *certs);
    need(certs != NULL, "memory");
    (void)snprintf(certs->dir, sizeof certs->dir, P_tmpdir "/reachd-certs.XXXXXX");
    need(mkdtemp(certs->dir) != NULL, "a directory");
    certs->serial = SERIAL_FIRST;
    struct authority ours = make_authority(certs, "ca");
    struct authority foreign = make_authority(certs, "foreign-ca");
    make_server(certs, "good", here, -DAY_S, DAY_S * 10L, &ours);
    make_server(certs, "alias", "DNS:alias.test", -DAY_S, DAY_S * 10L, &ours);
    make_server(certs, "expired", here, -DAY_S * 2, -DAY_S, &ours);
    make_server(certs, "early", here, DAY_S, DAY_S * 10L, &ours);
    make_server(certs, "wrong", "DNS:other.example", -DAY_S, DAY_S * 10L, &ours);
    make_server(certs, "self", here, -DAY_S, DAY_S * 10L, NULL);
    make_server(certs, "foreign", here, -DAY_S, DAY_S * 10L, &foreign);
    X509_free(ours.cert);
    EVP_PKEY_free(ours.key);
    X509_free(foreign.cert);
    EVP_PKEY_free(foreign.key);
    return certs;
}

void mail_certs_remove(struct mail_certs *certs) {
    DIR *dir = opendir(certs->dir);
    for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(certs->dir);
    free(certs);
}
