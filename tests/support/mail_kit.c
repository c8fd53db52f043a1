/* mail_kit: see mail_kit.h. */
#include "tests/support/mail_kit.h"

#include "channels/mime.h"
#include "channels/smtp.h"
#include "tests/support/mail_peer.h"

#include <dirent.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUN_MS = 30000 };

static void __attribute__((format(printf, 1, 2), noreturn)) give_up(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(99);
}

static int no_banner(void *ctx, const struct message *message, channel_done_fn *done, void *done_ctx, struct err *err) {
    (void)ctx;
    (void)message;
    (void)done;
    (void)done_ctx;
    return err_set(err, ERR_CONFLICT, "no banners here");
}

static const char *state_path;
static void (*remember)(void *ctx, const char *notice_id, uint64_t attempt, const struct outcome *outcome);

void mail_kit_remember(const char *path, void (*fn)(void *ctx, const char *notice_id, uint64_t attempt, const struct outcome *outcome)) {
    state_path = path;
    remember = fn;
}

static bool own_names;

void mail_kit_own_names(bool own) {
    own_names = own;
}

static const char *libexec_dir(void) {
    static char dir[4200];
    (void)snprintf(dir, sizeof dir, "%s/%s", mail_peer_build_dir(), own_names ? "own-names" : "");
    return dir;
}

void mail_kit_open(struct mail_kit *kit, const char *host, int port, const char *yaml) {
    char text[4096];
    memset(kit, 0, sizeof *kit);
    int n = snprintf(text, sizeof text, "host: %s\nport: %d\nfrom_address: notices@walton.example\n%s", host, port, yaml);
    kit->outcomes = calloc(MAIL_KIT_MAX, sizeof *kit->outcomes);
    kit->n_answers = calloc(MAIL_KIT_MAX, sizeof *kit->n_answers);
    kit->base = event_base_new();
    kit->settings = (struct gateway_settings){.name = "test", .channel = "email", .driver = "smtp", .in_flight_max = MAIL_KIT_MAX};
    kit->settings.driver_settings = arena_alloc(&kit->arena, channel_smtp.settings->size);
    if (kit->outcomes == NULL || kit->n_answers == NULL || kit->base == NULL || kit->settings.driver_settings == NULL) {
        give_up("out of memory");
    }
    kit->env = (struct channel_env){.base = kit->base,
                                    .clock = &clock_system,
                                    .libexec_dir = libexec_dir(),
                                    .state_path = state_path,
                                    .remember = remember,
                                    .put_banner = no_banner,
                                    .ctx = kit};
    if (conf_read_text(text, (size_t)n, "test.yaml", channel_smtp.settings, kit->settings.driver_settings, &kit->arena, &kit->err) == 0) {
        kit->gateway = channel_smtp.open(&kit->env, &kit->settings, &kit->err);
    }
}

void mail_kit_open_plain(struct mail_kit *kit, int port, const char *yaml) {
    char text[2048];
    (void)snprintf(text, sizeof text, "tls: plaintext-on-loopback\n%s", yaml);
    mail_kit_open(kit, "127.0.0.1", port, text);
    if (kit->gateway == NULL) {
        give_up("cannot open the gateway: %s", kit->err.text);
    }
}

void mail_kit_close(struct mail_kit *kit) {
    if (kit->gateway != NULL) {
        channel_smtp.close(kit->gateway);
        kit->gateway = NULL;
    }
    event_base_free(kit->base);
    arena_fini(&kit->arena);
    free(kit->outcomes);
    free(kit->n_answers);
}

struct message *mail_kit_message(struct mail_kit *kit, const char *to, unsigned number) {
    struct message *message = arena_alloc(&kit->arena, sizeof *message);
    if (message == NULL) {
        give_up("out of memory");
    }
    *message = (struct message){
        .notice_id = "n1",
        .key = arena_printf(&kit->arena, "%032x", number),
        .to = arena_strdup(&kit->arena, to),
        .customer_id = "C1",
        .locale = "en-GB",
        .created_at_ms = 1795298400000,
        .notice = "mail-password-disabled",
        .severity = "critical",
        .dir = "ltr",
        .subject = "Your mailbox password has been switched off",
        .text = "Dear customer,\n\nyour mailbox password no longer works.\n.\nSet a new one at the help desk.\n",
        .html = "<p>Dear customer,</p>\n<p>your mailbox password no longer works.</p>\n",
    };
    return message;
}

