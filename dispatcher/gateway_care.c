/* gateway_care: how the gateways are, and how much may go through them, shared with the other workers through Redis.
 *
 *   outcome ──▶ core/breaker, core/share ──▶ changed? ──▶ lua/gateway.lua, on what was seen ──▶ written: counted and told
 *                                                            └─ somebody else was first ──▶ theirs is taken over
 *   once a second: read what the others have written; let points drift back
 *   held messages of gateways with a rate ──▶ lua/rate.lua, one call for all ──▶ permits ──▶ wake
 *
 * Guarantees: a change holds here at once and everywhere within about a second; one worker's change is counted and told once; without
 * Redis each worker goes on with what it knows. A gateway is probed by the one worker whose claim Redis took. Where no gateway has a rate
 * no permits are asked for, and nothing is asked per message or per batch in any case.
 *
 * How it fails: a text in Redis that nobody can read counts as nothing known, and is told. Does not: send, or choose. */
#include "dispatcher/gateway_news.h"
#include "dispatcher/gateways_inside.h"

#include "base/buf.h"
#include "base/log.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000, ASK_MAX = 1000, ASK_PAUSE_MS = 50, PERMIT_LIFE_MS = 1000 };

static void arm(struct event *timer, int64_t ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)event_add(timer, &wait); /* fails only for want of memory; the next second sets it again */
}

/* ---- sharing ----------------------------------------------------------------------------------------------------------- */

static void tell(const struct open_gateway *item, const struct health *before, const struct health *after) {
    const char *name = item->settings->name;
    const struct breaker *breaker = &after->breaker;
    if (before->share.points != after->share.points) {
        log_notice("gateway %s: has %d %% of its weight now", name, (int)after->share.points);
    }
    if (before->breaker.state == breaker->state && before->breaker.changed_at_ms == breaker->changed_at_ms) {
        return;
    }
    switch (breaker->state) {
    case BREAKER_CLOSED: log_notice("gateway %s: works again", name); break;
    case BREAKER_OPEN:
        log_error("gateway %s: nothing is sent there for %lld s: %s", name,
                  (long long)(breaker->until_ms - breaker->changed_at_ms + 999) / 1000, breaker->reason);
        break;
    case BREAKER_HALF_OPEN: log_notice("gateway %s: tried again by %s", name, breaker->owner); break;
    case BREAKER_STATE_COUNT: break;
    case BREAKER_DRAINED: log_warning("gateway %s: taken out (%s); reachctl gateway enable puts it back", name, breaker->reason); break;
    }
}

static void wake_all(struct open_gateway *item) {
    const struct gateways *g = item->owner;
    if (g->hooks.wake != NULL) {
        g->hooks.wake(g->hooks.ctx, (size_t)(item - g->items), SIZE_MAX);
    }
}

/* Takes over what is in Redis. */
static void adopt(struct open_gateway *item, const char *text) {
    struct health before = item->health;
    if (strcmp(text, item->seen) == 0) {
        return;
    }
    (void)snprintf(item->seen, sizeof item->seen, "%s", text);
    if (text[0] == '\0') {
        health_init(&item->health);
    } else if (health_read(text, &item->health) < 0) {
        log_error("gateway %s: its state in Redis cannot be read; it counts as working", item->settings->name);
    }
    tell(item, &before, &item->health);
    if (before.breaker.state != item->health.breaker.state) {
        wake_all(item);
    }
}

static void share(struct open_gateway *item);

static void on_shared(void *ctx, bool written, const char *present) {
    struct open_gateway *item = ctx;
    bool again = item->changed_again && written;
    bool claimed = item->claiming;
    item->changed_again = item->claiming = false;
    if (written) {
        (void)snprintf(item->seen, sizeof item->seen, "%s", item->writing);
        if (claimed) {
            struct health before = item->health;
            (void)health_read(item->seen, &item->health);
            tell(item, &before, &item->health);
        }
    }
    item->writing[0] = '\0';
    if (present != NULL) {
        adopt(item, present);
    }
    if (claimed) {
        wake_all(item);
    }
    if (again) {
        share(item);
    }
}

