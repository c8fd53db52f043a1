/* alarm: see alarm.h.
 *
 * Without a clearance, in one atomic step with the job's acknowledgement: an event of type `alarm`, a counter, and an emergency notice
 * for the customer in the urgent lane, with the account already dead (that notice holds the account until the customer is reached). Whose
 * account it is: the job says so, or the hold, or the index of accounts made from the contact book. Where nobody knows, a desk
 * case asks a person to find out.
 *
 * What counts is the moment when the account was disabled: the job's `at`, else when the job was pushed. A clearance that was granted
 * later, that was over by then, or that is no record of reachd's is none.
 *
 * Guarantees: the alarm is raised once per job (the entry is acknowledged with it). The log line holds no account. */
#include "dispatcher/alarm.h"

#include "base/log.h"
#include "dispatcher/control.h"
#include "dispatcher/core/clearance.h"
#include "dispatcher/intake.h"

#include <stdlib.h>
#include <string.h>

enum { ASK_CLEARANCE, ASK_HOLD, ASK_OWNER, ASKS };

struct alarm {
    struct worker *worker;
    struct work *work;   /* owned */
    const char *account; /* canonical */
};

static void alarm_free(struct alarm *alarm) {
    work_free(alarm->work);
    free(alarm);
}

static void on_recorded(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    (void)results;
    (void)n;
    if (err != NULL) {
        log_error("an alarm could not be recorded: %s", err->text);
    }
    worker_schedule(ctx);
}

/* Dumps and drops an object into the work's arena. NULL: no memory. */
static const char *dump(struct work *work, json_t *object) {
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    const char *copy = text == NULL ? NULL : arena_strdup(&work->arena, text);
    free(text);
    json_decref(object);
    return copy;
}

/* The customer whose account it is, or NULL. */
static const char *find_customer(const struct alarm *alarm, const char *const *values) {
    struct work *work = alarm->work;
    if (work->document.job.customer.id != NULL) {
        return work->document.job.customer.id;
    }
    json_t *hold = values[ASK_HOLD] == NULL ? NULL : json_loads(values[ASK_HOLD], 0, NULL);
    const char *customer = json_string_value(json_object_get(hold, "customer"));
    customer = customer == NULL ? NULL : arena_strdup(&work->arena, customer);
    json_decref(hold);
    return customer == NULL && values[ASK_OWNER] != NULL ? arena_strdup(&work->arena, values[ASK_OWNER]) : customer;
}

static json_t *emergency_data(const struct emergency_settings *emergency) {
    json_t *data = json_object();
    for (size_t i = 0; i < emergency->data.n; i++) {
        (void)json_object_set_new(data, emergency->data.items[i].key, json_string(emergency->data.items[i].value));
    }
    return data;
}

/* The job of the emergency notice. The contact points the `disabled` job brought, if any, go along. */
static const char *emergency_job(const struct alarm *alarm, const char *customer) {
    const struct emergency_settings *emergency = &alarm->worker->place.settings->emergency;
    struct work *work = alarm->work;
    json_t *given = json_object_get(work->document.root, "customer");
    json_t *who = given == NULL ? json_pack("{s:s}", "id", customer) : json_incref(given);
    const char *id = arena_printf(&work->arena, "emergency:%.110s", work->document.job.id);
    return dump(work,
                json_pack("{s:i, s:s, s:s, s:s, s:o, s:{s:[s]}, s:o}", "v", 1, "type", "notice", "id", id, "notice", emergency->notice,
                          "customer", who, "disables", "accounts", alarm->account, "data", emergency_data(emergency)));
}

static const char *desk_case(const struct alarm *alarm, int64_t now_ms) {
    char at[TIME_TEXT_MAX];
    return dump(alarm->work, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "notice", alarm->work->document.job.id, "customer", "", "reason",
                                       "an account was disabled without a clearance, and nobody knows whose it is", "owner",
                                       alarm->worker->place.settings->desk.owner, "opened_at", time_format(now_ms, at), "state", "open"));
}

static const char *alarm_event(const struct alarm *alarm, const char *customer, int64_t now_ms) {
    char at[TIME_TEXT_MAX];
    return dump(alarm->work,
                json_pack("{s:s, s:s, s:s, s:s?, s:s}", "type", "alarm", "at", time_format(now_ms, at), "job", alarm->work->document.job.id,
                          "customer", customer, "reason", "an account was disabled without a clearance"));
}

