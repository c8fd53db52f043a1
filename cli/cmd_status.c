/* status: what is in flight, and that nothing is lost.
 *
 * The numbers are Redis's own counters, read in one round trip. "unaccounted" is what promise P1 is about: accepted jobs that are
 * neither finished nor in flight. Anything but 0 there is red, and is a bug or a Redis that lost data.
 *
 * --watch prints again every second; with --json one line of JSON each time. A lost connection is told and tried again, so that a
 * screen on a wall survives a restart of Redis; without --watch it ends with exit code 5.
 *
 * Does not: count records itself (`doctor` does), or change anything. */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/gateway_state.h"
#include "cli/view.h"
#include "dispatcher/core/waits.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the document ------------------------------------------------------------------------------------------------------- */

/* The object of that name in `group`, made when there is none. Borrowed. */
static json_t *member_object(json_t *group, const char *name) {
    json_t *object = json_object_get(group, name);
    if (object == NULL) {
        (void)json_object_set_new(group, name, json_object());
        object = json_object_get(group, name);
    }
    return object;
}

/* "gateway.<name>.<outcome>": under the gateway of that name. */
static void file_gateway_counter(json_t *gateways, const char *counter, json_t *value) {
    static const char prefix[] = "gateway.";
    char name[160];
    const char *dot = strrchr(counter, '.');
    const char *from = counter + sizeof prefix - 1;
    if (strncmp(counter, prefix, sizeof prefix - 1) == 0 && dot > from) {
        (void)snprintf(name, sizeof name, "%.*s", (int)(dot - from), from);
        (void)json_object_set(member_object(gateways, name), dot + 1, value);
    }
}

/* "attempt.email": under the channel it names. */
static void file_channel_counter(json_t *channels, const char *counter, json_t *value) {
    const char *dot = strrchr(counter, '.');
    enum channel_id channel;
    char what[64];
    if (dot != NULL && channel_find(dot + 1, &channel) == 1) {
        (void)snprintf(what, sizeof what, "%.*s", (int)(dot - counter), counter);
        (void)json_object_set(member_object(channels, dot + 1), what, value);
    }
}

/* Adds channels, gateways and campaigns to what the queue knows. */
static void complete(const struct settings *settings, const json_t *states, json_t *status) {
    json_t *channels = json_object();
    json_t *gateways = json_object();
    for (int id = 0; id < CHANNEL_COUNT; id++) {
        (void)member_object(channels, channel_traits((enum channel_id)id)->name);
    }
    const struct gateway_settings *configured = settings->gateways.items;
    for (size_t i = 0; i < settings->gateways.n; i++) {
        json_t *object = member_object(gateways, configured[i].name);
        view_text(object, "channel", configured[i].channel);
        gateway_state_view(object, &configured[i], json_string_value(json_object_get(states, configured[i].name)));
    }
    const char *counter;
    json_t *value;
    json_object_foreach(json_object_get(status, "counters"), counter, value) {
        file_gateway_counter(gateways, counter, value);
        file_channel_counter(channels, counter, value);
    }
    (void)json_object_set_new(status, "channels", channels);
    (void)json_object_set_new(status, "gateways", gateways);
    if (json_object_get(status, "campaigns") == NULL) {
        (void)json_object_set_new(status, "campaigns", json_object());
    }
}

/* How long the jobs of the last minute waited, over all reachd: lanes.<lane>.wait_ms. */
static void add_waits(json_t *status, const json_t *workers) {
    static const char *const names[WAITS_LANES] = {"urgent", "bulk"};
    struct waits_lane lanes[WAITS_LANES] = {0};
    const char *consumer;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)workers, consumer, text) {
        (void)waits_read(json_string_value(text), clock_wall_ms(&clock_system), lanes); /* of another version: left out */
    }
    for (size_t i = 0; i < WAITS_LANES; i++) {
        json_t *wait =
            json_pack("{s:I, s:I, s:I, s:I}", "n", (json_int_t)waits_count(&lanes[i]), "p50", (json_int_t)waits_percentile(&lanes[i], 50),
                      "p95", (json_int_t)waits_percentile(&lanes[i], 95), "max", (json_int_t)lanes[i].max_ms);
        (void)json_object_set_new(member_object(json_object_get(status, "lanes"), names[i]), "wait_ms", wait);
    }
}

