/* archive: see archive.h. The daemon's side, and the child that writes.
 *
 * Writing to a disk and waiting for it may take from microseconds to seconds, so a child does it (as the mailers do what may block): it
 * gets a page of lines over a socket, appends them (archive_file.c), waits until they are on the disk and answers. A page is what the slow
 * walk over the notices brings at once, some hundred lines: they share one wait for the disk.
 *
 * Guarantees: done() is called with NULL only when every line of the page is on the disk. The child ends with the daemon. How it fails:
 * a full or broken disk is told when it begins and when it ends; then nothing leaves Redis, and it is tried again every PAUSE_MS. A
 * child that dies is told and made again with the next page; what it had may be written twice, never zero times. Does not: read Redis. */
#include "dispatcher/archive.h"

#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/archive_file.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAUSE_MS = 10000 };

/* What the child answers to a page. */
struct answer {
    int32_t failed;
    uint32_t n_deleted; /* files, since its start */
    char text[sizeof((struct err *)0)->text];
};

struct archive {
    struct event_base *base;
    const struct archive_settings *settings;
    char *consumer;
    pid_t pid; /* 0: none */
    struct bufferevent *to_child;
    struct event *pause;
    bool busy;
    archive_done_fn *done;
    void *ctx;
    struct err err; /* of the page that failed */
    bool told;      /* that it fails */
    uint32_t n_deleted;
};

/* ---- the child ----------------------------------------------------------------------------------------------------- */

/* 1, 0 at the end of the stream, -1. */
static int read_all(int fd, void *data, size_t len) {
    char *at = data;
    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return n == 0 ? 0 : -1;
        }
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 1;
}

static int serve_page(struct archive_file *file, int fd, struct answer *answer) {
    uint64_t len = 0;
    struct err err;
    *answer = (struct answer){0};
    if (read_all(fd, &len, sizeof len) != 1) {
        return -1;
    }
    char *lines = malloc(len == 0 ? 1 : len);
    if (lines == NULL || read_all(fd, lines, len) != 1) {
        free(lines);
        return -1;
    }
    if (archive_file_append(file, lines, len, clock_wall_ms(&clock_system), &err) < 0) {
        answer->failed = 1;
        memcpy(answer->text, err.text, sizeof answer->text);
    }
    free(lines);
    answer->n_deleted = file->n_deleted;
    return write(fd, answer, sizeof *answer) == (ssize_t)sizeof *answer ? 0 : -1;
}

