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
#include "dispatcher/poison.h"
#include "dispatcher/work.h"

#include <stdlib.h>
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

void answers_put(struct buf *out, const char *name, const char *value) {
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

void answers_put_time(struct buf *out, const char *name, int64_t ms) {
    char text[TIME_TEXT_MAX];
    answers_put(out, name, ms == 0 ? NULL : time_format(ms, text));
}

/* Moves a finished text into the work's arena. NULL: no memory. */
const char *answers_keep(struct work *work, struct buf *text) {
    const char *done = buf_str(text);
    const char *copy = done == NULL ? NULL : arena_strndup(&work->arena, done, text->len);
    buf_fini(text);
    return copy;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

void answers_begin_event(struct work *work, const char *type, int64_t now_ms) {
    if (work->event.len > 0) {
        buf_putc(&work->event, ',');
    }
    buf_putc(&work->event, '{');
    answers_put(&work->event, "type", type);
    answers_put_time(&work->event, "at", now_ms);
    answers_put(&work->event, "notice", work->id);
    answers_put(&work->event, "customer", work->record.customer);
}

void answers_event(struct work *work, int64_t now_ms) {
    answers_begin_event(work, "notice", now_ms);
    answers_put(&work->event, "template", work->record.notice);
    answers_put(&work->event, "from", work->fence == 0 ? NULL : notice_state_name(work->stored));
    answers_put(&work->event, "state", notice_state_name(work->state));
    answers_put(&work->event, "reason", work->record.why);
    if (work->try_index < work->record.n_tries && (work->next == WORK_SEND || work->state == NOTICE_REACHED)) {
        const struct record_try *t = &work->record.tries[work->try_index];
        answers_put(&work->event, "channel", t->channel);
        answers_put(&work->event, "gateway", t->gateway);
    }
    buf_putc(&work->event, '}');
}

/* ---- a stranded customer ------------------------------------------------------------------------------------------- */

/* The first reason why a contact point does not survive: what the desk reads first. */
static const char *desk_reason(const struct work *work) {
    if (work->action.exhausted || work->buried) {
        return work->buried ? work->record.why : work->action.reason;
    }
    for (size_t i = 0; i < work->reach.n_contacts; i++) {
        if (!work->reach.contacts[i].survives) {
            return work->reach.contacts[i].reason;
        }
    }
    if (work->late || work->state == NOTICE_REACHED) {
        return work->record.why;
    }
    return work->reach.n_contacts == 0 ? "no contact point is known" : work->action.reason;
}

static void add_desk_case(struct work *work, const struct work_place *place, int64_t now_ms) {
    struct buf out = BUF_INIT;
    buf_putc(&out, '{');
    answers_put(&out, "notice", work->id);
    answers_put(&out, "customer", work->record.customer);
    answers_put(&out, "verdict", work->record.verdict);
    answers_put(&out, "reason", desk_reason(work));
    answers_put(&out, "owner", place->settings->desk.owner);
    answers_put_time(&out, "opened_at", now_ms);
    answers_put_time(&out, "effective_at", work->record.effective_at_ms);
    answers_put_time(&out, "expires_at", work->record.expires_at_ms);
    answers_put(&out, "state", "open");
    buf_putc(&out, '}');
    const char *value = answers_keep(work, &out);
    work_effect(work, QUEUE_HSET, value == NULL ? NULL : "desk", work->id, value, 0);
    answers_begin_event(work, "desk", now_ms);
    answers_put(&work->event, "state", "open");
    buf_putc(&work->event, '}');
}

static int add_strand_banner(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    struct message message = {0};
    if (work_render(work, place, CHANNEL_BANNER, now_ms, &message, err) < 0) {
        return -1;
    }
    int64_t until_ms = banners_until_ms(work, place, now_ms);
    banners_put(work, place, banners_record(work, &message, now_ms, until_ms), now_ms, until_ms);
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
    answers_hold(work, now_ms);
    add_desk_case(work, place, now_ms);
    work->record.desk = true;
    buf_putf(&work->counts, "%sdesk", work->counts.len == 0 ? "" : " ");
    return record_log(&work->record, &work->arena, now_ms, "desk", "hold, banner and desk case made") < 0 ? err_no_memory(err) : 0;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static void drop_desk_case(struct work *work, int64_t now_ms) {
    work_effect(work, QUEUE_HDEL, "desk", work->id, NULL, 0);
    answers_begin_event(work, "desk", now_ms);
    answers_put(&work->event, "state", "closed");
    buf_putc(&work->event, '}');
    work->record.desk = false;
}

/* A notice that has ended with a hold or a desk case left lets go of them: a person has seen to the case, or there is nothing to tell any
 * more (then of the account too). */
static int let_go(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    if (work->record.desk) {
        drop_desk_case(work, now_ms);
    }
    if (work->document.type != JOB_DESK) {
        if (work->record.held) {
            answers_unhold(work);
        }
        answers_release(work, place, now_ms);
    }
    banners_take(work);
    return record_log(&work->record, &work->arena, now_ms, notice_state_name(work->stop), work->record.why) < 0 ? err_no_memory(err) : 0;
}

static bool is_control(const struct work *work) {
    return work->document.type == JOB_RESOLVE || work->document.type == JOB_CANCEL || work->document.type == JOB_DESK;
}

int answers_late(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    if (is_control(work)) {
        return let_go(work, place, now_ms, err);
    }
    if (work->news != EVIDENCE_WITHDRAWN) {
        return 0;
    }
    if (work->record.cleared) {
        answers_withdraw(work, now_ms);
    }
    work_effect(work, QUEUE_DEL, arena_printf(&work->arena, "release:{%s}", work->record.customer), NULL, NULL, 0);
    if (!work->record.desk) {
        answers_hold(work, now_ms);
        add_desk_case(work, place, now_ms);
        work->record.desk = true;
    }
    return record_log(&work->record, &work->arena, now_ms, "desk", "what was sent did not arrive: clearance withdrawn, desk case made") < 0
               ? err_no_memory(err)
               : 0;
}

/* Who was reached, and whether that clears the accounts. A stranded customer who saw the banner has no try and no contact point to
 * show for it: the reaction itself is the evidence. False where it clears nothing and a person has to look. */
static bool finish_reached(struct work *work, const struct work_place *place, int64_t now_ms) {
    bool reacted = work->stop == NOTICE_REACHED;
    const struct record_try *t = reacted ? NULL : work_try_of(work, work->action.step, work->action.contact);
    work->try_index = t == NULL ? 0 : (size_t)(t - work->record.tries);
    buf_putf(&work->counts, "%sreached.%s", work->counts.len == 0 ? "" : " ", t == NULL ? "reaction" : t->channel);
    const char *why = NULL;
    if (!answers_grant(work, place, now_ms, &why)) {
        work->record.why = why;
        return false;
    }
    return true;
}

/* What its messages were made with stays with a finished notice, because its job goes. */
static int keep_data(struct work *work, struct err *err) {
    const json_t *data = work->document.type == JOB_NOTICE ? work->document.job.data : NULL;
    if (work->record.version == NULL || data == NULL || work->record.data != NULL) {
        return 0;
    }
    char *text = json_dumps(data, JSON_COMPACT);
    work->record.data = text == NULL ? NULL : arena_strdup(&work->arena, text);
    free(text);
    return work->record.data == NULL ? err_no_memory(err) : 0;
}

int answers_finish(struct work *work, const struct work_place *place, int64_t now_ms, struct err *err) {
    enum notice_state state = work->state;
    bool reached = state == NOTICE_REACHED;
    bool stopped = state == NOTICE_RESOLVED || state == NOTICE_CANCELLED;
    bool cleared = !reached || finish_reached(work, place, now_ms);
    work_count_finished(work);
    if (keep_data(work, err) < 0) {
        return -1;
    }
    bool handed_over = work->stop == NOTICE_HANDED_TO_DESK && !work->buried; /* by a person; a case that expired stays open */
    if (stopped || (!reached && work->record.banner &&
                    !work->buried)) { /* who was reached may still want to read it; it goes when they act or put it away */
        banners_take(work);
    }
    bool over = (reached || stopped) && cleared;
    if (over && work->record.held) {
        answers_unhold(work);
    }
    if ((over || handed_over) && work->record.desk) {
        drop_desk_case(work, now_ms);
    }
    if (work->buried) {
        poison_bury(work, now_ms);
    }
    if ((!cleared || work->buried) && !work->record.desk) {
        answers_hold(work, now_ms);
        add_desk_case(work, place, now_ms);
        work->record.desk = true;
    }
    if (over) {
        answers_release(work, place, now_ms);
    }
    if (!reached && !stopped && !handed_over) {
        log_warning("notice %s: %s without having been reached; its hold and desk case stay", work->id, notice_state_name(state));
    }
    return record_log(&work->record, &work->arena, now_ms, notice_state_name(state), work->record.why) < 0 ? err_no_memory(err) : 0;
}
