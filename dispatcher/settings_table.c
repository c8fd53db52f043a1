/* settings_table: the tables of the sections that no other room owns, and of the whole (settings_table).
 *
 * A table gives types, ranges, defaults and help (base/conf.h); what concerns one mapping as a whole is checked in its `check`, so
 * that the engine adds file and line. The sections of other rooms (redis, own_domains, gateways) stand in those rooms.
 *
 * A new key is one row here and a member in settings.h; checks, help and docs/configuration.md follow (make docs). */
#include "dispatcher/settings_table.h"

#include "base/text.h"
#include "dispatcher/core/schedule.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug"};

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
    {.name = "gateway_look",
     .type = CONF_DURATION,
     .offset = offsetof(struct worker_settings, gateway_look_ms),
     .initial = "30s",
     .min = 100,
     .max = INT64_C(600000),
     .help =
         "how soon a notice that no gateway can take looks again where all are drained; where one is broken, when that is tried again, but "
         "after twice this time at the latest"},
    {.name = "drain",
     .type = CONF_DURATION,
     .offset = offsetof(struct worker_settings, drain_ms),
     .initial = "20s",
     .min = 0,
     .max = INT64_C(600000),
     .help = "how long SIGTERM waits for what is in flight"},
    {.name = "receipt_wait",
     .type = CONF_DURATION,
     .offset = offsetof(struct worker_settings, receipt_wait_ms),
     .initial = "60s",
     .min = 1000,
     .max = INT64_C(3600000),
     .help = "how long a receipt whose message is not known (yet) is looked at again before it goes to the dead letters"},
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

static const char *const goes_live_choices[] = {"saved", "published", NULL}; /* order of enum goes_live */

static const struct conf_key archive_keys[] = {
    {.name = "directory",
     .type = CONF_PATH,
     .offset = offsetof(struct archive_settings, directory),
     .help = "where finished notices go after redis.retention, as NDJSON; made if it is missing; without it they stay in Redis for ever"},
    {.name = "file_max",
     .type = CONF_SIZE,
     .offset = offsetof(struct archive_settings, file_max),
     .initial = "64MiB",
     .min = 4096,
     .max = INT64_C(4294967296),
     .help = "a file that would become larger is finished and gets its index"},
    {.name = "file_time",
     .type = CONF_DURATION,
     .offset = offsetof(struct archive_settings, file_ms),
     .initial = "1d",
     .min = 1000,
     .max = INT64_C(31536000000),
     .help = "a file that has been written to for so long is finished"},
    {.name = "keep",
     .type = CONF_DURATION,
     .offset = offsetof(struct archive_settings, keep_ms),
     .initial = "0s",
     .min = 0,
     .max = INT64_C(3153600000000),
     .help = "files older than that are deleted; 0s: never"},
    {.name = "size_max",
     .type = CONF_SIZE,
     .offset = offsetof(struct archive_settings, size_max),
     .initial = "0",
     .min = 0,
     .max = INT64_C(1125899906842624),
     .help = "when all files together are larger, the oldest are deleted; 0: never"},
};

static const struct conf_table archive_table = {
    .name = "archive",
    .keys = archive_keys,
    .n_keys = COUNT(archive_keys),
    .size = sizeof(struct archive_settings),
    .where_offset = SIZE_MAX,
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
    {.name = "archive",
     .type = CONF_PATH,
     .offset = offsetof(struct words_settings, archive),
     .help = "a folder that keeps every version that was in use, so that a message can be made again as it was sent; where not given, "
             "`templates` in systemd's state directory or in that of --standalone; neither: they are not kept"},
    {.name = "goes_live",
     .type = CONF_CHOICE,
     .offset = offsetof(struct words_settings, goes_live),
     .initial = "saved",
     .choices = goes_live_choices,
     .help =
         "saved: what is saved in `directory`, once it passes the checks; published: what `reachctl template publish` puts into `archive`"},
    {.name = "reset_key_file",
     .type = CONF_PATH,
     .offset = offsetof(struct words_settings, reset_key_file),
     .help = "file that holds the secret (first line) which signs {{reset_link}}; your website checks the link with the same"},
};

static int check_words(void *object, struct err *err) {
    const struct words_settings *words = object;
    if (words->goes_live == GOES_LIVE_PUBLISHED && words->archive == NULL) {
        return err_member(err, "goes_live", "`published` needs `archive`, where `reachctl template publish` puts the words");
    }
    return 0;
}

