/* queue: reachd's side of Redis: reads jobs, due work and receipts, and changes the state of notices, in batches, without
 * ever blocking. The CLI's blocking side is store.h. Keys and scripts: queue/PROTOCOL.md.
 *
 * A batch, not a notice, is the unit of a round trip. A change is applied atomically by one script with the records, the
 * counters, the acknowledgement and the events it implies; it is fenced (a record whose token is not the one the
 * worker saw is left alone) and idempotent (applied twice it answers APPLIED twice and counts once). After a lost
 * connection the queue reconnects by itself with backoff and applies again what had no answer. */
#ifndef REACH_QUEUE_QUEUE_H
#define REACH_QUEUE_QUEUE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/notice.h"

struct event_base;
struct queue;

/* Section `redis` of the configuration. */
struct queue_settings {
    struct conf_where where;
    const char *address;                /* "unix:/path" or "host:port"; not used where there are sentinels */
    struct conf_strings sentinels;      /* "host:port" of each */
    const char *master;                 /* the name under which they know it */
    const char *sentinel_password_file; /* or NULL */
    bool tls;                           /* refused, with the way out */
    const char *username;               /* or NULL */
    const char *password_file;          /* or NULL */
    const char *prefix;                 /* "reach:" */
    const char *group;                  /* consumer group, "reachd" */
    const char *consumer;               /* this worker's stable name; NULL: host name */
    bool allow_unsafe;                  /* start although Redis may lose data */
    int64_t batch;                      /* entries per read, default 512 */
    int64_t lease_ms;                   /* how long a worker owns what it took */
    int64_t connect_timeout_ms;
    int64_t answer_timeout_ms; /* a Redis that says nothing for so long is given up and connected to anew */
    int64_t retention_ms;      /* how long a finished notice stays in Redis at least; 0: for ever */
    int64_t remember_ms;       /* how long an id is known after its notice has left for the archive; 0: not at all */
    int64_t audit_interval_ms; /* how often the counters are compared with the records; 0: never */
    int64_t events_max;        /* approximate length of reach:events */
};

extern const struct conf_table queue_table;

enum lane { LANE_URGENT, LANE_BULK, LANE_COUNT };

/* Where an entry stands in the lease that it was handed out with: what its acknowledgement needs beside its id. The queue's own. */
struct queue_leased {
    uint64_t lease;               /* its token */
    size_t place;                 /* in it */
    uint64_t after_ms, after_seq; /* the id behind which nothing of the lease comes but this entry */
};

struct queue_entry {
    enum lane lane;
    const char *stream_id;
    struct queue_leased leased;
    const char *body; /* field `job`, or NULL where the entry has none */
    size_t body_len;
    unsigned deliveries;  /* how often it was handed out, 1 the first time */
    int64_t not_after_ms; /* end of its lease on Redis's clock: for queue_change.not_after_ms */
};

/* A notice as Redis holds it. */
struct queue_record {
    bool found;
    enum notice_state state;
    uint64_t fence;
    const char *record; /* the worker's own text (JSON) */
    const char *job;    /* the job as it came, where it is kept; else NULL */
};

/* A notice that so many workers were lost over is not taken up any more, but ended. */
enum { QUEUE_LOST_MAX = 3 };

struct queue_due {
    const char *id;
    struct queue_record held;
    unsigned lost;        /* so many workers had it in hand one after the other and made nothing of it until their lease was over */
    int64_t lease_end_ms; /* of the lease it was handed out with: for queue_give_back() */
};

struct queue_receipt {
    const char *stream_id;
    struct queue_leased leased;
    const char *body;
    size_t body_len;
};

