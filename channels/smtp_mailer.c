/* smtp_mailer: see smtp_mailer.h.
 *
 *       spawn ──▶ STARTING ──READY──▶ UP ──socket ends, hangs, or talks nonsense──▶ killed, buried, mails settled
 *                     │ FATAL, end                                                        │
 *                     └──────────────────────▶ DOWN ◀─────────────────────────────────────┘
 *                                               │ timer: at once, then doubling up to half a minute
 *                                               └──▶ spawn
 *
 * A mail belongs to a slot from send to answer. When the process is gone, the board (shared memory, written by the mailer ahead
 * of the facts) settles every slot whose answer has not come: the answer itself where the mailer had noted it, `unknown` where the end of
 * the message had been let out, `retry` in all other cases. The board is a file where env->state_path says so; then all of this holds for
 * the next reachd too, but for what was in doubt, which it knows to be unknown anyway.
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
#include <limits.h>
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
    STARTS_MAX = 5, /* while a gateway is opened */
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
    struct smtp_board *whole_board;
    struct smtp_board_slot *board; /* its slots */
    struct slot *slots;
    uint32_t free_slot; /* n_slots: none */
    uint32_t *told[2];  /* slots answered since the last flush, and since the one before; n_slots each */
    size_t n_told[2];
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

/* What fits; formats are too dear for every mail. */
static void copy(char *out, size_t cap, const char *text) {
    size_t len = text == NULL ? 0 : strnlen(text, cap - 1);
    if (len > 0) {
        memcpy(out, text, len);
    }
    out[len] = '\0';
}

/* ---- slots --------------------------------------------------------------------------------------------------------- */
static void note_on_board(struct smtp_board_slot *board, const struct message *message) {
    board->attempt = 0; /* nothing of it counts before all of it is there */
    board->progress = SMTP_WAITING;
    board->taken_ms = 0;
    copy(board->notice, sizeof board->notice, message->notice_id);
    copy(board->ref, sizeof board->ref, message->key);
    atomic_signal_fence(memory_order_seq_cst);
    board->attempt = message->attempt;
}

static uint32_t take_slot(struct smtp_mailer *mailer, channel_done_fn *done, void *ctx, const char *ref) {
    uint32_t index = mailer->free_slot;
    struct slot *slot = &mailer->slots[index];
    mailer->free_slot = slot->next_free;
    slot->done = done;
    slot->ctx = ctx;
    slot->ref = ref;
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
    copy(outcome->ref, sizeof outcome->ref, slot.ref);
    if (mailer->n_told[0] < n_slots(mailer)) {
        mailer->told[0][mailer->n_told[0]++] = index;
    }
    slot.done(slot.ctx, outcome);
}

/* Who was told an answer has put it down by the second flush after that (channel.h): it need not be told to the next reachd. */
static void wipe_told(struct smtp_mailer *mailer) {
    uint32_t *older = mailer->told[1];
    for (size_t i = 0; i < mailer->n_told[1]; i++) {
        if (mailer->slots[older[i]].done == NULL) {
            mailer->board[older[i]].attempt = 0;
        }
    }
    mailer->told[1] = mailer->told[0];
    mailer->n_told[1] = mailer->n_told[0];
    mailer->told[0] = older;
    mailer->n_told[0] = 0;
}

