/* receipts: later evidence on its way into the records.
 *
 *   batch ──▶ parse ──▶ notice by gateway and ref (one round trip, where needed) ──▶ look up ──▶ a work per receipt ──▶ change
 *                                                  └─ not known (yet): early.c hands it in again, for a while
 *
 * Guarantees: a receipt is acknowledged only when its notice's record carries it, or when it says nothing new, or, with its reason
 * in the dead letters, when it can never be used. A notice that is being sent right now is not disturbed: the receipt waits
 * RETRY_MS and looks again. One whose message is not known (yet) is kept for a while (early.h): a bounce may be here before the gateway's
 * answer is recorded.
 *
 * Fails: what memory does not suffice for stays pending and comes back after the lease. */
#include "dispatcher/intake.h"

#include "base/log.h"
#include "dispatcher/early.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 250 };

/* LEFT: comes back after its lease; KEPT: stays in hand, others have it (early.c). */
enum fate { FATE_OPEN, FATE_DONE, FATE_REFUSED, FATE_LEFT, FATE_KEPT };

struct item {
    struct receipt_batch *batch;
    struct queue_receipt receipt; /* in the batch's arena */
    struct receipt parsed;
    const char *notice; /* id, once known */
    enum fate fate;
    bool taken; /* a work carries it */
    char reason[512];
};

struct receipt_batch {
    struct worker *worker;
    struct arena arena;
    struct event *timer;
    size_t n;
    int64_t since_ms; /* monotonic: when they came first */
    size_t open;      /* items whose fate is not known, plus one while the batch is being worked through */
    bool again;       /* something has to wait and be looked at again */
    struct item items[];
};

static void find_refs(struct receipt_batch *batch);

/* ---- the end of a batch -------------------------------------------------------------------------------------------- */

/* What cannot be acknowledged comes back after its lease. */
static void let_go(const struct receipt_batch *batch, const struct queue_receipt *receipts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        queue_let_go_receipt(batch->worker->queue, receipts[i].stream_id);
    }
}

static void tell_queue(struct receipt_batch *batch) {
    struct err err;
    size_t n = 0;
    struct queue_receipt *receipts = calloc(batch->n + 1, sizeof *receipts);
    const char **reasons = calloc(batch->n + 1, sizeof *reasons);
    for (size_t i = 0; receipts != NULL && reasons != NULL && i < batch->n; i++) {
        const struct item *item = &batch->items[i];
        if (item->fate == FATE_DONE || item->fate == FATE_REFUSED) {
            receipts[n] = item->receipt;
            reasons[n++] = item->fate == FATE_REFUSED ? item->reason : NULL;
        }
    }
    if (receipts == NULL || reasons == NULL) {
        log_error("out of memory for receipts; they come back after their lease");
        for (size_t i = 0; i < batch->n; i++) {
            if (batch->items[i].fate != FATE_KEPT) {
                let_go(batch, &batch->items[i].receipt, 1);
            }
        }
    } else if (n > 0 && queue_receipts_done(batch->worker->queue, receipts, reasons, n, &err) < 0) {
        log_error("receipts could not be acknowledged: %s; they come back after their lease", err.text);
        let_go(batch, receipts, n);
    }
    free(receipts);
    free(reasons);
}

static void release(struct receipt_batch *batch) {
    if (--batch->open > 0) {
        return;
    }
    tell_queue(batch);
    if (batch->timer != NULL) {
        event_free(batch->timer);
    }
    arena_fini(&batch->arena);
    free(batch);
}

static void settle(struct item *item, enum fate fate) {
    item->fate = fate;
    if (fate == FATE_LEFT) {
        queue_let_go_receipt(item->batch->worker->queue, item->receipt.stream_id);
    }
    release(item->batch);
}

static void refuse(struct item *item, const struct err *why) {
    log_warning("receipt refused: %s%s%s", why->member, why->member[0] == '\0' ? "" : ": ", why->text);
    (void)snprintf(item->reason, sizeof item->reason, "%s%s%s", why->member, why->member[0] == '\0' ? "" : ": ", why->text);
    settle(item, FATE_REFUSED);
}