/* Writes `after` in the place of what was seen. */
static void write_health(struct open_gateway *item, const struct health *after) {
    struct buf counts = BUF_INIT;
    struct buf event = BUF_INIT;
    struct health before;
    struct err err;
    health_init(&before);
    if (item->seen[0] != '\0') {
        (void)health_read(item->seen, &before);
    }
    health_write(after, item->writing);
    struct queue_gateway_change change = {.gateway = item->settings->name,
                                          .seen = item->seen,
                                          .text = item->writing,
                                          .counts = gateway_counts(item->settings, &before, after, &counts),
                                          .event =
                                              gateway_event(item->settings, &before, after, clock_wall_ms(item->owner->clock), &event)};
    if (change.counts == NULL || change.event == NULL) {
        (void)err_no_memory(&err);
        log_error("gateway %s: its state is not shared: %s", item->settings->name, err.text);
        item->writing[0] = '\0';
    } else if (queue_gateway(item->owner->queue, &change, on_shared, item, &err) < 0) {
        log_error("gateway %s: its state is not shared: %s", item->settings->name, err.text);
        item->writing[0] = '\0';
    }
    buf_fini(&counts);
    buf_fini(&event);
}

/* What holds here is to hold everywhere. */
static void share(struct open_gateway *item) {
    if (item->owner->queue == NULL) {
        return;
    }
    if (item->writing[0] != '\0') {
        item->changed_again = true;
        return;
    }
    write_health(item, &item->health);
}

/* ---- news -------------------------------------------------------------------------------------------------------------- */

static struct share_policy share_policy(const struct open_gateway *item) {
    const struct gateway_failover *failover = &item->settings->failover;
    return (struct share_policy){failover->step, failover->error_every_ms, failover->slow_every_ms, failover->back_every_ms};
}

static bool take_share(struct open_gateway *item, enum share_event event, int64_t now_ms) {
    struct share_policy policy = share_policy(item);
    return share_take(&item->health.share, &policy, event, now_ms);
}

static void changed(struct open_gateway *item, const struct health *before) {
    tell(item, before, &item->health);
    share(item);
    if (before->breaker.state != item->health.breaker.state) {
        wake_all(item);
    }
}

/* One more answer or delivery: where enough of them were slow, a step is due. */
static void take_speed(struct open_gateway *item, struct share_watch *watch, bool slow, int64_t now_ms) {
    struct health before = item->health;
    if (share_watch_take(watch, slow, item->settings->failover.slow_percent) && take_share(item, SHARE_SLOW, now_ms)) {
        changed(item, &before);
    }
}

void care_outcome(struct open_gateway *item, bool probe, const struct outcome *outcome, int64_t took_ms, int64_t now_ms) {
    enum breaker_event event;
    struct health before = item->health;
    if (outcome->kind == OUTCOME_SENT) {
        take_speed(item, &item->answers, took_ms > item->settings->failover.slow_answer_ms, now_ms);
    }
    bool stale = item->health.breaker.state == BREAKER_HALF_OPEN && !probe; /* it was under way before the probes */
    if (stale || breaker_event_of(outcome, &event) != 1) {
        return;
    }
    struct breaker_policy policy = gateways_policy(item);
    struct breaker_news news = {.event = event, .now_ms = now_ms, .retry_after_ms = outcome->retry_after_ms, .reason = outcome->reason};
    bool moved = breaker_take(&item->health.breaker, &policy, &news);
    if (event != BREAKER_SUCCESS) {
        moved = take_share(item, SHARE_ERROR, now_ms) || moved;
    }
    if (moved) {
        changed(item, &before);
    }
}

void care_delivery(struct open_gateway *item, int64_t took_ms, int64_t now_ms) {
    take_speed(item, &item->deliveries, took_ms > item->settings->failover.slow_delivery_ms, now_ms);
}

