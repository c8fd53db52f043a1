/* smtp_mailer: see smtp_mailer.h.
 *
 *       spawn ──▶ STARTING ──READY──▶ UP ──socket ends, hangs, or talks nonsense──▶ killed, buried, mails settled
 *                     │ FATAL, end                                                        │
 *                     └──────────────────────▶ DOWN ◀─────────────────────────────────────┘
 *                                               │ timer: at once, then doubling up to half a minute
 *                                               └──▶ spawn
 *
 * A mail belongs to a slot from send to answer. When the process is gone, the board (shared memory, written by the mailer ahead
 * of the facts) settles every slot that has no answer: `unknown` where the end of the message had been let out, `retry` in all
 * other cases. Answers that the mailer had written before it died are read first and count.
 *
 * Guarantees: nothing here blocks the loop (except the bounded wait of smtp_mailer_await() and of a polite close); each mail is
 * answered exactly once. A hanging process is killed: a mail was taken up longer ago than its deadline and hang_ms, or
 * mails wait and none has been taken up or answered for that long.
 *
 * Does not: know SMTP. */
#include "channels/smtp_mailer.h"

#include "base/log.h"
#include "channels/smtp_process.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HIGH_FD = 10, /* ours stay clear of the numbers the child gets */
    READ_BYTES = 65536,
    FLUSH_BYTES = 262144, /* more than this is sent without waiting for flush() */
    WATCH_MS = 250,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 30000,
    STABLE_MS = 5000, /* a process that lived this long starts again at once */
    POLITE_MS = 300,
};

enum mailer_state { MAILER_DOWN, MAILER_STARTING, MAILER_UP };

struct slot {
    channel_done_fn *done; /* NULL: free */
    void *ctx;
    uint32_t next_free;
    const char *ref; /* the message's key; borrowed until `done` */
};

struct smtp_mailer {
    const struct smtp_mailer_config *config;
    enum mailer_state state;
    pid_t pid;
    int fd;
    struct event *readable, *writable, *watch, *restart;
    struct buf in;
    struct buf out;
    size_t out_sent;
    int board_fd;
    struct smtp_board_slot *board;
    struct slot *slots;
    uint32_t free_slot; /* n_slots: none */
    size_t n_in_flight;
    int64_t started_ms;
    int64_t heard_ms; /* when it last answered or was given work while idle */
    int64_t backoff_ms;
    char fatal[256]; /* what it said before it gave up */
};

static int64_t now_ms(void) {
    return clock_mono_ms(&clock_system);
}

static uint32_t n_slots(const struct smtp_mailer *mailer) {
    return mailer->config->setup.n_slots;
}

int smtp_mailer_pid(const struct smtp_mailer *mailer) {
    return (int)mailer->pid;
}

/* ---- slots --------------------------------------------------------------------------------------------------------- */
static uint32_t take_slot(struct smtp_mailer *mailer, channel_done_fn *done, void *ctx, const char *ref) {
    uint32_t index = mailer->free_slot;
    struct slot *slot = &mailer->slots[index];
    mailer->free_slot = slot->next_free;
    slot->done = done;
    slot->ctx = ctx;
    slot->ref = ref;
    mailer->board[index].progress = SMTP_WAITING;
    mailer->board[index].taken_ms = 0;
    if (mailer->n_in_flight++ == 0) {
        mailer->heard_ms = now_ms();
    }
    return index;
}

static void free_slot(struct smtp_mailer *mailer, uint32_t index) {
    mailer->slots[index].done = NULL;
    mailer->slots[index].next_free = mailer->free_slot;
    mailer->free_slot = index;
    mailer->n_in_flight--;
}

static void answer(struct smtp_mailer *mailer, uint32_t index, struct outcome *outcome) {
    struct slot slot = mailer->slots[index];
    free_slot(mailer, index);
    size_t len = strnlen(slot.ref, sizeof outcome->ref - 1);
    memcpy(outcome->ref, slot.ref, len);
    outcome->ref[len] = '\0';
    slot.done(slot.ctx, outcome);
}

/* The process is gone: what the board says is all there is to know. */
static void settle_slots(struct smtp_mailer *mailer, const char *why) {
    for (uint32_t i = 0; i < n_slots(mailer); i++) {
        struct outcome outcome;
        if (mailer->slots[i].done == NULL) {
            continue;
        }
        if (mailer->board[i].progress == SMTP_DOUBT) {
            outcome_set(&outcome, OUTCOME_UNKNOWN, BLAME_NONE, NULL, "%s after the end of the message and before the server's answer", why);
        } else {
            outcome_set(&outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "%s before the message was sent", why);
        }
        answer(mailer, i, &outcome);
    }
}

