/* inside: what the files of the queue share with one another; nobody else includes it.
 *
 *   queue.c    the object: made, freed, room, tokens
 *   connect.c  one connection: greeting, settings check, groups, loss, backoff
 *   sentinel.c who is the master, where sentinels know
 *   dial.c     opens connections
 *   calls.c    commands that must be answered: kept until they are, sent again after a loss
 *   door.c     the transaction in which a script decides whether records go through
 *   apply.c    a batch of changes -> one such transaction; its answers
 *   acks.c     the entries that a batch acknowledges, as ranges of their leases
 *   settle.c   the same for refusals, control jobs, receipts
 *   lookup.c   a batch of look-ups -> one call of up to three HMGETs
 *   gone.c     ids of notices that have left for the archive
 *   read.c     single values and a customer's open notices
 *   shared.c   gateways: their state and rates; how long jobs waited
 *   push.c     receipts taken over HTTP, counters that belong to no notice
 *   library.c  the Redis function that other services ask
 *   reading.c  new entries and receipts, and whose turn it is
 *   vanished.c entries in hand that Redis has lost
 *   again.c    leases of an earlier life and of the dead; suspects one at a time
 *   trial.c    what has cost workers before: in small groups, or alone
 *   audit.c    counters against the number of records, now and then
 *   recount.c  counters against records, state by state
 *   sweep.c    finds lost work; finished notices that may leave
 *   upkeep.c   due notices, trimming: what happens by the clock */
#ifndef REACH_QUEUE_INSIDE_H
#define REACH_QUEUE_INSIDE_H

#include "queue/command.h"
#include "queue/counts.h"
#include "queue/held.h"
#include "queue/keys.h"
#include "queue/queue.h"
#include "queue/reply.h"
#include "queue/scripts.h"

#include <event2/event.h>
#include <hiredis/async.h>
#include <sys/queue.h>

enum { CALL_PARTS_MAX = 9 };

struct call;

/* What a kind of call does with its replies. */
struct call_kind {
    /* One part's reply, no error. It is gone afterwards. -1 where it is not what it should be. */
    int (*answer)(struct queue *queue, struct call *call, size_t part, const redisReply *reply);
    /* Every part is there (err NULL), or Redis refused for good. Tells the worker; must not free the call. */
    void (*finish)(struct queue *queue, struct call *call, const struct err *err);
    /* Frees what hangs on `data`; finish may not have happened. */
    void (*drop)(struct call *call);
    /* An error that will not pass by itself is waited out as well: the owner cannot be told. */
    bool patient;
    /* Before it is sent again, on another connection: leaves out what must not be sent any more (vanished.c). 1, or 0 where nothing is left
     * to be sent: it is finished then. NULL: goes as it is. */
    int (*revise)(struct queue *queue, struct call *call);
};

struct call {
    TAILQ_ENTRY(call) link;
    const struct call_kind *kind;
    void *data;
    struct command parts[CALL_PARTS_MAX];
    size_t n_parts;
    size_t n_answered;
    bool sent;            /* on the present connection */
    enum trouble trouble; /* the worst among its parts so far */
    char error[256];      /* the error that goes with it */
};

TAILQ_HEAD(call_list, call);

/* Where the handing out of entries that were handed out before stands. */
struct again {
    enum stream own;    /* leases of an earlier life on this stream are being taken up; STREAM_COUNT: done */
    enum stream dead;   /* this stream is being looked through for leases that are over; STREAM_COUNT: none */
    int64_t dead_at_ms; /* monotonic: when the streams are looked through next */
    enum stream stream; /* of the lease that was asked for */
    bool is_own;
    uint64_t lease;      /* its new token */
    uint64_t own_before; /* tokens of an earlier life, or of an earlier connection, are lower */
    enum stream suspect_stream;
    char suspect[48]; /* id of the entry that is tried alone, or empty */
    int64_t suspect_until_ms;
};

/* What a read of new entries that is under way asks of one stream. */
struct asked {
    enum stream stream;
    size_t count;
    uint64_t lease; /* the token of its lease */
};

/* Where reading stands. */
struct reading {
    struct again again;
    struct asked asked[STREAM_COUNT]; /* one MULTI/EXEC, in this order */
    size_t n_asked;
    char refusal[256];       /* why a part of it was refused, or empty */
    bool told[STREAM_COUNT]; /* that this one cannot be read */
    unsigned busy;           /* reads not answered yet */
    size_t reserved;         /* room promised to them */
    size_t got;              /* entries that this round has brought */
    int64_t idle_ms;         /* pause before the next round when one brings nothing */
    struct event *timer;
    size_t receipts_out; /* handed out, not done yet */
};

/* One entry as it came, before it is copied. */
struct raw {
    const redisReply *id;
    const redisReply *body; /* or NULL */
    struct queue_leased leased;
};

