/* decide: what comes next for one notice, as a change ready for Redis.
 *
 * The order is always the same: who can be reached now (core/reach), what the route says (core/plan), is the contact point
 * still allowed at this very moment (reach_use_at: P2), which gateway, which words; then the record, the event and the effects that
 * make the decision true in one atomic step. A step that cannot be carried out here (no gateway, no words for that channel) is
 * noted as a rejected try and the plan is asked again, so a route never gets stuck.
 *
 * Guarantees: no message is prepared for a contact point that may not be used at `now_ms`. A new job whose words cannot be
 * made is refused with the member at fault instead of becoming a notice.
 *
 * Does not: send, wait or read a clock. */
#include "dispatcher/work.h"

#include "base/text.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

static const struct contact *chosen_contact(const struct work *work) {
    return &work->document.job.customer.contacts[work->action.contact];
}

/* ---- reachability -------------------------------------------------------------------------------------------------- */

static bool lists(const struct address_list *list, const char *canonical) {
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i], canonical) == 0) {
            return true;
        }
    }
    return false;
}

/* Adds what is not there yet; the list has room for it. */
static void add_account(struct address_list *list, const char *canonical) {
    if (!lists(list, canonical)) {
        list->items[list->n++] = canonical;
    }
}

/* The customer's own accounts that die, in canonical form. */
static int add_own_accounts(struct work *work, const struct work_place *place, struct address_list *list) {
    const struct address_list *own = &work->document.job.customer.accounts;
    for (size_t i = 0; i < own->n; i++) {
        char canonical[MAILBOX_MAX];
        if (mailbox_canon(place->rules, own->items[i], canonical, NULL) < 0 || !doomed_set_has(work->doomed, canonical)) {
            continue;
        }
        const char *copy = arena_strdup(&work->arena, canonical);
        if (copy == NULL) {
            return -1;
        }
        add_account(list, copy);
    }
    return 0;
}

/* Which accounts this notice keeps on hold, and how many of them (the first n_own) it may clear: those that are the customer's own.
 * Reaching Ada says nothing about a mailbox that is Bob's, even if Ada reads it too (P3). Whose an account is, the customer's
 * `accounts` say; where there are none, a single listed account is taken to be the customer's, several are nobody's. */
static int note_accounts(struct work *work, const struct work_place *place, struct err *err) {
    const struct customer *customer = &work->document.job.customer;
    struct address_list listed = work->record.accounts;
    struct address_list all = {NULL, 0};
    all.items = arena_array(&work->arena, listed.n + customer->accounts.n + work->reach.n_contacts, sizeof *all.items);
    if (all.items == NULL || add_own_accounts(work, place, &all) < 0) {
        return err_no_memory(err);
    }
    work->record.n_own = all.n;
    if (customer->accounts.n == 0 && listed.n == 1 && work->document.job.disables.domains.n == 0) {
        work->record.n_own = 1;
    }
    for (size_t i = 0; i < listed.n; i++) {
        add_account(&all, listed.items[i]);
    }
    for (size_t i = 0; i < work->reach.n_contacts && work->document.job.disables.domains.n > 0; i++) {
        if (work->reach.contacts[i].doomed && channel_traits(customer->contacts[i].channel)->address == ADDRESS_MAILBOX) {
            add_account(&all, work->reach.contacts[i].canonical);
        }
    }
    work->record.accounts = all;
    return 0;
}

static int ask_reach(struct work *work, const struct work_place *place, struct err *err) {
    struct job *job = &work->document.job;
    if (work->doomed == NULL) {
        if (reach_with_previous(&job->customer, job->suspect_since_ms, &work->arena, &job->customer, err) < 0) {
            return -1;
        }
        work->doomed = doomed_set_new(place->rules, &job->disables, &job->customer.accounts, &work->arena, err);
        if (work->doomed == NULL) {
            return -1;
        }
    }
    struct reach_question question = {.rules = place->rules,
                                      .doomed = work->doomed,
                                      .customer = &job->customer,
                                      .suspect_since_ms = job->suspect_since_ms,
                                      .tolerate_invalid = work->from_book};
    if (reach_decide(&question, &work->arena, &work->reach, err) < 0) {
        return -1;
    }
    work->record.verdict = verdict_name(work->reach.verdict);
    return work->fence == 0 ? note_accounts(work, place, err) : 0;
}

