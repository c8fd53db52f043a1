/* queue_kit: a tiny worker around a queue for tests: it keeps what is handed out and runs the loop until something is so. */
#ifndef REACH_TESTS_QUEUE_KIT_H
#define REACH_TESTS_QUEUE_KIT_H

#include "queue/queue.h"
#include "tests/support/redis_server.h"

enum { KIT_MAX = 200000 };

struct kit {
    struct event_base *base;
    struct queue_settings settings;
    struct queue *queue;
    struct arena arenas[4096]; /* of the batches, finished at the end */
    size_t n_arenas;
    struct queue_entry *entries; /* everything handed out so far */
    size_t n_entries, n_batches;
    struct queue_due *due;
    size_t n_due;
    struct queue_receipt *receipts;
    size_t n_receipts;
    size_t n_old; /* finished notices that were handed out as old; all are retired at once */
    unsigned ready, lost, fatal;
    struct err err;                  /* of lost or fatal */
    enum queue_result results[4096]; /* of the last answer */
    size_t n_results;
    unsigned answers, refused;
    struct err answer_err;
    size_t room_seen_max;                                                             /* most entries in one batch */
    void (*on_entries)(struct kit *kit, const struct queue_entry *entries, size_t n); /* or NULL */
    size_t keep_room;                                                                 /* room set again after each batch; 0: not */
};

/* Settings for a server, a loop and a queue with room for `room`; waits until it is ready. */
void kit_open(struct kit *kit, const struct redis_server *server, const char *consumer, size_t room);

/* The same with leases of lease_ms, and without room to begin with. */
void kit_start(struct kit *kit, const struct redis_server *server, const char *consumer, int64_t lease_ms);

/* Only the settings and the loop. */
void kit_prepare(struct kit *kit, const struct redis_server *server, const char *consumer);

/* Makes the queue with kit->settings and kit->queue's handlers. With KIT_DOOR_BYTES in the environment, records of so many bytes or more go
 * by the door. */
void kit_connect(struct kit *kit, size_t room);

/* Lets go of the queue and everything handed out. */
void kit_close(struct kit *kit);

/* Runs the loop until *what reaches at_least; fails the test after a minute. */
void kit_until_n(struct kit *kit, const size_t *what, size_t at_least);
void kit_until_u(struct kit *kit, const unsigned *what, unsigned at_least);

/* Runs the loop for some time. */
void kit_run(struct kit *kit, long ms);

/* One change or several, and its answers in kit->results. Fails the test where the script refused. */
void kit_apply(struct kit *kit, const struct queue_change *changes, size_t n);

/* The same without waiting. */
void kit_apply_later(struct kit *kit, const struct queue_change *changes, size_t n);

void kit_refuse(struct kit *kit, const struct queue_refusal *refusals, size_t n);

/* A change with a fresh token: record "{}", customer "C1", nothing else; due left alone. */
struct queue_change kit_change(struct kit *kit, const char *id, uint64_t fence_seen, enum notice_state state);

/* Pushes n jobs {"n":<i>} to a lane. */
void kit_push(const struct queue_settings *settings, enum lane lane, size_t n);

/* `accepted`, `unaccounted`, ... out of store_status(). */
long long kit_status(const struct queue_settings *settings, const char *member);

/* How many entries of a lane ("urgent", "bulk", "receipts") are in leases, out of the same. */
long long kit_pending(const struct queue_settings *settings, const char *lane);

#endif
