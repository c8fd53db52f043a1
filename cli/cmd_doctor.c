/* doctor: is this installation fit to carry messages that matter?
 *
 * Goes through configuration, words, gateways and Redis, and prints one line for each with what is wrong and the way out. It never
 * stops at the first fault: somebody who sets up a machine wants the whole list. Records are counted one by one here and compared
 * with the counters, which `status` is too quick to do.
 *
 * Exit codes: 0 nothing is wrong; 1 something is; 5 when Redis cannot be reached. Does not: send, repair or write anything. */
#include "cli/commands.h"
#include "cli/view.h"
#include "templates/template.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct doctor {
    struct ctl *ctl;
    struct table *table; /* NULL with --json */
    json_t *list;
    enum ctl_exit worst;
};

static void finding(struct doctor *doctor, const char *what, bool good, const char *text) {
    json_t *object = json_object();
    view_text(object, "check", what);
    (void)json_object_set_new(object, "ok", json_boolean(good));
    view_text(object, "text", text);
    (void)json_array_append_new(doctor->list, object);
    if (doctor->table != NULL) {
        table_row(doctor->table, good ? MOOD_GOOD : MOOD_BAD, (const char *[]){what, good ? "ok" : "WRONG", text});
    }
    if (!good && doctor->worst == CTL_DONE) {
        doctor->worst = CTL_FAILED;
    }
}

static void look_at_words(struct doctor *doctor, const struct settings *settings) {
    struct err err;
    struct template_report report = {0};
    char text[256];
    const char *dir = settings_live_words(&settings->templates, &doctor->ctl->arena, &err);
    struct template_set *set = dir == NULL ? NULL : template_set_load(dir, &report, &err);
    if (set == NULL) {
        finding(doctor, "templates", false, err.text);
    } else {
        (void)snprintf(text, sizeof text, "%s, version %.12s, %zu pieces of advice", dir, template_set_version(set), report.n);
        finding(doctor, "templates", true, text);
    }
    template_set_free(set);
    template_report_fini(&report);
}

/* Every channel that a route uses needs a gateway or a driver that works without one. */
static void look_at_gateways(struct doctor *doctor, const struct settings *settings) {
    struct err err;
    char text[256];
    size_t n_routes = 0;
    const struct gateway_settings *gateways = settings->gateways.items;
    if (settings_routes(settings, &doctor->ctl->arena, &n_routes, &err) == NULL) {
        finding(doctor, "routes", false, err.text);
    } else {
        (void)snprintf(text, sizeof text, "%zu routes", n_routes);
        finding(doctor, "routes", true, text);
    }
    for (size_t i = 0; i < settings->gateways.n; i++) {
        (void)snprintf(text, sizeof text, "%s through driver %s", gateways[i].channel, gateways[i].driver);
        finding(doctor, gateways[i].name, true, text);
    }
    if (settings->gateways.n == 0) {
        finding(doctor, "gateways", false, "no gateway is configured: nothing but a banner can go out");
    }
}

/* Finished notices hold accounts and customers: nobody else may read them. */
static void look_at_archive(struct doctor *doctor, const struct settings *settings) {
    const char *directory = settings->archive.directory;
    struct stat info;
    if (directory == NULL) {
        finding(doctor, "archive", true, "none: finished notices stay in Redis for ever");
    } else if (stat(directory, &info) < 0) {
        struct err err;
        (void)err_system(&err, directory);
        finding(doctor, "archive", false, err.text);
    } else if (!S_ISDIR(info.st_mode) || (info.st_mode & 077) != 0) {
        finding(doctor, "archive", false, "archive.directory must be a directory that only reachd's user can enter: chmod 700");
    } else {
        finding(doctor, "archive", true, directory);
    }
}

