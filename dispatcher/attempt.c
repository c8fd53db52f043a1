/* attempt: one attempt at one contact point, prepared: the try in the record, the gateway, the words, the address for the wire.
 *
 * Guarantees: reach_use_at() has the last word before a message is prepared (P2). The idempotency key depends on notice, step and
 * contact point alone, so every copy of a message carries the same one (P6). What cannot be carried out (no gateway, no words in
 * that channel) is noted as a rejected try with its reason. What may not go now (no gateway works, has room or a permit) is no attempt: it
 * is kept in hand or waits in the due set, and is decided anew afterwards.
 *
 * Does not: decide which contact point (core/plan), or send. */
#include "dispatcher/work.h"

#include "base/text.h"
#include "dispatcher/core/hash.h"
#include "dispatcher/wording.h"

#include <stdio.h>
#include <string.h>

static const struct contact *chosen_contact(const struct work *work) {
    return &work->document.job.customer.contacts[work->action.contact];
}

/* ---- the words ----------------------------------------------------------------------------------------------------- */

static void count(struct work *work, const char *version, const char *what) {
    buf_putf(&work->counts, "%stemplate.%.16s.%s", work->counts.len == 0 ? "" : " ", version, what);
}

/* Every notice belongs to the version its last message was made from; the counters tell how many a version has (counted atomically with the
 * record, so that they cannot drift):  in flight = taken - left - finished. */
static void note_version(struct work *work, const struct message *message) {
    const char *before = work->record.version;
    work->record.locale = message->locale;
    if (before != NULL && strcmp(before, message->version) == 0) {
        return;
    }
    if (before != NULL) {
        count(work, before, "left");
    }
    count(work, message->version, "taken");
    work->record.version = message->version;
}

void work_count_finished(struct work *work) {
    if (work->record.version != NULL) {
        count(work, work->record.version, "finished");
    }
}

