/* worker_inside: what worker.c, intake.c and control.c share about the worker. Nobody else includes it. */
#ifndef REACH_DISPATCHER_WORKER_INSIDE_H
#define REACH_DISPATCHER_WORKER_INSIDE_H

#include "dispatcher/core/waits.h"
#include "dispatcher/worker.h"

struct archive;
struct event;
struct early;
struct refusal_list;
struct reload;
struct webhooks;
struct holding;
struct intake_batch;

struct worker {
    struct event_base *base;
    struct work_place place;
    struct channel_env env;
    struct template_set *templates; /* owned; place.templates borrows it */
    int64_t templates_since_ms;     /* since when they are in use here */
    bool templates_refused;         /* what was saved after them does not pass its checks */
    struct template_watch *template_watch;
    struct queue *queue;
    struct webhooks *webhooks; /* NULL: off */
    struct worker_watch watch;
    struct work *active; /* uthash by id */
    size_t n_active;
    struct work *ready;
    struct work **ready_end;
    struct apply *applies; /* changes on their way to Redis (worker.c) */
    struct event *flush_event;
    bool flush_scheduled;
    struct refusal_list *refusals;     /* intake.c; those that are not written yet */
    struct refusal_list *refusals_out; /* those that have no answer yet */
    struct intake_batch *lookups;      /* batches that are being looked up */
    struct early *early;               /* early.c */
    struct event *unknown_timer;       /* control.c: requests about notices that nobody knows yet */
    struct work *unknown;
    size_t n_unknown;
    struct reload *reload;   /* reload.c */
    struct archive *archive; /* NULL: finished notices stay in Redis */
    struct waits waits;      /* how long jobs waited */
    struct holding *holding; /* works that wait for room at a gateway */
    int64_t flush_mono_ms;   /* of this turn of the loop */
    uint64_t random;
    bool draining;
    bool given_back; /* the time to drain is over: what is in hand stays as it is */
    bool drained;
};

/* After the gateways are closed. */
void reload_fini(struct worker *worker);

/* The active work of that id, or NULL. */
struct work *worker_find(struct worker *worker, const char *id);

/* Makes a work active; its id must not be active yet. */
void worker_add(struct worker *worker, struct work *work);

/* Has a work on a notice that is in hand wait until `leader` (worker_find) has left; it is looked up then, and finds in Redis what became
 * of the notice. It takes a place like every active work. */
void worker_follow(struct worker *worker, struct work *leader, struct work *work_take);

/* Takes a work out of the active ones without ending it; the first that followed it takes its place. */
void worker_remove(struct worker *worker, struct work *work);

/* Ends a work here, whatever its state; frees it. An entry of it that is not acknowledged comes back after its lease. */
void worker_drop(struct worker *worker, struct work *work);

/* The same for want of memory: it comes again after its lease, and that it came to nothing here is not its own fault. */
void worker_put_back(struct worker *worker, struct work *work);

/* Puts an active work on the ready list: it is decided in this turn of the loop. */
void worker_make_ready(struct worker *worker, struct work *work);

/* Has the ready list worked in this turn of the loop. */
void worker_schedule(struct worker *worker);

/* A number to spread retries with; not for secrets. */
uint32_t worker_random(struct worker *worker);

#endif
