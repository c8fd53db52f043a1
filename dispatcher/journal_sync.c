/* journal_sync: makes durable what Redis leaves unrecorded.
 *
 * Why a child: fdatasync(2) on a busy disk takes from milliseconds to seconds, and there is no asynchronous one that does not hide a
 * thread (glibc's aio_fsync) or need a kernel and a sandbox that allow io_uring. The daemon has children that may block
 * already (the mailers); this one knows two file descriptors and a socket, no secret, no memory of its own to speak of. It
 * gets one byte, syncs both files, answers with errno, and ends when its socket does.
 *
 * A timer runs only while something is open. What is still open after a whole tick is given to the child, once per tick at the most:
 * with Redis well everything is recorded within milliseconds and no disk is ever waited for.
 *
 * How it fails: a disk that cannot sync is told once; a child that dies is told and made again when it is needed next. */
#include "dispatcher/journal_inside.h"

#include "base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 50 };

/* ---- the child ----------------------------------------------------------------------------------------------------- */

/* Closes every descriptor but those three (the daemon's connections must not stay open in here). */
static void keep_only(int a, int b, int c) {
    int keep[] = {a, b, c};
    unsigned from = 0;
    for (int round = 0; round < 3; round++) {
        int least = -1;
        for (int i = 0; i < 3; i++) {
            if ((unsigned)keep[i] >= from && (least < 0 || keep[i] < least)) {
                least = keep[i];
            }
        }
        if (least < 0) {
            break;
        }
        if ((unsigned)least > from) {
            (void)close_range(from, (unsigned)least - 1, 0);
        }
        from = (unsigned)least + 1;
    }
    (void)close_range(from, ~0U, 0);
}

/* Only what is safe after a fork of a program with anything in it. */
static _Noreturn void sync_for_ever(int fd, int first, int second, pid_t parent) {
    char question;
    (void)signal(SIGTERM, SIG_IGN); /* it ends with the daemon, which may still have to drain */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)prctl(PR_SET_NAME, "reachd-sync");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    keep_only(fd, first, second);
    while (getppid() == parent && read(fd, &question, 1) == 1) {
        int failed = fdatasync(first) < 0 || fdatasync(second) < 0 ? errno : 0;
        char answer = (char)(failed > 127 ? EIO : failed);
        if (write(fd, &answer, 1) != 1) {
            break;
        }
    }
    _exit(0);
}

static void end_child(struct syncer *syncer) {
    if (syncer->on_answer != NULL) {
        event_free(syncer->on_answer);
        syncer->on_answer = NULL;
    }
    if (syncer->fd >= 0) {
        (void)close(syncer->fd);
        syncer->fd = -1;
    }
    if (syncer->pid > 0) {
        int status;
        while (waitpid(syncer->pid, &status, 0) < 0 && errno == EINTR) {
        }
        syncer->pid = 0;
    }
    syncer->busy = false;
}

static void ask(struct journal *journal);

static void on_answer(evutil_socket_t fd, short what, void *ctx) {
    (void)what;
    struct journal *journal = ctx;
    char answer = 0;
    ssize_t got = read(fd, &answer, 1);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got != 1) {
        log_error("journal: the process that syncs it has ended; another one is started when it is needed");
        end_child(&journal->syncer);
        journal->dirty = true;
        return;
    }
    journal->syncer.busy = false;
    if (answer != 0) {
        if (!journal->told_full) {
            log_error("journal: the disk does not keep it: %s", strerror(answer));
        }
        journal->told_full = true;
        journal->dirty = true;
    }
}

static int start_child(struct journal *journal) {
    struct syncer *syncer = &journal->syncer;
    int pair[2];
    sigset_t all, before;
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -1;
    }
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    syncer->pid = fork();
    if (syncer->pid == 0) {
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGINT, SIG_IGN);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        sync_for_ever(pair[1], journal->files[0].fd, journal->files[1].fd, parent);
    }
    int why = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(pair[1]);
    syncer->fd = pair[0];
    syncer->on_answer = syncer->pid < 0 ? NULL : event_new(journal->base, pair[0], EV_READ | EV_PERSIST, on_answer, journal);
    if (syncer->on_answer == NULL || evutil_make_socket_nonblocking(pair[0]) < 0 || event_add(syncer->on_answer, NULL) < 0) {
        end_child(syncer);
        errno = why;
        return -1;
    }
    return 0;
}

/* ---- when ---------------------------------------------------------------------------------------------------------- */

static void ask(struct journal *journal) {
    struct syncer *syncer = &journal->syncer;
    if (syncer->busy) {
        return;
    }
    if (syncer->pid <= 0 && start_child(journal) < 0) {
        log_error("journal: no process to sync it can be started: %s", strerror(errno));
        return;
    }
    if (write(syncer->fd, "s", 1) == 1) {
        syncer->busy = true;
        journal->dirty = false;
    }
}

static void arm(struct journal *journal) {
    struct timeval wait = {.tv_sec = 0, .tv_usec = TICK_MS * 1000};
    if (event_add(journal->timer, &wait) < 0) {
        log_error("journal: a timer could not be set");
    }
}

static void on_tick(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct journal *journal = ctx;
    journal_flush(journal);
    if (journal->n_old > 0 && journal->dirty) {
        ask(journal);
    }
    journal->dirty = journal->dirty || journal->n_young > 0;
    journal->tick++;
    journal->n_old += journal->n_young;
    journal->n_young = 0;
    if (journal->n_old > 0) {
        arm(journal);
    } else {
        journal->dirty = false;
    }
}

void journal_sync_watch(struct journal *journal) {
    if (!event_pending(journal->timer, EV_TIMEOUT, NULL)) {
        arm(journal);
    }
}

bool journal_is_synced(const struct journal *journal) {
    return journal == NULL || (journal->n_young == 0 && !journal->dirty && !journal->syncer.busy);
}

int journal_sync_init(struct journal *journal, struct err *err) {
    journal->timer = evtimer_new(journal->base, on_tick, journal);
    if (journal->timer == NULL) {
        return err_no_memory(err);
    }
    if (start_child(journal) < 0) {
        return err_set(err, ERR_SYSTEM, "journal: no process to sync it can be started: %s", strerror(errno));
    }
    return 0;
}

void journal_sync_fini(struct journal *journal) {
    end_child(&journal->syncer);
    if (journal->timer != NULL) {
        event_free(journal->timer);
        journal->timer = NULL;
    }
}
