/* work: see work.h. The beginning and the end of one notice in a worker's hands; the decision itself is in decide.c.
 *
 * Guarantees: everything a notice needs while it is here lives in its own arena and is given back in one step; a notice that
 * was being sent when its worker died is taken up with that attempt's outcome `unknown`, so the plan resends under the same key. What
 * the journal knows of an attempt and Redis does not (any more) is taken from there: a Redis with appendfsync everysec that is killed
 * while its disk is slow has answered intents and results that are gone, and nothing is sent twice for that.
 *
 * Does not: talk to Redis or to a gateway. */
#include "dispatcher/work.h"

#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct work *work_new(const char *text, size_t len) {
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        return NULL;
    }
    work->stop = NOTICE_STATE_COUNT;
    work->body = arena_strndup(&work->arena, text, len);
    work->body_len = len;
    if (work->body == NULL) {
        work_free(work);
        return NULL;
    }
    return work;
}

void work_free(struct work *work) {
    if (work == NULL) {
        return;
    }
    journal_recorded(&work->mark);
    while (work->repetitions != NULL) {
        struct work *next = work->repetitions->next_in_list;
        work_free(work->repetitions);
        work->repetitions = next;
    }
    job_document_fini(&work->document);
    buf_fini(&work->record_text);
    buf_fini(&work->event);
    buf_fini(&work->counts);
    arena_fini(&work->arena);
    free(work);
}

int work_parse(struct work *work, const struct mailbox_rules *rules, const char **id_r, struct err *err) {
    if (job_parse(work->body, work->body_len, rules, &work->arena, &work->document, id_r, err) < 0) {
        return -1;
    }
    work->id = work->document.job.id;
    return 0;
}

int work_event(struct work *work, enum life_event event, struct err *err) {
    if (life_next(work->state, event, &work->state) == 1) {
        return 0;
    }
    return err_set(err, ERR_CONFLICT, "%s may not happen to a notice that is %s", life_event_name(event), notice_state_name(work->state));
}

static const struct route *find_route(const struct work_place *place, const char *name) {
    if (name == NULL) {
        return &place->routes[0];
    }
    for (size_t i = 0; i < place->n_routes; i++) {
        if (strcmp(place->routes[i].name, name) == 0) {
            return &place->routes[i];
        }
    }
    return NULL;
}

/* Copies the listed accounts in canonical form; those of whole domains are added once it is known who lives there. */
static int begin_accounts(struct work *work, const struct mailbox_rules *rules, struct err *err) {
    const struct address_list *given = &work->document.job.disables.accounts;
    const char **items = arena_array(&work->arena, given->n, sizeof *items);
    if (items == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < given->n; i++) {
        char canonical[MAILBOX_MAX];
        if (mailbox_canon(rules, given->items[i], canonical, err) < 0) {
            return -1;
        }
        items[i] = arena_strdup(&work->arena, canonical);
        if (items[i] == NULL) {
            return err_no_memory(err);
        }
    }
    work->record.accounts = (struct address_list){items, given->n};
    return 0;
}

int work_begin(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    const struct job *job = &work->document.job;
    work->route = find_route(place, job->route);
    if (work->route == NULL) {
        return err_member(err, "route", "no route of this name is configured");
    }
    work->stored = NOTICE_ACCEPTED;
    work->state = NOTICE_ACCEPTED;
    work->record = (struct record){
        .customer = job->customer.id,
        .notice = job->notice,
        .accepted_at_ms = now_ms,
        .effective_at_ms = job->effective_at_ms,
        .expires_at_ms = job->expires_at_ms,
        .promise_at_ms = job->promise_ms == 0 ? 0 : now_ms + job->promise_ms,
        .suspect_since_ms = job->suspect_since_ms,
        .domains = job->disables.domains,
        .route = work->route->name,
        .digest = work->document.digest,
        .origin = arena_printf(&work->arena, "%d/%s", (int)work->entry.lane, work->entry.stream_id),
    };
    if (work->record.origin == NULL || begin_accounts(work, place->rules, err) < 0) {
        return work->record.origin == NULL ? err_no_memory(err) : -1;
    }
    return record_log(&work->record, &work->arena, now_ms, "accepted", NULL) < 0 ? err_no_memory(err) : 0;
}

