/* gateways: see gateways.h.
 *
 * The dispatcher's only view of drivers. Who may be used is decided by the breaker of each (core/breaker.h), whose turn it is by weight
 * (core/share.h), how many at once by in_flight_max and, where there is a rate, by permits that gateway_care.c fetches.
 *
 *   pick ── works, has room ────────────▶ TAKEN ── send ──▶ outcome ── done ──▶ room again: wake what is held
 *     │                                     └───── give back ──────────────────────────▲
 *     ├── works, has no room ──────────▶ HOLD
 *     └── broken or drained ───────────▶ WAIT, or HOLD while this worker asks to probe it
 *
 * Guarantees: no more than in_flight_max attempts at once and no more than the rate; a gateway whose breaker is open gets nothing but
 * probes; of weight 0 only where all others of its channel are broken or drained. A held message does not lose its place to a
 * later one, urgent ones apart.
 *
 * Fails: at start, when a gateway cannot be opened (the daemon does not start with half its channels). Does not: retry, or
 * judge outcomes. */
#include "dispatcher/gateways_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum on_unknown gateways_on_unknown_of(const struct gateway_settings *settings) {
    const char *text = settings->on_unknown;
    if (text != NULL && strcmp(text, "wait") == 0) {
        return ON_UNKNOWN_WAIT;
    }
    return text != NULL && strcmp(text, "next") == 0 ? ON_UNKNOWN_NEXT : ON_UNKNOWN_RESEND;
}

static int open_one(struct gateways *g, const struct gateway_settings *settings, const struct channel_env *env, struct err *err) {
    struct open_gateway *item = &g->items[g->n];
    *item = (struct open_gateway){.owner = g, .settings = settings, .on_unknown = gateways_on_unknown_of(settings)};
    health_init(&item->health);
    if (channel_find(settings->channel, &item->channel) != 1) {
        return err_set(err, ERR_UNKNOWN, "gateway %s: there is no channel %s", settings->name, settings->channel);
    }
    item->instance = instance_open(settings, env, err);
    if (item->instance == NULL) {
        return -1;
    }
    g->n++;
    return 0;
}

static bool has_channel(const struct gateways *g, enum channel_id channel) {
    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].channel == channel) {
            return true;
        }
    }
    return false;
}

/* A channel whose own driver needs no settings works without being configured. */
static int open_unconfigured(struct gateways *g, const struct channel_env *env, struct err *err) {
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        const char *name = channel_traits((enum channel_id)i)->name;
        const struct channel_driver *driver = channel_driver_find(name);
        if (driver == NULL || driver->settings != NULL || has_channel(g, (enum channel_id)i)) {
            continue;
        }
        g->own[i] = (struct gateway_settings){.name = name, .channel = name, .driver = name, .in_flight_max = 10000, .weight = 100};
        if (open_one(g, &g->own[i], env, err) < 0) {
            return -1;
        }
    }
    return 0;
}

struct gateways *gateways_open(const struct settings *settings, const struct channel_env *env, struct err *err) {
    struct gateways *g = calloc(1, sizeof *g);
    if (g != NULL) {
        g->items = calloc(settings->gateways.n + CHANNEL_COUNT, sizeof *g->items);
        g->slots = calloc(settings->gateways.n + CHANNEL_COUNT, sizeof *g->slots);
        g->clock = env->clock;
        g->look_ms = settings->worker.gateway_look_ms;
        g->base = env->base;
    }
    if (g == NULL || g->items == NULL || g->slots == NULL) {
        gateways_close(g);
        (void)err_no_memory(err);
        return NULL;
    }
    const struct gateway_settings *configured = settings->gateways.items;
    for (size_t i = 0; i < settings->gateways.n; i++) {
        if (open_one(g, &configured[i], env, err) < 0) {
            gateways_close(g);
            return NULL;
        }
    }
    if (open_unconfigured(g, env, err) < 0) {
        gateways_close(g);
        return NULL;
    }
    return g;
}

void gateways_close(struct gateways *g) {
    if (g == NULL) {
        return;
    }
    for (size_t i = 0; i < g->n; i++) {
        instance_close(g->items[i].instance);
    }
    instance_close_all(&g->retired);
    care_fini(g);
    free(g->slots);
    free(g->items);
    free(g);
}

