/* sandbox-peer: a mail server and an SMS/push gateway that keep everything they are sent and misbehave on demand.
 *
 * Made for tests, benchmarks and `make demo`. It listens on loopback only, tells the ports it got in a file that appears as a
 * whole once it is ready, keeps every message as a readable file before it answers, and follows rules of misbehaviour that can be
 * changed while it runs. One thread, one event loop; SIGTERM and SIGINT end it at once with exit 0.
 *
 * Exit 1 where it cannot start or cannot keep a message, 2 for a wrong command line. See README.md beside this file.
 */
#include "tests/support/peer/http.h"
#include "tests/support/peer/smtp.h"

#include <assert.h>
#include <getopt.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: sandbox-peer --dir DIR [--smtp ADDR:PORT] [--http ADDR:PORT] [--https ADDR:PORT] [--ports-file FILE]\n"
    "  --dir DIR            keep messages below DIR (mail/, sms/, push/, http/, index.ndjson, refused.ndjson)\n"
    "  --no-files           keep only the index           --quiet-store        keep only counts (for benchmarks)\n"
    "  --rules FILE         misbehave as FILE says        --trace              keep SMTP conversations in DIR/trace.log\n"
    "  --ports-file FILE    write the chosen ports as JSON when ready\n"
    "  --tls-cert FILE      certificate chain (PEM): offers STARTTLS, needed for --https      --tls-key FILE  its key\n"
    "  --tls-max 1.2|1.3    highest TLS version           --tls-min 1.2|1.3    lowest TLS version\n"
    "  --auth USER:PASSWORD offer AUTH PLAIN and LOGIN    --auth-in-clear      without TLS too\n"
    "  --require-tls        no MAIL before STARTTLS       --require-auth       no MAIL before AUTH\n"
    "  --chunking           offer CHUNKING                --dsn                offer DSN\n"
    "  --max-bytes N        largest message (default 1048576)\n"
    "  --die-with-parent    end when the process that started it ends\n"
    "Addresses are loopback addresses; port 0 chooses a free one.\n";

enum {
    OPT_DIR = 256,
    OPT_SMTP,
    OPT_HTTP,
    OPT_HTTPS,
    OPT_PORTS,
    OPT_RULES,
    OPT_CERT,
    OPT_KEY,
    OPT_TLS_MAX,
    OPT_TLS_MIN,
    OPT_AUTH,
    OPT_MAX,
    OPT_HELP
};

struct command_line {
    const char *dir, *smtp, *http, *https, *ports_file, *rules, *cert, *key, *tls_max, *tls_min;
    int no_files, quiet, auth_in_clear, require_tls, require_auth, chunking, dsn, trace, die_with_parent;
    struct smtp_options options;
};

static void usage(int status) {
    (void)fputs(usage_text, status == 0 ? stdout : stderr);
    exit(status);
}

static void take_option(struct command_line *line, int option, char *value) {
    switch (option) {
    case 0: break; /* a flag, set by getopt_long() itself */
    case OPT_DIR: line->dir = value; break;
    case OPT_SMTP: line->smtp = value; break;
    case OPT_HTTP: line->http = value; break;
    case OPT_HTTPS: line->https = value; break;
    case OPT_PORTS: line->ports_file = value; break;
    case OPT_RULES: line->rules = value; break;
    case OPT_CERT: line->cert = value; break;
    case OPT_KEY: line->key = value; break;
    case OPT_TLS_MAX: line->tls_max = value; break;
    case OPT_TLS_MIN: line->tls_min = value; break;
    case OPT_AUTH: line->options.auth = value; break;
    case OPT_MAX: line->options.max_bytes = strtoull(value, NULL, 10); break;
    case OPT_HELP: usage(0); break;
    default: usage(2);
    }
}

