/* work: one notice while a worker has it in its hands. Internal to dispatcher/. */
#ifndef REACH_DISPATCHER_WORK_H
#define REACH_DISPATCHER_WORK_H

#include "base/buf.h"
#include "base/message.h"
#include "dispatcher/book.h"
#include "dispatcher/core/life.h"
#include "dispatcher/core/plan.h"
#include "dispatcher/evidence.h"
#include "dispatcher/gateways.h"
#include "dispatcher/job.h"
#include "dispatcher/journal.h"
#include "dispatcher/record.h"
#include "dispatcher/settings.h"
#include "queue/queue.h"
#include "templates/template.h"

#include <sys/queue.h>
#include <uthash.h>

struct work;

/* What a worker works with; all borrowed. */
struct work_place {
    const struct settings *settings;
    const struct mailbox_rules *rules;
    const struct route *routes; /* routes[0] is the default */
    size_t n_routes;
    const struct template_set *templates;
    const char *reset_key; /* signs {{reset_link}}; NULL: there is none */
    const char *login_key; /* hashes logins for the login page; NULL: nothing is shown there */
    struct gateways *gateways;
    /* Whether a work may be kept in hand until that gateway has room; NULL: never. */
    bool (*may_hold)(const void *ctx, const struct work *work, size_t gateway);
    const void *hold_ctx;
    const struct clock *clock;
    struct journal *journal; /* NULL: none is kept */
};

enum work_next {
    WORK_HOLD,  /* nothing changes: keep it until gateway work->gateway has room, then decide again */
    WORK_SEND,  /* hand work->message to gateway work->gateway once the change is applied */
    WORK_DONE,  /* nothing more to do here once the change is applied */
    WORK_REFUSE /* never becomes a notice: work->refusal says why */
};

struct work {
    struct arena arena;
    struct job_document document;
    struct record record;
    struct customer told;           /* what the job itself says of the customer; document.job.customer is that merged with the book */
    bool told_kept;                 /* the above is filled */
    const char *book_text;          /* the customer's new contact book entry, to be written with the next change; NULL: unchanged */
    char book_seen[QUEUE_SEEN_LEN]; /* the entry it was merged with */
    const char *book_written;       /* the entry that was written with a change since then; NULL: none */
    unsigned book_tries;            /* how often that has been tried */
    const char *reached_seen;       /* a contact job: the customer's reached notices, as they were looked at; NULL: nothing to look for */
    bool from_book;                 /* some of the contact points may come from the contact book */
    const char *id;                 /* of the notice */
    enum notice_state stop;         /* the notice is to end in this state (resolve, cancel); NOTICE_STATE_COUNT: no */
    const char *body;               /* the job as it came; in the arena */
    size_t body_len;

    /* as Redis has it */
    enum notice_state stored; /* the state in Redis */
    enum notice_state state;  /* the state it has got to here; only work_event() changes it */
    uint64_t fence;           /* 0: no record yet */
    bool job_kept;            /* Redis keeps the job beside the record */
    bool has_entry;           /* the stream entry is not acknowledged yet */
    uint64_t begun;           /* the fence with which this worker has begun it, its entry still open; 0: it has not */
    struct queue_entry entry;
    unsigned lost;        /* workers that were lost over it before it came here */
    int64_t lease_end_ms; /* of its lease in the due set; 0: it has none */
    bool buried;          /* too many: it is ended without being looked at */

    /* the decision */
    const struct doomed_set *doomed;
    const struct route *route;
    struct reach_answer reach;
    struct plan_question question; /* what the plan was asked */
    struct plan_action action;
    enum work_next next;
    struct err refusal;
    enum notice_state refusal_state;

    /* what work_decide() found, for work_undo() */
    struct record record_before;
    enum notice_state state_before;
    const char *banner_before;
    size_t counts_before;
    const char *dead_job; /* buried: its job as it was kept, for the dead letters; in the arena */

    /* the attempt */
    struct message message;
    size_t gateway;
    bool has_place; /* a place at that gateway is taken */
    bool probe;     /* and it tries a gateway that was broken */
    int64_t sent_mono_ms;
    size_t try_index;
    int64_t not_after_mono_ms;
    const char *banner; /* website record to be written with the next change; NULL: none */

    /* what an outcome or receipt brought, to be written with the next change */
    const char *new_ref_key;  /* work_ref_key() of a message that may have gone out; NULL: none */
    const char *dead_contact; /* plan_contact_key() of a contact point that does not work (any more); NULL: none */

    /* the change on its way to Redis */
    struct queue_change change;
    struct buf record_text;
    struct buf event;
    struct buf counts;
    struct queue_effect *effects; /* in the arena */
    size_t n_effects;
    size_t cap_effects;