/* A new document, or NULL with *err. */
static json_t *read_status(struct ctl *ctl, struct err *err) {
    struct store *store = ctl_store(ctl, err);
    json_t *status = store == NULL ? NULL : store_status(store, err);
    json_t *states = status == NULL ? NULL : store_hash(store, "gateways", err);
    if (states == NULL) {
        json_decref(status);
        return NULL;
    }
    complete(&ctl->settings, states, status);
    json_decref(states);
    json_t *waits = store_hash(store, "lanes", err);
    if (waits == NULL) {
        json_decref(status);
        return NULL;
    }
    add_waits(status, waits);
    json_decref(waits);
    return status;
}

/* ---- for people --------------------------------------------------------------------------------------------------------- */

static json_int_t number(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

static enum ctl_exit print_totals(const struct ctl *ctl, const json_t *status) {
    static const struct column columns[] = {{"ACCEPTED", COLUMN_NUMBER},   {"FINISHED", COLUMN_NUMBER},    {"IN FLIGHT", COLUMN_NUMBER},
                                            {"STRANDED", COLUMN_NUMBER},   {"UNACCOUNTED", COLUMN_NUMBER}, {"DEAD", COLUMN_NUMBER},
                                            {"DUPLICATES", COLUMN_NUMBER}, {"DESK", COLUMN_NUMBER},        {"HOLDS", COLUMN_NUMBER}};
    static const char *const names[] = {"accepted", "finished",   "in_flight", "stranded", "unaccounted",
                                        "dead",     "duplicates", "desk_open", "holds"};
    enum { N = sizeof names / sizeof *names };
    char text[N][24];
    const char *cells[N];
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(text[i], sizeof text[i], "%lld", (long long)number(status, names[i]));
        cells[i] = text[i];
    }
    struct table *table = table_new(ctl, columns, N);
    if (table != NULL) {
        table_row(table, number(status, "unaccounted") != 0 ? MOOD_BAD : MOOD_PLAIN, cells);
    }
    return table_print(table);
}

