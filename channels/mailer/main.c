/* reachd-mailer: the child process that speaks SMTP for reachd (channels/smtp.c starts it).
 *
 * libesmtp blocks, and a fault in it or in what a server sends should cost a few mails' certainty and not the dispatcher. So it runs
 * here, in a process that knows one server, its credentials and nothing else: they come over the socket it was started with, never
 * by argument or environment. The protocol is in channels/smtp_link.h.
 *
 * The main thread reads frames and hands mails to session threads. When reachd is gone or talks nonsense no mail is ended any more; the
 * process only waits, LAST_ANSWERS_MS at most, for the answers to those that have been, and notes them on the board for the next reachd.
 *
 * It ignores SIGTERM and SIGINT: when the whole group is told to stop, reachd drains through its mailers and then lets them go. */
#include "channels/mailer/guard.h"
#include "channels/mailer/session.h"
#include "channels/mailer/tls.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_PROTOCOL = 70, READ_BYTES = 65536, KEEP_BYTES = 64 << 20, LAST_ANSWERS_MS = 2000 };

struct mailer {
    struct buf in;
    struct arena arena; /* the set-up's strings */
    struct smtp_setup setup;
    struct smtp_board *board;
    size_t board_bytes;
    struct session_args session;
};

static void say(enum smtp_frame type, const char *text) {
    struct buf out = BUF_INIT;
    if (smtp_put_word(&out, type, text) == 0) {
        ssize_t n = send(SMTP_LINK_FD, out.data, out.len, MSG_NOSIGNAL);
        (void)n; /* reachd is gone or will see our end */
    }
    buf_fini(&out);
}

/* No core file may hold the password, no signal meant for the group may cut a mail off. */
static int confine(void) {
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2};
    const struct rlimit none = {0, 0};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        if (signal(ignored[i], SIG_IGN) == SIG_ERR) {
            return -1;
        }
    }
    return setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? -1 : 0;
}

static bool is_in_doubt(const struct mailer *mailer) {
    for (uint32_t i = 0; mailer->board != NULL && i < mailer->setup.n_slots; i++) {
        if (mailer->board->slots[i].progress == SMTP_DOUBT) {
            return true;
        }
    }
    return false;
}

/* Nobody is there to tell: sessions are cut off where they stand, but for the answers that decide what has become of a mail. */
static void __attribute__((noreturn)) end_alone(const struct mailer *mailer) {
    static const struct timespec nap = {.tv_nsec = 2000000};
    int64_t until_ms = clock_mono_ms(&clock_system) + LAST_ANSWERS_MS;
    guard_end_nothing();
    while (is_in_doubt(mailer) && clock_mono_ms(&clock_system) < until_ms) {
        (void)nanosleep(&nap, NULL);
    }
    _exit(EXIT_PROTOCOL);
}

static int map_board(struct mailer *mailer) {
    struct stat st;
    mailer->board_bytes = smtp_board_bytes(mailer->setup.n_slots);
    if (fstat(SMTP_BOARD_FD, &st) != 0 || st.st_size < (off_t)mailer->board_bytes) {
        return -1;
    }
    void *memory = mmap(NULL, mailer->board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, SMTP_BOARD_FD, 0);
    if (memory == MAP_FAILED) {
        return -1;
    }
    mailer->board = memory;
    return 0;
}

static int keep(struct arena *arena, const char **text) {
    const char *copy = arena_strdup(arena, *text);
    int status = *text != NULL && copy == NULL ? -1 : 0;
    *text = copy;
    return status;
}