/* The notice as the core sees it now: kept in the work, because the clearance is decided on the same question as the plan. */
static int put_question(struct work *work, int64_t now_ms, struct err *err) {
    size_t n_tries = 0;
    const struct plan_try *tries = record_plan_tries(&work->record, &work->arena, &n_tries);
    if (n_tries != work->record.n_tries) {
        return err_no_memory(err);
    }
    work->question = (struct plan_question){
        .route = work->route,
        .customer = &work->document.job.customer,
        .reach = &work->reach,
        .tries = tries,
        .n_tries = n_tries,
        .effective_at_ms = work->record.effective_at_ms,
        .expires_at_ms = work->record.expires_at_ms,
        .now_ms = now_ms,
    };
    return 0;
}

static int ask_plan(struct work *work, int64_t now_ms, struct err *err) {
    if (put_question(work, now_ms, err) < 0) {
        return -1;
    }
    plan_next(&work->question, &work->action);
    work->record.why = arena_strdup(&work->arena, work->action.reason);
    return work->record.why == NULL ? err_no_memory(err) : 0;
}

/* ---- the words ----------------------------------------------------------------------------------------------------- */

static void template_values_of(const struct work *work, int64_t now_ms, struct template_values *values) {
    const struct job *job = &work->document.job;
    *values = (struct template_values){
        .data = job->data,
        .customer_name = job->customer.name,
        .account = work->record.accounts.n > 0 ? work->record.accounts.items[0] : NULL,
        .time_zone = job->customer.time_zone,
        .effective_at_ms = job->effective_at_ms,
        .expires_at_ms = job->expires_at_ms,
        .now_ms = now_ms,
    };
}

int work_render(struct work *work, const struct work_place *place, enum channel_id channel, int64_t now_ms, struct message *message,
                struct err *err) {
    const struct job *job = &work->document.job;
    struct template_values values;
    template_values_of(work, now_ms, &values);
    message->notice_id = work->id;
    message->customer_id = job->customer.id;
    message->to_name = job->customer.name;
    message->created_at_ms = work->record.accepted_at_ms;
    message->expires_at_ms = work->record.expires_at_ms;
    const char *locale = job->customer.locale == NULL ? place->settings->templates.default_locale : job->customer.locale;
    return template_render(place->templates, job->notice, locale, channel, &values, &work->arena, message, err);
}

/* The idempotency key of a try: the same for the same notice, step and contact point, whoever sends it and however often. */
static const char *make_key(struct work *work, const struct record_try *t) {
    char text[200];
    unsigned char hash[SHA256_DIGEST_LENGTH];
    int len = snprintf(text, sizeof text, "%s %u %s", work->id, t->plan.step, t->plan.contact_key);
    (void)SHA256((const unsigned char *)text, (size_t)len, hash);
    char *key = arena_alloc(&work->arena, 33);
    for (size_t i = 0; key != NULL && i < 16; i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", hash[i]);
    }
    return key;
}

/* The address as it goes on the wire. */
static const char *wire_address(struct work *work, const struct contact *contact, struct err *err) {
    if (channel_traits(contact->channel)->address != ADDRESS_MAILBOX) {
        return contact->address;
    }
    char wire[MAILBOX_MAX];
    if (mailbox_wire(contact->address, wire, err) < 0) {
        return NULL;
    }
    const char *copy = arena_strdup(&work->arena, wire);
    if (copy == NULL) {
        (void)err_no_memory(err);
    }
    return copy;
}

/* ---- one attempt --------------------------------------------------------------------------------------------------- */

struct record_try *work_try_of(struct work *work, size_t step, size_t contact) {
    char contact_key[17];
    plan_contact_key(work->document.job.customer.contacts[contact].channel, work->reach.contacts[contact].canonical, contact_key);
    for (size_t i = 0; i < work->record.n_tries; i++) {
        struct record_try *t = &work->record.tries[i];
        if (t->plan.step == step && strcmp(t->plan.contact_key, contact_key) == 0) {
            return t;
        }
    }
    return NULL;
}