void care_claim(struct open_gateway *item, int64_t now_ms) {
    if (item->owner->queue == NULL || item->writing[0] != '\0') {
        return;
    }
    struct health claim = item->health;
    struct breaker_policy policy = gateways_policy(item);
    struct breaker_news news = {
        .event = BREAKER_PROBE, .now_ms = now_ms, .retry_after_ms = -1, .owner = queue_consumer(item->owner->queue)};
    if (breaker_take(&claim.breaker, &policy, &news)) {
        item->claiming = true;
        write_health(item, &claim);
        item->claiming = item->writing[0] != '\0';
    }
}

/* ---- looking ----------------------------------------------------------------------------------------------------------- */

/* A change that could not be written when it was made. */
static bool is_untold(const struct open_gateway *item) {
    char text[HEALTH_TEXT_MAX];
    char unknown[HEALTH_TEXT_MAX];
    struct health nothing;
    health_init(&nothing);
    health_write(&nothing, unknown);
    health_write(&item->health, text);
    return strcmp(text, item->seen[0] == '\0' ? unknown : item->seen) != 0;
}

static void on_looked(void *ctx, const char *const *values, size_t n, struct arena *arena_take) {
    struct gateways *g = ctx;
    int64_t now_ms = clock_wall_ms(g->clock);
    g->looking = false;
    for (size_t i = 0; i < n && i < g->n; i++) {
        struct open_gateway *item = &g->items[i];
        struct health before = item->health;
        if (item->writing[0] != '\0') {
            continue; /* its own answer tells more */
        }
        adopt(item, values[i] == NULL ? "" : values[i]);
        if (take_share(item, SHARE_TICK, now_ms)) {
            changed(item, &before);
        } else if (is_untold(item)) {
            share(item);
        }
        gateways_wake(item);
    }
    arena_fini(arena_take);
}

void gateways_refresh(struct gateways *g) {
    struct err err;
    struct queue_ask *asks = g->looking || g->n == 0 ? NULL : calloc(g->n, sizeof *asks);
    for (size_t i = 0; asks != NULL && i < g->n; i++) {
        asks[i] = (struct queue_ask){QUEUE_ASK_FIELD, "gateways", g->items[i].settings->name};
    }
    if (asks != NULL && queue_read(g->queue, asks, g->n, on_looked, g, &err) == 0) {
        g->looking = true;
    }
    free(asks);
}

/* ---- permits ----------------------------------------------------------------------------------------------------------- */

/* How many permits are to be asked for: what is held and has a place, without what is there. */
static size_t permits_wanted(const struct open_gateway *item) {
    const struct gateways *g = item->owner;
    if (item->settings->rate_interval_us <= 0 || g->hooks.held == NULL) {
        return 0;
    }
    size_t held = g->hooks.held(g->hooks.ctx, (size_t)(item - g->items)) + item->waking;
    size_t most = (size_t)item->settings->in_flight_max;
    size_t places = most > item->taken ? most - item->taken : 0;
    size_t wanted = held < places ? held : places;
    wanted = wanted < ASK_MAX ? wanted : ASK_MAX;
    return wanted > item->permits ? wanted - item->permits : 0;
}

static void take_permits(struct open_gateway *item, const struct queue_rate_answer *answer, size_t wanted, int64_t mono_ms) {
    int64_t half_burst_ms = item->settings->burst * item->settings->rate_interval_us / 2000;
    int64_t pause_ms = half_burst_ms < ASK_PAUSE_MS ? half_burst_ms : ASK_PAUSE_MS;
    item->permits += answer->granted;
    item->permits_mono_ms = mono_ms;
    item->ask_mono_ms = answer->granted >= wanted ? mono_ms : mono_ms + (answer->wait_ms > pause_ms ? answer->wait_ms : pause_ms);
}

