/* gateway list, drain, enable, open: the gateways as configured and as they are, and an operator's hand on them.
 *
 * What the configuration says is shown also where Redis cannot be reached; how the gateways are is what the workers share in Redis
 * (dispatcher/core/health.h). An order is written there on what was seen, counted and told as an event like every other change, and every
 * reachd follows within about a second. `drain`: nothing is sent there any more, what is under way is finished; notices go through the
 * channel's other gateways or wait, and after the step's retry_for go on to the next step of their route. `enable` puts it back, or
 * closes an open breaker at once. `open`: as if it had just failed; it is tried again by itself.
 *
 * Exit codes: 1 where there is no such gateway, or nothing to change; 5 where an order cannot reach Redis. Does not: connect to a gateway.
 */
#include "cli/commands.h"
#include "cli/gateway_state.h"
#include "cli/view.h"
#include "dispatcher/gateway_news.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* ---- list --------------------------------------------------------------------------------------------------------------- */

static json_t *view_gateway(const struct gateway_settings *gateway, const json_t *states) {
    char where[512];
    json_t *object = json_object();
    view_text(object, "name", gateway->name);
    view_text(object, "channel", gateway->channel);
    view_text(object, "driver", gateway->driver);
    (void)json_object_set_new(object, "in_flight_max", json_integer(gateway->in_flight_max));
    (void)json_object_set_new(object, "weight", json_integer(gateway->weight));
    view_text(object, "rate", gateway->rate);
    view_number(object, "burst", gateway->burst);
    view_text(object, "on_unknown", gateway->on_unknown);
    view_text(object, "where", conf_where_text(&gateway->where, where, sizeof where));
    if (states != NULL) {
        gateway_state_view(object, gateway, json_string_value(json_object_get(states, gateway->name)));
    }
    return object;
}

static void add_row(struct table *table, const struct gateway_settings *gateway, const json_t *states) {
    char in_flight[24];
    char weight[48];
    char state[256] = "-";
    char where[512];
    struct health health;
    health_init(&health);
    const char *text = json_string_value(json_object_get(states, gateway->name));
    if (text != NULL) {
        (void)health_read(text, &health);
    }
    (void)snprintf(in_flight, sizeof in_flight, "%lld", (long long)gateway->in_flight_max);
    (void)snprintf(weight, sizeof weight, health.share.points == SHARE_FULL ? "%lld" : "%lld (%lld %%)", (long long)gateway->weight,
                   (long long)health.share.points);
    if (states != NULL) {
        (void)gateway_state_text(&health, state, sizeof state);
    }
    table_row(table, health.breaker.state == BREAKER_CLOSED ? MOOD_PLAIN : MOOD_WARN,
              (const char *[]){gateway->name, gateway->channel, gateway->driver, state, weight, in_flight,
                               gateway->rate == NULL ? "-" : gateway->rate, gateway->on_unknown,
                               conf_where_text(&gateway->where, where, sizeof where)});
}

static enum ctl_exit print_gateways(const struct ctl *ctl, const struct gateway_settings *gateways, size_t n, const json_t *states) {
    static const struct column columns[] = {{"GATEWAY", COLUMN_TEXT}, {"CHANNEL", COLUMN_TEXT},    {"DRIVER", COLUMN_TEXT},
                                            {"STATE", COLUMN_LONG},   {"WEIGHT", COLUMN_NUMBER},   {"IN FLIGHT", COLUMN_NUMBER},
                                            {"RATE", COLUMN_NUMBER},  {"ON UNKNOWN", COLUMN_TEXT}, {"WHERE", COLUMN_TEXT}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < n; i++) {
        add_row(table, &gateways[i], states);
    }
    return table_print(table);
}

/* What the workers share; NULL where Redis cannot be reached, which is said. */
static json_t *read_states(struct ctl *ctl) {
    struct err err;
    struct store *store = ctl_store(ctl, &err);
    json_t *states = store == NULL ? NULL : store_hash(store, "gateways", &err);
    if (states == NULL) {
        ctl_say("how they are is not known: %s", err.text);
    }
    return states;
}

enum ctl_exit gateway_list_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    (void)call;
    const struct settings *settings = ctl_settings(ctl, &err);
    if (settings == NULL) {
        return ctl_fail(&err);
    }
    const struct gateway_settings *gateways = settings->gateways.items;
    size_t n = settings->gateways.n;
    if (n == 0 && !ctl->globals.json) {
        ctl_say("no gateway is configured");
        return CTL_DONE;
    }
    json_t *states = read_states(ctl);
    enum ctl_exit code = CTL_DONE;
    if (ctl->globals.json) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) {
            (void)json_array_append_new(list, view_gateway(&gateways[i], states));
        }
        code = output_json(list);
    } else {
        code = print_gateways(ctl, gateways, n, states);
    }
    json_decref(states);
    return code;
}

/* ---- orders ------------------------------------------------------------------------------------------------------------- */

static const struct gateway_settings *find_gateway(const struct settings *settings, const char *name) {
    const struct gateway_settings *gateways = settings->gateways.items;
    for (size_t i = 0; i < settings->gateways.n; i++) {
        if (strcmp(gateways[i].name, name) == 0) {
            return &gateways[i];
        }
    }
    return NULL;
}