/* One setting that Redis must have, or may lose what it acknowledged. */
static void look_at_setting(struct doctor *doctor, const json_t *server, const char *name, const char *wanted, const char *mend) {
    char text[256];
    const char *found = view_get(server, name);
    bool good = found != NULL && strcmp(found, wanted) == 0;
    (void)snprintf(text, sizeof text, "%s is %s%s%s", name, found == NULL ? "not told" : found, good ? "" : ": ", good ? "" : mend);
    finding(doctor, name, good, text);
}

static void look_at_server(struct doctor *doctor, struct store *store) {
    struct err err;
    char text[256];
    json_t *server = store_server(store, &err);
    if (server == NULL) {
        finding(doctor, "redis settings", false, err.text);
        return;
    }
    const char *version = view_get(server, "redis_version");
    (void)snprintf(text, sizeof text, "version %s at %s", version == NULL ? "unknown" : version, store_address(store));
    finding(doctor, "redis", version != NULL, text);
    look_at_setting(doctor, server, "role", "master", "reachd needs the master");
    look_at_setting(doctor, server, "aof_enabled", "1", "set appendonly yes, or a crash loses jobs");
    look_at_setting(doctor, server, "aof_last_write_status", "ok", "Redis cannot write its log: look at its disk");
    look_at_setting(doctor, server, "maxmemory_policy", "noeviction", "set maxmemory-policy noeviction, or Redis drops notices");
    json_decref(server);
}

/* Counts every record and compares: what `status` trusts is proved here. */
static void look_at_records(struct doctor *doctor, struct store *store) {
    struct err err;
    char text[256];
    json_t *audit = store_audit(store, &err);
    if (audit == NULL) {
        finding(doctor, "conservation", false, err.text);
        return;
    }
    long long unaccounted = json_integer_value(json_object_get(audit, "unaccounted"));
    bool moving = json_is_false(json_object_get(audit, "still"));
    (void)snprintf(text, sizeof text, "%lld records counted, unaccounted %lld%s",
                   (long long)json_integer_value(json_object_get(audit, "records")), unaccounted,
                   moving && unaccounted != 0 ? " (work went on meanwhile: ask again when it is quiet)" : "");
    finding(doctor, "conservation", unaccounted == 0 || moving, text);
    const json_t *ids = json_object_get(audit, "ids");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        (void)snprintf(text, sizeof text, "%s is named by others but its record is gone, cannot be read or says two states",
                       id == NULL ? "?" : id);
        finding(doctor, "notice", false, text);
    }
    json_decref(audit);
}

static void look_at_redis(struct doctor *doctor) {
    struct err err;
    struct store *store = ctl_store(doctor->ctl, &err);
    if (store == NULL) {
        finding(doctor, "redis", false, err.text);
        doctor->worst = CTL_NO_REDIS;
        return;
    }
    look_at_server(doctor, store);
    look_at_records(doctor, store);
}

enum ctl_exit doctor_run(struct ctl *ctl, const struct call *call) {
    static const struct column columns[] = {{"CHECK", COLUMN_TEXT}, {"STATE", COLUMN_TEXT}, {"WHAT", COLUMN_LONG}};
    struct doctor doctor = {.ctl = ctl, .list = json_array()};
    struct err err;
    char where[512];
    (void)call;
    const struct settings *settings = ctl_settings(ctl, &err);
    if (!ctl->globals.json) {
        doctor.table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    }
    if (settings == NULL) {
        finding(&doctor, "configuration", false, err.text);
    } else {
        finding(&doctor, "configuration", true,
                settings->where.file == NULL ? "built-in defaults" : conf_where_text(&settings->where, where, sizeof where));
        look_at_words(&doctor, settings);
        look_at_gateways(&doctor, settings);
        look_at_archive(&doctor, settings);
        look_at_redis(&doctor);
    }
    if (ctl->globals.json) {
        enum ctl_exit code = output_json(doctor.list);
        return code == CTL_DONE ? doctor.worst : code;
    }
    json_decref(doctor.list);
    enum ctl_exit code = table_print(doctor.table);
    return code == CTL_DONE ? doctor.worst : code;
}
