/* settings: see settings.h. Reads the configuration, adds the default route, and checks what needs more than one section.
 *
 * The tables (settings_table.c) give types, ranges, defaults and help. Checks across mappings (a name that stands twice, a
 * domain that is an alias elsewhere) are made after reading and use the place each mapping remembers. A configuration without
 * `routes` gets the default one, written below as a configuration and read by the same code.
 *
 * Guarantees: what settings_read() accepts can be opened without a further look at names; files, hosts and credentials are looked
 * at only when they are used. Does not: keep the configuration's text. */
#include "dispatcher/settings_table.h"

#include "templates/template.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The route of a configuration that has none. E-mail counts once the relay has taken it and no bounce has come for a while; a
 * text message must be reported as delivered, or the push follows. The banner waits until the customer comes by. */
static const char default_routes[] = "routes:\n"
                                     "  - name: " SETTINGS_DEFAULT_ROUTE "\n"
                                     "    steps:\n"
                                     "      - {channel: email, success: sent, wait: 10m, attempts: 6, retry_for: 15m}\n"
                                     "      - {channel: sms, success: delivered, wait: 15m, attempts: 4, retry_for: 10m}\n"
                                     "      - {channel: push, success: sent, wait: 15m, attempts: 4, retry_for: 10m}\n"
                                     "      - {channel: banner, success: seen, wait: 7d, attempts: 4, retry_for: 1h}\n";

/* ---- checks across sections ----------------------------------------------------------------------------------------- */

static int fail_twice(const struct conf_where *here, const struct conf_where *earlier, const char *what, const char *name,
                      struct err *err) {
    char place[200];
    return err_set(err, ERR_CONFLICT, "%s: %s \"%.64s\" stands twice (first on line %d)", conf_where_text(here, place, sizeof place), what,
                   name, earlier->line);
}

static int check_gateway_names(const struct settings *settings, struct err *err) {
    const struct gateway_settings *gateways = settings->gateways.items;
    for (size_t i = 0; i < settings->gateways.n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(gateways[i].name, gateways[k].name) == 0) {
                return fail_twice(&gateways[i].where, &gateways[k].where, "gateway", gateways[i].name, err);
            }
        }
    }
    return 0;
}

static int check_route_names(const struct settings *settings, struct err *err) {
    const struct route_settings *routes = settings->routes.items;
    for (size_t i = 0; i < settings->routes.n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(routes[i].name, routes[k].name) == 0) {
                return fail_twice(&routes[i].where, &routes[k].where, "route", routes[i].name, err);
            }
        }
    }
    return 0;
}

/* Compiles the own domains, one more each time it has failed, to tell the line of the first that cannot be one. */
static int check_own_domains(const struct settings *settings, struct arena *arena, struct err *err) {
    if (settings_rules(settings, arena, err) != NULL) {
        return 0;
    }
    size_t n = 0;
    while (n < settings->own_domains.n && mailbox_rules_new(settings->own_domains.items, n + 1, arena, err) != NULL) {
        n++;
    }
    if (n == settings->own_domains.n || settings->own_domains.lines == NULL) {
        return -1;
    }
    char place[200];
    struct conf_where where = {settings->where.file, settings->own_domains.lines[n]};
    return err_prefix(err, conf_where_text(&where, place, sizeof place));
}

static int add_default_routes(struct settings *settings, struct arena *arena, struct err *err) {
    static const struct conf_key routes_key = {.name = "routes", .type = CONF_LIST, .table = &settings_route_table};
    static const struct conf_table routes_table = {
        .name = "default route", .keys = &routes_key, .n_keys = 1, .size = sizeof(struct conf_list), .where_offset = SIZE_MAX};
    return conf_read_text(default_routes, sizeof default_routes - 1, "default", &routes_table, &settings->routes, arena, err);
}

int settings_read(const char *path, struct arena *arena, struct settings *settings, struct err *err) {
    int rc =
        path == NULL ? conf_defaults(&settings_table, settings, arena, err) : conf_read_file(path, &settings_table, settings, arena, err);
    if (rc < 0 || (settings->routes.n == 0 && add_default_routes(settings, arena, err) < 0)) {
        return -1;
    }
    if (check_gateway_names(settings, err) < 0 || check_route_names(settings, err) < 0) {
        return -1;
    }
    return check_own_domains(settings, arena, err);
}

/* ---- as the core wants it ------------------------------------------------------------------------------------------- */

const struct mailbox_rules *settings_rules(const struct settings *settings, struct arena *arena, struct err *err) {
    return mailbox_rules_new(settings->own_domains.items, settings->own_domains.n, arena, err);
}

/* Fills one route; its names were checked when the settings were read. */
static int make_route(const struct route_settings *settings, struct arena *arena, struct route *route, struct err *err) {
    const struct step_settings *from = settings->steps.items;
    struct route_step *steps = arena_array(arena, settings->steps.n, sizeof *steps);
    if (steps == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < settings->steps.n; i++) {
        steps[i] =
            (struct route_step){.wait_ms = from[i].wait_ms, .attempts_max = from[i].attempts_max, .retry_for_ms = from[i].retry_for_ms};
        if (channel_find(from[i].channel, &steps[i].channel) != 1 || evidence_find(from[i].success, &steps[i].success) != 1) {
            return err_set(err, ERR_UNKNOWN, "route %.64s: step %zu was not checked", settings->name, i);
        }
    }
    *route = (struct route){.name = settings->name, .steps = steps, .n_steps = settings->steps.n};
    return 0;
}

const struct route *settings_routes(const struct settings *settings, struct arena *arena, size_t *n_r, struct err *err) {
    const struct route_settings *from = settings->routes.items;
    size_t n = settings->routes.n;
    size_t first = settings_default_route(settings);
    struct route *routes = arena_array(arena, n, sizeof *routes);
    if (routes == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        /* The default route comes first, the others keep their order behind it. */
        size_t source = i == 0 ? first : i <= first ? i - 1 : i;
        if (make_route(&from[source], arena, &routes[i], err) < 0) {
            return NULL;
        }
    }
    *n_r = n;
    return routes;
}

/* ---- the words ------------------------------------------------------------------------------------------------------ */

const char *settings_live_words(const struct words_settings *words, struct arena *arena, struct err *err) {
    if (words->goes_live == GOES_LIVE_SAVED) {
        return words->directory;
    }
    const char *live = arena_printf(arena, "%s/" TEMPLATE_LIVE, words->archive);
    if (live == NULL) {
        (void)err_no_memory(err);
    } else if (access(live, F_OK) < 0) {
        (void)err_set(err, ERR_UNKNOWN, "nothing is published in %.200s yet; run `reachctl template publish`", words->archive);
        live = NULL;
    }
    return live;
}