/* How many other gateways of its channel work. */
static size_t others_that_work(const struct settings *settings, const struct gateway_settings *gateway, const json_t *states) {
    const struct gateway_settings *gateways = settings->gateways.items;
    size_t n = 0;
    for (size_t i = 0; i < settings->gateways.n; i++) {
        struct health health;
        health_init(&health);
        const char *text = json_string_value(json_object_get(states, gateways[i].name));
        bool known = text != NULL && health_read(text, &health) == 0;
        bool works = !known || health.breaker.state == BREAKER_CLOSED;
        n += &gateways[i] != gateway && strcmp(gateways[i].channel, gateway->channel) == 0 && works ? 1 : 0;
    }
    return n;
}

static bool is_wanted(const struct ctl *ctl, const struct gateway_settings *gateway, enum breaker_event event, const json_t *states) {
    char question[256];
    if (event == BREAKER_ENABLE || others_that_work(&ctl->settings, gateway, states) > 0) {
        return true;
    }
    (void)snprintf(question, sizeof question, "No other gateway of channel %s works: its notices will wait. Go on?", gateway->channel);
    return ctl_confirm(ctl, question);
}

/* Writes what becomes of it. 1 done, 0 somebody was faster, -1 with *err. */
static int write_order(struct ctl *ctl, const struct gateway_settings *gateway, const char *seen, const struct health *before,
                       const struct health *after, struct err *err) {
    char text[HEALTH_TEXT_MAX];
    struct buf counts = BUF_INIT;
    struct buf event = BUF_INIT;
    health_write(after, text);
    struct queue_gateway_change change = {.gateway = gateway->name,
                                          .seen = seen == NULL ? "" : seen,
                                          .text = text,
                                          .counts = gateway_counts(gateway, before, after, &counts),
                                          .event = gateway_event(gateway, before, after, after->breaker.changed_at_ms, &event)};
    int result = change.counts == NULL || change.event == NULL ? err_no_memory(err) : store_gateway_put(ctl->store, &change, err);
    buf_fini(&counts);
    buf_fini(&event);
    return result;
}

/* Gives the order on what is there now. */
static int give(struct ctl *ctl, const struct gateway_settings *gateway, enum breaker_event event, const char *reason, struct err *err) {
    const struct gateway_breaker *b = &gateway->breaker;
    const struct breaker_policy policy = {b->failures, b->open_ms, b->open_max_ms, b->probes, 0};
    const char *seen = NULL;
    struct health before;
    health_init(&before);
    if (store_hget(ctl->store, "gateways", gateway->name, &ctl->arena, &seen, err) < 0) {
        return -1;
    }
    if (seen != NULL) {
        (void)health_read(seen, &before);
    }
    struct health after = before;
    struct breaker_news news = {.event = event, .now_ms = clock_wall_ms(&clock_system), .retry_after_ms = -1, .reason = reason};
    if (event == BREAKER_ENABLE) {
        after.share.points = SHARE_FULL;
    }
    if (!breaker_take(&after.breaker, &policy, &news) && after.share.points == before.share.points) {
        return err_set(err, ERR_CONFLICT, "gateway %s is %s: there is nothing to change", gateway->name,
                       breaker_state_name(before.breaker.state));
    }
    return write_order(ctl, gateway, seen, &before, &after, err);
}

static enum ctl_exit order(struct ctl *ctl, const struct call *call, enum breaker_event event) {
    struct err err;
    char reason[BREAKER_REASON_MAX];
    const char *given = call_value(call, "reason");
    const struct settings *settings = ctl_settings(ctl, &err);
    const struct gateway_settings *gateway = settings == NULL ? NULL : find_gateway(settings, call->arguments[0]);
    if (gateway == NULL) {
        return settings == NULL ? ctl_fail(&err) : (ctl_say("no gateway \"%s\" is configured", call->arguments[0]), CTL_FAILED);
    }
    json_t *states = ctl_store(ctl, &err) == NULL ? NULL : store_hash(ctl->store, "gateways", &err);
    if (states == NULL) {
        return ctl_fail(&err);
    }
    bool go = is_wanted(ctl, gateway, event, states);
    json_decref(states);
    if (!go) {
        return CTL_FAILED;
    }
    (void)snprintf(reason, sizeof reason, "by an operator%s%s", given == NULL ? "" : ": ", given == NULL ? "" : given);
    text_make_printable(reason, ' ');
    int result = give(ctl, gateway, event, reason, &err);
    if (result == 0) {
        ctl_say("its state has changed just now: look at it and try again");
    }
    return result < 0 ? ctl_fail(&err) : result == 0 ? CTL_FAILED : CTL_DONE;
}

enum ctl_exit gateway_drain_run(struct ctl *ctl, const struct call *call) {
    return order(ctl, call, BREAKER_DRAIN);
}

enum ctl_exit gateway_enable_run(struct ctl *ctl, const struct call *call) {
    return order(ctl, call, BREAKER_ENABLE);
}

enum ctl_exit gateway_open_run(struct ctl *ctl, const struct call *call) {
    return order(ctl, call, BREAKER_TRIP);
}