static enum ctl_exit print_lanes(const struct ctl *ctl, const json_t *status) {
    static const struct column columns[] = {{"LANE", COLUMN_TEXT},     {"WAITING", COLUMN_NUMBER},    {"PENDING", COLUMN_NUMBER},
                                            {"OLDEST", COLUMN_NUMBER}, {"WAITED p50", COLUMN_NUMBER}, {"p95", COLUMN_NUMBER},
                                            {"MAX", COLUMN_NUMBER}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    const char *name;
    json_t *lane;
    json_t *lanes = json_object_get(status, "lanes");
    json_object_foreach(lanes, name, lane) {
        char waiting[24];
        char pending[24];
        char oldest[32];
        char p50[32] = "-";
        char p95[32] = "-";
        char max[32] = "-";
        const json_t *wait = json_object_get(lane, "wait_ms");
        if (number(wait, "n") > 0) {
            (void)output_span(number(wait, "p50"), p50, sizeof p50);
            (void)output_span(number(wait, "p95"), p95, sizeof p95);
            (void)output_span(number(wait, "max"), max, sizeof max);
        }
        (void)snprintf(waiting, sizeof waiting, "%lld", (long long)number(lane, "waiting"));
        (void)snprintf(pending, sizeof pending, "%lld", (long long)number(lane, "pending"));
        (void)output_span(number(lane, "oldest_ms"), oldest, sizeof oldest);
        if (table != NULL) {
            table_row(table, MOOD_PLAIN, (const char *[]){name, waiting, pending, oldest, p50, p95, max});
        }
    }
    output_heading(ctl, "Lanes");
    return table_print(table);
}

/* One row for every name in `group`, its counters in one cell. */
static enum ctl_exit print_group(const struct ctl *ctl, const json_t *status, const char *group, const char *heading) {
    const struct column columns[] = {{heading, COLUMN_TEXT}, {"COUNTS", COLUMN_LONG}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    const char *name;
    json_t *object;
    json_t *objects = json_object_get(status, group);
    json_object_foreach(objects, name, object) {
        struct buf counts = BUF_INIT;
        const char *what;
        json_t *value;
        const char *state = view_get(object, "state"); /* of a gateway */
        if (state != NULL && strcmp(state, "closed") != 0) {
            const char *reason = view_get(object, "reason");
            buf_putf(&counts, "%s%s%s", state, reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
        }
        json_object_foreach(object, what, value) {
            if (json_is_integer(value)) {
                buf_putf(&counts, "%s%s %lld", counts.len == 0 ? "" : ", ", what, (long long)json_integer_value(value));
            }
        }
        if (table != NULL) {
            table_row(table, MOOD_PLAIN, (const char *[]){name, buf_str(&counts)});
        }
        buf_fini(&counts);
    }
    if (table != NULL && table_rows(table) > 0) {
        (void)putchar('\n');
    }
    return table_print(table);
}

static enum ctl_exit print_states(const json_t *status) {
    const char *name;
    json_t *value;
    bool any = false;
    json_t *states = json_object_get(status, "states");
    json_object_foreach(states, name, value) {
        if (json_integer_value(value) != 0) {
            (void)printf("%s%s %lld", any ? ", " : "\nstates: ", name, (long long)json_integer_value(value));
            any = true;
        }
    }
    (void)printf("\nunaccounted %lld\n", (long long)number(status, "unaccounted"));
    return CTL_DONE;
}

static enum ctl_exit print_status(const struct ctl *ctl, const json_t *status) {
    enum ctl_exit code = print_totals(ctl, status);
    code = code != CTL_DONE ? code : print_lanes(ctl, status);
    code = code != CTL_DONE ? code : print_group(ctl, status, "channels", "CHANNEL");
    code = code != CTL_DONE ? code : print_group(ctl, status, "gateways", "GATEWAY");
    code = code != CTL_DONE ? code : print_group(ctl, status, "campaigns", "CAMPAIGN");
    return code != CTL_DONE ? code : print_states(status);
}

/* ---- watching ----------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

static bool is_idle(const json_t *status) {
    json_int_t open = number(status, "in_flight") - number(status, "stranded");
    const char *name;
    json_t *lane;
    json_t *lanes = json_object_get(status, "lanes");
    json_object_foreach(lanes, name, lane) {
        open += number(lane, "waiting") + number(lane, "pending");
    }
    return open <= 0;
}

static void print_again(const struct ctl *ctl, const json_t *status) {
    if (ctl->globals.json) {
        (void)json_dumpf(status, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else {
        char now[TIME_TEXT_MAX];
        (void)printf("%s%s\n", isatty(STDOUT_FILENO) != 0 ? "\033[H\033[2J" : "\n", view_clock(clock_wall_ms(&clock_system), now));
        (void)print_status(ctl, status);
    }
    (void)fflush(stdout);
}

static enum ctl_exit watch(struct ctl *ctl, bool until_idle) {
    struct sigaction action = {.sa_handler = interrupt};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    bool idle = false;
    while (interrupted == 0 && !idle && ferror(stdout) == 0) {
        struct err err;
        json_t *status = read_status(ctl, &err);
        if (status == NULL && err.code != ERR_REDIS) {
            return ctl_fail(&err);
        }
        if (status == NULL) {
            (void)ctl_fail(&err);
            ctl_drop_store(ctl);
        } else {
            print_again(ctl, status);
            idle = until_idle && is_idle(status);
            json_decref(status);
        }
        if (!idle) {
            (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        }
    }
    return CTL_DONE;
}

enum ctl_exit status_run(struct ctl *ctl, const struct call *call) {
    struct err err;
    if (call_given(call, "until-idle") && !call_given(call, "watch")) {
        return ctl_usage("--until-idle needs --watch");
    }
    if (call_given(call, "watch")) {
        return watch(ctl, call_given(call, "until-idle"));
    }
    json_t *status = read_status(ctl, &err);
    if (status == NULL) {
        return ctl_fail(&err);
    }
    if (ctl->globals.json) {
        return output_json(status);
    }
    enum ctl_exit code = print_status(ctl, status);
    json_decref(status);
    return code;
}