/* ---- room -------------------------------------------------------------------------------------------------------------- */

struct breaker_policy gateways_policy(const struct open_gateway *item) {
    enum { PROBE_LEASE_MS = 60000 };
    const struct gateway_breaker *breaker = &item->settings->breaker;
    return (struct breaker_policy){.failures_max = breaker->failures,
                                   .open_ms = breaker->open_ms,
                                   .open_max_ms = breaker->open_max_ms,
                                   .probes = breaker->probes,
                                   .probe_lease_ms = PROBE_LEASE_MS};
}

static size_t above(size_t most, size_t used) {
    return most > used ? most - used : 0;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t gateways_room(const struct open_gateway *item, bool urgent) {
    size_t kept = urgent ? 0 : item->waking;
    size_t room = above((size_t)item->settings->in_flight_max, item->taken + kept);
    if (item->settings->rate_interval_us > 0) {
        room = least(room, above(item->permits, kept));
    }
    if (item->health.breaker.state == BREAKER_HALF_OPEN) {
        size_t probes = above((size_t)item->settings->breaker.probes, item->health.breaker.successes);
        room = least(room, above(probes, item->probes_out + kept));
    }
    return room;
}

void gateways_wake(struct open_gateway *item) {
    const struct gateways *g = item->owner;
    size_t index = (size_t)(item - g->items);
    size_t held = g->hooks.held == NULL ? 0 : g->hooks.held(g->hooks.ctx, index);
    size_t n = held == 0 ? 0 : least(gateways_room(item, false), held);
    if (n > 0) {
        item->waking += n;
        g->hooks.wake(g->hooks.ctx, index, n);
    }
}

void gateways_woken(struct gateways *g, size_t index) {
    g->items[index].waking--;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------------- */

/* Whether messages may go there at all; for a half-open one: this worker's probes. */
static bool works(const struct open_gateway *item) {
    const struct breaker *breaker = &item->health.breaker;
    return breaker->state == BREAKER_CLOSED || (breaker->state == BREAKER_HALF_OPEN && item->owner->queue != NULL &&
                                                strcmp(breaker->owner, queue_consumer(item->owner->queue)) == 0);
}

static bool may_be_probed(const struct open_gateway *item, int64_t now_ms) {
    const struct breaker *breaker = &item->health.breaker;
    return (breaker->state == BREAKER_OPEN || (breaker->state == BREAKER_HALF_OPEN && !works(item))) && now_ms >= breaker->until_ms;
}

static bool is_candidate(const struct open_gateway *item, const struct gateways_wish *wish) {
    return item->channel == wish->channel && (wish->wanted == NULL || strcmp(item->settings->name, wish->wanted) == 0);
}

static bool is_named(const struct open_gateway *item, const char *name) {
    return name != NULL && strcmp(item->settings->name, name) == 0;
}

/* Fills the round: those that work (and, with `room`, have room); a resting weight of 0 only where nothing else works. */
static size_t fill_slots(struct gateways *g, const struct gateways_wish *wish, bool room) {
    bool some_weigh = false;
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        some_weigh = some_weigh || (is_candidate(&g->items[i], wish) && works(&g->items[i]) && g->items[i].settings->weight > 0);
    }
    for (size_t i = 0; i < g->n; i++) {
        const struct open_gateway *item = &g->items[i];
        bool usable = is_candidate(item, wish) && works(item) && (item->settings->weight > 0 || !some_weigh) &&
                      (!room || gateways_room(item, wish->urgent) > 0);
        g->slots[i] = (struct share_slot){item->settings->weight * item->health.share.points, item->balance, usable};
        n += usable ? 1 : 0;
    }
    return n;
}

static bool pick_turn(struct gateways *g, const struct gateways_wish *wish, size_t *index_r) {
    if (share_pick(g->slots, g->n, index_r) != 1) {
        return false;
    }
    for (size_t i = 0; i < g->n && wish->wanted == NULL; i++) {
        if (g->items[i].channel == wish->channel) {
            g->items[i].balance = g->slots[i].balance;
        }
    }
    return true;
}

/* A gateway that must be preferred among those in the round: one that is being probed, or the one that may know the message already. */
static bool pick_preferred(const struct gateways *g, const struct gateways_wish *wish, size_t *index_r) {
    for (size_t i = 0; i < g->n; i++) {
        const struct open_gateway *item = &g->items[i];
        bool probing = item->health.breaker.state == BREAKER_HALF_OPEN;
        if (g->slots[i].usable && (probing || is_named(item, wish->stay))) {
            *index_r = i;
            return true;
        }
    }
    return false;
}

static bool pick_with_room(struct gateways *g, const struct gateways_wish *wish, size_t *index_r) {
    size_t usable = fill_slots(g, wish, true);
    if (usable == 0) {
        return false;
    }
    if (pick_preferred(g, wish, index_r)) {
        return true;
    }
    for (size_t i = 0; i < g->n && usable > 1; i++) {
        if (g->slots[i].usable && is_named(&g->items[i], wish->avoid)) {
            g->slots[i].usable = false;
            break;
        }
    }
    return pick_turn(g, wish, index_r);
}

static bool hold_for(const struct gateways *g, size_t index, struct gateways_choice *choice) {
    choice->index = index;
    (void)snprintf(choice->why, sizeof choice->why, "waiting for room at gateway %.64s", gateways_name(g, index));
    return true;
}

/* The one that may know the message already works, and is only full: worth waiting for, since any other would make a second copy of it. */
static bool hold_to_stay(const struct gateways *g, const struct gateways_wish *wish, struct gateways_choice *choice) {
    for (size_t i = 0; i < g->n; i++) {
        const struct open_gateway *item = &g->items[i];
        if (is_named(item, wish->stay) && is_candidate(item, wish) && works(item) && gateways_room(item, wish->urgent) == 0) {
            return hold_for(g, i, choice);
        }
    }
    return false;
}

/* Whom to hold it for: one that works, or one that this worker is about to probe. */
static bool pick_to_hold(struct gateways *g, const struct gateways_wish *wish, struct gateways_choice *choice) {
    if (fill_slots(g, wish, false) > 0 && pick_turn(g, wish, &choice->index)) {
        return hold_for(g, choice->index, choice);
    }
    for (size_t i = 0; i < g->n; i++) {
        if (is_candidate(&g->items[i], wish) && g->items[i].claiming) {
            choice->index = i;
            (void)snprintf(choice->why, sizeof choice->why, "gateway %.64s is about to be tried again", gateways_name(g, i));
            return true;
        }
    }
    return false;
}

/* All are broken or drained: when one of them is worth another look. */
static void find_wait(const struct gateways *g, const struct gateways_wish *wish, int64_t now_ms, struct gateways_choice *choice) {
    enum { PROBED_MS = 2000 };
    choice->until_ms = now_ms + 2 * g->look_ms;
    for (size_t i = 0; i < g->n; i++) {
        const struct breaker *breaker = &g->items[i].health.breaker;
        int64_t until_ms = breaker->state == BREAKER_OPEN        ? breaker->until_ms
                           : breaker->state == BREAKER_HALF_OPEN ? now_ms + PROBED_MS
                                                                 : now_ms + g->look_ms;
        if (is_candidate(&g->items[i], wish) && until_ms < choice->until_ms) {
            choice->until_ms = until_ms > now_ms ? until_ms : now_ms + 1;
            choice->index = i;
        }
        if (is_candidate(&g->items[i], wish) && choice->why[0] == '\0') {
            (void)snprintf(choice->why, sizeof choice->why, "gateway %.64s is %s: %.100s", gateways_name(g, i),
                           breaker_state_name(breaker->state), breaker->reason);
        }
    }
}

static int no_candidate(const struct gateways_wish *wish, struct err *err) {
    if (wish->wanted != NULL) {
        return err_set(err, ERR_UNKNOWN, "the gateway named by the contact point is not configured");
    }
    return err_set(err, ERR_UNKNOWN, "no gateway is configured for channel %s", channel_traits(wish->channel)->name);
}

static void take(struct open_gateway *item, struct gateways_choice *choice) {
    choice->probe = item->health.breaker.state == BREAKER_HALF_OPEN;
    item->taken++;
    item->probes_out += choice->probe ? 1 : 0;
    item->permits -= item->settings->rate_interval_us > 0 ? 1 : 0;
}

enum gateways_pick gateways_pick(struct gateways *g, const struct gateways_wish *wish, int64_t now_ms, struct gateways_choice *choice,
                                 struct err *err) {
    *choice = (struct gateways_choice){0};
    bool any = false;
    for (size_t i = 0; i < g->n; i++) {
        bool candidate = is_candidate(&g->items[i], wish);
        any = any || candidate;
        if (candidate && may_be_probed(&g->items[i], now_ms)) {
            care_claim(&g->items[i], now_ms);
        }
    }
    if (!any) {
        (void)no_candidate(wish, err);
        return PICK_NONE;
    }
    if (hold_to_stay(g, wish, choice)) {
        return PICK_HOLD;
    }
    if (pick_with_room(g, wish, &choice->index)) {
        take(&g->items[choice->index], choice);
        return PICK_TAKEN;
    }
    if (pick_to_hold(g, wish, choice)) {
        return PICK_HOLD;
    }
    find_wait(g, wish, now_ms, choice);
    return PICK_WAIT;
}

int64_t gateways_turn_ms(struct gateways *g, size_t index, int64_t now_ms) {
    enum { SOON_MS = 1000, NO_RATE_MS = 20, LATEST_MS = 600000 };
    struct open_gateway *item = &g->items[index];
    int64_t interval_ms = item->settings->rate_interval_us > 0 ? (item->settings->rate_interval_us + 999) / 1000 : NO_RATE_MS;
    if (item->parked_ms < now_ms + SOON_MS || item->parked_ms > now_ms + LATEST_MS) {
        item->parked_ms = now_ms + SOON_MS;
    }
    item->parked_ms += interval_ms;
    return item->parked_ms;
}

/* ---- sending ----------------------------------------------------------------------------------------------------------- */

bool gateways_may_send(const struct gateways *g, size_t index, bool probe) {
    enum breaker_state state = g->items[index].health.breaker.state;
    return state == BREAKER_CLOSED || (state == BREAKER_HALF_OPEN && probe);
}

int gateways_send(struct gateways *g, size_t index, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done,
                  void *ctx, struct err *err) {
    struct open_gateway *item = &g->items[index];
    return instance_send(item->instance, message, not_after_mono_ms, done, ctx, err);
}

static void free_place(struct open_gateway *item, bool probe) {
    item->taken--;
    item->probes_out -= probe ? 1 : 0;
}

void gateways_done(struct gateways *g, size_t index, bool probe, const struct outcome *outcome, int64_t took_ms, int64_t now_ms) {
    struct open_gateway *item = &g->items[index];
    free_place(item, probe);
    care_outcome(item, probe, outcome, took_ms, now_ms);
    gateways_wake(item);
}

void gateways_give_back(struct gateways *g, size_t index, bool probe) {
    struct open_gateway *item = &g->items[index];
    free_place(item, probe);
    item->permits += item->settings->rate_interval_us > 0 ? 1 : 0;
    gateways_wake(item);
}

void gateways_delivered(struct gateways *g, const char *name, int64_t took_ms, int64_t now_ms) {
    size_t i;
    if (gateways_find(g, name, &i) == 1) {
        care_delivery(&g->items[i], took_ms, now_ms);
    }
}

void gateways_flush(struct gateways *g) {
    for (size_t i = 0; i < g->n; i++) {
        instance_flush(g->items[i].instance);
    }
}

/* ---- looking ----------------------------------------------------------------------------------------------------------- */

size_t gateways_count(const struct gateways *g) {
    return g->n;
}

int gateways_find(const struct gateways *g, const char *name, size_t *index_r) {
    for (size_t i = 0; i < g->n; i++) {
        if (is_named(&g->items[i], name)) {
            *index_r = i;
            return 1;
        }
    }
    return 0;
}

const char *gateways_name(const struct gateways *g, size_t index) {
    return g->items[index].settings->name;
}

const struct gateway_settings *gateways_settings(const struct gateways *g, size_t index) {
    return g->items[index].settings;
}

bool gateways_is_closed(const struct gateways *g, size_t index) {
    return g->items[index].health.breaker.state == BREAKER_CLOSED;
}

enum on_unknown gateways_on_unknown(const struct gateways *g, size_t index) {
    return g->items[index].on_unknown;
}
