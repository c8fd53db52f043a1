/* bench_smtp: the smtp driver beside a bare loop around libesmtp: same peer, same bytes, same sessions, same mails per session.
 *
 *   bench_smtp [MAILS] [SESSIONS]
 *
 * The bare loop is what one would write in an afternoon: a thread per session, each session filled with its mails, sent, thrown
 * away. It gets TCP_NODELAY, without which it would do 23 mails a second, and the finished bytes of one mail. The driver makes each mail
 * anew, hands it to its mailer process, is told about each one, and watches the connection. Both run in a process of their own, so that
 * the CPU counted is all of it (reachd's side and mailer together); the peer's is not.
 *
 * Four rounds each: the peer answering at once, with and without CHUNKING, over TLS, and 5 ms after the end of the data. The best of
 * ROUNDS counts. Exit 1 where the driver does less than 0.8 of the bare loop's mails a second or takes more than 1.25 times its CPU.
 * Last, how much the memory of one mailer grows from its 2,000th to its 12,000th mail. */
#include "channels/mime.h"
#include "tests/support/mail_certs.h"
#include "tests/support/mail_kit.h"
#include "tests/support/mail_peer.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
/* after <stddef.h> and OpenSSL */
#include <libesmtp.h>

enum { ROUNDS = 3, PER_SESSION = 100, WINDOW = 1024, SESSIONS_MAX = 256 };

struct load {
    const char *name;
    const char *rules;
    const char *const *arguments;
    bool tls;
    unsigned part; /* the load gets 1/part of the mails */
};

struct task {
    const struct mail_certs *certs;
    bool tls;
    int port;
    unsigned mails;
    unsigned sessions;
};

struct result {
    double per_second;
    double cpu_us;
};

static void __attribute__((noreturn)) give_up(const char *what) {
    (void)fprintf(stderr, "bench_smtp: %s\n", what);
    exit(2);
}

/* ---- measuring ----------------------------------------------------------------------------------------------------- */
static double cpu_s(int who) {
    struct rusage usage;
    (void)getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void begin(struct result *result) {
    result->per_second = (double)clock_mono_ms(&clock_system);
    result->cpu_us = cpu_s(RUSAGE_SELF);
}

static void end(struct result *result, unsigned mails) {
    result->per_second = mails * 1000.0 / ((double)clock_mono_ms(&clock_system) - result->per_second);
    result->cpu_us = (cpu_s(RUSAGE_SELF) - result->cpu_us) * 1e6 / mails;
}

/* The mailers, which have ended. */
static void add_children(struct result *result, unsigned mails) {
    result->cpu_us += cpu_s(RUSAGE_CHILDREN) * 1e6 / mails;
}

/* ---- the mail ------------------------------------------------------------------------------------------------------ */
static char words[2048];

static void fill(struct message *message) {
    if (words[0] == '\0') {
        for (size_t i = 0; i + 1 < sizeof words; i++) {
            words[i] = i % 61 == 60 ? '\n' : (char)('a' + i % 23);
        }
    }
    message->text = words + sizeof words / 2; /* 1 KB of text, 2 KB of HTML: with its header a mail of 3.5 KB */
    message->html = words;
}

static char *one_mail(void) {
    struct message message = {.key = "00000000000000000000000000000001", .to = "ada@example.org", .subject = "Your password is off"};
    struct mime_sender sender = {.from_address = "notices@walton.example"};
    struct buf out = BUF_INIT;
    struct err err;
    fill(&message);
    if (mime_compose(&message, &sender, &out, &err) != 0) {
        give_up(err.text);
    }
    return buf_take(&out);
}

/* ---- the bare loop ------------------------------------------------------------------------------------------------- */

/* libesmtp's connect(): the same with TCP_NODELAY. */
int bare_connect(int fd, const struct sockaddr *address, socklen_t len) __asm__("connect");
int bare_connect(int fd, const struct sockaddr *address, socklen_t len) {
    int (*real)(int, const struct sockaddr *, socklen_t);
    int one = 1;
    void *symbol = dlsym(RTLD_NEXT, "connect");
    memcpy(&real, &symbol, sizeof real);
    if (address->sa_family == AF_INET) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return real(fd, address, len);
}

struct bare {
    const struct task *task;
    const char *mail;
    SSL_CTX *tls;
    unsigned mails;
    unsigned accepted;
};

static const char *read_mail(void **ctx, int *len, void *arg) {
    if (len == NULL) {
        free(*ctx);
        *ctx = NULL;
        return NULL;
    }
    bool again = *ctx != NULL;
    *ctx = again ? *ctx : malloc(1);
    *len = again ? 0 : (int)strlen(arg);
    return again ? NULL : arg;
}

static void count_message(smtp_message_t message, void *arg) {
    const smtp_status_t *status = smtp_message_transfer_status(message);
    *(unsigned *)arg += status != NULL && status->code == 250;
}

/* Like a program that trusts its own context, the bare loop does not mind which name DNS gave back. */
static void on_event(smtp_session_t session, int event, void *arg, ...) {
    (void)session;
    va_list args;
    va_start(args, arg);
    if (event == SMTP_EV_WRONG_PEER_CERTIFICATE) {
        *va_arg(args, int *) = 1;
    }
    va_end(args);
}

static void run_session(struct bare *bare, unsigned n) {
    char server[64];
    char *mail;
    smtp_session_t session = smtp_create_session();
    memcpy(&mail, &bare->mail, sizeof mail);
    (void)snprintf(server, sizeof server, "localhost:%d", bare->task->port);
    bool ok = session != NULL && smtp_set_server(session, server) && smtp_set_hostname(session, "bench");
    if (ok && bare->tls != NULL) {
        ok = smtp_starttls_set_ctx(session, bare->tls) && smtp_starttls_enable(session, Starttls_REQUIRED) &&
             smtp_set_eventcb(session, on_event, NULL);
    }
    for (unsigned i = 0; ok && i < n; i++) {
        smtp_message_t message = smtp_add_message(session);
        ok = message != NULL && smtp_set_reverse_path(message, "notices@walton.example") && smtp_set_messagecb(message, read_mail, mail) &&
             smtp_add_recipient(message, "ada@example.org") != NULL;
    }
    if (!ok || smtp_start_session(session) == 0) {
        give_up("the bare loop failed");
    }
    (void)smtp_enumerate_messages(session, count_message, &bare->accepted);
    (void)smtp_destroy_session(session);
}

static void *run_bare_thread(void *arg) {
    struct bare *bare = arg;
    for (unsigned left = bare->mails; left > 0;) {
        unsigned n = left < PER_SESSION ? left : PER_SESSION;
        run_session(bare, n);
        left -= n;
    }
    return NULL;
}

static SSL_CTX *bare_tls(const struct task *task) {
    if (!task->tls) {
        return NULL;
    }
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_load_verify_file(context, mail_certs_path(task->certs, "ca", "pem")) != 1) {
        give_up("no TLS");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); /* with 1.3 the bare loop hangs */
    return context;
}