/* A control job ends the notice without having its job in hand: what its messages were made with is taken from the job that was kept. */
static int take_data(struct work *work, const char *job, struct err *err) {
    json_t *root = json_loads(job, 0, NULL);
    json_t *data = json_object_get(root, "data");
    char *text = data == NULL ? NULL : json_dumps(data, JSON_COMPACT);
    work->record.data = text == NULL ? NULL : arena_strdup(&work->arena, text);
    bool failed = data != NULL && work->record.data == NULL;
    free(text);
    json_decref(root);
    return failed ? err_no_memory(err) : 0;
}

/* ---- outcomes ------------------------------------------------------------------------------------------------------- */

/* Who answered, and when. */
struct answered {
    const char *gateway;
    bool broken; /* its breaker is not closed */
    int64_t now_ms;
    uint32_t random;
};

/* When to try again after an attempt that did not get through. */
static void plan_repetition(const struct work_place *place, struct record_try *t, const struct outcome *outcome, struct answered by) {
    const struct worker_settings *w = &place->settings->worker;
    bool nobody_gets_through = outcome->blame == BLAME_GATEWAY || outcome->blame == BLAME_ACCOUNT;
    if (nobody_gets_through && by.broken) {
        /* The breaker stands for all of them: this one neither pays with an attempt nor waits by itself. */
        t->plan.attempts--;
        t->plan.retry_at_ms = by.now_ms + plan_backoff_ms(1, w->retry_base_ms, w->retry_cap_ms, -1, by.random);
        return;
    }
    t->plan.retry_at_ms =
        by.now_ms + plan_backoff_ms(t->plan.attempts, w->retry_base_ms, w->retry_cap_ms, outcome->retry_after_ms, by.random);
}

/* Takes the outcome over into the try. */
static void take_over(const struct work *work, const struct work_place *place, struct record_try *t, const struct outcome *outcome,
                      struct answered by) {
    const struct worker_settings *w = &place->settings->worker;
    t->plan.last = outcome->kind;
    t->plan.last_at_ms = by.now_ms;
    t->plan.retry_at_ms = 0;
    if (outcome->kind == OUTCOME_SENT && t->plan.best < EVIDENCE_SENT) {
        t->plan.best = EVIDENCE_SENT;
    } else if (outcome->kind == OUTCOME_RETRY) {
        plan_repetition(place, t, outcome, by);
    } else if (outcome->kind == OUTCOME_UNKNOWN) {
        int64_t wait_ms = plan_backoff_ms(t->plan.attempts, w->retry_base_ms, w->retry_cap_ms, outcome->retry_after_ms, by.random);
        work_doubt(work, place, t, wait_ms, by.now_ms);
    }
}

static int take_down(struct work *work, const struct work_place *place, struct record_try *t, const struct outcome *outcome,
                     struct answered by, struct err *err) {
    static const enum life_event events[] = {[OUTCOME_SENT] = LIFE_OUTCOME_SENT,
                                             [OUTCOME_RETRY] = LIFE_OUTCOME_RETRY,
                                             [OUTCOME_REJECTED] = LIFE_OUTCOME_REJECTED,
                                             [OUTCOME_UNKNOWN] = LIFE_OUTCOME_UNKNOWN};
    enum outcome_kind kind = outcome->kind;
    work->try_index = (size_t)(t - work->record.tries);
    t->code = outcome->code[0] == '\0' ? NULL : arena_strdup(&work->arena, outcome->code);
    t->ref = outcome->ref[0] == '\0' ? NULL : arena_strdup(&work->arena, outcome->ref);
    t->why = arena_strdup(&work->arena, outcome->reason);
    if (t->ref != NULL && (kind == OUTCOME_SENT || kind == OUTCOME_UNKNOWN)) {
        work->new_ref_key = work_ref_key(&work->arena, by.gateway, t->ref);
    }
    if (kind == OUTCOME_REJECTED && outcome->blame == BLAME_CONTACT) {
        work->dead_contact = arena_strdup(&work->arena, t->plan.contact_key);
    }
    take_over(work, place, t, outcome, by);
    buf_putf(&work->counts, "%s%s.%s gateway.%s.%s", work->counts.len == 0 ? "" : " ", outcome_name(kind), t->channel, by.gateway,
             outcome_name(kind));
    const char *detail = arena_printf(&work->arena, "%s: %s", by.gateway, outcome->reason);
    if (t->why == NULL || detail == NULL) {
        return err_no_memory(err);
    }
    if (record_log(&work->record, &work->arena, by.now_ms, outcome_name(kind), detail) < 0) {
        return err_no_memory(err);
    }
    return work_event(work, events[t->plan.last], err);
}

