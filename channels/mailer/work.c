/* work: see work.h.
 *
 * A waiting session stands in a list and is handed its mail directly, the one that waited least first: with little to do few
 * sessions (and connections) are used, with much to do all of them, and no wake-up is lost or wasted.
 *
 * Until one session has come through to MAIL, the others stand back. A server that is down, refuses TLS or our password therefore
 * sees one attempt at a time, and all mails that waited for it get the same answer at once.
 *
 * Answers are gathered in one buffer; a thread sends those of two milliseconds together, because waking reachd costs more than an
 * answer, and of eight while so many mails wait that no session will miss what reachd would send for them. When reachd does not read, they
 * pile up to the number of slots and no further.
 *
 * Fails: a broken socket means that reachd is gone; main.c then ends the process. */
#include "channels/mailer/work.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    GATHER_MS = 2,
    GATHER_PLENTY_MS = 8,
    BLOCK_BYTES = 8192, /* of one mail, unless it is larger; these are kept: the allocator is dear when threads free what others made */
    SPARE_MAX = 256,
};

struct waiter {
    struct waiter *next;
    pthread_cond_t wake;
    struct job *job;
    bool woken;
};

struct work {
    pthread_mutex_t lock;
    struct job *spare; /* blocks of mails that were answered, to be used again */
    size_t n_spare;
    struct job *first, **last; /* mails that wait */
    size_t n_waiting;
    struct waiter *open;  /* sessions with a connection */
    struct waiter *fresh; /* sessions without one */
    bool warm;            /* the server is known to answer */
    bool probing;         /* one session is finding out */
    bool closing;
    uint32_t n_sessions, max_sessions;
    pthread_cond_t ended;
    struct buf out;
    pthread_t sender;
    pthread_cond_t answered; /* `out` holds something, or its answers are wanted now, or finished */
    bool finished;           /* no more answers will come */
    int fd;
    struct smtp_board_slot *board;
    uint32_t n_slots;
    int (*start)(void *ctx);
    void *start_ctx;
};

static void *run_sender(void *arg);

struct work *work_new(const struct smtp_setup *setup, struct smtp_board_slot *board, int fd, int (*start)(void *ctx), void *ctx) {
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->ended, NULL);
    (void)pthread_cond_init(&work->answered, NULL);
    work->last = &work->first;
    work->max_sessions = setup->sessions;
    work->n_slots = setup->n_slots;
    work->board = board;
    work->fd = fd;
    work->start = start;
    work->start_ctx = ctx;
    if (pthread_create(&work->sender, NULL, run_sender, work) != 0) {
        free(work);
        return NULL;
    }
    return work;
}

static void free_list(struct job *job) {
    while (job != NULL) {
        struct job *next = job->next;
        free(job);
        job = next;
    }
}

void work_free(struct work *work) {
    free_list(work->first);
    free_list(work->spare);
    buf_fini(&work->out);
    (void)pthread_cond_destroy(&work->answered);
    (void)pthread_cond_destroy(&work->ended);
    (void)pthread_mutex_destroy(&work->lock);
    free(work);
}

/* ---- handing out (the lock is held) -------------------------------------------------------------------------------- */

/* Whether more mails wait than the sessions can deal with before reachd sends others. */
static bool has_plenty(const struct work *work) {
    return work->n_waiting >= 2 * (size_t)work->max_sessions;
}

static struct job *pop(struct work *work) {
    struct job *job = work->first;
    bool had_plenty = has_plenty(work);
    if (job != NULL) {
        work->first = job->next;
        job->next = NULL;
        work->n_waiting--;
        if (work->first == NULL) {
            work->last = &work->first;
        }
    }
    if (had_plenty && !has_plenty(work) && work->out.len > 0) {
        (void)pthread_cond_signal(&work->answered);
    }
    return job;
}

static void push_back(struct work *work, struct job *job) {
    job->next = NULL;
    *work->last = job;
    work->last = &job->next;
    work->n_waiting++;
}

static void push_front(struct work *work, struct job *job) {
    job->next = work->first;
    work->first = job;
    work->n_waiting++;
    if (job->next == NULL) {
        work->last = &job->next;
    }
}

static void wake(struct waiter **list, struct job *job) {
    struct waiter *waiter = *list;
    *list = waiter->next;
    waiter->job = job;
    waiter->woken = true;
    (void)pthread_cond_signal(&waiter->wake);
}

