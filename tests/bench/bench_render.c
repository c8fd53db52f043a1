/* bench_render: what it costs to make a mail.
 *
 * Three things are measured in the same run, in turns, and the median of the turns counts:
 *   copy     the bytes of the finished message are copied from one buffer to another: what nobody can do without
 *   render   template_render() of both parts
 *   whole    the same and the MIME around it (mime_compose)
 * The message is a notice of the shipped set padded to a body of about 4 KB of text and HTML. Told: microseconds of CPU a message; what
 * whole costs more than copy; what a set of 1,000 notices takes in memory.
 *
 * Usage: bench_render [--dump FILE]; exit 1 where a bar is missed (10 µs more than copying; 64 MiB). --dump writes the notice's words
 * and values as JSON for the comparison with npm packages. Does not: send. */
#include "channels/mime.h"
#include "templates/template.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 15, MESSAGES = 2000, NOTICES = 1000 };

static const double bar_us = 10.0;
static const double bar_mib = 64.0;

static double cpu_s(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* ---- a set --------------------------------------------------------------------------------------------------------- */
static char dir[] = "/tmp/reach-bench-XXXXXX";

static void put_file(const char *path, const char *text) {
    char full[256];
    (void)snprintf(full, sizeof full, "%s/%s", dir, path);
    for (char *slash = strchr(full + sizeof dir, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "we");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        perror(full);
        exit(2);
    }
}

static const char mail[] =
    "---\nsubject: \"Choose a new password for your {{company}} mailbox\"\npreheader: \"Nothing in it is lost.\"\n---\n"
    "Hello{{#name}} {{name}}{{/name}},\n\n"
    "{{#in_force}}\nTo protect your mailbox{{#account}} **{{account}}**{{/account}}, we have switched off its password.\n{{/in_force}}\n"
    "{{^in_force}}\nOn **{{effective_at}}** we will switch off the password of your mailbox.\n{{/in_force}}\n\n"
    "[Choose a new password]({{reset_url}})\n\n## What stays the same\n\n- Your messages are still there.\n- New mail keeps arriving.\n"
    "- Your orders are not affected.\n\n{{#expires_at}}\nThe link works until {{expires_at}}.\n{{/expires_at}}\n\n"
    "If you used the same password anywhere else, please change it there too. Your case is {{case}}.\n";

static const char *copy_layout(void) {
    static char layout[16384];
    FILE *file = fopen("templates/messages/layout.html", "re");
    size_t n = file == NULL ? 0 : fread(layout, 1, sizeof layout - 1, file);
    if (file == NULL || n == 0) {
        (void)fprintf(stderr, "run this from the top of the tree\n");
        exit(2);
    }
    (void)fclose(file);
    layout[n] = '\0';
    return layout;
}

static void write_set(int notices) {
    put_file("company.yaml", "name: Walton\ncheck_url: https://walton.example/security\nlink_hosts: [walton.example]\nhow_to_check: {en: "
                             "\"Not sure this is really from "
                             "{{company}}? Type walton.example/security into your browser yourself.\"}\n");
    put_file("layout.html", copy_layout());
    for (int i = 0; i < notices; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "notice-%04d/notice.yaml", i);
        put_file(path,
                 "description: d\nseverity: info\nvariables:\n  - {name: reset_url, type: url, example: https://walton.example/reset}\n"
                 "  - {name: case, example: 4711}\n");
        (void)snprintf(path, sizeof path, "notice-%04d/en/email.md", i);
        put_file(path, mail);
        (void)snprintf(path, sizeof path, "notice-%04d/en/sms.txt", i);
        put_file(path, "{{company}}: choose a new password: {{reset_url}} Not sure? Type walton.example/security yourself.\n");
        (void)snprintf(path, sizeof path, "notice-%04d/en/push.md", i);
        put_file(path, "---\ntitle: t\n---\nSee walton.example/security\n");
        (void)snprintf(path, sizeof path, "notice-%04d/en/banner.md", i);
        put_file(path, "---\ntitle: t\n---\nChoose a new password.\n");
    }
}

static void remove_set(void) {
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0) {
        (void)fprintf(stderr, "%s is left behind\n", dir);
    }
}

static struct template_set *load(void) {
    struct err err = {0};
    struct template_set *set = template_set_load(dir, NULL, &err);
    if (set == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(2);
    }
    return set;
}

/* ---- the three ----------------------------------------------------------------------------------------------------- */
struct bench {
    const struct template_set *set;
    json_t *data[MESSAGES]; /* each message has values of its own */
    struct arena arena;
    struct buf mime;
    char *finished;
    size_t finished_len;
};