static void on_done(void *ctx, const struct outcome *outcome) {
    struct mail_kit *kit = *(struct mail_kit **)ctx;
    size_t index = ((size_t *)ctx)[1];
    kit->outcomes[index] = *outcome;
    kit->n_answers[index]++;
    kit->n_answered++;
    if (kit->n_answered == kit->n_sent) {
        (void)event_base_loopbreak(kit->base);
    }
}

size_t mail_kit_send_until(struct mail_kit *kit, const struct message *message, int64_t not_after_ms) {
    struct err err;
    size_t *ctx = arena_array(&kit->arena, 2, sizeof *ctx);
    if (ctx == NULL || kit->n_sent == MAIL_KIT_MAX) {
        give_up("too many mails");
    }
    memcpy(&ctx[0], &kit, sizeof ctx[0]);
    ctx[1] = kit->n_sent++;
    if (channel_smtp.send(kit->gateway, message, not_after_ms, on_done, ctx, &err) != 0) {
        give_up("the gateway did not take a mail: %s", err.text);
    }
    return ctx[1];
}

size_t mail_kit_send(struct mail_kit *kit, const struct message *message) {
    return mail_kit_send_until(kit, message, clock_mono_ms(&clock_system) + 600000);
}

void mail_kit_run_for(struct mail_kit *kit, int wait_ms) {
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    channel_smtp.flush(kit->gateway);
    if (event_base_loopexit(kit->base, &wait) != 0 || event_base_dispatch(kit->base) < 0) {
        give_up("the loop does not run");
    }
}

void mail_kit_run(struct mail_kit *kit) {
    int64_t until_ms = clock_mono_ms(&clock_system) + RUN_MS;
    while (kit->n_answered < kit->n_sent) {
        mail_kit_run_for(kit, 200);
        if (clock_mono_ms(&clock_system) > until_ms) {
            give_up("%zu of %zu mails have no answer", kit->n_sent - kit->n_answered, kit->n_sent);
        }
    }
}

void mail_kit_turn(struct mail_kit *kit) {
    channel_smtp.flush(kit->gateway);
    if (event_base_loop(kit->base, EVLOOP_ONCE) < 0) {
        give_up("the loop does not run");
    }
}

const struct outcome *mail_kit_send_one(struct mail_kit *kit, const char *to, unsigned number) {
    size_t index = mail_kit_send(kit, mail_kit_message(kit, to, number));
    mail_kit_run(kit);
    return &kit->outcomes[index];
}

void mail_kit_assert_large_mail(struct mail_kit *kit, const struct mail_peer *peer) {
    static const struct mime_sender sender = {.from_address = "notices@walton.example"};
    static char text[180001];
    struct message *message = mail_kit_message(kit, "ada@example.org", 1);
    struct buf made = BUF_INIT;
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        text[i] = i % 97 == 96 ? '\n' : i % 97 == 0 ? '.' : (char)('a' + i / 97 % 26);
    }
    message->text = text;
    message->html = NULL;
    size_t index = mail_kit_send(kit, message);
    mail_kit_run(kit);
    char *got = mail_peer_mail(peer, 0);
    if (mime_compose(message, &sender, &made, &kit->err) != 0 || kit->outcomes[index].kind != OUTCOME_SENT || got == NULL ||
        strlen(got) < made.len || strcmp(got + strlen(got) - made.len, buf_str(&made)) != 0) {
        give_up("a large mail was not kept as it was made: %s", kit->outcomes[index].reason);
    }
    buf_fini(&made);
    free(got);
}

/* Parent and name of a process. 0, or -1 where there is none (any more). */
static int look_at(int pid, int *parent_r, char name[32]) {
    char path[64], state;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    int n = file == NULL ? 0 : fscanf(file, "%*d (%31[^)]) %c %d", name, &state, parent_r);
    if (file != NULL) {
        (void)fclose(file);
    }
    return n == 3 && state != 'Z' ? 0 : -1;
}

size_t mail_kit_mailers(int *pids, size_t max) {
    size_t n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry = proc == NULL ? NULL : readdir(proc); entry != NULL && n < max; entry = readdir(proc)) {
        int pid = atoi(entry->d_name), parent;
        char name[32];
        if (pid > 0 && look_at(pid, &parent, name) == 0 && parent == getpid() && strncmp(name, "reachd-mailer", 13) == 0) {
            pids[n++] = pid;
        }
    }
    if (proc != NULL) {
        (void)closedir(proc);
    }
    return n;
}
