/* answers: what the outside gets to see of a decision: banner, hold, desk case, clearance, event. All of it is returned as effects
 * of the notice's own change, so it becomes true together with the state or not at all.
 *
 * Guarantees: a clearance is granted only for a notice that was reached through a surviving contact point, and through a weak one only
 * when the customer was seen to react (P3). A stranded customer gets hold, banner and desk case in one step (P4). No address
 * is in an event; accounts are in holds and clearances because they are their keys.
 *
 * Does not: decide. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/work.h"

#include <string.h>

void work_effect(struct work *work, enum queue_op op, const char *key, const char *field, const char *value, int64_t at_ms) {
    if (work->n_effects == work->cap_effects) {
        size_t cap = work->cap_effects == 0 ? 8 : work->cap_effects * 2;
        struct queue_effect *more = arena_array(&work->arena, cap, sizeof *more);
        if (more == NULL || key == NULL) {
            work->event.failed = true; /* seen when the change is finished */
            return;
        }
        if (work->n_effects > 0) {
            memcpy(more, work->effects, work->n_effects * sizeof *more);
        }
        work->effects = more;
        work->cap_effects = cap;
    }
    if (key == NULL) {
        work->event.failed = true;
        return;
    }
    work->effects[work->n_effects++] = (struct queue_effect){op, key, field, value, at_ms};
}

/* ---- small JSON writing -------------------------------------------------------------------------------------------- */

static void put_member(struct buf *out, const char *name, const char *value) {
    if (value == NULL) {
        return;
    }
    if (out->len > 0 && out->data[out->len - 1] != '{') {
        buf_putc(out, ',');
    }
    buf_putc(out, '"');
    buf_puts(out, name);
    buf_puts(out, "\":");
    buf_put_json_str(out, value);
}

static void put_time(struct buf *out, const char *name, int64_t ms) {
    char text[TIME_TEXT_MAX];
    put_member(out, name, ms == 0 ? NULL : time_format(ms, text));
}

