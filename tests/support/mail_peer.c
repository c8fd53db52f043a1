/* mail_peer: see mail_peer.h. */
#include "tests/support/mail_peer.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <libgen.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 60000, ARGUMENTS_MAX = 24 };

struct mail_peer {
    char dir[64];
    pid_t pid;
    int smtp_port;
    int http_port;
};

static void __attribute__((format(printf, 1, 2), noreturn)) give_up(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(99);
}

const char *mail_peer_build_dir(void) {
    static char dir[4096];
    if (dir[0] == '\0') {
        ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);
        if (n <= 0) {
            give_up("cannot find the build directory");
        }
        dir[n] = '\0';
        char *above = strrchr(dir, '/'); /* of a program in the build directory itself */
        for (char *at = dir; (at = strstr(at, "/tests/")) != NULL; at++) {
            above = at; /* of a test */
        }
        *above = '\0';
    }
    return dir;
}

/* {"rules":[...]} with " for '. */
static char *rules_document(const char *rules) {
    char *text = NULL;
    if (asprintf(&text, "{\"rules\":%s}", rules == NULL ? "[]" : rules) < 0) {
        give_up("out of memory");
    }
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return text;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        give_up("cannot write %s", path);
    }
}

static int64_t now_ms(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void await_ports(struct mail_peer *peer, const char *path) {
    int64_t until_ms = now_ms() + START_MS;
    while (now_ms() < until_ms) {
        json_t *ports = json_load_file(path, 0, NULL);
        if (ports != NULL) {
            peer->smtp_port = (int)json_integer_value(json_object_get(ports, "smtp"));
            peer->http_port = (int)json_integer_value(json_object_get(ports, "http"));
            json_decref(ports);
            return;
        }
        if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid) {
            break;
        }
        (void)usleep(5000);
    }
    give_up("the sandbox peer did not start");
}

struct mail_peer *mail_peer_start(const char *rules, const char *const *arguments) {
    struct mail_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        give_up("out of memory");
    }
    (void)snprintf(peer->dir, sizeof peer->dir, P_tmpdir "/reachd-mail.XXXXXX");
    if (mkdtemp(peer->dir) == NULL) {
        give_up("cannot make a directory");
    }
    char program[4200], ports[128], rules_path[128];
    (void)snprintf(program, sizeof program, "%s/sandbox-peer", mail_peer_build_dir());
    (void)snprintf(ports, sizeof ports, "%s/ports.json", peer->dir);
    (void)snprintf(rules_path, sizeof rules_path, "%s/rules.json", peer->dir);
    char *document = rules_document(rules);
    write_file(rules_path, document);
    free(document);
    const char *list[ARGUMENTS_MAX] = {program,       "--dir",        peer->dir, "--smtp",  "127.0.0.1:0", "--http",
                                       "127.0.0.1:0", "--ports-file", ports,     "--rules", rules_path,    "--die-with-parent"};
    size_t n = 12;
    for (size_t i = 0; arguments != NULL && arguments[i] != NULL && n < ARGUMENTS_MAX - 1; i++) {
        list[n++] = arguments[i];
    }
    char *argv[ARGUMENTS_MAX];
    memcpy(argv, list, sizeof argv);
    if (posix_spawn(&peer->pid, program, NULL, NULL, argv, environ) != 0) {
        give_up("cannot start %s", program);
    }
    await_ports(peer, ports);
    return peer;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void mail_peer_stop(struct mail_peer *peer) {
    (void)kill(peer->pid, SIGCONT);
    (void)kill(peer->pid, SIGTERM);
    (void)waitpid(peer->pid, NULL, 0);
    (void)nftw(peer->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(peer);
}

int mail_peer_port(const struct mail_peer *peer) {
    return peer->smtp_port;
}

int mail_peer_pid(const struct mail_peer *peer) {
    return peer->pid;
}

/* One request on a connection of its own; the answer's body, to be freed. */
static char *ask(const struct mail_peer *peer, const char *method, const char *body) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)peer->http_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FILE *stream = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ? NULL : fdopen(fd, "r+");
    if (stream == NULL) {
        give_up("cannot reach the sandbox peer");
    }
    (void)fprintf(stream, "%s /_control HTTP/1.1\r\nHost: peer\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method, strlen(body),
                  body);
    (void)fflush(stream);
    char *text = NULL;
    size_t cap = 0;
    ssize_t n = getdelim(&text, &cap, EOF, stream);
    (void)fclose(stream);
    char *end = n <= 0 ? NULL : strstr(text, "\r\n\r\n");
    if (end == NULL || strncmp(text, "HTTP/1.1 200", 12) != 0) {
        give_up("the sandbox peer answered: %s", n > 0 ? text : "nothing");
    }
    memmove(text, end + 4, strlen(end + 4) + 1);
    return text;
}

void mail_peer_rules(const struct mail_peer *peer, const char *rules) {
    char *document = rules_document(rules);
    free(ask(peer, "POST", document));
    free(document);
}

long mail_peer_count(const struct mail_peer *peer, const char *counter) {
    char *text = ask(peer, "GET", "");
    json_t *answer = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    long count = (long)json_integer_value(json_object_get(json_object_get(answer, "counts"), counter));
    json_decref(answer);
    free(text);
    return count;
}

json_t *mail_peer_index(const struct mail_peer *peer) {
    char path[128];
    char *line = NULL;
    size_t cap = 0;
    json_t *index = json_array();
    (void)snprintf(path, sizeof path, "%s/index.ndjson", peer->dir);
    FILE *file = fopen(path, "re");
    while (file != NULL && getline(&line, &cap, file) > 0) {
        json_t *entry = json_loads(line, 0, NULL);
        if (entry == NULL || json_array_append_new(index, entry) != 0) {
            give_up("the index is broken: %s", line);
        }
    }
    free(line);
    if (file != NULL) {
        (void)fclose(file);
    }
    return index;
}

char *mail_peer_mail(const struct mail_peer *peer, size_t n) {
    json_t *index = mail_peer_index(peer);
    const char *name = json_string_value(json_object_get(json_array_get(index, n), "file"));
    char path[512];
    char *text = NULL;
    size_t cap = 0;
    (void)snprintf(path, sizeof path, "%s/%s", peer->dir, name != NULL ? name : "none");
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (getdelim(&text, &cap, '\0', file) < 0) {
            give_up("cannot read %s", path);
        }
        (void)fclose(file);
    }
    json_decref(index);
    return text;
}