static int keep_setup(struct mailer *mailer) {
    struct smtp_setup *setup = &mailer->setup;
    const char **const texts[] = {&setup->host, &setup->port, &setup->ca_file, &setup->username, &setup->password, &setup->helo_name};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (keep(&mailer->arena, texts[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int start_session(void *ctx) {
    const struct mailer *mailer = ctx;
    return session_start(&mailer->session);
}

/* Takes the set-up and gets ready for mails. 0, or -1 with *err. */
static int set_up(struct mailer *mailer, struct frame *frame, struct err *err) {
    if (smtp_get_setup(frame, &mailer->setup) != 0 || keep_setup(mailer) != 0) {
        return err_set(err, ERR_SYNTAX, "the mailer does not understand its set-up: is it of the same version as reachd?");
    }
    if (map_board(mailer) != 0) {
        return err_system(err, "the mailer cannot map the board");
    }
    if (mailer->setup.tls == SMTP_TLS_REQUIRED) {
        mailer->session.tls = tls_context_new(mailer->setup.host, mailer->setup.ca_file, err);
        if (mailer->session.tls == NULL) {
            return -1;
        }
    }
    /* A connection's memory is freed at its end and wanted again by the next one: giving it back in between costs two system calls a mail.
     */
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    session_prepare();
    mailer->session.setup = &mailer->setup;
    mailer->session.work = work_new(&mailer->setup, mailer->board->slots, SMTP_LINK_FD, start_session, mailer);
    return mailer->session.work != NULL ? 0 : err_no_memory(err);
}

/* 1 go on, 0 end politely, -1 nonsense. */
static int take_frame(struct mailer *mailer, struct frame *frame) {
    struct err err;
    const char *text;
    if (mailer->session.work == NULL) {
        if (frame->type != SMTP_FRAME_SETUP) {
            return -1;
        }
        if (set_up(mailer, frame, &err) != 0) {
            say(SMTP_FRAME_FATAL, err.text);
            return 0;
        }
        say(SMTP_FRAME_READY, NULL);
        return 1;
    }
    switch (frame->type) {
    case SMTP_FRAME_MAIL: return work_add(mailer->session.work, frame) == 0 ? 1 : -1;
    case SMTP_FRAME_QUIT: return smtp_get_word(frame, &text) == 0 ? 0 : -1;
    default: return -1;
    }
}

/* Takes every whole frame out of the input. As take_frame(). */
static int take_frames(struct mailer *mailer) {
    size_t at = 0;
    int status = 1;
    while (status == 1) {
        struct frame frame;
        size_t used;
        int found = frame_next(mailer->in.data + at, mailer->in.len - at, &frame, &used);
        if (found == 0) {
            break;
        }
        status = found < 0 ? -1 : take_frame(mailer, &frame);
        at += found < 0 ? 0 : used;
    }
    memmove(mailer->in.data, mailer->in.data + at, mailer->in.len - at);
    mailer->in.len -= at;
    return status;
}

/* Reads until the end. 0 polite, -1 not. */
static int serve(struct mailer *mailer) {
    for (;;) {
        if (buf_reserve(&mailer->in, READ_BYTES) != 0) {
            return -1;
        }
        ssize_t n = recv(SMTP_LINK_FD, mailer->in.data + mailer->in.len, READ_BYTES, 0);
        if (n <= 0) {
            if (n < 0 && errno == EINTR) {
                continue;
            }
            return -1;
        }
        mailer->in.len += (size_t)n;
        int status = take_frames(mailer);
        if (status != 1) {
            return status;
        }
    }
}

int main(void) {
    struct mailer mailer = {.in = BUF_INIT, .arena = ARENA_INIT};
    log_init("reachd-mailer", LOG_LEVEL_INFO);
    if (fcntl(SMTP_LINK_FD, F_GETFD) < 0) {
        log_error("this program is started by reachd and by nobody else");
        return EXIT_USAGE;
    }
    if (confine() != 0) {
        log_error("cannot confine itself: %s", strerror(errno));
        return EXIT_PROTOCOL;
    }
    if (serve(&mailer) != 0) {
        end_alone(&mailer);
    }
    if (mailer.session.work != NULL) {
        work_close(mailer.session.work);
        work_free(mailer.session.work);
    }
    SSL_CTX_free(mailer.session.tls);
    if (mailer.board != NULL) {
        (void)munmap(mailer.board, mailer.board_bytes);
    }
    arena_fini(&mailer.arena);
    buf_fini(&mailer.in);
    return 0;
}
