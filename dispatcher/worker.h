/* worker: reachd's loop around the queue and the gateways: reserve, decide, render, send, record, settle. */
#ifndef REACH_DISPATCHER_WORKER_H
#define REACH_DISPATCHER_WORKER_H

#include "dispatcher/work.h"

struct event_base;
struct worker;

/* Opens the gateways and connects to Redis; work begins as soon as Redis answers. `settings`, `clock`, `libexec_dir` are borrowed;
 * templates and routes are loaded here. `arena` holds what is compiled from the settings. NULL with *err. */
struct worker *worker_new(struct event_base *base, const struct clock *clock, const struct settings *settings, const char *libexec_dir,
                          struct arena *arena, struct err *err);

/* Called once when the queue is ready for the first time, and with an error when the worker cannot go on. May be NULL. */
struct worker_watch {
    void (*ready)(void *ctx);
    void (*fatal)(void *ctx, const struct err *err);
    void (*drained)(void *ctx); /* after worker_drain(): nothing is in flight any more */
    void *ctx;
};
void worker_watch(struct worker *worker, const struct worker_watch *watch);

/* Reads the configuration again and lets its gateways (descriptions, secrets, limits, receipts) take the place of those in use, without
 * losing what is on its way. Where anything is wrong with it, that is told in the log and all gateways go on as they were. `path` NULL:
 * there is no configuration file. 0, or -1 where it was refused. */
int worker_reload(struct worker *worker, const char *path);

/* Takes no new work, finishes what is in flight (at most worker.drain), then calls drained(). */
void worker_drain(struct worker *worker);

/* Closes the gateways and the queue. What was still in flight is taken up again by the next reachd as `unknown`. */
void worker_free(struct worker *worker);

#endif