struct queue_handlers {
    /* Connected, settings checked, group there, entries of an earlier life about to be handed out again. */
    void (*ready)(void *ctx);
    /* The connection is gone; the queue is trying again. For the log; nothing to do. */
    void (*lost)(void *ctx, const struct err *err);
    /* Cannot go on (unsafe Redis, wrong password, no permission): the daemon should stop with this error. */
    void (*fatal)(void *ctx, const struct err *err);
    /* New work. The arena holds everything in `entries` and is handed over: the handler copies the struct (it lies on the
     * queue's stack) and finishes it when the batch is done. So with the two below. */
    void (*entries)(void *ctx, const struct queue_entry *entries, size_t n, struct arena *arena_take);
    void (*due)(void *ctx, const struct queue_due *due, size_t n, struct arena *arena_take);
    void (*receipts)(void *ctx, const struct queue_receipt *receipts, size_t n, struct arena *arena_take);
    /* Finished notices older than redis.retention, to be written to the archive. When they are safe on disk the worker answers with
     * queue_retire(); until then no more of them come. NULL: finished notices stay in Redis. */
    void (*old)(void *ctx, const struct queue_due *finished, size_t n, struct arena *arena_take);
    /* The last call that was not answered has been: queue_pending() is 0. NULL: nobody waits for that. */
    void (*idle)(void *ctx);
};

/* Connects in the background and makes the process ignore SIGPIPE; handlers are called from the loop. `settings`, `clock`, `handlers`,
 * `ctx` are borrowed. NULL with *err only for bad settings or want of memory. */
struct queue *queue_new(struct event_base *base, const struct clock *clock, const struct queue_settings *settings,
                        const struct queue_handlers *handlers, void *ctx, struct err *err);

/* Drops the connection; what has no answer yet is not answered any more. */
void queue_free(struct queue *queue);

/* This worker's name among the consumers. Borrowed from the queue. */
const char *queue_consumer(const struct queue *queue);

/* How many more notices the worker can take now; the queue never hands out more than that (0 stops reading). Entries and due
 * work count; receipts do not. What has been asked of Redis already, with the room there was, still comes. */
void queue_set_room(struct queue *queue, size_t room);

/* So many places of the room are for urgent entries alone: bulk entries and due notices leave them free, so that whatever waits in this
 * worker's hands never keeps an urgent one out. 0 to begin with. */
void queue_set_reserve(struct queue *queue, size_t reserve);

/* Stops reading for good; changes still go through. */
void queue_stop_reading(struct queue *queue);

/* Number of calls not answered yet, of whatever kind; once reading has stopped also a claim of due notices. */
size_t queue_pending(const struct queue *queue);

/* The worker will not finish an entry (a receipt) that was handed out to it: it is not in hand any more, stays pending and is handed out
 * again after its lease, here or elsewhere. Without this nobody but a worker that starts anew would get it. Nothing where it is not in
 * hand. */
void queue_let_go(struct queue *queue, enum lane lane, const char *stream_id);
void queue_let_go_receipt(struct queue *queue, const char *stream_id);

/* A token never given out before by any worker of this Redis; valid only once ready() was called. Never 0. */
uint64_t queue_fence(struct queue *queue);

/* When a token was given out at the earliest (ms since 1970, by Redis's clock): at most ten minutes and a bit before it really was. */
int64_t queue_fence_at_ms(uint64_t fence);

/* Whether an entry that was handed out still is the worker's: false after queue_let_go(), and where Redis has lost it (killed, it may lose
 * what it had answered). What has not begun by then must not: its producer pushes the job again. */
bool queue_in_hand(const struct queue *queue, const struct queue_entry *entry);

/* ---- due notices in hand ------------------------------------------------------------------------------------------ */
struct queue_lease {
    const char *id;
    int64_t end_ms; /* as it was handed out, or as it was set with the intent */
    int64_t due_ms; /* when it is to be handed out (at the latest); -1: at the end of the lease as it is */
};

/* So many leases of due notices do not count against these when they are over: their worker lives (it is being stopped, or has them in
 * hand still). Each only while its lease is the one that is named. Where Redis is away it waits. 0, or -1 with *err (no memory). */
int queue_give_back(struct queue *queue, const struct queue_lease *leases, size_t n, struct err *err);