/* The lease that entries come with. */
struct lease {
    uint64_t token;
    const char *after; /* the id behind which it begins; NULL: there may be more in it, in front of what came */
    int64_t over_ms;   /* on Redis's clock */
    int64_t deliveries;
};

struct upkeep {
    struct event *timer;
    bool claiming;
    size_t reserved;      /* room promised to the claim under way */
    int64_t lease_end_ms; /* wall clock: of what the last claim has brought */
    int64_t next_due_ms;  /* wall clock: when the earliest notice is due, as far as known */
    int64_t trim_at_ms;   /* monotonic */
    char requeue_cursor[48];
    int64_t requeued; /* so far, in the search under way */
    bool trim_wanted; /* something was acknowledged since the last one */
};

/* What is being tried in a group or alone. */
enum { TRIAL_MAX = 64 };

struct trial {
    bool alone;
    int64_t limit_ms;           /* how long it is waited for at most */
    int64_t until_ms;           /* monotonic: not any longer */
    const char *ids[TRIAL_MAX]; /* in the arena; those that are not decided yet */
    size_t n;                   /* 0: nothing is */
    struct arena arena;
};

enum { AUDIT_IDS_MAX = 100 };

struct audit {
    struct event *timer;
    int64_t unaccounted; /* at the last look */
    int64_t told;        /* what the last alarm said; 0: none stands */
    size_t told_ids;
    bool walking;
    bool second_round; /* the names of the first did not fit what the look saw */
    unsigned source;   /* whose names are being looked through */
    char cursor[32];   /* in them */
    struct arena arena;
    const char *ids[AUDIT_IDS_MAX]; /* in the arena */
    size_t n_ids;
};

/* The entries in hand that Redis is being asked for. */
struct vanished {
    struct held_item *items; /* owned */
    size_t n, at;            /* so many, the next one to be answered */
    size_t gone;
};

enum recount_phase { RECOUNT_REST, RECOUNT_PAGES, RECOUNT_WHO };

struct recount {
    struct event *timer;
    enum recount_phase phase;
    bool second_round; /* the first found a difference */
    char name[120];    /* of this walk */
    char cursor[32];
    struct counts counters;                /* when it began */
    int64_t records[NOTICE_STATE_COUNT];   /* counted so far, as they were then */
    int64_t off[NOTICE_STATE_COUNT];       /* records more than the counters say, at the last walk that found any */
    int64_t told[NOTICE_STATE_COUNT];      /* what the last alarm said; all 0: none stands */
    char too_many[NOTICE_STATE_COUNT + 1]; /* letters of the states with more records than were counted */
    struct arena arena;
    const char *ids[AUDIT_IDS_MAX]; /* in the arena */
    size_t n_ids;
};

struct sweep {
    struct event *timer;
    char cursor[32];
    bool with_worker; /* a page of finished notices is being archived */
    bool some_gone;   /* Redis remembers ids of notices that have left (also where this reachd archives none) */
};

/* Where sentinels are asked who is the master. */
struct sentinel {
    size_t at;                    /* which of them comes next */
    size_t n_asked;               /* in this round */
    redisAsyncContext *asking;    /* NULL: nobody is being asked */
    redisAsyncContext *listening; /* NULL: nobody is being listened to */
    struct event *timer;          /* of the question */
    struct event *listen_timer;   /* until the next try to listen */
};

enum { ADDRESS_TEXT_MAX = 408 };

struct queue {
    struct event_base *base;
    const struct clock *clock;
    const struct queue_settings *settings;
    const struct queue_handlers *handlers;
    void *ctx;
    struct arena arena; /* names, scripts, secrets: for the queue's life */
    struct queue_keys keys;
    struct script scripts[SCRIPT_COUNT];
    const char *consumer;
    const char *password;          /* or NULL */
    const char *sentinel_password; /* or NULL */

    /* connection */
    redisAsyncContext *redis;       /* NULL: none */
    char address[ADDRESS_TEXT_MAX]; /* of it, or of the last one */
    struct sentinel sentinel;
    bool ready;
    bool told_lost;     /* lost() was called since the last ready() */
    bool dead;          /* fatal() was called: nothing is tried any more */
    unsigned greetings; /* answers of the greeting still missing */
    unsigned backoff;   /* failed tries in a row */
    struct event *reconnect_timer;
    struct event *connect_timer;
    struct event *resend_timer;
    bool in_trouble; /* Redis refuses for a while (OOM, LOADING, ...): reading pauses, calls wait */
    bool trouble_told;
    unsigned trouble_tries;
    struct event *watch_timer;
    bool pinged; /* a PING of the watch has no answer yet */