/* The process is gone: what the board says is all there is to know. `blame`: of whom it does not tell. */
static void settle_slots(struct smtp_mailer *mailer, const char *why, enum outcome_blame blame) {
    for (uint32_t i = 0; i < n_slots(mailer); i++) {
        struct outcome outcome;
        if (mailer->slots[i].done == NULL) {
            continue;
        }
        smtp_board_outcome(&mailer->board[i], why, &outcome);
        outcome.blame = outcome.kind == OUTCOME_RETRY && outcome.blame == BLAME_NONE ? blame : outcome.blame;
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

static void send_out(struct smtp_mailer *mailer);

static void on_restart(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct smtp_mailer *mailer = arg;
    struct err err;
    if (mailer->state == MAILER_DOWN && start(mailer, &err) != 0) {
        log_error("gateway %s: %s", mailer->config->gateway_name, err.text);
        plan_restart(mailer);
    } else {
        send_out(mailer);
    }
}

static void read_rest(struct smtp_mailer *mailer);

/* The process has ended or must: settle its mails and start again. */
static void lose(struct smtp_mailer *mailer, const char *why, enum outcome_blame blame) {
    if (mailer->pid > 0) {
        (void)kill(mailer->pid, SIGKILL);
    }
    read_rest(mailer);
    bury(mailer);
    log_warning("gateway %s: %s%s%s; %zu mails were with it", mailer->config->gateway_name, why, mailer->fatal[0] != '\0' ? ": " : "",
                mailer->fatal, mailer->n_in_flight);
    settle_slots(mailer, why, blame);
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
        lose(mailer, more < 0 ? "a mailer process ended" : "a mailer process talked nonsense", BLAME_NONE);
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
    send_out(mailer);
    wipe_told(mailer);
}

static void send_out(struct smtp_mailer *mailer) {
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
    send_out(arg);
}

size_t smtp_mailer_load(const struct smtp_mailer *mailer) {
    return mailer->state == MAILER_DOWN || mailer->free_slot == n_slots(mailer) ? SIZE_MAX : mailer->n_in_flight;
}

int smtp_mailer_send(struct smtp_mailer *mailer, struct smtp_mail *mail, const struct message *message, channel_done_fn *done, void *ctx,
                     struct err *err) {
    if (smtp_mailer_load(mailer) == SIZE_MAX) {
        return err_set(err, ERR_CONFLICT, "the mailer cannot take another mail now");
    }
    mail->slot = mailer->free_slot;
    note_on_board(&mailer->board[mail->slot], message); /* before the mailer can hear of it */
    if (smtp_put_mail(&mailer->out, mail) != 0) {
        return mailer->out.failed ? err_no_memory(err) : err_set(err, ERR_LIMIT, "the mail is too large");
    }
    uint32_t slot = take_slot(mailer, done, ctx, mail->id);
    assert(slot == mail->slot);
    (void)slot;
    if (mailer->out.len - mailer->out_sent > FLUSH_BYTES) {
        send_out(mailer);
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
    } else if (hangs(mailer, now_ms())) { /* in the look-up of a name, most likely: all else has its limits */
        lose(mailer, "a mailer process hung; does the look-up of its host get answers?", BLAME_GATEWAY);
    }
}

/* ---- opening and closing ------------------------------------------------------------------------------------------- */
static int make_slots(struct smtp_mailer *mailer, struct err *err) {
    mailer->slots = calloc(n_slots(mailer), sizeof *mailer->slots);
    mailer->told[0] = calloc(n_slots(mailer), sizeof *mailer->told[0]);
    mailer->told[1] = calloc(n_slots(mailer), sizeof *mailer->told[1]);
    if (mailer->slots == NULL || mailer->told[0] == NULL || mailer->told[1] == NULL) {
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
    if (mailer->whole_board != NULL) {
        (void)munmap(mailer->whole_board, smtp_board_bytes(n_slots(mailer)));
    }
    if (mailer->board_fd >= 0) {
        if (ftruncate(mailer->board_fd, 0) != 0) { /* everything on it has been told; told again it does no harm */
            log_warning("gateway %s: the board of a mailer cannot be emptied: %s", mailer->config->gateway_name, strerror(errno));
        }
        (void)close(mailer->board_fd);
    }
    free(mailer->slots);
    free(mailer->told[0]);
    free(mailer->told[1]);
    buf_fini(&mailer->in);
    buf_fini(&mailer->out);
    free(mailer);
}

/* What a mailer of an earlier process knew: not what was in doubt, which whoever takes the notice up knows to be unknown. */
static void on_left(void *ctx, const struct smtp_board_slot *slot) {
    const struct smtp_mailer *mailer = ctx;
    const struct channel_env *env = mailer->config->env;
    struct outcome outcome;
    smtp_board_outcome(slot, "reachd ended", &outcome);
    copy(outcome.ref, sizeof outcome.ref, slot->ref);
    if (env->remember != NULL && outcome.kind != OUTCOME_UNKNOWN) {
        env->remember(env->ctx, slot->notice, slot->attempt, &outcome);
    }
}

static int board_path(const struct smtp_mailer_config *config, size_t number, char path[PATH_MAX], struct err *err) {
    size_t at = (size_t)snprintf(path, PATH_MAX, "%s.", config->env->state_path);
    int n = at < PATH_MAX ? snprintf(path + at, PATH_MAX - at, "%s.%zu.board", config->gateway_name, number) : -1;
    if (n < 0 || (size_t)n >= PATH_MAX - at) {
        return err_set(err, ERR_LIMIT, "the path of a mailer's board is too long");
    }
    for (char *slash = path + at; (slash = strchr(slash, '/')) != NULL;) {
        *slash = '_'; /* a gateway may have one in its name */
    }
    return 0;
}

/* At the start the file of that number is ours. Later gateways of the same name may have it and the next ones: the first that is free. */
static int make_board(struct smtp_mailer *mailer, size_t number, struct err *err) {
    const struct channel_env *env = mailer->config->env;
    char path[PATH_MAX];
    bool first = env->remember != NULL;
    do {
        if (env->state_path != NULL && board_path(mailer->config, number++, path, err) != 0) {
            return -1;
        }
        mailer->whole_board = smtp_process_board(n_slots(mailer), env->state_path != NULL ? path : NULL, first ? on_left : NULL, mailer,
                                                 &mailer->board_fd, err);
    } while (mailer->whole_board == NULL && err->code == ERR_CONFLICT);
    mailer->board = mailer->whole_board != NULL ? mailer->whole_board->slots : NULL;
    return mailer->board != NULL ? 0 : -1;
}

int smtp_mailer_read_boards(const struct smtp_mailer_config *config, size_t from, struct err *err) {
    struct smtp_mailer reader = {.config = config};
    char path[PATH_MAX];
    int found = config->env->state_path != NULL && config->env->remember != NULL;
    while (found == 1) {
        found = board_path(config, from++, path, err) != 0 ? -1 : smtp_process_read_board(path, on_left, &reader, err);
    }
    return found;
}

struct smtp_mailer *smtp_mailer_new(const struct smtp_mailer_config *config, size_t number, struct err *err) {
    struct smtp_mailer *mailer = calloc(1, sizeof *mailer);
    if (mailer == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    mailer->config = config;
    mailer->pid = -1;
    mailer->fd = mailer->board_fd = -1;
    mailer->backoff_ms = BACKOFF_FIRST_MS;
    if (make_slots(mailer, err) != 0 || make_board(mailer, number, err) != 0 || make_timers(mailer, err) != 0 || start(mailer, err) != 0) {
        release(mailer);
        return NULL;
    }
    smtp_mailer_flush(mailer);
    return mailer;
}

int smtp_mailer_await(struct smtp_mailer *mailer, int64_t until_mono_ms, struct err *err) {
    int starts = 1;
    while (mailer->state == MAILER_STARTING) {
        int64_t left_ms = until_mono_ms - now_ms();
        struct pollfd pollfd = {.fd = mailer->fd, .events = POLLIN};
        if (left_ms <= 0 || (poll(&pollfd, 1, (int)left_ms) < 0 && errno != EINTR)) {
            return err_set(err, ERR_SYSTEM, "the mailer process does not answer");
        }
        if (pollfd.revents == 0 || (read_some(mailer) >= 0 && take_frames(mailer) == 0)) {
            continue;
        }
        bury(mailer);
        if (mailer->fatal[0] != '\0' || starts++ == STARTS_MAX || start(mailer, err) != 0) { /* killed? it may be better luck */
            break;
        }
        smtp_mailer_flush(mailer);
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
    settle_slots(mailer, "the gateway was closed", BLAME_NONE);
    release(mailer);
}