/* ---- look-up ------------------------------------------------------------------------------------------------------ */
struct queue_found {
    struct queue_record held; /* of ids[i] */
    bool archived;            /* no record of ids[i], but its notice has left for the archive within redis.remember_ids */
    char archived_content[2]; /* then: what is kept of its job's digest, for queue_is_archived_job() */
    const char *customer;     /* contact book entry of customers[i] (dispatcher/book.h), or NULL */
};

/* Whether a job with this digest is the one whose notice is archived; of other jobs one in 65,536 passes for it. */
bool queue_is_archived_job(const struct queue_found *found, const char *digest);

/* The answers live in the arena, which is handed over. */
typedef void queue_lookup_fn(void *ctx, const struct queue_found *found, size_t n, struct arena *arena_take);

/* Reads n records and contact book entries in one round trip. Arguments are copied; customers[i] may be NULL. 0 or -1 with *err
 * (no memory). */
int queue_lookup(struct queue *queue, const char *const *ids, const char *const *customers, size_t n, queue_lookup_fn *done, void *ctx,
                 struct err *err);

/* ---- read --------------------------------------------------------------------------------------------------------- */
enum queue_ask_kind {
    QUEUE_ASK_STRING,         /* the string under `key` (without the prefix) */
    QUEUE_ASK_FIELD,          /* `field` of the hash under `key` */
    QUEUE_ASK_NOTICES,        /* ids of the notices of customer `key`, newest first, separated by blanks; the newest 100 */
    QUEUE_ASK_REACHED_NOTICES /* the same of those that ended in `reached` */
};

struct queue_ask {
    enum queue_ask_kind kind;
    const char *key;
    const char *field;
};

/* values[i] answers asks[i], NULL where there is nothing. The values live in the arena, which is handed over. */
typedef void queue_read_fn(void *ctx, const char *const *values, size_t n, struct arena *arena_take);

/* Reads n values in one round trip. Arguments are copied. 0 or -1 with *err (no memory). */
int queue_read(struct queue *queue, const struct queue_ask *asks, size_t n, queue_read_fn *done, void *ctx, struct err *err);

/* ---- change ------------------------------------------------------------------------------------------------------- */
enum queue_op {
    QUEUE_SET,    /* key, value, at_ms = expiry (0: none) */
    QUEUE_DEL,    /* key */
    QUEUE_HSET,   /* key, field, value */
    QUEUE_HDEL,   /* key, field */
    QUEUE_ZADD,   /* key, field, at_ms = score */
    QUEUE_ZREM,   /* key, field */
    QUEUE_WAKE,   /* field = customer: the customer's waiting notices are due at at_ms; key is "due" */
    QUEUE_ADD,    /* key = stream, field, value: a new entry */
    QUEUE_FREE,   /* key, field = customer, value, at_ms = expiry: set only where no notice and no desk case of the customer is open */
    QUEUE_HOLD,   /* key "holds", field = account, value = JSON with "notice": one more notice holds the account; a clearance of it goes */
    QUEUE_UNHOLD, /* key "holds", field = account, value = notice: that notice holds it no longer */
    QUEUE_BANNER, /* key, field = whose it is, value = JSON with severity and since, at_ms = expiry: shown unless a more severe one is */
    QUEUE_UNBANNER, /* key, field = whose it is: that one is gone; one that stood behind it is shown */
    QUEUE_BOOK, /* key = queue_book_seen() of what was read, field = customer, value: the contact book entry, only if it is still that one.
                 * In a change it is left out where it is not; a control is answered STALE and stays pending */
    QUEUE_REACHED, /* key = the answer to QUEUE_ASK_REACHED_NOTICES as read ("" for none), field = customer. Writes nothing: a control is
                    * answered STALE where it has changed; in a change it does nothing */
    QUEUE_GRANT,   /* key, field = account, value, at_ms = expiry: a clearance, unless another notice holds the account; tells events */
    QUEUE_BURY     /* key "dead", field = the notice's id, lane, time and reason with blanks between, value = its job: a dead letter */
};

#define QUEUE_SEEN_LEN 41

/* Names a contact book entry as read (NULL: none) for QUEUE_BOOK. 0, or -1 where libcrypto offers no SHA-1. */
int queue_book_seen(const char *text, char out[QUEUE_SEEN_LEN]);

