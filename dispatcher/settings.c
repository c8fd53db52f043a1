/* settings: see settings.h. The whole configuration: the tables of the sections that no other room owns, the default route, and
 * the checks that need more than one section.
 *
 * The tables give types, ranges, defaults and help (base/conf.h). Checks of one mapping hang in its table, so the engine adds
 * file and line; checks across mappings (a name that stands twice, a route that does not exist) are made after reading and
 * use the place each mapping remembers. A configuration without `routes` gets the default one, written below as a
 * configuration and read by the same code.
 *
 * Guarantees: what settings_read() accepts can be opened without a further look at names; files, hosts and credentials are looked
 * at only when they are used. Does not: keep the configuration's text. */
#include "dispatcher/settings.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug"};

/* The route of a configuration that has none. E-mail counts once the relay has taken it and no bounce has come for a while; a
 * text message must be reported as delivered, or the push follows. The banner waits until the customer comes by. */
#define DEFAULT_ROUTE "security"
static const char default_routes[] = "routes:\n"
                                     "  - name: " DEFAULT_ROUTE "\n"
                                     "    steps:\n"
                                     "      - {channel: email, success: sent, wait: 10m, attempts: 6, retry_for: 15m}\n"
                                     "      - {channel: sms, success: delivered, wait: 15m, attempts: 4, retry_for: 10m}\n"
                                     "      - {channel: push, success: sent, wait: 15m, attempts: 4, retry_for: 10m}\n"
                                     "      - {channel: banner, success: seen, wait: 7d, attempts: 4, retry_for: 1h}\n";

/* ---- sections ------------------------------------------------------------------------------------------------------- */

static int check_worker(void *object, struct err *err) {
    const struct worker_settings *worker = object;
    if (worker->retry_cap_ms < worker->retry_base_ms) {
        return err_member(err, "retry_cap", "is shorter than retry_base");
    }
    return 0;
}

static const struct conf_key worker_keys[] = {
    {.name = "in_flight_max",
     .type = CONF_INT,
     .offset = offsetof(struct worker_settings, in_flight_max),
     .initial = "1024",
     .min = 1,
     .max = 100000,
     .help = "how many notices one reachd works on at once"},
    {.name = "retry_base",
     .type = CONF_DURATION,
     .offset = offsetof(struct worker_settings, retry_base_ms),
     .initial = "5s",
     .min = 10,
     .max = INT64_C(3600000),
     .help = "pause before the first repetition; it doubles with each"},
    {.name = "retry_cap",
     .type = CONF_DURATION,
     .offset = offsetof(struct worker_settings, retry_cap_ms),
     .initial = "5m",
     .min = 10,
     .max = INT64_C(86400000),
     .help = "longest pause between two repetitions"},
    {.name = "drain",
     .type = CONF_DURATION,
     .offset = offsetof(struct worker_settings, drain_ms),
     .initial = "20s",
     .min = 0,
     .max = INT64_C(600000),
     .help = "how long SIGTERM waits for what is in flight"},
    {.name = "redis_wait",
     .type = CONF_DURATION,
     .offset = offsetof(struct worker_settings, redis_wait_ms),
     .initial = "10s",
     .min = 100,
     .max = INT64_C(600000),
     .help = "--standalone: how long its own redis-server may take to come up"},
};

static const struct conf_table worker_table = {
    .name = "worker",
    .keys = worker_keys,
    .n_keys = COUNT(worker_keys),
    .size = sizeof(struct worker_settings),
    .where_offset = SIZE_MAX,
    .check = check_worker,
};

static const struct conf_key words_keys[] = {
    {.name = "directory",
     .type = CONF_PATH,
     .offset = offsetof(struct words_settings, directory),
     .initial = "templates/messages",
     .help = "the words: one folder a notice, in it one a locale"},
    {.name = "default_locale",
     .type = CONF_STRING,
     .offset = offsetof(struct words_settings, default_locale),
     .initial = "en",
     .min = 2,
     .max = 35,
     .help = "the language of customers whose locale is not known"},
};

static const struct conf_table words_table = {
    .name = "templates",
    .keys = words_keys,
    .n_keys = COUNT(words_keys),
    .size = sizeof(struct words_settings),
    .where_offset = SIZE_MAX,
};

static const struct conf_key clearance_keys[] = {
    {.name = "valid",
     .type = CONF_DURATION,
     .offset = offsetof(struct clearance_settings, valid_ms),
     .initial = "24h",
     .min = 60000,
     .max = INT64_C(2592000000),
     .help = "how long a clearance lasts; after that the account must not be disabled on it"},
    {.name = "unverified_needs",
     .type = CONF_STRING,
     .offset = offsetof(struct clearance_settings, unverified_needs),
     .initial = "delivered",
     .help = "least evidence through a contact point that nobody has verified: sent, delivered, seen or acknowledged"},
};