int work_outcome(struct work *work, const struct work_place *place, const struct outcome *outcome, int64_t now_ms, uint32_t random,
                 struct err *err) {
    const struct gateways *g = place->gateways;
    struct answered by = {gateways_name(g, work->gateway), !gateways_is_closed(g, work->gateway), now_ms, random};
    return take_down(work, place, &work->record.tries[work->try_index], outcome, by, err);
}

/* The try that was in the air, or NULL. */
static struct record_try *try_in_the_air(struct work *work) {
    for (size_t i = 0; i < work->record.n_tries; i++) {
        struct record_try *t = &work->record.tries[i];
        if (t->plan.last == OUTCOME_UNKNOWN && t->plan.retry_at_ms == 0) {
            return t;
        }
    }
    return NULL;
}

struct journal_attempt work_journal_attempt(const struct work *work, const struct record_try *t) {
    return (struct journal_attempt){.id = work->id,
                                    .fence = work->fence,
                                    .digest = work->record.digest,
                                    .step = t->plan.step,
                                    .contact_key = t->plan.contact_key,
                                    .number = t->plan.attempts,
                                    .channel = t->channel,
                                    .gateway = t->gateway,
                                    .early_warning = t->plan.early_warning};
}

/* What was found in the journal stands in it anew, until Redis has it. */
static void keep_in_journal(struct work *work, const struct work_place *place, const struct journal_attempt *attempt,
                            const struct outcome *outcome) {
    struct journal_mark mark = journal_put(place->journal, attempt, outcome);
    journal_recorded(&work->mark);
    work->mark = mark;
}

static uint32_t random_of(uint64_t fence) {
    return (uint32_t)fence * 2654435761U; /* spreads counters over 32 bits */
}

/* The notice was being sent when its worker, or Redis, was lost. The token says that this very attempt is meant. */
static int resume_sending(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct record_try *t = try_in_the_air(work);
    struct outcome outcome;
    if (t != NULL && journal_find(place->journal, work->id, work->fence, &outcome) == 1) {
        struct journal_attempt attempt = work_journal_attempt(work, t);
        keep_in_journal(work, place, &attempt, &outcome);
        journal_forget(place->journal, work->fence);
        log_info("notice %s: %s, by the journal: Redis had not recorded it", work->id, outcome_name(outcome.kind));
        return take_down(work, place, t, &outcome, (struct answered){t->gateway, false, now_ms, random_of(work->fence)}, err);
    }
    if (t != NULL) {
        work_doubt(work, place, t, 0, now_ms); /* nobody will tell what became of it: no backoff */
        t->why = "the worker was lost while it was being sent: it may or may not have gone out";
    }
    if (record_log(&work->record, &work->arena, now_ms, "unknown", "taken up again after its worker was lost") < 0) {
        return err_no_memory(err);
    }
    return work_event(work, LIFE_OUTCOME_UNKNOWN, err);
}

int work_resume(struct work *work, const struct work_place *place, const struct queue_record *held, int64_t now_ms, struct err *err) {
    if (record_read(held->record, &work->arena, &work->record, err) < 0) {
        return -1;
    }
    if (work->document.type != JOB_NOTICE && !work->buried && held->job != NULL && work->record.version != NULL &&
        take_data(work, held->job, err) < 0) {
        return -1;
    }
    work->stored = held->state;
    work->state = held->state;
    work->fence = held->fence;
    work->job_kept = held->job != NULL;
    work->route = find_route(place, work->record.route);
    if (work->route == NULL) {
        log_warning("notice %s: its route %s is not configured any more; the default route goes on", work->id, work->record.route);
        work->route = &place->routes[0];
    }
    return held->state == NOTICE_SENDING ? resume_sending(work, place, now_ms, err) : 0;
}

