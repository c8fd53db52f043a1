/* breaker: whether a gateway may be used at the moment. Pure: a state, an event and the time in; the next state out.
 *
 *                 failures in a row, account refused                   enough probes went through
 *        ┌────────┐ ──────────────────────────────▶ ┌──────┐ until_ms ┌───────────┐ ─────────────▶ closed
 *        │ closed │                                 │ open │ ───────▶ │ half-open │
 *        └────────┘ ◀───────────── enable ───────── └──────┘ ◀─────── └───────────┘
 *             │  ▲                                     │      a probe failed: longer than before
 *             └──│──────── drain (an operator) ────────┴──▶ drained ── enable ──▶ closed
 *                └────────────────────────────────────────────────────────┘
 *
 * One worker probes for all: the one that moved it to half-open (`owner`). Where it dies, until_ms lets another one take over. */
#ifndef REACH_CORE_BREAKER_H
#define REACH_CORE_BREAKER_H

#include "base/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name: how it is stored, shown and told */
#define BREAKER_STATE_LIST(X)                                                                                                              \
    X(BREAKER_CLOSED, "closed")                                                                                                            \
    X(BREAKER_OPEN, "open")                                                                                                                \
    X(BREAKER_HALF_OPEN, "half-open")                                                                                                      \
    X(BREAKER_DRAINED, "drained")

#define BREAKER_EVENT_LIST(X)                                                                                                              \
    X(BREAKER_SUCCESS, "success")    /* the gateway has worked: it took a message, or found fault with one */                              \
    X(BREAKER_FAILURE, "failure")    /* it did not work for anybody */                                                                     \
    X(BREAKER_REFUSED_US, "account") /* it refuses our account */                                                                          \
    X(BREAKER_PROBE, "probe")        /* until_ms is over and a worker wants to try (or to take over from one that died) */                 \
    X(BREAKER_TRIP, "trip")          /* an operator opens it */                                                                            \
    X(BREAKER_DRAIN, "drain")        /* an operator takes the gateway out */                                                               \
    X(BREAKER_ENABLE, "enable")      /* an operator puts it back, or says that it is mended */

#define BREAKER_STATE_ENUM(id, name) id,
enum breaker_state { BREAKER_STATE_LIST(BREAKER_STATE_ENUM) BREAKER_STATE_COUNT };
#define BREAKER_EVENT_ENUM(id, name) id,
enum breaker_event { BREAKER_EVENT_LIST(BREAKER_EVENT_ENUM) BREAKER_EVENT_COUNT };

const char *breaker_state_name(enum breaker_state state);
int breaker_state_find(const char *name, enum breaker_state *state_r); /* 1 found, 0 not */

struct breaker_policy {
    int64_t failures_max;   /* so many in a row open it; 0: they never do */
    int64_t open_ms;        /* how long it stays open the first time; doubles with each probe that fails */
    int64_t open_max_ms;    /* but not longer than this; at once so long where our account is refused */
    int64_t probes;         /* so many messages try a half-open gateway, and all of them must go through */
    int64_t probe_lease_ms; /* after so long without a verdict another worker may probe */
};

enum { BREAKER_OWNER_MAX = 64, BREAKER_REASON_MAX = 160 };

struct breaker {
    enum breaker_state state;
    uint32_t failures;               /* closed: in a row. Each worker counts its own */
    uint32_t successes;              /* half-open: probes that went through */
    uint32_t level;                  /* how often it opened without having closed between */
    int64_t until_ms;                /* open: no probe before this; half-open: the probing worker is believed in until this */
    int64_t changed_at_ms;           /* when the state was entered */
    char owner[BREAKER_OWNER_MAX];   /* half-open: the worker that probes; else empty. No blank in it */
    char reason[BREAKER_REASON_MAX]; /* why it is not closed; one line */
};

/* What happened. */
struct breaker_news {
    enum breaker_event event;
    int64_t now_ms;
    int64_t retry_after_ms; /* failure: what the gateway asked for; -1: nothing */
    const char *reason;     /* or NULL */
    const char *owner;      /* BREAKER_PROBE: who probes; NULL otherwise */
};

/* Takes the news. True where the state (or the probing worker) is another one than before: that is to be shared and told. */
bool breaker_take(struct breaker *breaker, const struct breaker_policy *policy, const struct breaker_news *news);

/* What an outcome tells of its gateway: 1 and *event_r, 0 nothing (the message or the contact point was never looked at). */
int breaker_event_of(const struct outcome *outcome, enum breaker_event *event_r);

#endif