/* Gives mails that wait to sessions that may take them. */
static void hand_out(struct work *work) {
    while (work->first != NULL && work->open != NULL) {
        wake(&work->open, pop(work));
    }
    while (work->first != NULL && (work->warm || !work->probing)) {
        if (work->fresh != NULL) {
            work->probing = work->probing || !work->warm;
            wake(&work->fresh, pop(work));
        } else if (work->n_sessions < work->max_sessions && work->start(work->start_ctx) == 0) {
            work->n_sessions++;
            return; /* it comes and takes one itself, and asks for more sessions then */
        } else {
            return;
        }
    }
}

/* CLOCK_MONOTONIC in wait_ms. */
static struct timespec time_in(int64_t wait_ms) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += wait_ms / 1000;
    time.tv_nsec += wait_ms % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

static void wait_until_ms(struct work *work, struct waiter *waiter, int64_t wait_ms) {
    struct timespec until = time_in(wait_ms);
    while (!waiter->woken && pthread_cond_clockwait(&waiter->wake, &work->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT) {
    }
}

static void leave_list(struct waiter **list, const struct waiter *waiter) {
    while (*list != NULL && *list != waiter) {
        list = &(*list)->next;
    }
    if (*list != NULL) {
        *list = waiter->next;
    }
}

static struct job *wait_in(struct work *work, struct waiter **list, int64_t wait_ms) {
    struct waiter waiter = {.next = *list, .wake = PTHREAD_COND_INITIALIZER};
    *list = &waiter;
    if (wait_ms < 0) {
        while (!waiter.woken) {
            (void)pthread_cond_wait(&waiter.wake, &work->lock);
        }
    } else {
        wait_until_ms(work, &waiter, wait_ms);
    }
    if (!waiter.woken) {
        leave_list(list, &waiter);
    }
    (void)pthread_cond_destroy(&waiter.wake);
    return waiter.job;
}

/* ---- taking -------------------------------------------------------------------------------------------------------- */
static struct job *new_job(struct work *work, size_t size) {
    (void)pthread_mutex_lock(&work->lock);
    struct job *job = size <= BLOCK_BYTES ? work->spare : NULL;
    if (job != NULL) {
        work->spare = job->next;
        work->n_spare--;
    }
    (void)pthread_mutex_unlock(&work->lock);
    job = job != NULL ? job : malloc(size < BLOCK_BYTES ? BLOCK_BYTES : size);
    if (job != NULL) {
        *job = (struct job){.size = size};
    }
    return job;
}

/* The lock is held. */
static void free_job(struct work *work, struct job *job) {
    if (job->size > BLOCK_BYTES || work->n_spare == SPARE_MAX) {
        free(job);
        return;
    }
    job->next = work->spare;
    work->spare = job;
    work->n_spare++;
}

int work_add(struct work *work, struct frame *frame) {
    static const char dot[WORK_DOT_BYTES + 1] = ".\r\n";
    struct job *job = new_job(work, sizeof *job + frame->left + WORK_DOT_BYTES);
    if (job == NULL) {
        return -1;
    }
    char *copy = (char *)(job + 1);
    memcpy(copy, frame->at, frame->left);
    struct frame copied = {.type = frame->type, .at = copy, .left = frame->left};
    if (smtp_get_mail(&copied, &job->mail) != 0 || job->mail.slot >= work->n_slots) {
        free(job);
        return -1;
    }
    job->board = &work->board[job->mail.slot];
    /* data is the frame's last field: behind its NUL there is nothing but the room made above */
    memcpy(copy + frame->left - 1, dot, sizeof dot);
    (void)pthread_mutex_lock(&work->lock);
    push_back(work, job);
    hand_out(work);
    (void)pthread_mutex_unlock(&work->lock);
    return 0;
}

struct job *work_take_first(struct work *work) {
    (void)pthread_mutex_lock(&work->lock);
    struct job *job = NULL;
    if (!work->closing && work->first != NULL && (work->warm || !work->probing)) {
        work->probing = work->probing || !work->warm;
        job = pop(work);
        hand_out(work);
    } else if (!work->closing) {
        job = wait_in(work, &work->fresh, -1);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return job;
}

struct job *work_take_next(struct work *work, int64_t wait_ms) {
    (void)pthread_mutex_lock(&work->lock);
    struct job *job = work->closing ? NULL : pop(work);
    if (job == NULL && !work->closing && wait_ms > 0) {
        job = wait_in(work, &work->open, wait_ms);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return job;
}

void work_give_back(struct work *work, struct job *job) {
    job->board->progress = SMTP_WAITING;
    job->board->taken_ms = 0;
    (void)pthread_mutex_lock(&work->lock);
    push_front(work, job);
    hand_out(work);
    (void)pthread_mutex_unlock(&work->lock);
}

void work_established(struct work *work) {
    (void)pthread_mutex_lock(&work->lock);
    work->warm = true;
    work->probing = false;
    hand_out(work);
    (void)pthread_mutex_unlock(&work->lock);
}

void work_broken(struct work *work, const struct outcome *outcome) {
    (void)pthread_mutex_lock(&work->lock);
    work->warm = false;
    work->probing = false;
    struct job *jobs = work->first;
    work->first = NULL;
    work->last = &work->first;
    work->n_waiting = 0;
    (void)pthread_mutex_unlock(&work->lock);
    while (jobs != NULL) {
        struct job *job = jobs;
        jobs = job->next;
        work_answer(work, job, outcome);
    }
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */
static void write_all(int fd, const struct buf *data) {
    size_t done = 0;
    while (done < data->len) {
        ssize_t n = send(fd, data->data + done, data->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return; /* reachd is gone: main.c sees it too, and the answers stand on the board */
        }
        done += n > 0 ? (size_t)n : 0;
    }
}

/* Before it is told, so that it is known even if nobody can be told any more. */
static void note_answer(struct smtp_board_slot *slot, const struct outcome *outcome) {
    memcpy(slot->code, outcome->code, sizeof slot->code);
    slot->kind = (unsigned char)outcome->kind;
    slot->blame = (unsigned char)outcome->blame;
    slot->progress = SMTP_ANSWERED;
}

void work_answer(struct work *work, struct job *job, const struct outcome *outcome) {
    note_answer(job->board, outcome);
    struct smtp_result result = {.slot = job->mail.slot, .outcome = *outcome};
    (void)pthread_mutex_lock(&work->lock);
    free_job(work, job);
    bool first = work->out.len == 0;
    if (smtp_put_result(&work->out, &result) != 0) {
        _exit(70); /* no memory: reachd takes stock from the board */
    }
    if (first) {
        (void)pthread_cond_signal(&work->answered);
    }
    (void)pthread_mutex_unlock(&work->lock);
}

/* The lock is held. Waits until it is time to send: sessions that would soon have nothing to do are worth a wake-up of reachd. */
static void gather(struct work *work) {
    bool plenty = has_plenty(work);
    struct timespec until = time_in(plenty ? GATHER_PLENTY_MS : GATHER_MS);
    while (!work->finished && (!plenty || has_plenty(work)) &&
           pthread_cond_clockwait(&work->answered, &work->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT) {
    }
}

/* The thread that sends the answers, those of some milliseconds together: one wake-up of reachd for many mails. */
static void *run_sender(void *arg) {
    struct work *work = arg;
    struct buf batch = BUF_INIT;
    (void)pthread_mutex_lock(&work->lock);
    while (!work->finished || work->out.len > 0) {
        if (work->out.len == 0) {
            (void)pthread_cond_wait(&work->answered, &work->lock);
            continue;
        }
        gather(work);
        struct buf full = work->out;
        work->out = batch;
        batch = full;
        (void)pthread_mutex_unlock(&work->lock);
        write_all(work->fd, &batch);
        buf_reset(&batch);
        (void)pthread_mutex_lock(&work->lock);
    }
    (void)pthread_mutex_unlock(&work->lock);
    buf_fini(&batch);
    return NULL;
}

/* ---- ending -------------------------------------------------------------------------------------------------------- */
void work_session_ended(struct work *work) {
    (void)pthread_mutex_lock(&work->lock);
    work->n_sessions--;
    (void)pthread_cond_signal(&work->ended);
    (void)pthread_mutex_unlock(&work->lock);
}

void work_close(struct work *work) {
    (void)pthread_mutex_lock(&work->lock);
    work->closing = true;
    while (work->open != NULL) {
        wake(&work->open, NULL);
    }
    while (work->fresh != NULL) {
        wake(&work->fresh, NULL);
    }
    while (work->n_sessions > 0) {
        (void)pthread_cond_wait(&work->ended, &work->lock);
    }
    work->finished = true;
    (void)pthread_cond_signal(&work->answered);
    (void)pthread_mutex_unlock(&work->lock);
    (void)pthread_join(work->sender, NULL);
}
