/* bench_preflight: what a preflight costs per customer, beside what parsing the same customer's JSON once with jansson costs.
 *
 *   bench_preflight [CUSTOMERS] [REACHCTL]      default 1,000,000 and ./build/reachctl
 *
 * All are measured in one run on the same customers: jansson over the file, the preflight over the file, and the preflight over the contact
 * book of a real Redis that the file was imported into. Counted is the processor time of all processes of reachctl (the sort that it starts
 * included; Redis's own is told beside it), and the largest memory of any of them. Exits 1 where a preflight costs more than jansson alone.
 */
#include "base/buf.h"
#include "cli/lines.h"
#include "tests/support/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char change_text[] =
    "{\"v\":1,\"type\":\"campaign\",\"id\":\"bench\",\"notice\":\"mail-password-disabled\",\"audience\":\"all\","
    "\"disables\":{\"domains\":[\"walton.example\"]},\"effective_at\":\"2026-12-23T18:00:00Z\"}\n";

/* The same, but everybody's own account dies: what dies must be learnt from the customers first, so the file is read twice. */
static const char audience_text[] =
    "{\"v\":1,\"type\":\"campaign\",\"id\":\"bench\",\"notice\":\"mail-password-disabled\",\"audience\":\"all\","
    "\"disables\":{\"audience_accounts\":true},\"effective_at\":\"2026-12-23T18:00:00Z\"}\n";

static const char config_text[] = "redis: {address: \"%s\", connect_timeout: 60s}\nown_domains:\n  - {domain: walton.example, aliases: "
                                  "[walton.co.example], plus_addressing: true}\n"
                                  "gateways:\n  - {name: relay, channel: email, driver: \"null\"}\n";

/* Half with only a company mailbox, the rest with a mix of everything: three contact points where there are any. */
static void put_customer(struct buf *out, unsigned long i) {
    static const char *const locales[] = {"en-GB", "de-DE", "fr-FR", "de-AT"};
    buf_putf(out, "{\"id\":\"C%lu\",\"name\":\"Customer Number %lu\",\"locale\":\"%s\",\"time_zone\":\"Europe/London\",", i, i,
             locales[i % 4]);
    buf_putf(out, "\"accounts\":[\"user%lu@walton.example\"],\"attributes\":{\"tier\":\"gold\"},\"contacts\":[", i);
    buf_putf(
        out,
        "{\"channel\":\"email\",\"address\":\"user%lu@walton.example\",\"status\":\"active\",\"verified_at\":\"2026-01-02T03:04:05Z\"}", i);
    if (i % 2 == 1) {
        buf_putf(out, ",{\"channel\":\"email\",\"address\":\"user%lu@mail%lu.example\",\"status\":\"active\"}", i, i % 97);
        buf_putf(out, ",{\"channel\":\"sms\",\"address\":\"+4416329%06lu\",\"verified_at\":\"2026-01-02T03:04:05Z\"}", i % 1000000);
    }
    buf_puts(out, "]}\n");
}

static int write_file(const char *path, const char *text, size_t len) {
    FILE *file = fopen(path, "we");
    bool ok = file != NULL && fwrite(text, 1, len, file) == len;
    ok = file != NULL && fclose(file) == 0 && ok;
    return ok ? 0 : -1;
}

static int write_customers(const char *path, unsigned long n) {
    struct buf out = BUF_INIT;
    FILE *file = fopen(path, "we");
    bool ok = file != NULL;
    for (unsigned long i = 0; ok && i < n; i++) {
        buf_reset(&out);
        put_customer(&out, i);
        ok = !out.failed && fwrite(out.data, 1, out.len, file) == out.len;
    }
    buf_fini(&out);
    ok = file != NULL && fclose(file) == 0 && ok;
    return ok ? 0 : -1;
}

static double cpu_s(int who) {
    struct rusage usage;
    (void)getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Every line parsed and dropped again; only the parsing is timed. Returns seconds of processor time, or -1. */
static double parse_all(const char *path) {
    struct lines lines;
    struct line line;
    struct err err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || lines_init(&lines, fd, 65536, &err) < 0) {
        return -1;
    }
    double before = cpu_s(RUSAGE_SELF);
    int more;
    while ((more = lines_next(&lines, &line, &err)) == 1) {
        json_t *value = json_loadb(line.text, line.len, JSON_REJECT_DUPLICATES, NULL);
        if (value == NULL) {
            more = -1;
            break;
        }
        json_decref(value);
    }
    double took = cpu_s(RUSAGE_SELF) - before;
    lines_fini(&lines);
    (void)close(fd);
    return more < 0 ? -1 : took;
}

/* Runs reachctl in `dir` with these arguments, its output going to /dev/null. Returns seconds of processor time of all its processes, or -1
 * where it did not end with `code`. */
