/* gateways: see gateways.h.
 *
 * The dispatcher's only view of drivers. A gateway is chosen by load over weight, so equal weights share equally and a gateway
 * of weight 0 is used only when every other one of its channel is missing.
 *
 * Fails: at start, when a gateway cannot be opened (the daemon does not start with half its channels). Does not: retry, or
 * judge outcomes. */
#include "dispatcher/gateways.h"

#include "dispatcher/gateway_check.h"
#include "dispatcher/gateway_instance.h"

#include <stdlib.h>
#include <string.h>

struct open_gateway {
    const struct gateway_settings *settings;
    struct instance *instance;
    enum channel_id channel;
    enum on_unknown on_unknown;
    size_t in_flight;
};

struct gateways {
    struct open_gateway *items;
    size_t n;
    struct instance *retired;                   /* those of before a reload that are not answered yet */
    struct gateway_settings own[CHANNEL_COUNT]; /* of channels that need no configuration */
};

static enum on_unknown parse_on_unknown(const char *text) {
    if (text != NULL && strcmp(text, "wait") == 0) {
        return ON_UNKNOWN_WAIT;
    }
    return text != NULL && strcmp(text, "next") == 0 ? ON_UNKNOWN_NEXT : ON_UNKNOWN_RESEND;
}

static int open_one(struct gateways *g, const struct gateway_settings *settings, const struct channel_env *env, struct err *err) {
    struct open_gateway *item = &g->items[g->n];
    *item = (struct open_gateway){.settings = settings, .on_unknown = parse_on_unknown(settings->on_unknown)};
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
    }
    if (g == NULL || g->items == NULL) {
        free(g);
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
    free(g->items);
    free(g);
}

static int pick_named(const struct gateways *g, enum channel_id channel, const char *wanted, size_t *index_r, struct err *err) {
    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].channel == channel && strcmp(g->items[i].settings->name, wanted) == 0) {
            *index_r = i;
            return 1;
        }
    }
    (void)err_set(err, ERR_UNKNOWN, "the gateway named by the contact point is not configured");
    return 0;
}

int gateways_pick(const struct gateways *g, enum channel_id channel, const char *wanted, size_t *index_r, struct err *err) {
    if (wanted != NULL) {
        return pick_named(g, channel, wanted, index_r, err);
    }
    int found = 0;
    double best = 0;
    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].channel != channel) {
            continue;
        }
        int64_t weight = g->items[i].settings->weight;
        double load = weight <= 0 ? 1e18 : (double)(g->items[i].in_flight + 1) / (double)weight;
        if (found == 0 || load < best) {
            found = 1;
            best = load;
            *index_r = i;
        }
    }
    if (found == 0) {
        (void)err_set(err, ERR_UNKNOWN, "no gateway is configured for channel %s", channel_traits(channel)->name);
    }
    return found;
}

const char *gateways_name(const struct gateways *g, size_t index) {
    return g->items[index].settings->name;
}

enum on_unknown gateways_on_unknown(const struct gateways *g, size_t index) {
    return g->items[index].on_unknown;
}

int gateways_send(struct gateways *g, size_t index, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done,
                  void *ctx, struct err *err) {
    struct open_gateway *item = &g->items[index];
    if (instance_send(item->instance, message, not_after_mono_ms, done, ctx, err) < 0) {
        return -1;
    }
    item->in_flight++;
    return 0;
}

void gateways_done(struct gateways *g, size_t index) {
    g->items[index].in_flight--;
}

void gateways_flush(struct gateways *g) {
    for (size_t i = 0; i < g->n; i++) {
        instance_flush(g->items[i].instance);
    }
}

/* ---- other settings ---------------------------------------------------------------------------------------------------- */

struct gateways_change {
    struct gateways *gateways;
    size_t n;
    struct {
        struct open_gateway *item;
        struct gateway_settings *settings;
        struct instance *instance;
    } rows[];
};

static struct open_gateway *find_configured(struct gateways *g, const char *name) {
    for (size_t i = 0; i < g->n; i++) {
        bool own = g->items[i].settings >= g->own && g->items[i].settings < g->own + CHANNEL_COUNT;
        if (!own && strcmp(g->items[i].settings->name, name) == 0) {
            return &g->items[i];
        }
    }
    return NULL;
}

/* Which open gateway new settings are for. NULL with *err. */
static struct open_gateway *find_counterpart(struct gateways *g, const struct gateway_settings *settings, struct err *err) {
    struct open_gateway *item = find_configured(g, settings->name);
    if (item == NULL) {
        (void)err_set(err, ERR_CONFLICT, "is new; restart reachd to add a gateway");
    } else if (strcmp(item->settings->channel, settings->channel) != 0) {
        (void)err_set(err, ERR_CONFLICT, "serves channel %s now; restart reachd to give it another", item->settings->channel);
    } else {
        return item;
    }
    (void)gateway_fault(settings, err);
    return NULL;
}

static size_t count_configured(const struct gateways *g) {
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        n += g->items[i].settings < g->own || g->items[i].settings >= g->own + CHANNEL_COUNT;
    }
    return n;
}

struct gateways_change *gateways_prepare(struct gateways *g, const struct settings *settings, const struct channel_env *env,
                                         struct err *err) {
    size_t n = settings->gateways.n;
    struct gateway_settings *configured = settings->gateways.items;
    struct gateways_change *change = calloc(1, sizeof *change + n * sizeof change->rows[0]);
    if (change == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    change->gateways = g;
    for (size_t i = 0; i < n; i++) {
        struct open_gateway *item = find_counterpart(g, &configured[i], err);
        struct instance *instance = item == NULL ? NULL : instance_open(&configured[i], env, err);
        if (instance == NULL) {
            gateways_abandon(change);
            return NULL;
        }
        change->rows[i].item = item;
        change->rows[i].settings = &configured[i];
        change->rows[i].instance = instance;
        change->n++;
    }
    if (n < count_configured(g)) {
        gateways_abandon(change);
        (void)err_set(err, ERR_CONFLICT, "a gateway is missing; restart reachd to take one away, or give it weight 0");
        return NULL;
    }
    return change;
}

void gateways_commit(struct gateways_change *change) {
    for (size_t i = 0; i < change->n; i++) {
        struct open_gateway *item = change->rows[i].item;
        instance_retire(item->instance, &change->gateways->retired);
        change->rows[i].settings->name = item->settings->name; /* records and works hold the old text */
        item->settings = change->rows[i].settings;
        item->on_unknown = parse_on_unknown(item->settings->on_unknown);
        item->instance = change->rows[i].instance;
    }
    free(change);
}

void gateways_abandon(struct gateways_change *change) {
    for (size_t i = 0; i < change->n; i++) {
        instance_close(change->rows[i].instance);
    }
    free(change);
}

bool gateways_is_settled(const struct gateways *g) {
    return g->retired == NULL;
}
