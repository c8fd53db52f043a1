/* gateways_reload: the same gateways with other settings, while messages are on their way.
 *
 * The new instances are opened beside those in use; only when all of them are open do they take their places. What is on its way is
 * answered by the instance it went through (gateway_instance.c). Breaker, share and places belong to the gateway and stay as they are;
 * limits and rates hold as they are now from the next message on.
 *
 * Fails: as a whole, with nothing changed, where any of the new settings is wrong or a gateway is new, gone or of another channel. */
#include "dispatcher/gateway_check.h"
#include "dispatcher/gateways_inside.h"

#include <stdlib.h>
#include <string.h>

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
        item->on_unknown = gateways_on_unknown_of(item->settings);
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
