/* gateway list: the gateways as configured.
 *
 * This is what the configuration says, read without Redis and without a connection to any provider; `status` shows what they
 * have done. Secrets live in files that are named in the configuration and are never read here.
 *
 * Does not: connect to a gateway. */
#include "cli/commands.h"
#include "cli/view.h"

#include <stdio.h>

static json_t *view_gateway(const struct gateway_settings *gateway) {
    char where[512];
    json_t *object = json_object();
    view_text(object, "name", gateway->name);
    view_text(object, "channel", gateway->channel);
    view_text(object, "driver", gateway->driver);
    (void)json_object_set_new(object, "in_flight_max", json_integer(gateway->in_flight_max));
    (void)json_object_set_new(object, "weight", json_integer(gateway->weight));
    view_text(object, "on_unknown", gateway->on_unknown);
    view_text(object, "where", conf_where_text(&gateway->where, where, sizeof where));
    return object;
}

static enum ctl_exit print_gateways(const struct ctl *ctl, const struct gateway_settings *gateways, size_t n) {
    static const struct column columns[] = {{"GATEWAY", COLUMN_TEXT},     {"CHANNEL", COLUMN_TEXT},  {"DRIVER", COLUMN_TEXT},
                                            {"IN FLIGHT", COLUMN_NUMBER}, {"WEIGHT", COLUMN_NUMBER}, {"ON UNKNOWN", COLUMN_TEXT},
                                            {"WHERE", COLUMN_TEXT}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < n; i++) {
        char in_flight[24];
        char weight[24];
        char where[512];
        (void)snprintf(in_flight, sizeof in_flight, "%lld", (long long)gateways[i].in_flight_max);
        (void)snprintf(weight, sizeof weight, "%lld", (long long)gateways[i].weight);
        table_row(table, MOOD_PLAIN,
                  (const char *[]){gateways[i].name, gateways[i].channel, gateways[i].driver, in_flight, weight, gateways[i].on_unknown,
                                   conf_where_text(&gateways[i].where, where, sizeof where)});
    }
    return table_print(table);
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
    if (!ctl->globals.json) {
        return n > 0 ? print_gateways(ctl, gateways, n) : (ctl_say("no gateway is configured"), CTL_DONE);
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(list, view_gateway(&gateways[i]));
    }
    return output_json(list);
}