    uint64_t epoch;       /* upper part of tokens, 40 bits */
    uint32_t token;       /* lower part, 24 bits */
    int64_t epoch_at_ms;  /* monotonic: when it was given out */
    uint64_t epoch_first; /* the first one of this connection: what tokens of it were given to has not been lost with an earlier one */
    bool renewing;        /* the next epoch has been asked for */

    struct call_list calls;
    size_t n_calls;
    size_t door_bytes; /* a batch with records of so many bytes, or more, has them go by the door */
    struct held held;
    struct vanished vanished;

    size_t room;
    size_t reserve; /* places of it for urgent entries alone */
    bool stopped;
    struct reading reading;
    struct upkeep upkeep;
    struct trial trial;
    struct sweep sweep;
    struct audit audit;
    struct recount recount;
};

/* ---- queue.c ---- */
/* Whether a token was given out on this connection. */
bool queue_is_of_connection(const struct queue *queue, uint64_t fence);

/* ---- connect.c ---- */
int connect_init(struct queue *queue, struct err *err); /* the first try starts from the loop */
/* Drops the connection (if any) and comes back after a while. */
void connect_drop(struct queue *queue, const char *why);
void connect_fini(struct queue *queue);
/* Connects to the address, which the sentinels or the configuration name. */
void connect_to(struct queue *queue, const char *address);
/* No address was found: told, and tried again after a while. */
void connect_failed(struct queue *queue, const char *why);
/* Redis refuses for good: tells the daemon, once. */
void connect_fatal(struct queue *queue, const char *text);
/* What every error reply leads to, beside what becomes of the call. */
void connect_trouble(struct queue *queue, enum trouble trouble, const char *text);
/* Redis takes commands again. */
void connect_well(struct queue *queue);
/* Makes the group of a stream, from its beginning. */
void connect_make_group(struct queue *queue, enum stream stream);
void connect_load_scripts(struct queue *queue);
/* SCRIPT LOAD of one of them. */
void connect_put_script(const struct queue *queue, enum script_id script, struct command *command);
/* Asks for another epoch before the tokens of this one run out. */
void connect_renew_epoch(struct queue *queue);
/* Sends a finished command and frees it. The callback gets a NULL reply when the connection is lost. 0 or -1. */
int connect_send(struct queue *queue, struct command *command, redisCallbackFn *fn, void *data);
/* Writes what waits for the loop's next turn, as far as the socket takes it: for what Redis can do while the worker is busy. */
void connect_flush(struct queue *queue);
/* The queue of a callback's connection, or NULL where that connection is no longer the present one. */
struct queue *connect_queue_of(redisAsyncContext *redis);

/* How old an epoch may become while the connection stands: as much younger than its token a record may be. */
enum { CONNECT_EPOCH_MS = 600000 };

/* ---- audit.c ---- */
int audit_init(struct queue *queue, struct err *err);
void audit_fini(struct queue *queue);
void audit_restart(struct queue *queue);

/* ---- recount.c ---- */
int recount_init(struct queue *queue, struct err *err);
void recount_fini(struct queue *queue);
void recount_restart(struct queue *queue);

/* ---- sweep.c ---- */
int sweep_init(struct queue *queue, struct err *err);
void sweep_fini(struct queue *queue);
void sweep_restart(struct queue *queue);

/* ---- sentinel.c ---- */
int sentinel_init(struct queue *queue, struct err *err);
void sentinel_fini(struct queue *queue);
/* Asks the sentinels; ends in connect_to() or connect_failed(). */
void sentinel_ask(struct queue *queue);
/* Listens for a change of the master, where sentinels are configured and nobody is being listened to. */
void sentinel_listen(struct queue *queue);

/* ---- door.c ---- */
/* Lua takes about as long to hash so many bytes as Redis takes for a door and what belongs to it (30 to 60 us). */
enum { DOOR_BYTES = 24576 };
/* The first parts of a call to which the records are behind a closed door. The script apply comes next, then the records. */
void door_begin(const struct queue *queue, struct call *call);
/* The part that carries out n effects where the script has granted the batch; what is answered takes five arguments for each. */
struct command *door_put_effects(const struct queue *queue, struct call *call, size_t n);
/* The last parts. */
void door_end(const struct queue *queue, struct call *call);
/* To be asked for each part's reply. 1 with the script's answer, 0 where there is nothing to look at (a trouble is noted), -1 where a reply
 * is not what it should be. */
int door_answer(struct call *call, size_t part, const redisReply *reply, const redisReply **answer_r);