static void raise_alarm(struct alarm *alarm, const char *const *values) {
    struct worker *w = alarm->worker;
    struct work *work = alarm->work;
    int64_t now_ms = clock_wall_ms(w->place.clock);
    const char *customer = find_customer(alarm, values);
    struct queue_effect effect = customer != NULL
                                     ? (struct queue_effect){QUEUE_ADD, "intake", "job", emergency_job(alarm, customer), 0}
                                     : (struct queue_effect){QUEUE_HSET, "desk", work->document.job.id, desk_case(alarm, now_ms), 0};
    struct queue_control control = {.entry = &work->entry,
                                    .counts = "alarm.disabled-without-clearance",
                                    .event = alarm_event(alarm, customer, now_ms),
                                    .effects = &effect,
                                    .n_effects = 1};
    struct err err;
    log_error("ALARM: an account was disabled without a clearance (job %s, customer %s); %s", work->document.job.id,
              customer == NULL ? "unknown" : customer, customer == NULL ? "a desk case asks whose it is" : "an emergency notice follows");
    if (effect.value == NULL || control.event == NULL) {
        log_error("out of memory for the alarm; its entry comes back after its lease");
        queue_let_go(w->queue, work->entry.lane, work->entry.stream_id);
    } else if (queue_control(w->queue, &control, 1, on_recorded, w, &err) < 0) {
        log_error("the alarm cannot be recorded: %s; its entry comes back after its lease", err.text);
        queue_let_go(w->queue, work->entry.lane, work->entry.stream_id);
    }
}

/* `at` is often given in whole seconds: what was granted within that second counts as granted before. */
static bool record_covers(const json_t *record, int64_t at_ms) {
    const char *granted = json_string_value(json_object_get(record, "granted_at"));
    const char *expires = json_string_value(json_object_get(record, "expires_at"));
    int64_t granted_ms;
    int64_t expires_ms;
    return json_is_string(json_object_get(record, "notice")) && granted != NULL && expires != NULL &&
           time_parse(granted, &granted_ms) == 0 && time_parse(expires, &expires_ms) == 0 &&
           clearance_covers(granted_ms / 1000 * 1000, expires_ms, at_ms);
}

/* Whether the clearance, if there is one, covers the moment when the account was disabled. */
static bool was_cleared(const struct alarm *alarm, const char *clearance) {
    const struct work *work = alarm->work;
    int64_t at_ms = work->document.disabled_at_ms != 0 ? work->document.disabled_at_ms : strtoll(work->entry.stream_id, NULL, 10);
    json_t *record = clearance == NULL ? NULL : json_loads(clearance, 0, NULL);
    bool covered = record != NULL && record_covers(record, at_ms);
    json_decref(record);
    return covered;
}

static void on_answers(void *ctx, const char *const *values, size_t n, struct arena *arena_take) {
    struct alarm *alarm = ctx;
    if (n == ASKS && was_cleared(alarm, values[ASK_CLEARANCE])) {
        control_acknowledge(alarm->worker, &alarm->work->entry);
    } else {
        raise_alarm(alarm, values);
    }
    arena_fini(arena_take);
    alarm_free(alarm);
}

int alarm_check(struct worker *w, struct work **work, struct err *why) {
    char canonical[MAILBOX_MAX];
    struct alarm *alarm = calloc(1, sizeof *alarm);
    if (alarm == NULL || mailbox_canon(w->place.rules, (*work)->document.account, canonical, why) < 0) {
        free(alarm);
        return alarm == NULL ? err_no_memory(why) : -1;
    }
    *alarm = (struct alarm){w, *work, arena_strdup(&(*work)->arena, canonical)};
    const char *clearance = arena_printf(&(*work)->arena, "clearance:{%s}", canonical);
    if (alarm->account == NULL || clearance == NULL) {
        free(alarm);
        return err_no_memory(why);
    }
    struct queue_ask asks[ASKS] = {
        [ASK_CLEARANCE] = {QUEUE_ASK_STRING, clearance, NULL},
        [ASK_HOLD] = {QUEUE_ASK_FIELD, "holds", alarm->account},
        [ASK_OWNER] = {QUEUE_ASK_FIELD, "accounts", alarm->account},
    };
    if (queue_read(w->queue, asks, ASKS, on_answers, alarm, why) < 0) {
        free(alarm);
        return -1;
    }
    *work = NULL;
    return 0;
}
