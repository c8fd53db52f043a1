/* socket_watch: see socket_watch.h.
 *
 * libcurl stops waiting for a kept-alive connection at the end of every request and waits for the same one again a moment later: two
 * system calls a request that change nothing. So a socket that nobody waits for stays with the kernel as it was, as long as its
 * owner promises to tell before it is closed; only where it becomes ready in the meantime (the peer closes the idle connection)
 * is it taken out. A socket without that promise is taken out at once, since its number may come back as another socket.
 *
 * Guarantees: on_ready is called only for what is wanted at that moment; after socket_watch_closing() and for a socket newly opened
 * nothing of the number's earlier life is left.
 *
 * Fails by want of memory or of room in epoll, and says so. Does not: open, read, write or close a socket. */
#include "channels/socket_watch.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

/* One per number of a file descriptor. */
struct watch {
    struct event *event; /* NULL: never used */
    short wanted;        /* EV_READ, EV_WRITE */
    short armed;         /* what the kernel was told */
    bool promised;       /* its end will be told */
};

struct socket_watches {
    struct event_base *base;
    socket_ready_fn *on_ready;
    void *ctx;
    struct watch *items;
    int n;
};

enum { FIRST_N = 64 };

struct socket_watches *socket_watches_new(struct event_base *base, socket_ready_fn *on_ready, void *ctx) {
    struct socket_watches *watches = calloc(1, sizeof *watches);
    if (watches != NULL) {
        watches->base = base;
        watches->on_ready = on_ready;
        watches->ctx = ctx;
    }
    return watches;
}

void socket_watches_free(struct socket_watches *watches) {
    if (watches == NULL) {
        return;
    }
    for (int fd = 0; fd < watches->n; fd++) {
        if (watches->items[fd].event != NULL) {
            event_free(watches->items[fd].event);
        }
    }
    free(watches->items);
    free(watches);
}

static void disarm(struct watch *watch) {
    if (watch->armed != 0) {
        (void)event_del(watch->event);
        watch->armed = 0;
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg) {
    struct socket_watches *watches = arg;
    struct watch *watch = &watches->items[fd];
    short ready = what & watch->wanted;
    if (ready == 0) {
        disarm(watch);
        return;
    }
    watches->on_ready(watches->ctx, (int)fd, ((ready & EV_READ) != 0 ? SOCKET_READ : 0) | ((ready & EV_WRITE) != 0 ? SOCKET_WRITE : 0));
}

/* The watch of a number, made where there is none yet; NULL when there is no memory. */
static struct watch *watch_of(struct socket_watches *watches, int fd) {
    if (fd >= watches->n) {
        int n = watches->n == 0 ? FIRST_N : watches->n;
        while (n <= fd) {
            n *= 2;
        }
        struct watch *items = realloc(watches->items, (size_t)n * sizeof *items);
        if (items == NULL) {
            return NULL;
        }
        memset(items + watches->n, 0, (size_t)(n - watches->n) * sizeof *items);
        watches->items = items;
        watches->n = n;
    }
    struct watch *watch = &watches->items[fd];
    if (watch->event == NULL) {
        watch->event = event_new(watches->base, fd, 0, on_event, watches);
    }
    return watch->event == NULL ? NULL : watch;
}

int socket_watch_opened(struct socket_watches *watches, int fd) {
    struct watch *watch = watch_of(watches, fd);
    if (watch == NULL) {
        return -1;
    }
    disarm(watch);
    watch->wanted = 0;
    watch->promised = true;
    return 0;
}

int socket_watch_want(struct socket_watches *watches, int fd, int wanted) {
    struct watch *watch = watch_of(watches, fd);
    if (watch == NULL) {
        return -1;
    }
    watch->wanted = (short)(((wanted & SOCKET_READ) != 0 ? EV_READ : 0) | ((wanted & SOCKET_WRITE) != 0 ? EV_WRITE : 0));
    if (watch->wanted == watch->armed || (watch->wanted == 0 && watch->promised)) {
        return 0;
    }
    disarm(watch);
    if (watch->wanted == 0) {
        return 0;
    }
    if (event_assign(watch->event, watches->base, fd, (short)(watch->wanted | EV_PERSIST), on_event, watches) < 0 ||
        event_add(watch->event, NULL) < 0) {
        return -1;
    }
    watch->armed = watch->wanted;
    return 0;
}

void socket_watch_closing(struct socket_watches *watches, int fd) {
    if (fd < watches->n && watches->items[fd].event != NULL) {
        disarm(&watches->items[fd]);
        watches->items[fd].wanted = 0;
        watches->items[fd].promised = false;
    }
}