static const struct conf_table words_table = {
    .name = "templates",
    .keys = words_keys,
    .n_keys = COUNT(words_keys),
    .size = sizeof(struct words_settings),
    .where_offset = SIZE_MAX,
    .check = check_words,
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

static const struct conf_key banner_keys[] = {
    {.name = "login_key_file",
     .type = CONF_PATH,
     .offset = offsetof(struct banner_settings, login_key_file),
     .help = "file that holds the secret (first line) under which the login page finds its banner; none: nothing is written for it"},
};

static const struct conf_table banner_table = {
    .name = "banner",
    .keys = banner_keys,
    .n_keys = COUNT(banner_keys),
    .size = sizeof(struct banner_settings),
    .where_offset = SIZE_MAX,
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
     .help = "how long a banner stays where the job has no expires_at"},
    {.name = "time_zone",
     .type = CONF_STRING,
     .offset = offsetof(struct desk_settings, time_zone),
     .initial = "UTC",
     .help = "the time zone of its hours, such as Europe/London"},
    {.name = "hours",
     .type = CONF_STRINGS,
     .offset = offsetof(struct desk_settings, hours),
     .help = "when it is open, such as \"mon-fri 09:00-17:00\", for the estimates of `reachctl preflight`; empty: not known"},
    {.name = "closed",
     .type = CONF_STRINGS,
     .offset = offsetof(struct desk_settings, closed),
     .help = "days on which it is closed, such as \"2026-12-25\" or \"2026-12-24..2027-01-06\""},
    {.name = "people",
     .type = CONF_INT,
     .offset = offsetof(struct desk_settings, people),
     .initial = "1",
     .min = 1,
     .max = 100000,
     .help = "how many people work on cases at once, for estimates"},
    {.name = "case",
     .type = CONF_DURATION,
     .offset = offsetof(struct desk_settings, case_ms),
     .initial = "10m",
     .min = 1000,
     .max = INT64_C(86400000),
     .help = "what a case takes one of them, for estimates"},
};

/* The hours are compiled where they are needed; here they are only looked at. */
static int check_desk(void *object, struct err *err) {
    const struct desk_settings *desk = object;
    struct arena arena = ARENA_INIT;
    const struct desk_hours *hours = desk_hours_new(desk->time_zone, &desk->hours, &desk->closed, &arena, err);
    arena_fini(&arena);
    return hours == NULL ? -1 : 0;
}

static const struct conf_table desk_table = {
    .name = "desk",
    .keys = desk_keys,
    .n_keys = COUNT(desk_keys),
    .size = sizeof(struct desk_settings),
    .where_offset = SIZE_MAX,
    .check = check_desk,
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

const struct conf_table settings_route_table = {
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

size_t settings_default_route(const struct settings *settings) {
    const struct route_settings *routes = settings->routes.items;
    size_t i = 0;
    while (settings->default_route != NULL && i < settings->routes.n && strcmp(routes[i].name, settings->default_route) != 0) {
        i++;
    }
    return i;
}

static int check_default_route(const struct settings *settings, struct err *err) {
    const struct route_settings *routes = settings->routes.items;
    const char *first = settings->routes.n == 0 ? SETTINGS_DEFAULT_ROUTE : routes[0].name;
    bool found = settings->default_route == NULL || strcmp(settings->default_route, first) == 0 ||
                 settings_default_route(settings) < settings->routes.n;
    return found ? 0
                 : err_member(err, "default_route", "there is no route \"%.64s\" (the first one is \"%.64s\")", settings->default_route,
                              first);
}

static int check_top(void *object, struct err *err) {
    const struct settings *settings = object;
    return check_log_level(settings, err) < 0 ? -1 : check_default_route(settings, err);
}

static const struct conf_key journal_keys[] = {
    {.name = "directory",
     .type = CONF_PATH,
     .offset = offsetof(struct journal_settings, directory),
     .help = "where the journal is kept, of this reachd alone; where not given, `journal` in systemd's state directory or in that of "
             "--standalone"},
    {.name = "size_max",
     .type = CONF_SIZE,
     .offset = offsetof(struct journal_settings, size_max),
     .initial = "16MiB",
     .min = INT64_C(65536),
     .max = INT64_C(1073741824),
     .help = "how large it may become; more is needed only where in_flight_max is"},
};
static const struct conf_table journal_table = {.name = "journal",
                                                .keys = journal_keys,
                                                .n_keys = COUNT(journal_keys),
                                                .size = sizeof(struct journal_settings),
                                                .where_offset = SIZE_MAX};

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
    {.name = "journal",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, journal),
     .table = &journal_table,
     .help = "what gateways have answered and Redis has not recorded yet"},
    {.name = "archive",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, archive),
     .table = &archive_table,
     .help = "finished notices on disk, after their time in Redis"},
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
    {.name = "banner",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, banner),
     .table = &banner_table,
     .help = "what the website shows"},
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
    {.name = "listener",
     .type = CONF_SECTION,
     .offset = offsetof(struct settings, listener),
     .table = &listener_table,
     .help = "where providers deliver their receipts; off where it has no address"},
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
    {.name = "quiet_hours",
     .type = CONF_LIST,
     .offset = offsetof(struct settings, quiet_hours),
     .table = &quiet_table,
     .help = "when a channel leaves customers in peace; what falls into that time waits, and costs no attempt"},
    {.name = "routes",
     .type = CONF_LIST,
     .offset = offsetof(struct settings, routes),
     .table = &settings_route_table,
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