/* ---- the process --------------------------------------------------------------------------------------------------- */
static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

static int watch_socket(struct smtp_mailer *mailer, struct err *err) {
    struct event_base *base = mailer->config->env->base;
    mailer->readable = event_new(base, mailer->fd, EV_READ | EV_PERSIST, on_readable, mailer);
    mailer->writable = event_new(base, mailer->fd, EV_WRITE, on_writable, mailer);
    if (mailer->readable == NULL || mailer->writable == NULL || event_add(mailer->readable, NULL) != 0) {
        return err_no_memory(err);
    }
    return 0;
}

static int queue_setup(struct smtp_mailer *mailer, struct err *err) {
    buf_reset(&mailer->in);
    buf_reset(&mailer->out);
    mailer->out_sent = 0;
    return smtp_put_setup(&mailer->out, &mailer->config->setup) == 0 ? 0 : err_set(err, ERR_LIMIT, "a mailer's settings are too long");
}

static void bury(struct smtp_mailer *mailer);

static int start(struct smtp_mailer *mailer, struct err *err) {
    const struct smtp_mailer_config *config = mailer->config;
    if (queue_setup(mailer, err) != 0 ||
        smtp_process_start(config->env->libexec_dir, config->gateway_name, mailer->board_fd, &mailer->pid, &mailer->fd, err) != 0) {
        return -1;
    }
    mailer->state = MAILER_STARTING;
    mailer->started_ms = mailer->heard_ms = now_ms();
    mailer->fatal[0] = '\0';
    if (watch_socket(mailer, err) != 0) {
        bury(mailer);
        return -1;
    }
    return 0;
}