static struct record_try *note_try(struct work *work, struct err *err) {
    const struct contact *contact = chosen_contact(work);
    char contact_key[17];
    char masked[160];
    plan_contact_key(contact->channel, work->reach.contacts[work->action.contact].canonical, contact_key);
    struct record_try *t = record_try_get(&work->record, &work->arena, (uint32_t)work->action.step, contact_key);
    if (t == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    work->try_index = (size_t)(t - work->record.tries);
    t->channel = channel_traits(contact->channel)->name;
    t->to = arena_strdup(&work->arena, text_mask_address(contact->address, masked, sizeof masked));
    t->plan.early_warning = work->action.early_warning;
    return t;
}

/* The step cannot be carried out: a rejected try with its reason; the plan is asked again. */
static int note_impossible(struct work *work, struct record_try *t, const struct err *why, int64_t now_ms, struct err *err) {
    t->plan.last = OUTCOME_REJECTED;
    t->plan.last_at_ms = now_ms;
    t->why = arena_strdup(&work->arena, why->text);
    if (t->why == NULL || record_log(&work->record, &work->arena, now_ms, "skipped", why->text) < 0) {
        return err_no_memory(err);
    }
    return 0;
}

/* Gateway, words and address of the attempt. 1 ready, 0 impossible (*why), -1 refused for good because the job is new (*why). */
static int prepare_message(struct work *work, const struct work_place *place, const struct record_try *t, int64_t now_ms, struct err *why) {
    const struct contact *contact = chosen_contact(work);
    if (gateways_pick(place->gateways, contact->channel, contact->gateway, &work->gateway, why) != 1) {
        return 0;
    }
    work->message = (struct message){0};
    if (work_render(work, place, contact->channel, now_ms, &work->message, why) < 0) {
        return work->fence == 0 ? -1 : 0;
    }
    work->message.key = make_key(work, t);
    work->message.to = wire_address(work, contact, why);
    if (work->message.key == NULL) {
        return err_no_memory(why);
    }
    return work->message.to == NULL ? 0 : 1;
}

static void count_attempt(struct work *work, const struct record_try *t) {
    bool fallback = t->plan.attempts == 1 && work->record.n_tries > 1 && !t->plan.early_warning;
    buf_putf(&work->counts, "%sattempt.%s", work->counts.len == 0 ? "" : " ", t->channel);
    if (fallback) {
        buf_putf(&work->counts, " fallback.%s", t->channel);
    }
    if (t->plan.early_warning) {
        buf_puts(&work->counts, " early-warning");
    }
}

static int start_try(struct work *work, const struct work_place *place, struct record_try *t, int64_t now_ms, struct err *err) {
    t->gateway = gateways_name(place->gateways, work->gateway);
    t->plan.attempts++;
    t->plan.first_at_ms = t->plan.first_at_ms == 0 ? now_ms : t->plan.first_at_ms;
    t->plan.last = OUTCOME_UNKNOWN;
    t->plan.last_at_ms = now_ms;
    t->plan.retry_at_ms = 0;
    work->record.locale = work->message.locale;
    work->record.version = work->message.version;
    count_attempt(work, t);
    const char *detail = arena_printf(&work->arena, "%s through %s, attempt %u", t->channel, t->gateway, t->plan.attempts);
    if (work->state == NOTICE_STRANDED && work_event(work, LIFE_NEW_CONTACT, err) < 0) {
        return -1;
    }
    if (work_event(work, LIFE_SEND, err) < 0) {
        return -1;
    }
    if (detail == NULL ||
        record_log(&work->record, &work->arena, now_ms, t->plan.early_warning ? "early warning" : "sending", detail) < 0) {
        return err_no_memory(err);
    }
    return 0;
}

/* 1 the attempt is ready, 0 ask the plan again, -1 with *err; a refusal sets work->next. */
static int decide_send(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    const struct contact *contact = chosen_contact(work);
    struct record_try *t = note_try(work, err);
    if (t == NULL) {
        return -1;
    }
    struct err why;
    err_clear(&why);
    enum reach_use use = reach_use_at(&work->reach.contacts[work->action.contact], contact, work->record.effective_at_ms, now_ms);
    int ready = 0;
    if (use == REACH_NEVER || (use == REACH_EARLY_WARNING && !work->action.early_warning)) {
        (void)err_set(&why, ERR_CONFLICT, "this contact point may not be used at this moment");
    } else {
        ready = prepare_message(work, place, t, now_ms, &why);
    }
    if (ready < 0) {
        work->next = WORK_REFUSE;
        work->refusal = why;
        work->refusal_state = NOTICE_DEAD;
        return 1;
    }
    if (ready == 0) {
        return note_impossible(work, t, &why, now_ms, err);
    }
    work->next = WORK_SEND;
    return start_try(work, place, t, now_ms, err) < 0 ? -1 : 1;
}

/* ---- the change ---------------------------------------------------------------------------------------------------- */

/* A new notice keeps its stream entry as its lease during the first attempt; afterwards the job is kept beside the record and
 * the due set is the lease. So a notice that goes out at once costs no second copy of its job. */
static void set_lease(struct work *work, const struct work_place *place, int64_t now_ms, int64_t mono_ms) {
    struct queue_change *change = &work->change;
    int64_t lease_ms = place->settings->redis.lease_ms;
    int64_t allowed_ms = lease_ms;
    if (work->action.early_warning && work->record.effective_at_ms - now_ms < allowed_ms) {
        allowed_ms = work->record.effective_at_ms - now_ms; /* not begun by then, it must not begin (P2) */
    }
    work->not_after_mono_ms = mono_ms + allowed_ms;
    if (work->has_entry && work->fence == 0) {
        change->due_at_ms = -1;
        return;
    }
    change->due_at_ms = now_ms + lease_ms;
}

static void keep_job(struct work *work) {
    struct queue_change *change = &work->change;
    if (!work->job_kept) {
        change->job_action = QUEUE_JOB_STORE;
        change->job = work->body;
        change->job_len = work->body_len;
    }
}

/* Where later evidence matters, the gateway's id of the message leads back to the notice. */
static void note_ref(struct work *work) {
    if (work->record.n_tries == 0 || work->try_index >= work->record.n_tries || work->route == NULL || work->late) {
        return;
    }
    const struct record_try *t = &work->record.tries[work->try_index];
    const struct route_step *step = t->plan.step < work->route->n_steps ? &work->route->steps[t->plan.step] : NULL;
    if (t->ref == NULL || step == NULL || t->plan.last != OUTCOME_SENT || (step->success <= EVIDENCE_SENT && step->wait_ms == 0)) {
        return;
    }
    work_effect(work, QUEUE_HSET, "refs", arena_printf(&work->arena, "%s %s", t->gateway, t->ref), work->id, 0);
}

static int finish_change(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct queue_change *change = &work->change;
    change->id = work->id;
    change->customer = work->record.customer;
    change->fence_seen = work->fence;
    change->state = work->state;
    bool first_attempt = change->due_at_ms == -1 && !work->late;
    if (!work->late && !notice_state_final(work->state) && !first_attempt && !work->record.held) {
        answers_hold(work, now_ms);
    }
    if (work->late) {
        if (answers_late(work, place, now_ms, err) < 0) {
            return -1;
        }
        change->due_at_ms = -1;
    } else if (notice_state_final(work->state)) {
        change->job_action = work->job_kept ? QUEUE_JOB_DROP : QUEUE_JOB_AS_IS;
        change->due_at_ms = 0;
        if (answers_finish(work, place, now_ms, err) < 0) {
            return -1;
        }
    } else if (!first_attempt) {
        keep_job(work);
    }
    note_ref(work);
    change->not_after_ms = work->has_entry && work->fence == 0 ? work->entry.not_after_ms : 0;
    change->ack = work->has_entry && !first_attempt ? &work->entry : NULL;
    if (work->banner != NULL) {
        work_effect(work, QUEUE_SET, arena_printf(&work->arena, "banner:{%s}", work->record.customer), NULL, work->banner,
                    work->record.expires_at_ms);
        work->banner = NULL;
    }
    if (work->book_text != NULL) {
        work_effect(work, QUEUE_BOOK, work->book_seen, work->record.customer, work->book_text, 0);
        work->book_text = NULL;
    }
    answers_event(work, now_ms);
    record_write(&work->record, &work->record_text);
    change->record = buf_str(&work->record_text);
    change->event = buf_str(&work->event);
    change->counts = work->counts.len == 0 ? NULL : buf_str(&work->counts);
    change->effects = work->effects;
    change->n_effects = work->n_effects;
    return work->record_text.failed || work->event.failed || work->counts.failed ? err_no_memory(err) : 0;
}

static void begin_change(struct work *work) {
    work->change = (struct queue_change){0};
    work->n_effects = 0;
    buf_reset(&work->record_text);
    buf_reset(&work->event);
}

/* How a plan's answer that is not a send becomes a state and a due time. */
static int settle(struct work *work, int64_t now_ms, struct err *err) {
    switch (work->action.kind) {
    case PLAN_WAIT:
        work->change.due_at_ms = work->action.at_ms > now_ms ? work->action.at_ms : now_ms + 1;
        return work->state == NOTICE_STRANDED ? work_event(work, LIFE_NEW_CONTACT, err) : 0;
    case PLAN_STRANDED: work->change.due_at_ms = work->record.expires_at_ms; return work_event(work, LIFE_STRAND, err);
    case PLAN_REACHED: return work_event(work, LIFE_REACHED, err);
    case PLAN_EXPIRED: return work_event(work, LIFE_EXPIRE, err);
    case PLAN_SEND: break;
    }
    assert(work->action.kind != PLAN_SEND);
    return 0;
}

/* Asks the plan until it gives something that can be done. Every round ends a try, so the rounds are bounded. */
static int decide_action(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    if (work->state == NOTICE_ACCEPTED && work_event(work, LIFE_PLAN, err) < 0) {
        return -1;
    }
    for (;;) {
        if (ask_plan(work, now_ms, err) < 0) {
            return -1;
        }
        if (work->action.kind != PLAN_SEND) {
            work->next = WORK_DONE;
            return 0;
        }
        int ready = decide_send(work, place, now_ms, err);
        if (ready != 0) {
            return ready < 0 ? -1 : 0;
        }
    }
}

/* Nobody and nothing can reach this customer, or only a banner can: people take over, at once and beside any attempt (P4). */
static bool needs_desk(const struct work *work) {
    return !work->record.desk && (work->action.kind == PLAN_STRANDED || work->action.desk_too || work->reach.verdict == VERDICT_STRANDED) &&
           work->action.kind != PLAN_REACHED && work->action.kind != PLAN_EXPIRED;
}

static enum life_event stop_event(enum notice_state stop) {
    switch (stop) {
    case NOTICE_RESOLVED: return LIFE_RESOLVE;
    case NOTICE_CANCELLED: return LIFE_CANCEL;
    case NOTICE_HANDED_TO_DESK: return LIFE_HAND_OVER;
    default: return LIFE_REACHED;
    }
}

/* The producer said that there is nothing to tell any more, or a stranded customer has reacted. */
static int decide_stop(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    work->next = WORK_DONE;
    if (work->stop == NOTICE_RESOLVED) {
        work->record.why = "the customer has acted";
    } else if (work->stop == NOTICE_CANCELLED) {
        work->record.why = "cancelled by the producer";
    } else if (work->stop == NOTICE_HANDED_TO_DESK) {
        const struct job_document *document = &work->document;
        work->record.why = arena_printf(&work->arena, "a person has seen to it%s%s%s%s", document->by == NULL ? "" : ": ",
                                        document->by == NULL ? "" : document->by, document->note == NULL ? "" : ": ",
                                        document->note == NULL ? "" : document->note);
    }
    if (work->stop == NOTICE_REACHED && !work->late && (ask_reach(work, place, err) < 0 || put_question(work, now_ms, err) < 0)) {
        return -1;
    }
    if (!work->late && work_event(work, stop_event(work->stop), err) < 0) {
        return -1;
    }
    return finish_change(work, place, now_ms, err);
}

/* The evidence goes into the record as it is; what follows from it is planned when the notice is handed out again, at once, with
 * all that the contact book knows by then. */
static int decide_note(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    work->next = WORK_DONE;
    work->change.due_at_ms = now_ms;
    return finish_change(work, place, now_ms, err);
}

int work_decide(struct work *work, const struct work_place *place, int64_t now_ms, int64_t mono_ms, struct err *err) {
    begin_change(work);
    if (work->note_only) {
        return decide_note(work, place, now_ms, err);
    }
    if (work->stop != NOTICE_STATE_COUNT) {
        return decide_stop(work, place, now_ms, err);
    }
    if (ask_reach(work, place, err) < 0 || decide_action(work, place, now_ms, err) < 0) {
        return -1;
    }
    if (work->next == WORK_REFUSE) {
        return 0;
    }
    if (work->next == WORK_SEND) {
        set_lease(work, place, now_ms, mono_ms);
    } else if (settle(work, now_ms, err) < 0) {
        return -1;
    }
    if (needs_desk(work) && answers_strand(work, place, now_ms, err) < 0) {
        return -1;
    }
    return work->next == WORK_REFUSE ? 0 : finish_change(work, place, now_ms, err);
}
