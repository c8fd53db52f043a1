/* gateways_inside: what gateways.c (choosing, sending) and gateway_care.c (states and rates, shared) know of the gateways. Nobody else
 * includes it. */
#ifndef REACH_DISPATCHER_GATEWAYS_INSIDE_H
#define REACH_DISPATCHER_GATEWAYS_INSIDE_H

#include "dispatcher/gateway_instance.h"
#include "dispatcher/gateways.h"

struct event;
struct permit_ask;

struct open_gateway {
    struct gateways *owner;
    const struct gateway_settings *settings;
    struct instance *instance;
    enum channel_id channel;
    enum on_unknown on_unknown;

    /* room */
    size_t taken;      /* places: from picking to the outcome */
    size_t probes_out; /* those of them that probe */
    size_t waking;     /* places kept for messages that were woken and not picked for yet */
    int64_t balance;   /* in the round of its channel (core/share.h) */
    int64_t parked_ms; /* wall clock: the turn that was last estimated for a message that cannot be held */

    /* health */
    struct health health;
    char seen[HEALTH_TEXT_MAX];    /* as it is in Redis, as far as known; "" for nothing */
    char writing[HEALTH_TEXT_MAX]; /* on its way to Redis; "" for nothing */
    bool changed_again;            /* while that was on its way */
    bool claiming;                 /* it asks for the right to probe */
    struct share_watch answers;    /* how fast they come, */
    struct share_watch deliveries; /* and these: apart, since every slow delivery had an answer that was fast */

    /* rate */
    size_t permits;          /* granted and not used yet */
    int64_t permits_mono_ms; /* when the last of them came */
    int64_t ask_mono_ms;     /* not before this */
};

struct gateways {
    struct open_gateway *items;
    size_t n;
    struct instance *retired;                   /* those of before a reload that are not answered yet */
    struct gateway_settings own[CHANNEL_COUNT]; /* of channels that need no configuration */
    const struct clock *clock;
    int64_t look_ms; /* worker.gateway_look */
    struct event_base *base;
    struct queue *queue; /* NULL: nothing is shared */
    struct gateways_hooks hooks;
    struct event *look_timer; /* states, once a second */
    struct event *rate_timer; /* permits that are worth asking for again */
    bool looking;
    struct permit_ask *ask;   /* under way; NULL: none */
    struct share_slot *slots; /* scratch for picking, n of them */
};

/* What its on_unknown says. */
enum on_unknown gateways_on_unknown_of(const struct gateway_settings *settings);

struct breaker_policy gateways_policy(const struct open_gateway *item);

/* How many more messages it may be given now. `urgent`: places kept for woken ones count as free. */
size_t gateways_room(const struct open_gateway *item, bool urgent);

/* Wakes what is held for it, as far as there is room. */
void gateways_wake(struct open_gateway *item);

/* ---- gateway_care.c ---- */
/* Asks for the right to probe a gateway whose time has come; held messages are woken by the answer. */
void care_claim(struct open_gateway *item, int64_t now_ms);

/* An outcome, or a delivery that is known now, is news of the gateway. `took_ms`: from handing over to the answer, from that to the
 * delivery. */
void care_outcome(struct open_gateway *item, bool probe, const struct outcome *outcome, int64_t took_ms, int64_t now_ms);
void care_delivery(struct open_gateway *item, int64_t took_ms, int64_t now_ms);
void care_fini(struct gateways *gateways);

#endif