static void run_bare(const struct task *task, struct result *result) {
    static struct bare bares[SESSIONS_MAX];
    static pthread_t threads[SESSIONS_MAX];
    char *mail = one_mail();
    SSL_CTX *tls = bare_tls(task);
    unsigned accepted = 0;
    begin(result);
    for (unsigned i = 0; i < task->sessions; i++) {
        bares[i] = (struct bare){.task = task, .mail = mail, .tls = tls, .mails = task->mails / task->sessions};
        if (pthread_create(&threads[i], NULL, run_bare_thread, &bares[i]) != 0) {
            give_up("no thread");
        }
    }
    for (unsigned i = 0; i < task->sessions; i++) {
        (void)pthread_join(threads[i], NULL);
        accepted += bares[i].accepted;
    }
    end(result, task->mails);
    if (accepted != task->mails) {
        give_up("not all mails of the bare loop were accepted");
    }
    SSL_CTX_free(tls);
    free(mail);
}

/* ---- the driver ---------------------------------------------------------------------------------------------------- */
static void open_kit(struct mail_kit *kit, const struct task *task, unsigned per_session) {
    char yaml[512];
    if (task->tls) {
        (void)snprintf(yaml, sizeof yaml, "ca_file: %s\nsessions: %u\nmessages_per_session: %u\n",
                       mail_certs_path(task->certs, "ca", "pem"), task->sessions, per_session);
        mail_kit_open(kit, "localhost", task->port, yaml);
    } else {
        (void)snprintf(yaml, sizeof yaml, "sessions: %u\nmessages_per_session: %u\n", task->sessions, per_session);
        mail_kit_open_plain(kit, task->port, yaml);
    }
    if (kit->gateway == NULL) {
        give_up(kit->err.text);
    }
}

/* The words of the mails; making them is not the driver's part. */
static struct message **make_messages(struct mail_kit *kit, unsigned mails) {
    struct message **messages = arena_array(&kit->arena, mails, sizeof(struct message *));
    for (unsigned i = 0; messages != NULL && i < mails; i++) {
        messages[i] = mail_kit_message(kit, "ada@example.org", i);
        fill(messages[i]);
    }
    return messages;
}

/* As the dispatcher does it: a window of mails in flight, filled up in batches. */
static void send_mails(struct mail_kit *kit, struct message *const *messages, unsigned mails) {
    size_t until = kit->n_answered + mails;
    for (unsigned number = 0; kit->n_answered < until;) {
        while (number < mails && kit->n_sent - kit->n_answered < WINDOW) {
            (void)mail_kit_send(kit, messages[number++]);
        }
        mail_kit_turn(kit);
    }
    for (size_t i = 0; i < until; i++) {
        if (kit->outcomes[i].kind != OUTCOME_SENT) {
            give_up(kit->outcomes[i].reason);
        }
    }
}