    /* Called once when the worker lets go of the work; `applied`: its last change is in Redis. NULL: nobody waits for it. */
    void (*on_end)(void *ctx, struct work *work, bool applied);
    void *end_ctx;
    bool applied;
    struct journal_mark mark;  /* the outcome stands in the journal until Redis has it */
    enum evidence reaction;    /* what the customer did that came through no contact point */
    bool note_only;            /* a receipt was taken down: record it and have the notice handed out again, to be planned */
    bool dismissed;            /* the customer has put the banner away */
    bool late;                 /* finished before; a receipt came after that */
    enum evidence_effect news; /* what that receipt was */

    /* in the worker's hands */
    enum lane lane;              /* it came by */
    int64_t taken_mono_ms;       /* since when; its lease began no later */
    bool is_held;                /* kept for work->gateway */
    bool place_kept;             /* it was woken, and a place there is kept for it */
    TAILQ_ENTRY(work) held_link; /* holding.c */
    void *owner;                 /* struct worker */
    struct work *next_in_list;   /* ready list; the next one that waits for the same notice */
    int64_t known_by_mono_ms;    /* a request about an unknown notice: until when it waits for it; 0: it has not begun to */
    struct work *repetitions;    /* owned: the same job, come again before it was recorded or since */
    struct work *followers;      /* owned: entries about this notice that came while it was in hand, oldest first */
    UT_hash_handle hh;           /* by id */
};

/* A work for a job; `text` is copied. NULL: no memory. */
struct work *work_new(const char *text, size_t len);
void work_free(struct work *work);

/* Parses the job of `work`. 0, or -1 with *err; `id_r` as in job_parse. */
int work_parse(struct work *work, const struct mailbox_rules *rules, const char **id_r, struct err *err);

/* Merges the job's customer with the contact book's entry (NULL: none) into work->document.job.customer, and notes the new entry if it
 * changed. `kind`: what the job says about contact points it does not mention. 0, or -1 with *err. */
int work_person(struct work *work, const struct work_place *place, const char *book_text, enum book_news kind, int64_t now_ms,
                struct err *err);

/* Makes the first record of a new notice. 0, or -1 with *err (unknown route). */
int work_begin(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err);

/* Something happens to the notice: its state changes as the table of core/life says. 0, or -1 with *err where that may not happen. */
int work_event(struct work *work, enum life_event event, struct err *err);

/* Takes up a notice that Redis already holds. If a send was in flight when its worker was lost, its outcome is what the journal knows
 * of it, else unknown. */
int work_resume(struct work *work, const struct work_place *place, const struct queue_record *held, int64_t now_ms, struct err *err);

/* Decides what comes next and prepares work->change (all but fence), work->next and, for WORK_SEND, the message. 0, or -1 with
 * *err (no memory: the notice stays as it is and is handed out again after its lease). */
int work_decide(struct work *work, const struct work_place *place, int64_t now_ms, int64_t mono_ms, struct err *err);

/* The change that work_decide() prepared was not made, because the contact book entry it was decided on has changed: all is as it was
 * before, and the next work_decide() only takes down what is known of the attempts and has the notice handed out again at once, to be
 * planned with the new entry. */
void work_undo(struct work *work);

/* Takes down what the attempt gave. `random` in [0, 2^32) spreads retries. */
int work_outcome(struct work *work, const struct work_place *place, const struct outcome *outcome, int64_t now_ms, uint32_t random,
                 struct err *err);

/* The attempt that a try of this work is at, as the journal has it. */
struct journal_attempt work_journal_attempt(const struct work *work, const struct record_try *t);

/* Takes attempts into the record that the journal knows of and the record does not: Redis had answered their intents, and has lost them.
 * What was sent counts as sent; what may have gone out is unknown and goes out under the same key, if the policy says so. With work->reach,
 * if it was asked. 0, or -1 with *err. */
int work_regain(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err);

/* Begins an attempt in the record: the try counts it, the notice is `sending`. 0, or -1 with *err. */
int work_start_try(struct work *work, struct record_try *t, const char *gateway, int64_t at_ms, struct err *err);

/* Notes in the record which accounts the notice keeps on hold and which of them it may clear. Needs work->reach. 0, or -1 with *err. */
int work_note_accounts(struct work *work, const struct work_place *place, struct err *err);

/* Prepares the attempt that the plan asked for (work->action): try, gateway, message. 1 it is ready (or, with work->next WORK_REFUSE, the
 * job is refused; with WORK_HOLD it is to be kept; with WORK_DONE the action has become a wait), 0 it cannot be carried out and a rejected
 * try says so: ask the plan again; -1 with *err. */
