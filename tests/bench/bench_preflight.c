/* bench_preflight: what a preflight costs per customer, beside what parsing the same customer's JSON once with jansson costs.
 *
 *   bench_preflight [CUSTOMERS] [REACHCTL]      default 1,000,000 and ./build/reachctl
 *
 * Both are measured in one run on one file: processor time of all processes involved (the sort that reachctl starts included), and the
 * largest memory of any of them. Exits 1 where the preflight costs more than jansson alone. */
#include "base/buf.h"
#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
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

static const char config_text[] = "own_domains:\n  - {domain: walton.example, aliases: [walton.co.example], plus_addressing: true}\n"
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

/* Runs the preflight with its JSON going to /dev/null. Returns seconds of processor time of all its processes, or -1. */
static double preflight(const char *reachctl, const char *dir, long *memory_kib_r) {
    double before = cpu_s(RUSAGE_CHILDREN);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (chdir(dir) == 0 && dup2(null, STDOUT_FILENO) >= 0) {
            (void)execl(reachctl, "reachctl", "--config", "reachd.yaml", "preflight", "change.json", "--contacts", "book.ndjson", "--json",
                        (char *)NULL);
        }
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 3) {
        return -1;
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_CHILDREN, &usage);
    *memory_kib_r = usage.ru_maxrss;
    return cpu_s(RUSAGE_CHILDREN) - before;
}

int main(int argc, char **argv) {
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    char *reachctl = realpath(argc > 2 ? argv[2] : "build/reachctl", NULL);
    char dir[] = "/tmp/bench-preflight.XXXXXX";
    char book[64];
    char path[64];
    if (n == 0 || reachctl == NULL || mkdtemp(dir) == NULL) {
        (void)fprintf(stderr, "usage: bench_preflight [CUSTOMERS] [REACHCTL]: %s\n", strerror(errno));
        return 2;
    }
    (void)snprintf(book, sizeof book, "%s/book.ndjson", dir);
    (void)snprintf(path, sizeof path, "%s/change.json", dir);
    int failed = write_file(path, change_text, sizeof change_text - 1);
    (void)snprintf(path, sizeof path, "%s/reachd.yaml", dir);
    failed |= write_file(path, config_text, sizeof config_text - 1) | write_customers(book, n);
    long memory_kib = 0;
    double parsing_s = failed == 0 ? parse_all(book) : -1;
    double preflight_s = failed == 0 ? preflight(reachctl, dir, &memory_kib) : -1;
    (void)unlink(book);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/change.json", dir);
    (void)unlink(path);
    (void)rmdir(dir);
    free(reachctl);
    if (parsing_s < 0 || preflight_s < 0) {
        (void)fprintf(stderr, "bench_preflight: the run failed\n");
        return 2;
    }
    (void)printf(
        "customers %lu\njansson alone    %.2f us a customer\npreflight        %.2f us a customer (%.2f of jansson), largest process "
        "%ld MiB\n",
        n, parsing_s * 1e6 / (double)n, preflight_s * 1e6 / (double)n, preflight_s / parsing_s, memory_kib / 1024);
    return preflight_s <= parsing_s ? 0 : 1;
}