static int check_clearance(void *object, struct err *err) {
    const struct clearance_settings *clearance = object;
    enum evidence evidence;
    if (evidence_find(clearance->unverified_needs, &evidence) != 1 || evidence == EVIDENCE_NONE) {
        return err_member(err, "unverified_needs", "\"%.32s\" is no evidence (allowed: sent, delivered, seen, acknowledged)",
                          clearance->unverified_needs);
    }
    return 0;
}

static const struct conf_table clearance_table = {
    .name = "clearance",
    .keys = clearance_keys,
    .n_keys = COUNT(clearance_keys),
    .size = sizeof(struct clearance_settings),
    .where_offset = SIZE_MAX,
    .check = check_clearance,
};

static const struct conf_key desk_keys[] = {
    {.name = "owner",
     .type = CONF_STRING,
     .offset = offsetof(struct desk_settings, owner),
     .initial = "service-desk",
     .min = 1,
     .max = 64,
     .help = "who owns a new desk case"},
    {.name = "banner",
     .type = CONF_DURATION,
     .offset = offsetof(struct desk_settings, banner_ms),
     .initial = "90d",
     .min = INT64_C(3600000),
     .max = INT64_C(31536000000),
     .help = "how long a stranded customer's banner stays where the job has no expires_at"},
};

static const struct conf_table desk_table = {
    .name = "desk",
    .keys = desk_keys,
    .n_keys = COUNT(desk_keys),
    .size = sizeof(struct desk_settings),
    .where_offset = SIZE_MAX,
};

static const struct conf_key emergency_keys[] = {
    {.name = "notice",
     .type = CONF_STRING,
     .offset = offsetof(struct emergency_settings, notice),
     .initial = "account-compromised",
     .min = 1,
     .max = 128,
     .help = "the words for a customer whose account was disabled without a clearance"},
    {.name = "data",
     .type = CONF_PAIRS,
     .offset = offsetof(struct emergency_settings, data),
     .help = "the values of that notice's variables"},
};

static const struct conf_table emergency_table = {
    .name = "emergency",
    .keys = emergency_keys,
    .n_keys = COUNT(emergency_keys),
    .size = sizeof(struct emergency_settings),
    .where_offset = SIZE_MAX,
};

/* ---- routes --------------------------------------------------------------------------------------------------------- */

static int check_step(void *object, struct err *err) {
    const struct step_settings *step = object;
    enum channel_id channel;
    enum evidence evidence;
    if (channel_find(step->channel, &channel) != 1) {
        return err_member(err, "channel", "there is no channel \"%.32s\" (allowed: email, sms, push, banner)", step->channel);
    }
    if (evidence_find(step->success, &evidence) != 1 || evidence == EVIDENCE_NONE) {
        return err_member(err, "success", "\"%.32s\" is no evidence (allowed: sent, delivered, seen, acknowledged)", step->success);
    }
    return 0;
}

static const struct conf_key step_keys[] = {
    {.name = "channel",
     .type = CONF_STRING,
     .offset = offsetof(struct step_settings, channel),
     .required = true,
     .help = "the channel this step uses: email, sms, push or banner"},
    {.name = "success",
     .type = CONF_STRING,
     .offset = offsetof(struct step_settings, success),
     .initial = "delivered",
     .help = "what counts as reached: sent, delivered, seen or acknowledged"},
    {.name = "wait",
     .type = CONF_DURATION,
     .offset = offsetof(struct step_settings, wait_ms),
     .initial = "15m",
     .min = 0,
     .max = INT64_C(7776000000),
     .help = "with success `sent`: how long without a bounce; otherwise: how long to wait for it before the next step"},
    {.name = "attempts",
     .type = CONF_INT,
     .offset = offsetof(struct step_settings, attempts_max),
     .initial = "5",
     .min = 1,
     .max = 100,
     .help = "attempts per contact point"},
    {.name = "retry_for",
     .type = CONF_DURATION,
     .offset = offsetof(struct step_settings, retry_for_ms),
     .initial = "15m",
     .min = 0,
     .max = INT64_C(604800000),
     .help = "how long a contact point is tried again, from its first attempt"},
};

static const struct conf_table step_table = {
    .name = "step",
    .keys = step_keys,
    .n_keys = COUNT(step_keys),
    .size = sizeof(struct step_settings),
    .where_offset = SIZE_MAX,
    .check = check_step,
};

enum { STEPS_MAX = 32 };

static int check_route(void *object, struct err *err) {
    const struct route_settings *route = object;
    if (!text_is_id(route->name)) {
        return err_member(err, "name", "a route's name is 1 to 128 of A-Z a-z 0-9 . _ : @ + / = -");
    }
    if (route->steps.n == 0 || route->steps.n > STEPS_MAX) {
        return err_member(err, "steps", "has %zu steps (allowed: 1 to %d)", route->steps.n, STEPS_MAX);
    }
    return 0;
}

