/* reachd: the daemon. Reads its options and configuration, puts the rooms together, and runs one libevent loop until it is
 * told to stop.
 *
 * SIGTERM and SIGINT drain: nothing new is taken, what is in flight is finished, exit 0. A second one stops at once; what was in
 * flight is then taken up by the next reachd. SIGHUP reads the gateways' settings again (reload.c). A wrong configuration ends the start
 * with one line that names file, line and key.
 *
 * Exit codes: 0 done, 1 failed, 2 usage. */
#include "base/log.h"
#include "dispatcher/gateway_check.h"
#include "dispatcher/libexec.h"
#include "dispatcher/settings.h"
#include "dispatcher/standalone.h"
#include "dispatcher/worker.h"

#include <argp.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

const char *argp_program_version = "reachd 0.1";

struct options {
    const char *config;
    const char *standalone_dir;
    bool check;
    bool help_config;
    bool verbose;
};

static const struct argp_option option_table[] = {
    {"config", 'c', "FILE", 0, "Read the configuration from FILE", 0},
    {"standalone", 's', "DIR", 0, "Start and supervise a redis-server of its own, with its data in DIR", 0},
    {"check-config", 'C', NULL, 0, "Check the configuration and the templates, say what is wrong, and exit", 0},
    {"help-config", 'H', NULL, 0, "Print every configuration key with its type, default and range, as Markdown", 0},
    {"verbose", 'v', NULL, 0, "Log more", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case 'c': options->config = arg; return 0;
    case 's': options->standalone_dir = arg; return 0;
    case 'C': options->check = true; return 0;
    case 'H': options->help_config = true; return 0;
    case 'v': options->verbose = true; return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument: %s", arg); return 0;
    case ARGP_KEY_END:
        if (options->config == NULL && options->standalone_dir == NULL && !options->help_config) {
            argp_error(state, "give --config FILE, or --standalone DIR to try it out");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

struct daemon {
    struct event_base *base;
    struct worker *worker;
    struct event *on_term;
    struct event *on_int;
    struct event *on_hup;
    const char *config;
    int exit_code;
};

/* ---- events of the daemon ------------------------------------------------------------------------------------------ */

static void on_signal(evutil_socket_t number, short what, void *ctx) {
    (void)number;
    (void)what;
    struct daemon *d = ctx;
    static bool asked = false;
    if (asked) {
        log_warning("told to stop again: stopping at once");
        (void)event_base_loopbreak(d->base);
        return;
    }
    asked = true;
    (void)sd_notify(0, "STOPPING=1");
    worker_drain(d->worker);
}

static void on_reload(evutil_socket_t number, short what, void *ctx) {
    (void)number;
    (void)what;
    struct daemon *d = ctx;
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_ms(&clock_system) * 1000);
    (void)worker_reload(d->worker, d->config); /* tells in the log what became of it */
    (void)sd_notify(0, "READY=1");
}

static void on_ready(void *ctx) {
    (void)ctx;
    (void)sd_notify(0, "READY=1");
}

static void on_fatal(void *ctx, const struct err *err) {
    struct daemon *d = ctx;
    log_error("%s", err->text);
    d->exit_code = 1;
    (void)event_base_loopbreak(d->base);
}

static void on_drained(void *ctx) {
    struct daemon *d = ctx;
    (void)event_base_loopexit(d->base, NULL);
}

/* ---- putting it together ------------------------------------------------------------------------------------------- */

/* Where the journal and the versions of the words are kept when the configuration does not say: with the rest of what this reachd keeps.
 * NULL: there is no such place. */
static const char *below_state(const struct options *options, const char *name, struct arena *arena) {
    const char *state = options->standalone_dir != NULL ? options->standalone_dir : getenv("STATE_DIRECTORY");
    return state == NULL ? NULL : arena_printf(arena, "%.*s/%s", (int)strcspn(state, ":"), state, name);
}

static int run(struct daemon *d, const struct worker_watch *watch) {
    worker_watch(d->worker, watch);
    d->on_term = evsignal_new(d->base, SIGTERM, on_signal, d);
    d->on_int = evsignal_new(d->base, SIGINT, on_signal, d);
    d->on_hup = evsignal_new(d->base, SIGHUP, on_reload, d);
    if (d->on_term == NULL || d->on_int == NULL || d->on_hup == NULL || evsignal_add(d->on_term, NULL) < 0 ||
        evsignal_add(d->on_int, NULL) < 0 || evsignal_add(d->on_hup, NULL) < 0) {
        log_error("out of memory");
        return 1;
    }
    (void)event_base_dispatch(d->base);
    event_free(d->on_term);
    event_free(d->on_int);
    event_free(d->on_hup);
    return d->exit_code;
}

static int start(const struct options *options, struct settings *settings, struct arena *arena) {
    struct daemon d = {.base = event_base_new(), .config = options->config};
    struct worker_watch watch = {on_ready, on_fatal, on_drained, &d};
    struct standalone *own = NULL;
    struct err err;
    int result = 1;
    if (d.base == NULL) {
        log_error("out of memory");
        return 1;
    }
    if (options->standalone_dir != NULL) {
        own = standalone_start(d.base, options->standalone_dir, settings->worker.redis_wait_ms, &err);
        if (own == NULL) {
            log_error("%s", err.text);
            goto out;
        }
        settings->redis.address = standalone_address(own);
        settings->redis.sentinels.n = 0;
        log_info("redis-server runs at %s", settings->redis.address);
    }
    if (settings->journal.directory == NULL) {
        settings->journal.directory = below_state(options, "journal", arena);
    }
    if (settings->templates.archive == NULL) {
        settings->templates.archive = below_state(options, "templates", arena);
    }
    d.worker = worker_new(d.base, &clock_system, settings, libexec_find(settings, arena), arena, &err);
    if (d.worker == NULL) {
        log_error("%s", err.text);
        goto out;
    }
    result = run(&d, &watch);
out:
    worker_free(d.worker);
    standalone_stop(own);
    event_base_free(d.base);
    return result;
}

/* Tells every gateway that could not be opened. 0 or -1. */
static int check_gateways(const struct settings *settings) {
    const struct gateway_settings *gateways = settings->gateways.items;
    int result = 0;
    for (size_t i = 0; i < settings->gateways.n; i++) {
        struct err err;
        int found = gateway_check(&gateways[i], &err);
        if (found != 1) {
            (void)fprintf(stderr, "%s%s\n", err.text, found == 0 ? " (a credential, there for the running unit only: not looked at)" : "");
        }
        result = found < 0 ? -1 : result;
    }
    return result;
}

/* --check-config: everything that a start would check, without Redis. */
static int check(const struct settings *settings, struct arena *arena) {
    struct err err;
    size_t n = 0;
    struct template_report report = {0};
    int result = 1;
    const char *words = settings_live_words(&settings->templates, arena, &err);
    struct template_set *templates = words == NULL ? NULL : template_set_load(words, &report, &err);
    if (templates == NULL) {
        for (size_t i = 0; i < report.n; i++) {
            (void)fprintf(stderr, "%s:%d: %s\n", report.findings[i].file, report.findings[i].line, report.findings[i].text);
        }
        (void)fprintf(stderr, "templates: %s\n", err.text);
    } else if (settings_rules(settings, arena, &err) == NULL || settings_routes(settings, arena, &n, &err) == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
    } else if (check_gateways(settings) == 0) {
        (void)printf("the configuration and the templates are in order\n");
        result = 0;
    }
    template_set_free(templates);
    template_report_fini(&report);
    return result;
}

static int describe(void) {
    struct buf out = BUF_INIT;
    conf_describe(&settings_table, &out);
    const char *text = buf_str(&out);
    int result = text == NULL || fputs(text, stdout) == EOF || fflush(stdout) == EOF ? 1 : 0;
    buf_fini(&out);
    return result;
}

static enum log_level level_of(const char *name, bool verbose) {
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING}, {"notice", LOG_LEVEL_NOTICE}, {"info", LOG_LEVEL_INFO}};
    for (size_t i = 0; !verbose && i < sizeof levels / sizeof *levels; i++) {
        if (name != NULL && strcmp(name, levels[i].name) == 0) {
            return levels[i].level;
        }
    }
    return LOG_LEVEL_DEBUG;
}

int main(int argc, char **argv) {
    static const struct argp argp = {
        .options = option_table,
        .parser = parse_option,
        .doc = "Tells customers about security changes to their accounts through whichever channel can still reach them.",
    };
    struct options options = {0};
    struct arena arena = ARENA_INIT;
    struct settings settings;
    struct err err;
    argp_err_exit_status = 2;
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0) {
        return 2;
    }
    if (options.help_config) {
        return describe();
    }
    (void)signal(SIGPIPE, SIG_IGN);
    log_init("reachd", LOG_LEVEL_INFO);
    if (settings_read(options.config, &arena, &settings, &err) < 0) {
        (void)fprintf(stderr, "reachd: %s\n", err.text);
        arena_fini(&arena);
        return 1;
    }
    log_init("reachd", level_of(settings.log_level, options.verbose));
    int result = options.check ? check(&settings, &arena) : start(&options, &settings, &arena);
    arena_fini(&arena);
    return result;
}