/* Gives up on what nobody carries yet: it stays pending and comes back after its lease. */
static void leave_open(struct receipt_batch *batch) {
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->items[i].fate == FATE_OPEN && !batch->items[i].taken) {
            settle(&batch->items[i], FATE_LEFT);
        }
    }
}

/* ---- one receipt on its notice ------------------------------------------------------------------------------------- */

static void on_work_end(void *ctx, struct work *work, bool applied) {
    (void)work;
    settle(ctx, applied ? FATE_DONE : FATE_LEFT);
}

static int describe(struct work *work, const struct receipt *receipt, int64_t now_ms) {
    const char *detail = receipt->detail == NULL ? NULL : arena_strdup(&work->arena, receipt->detail);
    return record_log(&work->record, &work->arena, now_ms, receipt_status_name(receipt->status), detail);
}

/* A customer whom no machine could reach was never sent anything, but the banner that was put up for them was seen. */
static bool reacted_while_stranded(const struct work *work, const struct receipt *receipt) {
    return work->record.desk && !work->late &&
           (receipt->status == RECEIPT_SEEN || receipt->status == RECEIPT_DISMISSED || receipt->status == RECEIPT_ACKNOWLEDGED);
}

/* True where the notice's record is to change. */
static bool take_evidence(struct work *work, const struct receipt *receipt, int64_t now_ms) {
    static const enum life_event events[] = {
        [RECEIPT_DELIVERED] = LIFE_EVIDENCE_DELIVERED, [RECEIPT_FAILED] = LIFE_FAILED_LATER,
        [RECEIPT_BOUNCED] = LIFE_FAILED_LATER,         [RECEIPT_SEEN] = LIFE_EVIDENCE_SEEN,
        [RECEIPT_DISMISSED] = LIFE_EVIDENCE_SEEN,      [RECEIPT_ACKNOWLEDGED] = LIFE_EVIDENCE_ACKNOWLEDGED};
    work->late = notice_state_final(work->state);
    work->news = evidence_apply(&work->record, receipt, now_ms);
    work->dismissed = receipt->status == RECEIPT_DISMISSED && work->record.banner;
    bool better = work->news == EVIDENCE_BETTER || work->news == EVIDENCE_WITHDRAWN;
    if (work->news == EVIDENCE_WITHDRAWN && receipt->status == RECEIPT_BOUNCED) {
        const struct record_try *t = evidence_try(&work->record, receipt);
        work->dead_contact = t == NULL ? NULL : arena_strdup(&work->arena, t->plan.contact_key);
    }
    if (better && !work->late && work_event(work, events[receipt->status], NULL) < 0) {
        log_warning("notice %s: %s while %s", work->id, receipt_status_name(receipt->status), notice_state_name(work->state));
    }
    if (!better && reacted_while_stranded(work, receipt)) {
        work->stop = NOTICE_REACHED;
        work->reaction = receipt->status == RECEIPT_ACKNOWLEDGED ? EVIDENCE_ACKNOWLEDGED : EVIDENCE_SEEN;
        work->record.why = receipt->status == RECEIPT_ACKNOWLEDGED ? "the customer acknowledged" : "the customer saw the banner";
    } else if (!better && !work->dismissed) {
        return false;
    } else if (!work->late) {
        work->note_only = true;
    } else {
        work->stop = work->state;
        work->record.why = work->news == EVIDENCE_WITHDRAWN ? "what was sent did not arrive" : work->record.why;
    }
    return true;
}

/* How fast a gateway delivers decides about its share of the load. */
static void note_delivery(struct worker *w, struct work *work, const struct receipt *receipt, bool changed, int64_t now_ms) {
    const struct record_try *t = receipt->status == RECEIPT_DELIVERED && changed ? evidence_try(&work->record, receipt) : NULL;
    if (t != NULL && t->gateway != NULL) {
        gateways_delivered(w->place.gateways, t->gateway, now_ms - t->plan.last_at_ms, now_ms);
    }
}

