/* defer: see defer.h.
 *
 * The answers hang in one list by due time, those of the same time in the order they were added; one timer of the loop stands for the
 * first of them. A new answer is sorted in from the end: with delays that are all alike, as a gateway's are, that is one step.
 *
 * Guarantees: each accepted answer is given exactly once, at the latest by defer_free(). Fails only by want of memory. */
#include "channels/defer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/queue.h>

struct answer {
    TAILQ_ENTRY(answer) next;
    int64_t due_ms;
    struct outcome outcome;
    channel_done_fn *done;
    void *ctx;
};

TAILQ_HEAD(answer_list, answer);

struct defer {
    struct event *timer;
    struct answer_list answers;
};

static int64_t now_ms(void) {
    return clock_mono_ms(&clock_system);
}

static int set_timer(struct defer *defer) {
    const struct answer *first = TAILQ_FIRST(&defer->answers);
    if (first == NULL) {
        return 0;
    }
    int64_t wait_ms = first->due_ms - now_ms();
    wait_ms = wait_ms > 0 ? wait_ms : 0;
    struct timeval delay = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    return evtimer_add(defer->timer, &delay);
}

static void give(struct defer *defer, struct answer *answer, const struct outcome *outcome) {
    TAILQ_REMOVE(&defer->answers, answer, next);
    answer->done(answer->ctx, outcome);
    free(answer);
}

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct defer *defer = arg;
    struct answer_list due = TAILQ_HEAD_INITIALIZER(due);
    struct answer *answer;
    int64_t now = now_ms();
    /* What the callbacks add comes with the next turn. */
    while ((answer = TAILQ_FIRST(&defer->answers)) != NULL && answer->due_ms <= now) {
        TAILQ_REMOVE(&defer->answers, answer, next);
        TAILQ_INSERT_TAIL(&due, answer, next);
    }
    while ((answer = TAILQ_FIRST(&due)) != NULL) {
        TAILQ_REMOVE(&due, answer, next);
        answer->done(answer->ctx, &answer->outcome);
        free(answer);
    }
    (void)set_timer(defer); /* the timer has been in the loop before: nothing to allocate */
}

struct defer *defer_new(struct event_base *base, struct err *err) {
    struct defer *defer = calloc(1, sizeof *defer);
    if (defer != NULL) {
        TAILQ_INIT(&defer->answers);
        defer->timer = evtimer_new(base, on_time, defer);
    }
    if (defer == NULL || defer->timer == NULL) {
        free(defer);
        (void)err_no_memory(err);
        return NULL;
    }
    return defer;
}

static void sort_in(struct defer *defer, struct answer *answer) {
    struct answer *before = TAILQ_LAST(&defer->answers, answer_list);
    while (before != NULL && before->due_ms > answer->due_ms) {
        before = TAILQ_PREV(before, answer_list, next);
    }
    if (before != NULL) {
        TAILQ_INSERT_AFTER(&defer->answers, before, answer, next);
    } else {
        TAILQ_INSERT_HEAD(&defer->answers, answer, next);
    }
}

int defer_add(struct defer *defer, int64_t delay_ms, const struct outcome *outcome, channel_done_fn *done, void *ctx, struct err *err) {
    struct answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL) {
        return err_no_memory(err);
    }
    *answer = (struct answer){.due_ms = now_ms() + delay_ms, .outcome = *outcome, .done = done, .ctx = ctx};
    sort_in(defer, answer);
    if (TAILQ_FIRST(&defer->answers) == answer && set_timer(defer) != 0) {
        TAILQ_REMOVE(&defer->answers, answer, next);
        free(answer);
        return err_no_memory(err);
    }
    return 0;
}

void defer_free(struct defer *defer, const struct outcome *instead) {
    struct answer *answer;
    if (defer == NULL) {
        return;
    }
    while ((answer = TAILQ_FIRST(&defer->answers)) != NULL) {
        struct outcome outcome = instead != NULL ? *instead : answer->outcome;
        give(defer, answer, &outcome);
    }
    event_free(defer->timer);
    free(defer);
}
