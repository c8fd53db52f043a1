/* refusals: see refusals.h.
 *
 * What is refused in a turn of the loop is written in one round trip and told in the log when Redis has answered: only then is it certain
 * (the notice of an entry that killed its workers may have begun, and goes on).
 *
 * Guarantees: a job that cannot be used goes to the dead letters whole, with the member at fault and a reason (P12). How it fails: for want
 * of memory the entry is let go and comes back after its lease; what Redis refuses stays pending. Does not: decide what is refused. */
#include "dispatcher/refusals.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { POISON_DELIVERIES = 4, REFUSE_MAX = 512 };

struct refused {
    struct work *work; /* owned */
    enum notice_state state;
    bool is_poison;
    char member[96];
    char reason[400];
    char event[1200];
};

struct refusal_list {
    struct worker *worker;
    struct refusal_list *prev, *next; /* among those that are on their way */
    size_t n;
    struct refused items[REFUSE_MAX];
};

static void refusal_event(struct worker *w, const struct work *work, struct refused *item) {
    char at[TIME_TEXT_MAX];
    struct buf out = BUF_INIT;
    buf_putf(&out, "{\"type\":\"notice\",\"at\":\"%s\",\"notice\":", time_format(clock_wall_ms(w->place.clock), at));
    buf_put_json_str(&out, work->id);
    buf_putf(&out, ",\"state\":\"%s\",\"member\":", notice_state_name(item->state));
    buf_put_json_str(&out, item->member);
    buf_puts(&out, ",\"reason\":");
    buf_put_json_str(&out, item->reason);
    buf_putc(&out, '}');
    const char *text = buf_str(&out);
    (void)snprintf(item->event, sizeof item->event, "%s", text == NULL || out.len >= sizeof item->event ? "" : text);
    buf_fini(&out);
}

bool refusals_is_poison(const struct work *work) {
    return work->has_entry && work->entry.deliveries >= POISON_DELIVERIES;
}

void refusals_add(struct worker *w, struct work *work_take, enum notice_state state, const struct err *why) {
    if (w->refusals == NULL && (w->refusals = calloc(1, sizeof *w->refusals)) != NULL) {
        w->refusals->worker = w;
    }
    if (w->refusals != NULL && w->refusals->n == REFUSE_MAX) {
        refusals_flush(w);
    }
    if (w->refusals == NULL || w->refusals->n == REFUSE_MAX) {
        log_error("out of memory for a refusal; the entry comes back after its lease");
        queue_let_go(w->queue, work_take->entry.lane, work_take->entry.stream_id);
        work_free(work_take);
        return;
    }
    struct refused *item = &w->refusals->items[w->refusals->n++];
    item->work = work_take;
    item->state = state;
    item->is_poison = state == NOTICE_DEAD && refusals_is_poison(work_take);
    (void)snprintf(item->member, sizeof item->member, "%s", why->member);
    (void)snprintf(item->reason, sizeof item->reason, "%s", why->text);
    refusal_event(w, work_take, item);
    worker_schedule(w);
}

void intake_refuse(struct worker *w, struct work *work, enum notice_state state, const struct err *why) {
    work_leave_place(work, &w->place);
    worker_remove(w, work);
    refusals_add(w, work, state, why);
}

/* What became of a refusal, once that is certain. */
static void tell(const struct refused *item, enum queue_result result) {
    const char *id = item->work->id == NULL ? "without id" : item->work->id;
    const char *entry = item->work->entry.stream_id;
    if (result == QUEUE_BEGUN) {
        log_notice("stream entry %s was handed out %u times without an end; its notice had begun before and goes on without it", entry,
                   item->work->entry.deliveries);
    } else if (result == QUEUE_APPLIED && item->is_poison) {
        log_error("ALARM: stream entry %s was handed out %u times and its worker lost each time: it is in the dead letters, unread", entry,
                  item->work->entry.deliveries);
    } else if (result == QUEUE_APPLIED && item->state == NOTICE_DEAD) {
        log_warning("job %s: dead: %s%s%s", id, item->member, item->member[0] == '\0' ? "" : ": ", item->reason);
    }
}

static void empty(struct refusal_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        work_free(list->items[i].work);
    }
    list->n = 0;
}

static void on_refused(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    struct refusal_list *list = ctx;
    struct worker *w = list->worker;
    for (size_t i = 0; results != NULL && i < n; i++) {
        tell(&list->items[i], results[i]);
    }
    if (err != NULL) {
        log_error("%zu refusals could not be written: %s", n, err->text);
    }
    DL_DELETE(w->refusals_out, list);
    empty(list);
    if (w->refusals == NULL) {
        w->refusals = list; /* it is large, and used again */
    } else {
        free(list);
    }
    worker_schedule(w);
}

void refusals_flush(struct worker *w) {
    struct refusal_list *list = w->refusals;
    if (list == NULL || list->n == 0) {
        return;
    }
    struct queue_refusal refusals[REFUSE_MAX];
    for (size_t i = 0; i < list->n; i++) {
        const struct refused *item = &list->items[i];
        refusals[i] = (struct queue_refusal){
            .entry = &item->work->entry,
            .state = item->state,
            .id = item->work->id,
            .member = item->member,
            .reason = item->reason,
            .event = item->event[0] == '\0' ? NULL : item->event,
            .unless_begun = item->is_poison,
        };
    }
    struct err err;
    w->refusals = NULL;
    DL_APPEND(w->refusals_out, list);
    if (queue_refuse(w->queue, refusals, list->n, on_refused, list, &err) < 0) {
        on_refused(list, NULL, list->n, &err); /* the entries stay pending */
    }
}

static void free_list(struct refusal_list *list) {
    if (list != NULL) {
        empty(list);
        free(list);
    }
}

void refusals_fini(struct worker *w) {
    struct refusal_list *list, *next;
    DL_FOREACH_SAFE(w->refusals_out, list, next) {
        free_list(list);
    }
    free_list(w->refusals);
    w->refusals = w->refusals_out = NULL;
}
