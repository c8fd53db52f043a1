/* gateway_instance: see gateway_instance.h.
 *
 * Each attempt remembers through which instance it went, so a gateway's settings, secrets and description can be replaced while messages
 * are on their way: they are answered by what they were sent with, and what is sent from now on goes through the new instance. An instance
 * is never closed from inside one of its own callbacks.
 *
 * Guarantees: every attempt is answered exactly once, also where its instance was retired meanwhile. Does not: choose or count. */
#include "dispatcher/gateway_instance.h"

#include "base/log.h"
#include "dispatcher/gateway_check.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>

/* An attempt on its way. */
struct flight {
    struct instance *instance;
    channel_done_fn *done;
    void *ctx;
    struct flight *next; /* spare */
};

struct instance {
    const struct gateway_settings *settings;
    const struct channel_driver *driver;
    struct gateway *gateway;
    struct event *idle; /* activated when the last attempt of a retired one is answered */
    struct flight *spare;
    size_t in_flight;
    bool closing;
    struct instance **list; /* retired: where it stands */
    struct instance *next;
};

static void on_idle(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct instance *instance = ctx;
    struct instance **link = instance->list;
    while (*link != instance) {
        link = &(*link)->next;
    }
    *link = instance->next;
    log_info("gateway %s: the settings of before have no message on its way any more", instance->settings->name);
    instance_close(instance);
}

struct instance *instance_open(const struct gateway_settings *settings, const struct channel_env *env, struct err *err) {
    struct instance *instance = calloc(1, sizeof *instance);
    struct event *idle = instance == NULL ? NULL : event_new(env->base, -1, 0, on_idle, instance);
    if (idle == NULL) {
        free(instance);
        (void)err_no_memory(err);
        return NULL;
    }
    *instance = (struct instance){.settings = settings, .driver = channel_driver_find(settings->driver), .idle = idle};
    if (instance->driver == NULL) {
        (void)err_set(err, ERR_UNKNOWN, "no such driver (drivers: %s)", channel_driver_names());
    } else {
        instance->gateway = instance->driver->open(env, settings, err);
    }
    if (instance->gateway == NULL) {
        (void)gateway_fault(settings, err);
        instance_close(instance);
        return NULL;
    }
    return instance;
}

static void on_done(void *ctx, const struct outcome *outcome) {
    struct flight *flight = ctx;
    struct instance *instance = flight->instance;
    channel_done_fn *done = flight->done;
    void *done_ctx = flight->ctx;
    flight->next = instance->spare;
    instance->spare = flight;
    instance->in_flight--;
    if (instance->list != NULL && instance->in_flight == 0 && !instance->closing) {
        event_active(instance->idle, EV_TIMEOUT, 0);
    }
    done(done_ctx, outcome);
}

int instance_send(struct instance *instance, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                  struct err *err) {
    struct flight *flight = instance->spare;
    if (flight != NULL) {
        instance->spare = flight->next;
    } else if ((flight = malloc(sizeof *flight)) == NULL) {
        return err_no_memory(err);
    }
    *flight = (struct flight){.instance = instance, .done = done, .ctx = ctx};
    if (instance->driver->send(instance->gateway, message, not_after_mono_ms, on_done, flight, err) < 0) {
        flight->next = instance->spare;
        instance->spare = flight;
        return -1;
    }
    instance->in_flight++;
    return 0;
}

void instance_flush(struct instance *instance) {
    instance->driver->flush(instance->gateway);
}

void instance_retire(struct instance *instance, struct instance **list) {
    instance->driver->flush(instance->gateway); /* what was handed over and held back must not stay behind */
    instance->list = list;
    instance->next = *list;
    *list = instance;
    if (instance->in_flight == 0) {
        event_active(instance->idle, EV_TIMEOUT, 0);
    }
}

void instance_close(struct instance *instance) {
    if (instance == NULL) {
        return;
    }
    instance->closing = true;
    if (instance->gateway != NULL) {
        instance->driver->close(instance->gateway);
    }
    event_free(instance->idle);
    for (struct flight *next, *flight = instance->spare; flight != NULL; flight = next) {
        next = flight->next;
        free(flight);
    }
    free(instance);
}

void instance_close_all(struct instance **list) {
    while (*list != NULL) {
        struct instance *instance = *list;
        *list = instance->next;
        instance_close(instance);
    }
}
