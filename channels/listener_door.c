/* listener_door: see listener_door.h.
 *
 * evhttp limits how long a connection may be silent, not how long a request may take: a peer that sends a byte now and then (Slowloris)
 * keeps its place for ever, and nobody counts places. So every connection gets a fixed life here, one request long: when it is over the
 * socket is shut down and evhttp does the rest. Where all places are taken, nobody is let in until one is free; who waits does so in the
 * kernel's queue.
 *
 * evhttp does not tell when it frees a connection. A reference of ours keeps the bufferevent in memory; that its callbacks are gone says
 * that evhttp has let go of it. That is noticed when its answer was written, and by a look around once a second for all that ended
 * otherwise.
 *
 * Does not: know what is said on a connection. */
#include "channels/listener_door.h"

#include "base/log.h"
#include "channels/listener_tls.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { LOOK_MS = 1000, LOOK_FULL_MS = 100 };

struct place {
    struct bufferevent *bev; /* a reference of ours */
    int64_t end_ms;          /* monotonic */
    bool cut;
    struct place *next;
};

struct listener_door {
    const struct clock *clock;
    const struct door_limits *limits;
    struct listener_tls *tls;
    struct evconnlistener *entrance; /* evhttp's */
    struct event *timer;
    struct place *places; /* newest first */
    int64_t n;
    bool shut; /* nobody is let in */
    uint64_t n_cut;
};

static bool is_gone(const struct place *place) {
    bufferevent_event_cb on_event = NULL;
    bufferevent_getcb(place->bev, NULL, NULL, &on_event, NULL);
    return on_event == NULL;
}

static void release(struct listener_door *door, struct place **link) {
    struct place *place = *link;
    *link = place->next;
    door->n--;
    (void)bufferevent_decref(place->bev);
    free(place);
}

/* A connection whose life is over: both directions end, and evhttp notices. */
static void cut(struct listener_door *door, struct place *place) {
    evutil_socket_t fd = bufferevent_getfd(place->bev);
    if (fd >= 0 && shutdown(fd, SHUT_RDWR) == 0) {
        door->n_cut++;
    }
    place->cut = true;
}

static void look_around(struct listener_door *door) {
    int64_t now_ms = clock_mono_ms(door->clock);
    for (struct place **link = &door->places; *link != NULL;) {
        if (is_gone(*link)) {
            release(door, link);
            continue;
        }
        if (now_ms >= (*link)->end_ms && !(*link)->cut) {
            cut(door, *link);
        }
        link = &(*link)->next;
    }
    if (door->shut && door->n < door->limits->connections_max) {
        door->shut = false;
        (void)evconnlistener_enable(door->entrance);
    }
}

static void arm(struct listener_door *door) {
    int64_t wait_ms = door->shut ? LOOK_FULL_MS : LOOK_MS;
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    if (door->n > 0 && event_add(door->timer, &wait) < 0) {
        log_error("listener: no timer; slow connections are not cut");
    }
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct listener_door *door = ctx;
    look_around(door);
    arm(door);
}

/* Remembers a connection and shuts the entrance where it was the last that fits. */
static void take_place(struct listener_door *door, struct bufferevent *bev) {
    if (door->n + 1 >= door->limits->connections_max) {
        look_around(door); /* not after: evhttp has not taken the new one yet, which looks as if it were gone */
    }
    struct place *place = calloc(1, sizeof *place);
    if (place == NULL) {
        log_error("listener: out of memory for a connection; it is not watched over");
        return;
    }
    *place = (struct place){.bev = bev, .end_ms = clock_mono_ms(door->clock) + door->limits->life_ms, .next = door->places};
    bufferevent_incref(bev);
    door->places = place;
    door->n++;
    if (door->n >= door->limits->connections_max && !door->shut) {
        door->shut = true;
        (void)evconnlistener_disable(door->entrance);
    }
    if (door->shut || event_pending(door->timer, EV_TIMEOUT, NULL) == 0) {
        arm(door);
    }
}

/* evhttp asks for the bufferevent of a connection it has just accepted. */
static struct bufferevent *on_connection(struct event_base *base, void *ctx) {
    struct listener_door *door = ctx;
    struct bufferevent *bev =
        door->tls != NULL ? listener_tls_bufferevent(door->tls, base) : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (bev == NULL) {
        log_error("listener: out of memory for a connection"); /* evhttp has none for one of its own either */
        return NULL;
    }
    take_place(door, bev);
    return bev;
}

static void on_answered(struct evhttp_request *request, void *ctx) {
    struct listener_door *door = ctx;
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    const struct bufferevent *bev = connection == NULL ? NULL : evhttp_connection_get_bufferevent(connection);
    for (struct place **link = &door->places; *link != NULL; link = &(*link)->next) {
        if ((*link)->bev == bev) {
            release(door, link);
            break;
        }
    }
    if (door->shut) {
        look_around(door);
    }
}

void listener_door_request(struct listener_door *door, struct evhttp_request *request) {
    evhttp_request_set_on_complete_cb(request, on_answered, door);
}

struct listener_door *listener_door_new(struct event_base *base, const struct clock *clock, struct evhttp *http, int fd,
                                        struct listener_tls *tls, const struct door_limits *limits, struct err *err) {
    struct listener_door *door = calloc(1, sizeof *door);
    struct event *timer = door == NULL ? NULL : evtimer_new(base, on_timer, door);
    if (timer == NULL) {
        free(door);
        (void)evutil_closesocket(fd);
        (void)err_no_memory(err);
        return NULL;
    }
    *door = (struct listener_door){.clock = clock, .limits = limits, .tls = tls, .timer = timer};
    struct evhttp_bound_socket *bound = evhttp_accept_socket_with_handle(http, fd);
    if (bound == NULL) {
        (void)evutil_closesocket(fd);
        (void)err_system(err, "listener.address");
        listener_door_free(door);
        return NULL;
    }
    door->entrance = evhttp_bound_socket_get_listener(bound);
    evhttp_set_bevcb(http, on_connection, door);
    return door;
}

void listener_door_free(struct listener_door *door) {
    if (door == NULL) {
        return;
    }
    while (door->places != NULL) {
        release(door, &door->places);
    }
    event_free(door->timer);
    free(door);
}

uint64_t listener_door_cut(const struct listener_door *door) {
    return door->n_cut;
}

int64_t listener_door_open(const struct listener_door *door) {
    return door->n;
}