static void run_driver(const struct task *task, struct result *result) {
    struct mail_kit kit;
    open_kit(&kit, task, PER_SESSION);
    struct message **messages = make_messages(&kit, task->mails);
    begin(result);
    send_mails(&kit, messages, task->mails);
    end(result, task->mails);
    mail_kit_close(&kit);
    add_children(result, task->mails);
}

/* ---- comparing ----------------------------------------------------------------------------------------------------- */

/* Runs it in a child of its own. */
static struct result measure(void (*run)(const struct task *, struct result *), const struct task *task) {
    int pipe_fds[2], status;
    struct result result = {0};
    if (pipe(pipe_fds) != 0) {
        give_up("no pipe");
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        run(task, &result);
        _exit(write(pipe_fds[1], &result, sizeof result) == (ssize_t)sizeof result ? 0 : 1);
    }
    (void)close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], &result, sizeof result);
    (void)close(pipe_fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 || n != (ssize_t)sizeof result) {
        give_up("a run failed");
    }
    return result;
}

static void keep_best(struct result *best, struct result result) {
    best->per_second = result.per_second > best->per_second ? result.per_second : best->per_second;
    best->cpu_us = best->cpu_us == 0 || result.cpu_us < best->cpu_us ? result.cpu_us : best->cpu_us;
}

/* Returns whether the driver is good enough. */
static bool compare(const struct load *load, const struct task *task) {
    struct result bare = {0}, driver = {0};
    for (int round = 0; round < ROUNDS; round++) {
        keep_best(&bare, measure(run_bare, task));
        keep_best(&driver, measure(run_driver, task));
    }
    double speed = driver.per_second / bare.per_second, cpu = driver.cpu_us / bare.cpu_us;
    bool good = speed >= 0.8 && cpu <= 1.25;
    (void)printf("%-22s bare %6.0f/s %6.1f us   driver %6.0f/s %6.1f us   speed %.2f  CPU %.2f  %s\n", load->name, bare.per_second,
                 bare.cpu_us, driver.per_second, driver.cpu_us, speed, cpu, good ? "ok" : "TOO SLOW");
    (void)fflush(stdout);
    return good;
}

static long resident_kb(int pid) {
    char path[64], line[128];
    long kb = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kb = strtol(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kb;
}

static bool watch_memory(const struct task *task) {
    struct mail_kit kit;
    int pid;
    open_kit(&kit, task, PER_SESSION);
    struct message **messages = make_messages(&kit, 10000);
    send_mails(&kit, messages, 2000);
    if (mail_kit_mailers(&pid, 1) != 1) {
        give_up("there is no mailer");
    }
    long before_kb = resident_kb(pid);
    send_mails(&kit, messages, 10000);
    long after_kb = resident_kb(pid);
    mail_kit_close(&kit);
    bool good = after_kb - before_kb <= 1024;
    (void)printf("memory of a mailer after 2,000 mails %ld KiB, after 12,000 mails %ld KiB  %s\n", before_kb, after_kb,
                 good ? "ok" : "GROWS");
    return good;
}

int main(int argc, char **argv) {
    unsigned mails = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 16000;
    unsigned sessions = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 16;
    if (sessions < 1 || sessions > SESSIONS_MAX || mails < sessions || mails > MAIL_KIT_MAX) {
        give_up("usage: bench_smtp [MAILS (at most 20000)] [SESSIONS (at most 256)]");
    }
    struct mail_certs *certs = mail_certs_make();
    const char *const plain[] = {"--quiet-store", NULL}, *const chunking[] = {"--quiet-store", "--chunking", NULL};
    const char *const tls[] = {
        "--quiet-store", "--tls-cert", mail_certs_path(certs, "good", "pem"), "--tls-key", mail_certs_path(certs, "good", "key"), NULL};
    const struct load loads[] = {
        {"at once", NULL, plain, false, 1},
        {"at once, CHUNKING", NULL, chunking, false, 1},
        {"at once, TLS", NULL, tls, true, 1},
        {"5 ms after the data", "[{'phase':'after-dot','action':'none','delay_ms':5}]", plain, false, 2},
    };
    bool good = true;
    (void)printf("%u mails, %u sessions, %d mails per session, best of %d\n", mails, sessions, PER_SESSION, ROUNDS);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        struct mail_peer *peer = mail_peer_start(loads[i].rules, loads[i].arguments);
        struct task task = {certs, loads[i].tls, mail_peer_port(peer), mails / loads[i].part / sessions * sessions, sessions};
        good = compare(&loads[i], &task) && good;
        if (i == 0) {
            good = watch_memory(&task) && good;
        }
        mail_peer_stop(peer);
    }
    mail_certs_remove(certs);
    return good ? 0 : 1;
}
