/* draining: see draining.h.
 *
 *   told to stop ──▶ nothing new is taken, what is in hand is finished ──▶ drained
 *                        └─ worker.drain is over: what is left is given back (it does not count as lost with this worker) ──▶ drained
 *
 * Guarantees: drained() is called once, at the latest GIVE_BACK_S after worker.drain. How it fails: where Redis does not answer any more,
 * what is in hand counts as lost; it is taken up again after its lease in any case. Does not: end the loop. */
#include "dispatcher/draining.h"

#include "base/log.h"
#include "dispatcher/holding.h"

#include <event2/event.h>
#include <stdlib.h>

void draining_check(struct worker *w) {
    if (w->draining && !w->drained && (w->n_active == 0 || w->given_back) && queue_pending(w->queue) == 0) {
        w->drained = true;
        if (w->watch.drained != NULL) {
            w->watch.drained(w->watch.ctx);
        }
    }
}

static void on_give_back_limit(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct worker *w = ctx;
    if (!w->drained && w->watch.drained != NULL) {
        w->drained = true;
        w->watch.drained(w->watch.ctx);
    }
}

/* What is in hand does not count as lost with this worker. What is being sent keeps its lease, since it may be going out. */
static void give_back_all(struct worker *w) {
    struct err err;
    struct work *work, *next;
    size_t n = 0;
    struct queue_lease *leases = calloc(w->n_active, sizeof *leases);
    int64_t now_ms = clock_wall_ms(w->place.clock);
    HASH_ITER(hh, w->active, work, next) {
        if (leases != NULL && work->lease_end_ms > 0) {
            leases[n++] = (struct queue_lease){work->id, work->lease_end_ms, work->stored == NOTICE_SENDING ? -1 : now_ms};
        }
    }
    if (leases == NULL || queue_give_back(w->queue, leases, n, &err) < 0) {
        log_error("out of memory: what is in hand counts as lost");
    }
    free(leases);
}

enum { GIVE_BACK_S = 1 };

static void on_drain_limit(evutil_socket_t fd, short what, void *ctx) {
    struct worker *w = ctx;
    static const struct timeval limit = {.tv_sec = GIVE_BACK_S};
    if (w->drained) {
        return;
    }
    log_warning("%zu notices are still in flight after the time to drain; they are taken up again later", w->n_active);
    if (w->n_active > 0) {
        give_back_all(w);
    }
    w->given_back = true;
    if (event_base_once(w->base, -1, EV_TIMEOUT, on_give_back_limit, w, &limit) < 0) {
        on_give_back_limit(fd, what, w);
    }
    draining_check(w);
}

void worker_drain(struct worker *w) {
    if (w->draining) {
        return;
    }
    w->draining = true;
    queue_stop_reading(w->queue);
    log_info("draining: %zu notices in flight", w->n_active);
    holding_wake_all(w);
    struct timeval limit = {.tv_sec = (time_t)(w->place.settings->worker.drain_ms / 1000),
                            .tv_usec = (suseconds_t)(w->place.settings->worker.drain_ms % 1000 * 1000)};
    if (event_base_once(w->base, -1, EV_TIMEOUT, on_drain_limit, w, &limit) < 0) {
        log_error("no timer for draining; stopping at once");
        on_drain_limit(-1, 0, w);
    }
    worker_schedule(w);
}