struct permit_ask {
    size_t n;
    struct {
        size_t index;
        size_t wanted;
    } rows[];
};

static void on_permits(void *ctx, const struct queue_rate_answer *answers, size_t n) {
    struct gateways *g = ctx;
    struct permit_ask *ask = g->ask;
    int64_t mono_ms = clock_mono_ms(g->clock);
    g->ask = NULL;
    for (size_t i = 0; i < n; i++) {
        struct open_gateway *item = &g->items[ask->rows[i].index];
        take_permits(item, &answers[i], ask->rows[i].wanted, mono_ms);
        gateways_wake(item);
    }
    free(ask);
    gateways_ask_permits(g);
}

static void send_ask(struct gateways *g, struct permit_ask *ask_take) {
    struct err err;
    struct queue_rate_ask *rows = calloc(ask_take->n, sizeof *rows);
    for (size_t i = 0; rows != NULL && i < ask_take->n; i++) {
        const struct gateway_settings *settings = g->items[ask_take->rows[i].index].settings;
        rows[i] = (struct queue_rate_ask){settings->name, settings->rate_interval_us, settings->burst, ask_take->rows[i].wanted};
    }
    if (rows != NULL && queue_rate(g->queue, rows, ask_take->n, on_permits, g, &err) == 0) {
        g->ask = ask_take;
    } else {
        free(ask_take);
        arm(g->rate_timer, LOOK_MS);
    }
    free(rows);
}

void gateways_ask_permits(struct gateways *g) {
    if (g->queue == NULL || g->ask != NULL) {
        return;
    }
    int64_t mono_ms = clock_mono_ms(g->clock);
    int64_t next_ms = INT64_MAX;
    struct permit_ask *ask = NULL;
    for (size_t i = 0; i < g->n; i++) {
        struct open_gateway *item = &g->items[i];
        size_t wanted = permits_wanted(item);
        if (wanted == 0) {
            continue;
        }
        if (mono_ms < item->ask_mono_ms) {
            next_ms = item->ask_mono_ms < next_ms ? item->ask_mono_ms : next_ms;
            continue;
        }
        if (ask == NULL && (ask = calloc(1, sizeof *ask + g->n * sizeof ask->rows[0])) == NULL) {
            arm(g->rate_timer, LOOK_MS);
            return;
        }
        ask->rows[ask->n].index = i;
        ask->rows[ask->n++].wanted = wanted;
    }
    if (ask != NULL) {
        send_ask(g, ask);
    } else if (next_ms != INT64_MAX) {
        arm(g->rate_timer, next_ms - mono_ms);
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

/* Permits that nobody used are worth nothing after a while: their time has gone to others. */
static void drop_old_permits(struct gateways *g) {
    int64_t mono_ms = clock_mono_ms(g->clock);
    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].waking == 0 && mono_ms - g->items[i].permits_mono_ms > PERMIT_LIFE_MS) {
            g->items[i].permits = 0;
        }
    }
}

static void on_look(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct gateways *g = ctx;
    drop_old_permits(g);
    gateways_refresh(g);
    gateways_ask_permits(g);
    arm(g->look_timer, LOOK_MS);
}

static void on_rate_time(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    gateways_ask_permits(ctx);
}

int gateways_share(struct gateways *g, struct queue *queue, const struct gateways_hooks *hooks, struct err *err) {
    g->queue = queue;
    g->hooks = *hooks;
    g->look_timer = evtimer_new(g->base, on_look, g);
    g->rate_timer = evtimer_new(g->base, on_rate_time, g);
    if (g->look_timer == NULL || g->rate_timer == NULL) {
        return err_no_memory(err);
    }
    arm(g->look_timer, LOOK_MS);
    return 0;
}

void care_fini(struct gateways *g) {
    free(g->ask);
    if (g->look_timer != NULL) {
        event_free(g->look_timer);
    }
    if (g->rate_timer != NULL) {
        event_free(g->rate_timer);
    }
}