/* Something that must become true in the same atomic step (a banner, a hold, a desk case, a clearance). */
struct queue_effect {
    enum queue_op op;
    const char *key; /* without the prefix */
    const char *field;
    const char *value;
    int64_t at_ms;
};

enum queue_job { QUEUE_JOB_AS_IS, QUEUE_JOB_STORE, QUEUE_JOB_DROP };

struct queue_change {
    const char *id;
    const char *customer;    /* customer's id, always: stands in the record; a new notice is linked to it */
    uint64_t fence_seen;     /* the token in the record the worker saw; 0: there must be no record */
    uint64_t fence;          /* the token from now on */
    enum notice_state state; /* must be held */
    const char *record;      /* the worker's text, kept as it is */
    enum queue_job job_action;
    const char *job; /* QUEUE_JOB_STORE */
    size_t job_len;
    int64_t due_at_ms;     /* when to hand it out again; 0: never; -1: leave as it is */
    unsigned lost_if_over; /* due_at_ms is the end of a lease: how many workers will have been lost over it then; 0: it is a time to act */
    int64_t not_after_ms;  /* fence_seen 0: the entry's; a worker that was stopped longer than its lease begins nothing (0: no limit) */
    const struct queue_entry *from; /* fence_seen 0: the entry it comes from, without which it does not begin (queue_in_hand()); or NULL */
    const struct queue_entry *ack;  /* acknowledge this entry in the same step; or NULL */
    /* fence_seen is the token with which this worker has begun the notice, from the entry `ack`: then Redis need not look at the record
     * while the lease on the entry stands and nobody else has touched what began under it */
    bool begun_from_ack;
    const char *counts;     /* names of counters to raise by one, separated by blanks ("sent:email fallback"); or NULL */
    const char *event;      /* JSON object (or several, with commas between) for reach:events; or NULL */
    const char *decided_on; /* queue_book_seen() of the customer's contact book entry that this was decided on, which must still be it; or
                             * NULL: whatever it is */
    const struct queue_effect *effects;
    size_t n_effects;
};

/* Whether the change is the first intent of a notice whose entry stays open: the lease on that is its lock until the result. */
bool queue_begins(const struct queue_change *change);

enum queue_result {
    QUEUE_APPLIED,
    QUEUE_STALE, /* the record is not the one the worker saw: somebody else owns the notice. Nothing was changed. */
    QUEUE_MOVED, /* the contact book entry is not the one it was decided on. Nothing was changed; the notice is still the worker's. */
    QUEUE_BEGUN  /* queue_refuse() only: not refused, the entry's notice has a record. It goes on by `due`, or has ended. */
};

/* `err` is NULL; or set where a script failed for a reason that will not pass (then `results` is NULL and nothing was changed). */
typedef void queue_apply_fn(void *ctx, const enum queue_result *results, size_t n, const struct err *err);

/* Applies n changes of n different notices, atomically. Everything is copied. 0, or -1 with *err (no memory). */
int queue_apply(struct queue *queue, const struct queue_change *changes, size_t n, queue_apply_fn *done, void *ctx, struct err *err);

/* A job that never becomes a notice: `dead` (written whole to reach:dead with its reason) or `duplicate`. Counted as accepted and
 * finished, and acknowledged, in one step; done only if the entry was still pending. */
struct queue_refusal {
    const struct queue_entry *entry;
    enum notice_state state; /* NOTICE_DEAD or NOTICE_DUPLICATE */
    const char *id;          /* the job's id where it could be read, or NULL */
    const char *member;      /* member at fault, or "" */
    const char *reason;
    const char *event; /* or NULL */
    bool unless_begun; /* dead only where this entry has made no notice; else its notice goes on without it: QUEUE_BEGUN */
};
int queue_refuse(struct queue *queue, const struct queue_refusal *refusals, size_t n, queue_apply_fn *done, void *ctx, struct err *err);