/* Moves a finished text into the work's arena. NULL: no memory. */
static const char *keep(struct work *work, struct buf *text) {
    const char *done = buf_str(text);
    const char *copy = done == NULL ? NULL : arena_strndup(&work->arena, done, text->len);
    buf_fini(text);
    return copy;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

static void begin_event(struct work *work, const char *type, int64_t now_ms) {
    if (work->event.len > 0) {
        buf_putc(&work->event, ',');
    }
    buf_putc(&work->event, '{');
    put_member(&work->event, "type", type);
    put_time(&work->event, "at", now_ms);
    put_member(&work->event, "notice", work->id);
    put_member(&work->event, "customer", work->record.customer);
}

void answers_event(struct work *work, int64_t now_ms) {
    begin_event(work, "notice", now_ms);
    put_member(&work->event, "template", work->record.notice);
    put_member(&work->event, "from", work->fence == 0 ? NULL : notice_state_name(work->stored));
    put_member(&work->event, "state", notice_state_name(work->state));
    put_member(&work->event, "reason", work->record.why);
    if (work->try_index < work->record.n_tries && (work->next == WORK_SEND || work->state == NOTICE_REACHED)) {
        const struct record_try *t = &work->record.tries[work->try_index];
        put_member(&work->event, "channel", t->channel);
        put_member(&work->event, "gateway", t->gateway);
    }
    buf_putc(&work->event, '}');
}

/* ---- banner -------------------------------------------------------------------------------------------------------- */

const char *answers_banner(struct work *work, const struct message *message, int64_t now_ms) {
    struct buf out = BUF_INIT;
    buf_puts(&out, "{\"v\":1");
    put_member(&out, "notice", work->id);
    put_member(&out, "severity", message->severity);
    put_member(&out, "locale", message->locale);
    put_member(&out, "dir", message->dir);
    put_member(&out, "title", message->title);
    put_member(&out, "text", message->text);
    put_member(&out, "html", message->html);
    put_member(&out, "link", message->link);
    put_time(&out, "since", now_ms);
    put_time(&out, "until", message->expires_at_ms);
    buf_putc(&out, '}');
    return keep(work, &out);
}

/* ---- a stranded customer ------------------------------------------------------------------------------------------- */

static void add_hold(struct work *work, int64_t now_ms) {
    struct buf out = BUF_INIT;
    buf_putc(&out, '{');
    put_member(&out, "notice", work->id);
    put_member(&out, "customer", work->record.customer);
    put_time(&out, "since", now_ms);
    buf_putc(&out, '}');
    const char *value = keep(work, &out);
    for (size_t i = 0; i < work->record.accounts.n; i++) {
        work_effect(work, QUEUE_HSET, value == NULL ? NULL : "holds", work->record.accounts.items[i], value, 0);
    }
}

/* The first reason why a contact point does not survive: what the desk reads first. */
static const char *desk_reason(const struct work *work) {
    if (work->action.exhausted) {
        return work->action.reason;
    }
    for (size_t i = 0; i < work->reach.n_contacts; i++) {
        if (!work->reach.contacts[i].survives) {
            return work->reach.contacts[i].reason;
        }
    }
    if (work->late) {
        return work->record.why;
    }
    return work->reach.n_contacts == 0 ? "no contact point is known" : work->action.reason;
}

static void add_desk_case(struct work *work, const struct work_place *place, int64_t now_ms) {
    struct buf out = BUF_INIT;
    buf_putc(&out, '{');
    put_member(&out, "notice", work->id);
    put_member(&out, "customer", work->record.customer);
    put_member(&out, "verdict", work->record.verdict);
    put_member(&out, "reason", desk_reason(work));
    put_member(&out, "owner", place->settings->desk.owner);
    put_time(&out, "opened_at", now_ms);
    put_time(&out, "effective_at", work->record.effective_at_ms);
    put_time(&out, "expires_at", work->record.expires_at_ms);
    put_member(&out, "state", "open");
    buf_putc(&out, '}');
    const char *value = keep(work, &out);
    work_effect(work, QUEUE_HSET, value == NULL ? NULL : "desk", work->id, value, 0);
    begin_event(work, "desk", now_ms);
    put_member(&work->event, "state", "open");
    buf_putc(&work->event, '}');
}

static int add_strand_banner(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct message message = {0};
    if (work_render(work, place, CHANNEL_BANNER, now_ms, &message, err) < 0) {
        return -1;
    }
    if (message.expires_at_ms == 0) {
        message.expires_at_ms = now_ms + place->settings->desk.banner_ms;
    }
    const char *value = answers_banner(work, &message, now_ms);
    const char *key = arena_printf(&work->arena, "banner:{%s}", work->record.customer);
    work_effect(work, QUEUE_SET, value == NULL ? NULL : key, NULL, value, message.expires_at_ms);
    return 0;
}

int answers_strand(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct err why;
    if (add_strand_banner(work, place, now_ms, &why) < 0) {
        if (work->fence == 0) { /* the job itself is at fault: answer the producer */
            work->next = WORK_REFUSE;
            work->refusal = why;
            work->refusal_state = NOTICE_DEAD;
            return 0;
        }
        log_error("notice %s: no banner for a stranded customer: %s", work->id, why.text);
    }
    add_hold(work, now_ms);
    add_desk_case(work, place, now_ms);
    work->record.desk = true;
    buf_putf(&work->counts, "%sdesk", work->counts.len == 0 ? "" : " ");
    return record_log(&work->record, &work->arena, now_ms, "desk", "hold, banner and desk case made") < 0 ? err_no_memory(err) : 0;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

/* Whether what was reached allows the account to be disabled. */
static bool is_cleared(const struct work *work) {
    const struct reach_contact *contact = &work->reach.contacts[work->action.contact];
    enum evidence best = EVIDENCE_NONE;
    for (size_t i = 0; i < work->record.n_tries; i++) {
        const struct plan_try *t = &work->record.tries[i].plan;
        if (t->step == work->action.step && !t->early_warning && !t->failed_later && t->best > best) {
            best = t->best;
        }
    }
    bool reacted = best >= EVIDENCE_SEEN;
    return contact->evidence_counts && (reacted || (!contact->weak && work->reach.verdict == VERDICT_REACHABLE));
}

static void add_clearance(struct work *work, const struct work_place *place, int64_t now_ms) {
    struct buf out = BUF_INIT;
    int64_t expires_at_ms = now_ms + place->settings->clearance.valid_ms;
    buf_putc(&out, '{');
    put_time(&out, "granted_at", now_ms);
    put_time(&out, "expires_at", expires_at_ms);
    put_member(&out, "notice", work->id);
    put_member(&out, "evidence", work->record.why);
    buf_putc(&out, '}');
    const char *value = keep(work, &out);
    for (size_t i = 0; i < work->record.n_own; i++) {
        const char *key = arena_printf(&work->arena, "clearance:{%s}", work->record.accounts.items[i]);
        work_effect(work, QUEUE_SET, value == NULL ? NULL : key, NULL, value, expires_at_ms);
    }
    begin_event(work, "clearance", now_ms);
    put_member(&work->event, "state", "granted");
    buf_putc(&work->event, '}');
    work->record.cleared = true;
}

static void drop_holds(struct work *work) {
    for (size_t i = 0; i < work->record.accounts.n; i++) {
        work_effect(work, QUEUE_HDEL, "holds", work->record.accounts.items[i], NULL, 0);
    }
}

static void drop_desk_case(struct work *work, int64_t now_ms) {
    work_effect(work, QUEUE_HDEL, "desk", work->id, NULL, 0);
    begin_event(work, "desk", now_ms);
    put_member(&work->event, "state", "closed");
    buf_putc(&work->event, '}');
    work->record.desk = false;
}

static void withdraw_clearance(struct work *work, int64_t now_ms) {
    for (size_t i = 0; i < work->record.n_own; i++) {
        work_effect(work, QUEUE_DEL, arena_printf(&work->arena, "clearance:{%s}", work->record.accounts.items[i]), NULL, NULL, 0);
    }
    begin_event(work, "clearance", now_ms);
    put_member(&work->event, "state", "withdrawn");
    put_member(&work->event, "reason", work->record.why);
    buf_putc(&work->event, '}');
    work->record.cleared = false;
}

int answers_late(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    if (work->news != EVIDENCE_WITHDRAWN) {
        return 0;
    }
    if (work->record.cleared) {
        withdraw_clearance(work, now_ms);
    }
    work_effect(work, QUEUE_DEL, arena_printf(&work->arena, "release:{%s}", work->record.customer), NULL, NULL, 0);
    if (!work->record.desk) {
        add_hold(work, now_ms);
        add_desk_case(work, place, now_ms);
        work->record.desk = true;
    }
    return record_log(&work->record, &work->arena, now_ms, "desk", "what was sent did not arrive: clearance withdrawn, desk case made") < 0
               ? err_no_memory(err)
               : 0;
}

/* Who was reached, and whether that clears the accounts. A stranded customer who saw the banner has no try and no contact point to
 * show for it: the reaction itself is the evidence. */
static void finish_reached(struct work *work, const struct work_place *place, int64_t now_ms) {
    bool reacted = work->stop == NOTICE_REACHED;
    const struct record_try *t = reacted ? NULL : work_try_of(work, work->action.step, work->action.contact);
    work->try_index = t == NULL ? 0 : (size_t)(t - work->record.tries);
    buf_putf(&work->counts, "%sreached.%s", work->counts.len == 0 ? "" : " ", t == NULL ? "reaction" : t->channel);
    if (work->record.n_own > 0 && (reacted || is_cleared(work))) {
        add_clearance(work, place, now_ms);
    }
}

/* The customer's contact data may go now, unless something else of theirs is still open: Redis looks when it writes. */
static void add_release(struct work *work, const struct work_place *place, int64_t now_ms) {
    struct buf out = BUF_INIT;
    int64_t expires_at_ms = now_ms + place->settings->clearance.valid_ms;
    buf_putc(&out, '{');
    put_time(&out, "granted_at", now_ms);
    put_time(&out, "expires_at", expires_at_ms);
    put_member(&out, "notice", work->id);
    buf_putc(&out, '}');
    const char *value = keep(work, &out);
    const char *key = arena_printf(&work->arena, "release:{%s}", work->record.customer);
    work_effect(work, QUEUE_FREE, value == NULL ? NULL : key, work->record.customer, value, expires_at_ms);
}

int answers_finish(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    enum notice_state state = work->state;
    bool reached = state == NOTICE_REACHED;
    bool stopped = state == NOTICE_RESOLVED || state == NOTICE_CANCELLED;
    if (reached) {
        finish_reached(work, place, now_ms);
    }
    if (stopped) {
        work_effect(work, QUEUE_DEL, arena_printf(&work->arena, "banner:{%s}", work->record.customer), NULL, NULL, 0);
    }
    bool handed_over = work->stop == NOTICE_HANDED_TO_DESK; /* by a person; a case that expired stays open */
    if ((reached || stopped) && work->record.desk) {
        drop_holds(work);
    }
    if ((reached || stopped || handed_over) && work->record.desk) {
        drop_desk_case(work, now_ms);
    }
    if (reached || stopped) {
        add_release(work, place, now_ms);
    }
    if (!reached && !stopped && !handed_over) {
        log_warning("notice %s: %s without having been reached; its hold and desk case stay", work->id, notice_state_name(state));
    }
    return record_log(&work->record, &work->arena, now_ms, notice_state_name(state), work->record.why) < 0 ? err_no_memory(err) : 0;
}
