/* watch: see watch.h.
 *
 * inotify tells of every change below the directory. A moment after the last one, when an editor has finished its dance
 * of temporary files, the whole set is loaded and checked, in a thread of its own: a large set takes a quarter of a second, and the loop
 * must not wait that long. The thread touches nothing but the set it makes; it is joined before anybody else looks at it, so there is
 * nothing to lock. What changes while it works is seen afterwards, by loading once more.
 *
 * Guarantees: the callback runs in the loop, one load at a time, the last with the newest files. A set is handed over whole or
 * not at all. Fails: template_watch_new() where inotify is not to be had; a directory that cannot be watched any more is
 * watched again at the next change. A directory that is a link is followed, also when it is pointed elsewhere. Does not: decide what
 * becomes of a refused set. */
#include "templates/watch.h"

#include <assert.h>
#include <dirent.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUIET_MS = 60, DEPTH_MAX = 3 };

struct template_watch {
    char *dir;
    template_watch_fn *changed;
    void *ctx;
    int inotify;
    int loaded; /* eventfd: the thread has finished */
    struct event_base *base;
    struct event *on_inotify; /* something has changed */
    struct event *on_quiet;   /* nothing more for a while */
    struct event *on_loaded;
    bool loading; /* the thread runs, and what is below is its own */
    bool again;   /* something changed meanwhile */
    pthread_t thread;
    struct template_set *set;
    struct template_report report;
    struct err err;
};

static void watch_directory(const struct template_watch *watch, const char *path, int depth) {
    const uint32_t what = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
    DIR *dir = inotify_add_watch(watch->inotify, path, what) < 0 || depth == DEPTH_MAX ? NULL : opendir(path);
    for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL; entry = readdir(dir)) {
        char below[1024];
        if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) &&
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < (int)sizeof below) {
            watch_directory(watch, below, depth + 1);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static void on_inotify(evutil_socket_t fd, short what, void *ctx);

static void free_event(struct event *event) {
    if (event != NULL) {
        event_free(event);
    }
}

static void close_if_open(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* A directory that is a link, as `reachctl template publish` makes it, changes by being pointed elsewhere: that shows in the folder the
 * link is in. */
static void watch_link(const struct template_watch *watch) {
    char parent[1024];
    struct stat status;
    if (lstat(watch->dir, &status) < 0 || !S_ISLNK(status.st_mode) ||
        snprintf(parent, sizeof parent, "%s", watch->dir) >= (int)sizeof parent) {
        return;
    }
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    (void)inotify_add_watch(watch->inotify, slash == NULL ? "." : parent, IN_MOVED_TO | IN_CREATE | IN_ONLYDIR);
}

/* Watches everything that is there now, and nothing that was. 0, or -1 with errno. */
static int watch_anew(struct template_watch *watch) {
    int fresh = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct event *event = fresh < 0 ? NULL : event_new(watch->base, fresh, EV_READ | EV_PERSIST, on_inotify, watch);
    if (event == NULL || event_add(event, NULL) < 0) {
        free_event(event);
        close_if_open(fresh);
        return -1;
    }
    free_event(watch->on_inotify);
    close_if_open(watch->inotify);
    watch->inotify = fresh;
    watch->on_inotify = event;
    watch_directory(watch, watch->dir, 0);
    watch_link(watch);
    return 0;
}

/* ---- the thread ---------------------------------------------------------------------------------------------------- */
static void *load(void *ctx) {
    struct template_watch *watch = ctx;
    const uint64_t one = 1;
    watch->set = template_set_load(watch->dir, &watch->report, &watch->err);
    ssize_t n = write(watch->loaded, &one, sizeof one);
    assert(n == (ssize_t)sizeof one);
    (void)n;
    return NULL;
}

static void start_load(struct template_watch *watch) {
    if (watch->loading) {
        watch->again = true;
        return;
    }
    if (watch_anew(watch) < 0) {
        watch_directory(watch, watch->dir, 0); /* the watches there are stay, with what is new */
    }
    watch->err = (struct err){0};
    watch->again = false;
    watch->loading = pthread_create(&watch->thread, NULL, load, watch) == 0;
    if (!watch->loading) {
        (void)err_set(&watch->err, ERR_SYSTEM, "no thread could be started to load the templates");
        watch->changed(watch->ctx, NULL, &watch->report, &watch->err);
    }
}

static void join(struct template_watch *watch) {
    int rc = pthread_join(watch->thread, NULL);
    assert(rc == 0);
    (void)rc;
    watch->loading = false;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */
static void on_inotify(evutil_socket_t fd, short what, void *ctx) {
    const struct template_watch *watch = ctx;
    const struct timeval quiet = {.tv_usec = QUIET_MS * 1000};
    char events[4096];
    (void)what;
    while (read(fd, events, sizeof events) > 0) {
    }
    (void)event_add(watch->on_quiet, &quiet);
}

static void on_quiet(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    start_load(ctx);
}

static void on_loaded(evutil_socket_t fd, short what, void *ctx) {
    struct template_watch *watch = ctx;
    uint64_t count = 0;
    (void)what;
    if (read(fd, &count, sizeof count) != (ssize_t)sizeof count || !watch->loading) {
        return;
    }
    join(watch);
    struct template_set *set = watch->set;
    watch->set = NULL;
    watch->changed(watch->ctx, set, &watch->report, &watch->err);
    template_report_fini(&watch->report);
    if (watch->again) {
        start_load(watch);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */
static int open_all(struct template_watch *watch, struct event_base *base, struct err *err) {
    watch->loaded = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    watch->base = base;
    if (watch->loaded < 0 || watch_anew(watch) < 0) {
        return err_system(err, "watching the templates");
    }
    watch->on_quiet = evtimer_new(base, on_quiet, watch);
    watch->on_loaded = event_new(base, watch->loaded, EV_READ | EV_PERSIST, on_loaded, watch);
    if (watch->on_quiet == NULL || watch->on_loaded == NULL || event_add(watch->on_loaded, NULL) < 0) {
        return err_no_memory(err);
    }
    return 0;
}

struct template_watch *template_watch_new(struct event_base *base, const char *dir, template_watch_fn *changed, void *ctx,
                                          struct err *err) {
    struct template_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL || (watch->dir = strdup(dir)) == NULL) {
        (void)err_no_memory(err);
        free(watch);
        return NULL;
    }
    watch->changed = changed;
    watch->ctx = ctx;
    watch->inotify = -1;
    watch->loaded = -1;
    if (open_all(watch, base, err) < 0) {
        template_watch_free(watch);
        return NULL;
    }
    return watch;
}

void template_watch_kick(struct template_watch *watch) {
    start_load(watch);
}

void template_watch_free(struct template_watch *watch) {
    if (watch == NULL) {
        return;
    }
    if (watch->loading) {
        join(watch);
    }
    free_event(watch->on_inotify);
    free_event(watch->on_quiet);
    free_event(watch->on_loaded);
    close_if_open(watch->inotify);
    close_if_open(watch->loaded);
    template_set_free(watch->set);
    template_report_fini(&watch->report);
    free(watch->dir);
    free(watch);
}