static const struct conf_key route_keys[] = {
    {.name = "name",
     .type = CONF_STRING,
     .offset = offsetof(struct route_settings, name),
     .required = true,
     .help = "what jobs call this route"},
    {.name = "steps",
     .type = CONF_LIST,
     .offset = offsetof(struct route_settings, steps),
     .table = &step_table,
     .required = true,
     .help = "the steps, in order"},
};

static const struct conf_table route_table = {
    .name = "route",
    .keys = route_keys,
    .n_keys = COUNT(route_keys),
    .size = sizeof(struct route_settings),
    .where_offset = offsetof(struct route_settings, where),
    .check = check_route,
};

/* ---- the top -------------------------------------------------------------------------------------------------------- */

static int check_log_level(const struct settings *settings, struct err *err) {
    for (size_t i = 0; i < COUNT(log_levels); i++) {
        if (strcmp(settings->log_level, log_levels[i]) == 0) {
            return 0;
        }
    }
    return err_member(err, "log_level", "\"%.32s\" is no level (allowed: error, warning, notice, info, debug)", settings->log_level);
}

/* Index of the default route, or routes.n where it does not exist. */
static size_t default_route_index(const struct settings *settings) {
    const struct route_settings *routes = settings->routes.items;
    size_t i = 0;
    while (settings->default_route != NULL && i < settings->routes.n && strcmp(routes[i].name, settings->default_route) != 0) {
        i++;
    }
    return i;
}

static int check_default_route(const struct settings *settings, struct err *err) {
    const struct route_settings *routes = settings->routes.items;
    const char *first = settings->routes.n == 0 ? DEFAULT_ROUTE : routes[0].name;
    bool found = settings->default_route == NULL || strcmp(settings->default_route, first) == 0 ||
                 default_route_index(settings) < settings->routes.n;
    return found ? 0
                 : err_member(err, "default_route", "there is no route \"%.64s\" (the first one is \"%.64s\")", settings->default_route,
                              first);
}

static int check_top(void *object, struct err *err) {
    const struct settings *settings = object;
    return check_log_level(settings, err) < 0 ? -1 : check_default_route(settings, err);
}

static const struct conf_key settings_keys[] = {
    {.name = "log_level",
     .type = CONF_STRING,
     .offset = offsetof(struct settings, log_level),
     .initial = "info",
     .help = "how much is logged: error, warning, notice, info or debug"},
    {.name = "libexec",
     .type = CONF_PATH,
     .offset = offsetof(struct settings, libexec),
     .help = "directory of reachd-mailer; where not given, the one reachd is in and ../libexec/reachd beside it"},
    {.name = "login_hash_key_file",
     .type = CONF_PATH,
     .offset = offsetof(struct settings, login_hash_key_file),
     .help = "file with the key of the login banner's hash; where not given there are no login banners"},
    {.name = "default_route",
     .type = CONF_STRING,
     .offset = offsetof(struct settings, default_route),
     .help = "the route of jobs that name none; where not given, the first route"},
    {.name = "redis", .type = CONF_SECTION, .offset = offsetof(struct settings, redis), .table = &queue_table, .help = "the queue"},
    {.name = "worker",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, worker),
     .table = &worker_table,
     .help = "how hard reachd works"},
    {.name = "templates",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, templates),
     .table = &words_table,
     .help = "marketing's words"},
    {.name = "clearance",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, clearance),
     .table = &clearance_table,
     .help = "the record that an account may be disabled"},
    {.name = "desk",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, desk),
     .table = &desk_table,
     .help = "the people who take over where no machine can reach"},
    {.name = "emergency",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, emergency),
     .table = &emergency_table,
     .help = "what follows an account that was disabled without a clearance"},
    {.name = "own_domains",
     .type = CONF_LIST,
     .offset = offsetof(struct settings, own_domains),
     .table = &own_domain_table,
     .help = "the mail domains whose mailboxes are the company's own"},
    {.name = "gateways",
     .type = CONF_LIST,
     .offset = offsetof(struct settings, gateways),
     .table = &gateway_table,
     .help = "the providers messages go out through"},
    {.name = "routes",
     .type = CONF_LIST,
     .offset = offsetof(struct settings, routes),
     .table = &route_table,
     .help = "the steps a notice follows; where not given, one route `security`: email, sms, push, banner"},
};

const struct conf_table settings_table = {
    .name = "reachd",
    .keys = settings_keys,
    .n_keys = COUNT(settings_keys),
    .size = sizeof(struct settings),
    .where_offset = offsetof(struct settings, where),
    .check = check_top,
};

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
    static const struct conf_key routes_key = {.name = "routes", .type = CONF_LIST, .table = &route_table};
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
    size_t first = default_route_index(settings);
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
