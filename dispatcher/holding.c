/* holding: see holding.h.
 *
 * A work whose gateway is full, or over its rate, is kept here as it is: nothing of it is recorded, its entry stays pending, its lease
 * runs. So a backlog stays where it costs least, in its stream, because the room of this worker is taken. A queue a gateway and lane; the
 * urgent one is served first, whatever waits in the other.
 *
 * Guarantees: a work is kept for half of its lease at most; then it is decided once more and, where there still is no room, recorded as
 * planned with a due time. Of those that are not urgent a gateway keeps a quarter of what the worker may hold, so that one gateway does not
 * stop the others. Does not: decide, or count an attempt. */
#include "dispatcher/holding.h"

#include <event2/event.h>
#include <stdlib.h>

TAILQ_HEAD(work_list, work);

struct holding {
    struct event *tick;
    size_t n;
    struct {
        struct work_list lanes[LANE_COUNT];
        size_t kept[LANE_COUNT];
    } gateways[];
};

void holding_put(struct worker *w, struct work *work) {
    struct holding *holding = w->holding;
    TAILQ_INSERT_TAIL(&holding->gateways[work->gateway].lanes[work->lane], work, held_link);
    holding->gateways[work->gateway].kept[work->lane]++;
    work->is_held = true;
}

static void let_go(struct worker *w, struct work *work) {
    struct holding *holding = w->holding;
    TAILQ_REMOVE(&holding->gateways[work->gateway].lanes[work->lane], work, held_link);
    holding->gateways[work->gateway].kept[work->lane]--;
    work->is_held = false;
    worker_make_ready(w, work);
}

static size_t count(void *ctx, size_t index) {
    const struct worker *w = ctx;
    size_t sum = 0;
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        sum += w->holding->gateways[index].kept[lane];
    }
    return sum;
}

static void wake(void *ctx, size_t index, size_t n) {
    struct worker *w = ctx;
    struct work *work;
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        while (n > 0 && (work = TAILQ_FIRST(&w->holding->gateways[index].lanes[lane])) != NULL) {
            work->place_kept = n != SIZE_MAX;
            n -= work->place_kept ? 1 : 0;
            let_go(w, work);
        }
    }
}

void holding_wake_one(struct worker *w, struct work *work) {
    if (work->is_held) {
        let_go(w, work);
    }
}

/* Whether a work may be kept (again): not when this worker is going away, not beyond half of its lease, and of those that are not urgent
 * only so many for a gateway. What may not be kept goes into the due set. */
static bool may_hold(const void *ctx, const struct work *work, size_t index) {
    const struct worker *w = ctx;
    int64_t end_ms = work->taken_mono_ms + w->place.settings->redis.lease_ms / 2;
    size_t most = (size_t)w->place.settings->worker.in_flight_max / 4 + 1;
    return !w->draining && w->flush_mono_ms < end_ms && (work->lane == LANE_URGENT || w->holding->gateways[index].kept[work->lane] < most);
}

/* Once a second: those whose time in hand is over are ready, to be put into the due set; how long jobs waited is told. */
static void on_tick(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct worker *w = ctx;
    char waits[WAITS_TEXT_MAX];
    waits_write(&w->waits, clock_wall_ms(w->place.clock), waits);
    queue_tell_lanes(w->queue, waits);
    int64_t taken_before_ms = clock_mono_ms(w->place.clock) - w->place.settings->redis.lease_ms / 2;
    for (size_t i = 0; i < w->holding->n; i++) {
        for (int lane = 0; lane < LANE_COUNT; lane++) {
            struct work *next;
            struct work *work = TAILQ_FIRST(&w->holding->gateways[i].lanes[lane]);
            for (; work != NULL; work = next) {
                next = TAILQ_NEXT(work, held_link);
                if (work->taken_mono_ms <= taken_before_ms) {
                    let_go(w, work);
                }
            }
        }
    }
}

void holding_wake_all(struct worker *w) {
    for (size_t i = 0; i < w->holding->n; i++) {
        wake(w, i, SIZE_MAX);
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

int holding_start(struct worker *w, struct err *err) {
    static const struct timeval second = {.tv_sec = 1};
    const struct gateways_hooks hooks = {wake, count, w};
    size_t n = gateways_count(w->place.gateways);
    struct holding *holding = calloc(1, sizeof *holding + n * sizeof holding->gateways[0]);
    if (holding == NULL) {
        return err_no_memory(err);
    }
    w->holding = holding;
    holding->n = n;
    for (size_t i = 0; i < n; i++) {
        for (int lane = 0; lane < LANE_COUNT; lane++) {
            TAILQ_INIT(&holding->gateways[i].lanes[lane]);
        }
    }
    holding->tick = event_new(w->base, -1, EV_PERSIST, on_tick, w);
    if (holding->tick == NULL || event_add(holding->tick, &second) < 0) {
        return err_no_memory(err);
    }
    w->place.may_hold = may_hold;
    w->place.hold_ctx = w;
    return gateways_share(w->place.gateways, w->queue, &hooks, err);
}

void holding_free(struct holding *holding) {
    if (holding != NULL && holding->tick != NULL) {
        event_free(holding->tick);
    }
    free(holding);
}