/* Acknowledges entries that needed no change of a notice (control jobs), with effects and an event each. */
struct queue_control {
    const struct queue_entry *entry;
    const char *counts;
    const char *event;
    const struct queue_effect *effects;
    size_t n_effects;
};
int queue_control(struct queue *queue, const struct queue_control *controls, size_t n, queue_apply_fn *done, void *ctx, struct err *err);

/* Something that concerns no notice and no entry: counters, events and effects in one step (each may be NULL or 0). Where Redis is away
 * it waits; where the answer was lost it may be told twice. Everything is copied. 0, or -1 with *err (no memory). */
int queue_tell(struct queue *queue, const char *counts, const char *event, const struct queue_effect *effects, size_t n_effects,
               struct err *err);

/* A notice that is in the archive. */
struct queue_retired {
    const char *id;
    uint64_t fence;     /* of the record that was archived */
    const char *digest; /* of its job, or NULL */
};

/* The n notices (of those that old() handed out) that are in the archive, on disk; 0: none could be written, ask again later. Takes them
 * out of Redis, each only if it has not changed since and no desk case of it is open. 0, or -1 with *err (no memory: call again). */
int queue_retire(struct queue *queue, const struct queue_retired *archived, size_t n, struct err *err);

/* ---- what workers share beside the notices --------------------------------------------------------------------------- */

/* A gateway's state (the texts are the dispatcher's; read them with QUEUE_ASK_FIELD, key "gateways"): changed, counted and told in one
 * step, only where it still is what was seen. */
struct queue_gateway_change {
    const char *gateway;
    const char *seen; /* "" for none */
    const char *text;
    const char *counts; /* names of counters to raise by one, blanks between; or "" */
    const char *event;  /* JSON object for reach:events */
};

/* `present`: where it was not written because somebody else has changed it, what is there now; NULL otherwise. */
typedef void queue_gateway_fn(void *ctx, bool written, const char *present);

/* Everything is copied. 0, or -1 with *err (no memory). */
int queue_gateway(struct queue *queue, const struct queue_gateway_change *change, queue_gateway_fn *done, void *ctx, struct err *err);

/* Permits of gateways with a rate that all workers share; one round trip for all of them. */
struct queue_rate_ask {
    const char *gateway;
    int64_t interval_us; /* a message, at least 1 */
    int64_t burst;       /* messages that may go at once after a rest, at least 1 */
    size_t wanted;       /* at least 1 */
};

struct queue_rate_answer {
    size_t granted;
    int64_t wait_ms; /* until the next one can be granted; 0: all were */
};

/* Called once; answers[i] belongs to asks[i]. */
typedef void queue_rate_fn(void *ctx, const struct queue_rate_answer *answers, size_t n);

/* 0, or -1 with *err (no memory). */
int queue_rate(struct queue *queue, const struct queue_rate_ask *asks, size_t n, queue_rate_fn *done, void *ctx, struct err *err);

/* Leaves this worker's text about its lanes where reachctl finds it; left out while Redis is away. */
void queue_tell_lanes(struct queue *queue, const char *text);

/* Acknowledges receipts that have been applied or refused; a refused one goes to reach:dead with its reason (NULL: applied). */
int queue_receipts_done(struct queue *queue, const struct queue_receipt *receipts, const char *const *reasons, size_t n, struct err *err);

/* ---- push --------------------------------------------------------------------------------------------------------- */

/* Tells whether Redis has acknowledged all of them. */
typedef void queue_stored_fn(void *ctx, bool stored);

/* Appends n receipts (JSON texts, copied) to the receipts stream. done() is called once, from the loop or from queue_free(): true when
 * Redis has acknowledged every one of them. Nothing is tried again: the caller's provider does that. 0, or -1 with *err (no connection, no
 * memory; then done() is not called). */
int queue_add_receipts(struct queue *queue, const char *const *bodies, size_t n, queue_stored_fn *done, void *ctx, struct err *err);

/* Raises one counter by `by`. 0 it is on its way; -1 Redis takes nothing now: keep the number and try again. */
int queue_count(struct queue *queue, const char *name, int64_t by);

#endif
