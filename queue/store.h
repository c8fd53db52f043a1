/* store: the blocking side of Redis, for reachctl and tests. One connection, one thread; every call is one or two round
 * trips, or a cursor. Nothing here is used by the daemon's loop. */
#ifndef REACH_QUEUE_STORE_H
#define REACH_QUEUE_STORE_H

#include "queue/queue.h"

#include <jansson.h>

struct store;

/* Connects (bounded by connect_timeout_ms) and makes the process ignore SIGPIPE. NULL with *err ERR_REDIS and one clear line. */
struct store *store_open(const struct queue_settings *settings, struct err *err);
void store_close(struct store *store);

/* Where it is connected to: the configured address, or the one that the sentinels named. Borrowed. */
const char *store_address(const struct store *store);

/* Appends n jobs to a lane, pipelined. 0, or -1 with *err; *done_r tells how many are in for sure. */
int store_push(struct store *store, enum lane lane, const char *const *bodies, const size_t *lens, size_t n, size_t *done_r,
               struct err *err);

/* Appends one receipt. */
int store_push_receipt(struct store *store, const char *body, struct err *err);

/* A new object: accepted, finished, in_flight, unaccounted, stranded, dead, duplicates, states{name:n},
 * lanes{urgent,bulk,receipts: {waiting,pending,oldest_ms}}, counters{...}, desk_open, holds. `unaccounted` compares the counters with the
 * number of records. NULL with *err. */
json_t *store_status(struct store *store, struct err *err);

/* 1 and *record_r (in the arena), 0 unknown, -1 with *err. */
int store_notice(struct store *store, const char *id, struct arena *arena, struct queue_record *record_r, struct err *err);

/* Ids of a customer's notices, newest first; NULL with *err. An array of strings. */
json_t *store_customer_notices(struct store *store, const char *customer, struct err *err);

/* A customer's contact book entry as text: 1, 0 unknown, -1. */
int store_customer(struct store *store, const char *customer, struct arena *arena, const char **json_r, struct err *err);

/* ---- the contact book (its entries are text to this room) ---- */

/* Calls each() for every customer's entry, by cursor, in no order; a row may come twice while the book is being changed. each
 * returns 0 to go on. 0 or -1. */
typedef int store_customer_fn(void *ctx, const char *customer, const char *text, size_t len);
int store_each_customer(struct store *store, store_customer_fn *each, void *ctx, struct err *err);

/* Calls each() for every member of a set (key without the prefix), by cursor, in no order; a member may come twice. A key that is not there
 * is an empty set. 0 or -1. */
typedef int store_member_fn(void *ctx, const char *member);
int store_each_member(struct store *store, const char *key, store_member_fn *each, void *ctx, struct err *err);

/* n entries in one round trip: texts_r[i] in the arena, NULL where there is none. 0 or -1. */
int store_customers_get(struct store *store, const char *const *customers, size_t n, struct arena *arena, const char **texts_r,
                        struct err *err);

struct store_customer_put {
    const char *customer;
    const char *seen; /* the entry as it was read; NULL: there was none */
    const char *text; /* as it shall be */
    bool wake;        /* a contact point is new: the customer's waiting notices are looked at again, now */
    const char *job;  /* a job for the urgent lane, pushed in the same step; or NULL */
    bool written;     /* out: false where somebody has changed the entry meanwhile: read it again */
};

/* Writes n entries (a few hundred at a time), each only where it still is the one that was seen, in one atomic step. 0 or -1. */
int store_customers_put(struct store *store, struct store_customer_put *puts, size_t n, int64_t now_ms, struct err *err);

/* Notes whose accounts these are (canonical), n pairs in one step: reachd looks there when an account is disabled without anybody
 * having asked. 0 or -1. */
int store_accounts_put(struct store *store, const char *const *accounts, const char *const *customers, size_t n, struct err *err);

/* Changes a field of a hash (key without the prefix) only where it still is `seen` (NULL: not there); `value` NULL deletes it. 1 done, 0
 * somebody has changed it, -1 with *err. */
int store_hset_if(struct store *store, const char *key, const char *field, const char *seen, const char *value, struct err *err);

/* Changes the state of a gateway as queue_gateway() does. 1 done, 0 somebody has changed it meanwhile, -1 with *err. */
int store_gateway_put(struct store *store, const struct queue_gateway_change *change, struct err *err);

/* What INFO tells of the server: a new object of strings: redis_version, role, aof_enabled, maxmemory_policy, ...; a member that the
 * server does not tell is missing. NULL with *err. */
json_t *store_server(struct store *store, struct err *err);

/* Calls each() for every notice in `state` (or all: NOTICE_STATE_COUNT), by cursor; each returns 0 to go on. 0 or -1. */
typedef int store_each_fn(void *ctx, const char *id, const struct queue_record *record);
int store_each_notice(struct store *store, enum notice_state state, store_each_fn *each, void *ctx, struct err *err);

/* A string key / a whole hash (object of strings) / one field, without the prefix. 1 / 0 / -1; a new reference for the hash. */
int store_get(struct store *store, const char *key, struct arena *arena, const char **value_r, struct err *err);
json_t *store_hash(struct store *store, const char *key, struct err *err);
int store_hget(struct store *store, const char *key, const char *field, struct arena *arena, const char **value_r, struct err *err);

/* Many string keys in one round trip: values_r[i] is NULL where there is none. 0 or -1. */
int store_get_many(struct store *store, const char *const *keys, size_t n, struct arena *arena, const char **values_r, struct err *err);

/* Asks the Redis function that every caller asks (lua/library.lua) about n clearance or release keys (without the prefix), in one round
 * trip: a function that is not there is loaded first. allowed_r[i] is true only where it says yes. 0 or -1. */
int store_allowed(struct store *store, const char *const *keys, size_t n, bool *allowed_r, struct err *err);

/* Dead letters from newest to oldest: array of {entry, id, at, reason, member, job, lane} (entry: id in the stream). `count` 0: all. */
json_t *store_dead(struct store *store, size_t count, struct err *err);

/* Recounts every record (the auditor): object {records, states{...}, counted{...}, unaccounted, unreadable, still, ids[...]}:
 * `still` tells whether what was compared is of one moment, `ids` are notices that are named somewhere but have no record, or whose record
 * contradicts itself, at most 1,000. */
json_t *store_audit(struct store *store, struct err *err);

#endif