/* Ends process and connection; what it had still written has been or is not to be read. */
static void bury(struct smtp_mailer *mailer) {
    if (mailer->readable != NULL) {
        event_free(mailer->readable);
        mailer->readable = NULL;
    }
    if (mailer->writable != NULL) {
        event_free(mailer->writable);
        mailer->writable = NULL;
    }
    if (mailer->pid > 0) {
        (void)kill(mailer->pid, SIGKILL);
        while (waitpid(mailer->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        mailer->pid = -1;
    }
    if (mailer->fd >= 0) {
        (void)close(mailer->fd);
        mailer->fd = -1;
    }
    mailer->state = MAILER_DOWN;
}

static void plan_restart(struct smtp_mailer *mailer) {
    bool stable = now_ms() - mailer->started_ms >= STABLE_MS;
    int64_t wait_ms = stable ? 0 : mailer->backoff_ms;
    struct timeval delay = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    int64_t doubled = mailer->backoff_ms * 2;
    mailer->backoff_ms = stable ? BACKOFF_FIRST_MS : doubled < BACKOFF_MAX_MS ? doubled : BACKOFF_MAX_MS;
    (void)evtimer_add(mailer->restart, &delay); /* fails only without memory; the watch starts it then */
}

static void on_restart(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct smtp_mailer *mailer = arg;
    struct err err;
    if (mailer->state == MAILER_DOWN && start(mailer, &err) != 0) {
        log_error("gateway %s: %s", mailer->config->gateway_name, err.text);
        plan_restart(mailer);
    } else {
        smtp_mailer_flush(mailer);
    }
}

static void read_rest(struct smtp_mailer *mailer);

/* The process has ended or must: settle its mails and start again. */
static void lose(struct smtp_mailer *mailer, const char *why) {
    if (mailer->pid > 0) {
        (void)kill(mailer->pid, SIGKILL);
    }
    read_rest(mailer);
    bury(mailer);
    log_warning("gateway %s: %s%s%s; %zu mails were with it", mailer->config->gateway_name, why, mailer->fatal[0] != '\0' ? ": " : "",
                mailer->fatal, mailer->n_in_flight);
    settle_slots(mailer, why);
    plan_restart(mailer);
}

/* ---- frames in ----------------------------------------------------------------------------------------------------- */
static int take_frame(struct smtp_mailer *mailer, struct frame *frame) {
    struct smtp_result result;
    const char *text;
    switch (frame->type) {
    case SMTP_FRAME_READY: mailer->state = MAILER_UP; return 0;
    case SMTP_FRAME_FATAL:
        if (smtp_get_word(frame, &text) == 0 && text != NULL) {
            (void)snprintf(mailer->fatal, sizeof mailer->fatal, "%s", text);
        }
        return 0;
    case SMTP_FRAME_RESULT:
        if (smtp_get_result(frame, &result) != 0 || result.slot >= n_slots(mailer) || mailer->slots[result.slot].done == NULL) {
            return -1;
        }
        answer(mailer, result.slot, &result.outcome);
        return 0;
    default: return -1;
    }
}

/* Takes every whole frame out of what has been read. 0, or -1 where the mailer talks nonsense. */
static int take_frames(struct smtp_mailer *mailer) {
    size_t at = 0;
    int status = 0;
    while (status == 0) {
        struct frame frame;
        size_t used = 0;
        int found = frame_next(mailer->in.data + at, mailer->in.len - at, &frame, &used);
        if (found == 0) {
            break;
        }
        status = found < 0 ? -1 : take_frame(mailer, &frame);
        at += used;
    }
    memmove(mailer->in.data, mailer->in.data + at, mailer->in.len - at);
    mailer->in.len -= at;
    return status;
}

/* Reads once. 1 something came, 0 nothing is there at the moment, -1 the end. */
static int read_some(struct smtp_mailer *mailer) {
    if (buf_reserve(&mailer->in, READ_BYTES) != 0) {
        return -1;
    }
    ssize_t n = recv(mailer->fd, mailer->in.data + mailer->in.len, READ_BYTES, 0);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    mailer->in.len += (size_t)n;
    mailer->heard_ms = now_ms();
    return 1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct smtp_mailer *mailer = arg;
    int more = read_some(mailer);
    if (more < 0 || take_frames(mailer) != 0) {
        lose(mailer, more < 0 ? "a mailer process ended" : "a mailer process talked nonsense");
    }
}

/* The last words of a process that has been killed. */
static void read_rest(struct smtp_mailer *mailer) {
    if (mailer->pid > 0) {
        while (waitpid(mailer->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        mailer->pid = -1;
    }
    while (mailer->fd >= 0 && read_some(mailer) > 0 && take_frames(mailer) == 0) {
    }
}

/* ---- frames out ---------------------------------------------------------------------------------------------------- */
void smtp_mailer_flush(struct smtp_mailer *mailer) {
    while (mailer->fd >= 0 && mailer->out_sent < mailer->out.len) {
        ssize_t n = send(mailer->fd, mailer->out.data + mailer->out_sent, mailer->out.len - mailer->out_sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) {
                (void)event_add(mailer->writable, NULL); /* without memory: the next flush goes on */
            }
            return; /* other errors: the read side will see the end */
        }
        mailer->out_sent += (size_t)n;
    }
    buf_reset(&mailer->out);
    mailer->out_sent = 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    smtp_mailer_flush(arg);
}

size_t smtp_mailer_load(const struct smtp_mailer *mailer) {
    return mailer->state == MAILER_DOWN || mailer->free_slot == n_slots(mailer) ? SIZE_MAX : mailer->n_in_flight;
}

int smtp_mailer_send(struct smtp_mailer *mailer, struct smtp_mail *mail, channel_done_fn *done, void *ctx, struct err *err) {
    if (smtp_mailer_load(mailer) == SIZE_MAX) {
        return err_set(err, ERR_CONFLICT, "the mailer cannot take another mail now");
    }
    mail->slot = mailer->free_slot;
    if (smtp_put_mail(&mailer->out, mail) != 0) {
        return mailer->out.failed ? err_no_memory(err) : err_set(err, ERR_LIMIT, "the mail is too large");
    }
    uint32_t slot = take_slot(mailer, done, ctx, mail->id);
    assert(slot == mail->slot);
    (void)slot;
    if (mailer->out.len - mailer->out_sent > FLUSH_BYTES) {
        smtp_mailer_flush(mailer);
    }
    return 0;
}

/* ---- watching ------------------------------------------------------------------------------------------------------ */
static bool hangs(const struct smtp_mailer *mailer, int64_t now) {
    int64_t limit_ms = mailer->config->setup.message_deadline_ms + mailer->config->hang_ms;
    int64_t newest_ms = mailer->heard_ms;
    for (uint32_t i = 0; i < n_slots(mailer); i++) {
        int64_t taken_ms = mailer->slots[i].done == NULL ? 0 : mailer->board[i].taken_ms;
        if (taken_ms != 0 && now - taken_ms > limit_ms) {
            return true;
        }
        newest_ms = taken_ms > newest_ms ? taken_ms : newest_ms;
    }
    return mailer->n_in_flight > 0 && now - newest_ms > limit_ms;
}

static void on_watch(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct smtp_mailer *mailer = arg;
    if (mailer->state == MAILER_DOWN) {
        if (!evtimer_pending(mailer->restart, NULL)) {
            plan_restart(mailer);
        }
    } else if (hangs(mailer, now_ms())) {
        lose(mailer, "a mailer process hung");
    }
}

/* ---- opening and closing ------------------------------------------------------------------------------------------- */
static int make_slots(struct smtp_mailer *mailer, struct err *err) {
    mailer->slots = calloc(n_slots(mailer), sizeof *mailer->slots);
    if (mailer->slots == NULL) {
        return err_no_memory(err);
    }
    for (uint32_t i = 0; i < n_slots(mailer); i++) {
        mailer->slots[i].next_free = i + 1;
    }
    return 0;
}

static int make_timers(struct smtp_mailer *mailer, struct err *err) {
    struct timeval period = {.tv_sec = WATCH_MS / 1000, .tv_usec = WATCH_MS % 1000 * 1000};
    mailer->restart = evtimer_new(mailer->config->env->base, on_restart, mailer);
    mailer->watch = event_new(mailer->config->env->base, -1, EV_PERSIST, on_watch, mailer);
    if (mailer->restart == NULL || mailer->watch == NULL || evtimer_add(mailer->watch, &period) != 0) {
        return err_no_memory(err);
    }
    return 0;
}

static void release(struct smtp_mailer *mailer) {
    bury(mailer);
    if (mailer->restart != NULL) {
        event_free(mailer->restart);
    }
    if (mailer->watch != NULL) {
        event_free(mailer->watch);
    }
    if (mailer->board != NULL) {
        (void)munmap(mailer->board, n_slots(mailer) * sizeof *mailer->board);
    }
    if (mailer->board_fd >= 0) {
        (void)close(mailer->board_fd);
    }
    free(mailer->slots);
    buf_fini(&mailer->in);
    buf_fini(&mailer->out);
    free(mailer);
}

struct smtp_mailer *smtp_mailer_new(const struct smtp_mailer_config *config, struct err *err) {
    struct smtp_mailer *mailer = calloc(1, sizeof *mailer);
    if (mailer == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    mailer->config = config;
    mailer->pid = -1;
    mailer->fd = mailer->board_fd = -1;
    mailer->backoff_ms = BACKOFF_FIRST_MS;
    if (make_slots(mailer, err) != 0 || (mailer->board = smtp_process_board(n_slots(mailer), &mailer->board_fd, err)) == NULL ||
        make_timers(mailer, err) != 0 || start(mailer, err) != 0) {
        release(mailer);
        return NULL;
    }
    smtp_mailer_flush(mailer);
    return mailer;
}

int smtp_mailer_await(struct smtp_mailer *mailer, int64_t until_mono_ms, struct err *err) {
    while (mailer->state == MAILER_STARTING) {
        int64_t left_ms = until_mono_ms - now_ms();
        struct pollfd pollfd = {.fd = mailer->fd, .events = POLLIN};
        if (left_ms <= 0 || (poll(&pollfd, 1, (int)left_ms) < 0 && errno != EINTR)) {
            return err_set(err, ERR_SYSTEM, "the mailer process does not answer");
        }
        if (pollfd.revents != 0 && (read_some(mailer) < 0 || take_frames(mailer) != 0)) {
            break;
        }
    }
    if (mailer->state == MAILER_UP) {
        return 0;
    }
    return err_set(err, ERR_CONFLICT, "%s", mailer->fatal[0] != '\0' ? mailer->fatal : "the mailer process ended before it was ready");
}

/* Lets a process without work say QUIT to its servers; gives it POLITE_MS. */
static void part_politely(struct smtp_mailer *mailer) {
    struct pollfd pollfd = {.fd = mailer->fd, .events = POLLIN};
    int64_t until_ms = now_ms() + POLITE_MS;
    if (mailer->n_in_flight > 0 || mailer->state != MAILER_UP || smtp_put_word(&mailer->out, SMTP_FRAME_QUIT, NULL) != 0) {
        return;
    }
    smtp_mailer_flush(mailer);
    for (int64_t left_ms = POLITE_MS; left_ms > 0; left_ms = until_ms - now_ms()) {
        if (poll(&pollfd, 1, (int)left_ms) != 0 && read_some(mailer) < 0) {
            return;
        }
    }
}

void smtp_mailer_close(struct smtp_mailer *mailer) {
    part_politely(mailer);
    if (mailer->pid > 0) {
        (void)kill(mailer->pid, SIGKILL);
    }
    read_rest(mailer);
    bury(mailer);
    settle_slots(mailer, "the gateway was closed");
    release(mailer);
}