int work_attempt(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err);

/* Gives the place at a gateway back that was taken for an attempt which does not happen. */
void work_leave_place(struct work *work, const struct work_place *place);

/* Fills the words of one channel into *message and notes in the record which they are. 0, or -1 with *err as template_render(). */
int work_render(struct work *work, const struct work_place *place, enum channel_id channel, int64_t now_ms, struct message *message,
                struct err *err);

/* The notice is over: counts it as finished with the words of its last message. */
void work_count_finished(struct work *work);

/* The try of a step on a contact point, or NULL. */
struct record_try *work_try_of(struct work *work, size_t step, size_t contact);

/* ---- doubts.c: attempts that may or may not have gone out ------------------------------------------------------------- */

/* The outcome of a try's last attempt is unknown: counts it and plans what its gateway's policy says, a repetition after `backoff_ms`. */
void work_doubt(const struct work *work, const struct work_place *place, struct record_try *t, int64_t backoff_ms, int64_t now_ms);

/* What was waiting for a receipt that did not come counts as rejected from now on. 0, or -1 with *err. */
int work_end_doubts(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err);

/* ---- dead_contact.c ------------------------------------------------------------------------------------------------- */

/* Has the contact book told that work->dead_contact does not work, with this change. */
void dead_contact_tell(struct work *work);

/* Carries out the marks of a `contact` job on a customer's contact points (which stay borrowed but for their status). Whether one changed.
 */
bool dead_contact_mark(const struct work *work, const struct work_place *place, struct contact *contacts, size_t n);

/* ---- clearances.c: holds, clearances, releases ---------------------------------------------------------------------- */

/* Puts the notice's accounts on hold. */
void answers_hold(struct work *work, int64_t now_ms);
void answers_unhold(struct work *work);

/* The notice has reached its customer: grants the clearances that this allows. Returns false where an account of the customer's own
 * is left without one although nothing more is awaited: a person has to look (reason in work->record.why's place, *why_r). */
bool answers_grant(struct work *work, const struct work_place *place, int64_t now_ms, const char **why_r);

/* Takes back what was granted. */
void answers_withdraw(struct work *work, int64_t now_ms);

/* The customer's contact data may go, unless something else of theirs is still open: Redis looks when it writes. */
void answers_release(struct work *work, const struct work_place *place, int64_t now_ms);

/* Begins an event of this notice in work->event; the caller adds members and the closing brace. */
void answers_begin_event(struct work *work, const char *type, int64_t now_ms);

/* Small JSON writing: a member, left out where the value is NULL or the time 0. */
void answers_put(struct buf *out, const char *name, const char *value);
void answers_put_time(struct buf *out, const char *name, int64_t ms);

/* Moves a finished text into the work's arena. NULL: no memory. */
const char *answers_keep(struct work *work, struct buf *text_take);

/* The key (without the prefix) under which the id of the notice stands that a gateway's message belongs to. NULL: no memory. */
const char *work_ref_key(struct arena *arena, const char *gateway, const char *ref);

/* ---- banners.c: what the website shows ------------------------------------------------------------------------------ */

/* Until when a banner of this notice is shown. */
int64_t banners_until_ms(const struct work *work, const struct work_place *place, int64_t now_ms);

/* The record for the customer from a rendered banner message (contract.md); in the arena. NULL: no memory. */
const char *banners_record(struct work *work, const struct message *message, int64_t now_ms, int64_t until_ms);

/* Adds the effects that show `record` (of banners_record()) and what the login page shows, and notes in the record that they are there. */
void banners_put(struct work *work, const struct work_place *place, const char *record, int64_t now_ms, int64_t until_ms);

/* Adds the effects that take away what the notice shows. */
void banners_take(struct work *work);

/* ---- answers.c: what the outside gets to see ----------------------------------------------------------------------- */

/* Adds one effect to the change. Strings live in the work's arena; a NULL key means that memory ran out while making it,
 * which is noticed when the change is finished. */
void work_effect(struct work *work, enum queue_op op, const char *key, const char *field, const char *value, int64_t at_ms);

/* Hold, banner and desk case of a customer whom no machine can reach (P4). 0, or -1 with *err. */
int answers_strand(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err);

/* The notice is over: takes hold, desk case and banner back as far as they belong to it; grants the clearance when reached. */
int answers_finish(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err);

/* A receipt came after the end: a bounce takes the clearance back and opens a desk case. */
int answers_late(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err);

/* The event of this change. */
void answers_event(struct work *work, int64_t now_ms);

#endif