/* ---- calls.c ---- */
struct call *call_new(const struct call_kind *kind, void *data);
void call_free(struct call *call);
/* The next part of the call, to be begun with command_init(). */
struct command *call_part(struct call *call);
/* Ends all parts. 0, or -1 where one of them lacked memory. */
int call_parts_end(struct call *call);
/* Takes all parts away. */
void call_parts_drop(struct call *call);
/* An error that stands inside a part's reply. */
void call_note(struct call *call, const redisReply *error);
/* Ends its commands and queues the call; sends it where there is a connection. Takes the call in any case. 0 or -1 with *err. */
int call_submit(struct queue *queue, struct call *call_take, struct err *err);
/* The same where all commands are ended already. */
void call_enqueue(struct queue *queue, struct call *call_take);
/* Before the first of them is sent on a new connection. */
void calls_revise(struct queue *queue);
/* Sends everything that is not on its way. */
void calls_send(struct queue *queue);
/* The connection is gone: nothing is on its way any more. */
void calls_unsent(struct queue *queue);
void calls_fini(struct queue *queue);
/* Starts EVALSHA <sha> <number of keys> <first n keys of the key list>. */
void call_script(const struct queue *queue, struct command *command, enum script_id script, enum key first, size_t n_keys);

/* ---- library.c ---- */
/* Loads the Redis function that other services ask (queue/lua/library.lua). */
void library_load(struct queue *queue);

/* The same with the keys that the scripts on one stream take: the stream, the counters, the leases. */
void call_stream_script(const struct queue *queue, struct command *command, enum script_id script, enum stream stream);

/* ---- reading.c ---- */
int reading_init(struct queue *queue, struct err *err);
void reading_fini(struct queue *queue);
/* A connection is ready: leases of an earlier life first. */
void reading_restart(struct queue *queue);
/* Something has changed (room, a pause is over): read if it is time. */
void reading_poke(struct queue *queue);
/* There is a lease that is over: it is looked for at once. */
void reading_look_again(struct queue *queue);
/* Read in this turn of the loop, if nothing is under way. */
void reading_soon(struct queue *queue);
/* Room that is neither used nor promised: for urgent entries, or for anything else. */
size_t reading_free_room(const struct queue *queue);
size_t reading_common_room(const struct queue *queue);

/* What again.c needs of it: hands out what is not in hand yet; the common end of every read (1 where there is a reply to look at); how much
 * room a read was promised; how many entries may be asked for now; what comes next, now or after a pause. */
enum { READING_PAUSE_CAP_MS = 16 };
void reading_hand_out(struct queue *queue, enum stream stream, const struct lease *lease, struct raw *raws, size_t n);
int reading_answered(struct queue *queue, const redisReply *reply, size_t promised);
void reading_end(struct queue *queue, size_t promised); /* the first half of it */
/* Once when a stream begins to be unreadable (why; NULL: it was read), and once when that is over. */
void reading_tell(struct queue *queue, enum stream stream, const char *why);
size_t reading_promise(enum stream stream, size_t count);
size_t reading_may_read(const struct queue *queue, enum stream stream);
void reading_go_on(struct queue *queue);
void reading_pause(struct queue *queue, int64_t ms);

/* ---- again.c ---- */
void again_init(struct queue *queue);
void again_restart(struct queue *queue);
/* Leases of an earlier life, one at a time; of the dead, now and then. 1 where one was asked for; 0 when there is nothing to do, no room,
 * or a suspect in hand. */
int again_own(struct queue *queue);
int again_dead(struct queue *queue);
/* Whether one of the two comes next. */
bool again_is_due(const struct queue *queue);

/* ---- vanished.c ---- */
/* In the greeting, before its last question: asks for all that is in hand. */
void vanished_ask(struct queue *queue);
void vanished_fini(struct queue *queue);

/* ---- upkeep.c ---- */
int upkeep_init(struct queue *queue, struct err *err);
void upkeep_fini(struct queue *queue);
void upkeep_restart(struct queue *queue);
/* A notice will be due at due_ms. */
void upkeep_due_at(struct queue *queue, int64_t due_ms);
/* Due notices are looked for again after so long. */
void upkeep_look(struct queue *queue, int64_t ms);

/* ---- trial.c ---- */
/* Something that has cost a worker before is in hand: no more of the kind is handed out. */
bool trial_is_on(const struct queue *queue);
/* It has cost two: nothing at all is handed out. */
bool trial_is_alone(const struct queue *queue);
/* A new trial takes the place of the one before, if there is one. */
void trial_begin(struct queue *queue, bool alone);
void trial_add(struct queue *queue, const char *id);
/* A change of it was submitted; `is_intent`: it is about to be sent. */
void trial_decided(struct queue *queue, const char *id, bool is_intent);
/* It has taken too long: nothing keeps to it any more, but it has not ended. */
bool trial_is_overdue(const struct queue *queue);
/* Nothing is being tried any more: new entries are read, then the next trial may begin. */
void trial_end(struct queue *queue);
void trial_forget(struct queue *queue);

#endif