static void take_up(struct item *item, const struct queue_found *found, int64_t now_ms) {
    struct worker *w = item->batch->worker;
    const char *job = found->held.job == NULL ? "{}" : found->held.job;
    struct err err;
    struct work *work = work_new(job, strlen(job));
    if (work == NULL || (found->held.job != NULL && work_parse(work, w->place.rules, NULL, &err) < 0)) {
        log_error("notice %s: a receipt cannot be applied: %s", item->notice, work == NULL ? "out of memory" : err.text);
        work_free(work);
        settle(item, FATE_LEFT);
        return;
    }
    work->id = arena_strdup(&work->arena, item->notice);
    (void)err_no_memory(&err);
    if (work->id == NULL || work_resume(work, &w->place, &found->held, now_ms, &err) < 0) {
        log_error("notice %s: a receipt cannot be applied: %s", item->notice, err.text);
        work_free(work);
        settle(item, FATE_LEFT);
        return;
    }
    if (item->parsed.customer != NULL && strcmp(item->parsed.customer, work->record.customer) != 0) {
        (void)err_member(&err, "customer", "the notice is another customer's");
        work_free(work);
        refuse(item, &err);
        return;
    }
    bool changed = take_evidence(work, &item->parsed, now_ms);
    note_delivery(w, work, &item->parsed, changed, now_ms);
    if (!changed || describe(work, &item->parsed, now_ms) < 0) {
        work_free(work);
        settle(item, changed ? FATE_LEFT : FATE_DONE); /* left for want of memory: it comes back */
        return;
    }
    work->on_end = on_work_end;
    work->end_ctx = item;
    worker_add(w, work);
    worker_make_ready(w, work);
}

/* 1 it has to wait: the notice is in somebody's hands. */
static int must_wait(const struct item *item, const struct queue_found *found) {
    return worker_find(item->batch->worker, item->notice) != NULL || (found->held.found && found->held.state == NOTICE_SENDING);
}

/* ---- the batch ----------------------------------------------------------------------------------------------------- */

static void on_retry(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct receipt_batch *batch = ctx;
    find_refs(batch);
    release(batch);
}

/* What must wait is looked at again a little later; the batch stays until then. */
static void end_round(struct receipt_batch *batch) {
    struct timeval wait = {.tv_usec = RETRY_MS * 1000};
    if (!batch->again) {
        return;
    }
    batch->again = false;
    batch->open++;
    if (batch->timer == NULL) {
        batch->timer = evtimer_new(batch->worker->base, on_retry, batch);
    }
    if (batch->timer == NULL || batch->worker->draining || evtimer_add(batch->timer, &wait) < 0) {
        leave_open(batch);
        release(batch);
    }
}

/* Whether its notice is to be looked up in this round. */
static bool is_wanted(const struct item *item) {
    return item->fate == FATE_OPEN && !item->taken && item->notice != NULL;
}

static void on_found(void *ctx, const struct queue_found *found, size_t n, struct arena *arena_take) {
    struct receipt_batch *batch = ctx;
    int64_t now_ms = clock_wall_ms(batch->worker->place.clock);
    for (size_t i = 0, k = 0; i < batch->n && k < n; i++) {
        struct item *item = &batch->items[i];
        if (!is_wanted(item)) {
            continue;
        }
        const struct queue_found *mine = &found[k++];
        struct err why;
        if (must_wait(item, mine)) {
            batch->again = true;
        } else if (!mine->held.found) {
            err_clear(&why);
            (void)err_member(&why, "notice", "no notice with this id is known");
            refuse(item, &why);
        } else {
            item->taken = true;
            take_up(item, mine, now_ms);
        }
    }
    end_round(batch);
    arena_fini(arena_take);
    release(batch);
}