static double run(const char *dir, const char *const argv[], int code, long *memory_kib_r) {
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (chdir(dir) == 0 && dup2(null, STDOUT_FILENO) >= 0) {
            (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        }
        _exit(127);
    }
    int status = 0;
    struct rusage usage; /* of the child and of those it has waited for */
    if (child < 0 || wait4(child, &status, 0, &usage) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != code) {
        return -1;
    }
    *memory_kib_r = usage.ru_maxrss;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Seconds of processor time that Redis has used so far. */
static double redis_cpu_s(struct redis_server *server) {
    const char *info = redis_server_ask(server, "INFO", "cpu", NULL);
    const char *sys = info == NULL ? NULL : strstr(info, "used_cpu_sys:");
    const char *user = info == NULL ? NULL : strstr(info, "used_cpu_user:");
    return sys == NULL || user == NULL ? -1 : strtod(strchr(sys, ':') + 1, NULL) + strtod(strchr(user, ':') + 1, NULL);
}

struct figures {
    double jansson_s, file_s, audience_s, book_s, redis_s;
    long file_kib, audience_kib, book_kib;
};

/* Over the file. Returns seconds of processor time, or -1. */
static double run_file(const char *dir, const char *reachctl, const char *change, long *memory_kib_r) {
    return run(dir, (const char *[]){reachctl, "--config", "reachd.yaml", "preflight", change, "--contacts", "book.ndjson", "--json", NULL},
               3, memory_kib_r);
}

static bool measure(const char *dir, const char *reachctl, struct redis_server *server, struct figures *f) {
    char file[64];
    long ignored = 0;
    (void)snprintf(file, sizeof file, "%s/book.ndjson", dir);
    f->jansson_s = parse_all(file);
    f->file_s = run_file(dir, reachctl, "change.json", &f->file_kib);
    f->audience_s = run_file(dir, reachctl, "audience.json", &f->audience_kib);
    if (f->jansson_s < 0 || f->file_s < 0 || f->audience_s < 0 ||
        run(dir, (const char *[]){reachctl, "--config", "reachd.yaml", "contacts", "import", "book.ndjson", NULL}, 0, &ignored) < 0) {
        return false;
    }
    double before_s = redis_cpu_s(server);
    f->book_s =
        run(dir, (const char *[]){reachctl, "--config", "reachd.yaml", "preflight", "change.json", "--json", NULL}, 3, &f->book_kib);
    f->redis_s = redis_cpu_s(server) - before_s;
    return f->book_s >= 0;
}

static void report(const struct figures *f, unsigned long n) {
    double us = 1e6 / (double)n;
    (void)printf("customers %lu\n"
                 "jansson alone            %.2f us a customer\n"
                 "preflight of the file    %.2f us a customer (%.2f of jansson), largest process %ld MiB\n"
                 "with audience_accounts   %.2f us a customer (%.2f of jansson), largest process %ld MiB\n"
                 "preflight of the book    %.2f us a customer (%.2f of jansson), largest process %ld MiB; Redis beside it %.2f us\n",
                 n, f->jansson_s * us, f->file_s * us, f->file_s / f->jansson_s, f->file_kib / 1024, f->audience_s * us,
                 f->audience_s / f->jansson_s, f->audience_kib / 1024, f->book_s * us, f->book_s / f->jansson_s, f->book_kib / 1024,
                 f->redis_s * us);
}

static int prepare(const char *dir, const struct redis_server *server, unsigned long n) {
    char path[64];
    char config[1024];
    int len = snprintf(config, sizeof config, config_text, server->address);
    (void)snprintf(path, sizeof path, "%s/reachd.yaml", dir);
    int failed = write_file(path, config, (size_t)len);
    (void)snprintf(path, sizeof path, "%s/change.json", dir);
    failed |= write_file(path, change_text, sizeof change_text - 1);
    (void)snprintf(path, sizeof path, "%s/audience.json", dir);
    failed |= write_file(path, audience_text, sizeof audience_text - 1);
    (void)snprintf(path, sizeof path, "%s/book.ndjson", dir);
    return failed | write_customers(path, n);
}

static void clean_up(const char *dir) {
    static const char *const names[] = {"book.ndjson", "book.ndjson.import", "change.json", "audience.json", "reachd.yaml"};
    char path[96];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

int main(int argc, char **argv) {
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    char *reachctl = realpath(argc > 2 ? argv[2] : "build/reachctl", NULL);
    char dir[] = "/tmp/bench-preflight.XXXXXX";
    struct redis_server server = {0};
    struct figures figures;
    if (n == 0 || reachctl == NULL || mkdtemp(dir) == NULL) {
        (void)fprintf(stderr, "usage: bench_preflight [CUSTOMERS] [REACHCTL]: %s\n", strerror(errno));
        return 2;
    }
    bool ok = redis_server_start(&server, NULL) == 0 && prepare(dir, &server, n) == 0 && measure(dir, reachctl, &server, &figures);
    redis_server_stop(&server);
    clean_up(dir);
    free(reachctl);
    if (!ok) {
        (void)fprintf(stderr, "bench_preflight: the run failed\n");
        return 2;
    }
    report(&figures, n);
    bool costly = figures.file_s > figures.jansson_s || figures.audience_s > figures.jansson_s || figures.book_s > figures.jansson_s;
    return costly ? 1 : 0;
}
