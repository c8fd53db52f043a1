/* listener_door: the connections of the listener: how many there may be, and how long each may last. */
#ifndef REACH_CHANNELS_LISTENER_DOOR_H
#define REACH_CHANNELS_LISTENER_DOOR_H

#include "base/clock.h"
#include "base/err.h"

#include <stdint.h>

struct event_base;
struct evhttp;
struct evhttp_request;
struct listener_door;
struct listener_tls;

struct door_limits {
    int64_t connections_max;
    int64_t life_ms; /* from accept to close, whatever the other side does */
};

/* Takes over the connections of `http`, which must be listening on `fd` from now on (the fd is taken in any case). `tls` may be NULL:
 * plain. `clock` and `limits` are borrowed. NULL with *err. */
struct listener_door *listener_door_new(struct event_base *base, const struct clock *clock, struct evhttp *http, int fd_take,
                                        struct listener_tls *tls, const struct door_limits *limits, struct err *err);

/* Before its evhttp is freed. NULL is allowed. */
void listener_door_free(struct listener_door *door);

/* To be called for every request that will be answered: when the answer is written its connection is forgotten at once. */
void listener_door_request(struct listener_door *door, struct evhttp_request *request);

/* Connections that were cut because their time was over, since the start. */
uint64_t listener_door_cut(const struct listener_door *door);

/* Connections open now. */
int64_t listener_door_open(const struct listener_door *door);

#endif