static void look_up_batch(struct receipt_batch *batch) {
    struct err err;
    size_t n = 0;
    const char **names = calloc(2 * batch->n + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < batch->n; i++) {
        if (is_wanted(&batch->items[i])) {
            names[batch->n + n] = batch->items[i].parsed.customer;
            names[n++] = batch->items[i].notice;
        }
    }
    batch->open++;
    if (names == NULL || (n > 0 && queue_lookup(batch->worker->queue, names, names + batch->n, n, on_found, batch, &err) < 0)) {
        log_error("out of memory for receipts; they come back after their lease");
        leave_open(batch);
        release(batch);
    } else if (n == 0) {
        end_round(batch);
        release(batch);
    }
    free(names);
}

static void on_refs(void *ctx, const char *const *values, size_t n, struct arena *arena_take) {
    struct receipt_batch *batch = ctx;
    for (size_t i = 0, k = 0; i < batch->n && k < n; i++) {
        struct item *item = &batch->items[i];
        if (item->fate != FATE_OPEN || item->notice != NULL) {
            continue;
        }
        const char *id = values[k++];
        item->notice = id == NULL ? NULL : arena_strdup(&batch->arena, id);
        if (id != NULL && item->notice == NULL) {
            settle(item, FATE_LEFT);
        } else if (id == NULL && early_keep(batch->worker, &item->receipt, batch->since_ms)) {
            settle(item, FATE_KEPT);
        } else if (id == NULL) {
            struct err why;
            err_clear(&why);
            (void)err_member(&why, "ref", "no message with this gateway and ref is known");
            refuse(item, &why);
        }
    }
    arena_fini(arena_take);
    look_up_batch(batch);
    release(batch);
}

/* Receipts that name the message and not the notice: one round trip for all of them. */
static void find_refs(struct receipt_batch *batch) {
    size_t n = 0;
    struct err err;
    struct queue_ask *asks = calloc(batch->n + 1, sizeof *asks);
    if (asks == NULL) {
        log_error("out of memory for receipts; they come back after their lease");
        leave_open(batch);
        return;
    }
    for (size_t i = 0; i < batch->n; i++) {
        const struct item *item = &batch->items[i];
        if (item->fate == FATE_OPEN && item->notice == NULL) {
            const char *key = work_ref_key(&batch->arena, item->parsed.gateway, item->parsed.ref);
            asks[n++] = (struct queue_ask){QUEUE_ASK_STRING, key == NULL ? "" : key, NULL};
        }
    }
    batch->open++;
    if (n == 0) {
        look_up_batch(batch);
        release(batch);
    } else if (queue_read(batch->worker->queue, asks, n, on_refs, batch, &err) < 0) {
        log_error("receipts are left for later: %s", err.text);
        leave_open(batch);
        release(batch);
    }
    free(asks);
}

void intake_take_receipts(struct worker *w, const struct queue_receipt *receipts, size_t n, int64_t since_ms, struct arena *arena_take) {
    struct receipt_batch *batch = calloc(1, sizeof *batch + n * sizeof batch->items[0]);
    if (batch == NULL) {
        log_error("out of memory for receipts; they come back after their lease");
        arena_fini(arena_take);
        return;
    }
    batch->worker = w;
    batch->arena = *arena_take;
    batch->n = n;
    batch->since_ms = since_ms;
    batch->open = n + 1;
    for (size_t i = 0; i < n; i++) {
        struct item *item = &batch->items[i];
        struct err why;
        item->batch = batch;
        item->receipt = receipts[i];
        if (receipts[i].body == NULL) {
            err_clear(&why);
            (void)err_member(&why, "receipt", "the stream entry has no field named receipt");
            refuse(item, &why);
        } else if (receipt_parse(receipts[i].body, receipts[i].body_len, &batch->arena, &item->parsed, &why) < 0) {
            refuse(item, &why);
        } else {
            item->notice = item->parsed.notice;
        }
    }
    find_refs(batch);
    release(batch);
}

void intake_on_receipts(void *ctx, const struct queue_receipt *receipts, size_t n, struct arena *arena_take) {
    struct worker *w = ctx;
    intake_take_receipts(w, receipts, n, clock_mono_ms(w->place.clock), arena_take);
}
