/* keys: the names of everything reachd keeps in Redis, with the configured prefix. What each holds: queue/PROTOCOL.md. */
#ifndef REACH_QUEUE_KEYS_H
#define REACH_QUEUE_KEYS_H

#include "base/arena.h"
#include "queue/queue.h"

/* The first twelve stand in the order in which the changing scripts take them, the first thirteen as apply does. */
#define KEY_LIST(X)                                                                                                                        \
    X(KEY_NOTICES, "notices")                                                                                                              \
    X(KEY_JOBS, "jobs")                                                                                                                    \
    X(KEY_DUE, "due")                                                                                                                      \
    X(KEY_LAST, "last")                                                                                                                    \
    X(KEY_PREVIOUS, "previous")                                                                                                            \
    X(KEY_COUNTERS, "counters")                                                                                                            \
    X(KEY_EVENTS, "events")                                                                                                                \
    X(KEY_INTAKE, "intake")                                                                                                                \
    X(KEY_INTAKE_BULK, "intake:bulk")                                                                                                      \
    X(KEY_RECEIPTS, "receipts")                                                                                                            \
    X(KEY_DEAD, "dead")                                                                                                                    \
    X(KEY_LEASES, "leases")                                                                                                                \
    X(KEY_NOTICES_ASIDE, "notices:aside")                                                                                                  \
    X(KEY_CONTACTS, "contacts")                                                                                                            \
    X(KEY_EPOCH, "epoch")                                                                                                                  \
    X(KEY_DESK, "desk")                                                                                                                    \
    X(KEY_HOLDS, "holds")                                                                                                                  \
    X(KEY_ACCOUNTS, "accounts")                                                                                                            \
    X(KEY_GATEWAYS, "gateways")                                                                                                            \
    X(KEY_RATES, "rates")                                                                                                                  \
    X(KEY_LANES, "lanes")                                                                                                                  \
    X(KEY_GONE, "archived")                                                                                                                \
    X(KEY_AUDIT, "audit")                                                                                                                  \
    X(KEY_AUDITED, "audited")                                                                                                              \
    X(KEY_RELEASES, "releases")

#define KEY_ENUM(id, name) id,
enum key { KEY_LIST(KEY_ENUM) KEY_COUNT };

enum { KEY_CHANGING = KEY_LEASES + 1, KEY_APPLYING = KEY_NOTICES_ASIDE + 1 };

struct queue_keys {
    const char *name[KEY_COUNT];
};

/* Makes the names in `arena`. 0, or -1 (no memory). */
int queue_keys_make(const char *prefix, struct arena *arena, struct queue_keys *keys);

/* The streams that are read in a consumer group, in the order in which they are read: the lanes, then the receipts. */
enum stream { STREAM_URGENT = LANE_URGENT, STREAM_BULK = LANE_BULK, STREAM_RECEIPTS = LANE_COUNT, STREAM_COUNT };

/* The stream's key. */
enum key stream_key(enum stream stream);

/* The field that holds the body of its entries: "job", "receipt". */
const char *stream_field(enum stream stream);

/* The two numbers of an entry's id. 0, or -1 where it is none. */
int stream_id_read(const char *id, uint64_t *ms_r, uint64_t *seq_r);

/* "urgent", "bulk", "receipts". */
const char *stream_name(enum stream stream);

#endif