int work_render(struct work *work, const struct work_place *place, enum channel_id channel, int64_t now_ms, struct message *message,
                struct err *err) {
    const struct job *job = &work->document.job;
    const struct wording wording = {
        .id = work->id, .record = &work->record, .data = job->data, .reset_key = place->reset_key, .made_at_ms = now_ms};
    const struct record_addressed before = work->record.addressed;
    work->record.addressed = (struct record_addressed){
        .name = job->customer.name,
        .time_zone = job->customer.time_zone,
        .locale = job->customer.locale == NULL ? place->settings->templates.default_locale : job->customer.locale,
    };
    if (wording_make(&wording, place->templates, channel, &work->arena, message, err) < 0 ||
        template_fits(place->templates, message, channel, err) < 0) {
        work->record.addressed = before;
        return -1;
    }
    note_version(work, message);
    return 0;
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

/* Words and address of the attempt. 1 ready, 0 impossible (*why), -1 refused for good because the job is new (*why). */
static int prepare_message(struct work *work, const struct work_place *place, struct record_try *t, int64_t now_ms, struct err *why) {
    const struct contact *contact = chosen_contact(work);
    work->message = (struct message){0};
    if (work_render(work, place, contact->channel, now_ms, &work->message, why) < 0) {
        return work->fence == 0 && why->code != ERR_LIMIT ? -1 : 0; /* too long for this channel: another one may do */
    }
    work->message.to = wording_address(contact->channel, contact->address, &work->arena, why);
    if (work->message.to == NULL || wording_key_mark(&work->message, place->reset_key, &work->arena, &t->key_mark, why) < 0) {
        return 0;
    }
    work->message.key = wording_key(work->id, t->plan.step, t->plan.contact_key, &work->arena);
    const struct gateway_settings *gateway = gateways_settings(place->gateways, work->gateway);
    t->check = wording_check(contact->channel, &work->record.addressed, work->message.to, gateway, &work->arena);
    t->version = work->message.version;
    t->made_at_ms = now_ms;
    return work->message.key == NULL || t->check == NULL ? err_no_memory(why) : 1;
}

static void count_attempt(struct work *work, const struct record_try *t, bool first) {
    bool fallback = first && work->record.n_tries > 1 && !t->plan.early_warning;
    buf_putf(&work->counts, "%sattempt.%s", work->counts.len == 0 ? "" : " ", t->channel);
    if (fallback) {
        buf_putf(&work->counts, " fallback.%s", t->channel);
    }
    if (t->plan.early_warning) {
        buf_puts(&work->counts, " early-warning");
    }
}

int work_start_try(struct work *work, struct record_try *t, const char *gateway, int64_t at_ms, struct err *err) {
    bool first = t->gateway == NULL;
    t->gateway = gateway;
    t->plan.attempts++;
    t->plan.first_at_ms = t->plan.first_at_ms == 0 ? at_ms : t->plan.first_at_ms;
    t->plan.last = OUTCOME_UNKNOWN;
    t->plan.last_at_ms = at_ms;
    t->plan.retry_at_ms = 0;
    count_attempt(work, t, first);
    const char *detail = arena_printf(&work->arena, "%s through %s, attempt %u", t->channel, t->gateway, t->plan.attempts);
    if (work->state == NOTICE_STRANDED && work_event(work, LIFE_NEW_CONTACT, err) < 0) {
        return -1;
    }
    if (work_event(work, LIFE_SEND, err) < 0) {
        return -1;
    }
    if (detail == NULL || record_log(&work->record, &work->arena, at_ms, t->plan.early_warning ? "early warning" : "sending", detail) < 0) {
        return err_no_memory(err);
    }
    return 0;
}

/* ---- not now --------------------------------------------------------------------------------------------------------- */

/* Notices that wait for the same thing do not all come back at the same moment. */
static int64_t spread(const struct work *work, int64_t now_ms, int64_t until_ms) {
    enum { SPREAD_MAX_MS = 30000 };
    int64_t span_ms = (until_ms - now_ms) / 2;
    span_ms = span_ms < SPREAD_MAX_MS ? span_ms : SPREAD_MAX_MS;
    return span_ms <= 0 ? until_ms : until_ms + (int64_t)(hash_bytes(work->id, strlen(work->id)) % (uint64_t)span_ms);
}

/* The plan's answer becomes a wait; the plan is asked again, and everything looked at again, when it is over. */
static int wait_instead(struct work *work, int64_t until_ms, const char *why, int64_t now_ms, struct err *err) {
    const struct record *record = &work->record;
    if (work->action.early_warning && until_ms > record->effective_at_ms) {
        until_ms = record->effective_at_ms; /* there is nothing to warn of afterwards */
    }
    work->action.kind = PLAN_WAIT;
    work->action.at_ms = record->expires_at_ms > 0 && until_ms > record->expires_at_ms ? record->expires_at_ms : until_ms;
    (void)snprintf(work->action.reason, sizeof work->action.reason, "%s", why);
    work->next = WORK_DONE;
    work->record.why = arena_strdup(&work->arena, why);
    if (work->record.why == NULL) {
        return err_no_memory(err);
    }
    const struct record_line *last = record->n_log == 0 ? NULL : &record->log[record->n_log - 1];
    bool said = last != NULL && strcmp(last->what, "waiting") == 0 && last->detail != NULL && strcmp(last->detail, why) == 0;
    if (!said && record_log(&work->record, &work->arena, now_ms, "waiting", why) < 0) {
        return err_no_memory(err);
    }
    return 1;
}

/* No gateway of the channel works: the time this takes counts against the step's retry_for, so that the route goes on in the end, but it is
 * no attempt. An early warning is not noted: it has no next step. */
static int wait_for_gateway(struct work *work, const struct gateways_choice *choice, int64_t now_ms, struct err *err) {
    int64_t until_ms = spread(work, now_ms, choice->until_ms);
    if (!work->action.early_warning) {
        struct record_try *t = note_try(work, err);
        if (t == NULL) {
            return -1;
        }
        t->plan.first_at_ms = t->plan.first_at_ms == 0 ? now_ms : t->plan.first_at_ms;
        t->plan.last = t->plan.attempts == 0 ? OUTCOME_RETRY : t->plan.last;
        t->plan.retry_at_ms = until_ms;
    }
    return wait_instead(work, until_ms, choice->why, now_ms, err);
}

/* The gateway works but is full or over its rate: kept in hand where that may be; else planned for when its turn may come. Nothing of it is
 * noted in the record's tries, so neither attempts nor retry_for are touched. */
static int hold_or_wait(struct work *work, const struct work_place *place, const struct gateways_choice *choice, int64_t now_ms,
                        struct err *err) {
    work->gateway = choice->index;
    bool untold = work->stored == NOTICE_SENDING || work->action.early_warning; /* what is known here must be recorded, or the desk told */
    if (!untold && place->may_hold != NULL && place->may_hold(place->hold_ctx, work, choice->index)) {
        work->next = WORK_HOLD;
        return 1;
    }
    return wait_instead(work, gateways_turn_ms(place->gateways, choice->index, now_ms), choice->why, now_ms, err);
}

/* ---- the attempt ------------------------------------------------------------------------------------------------------- */

/* A place is taken: the try and the message. As work_attempt(). */
static int prepare_try(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct err why;
    err_clear(&why);
    struct record_try *t = note_try(work, err);
    if (t == NULL) {
        return -1;
    }
    int ready = prepare_message(work, place, t, now_ms, &why);
    if (ready == 1) {
        work->next = WORK_SEND;
        return work_start_try(work, t, gateways_name(place->gateways, work->gateway), now_ms, err) < 0 ? -1 : 1;
    }
    work_leave_place(work, place);
    if (ready == 0) {
        return note_impossible(work, t, &why, now_ms, err);
    }
    work->next = WORK_REFUSE;
    work->refusal = why;
    work->refusal_state = NOTICE_DEAD;
    return 1;
}

void work_leave_place(struct work *work, const struct work_place *place) {
    if (work->has_place) {
        work->has_place = false;
        gateways_give_back(place->gateways, work->gateway, work->probe);
    }
}

/* Quiet hours of the channel: until when, now_ms where there are none; -1 with *err. */
static int64_t quiet_end(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    const struct conf_list *items = &place->settings->quiet_hours;
    const struct job *job = &work->document.job;
    struct quiet_question question = {.channel = chosen_contact(work)->channel,
                                      .locale = job->customer.locale,
                                      .time_zone = job->customer.time_zone,
                                      .severity = template_severity(place->templates, job->notice),
                                      .now_ms = now_ms};
    return quiet_concerns(items, question.channel) ? quiet_until(items, &question, &work->arena, err) : now_ms;
}

/* Which gateway, and now? */
static enum gateways_pick find_gateway(struct work *work, const struct work_place *place, int64_t now_ms, struct gateways_choice *choice,
                                       struct err *why) {
    const struct contact *contact = chosen_contact(work);
    const struct record_try *t = work_try_of(work, work->action.step, work->action.contact);
    const char *last = t == NULL || t->plan.attempts == 0 ? NULL : t->gateway;
    struct gateways_wish wish = {.channel = contact->channel,
                                 .wanted = contact->gateway,
                                 .stay = last != NULL && t->plan.last == OUTCOME_UNKNOWN ? last : NULL,
                                 .avoid = last != NULL && t->plan.last == OUTCOME_RETRY ? last : NULL,
                                 .urgent = work->lane == LANE_URGENT};
    return gateways_pick(place->gateways, &wish, now_ms, choice, why);
}

static int give_up(struct work *work, const struct err *why, int64_t now_ms, struct err *err) {
    struct record_try *t = note_try(work, err);
    return t == NULL ? -1 : note_impossible(work, t, why, now_ms, err);
}

int work_attempt(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    const struct contact *contact = chosen_contact(work);
    struct gateways_choice choice;
    struct err why;
    err_clear(&why);
    enum reach_use use = reach_use_at(&work->reach.contacts[work->action.contact], contact, work->record.effective_at_ms, now_ms);
    if (use == REACH_NEVER || (use == REACH_EARLY_WARNING && !work->action.early_warning)) {
        (void)err_set(&why, ERR_CONFLICT, "this contact point may not be used at this moment");
        return give_up(work, &why, now_ms, err);
    }
    int64_t until_ms = quiet_end(work, place, now_ms, err);
    if (until_ms != now_ms) {
        return until_ms < 0 ? -1 : wait_instead(work, until_ms, "quiet hours of the channel, by the customer's clock", now_ms, err);
    }
    switch (find_gateway(work, place, now_ms, &choice, &why)) {
    case PICK_NONE: return give_up(work, &why, now_ms, err);
    case PICK_HOLD: return hold_or_wait(work, place, &choice, now_ms, err);
    case PICK_WAIT: return wait_for_gateway(work, &choice, now_ms, err);
    case PICK_TAKEN: break;
    }
    work->gateway = choice.index;
    work->has_place = true;
    work->probe = choice.probe;
    return prepare_try(work, place, now_ms, err);
}
