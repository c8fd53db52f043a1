/* defer: see defer.h.
 *
 * Every waiting answer is one node with its own libevent timer; libevent keeps them in a heap, so an add costs O(log n). The
 * nodes also hang in one list by age, so that closing can report all of them.
 *
 * Guarantees: each accepted answer is given exactly once, at the latest by defer_free(). Fails only by want of memory. */
#include "channels/defer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/queue.h>

struct answer {
    TAILQ_ENTRY(answer) next;
    struct defer *defer;
    struct event *timer;
    struct outcome outcome;
    channel_done_fn *done;
    void *ctx;
};

struct defer {
    struct event_base *base;
    TAILQ_HEAD(answer_list, answer) answers;
};

struct defer *defer_new(struct event_base *base, struct err *err) {
    struct defer *defer = calloc(1, sizeof *defer);
    if (defer == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    defer->base = base;
    TAILQ_INIT(&defer->answers);
    return defer;
}

static void give(struct answer *answer, const struct outcome *outcome) {
    TAILQ_REMOVE(&answer->defer->answers, answer, next);
    answer->done(answer->ctx, outcome);
    event_free(answer->timer);
    free(answer);
}

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct answer *answer = arg;
    give(answer, &answer->outcome);
}

int defer_add(struct defer *defer, int64_t delay_ms, const struct outcome *outcome, channel_done_fn *done, void *ctx, struct err *err) {
    struct answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL) {
        return err_no_memory(err);
    }
    answer->timer = evtimer_new(defer->base, on_time, answer);
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    if (answer->timer == NULL || evtimer_add(answer->timer, &delay) != 0) {
        if (answer->timer != NULL) {
            event_free(answer->timer);
        }
        free(answer);
        return err_no_memory(err);
    }
    answer->defer = defer;
    answer->outcome = *outcome;
    answer->done = done;
    answer->ctx = ctx;
    TAILQ_INSERT_TAIL(&defer->answers, answer, next);
    return 0;
}

void defer_free(struct defer *defer, const struct outcome *instead) {
    if (defer == NULL) {
        return;
    }
    struct answer *answer;
    while ((answer = TAILQ_FIRST(&defer->answers)) != NULL) {
        give(answer, instead != NULL ? instead : &answer->outcome);
    }
    free(defer);
}
