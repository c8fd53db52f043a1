/* view: see view.h.
 *
 * Both forms of an answer come from the same object: --json prints it, a table picks cells out of it, so the two cannot tell
 * different stories. Every address passes through text_mask_address() on its way into an object (P10): a terminal's scroll-back
 * and a ticket with pasted output are places where addresses do not belong.
 *
 * Fails: only by want of memory, which shows as a missing member. Does not: read from Redis or print. */
#include "cli/view.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

void view_text(json_t *object, const char *name, const char *text) {
    if (text != NULL) {
        (void)json_object_set_new(object, name, json_string(text));
    }
}

void view_time(json_t *object, const char *name, int64_t ms) {
    char text[TIME_TEXT_MAX];
    view_text(object, name, ms == 0 ? NULL : time_format(ms, text));
}

void view_number(json_t *object, const char *name, int64_t value) {
    if (value != 0) {
        (void)json_object_set_new(object, name, json_integer(value));
    }
}

void view_flag(json_t *object, const char *name, bool value) {
    if (value) {
        (void)json_object_set_new(object, name, json_true());
    }
}

void view_masked(json_t *object, const char *name, const char *address) {
    char masked[512];
    view_text(object, name, address == NULL ? NULL : text_mask_address(address, masked, sizeof masked));
}

const char *view_get(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

int64_t view_get_time(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    int64_t ms = 0;
    if (json_is_integer(value)) {
        return json_integer_value(value);
    }
    return json_is_string(value) && time_parse(json_string_value(value), &ms) == 0 ? ms : 0;
}

const char *view_clock(int64_t ms, char *out) {
    if (ms == 0) {
        (void)snprintf(out, TIME_TEXT_MAX, "-");
        return out;
    }
    (void)time_format(ms - ms % 1000, out);
    char *t = strchr(out, 'T');
    if (t != NULL) {
        *t = ' ';
    }
    return out;
}

json_t *view_notice_line(const char *id, enum notice_state state, const struct record *record) {
    json_t *object = json_object();
    view_text(object, "id", id);
    view_text(object, "state", notice_state_name(state));
    view_text(object, "customer", record->customer);
    view_text(object, "notice", record->notice);
    view_time(object, "accepted_at", record->accepted_at_ms);
    view_text(object, "verdict", record->verdict);
    view_text(object, "reason", record->why);
    return object;
}

static json_t *view_try(const struct record_try *try) {
    json_t *object = json_object();
    (void)json_object_set_new(object, "step", json_integer((json_int_t)try->plan.step + 1));
    view_text(object, "channel", try->channel);
    view_text(object, "gateway", try->gateway);
    view_text(object, "to", try->to);
    view_number(object, "attempts", try->plan.attempts);
    view_number(object, "unknown_outcomes", try->doubts);
    view_text(object, "outcome", outcome_name(try->plan.last));
    view_text(object, "evidence", try->plan.best == EVIDENCE_NONE ? NULL : evidence_name(try->plan.best));
    view_flag(object, "early_warning", try->plan.early_warning);
    view_flag(object, "failed_later", try->plan.failed_later);
    view_time(object, "first_at", try->plan.first_at_ms);
    view_time(object, "last_at", try->plan.last_at_ms);
    view_time(object, "retry_at", try->plan.retry_at_ms);
    view_text(object, "code", try->code);
    view_text(object, "reason", try->why);
    view_text(object, "ref", try->ref);
    return object;
}

static json_t *view_log_line(const struct record_line *line) {
    json_t *object = json_object();
    view_time(object, "at", line->at_ms);
    view_text(object, "what", line->what);
    view_text(object, "detail", line->detail);
    return object;
}

static void set_lists(json_t *object, const struct record *record) {
    json_t *accounts = json_array();
    for (size_t i = 0; i < record->accounts.n; i++) {
        char masked[512];
        (void)json_array_append_new(accounts, json_string(text_mask_address(record->accounts.items[i], masked, sizeof masked)));
    }
    (void)json_object_set_new(object, "accounts", accounts);
    json_t *tries = json_array();
    for (size_t i = 0; i < record->n_tries; i++) {
        (void)json_array_append_new(tries, view_try(&record->tries[i]));
    }
    (void)json_object_set_new(object, "tries", tries);
    json_t *timeline = json_array();
    for (size_t i = 0; i < record->n_log; i++) {
        (void)json_array_append_new(timeline, view_log_line(&record->log[i]));
    }
    (void)json_object_set_new(object, "timeline", timeline);
}

json_t *view_notice(const char *id, enum notice_state state, const struct record *record) {
    json_t *object = view_notice_line(id, state, record);
    view_time(object, "effective_at", record->effective_at_ms);
    view_time(object, "expires_at", record->expires_at_ms);
    view_time(object, "promise_at", record->promise_at_ms);
    view_text(object, "route", record->route);
    view_text(object, "origin", record->origin);
    view_text(object, "locale", record->locale);
    view_text(object, "words", record->version);
    view_flag(object, "desk", record->desk);
    view_flag(object, "cleared", record->cleared);
    set_lists(object, record);
    return object;
}

json_t *view_contact(const struct contact *contact, const struct reach_contact *answer) {
    json_t *object = json_object();
    view_text(object, "channel", channel_traits(contact->channel)->name);
    view_masked(object, "address", contact->address);
    view_text(object, "status", contact_status_name(contact->status));
    view_flag(object, "vanished", contact->vanished);
    (void)json_object_set_new(object, "survives", json_boolean(answer->survives));
    view_flag(object, "weak", answer->weak);
    view_flag(object, "doomed", answer->doomed);
    view_text(object, "reason", answer->reason_masked);
    view_text(object, "warning", answer->warning);
    return object;
}