/* ---- what Redis has lost ------------------------------------------------------------------------------------------- */

/* A notice has few attempts at which a message went out. The journal is for what was lost lately: what is older may be in the archive, and
 * an id that is used again after that is another notice. */
enum { KNOWN_MAX = 32, LOST_MAX_MS = 24 * 3600 * 1000 };

static bool is_lost(const struct work *work, const struct work_place *place, const struct journal_attempt *attempt, int64_t now_ms) {
    const struct record *record = &work->record;
    int64_t retention_ms = place->settings->redis.retention_ms, age_ms = now_ms - queue_fence_at_ms(attempt->fence);
    if (record->digest == NULL || strncmp(record->digest, attempt->digest, JOURNAL_DIGEST) != 0 || age_ms > LOST_MAX_MS ||
        (work->fence == 0 && retention_ms > 0 && age_ms >= retention_ms)) {
        return false;
    }
    for (size_t i = 0; i < record->n_tries; i++) {
        const struct plan_try *t = &record->tries[i].plan;
        if (t->step == attempt->step && strcmp(t->contact_key, attempt->contact_key) == 0) {
            return t->attempts < attempt->number;
        }
    }
    return true;
}

/* The address of the try, masked, where the customer still has it. */
static const char *masked_address(struct work *work, const char *contact_key) {
    for (size_t i = 0; i < work->reach.n_contacts; i++) {
        const struct contact *contact = &work->document.job.customer.contacts[i];
        char key[17], masked[160];
        plan_contact_key(contact->channel, work->reach.contacts[i].canonical, key);
        if (strcmp(key, contact_key) == 0) {
            return arena_strdup(&work->arena, text_mask_address(contact->address, masked, sizeof masked));
        }
    }
    return NULL;
}

/* The intent as it was. NULL with *err. */
static struct record_try *intend_again(struct work *work, const struct journal_attempt *attempt, struct err *err) {
    struct record_try *t = record_try_get(&work->record, &work->arena, attempt->step, attempt->contact_key);
    if (t == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    t->channel = attempt->channel;
    t->to = t->to != NULL ? t->to : masked_address(work, attempt->contact_key);
    t->plan.early_warning = attempt->early_warning;
    t->plan.attempts = attempt->number - 1;
    if (work->state == NOTICE_ACCEPTED && work_event(work, LIFE_PLAN, err) < 0) {
        return NULL;
    }
    return work_start_try(work, t, attempt->gateway, queue_fence_at_ms(attempt->fence), err) < 0 ? NULL : t;
}

static int regain(struct work *work, const struct work_place *place, const struct journal_known *known, int64_t now_ms, struct err *err) {
    const struct journal_attempt *attempt = &known->attempt;
    struct record_try *t = intend_again(work, attempt, err);
    if (t == NULL) {
        return -1;
    }
    log_warning("notice %s: %s, by the journal: Redis has lost the record of that", work->id, known->is_open ? "perhaps sent" : "sent");
    if (!known->is_open) {
        keep_in_journal(work, place, attempt, &known->outcome);
        return take_down(work, place, t, &known->outcome, (struct answered){t->gateway, false, now_ms, random_of(attempt->fence)}, err);
    }
    journal_intend(place->journal, attempt);
    work_doubt(work, place, t, 0, now_ms);
    t->why = "Redis and the worker were lost while it was being sent: it may or may not have gone out";
    if (record_log(&work->record, &work->arena, now_ms, "unknown", t->why) < 0) {
        return err_no_memory(err);
    }
    return work_event(work, LIFE_OUTCOME_UNKNOWN, err);
}

int work_regain(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct journal_known known[KNOWN_MAX];
    if (notice_state_final(work->state)) {
        return 0;
    }
    size_t n = journal_attempts(place->journal, work->id, known, KNOWN_MAX, &work->arena);
    for (size_t i = 0; i < n; i++) {
        if (is_lost(work, place, &known[i].attempt, now_ms) && regain(work, place, &known[i], now_ms, err) < 0) {
            return -1;
        }
    }
    return 0;
}
