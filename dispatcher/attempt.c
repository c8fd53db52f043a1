/* attempt: one attempt at one contact point, prepared: the try in the record, the gateway, the words, the address for the wire.
 *
 * Guarantees: reach_use_at() has the last word before a message is prepared (P2). The idempotency key depends on notice, step and
 * contact point alone, so every copy of a message carries the same one (P6). What cannot be carried out (no gateway, no words in
 * that channel) is noted as a rejected try with its reason.
 *
 * Does not: decide which contact point (core/plan), or send. */
#include "dispatcher/work.h"

#include "base/text.h"
#include "dispatcher/wording.h"

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

/* Gateway, words and address of the attempt. 1 ready, 0 impossible (*why), -1 refused for good because the job is new (*why). */
static int prepare_message(struct work *work, const struct work_place *place, struct record_try *t, int64_t now_ms, struct err *why) {
    const struct contact *contact = chosen_contact(work);
    if (gateways_pick(place->gateways, contact->channel, contact->gateway, &work->gateway, why) != 1) {
        return 0;
    }
    work->message = (struct message){0};
    if (work_render(work, place, contact->channel, now_ms, &work->message, why) < 0) {
        return work->fence == 0 && why->code != ERR_LIMIT ? -1 : 0; /* too long for this channel: another one may do */
    }
    work->message.to = wording_address(contact->channel, contact->address, &work->arena, why);
    if (work->message.to == NULL) {
        return 0;
    }
    work->message.key = wording_key(work->id, t->plan.step, t->plan.contact_key, &work->arena);
    t->check = wording_check(contact->channel, &work->record.addressed, work->message.to, &work->arena);
    t->version = work->message.version;
    t->made_at_ms = now_ms;
    return work->message.key == NULL || t->check == NULL ? err_no_memory(why) : 1;
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

int work_attempt(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
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