static void render(struct bench *bench, int i, struct message *message) {
    struct err err = {0};
    char name[32];
    (void)snprintf(name, sizeof name, "Ada %d", i);
    struct template_values values = {.data = bench->data[i],
                                     .customer_name = name,
                                     .account = "ada@walton.example",
                                     .time_zone = "Europe/London",
                                     .expires_at_ms = 1801353600000,
                                     .now_ms = 1798000000000};
    arena_reset(&bench->arena);
    if (template_render(bench->set, "notice-0000", "en-GB", CHANNEL_EMAIL, &values, &bench->arena, message, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(2);
    }
}

static void do_render(struct bench *bench, int i) {
    struct message message = {0};
    render(bench, i, &message);
}

static void do_whole(struct bench *bench, int i) {
    struct err err = {0};
    struct message message = {
        .notice_id = "N1", .key = "0123456789abcdef", .to = "ada@example.org", .customer_id = "C1", .created_at_ms = 1798000000000};
    static const struct mime_sender sender = {.from_address = "security@walton.example", .from_name = "Walton"};
    render(bench, i, &message);
    buf_reset(&bench->mime);
    if (mime_compose(&message, &sender, &bench->mime, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(2);
    }
}

static void do_copy(struct bench *bench, int i) {
    (void)i;
    buf_reset(&bench->mime);
    buf_put(&bench->mime, bench->finished, bench->finished_len);
}

static double measure(struct bench *bench, void (*step)(struct bench *bench, int i)) {
    double start_s = cpu_s();
    for (int i = 0; i < MESSAGES; i++) {
        step(bench, i);
    }
    return (cpu_s() - start_s) * 1e6 / MESSAGES;
}

static int run(struct bench *bench) {
    double copy_us[TURNS];
    double render_us[TURNS];
    double whole_us[TURNS];
    do_whole(bench, 0);
    bench->finished_len = bench->mime.len;
    bench->finished =
        strndup(buf_str(&bench->mime), bench->finished_len); /* not the buffer's own block: its end is not in the way of the copy */
    if (bench->finished == NULL) {
        exit(2);
    }
    for (int turn = 0; turn < TURNS; turn++) {
        copy_us[turn] = measure(bench, do_copy);
        render_us[turn] = measure(bench, do_render);
        whole_us[turn] = measure(bench, do_whole);
    }
    qsort(copy_us, TURNS, sizeof *copy_us, by_value);
    qsort(render_us, TURNS, sizeof *render_us, by_value);
    qsort(whole_us, TURNS, sizeof *whole_us, by_value);
    double more_us = whole_us[TURNS / 2] - copy_us[TURNS / 2];
    (void)printf(
        "message %zu bytes\ncopy   %7.2f us\nrender %7.2f us\nwhole  %7.2f us\nwhole costs %.2f us more than copy (bar %.0f): %s\n",
        bench->finished_len, copy_us[TURNS / 2], render_us[TURNS / 2], whole_us[TURNS / 2], more_us, bar_us,
        more_us <= bar_us ? "kept" : "MISSED");
    free(bench->finished);
    return more_us <= bar_us ? 0 : 1;
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */
static double heap_mib(void) {
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd) / 1048576;
}

static int run_memory(void) {
    write_set(NOTICES);
    double before = heap_mib();
    double start_s = cpu_s();
    struct template_set *set = load();
    double used = heap_mib() - before;
    (void)printf("%d notices: %.1f MiB (bar %.0f): %s; loaded and checked in %.2f s\n", NOTICES, used, bar_mib,
                 used <= bar_mib ? "kept" : "MISSED", cpu_s() - start_s);
    template_set_free(set);
    return used <= bar_mib ? 0 : 1;
}

static int dump(const char *path) {
    json_t *all = json_pack("{s:s, s:s}", "mail", strstr(mail, "Hello"), "layout", copy_layout());
    int rc = all == NULL ? -1 : json_dump_file(all, path, 0);
    json_decref(all);
    return rc == 0 ? 0 : 2;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--dump") == 0) {
        return dump(argv[2]);
    }
    static struct bench bench;
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        return 2;
    }
    write_set(1);
    struct template_set *set = load();
    bench.set = set;
    for (int i = 0; i < MESSAGES; i++) {
        bench.data[i] = json_pack("{s:s, s:s+}", "reset_url", "https://walton.example/reset", "case", "case <&>", "&");
    }
    int rc = run(&bench);
    for (int i = 0; i < MESSAGES; i++) {
        json_decref(bench.data[i]);
    }
    arena_fini(&bench.arena);
    buf_fini(&bench.mime);
    template_set_free(set);
    rc |= run_memory();
    remove_set();
    return rc;
}
