/* reload: other settings for the gateways of a running reachd (SIGHUP).
 *
 *   read the file ──▶ open its gateways beside those in use ──▶ load the receipts' side ──▶ commit
 *        │ refused          │ refused                                │ refused
 *        └──────────────────┴────────────────────────────────────────┴──▶ one line in the log; all goes on as it was
 *
 * It is taken as a whole or not at all: half of a configuration would be one that nobody wrote. Reloaded is the section `gateways`, with
 * the description files and secrets that it names, for sending and for receipts, and the keys of {{reset_link}} and of the login page;
 * every other section takes effect at the next start, and so do gateways that are new or gone (routes are compiled with them).
 *
 * Each configuration lives until nothing uses it any more: not a message on its way, not a receipt being stored. The first one belongs
 * to main.c. Does not: restart mailers that are busy; they finish what they have. */
#include "base/conf.h"
#include "base/log.h"
#include "dispatcher/webhooks.h"
#include "dispatcher/worker_inside.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000 };

/* A configuration that was read after the start. */
struct generation {
    struct arena arena;
    struct settings settings;
    struct generation *older;
};

struct reload {
    struct generation *newest;
    struct event *timer;
};

static void free_generation(struct generation *generation) {
    arena_fini(&generation->arena);
    free(generation);
}

static void free_older(struct generation *newest) {
    while (newest->older != NULL) {
        struct generation *old = newest->older;
        newest->older = old->older;
        free_generation(old);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct worker *w = ctx;
    struct timeval wait = {.tv_sec = LOOK_MS / 1000, .tv_usec = LOOK_MS % 1000 * 1000};
    if (gateways_is_settled(w->place.gateways) && webhooks_is_settled(w->webhooks)) {
        free_older(w->reload->newest);
    } else if (event_add(w->reload->timer, &wait) < 0) {
        log_error("reload: no timer; the configuration of before stays in memory");
    }
}

static struct reload *reload_of(struct worker *w) {
    if (w->reload == NULL) {
        w->reload = calloc(1, sizeof *w->reload);
        if (w->reload != NULL && (w->reload->timer = evtimer_new(w->base, on_timer, w)) == NULL) {
            free(w->reload);
            w->reload = NULL;
        }
    }
    return w->reload;
}

/* Puts the new settings in the place of the old ones. 0, or -1 with *err and nothing changed. */
static int exchange(struct worker *w, const struct settings *settings, struct err *err) {
    struct gateways_change *change = gateways_prepare(w->place.gateways, settings, &w->env, err);
    if (change == NULL) {
        return -1;
    }
    if (webhooks_load(w->webhooks, settings, err) < 0) {
        gateways_abandon(change);
        return -1;
    }
    gateways_commit(change);
    return 0;
}

/* A secret that is used here, in the arena of the new settings; NULL: there is none. 0, or -1 with *err. */
static int read_key(struct generation *made, const char *path, const char **key_r, struct err *err) {
    *key_r = NULL;
    return path == NULL ? 0 : conf_read_secret(path, &made->arena, key_r, err);
}

static int refuse(const char *why) {
    log_error("the new configuration is refused, all gateways go on as they were: %s", why);
    return -1;
}

int worker_reload(struct worker *w, const char *path) {
    struct err err;
    struct reload *reload = reload_of(w);
    struct generation *made = calloc(1, sizeof *made);
    if (path == NULL || reload == NULL || made == NULL) {
        free(made);
        return refuse(path == NULL ? "there is no configuration file to read again" : "out of memory");
    }
    const char *reset_key;
    const char *login_key;
    err_clear(&err);
    if (settings_read(path, &made->arena, &made->settings, &err) < 0 ||
        read_key(made, made->settings.templates.reset_key_file, &reset_key, &err) < 0 ||
        read_key(made, made->settings.banner.login_key_file, &login_key, &err) < 0 || exchange(w, &made->settings, &err) < 0) {
        free_generation(made);
        return refuse(err.text);
    }
    w->place.reset_key = reset_key;
    w->place.login_key = login_key;
    made->older = reload->newest;
    reload->newest = made;
    on_timer(-1, 0, w);
    const char *listens = w->place.settings->listener.address;
    const char *wanted = made->settings.listener.address;
    if ((listens == NULL) != (wanted == NULL) || (listens != NULL && strcmp(listens, wanted) != 0)) {
        log_warning("listener.address has changed: that takes effect at the next start");
    }
    log_notice("%zu gateways have their new settings; other sections take effect at the next start", made->settings.gateways.n);
    return 0;
}

void reload_fini(struct worker *w) {
    if (w->reload == NULL) {
        return;
    }
    if (w->reload->newest != NULL) {
        free_older(w->reload->newest);
        free_generation(w->reload->newest);
    }
    event_free(w->reload->timer);
    free(w->reload);
    w->reload = NULL;
}