static void read_command_line(struct command_line *line, int argc, char **argv) {
    const struct option known[] = {{"dir", required_argument, NULL, OPT_DIR},
                                   {"smtp", required_argument, NULL, OPT_SMTP},
                                   {"http", required_argument, NULL, OPT_HTTP},
                                   {"https", required_argument, NULL, OPT_HTTPS},
                                   {"ports-file", required_argument, NULL, OPT_PORTS},
                                   {"rules", required_argument, NULL, OPT_RULES},
                                   {"tls-cert", required_argument, NULL, OPT_CERT},
                                   {"tls-key", required_argument, NULL, OPT_KEY},
                                   {"tls-max", required_argument, NULL, OPT_TLS_MAX},
                                   {"tls-min", required_argument, NULL, OPT_TLS_MIN},
                                   {"auth", required_argument, NULL, OPT_AUTH},
                                   {"max-bytes", required_argument, NULL, OPT_MAX},
                                   {"help", no_argument, NULL, OPT_HELP},
                                   {"no-files", no_argument, &line->no_files, 1},
                                   {"quiet-store", no_argument, &line->quiet, 1},
                                   {"auth-in-clear", no_argument, &line->auth_in_clear, 1},
                                   {"require-tls", no_argument, &line->require_tls, 1},
                                   {"require-auth", no_argument, &line->require_auth, 1},
                                   {"chunking", no_argument, &line->chunking, 1},
                                   {"dsn", no_argument, &line->dsn, 1},
                                   {"trace", no_argument, &line->trace, 1},
                                   {"die-with-parent", no_argument, &line->die_with_parent, 1},
                                   {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        take_option(line, option, optarg);
    }
    bool nowhere = line->smtp == NULL && line->http == NULL && line->https == NULL;
    if (optind < argc || nowhere || (line->dir == NULL && !line->quiet) || line->options.max_bytes == 0) {
        usage(2);
    }
    line->options.auth_in_clear = line->auth_in_clear != 0;
    line->options.require_tls = line->require_tls != 0;
    line->options.require_auth = line->require_auth != 0;
    line->options.chunking = line->chunking != 0;
    line->options.dsn = line->dsn != 0;
}

static int tls_version(const char *text, int otherwise) {
    if (text == NULL) {
        return otherwise;
    }
    if (strcmp(text, "1.2") != 0 && strcmp(text, "1.3") != 0) {
        usage(2);
    }
    return strcmp(text, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/* NULL where there is no certificate; *failed_r tells whether it could not be used. */
static SSL_CTX *tls_context(const struct command_line *line, bool *failed_r) {
    *failed_r = false;
    if (line->cert == NULL) {
        return NULL;
    }
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    assert(tls != NULL);
    const char *key = line->key != NULL ? line->key : line->cert;
    bool good = SSL_CTX_use_certificate_chain_file(tls, line->cert) == 1 && SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_set_min_proto_version(tls, tls_version(line->tls_min, TLS1_2_VERSION)) == 1 &&
                SSL_CTX_set_max_proto_version(tls, tls_version(line->tls_max, TLS1_3_VERSION)) == 1;
    if (!good) {
        (void)fprintf(stderr, "sandbox-peer: %s: %s\n", line->cert, ERR_reason_error_string(ERR_peek_error()));
        *failed_r = true;
    }
    return tls;
}

/* Writes the ports beside the file and moves it into place, so that whoever waits for it finds it whole. */
static int write_ports(const char *path, int smtp, int http, int https) {
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = n > 0 && (size_t)n < sizeof temporary ? fopen(temporary, "we") : NULL;
    if (file == NULL) {
        return -1;
    }
    int printed = fprintf(file, "{\"smtp\":%d,\"http\":%d,\"https\":%d,\"pid\":%d}\n", smtp, http, https, (int)getpid());
    if (fclose(file) != 0 || printed < 0) {
        return -1;
    }
    return rename(temporary, path);
}

static void on_signal(evutil_socket_t number, short what, void *ctx) {
    (void)number;
    (void)what;
    (void)event_base_loopbreak(ctx);
}

struct peer {
    struct peer_world world;
    SSL_CTX *tls;
    struct smtp_server *smtp;
    struct http_server *http, *https;
};

static int peer_open(struct peer *peer, struct command_line *line, struct err *err) {
    enum sink_mode mode = line->quiet ? SINK_COUNT : line->no_files ? SINK_INDEX : SINK_FILES;
    peer->world.rules = line->rules != NULL ? rules_read(line->rules, err) : rules_new();
    peer->world.sink = peer->world.rules == NULL ? NULL : sink_open(line->dir, mode, err);
    if (peer->world.sink == NULL) {
        return -1;
    }
    if (line->trace && sink_trace_open(peer->world.sink, err) != 0) {
        return -1;
    }
    line->options.tls = peer->tls;
    size_t max = line->options.max_bytes;
    if (line->https != NULL && peer->tls == NULL) {
        return err_set(err, ERR_CONFLICT, "--https needs --tls-cert");
    }
    if (line->smtp != NULL && (peer->smtp = smtp_server_new(&peer->world, &line->options, line->smtp, err)) == NULL) {
        return -1;
    }
    if (line->http != NULL && (peer->http = http_server_new(&peer->world, NULL, max, line->http, err)) == NULL) {
        return -1;
    }
    if (line->https != NULL && (peer->https = http_server_new(&peer->world, peer->tls, max, line->https, err)) == NULL) {
        return -1;
    }
    int smtp = peer->smtp != NULL ? smtp_server_port(peer->smtp) : 0;
    int http = peer->http != NULL ? http_server_port(peer->http) : 0;
    int https = peer->https != NULL ? http_server_port(peer->https) : 0;
    return line->ports_file != NULL && write_ports(line->ports_file, smtp, http, https) != 0 ? err_system(err, line->ports_file) : 0;
}

static void peer_close(struct peer *peer) {
    smtp_server_free(peer->smtp);
    http_server_free(peer->http);
    http_server_free(peer->https);
    sink_close(peer->world.sink);
    rules_unref(peer->world.rules);
    SSL_CTX_free(peer->tls);
    event_base_free(peer->world.base);
}

int main(int argc, char **argv) {
    struct command_line line = {.options = {.max_bytes = 1 << 20}};
    struct peer peer = {0};
    struct err err = {0};
    bool failed = false;
    read_command_line(&line, argc, argv);
    if (line.die_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* a convenience: without it the starter has to end the peer */
    }
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
    peer.world.base = event_base_new();
    assert(peer.world.base != NULL);
    struct event *term = evsignal_new(peer.world.base, SIGTERM, on_signal, peer.world.base);
    struct event *interrupt = evsignal_new(peer.world.base, SIGINT, on_signal, peer.world.base);
    assert(term != NULL && interrupt != NULL);
    peer.tls = tls_context(&line, &failed);
    if (!failed && (event_add(term, NULL) != 0 || event_add(interrupt, NULL) != 0 || peer_open(&peer, &line, &err) != 0)) {
        (void)fprintf(stderr, "sandbox-peer: %s\n", err.text);
        failed = true;
    }
    if (!failed) {
        failed = event_base_dispatch(peer.world.base) < 0;
    }
    event_free(term);
    event_free(interrupt);
    peer_close(&peer);
    return failed ? 1 : 0;
}