/* Ends with its socket, so it finishes what it has got when the daemon stops, and when the daemon dies. */
static _Noreturn void child(const struct archive *archive, int fd) {
    struct archive_file file;
    struct answer answer = {0};
    struct err err;
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of the file size is a full disk */
    (void)prctl(PR_SET_NAME, "reachd-archive");
    if (fd > 3) {
        (void)close_range(3, (unsigned)fd - 1, 0);
    }
    (void)close_range((unsigned)fd + 1, ~0U, 0);
    if (archive_file_open(&file, archive->settings, archive->consumer, clock_wall_ms(&clock_system), &err) < 0) {
        answer.failed = 1;
        memcpy(answer.text, err.text, sizeof answer.text);
        (void)!write(fd, &answer, sizeof answer);
        _exit(1);
    }
    while (serve_page(&file, fd, &answer) == 0) {
    }
    archive_file_close(&file);
    _exit(0);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static void finish_page(struct archive *archive, const struct err *err) {
    archive->busy = false;
    archive->done(archive->ctx, err);
}

static void on_pause_over(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct archive *archive = ctx;
    finish_page(archive, &archive->err);
}

static void fail_page(struct archive *archive) {
    const struct timeval pause = {.tv_sec = PAUSE_MS / 1000, .tv_usec = 0};
    if (!archive->told) {
        log_error("archive: %s; finished notices stay in Redis until it can be written to", archive->err.text);
        archive->told = true;
    }
    if (event_add(archive->pause, &pause) < 0) {
        finish_page(archive, &archive->err);
    }
}

static void on_answer(struct bufferevent *bev, void *ctx) {
    struct archive *archive = ctx;
    struct answer answer;
    if (!archive->busy || evbuffer_get_length(bufferevent_get_input(bev)) < sizeof answer) {
        return;
    }
    (void)bufferevent_read(bev, &answer, sizeof answer);
    answer.text[sizeof answer.text - 1] = '\0';
    if (answer.n_deleted > archive->n_deleted) {
        log_notice("archive: %u old files deleted (archive.keep, archive.size_max)", answer.n_deleted - archive->n_deleted);
    }
    archive->n_deleted = answer.n_deleted;
    if (answer.failed) {
        (void)err_set(&archive->err, ERR_SYSTEM, "%s", answer.text);
        fail_page(archive);
        return;
    }
    if (archive->told) {
        log_notice("archive: can be written to again");
        archive->told = false;
    }
    finish_page(archive, NULL);
}

static void drop_child(struct archive *archive) {
    if (archive->to_child != NULL) {
        (void)shutdown(bufferevent_getfd(archive->to_child), SHUT_RDWR); /* ends the child; libevent closes later, from the loop */
        bufferevent_free(archive->to_child);
        archive->to_child = NULL;
    }
    if (archive->pid > 0) {
        int status;
        while (waitpid(archive->pid, &status, 0) < 0 && errno == EINTR) {
        }
        archive->pid = 0;
    }
}

static void on_end(struct bufferevent *bev, short what, void *ctx) {
    (void)what;
    struct archive *archive = ctx;
    on_answer(bev, ctx); /* its last words */
    drop_child(archive);
    archive->n_deleted = 0;
    if (archive->busy && !evtimer_pending(archive->pause, NULL)) {
        (void)err_set(&archive->err, ERR_SYSTEM, "the child that writes it has died");
        fail_page(archive);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static int start_child(struct archive *archive, struct err *err) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return err_system(err, "the archive's child");
    }
    pid_t pid = fork();
    if (pid == 0) {
        child(archive, pair[1]);
    }
    (void)close(pair[1]);
    (void)evutil_make_socket_nonblocking(pair[0]);
    archive->to_child = pid < 0 ? NULL : bufferevent_socket_new(archive->base, pair[0], BEV_OPT_CLOSE_ON_FREE);
    if (archive->to_child == NULL) {
        (void)err_system(err, "the archive's child");
        (void)close(pair[0]);
        archive->pid = pid < 0 ? 0 : pid;
        drop_child(archive);
        return -1;
    }
    archive->pid = pid;
    bufferevent_setcb(archive->to_child, on_answer, NULL, on_end, archive);
    return bufferevent_enable(archive->to_child, EV_READ | EV_WRITE);
}

/* Finds out at the start what would only show when the first notice leaves. */
static int try_directory(const struct archive_settings *settings, const char *consumer, struct err *err) {
    struct archive_file file;
    struct archive_settings untouched = *settings; /* the child sees to the limits */
    untouched.keep_ms = untouched.size_max = 0;
    if (archive_file_open(&file, &untouched, consumer, 0, err) < 0) {
        return err_prefix(err, "archive.directory");
    }
    archive_file_close(&file);
    return 0;
}

struct archive *archive_new(struct event_base *base, const struct archive_settings *settings, const char *consumer, struct err *err) {
    struct archive *archive = calloc(1, sizeof *archive);
    if (archive == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    archive->base = base;
    archive->settings = settings;
    archive->consumer = strdup(consumer);
    archive->pause = evtimer_new(base, on_pause_over, archive);
    if (archive->consumer == NULL || archive->pause == NULL) {
        (void)err_no_memory(err);
    } else if (try_directory(settings, consumer, err) == 0 && start_child(archive, err) == 0) {
        return archive;
    }
    archive_free(archive);
    return NULL;
}

void archive_free(struct archive *archive) {
    if (archive == NULL) {
        return;
    }
    drop_child(archive);
    if (archive->busy) {
        (void)err_set(&archive->err, ERR_CONFLICT, "reachd stops");
        finish_page(archive, &archive->err);
    }
    if (archive->pause != NULL) {
        event_free(archive->pause);
    }
    free(archive->consumer);
    free(archive);
}

int archive_put(struct archive *archive, struct buf *lines_take, archive_done_fn *done, void *ctx, struct err *err) {
    uint64_t len = lines_take->len;
    if (lines_take->failed) {
        return err_no_memory(err);
    }
    if (archive->to_child == NULL && start_child(archive, err) < 0) {
        return -1;
    }
    if (bufferevent_write(archive->to_child, &len, sizeof len) < 0 || bufferevent_write(archive->to_child, lines_take->data, len) < 0) {
        drop_child(archive); /* half a page must not be followed by another */
        return err_no_memory(err);
    }
    buf_fini(lines_take);
    archive->busy = true;
    archive->done = done;
    archive->ctx = ctx;
    return 0;
}

void archive_put_line(struct buf *out, const char *id, const char *customer, enum notice_state state, uint64_t fence, int64_t now_ms,
                      const char *text) {
    char at[TIME_TEXT_MAX];
    buf_puts(out, "{\"id\":");
    buf_put_json_str(out, id);
    buf_puts(out, ",\"customer\":");
    buf_put_json_str(out, customer);
    buf_putf(out, ",\"state\":\"%s\",\"archived_at\":\"%s\",\"token\":\"%016llx\",\"record\":", notice_state_name(state),
             time_format(now_ms, at), (unsigned long long)fence);
    buf_puts(out, text);
    buf_puts(out, "}\n");
}
