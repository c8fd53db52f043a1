/* settle: refused jobs, duplicates, control jobs and receipts become one call of lua/settle.lua.
 *
 * The arguments are laid out as the script describes them: one packed specification for the whole batch, the distinct lists of
 * counters once, then a row per item with only what that item has.
 *
 * Guarantees: what the caller passed is copied. After the answer the entries of the batch are no longer "in hand". Fails: by want
 * of memory, at once; a script that refuses for good is told to the caller with results NULL. */
#include "queue/acks.h"
#include "queue/arguments.h"
#include "queue/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LISTS_MAX = 4095, EFFECTS_MAX = 4095, STREAM_ID_MAX = 48 };

/* An entry that is in hand until the answer. */
struct settled {
    enum stream stream;
    char id[STREAM_ID_MAX];
};

struct batch {
    queue_apply_fn *done; /* NULL: nobody asks */
    void *ctx;
    size_t n;
    enum queue_result *results;
    struct settled *settled;
    size_t n_settled;
    size_t n_receipts;
};

/* ---- the batch ----------------------------------------------------------------------------------------------------- */

static void batch_free(struct batch *batch) {
    if (batch != NULL) {
        free(batch->results);
        free(batch->settled);
        free(batch);
    }
}

static struct batch *batch_new(size_t n, queue_apply_fn *done, void *ctx) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return NULL;
    }
    batch->done = done;
    batch->ctx = ctx;
    batch->n = n;
    batch->results = calloc(n, sizeof *batch->results);
    batch->settled = calloc(n, sizeof *batch->settled);
    if (batch->results == NULL || batch->settled == NULL) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

static void batch_add(struct batch *batch, enum stream stream, const char *id) {
    struct settled *settled = &batch->settled[batch->n_settled++];
    size_t len = strlen(id);
    settled->stream = stream;
    assert(len < sizeof settled->id);
    memcpy(settled->id, id, len + 1);
}

static int on_answer(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    (void)part;
    struct batch *batch = call->data;
    if (!reply_is_string(reply) || (size_t)reply->len != batch->n) {
        return -1;
    }
    for (size_t i = 0; i < batch->n; i++) {
        batch->results[i] = reply->str[i] == 'A' ? QUEUE_APPLIED : reply->str[i] == 'B' ? QUEUE_BEGUN : QUEUE_STALE;
    }
    return 0;
}

static void on_finish(struct queue *queue, struct call *call, const struct err *err) {
    struct batch *batch = call->data;
    for (size_t i = 0; i < batch->n_settled; i++) {
        (void)held_remove(&queue->held, batch->settled[i].stream, batch->settled[i].id);
    }
    queue->reading.receipts_out -= batch->n_receipts < queue->reading.receipts_out ? batch->n_receipts : queue->reading.receipts_out;
    queue->upkeep.trim_wanted = true;
    if (batch->done != NULL) {
        batch->done(batch->ctx, err == NULL ? batch->results : NULL, batch->n, err);
    }
}

static void on_drop(struct call *call) {
    batch_free(call->data);
}

static const struct call_kind batch_kind = {on_answer, on_finish, on_drop, false, NULL};

/* ---- the arguments ------------------------------------------------------------------------------------------------- */

static void put_base64(struct buf *spec, size_t number) {
    buf_putc(spec, (char)('0' + number / 64));
    buf_putc(spec, (char)('0' + number % 64));
}

/* The last four characters of an item's specification: index of its counters, number of its effects. 0 or -1. */
static int put_tail(struct buf *spec, struct counts_wanted *lists, const char *counts, size_t n_effects, struct err *err) {
    int index = counts_wanted_add(lists, counts);
    assert(n_effects <= EFFECTS_MAX);
    if (index < 0) {
        return err_no_memory(err);
    }
    if (index > LISTS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d different lists of counters in one batch", LISTS_MAX);
    }
    put_base64(spec, (size_t)index);
    put_base64(spec, n_effects);
    return 0;
}

static void put_text(struct command *command, const char *text) {
    command_puts(command, text == NULL ? "" : text);
}

/* Everything before the rows. */
static void put_head(struct queue *queue, struct command *command, enum script_id script, size_t n, const struct buf *spec,
                     const struct counts_wanted *lists) {
    call_script(queue, command, script, KEY_NOTICES, KEY_CHANGING);
    command_puts(command, queue->settings->prefix);
    command_put_i64(command, queue->settings->events_max);
    command_put_i64(command, (int64_t)n);
    command_put(command, spec->data, spec->len);
    command_put_i64(command, (int64_t)lists->n);
    for (size_t i = 0; i < lists->n; i++) {
        command_puts(command, lists->items[i].names);
    }
}

/* ---- settle: refusals, control jobs, receipts ---------------------------------------------------------------------- */

/* The three of them in one form. */
struct settling {
    struct ack ack;
    char state; /* letter or '-' */
    bool dead, unless_begun;
    const char *body;
    size_t body_len;
    const char *reason, *member, *id;
    const char *counts, *event;
    const struct queue_effect *effects;
    size_t n_effects;
};

static int spec_settling(struct buf *spec, struct counts_wanted *lists, const struct settling *item, struct err *err) {
    buf_putc(spec, item->state);
    buf_putc(spec, !item->dead ? '0' : item->unless_begun ? '2' : '1');
    buf_putc(spec, item->event != NULL ? '1' : '0');
    return put_tail(spec, lists, item->counts, item->n_effects, err);
}

static void row_settling(struct command *command, const char *now, const struct settling *item) {
    acks_put(command, &item->ack, 1);
    if (item->dead) {
        command_put(command, item->body == NULL ? "" : item->body, item->body_len);
        put_text(command, item->reason);
        put_text(command, item->member);
        put_text(command, item->id);
        command_puts(command, now);
    }
    if (item->event != NULL) {
        command_puts(command, item->event);
    }
    arguments_put_effects(command, item->effects, item->n_effects);
}

static int settle(struct queue *queue, const struct settling *items, size_t n, queue_apply_fn *done, void *ctx, struct err *err) {
    struct buf spec = BUF_INIT;
    struct counts_wanted lists = COUNTS_WANTED_INIT;
    char now[TIME_TEXT_MAX];
    int rc = -1;
    struct batch *batch = batch_new(n, done, ctx);
    struct call *call = batch == NULL ? NULL : call_new(&batch_kind, batch);
    if (call == NULL) {
        batch_free(batch);
        return err_no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (spec_settling(&spec, &lists, &items[i], err) < 0) {
            call_free(call);
            goto out;
        }
        batch_add(batch, items[i].ack.stream, items[i].ack.id);
        batch->n_receipts += items[i].ack.stream == STREAM_RECEIPTS;
    }
    call->n_parts = 1;
    put_head(queue, &call->parts[0], SCRIPT_SETTLE, n, &spec, &lists);
    (void)time_format(clock_wall_ms(queue->clock), now);
    for (size_t i = 0; i < n; i++) {
        row_settling(&call->parts[0], now, &items[i]);
    }
    call->parts[0].bytes.failed = call->parts[0].bytes.failed || spec.failed;
    rc = call_submit(queue, call, err);
out:
    buf_fini(&spec);
    counts_wanted_fini(&lists);
    return rc;
}

static struct ack entry_ack(const struct queue *queue, const struct queue_entry *entry) {
    return ack_of(&queue->held, (enum stream)entry->lane, entry->stream_id, &entry->leased);
}

int queue_refuse(struct queue *queue, const struct queue_refusal *refusals, size_t n, queue_apply_fn *done, void *ctx, struct err *err) {
    assert(n > 0);
    struct settling *items = calloc(n, sizeof *items);
    if (items == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        const struct queue_refusal *refusal = &refusals[i];
        assert(notice_state_final(refusal->state) && !notice_state_held(refusal->state));
        items[i] = (struct settling){.ack = entry_ack(queue, refusal->entry),
                                     .state = notice_state_letter(refusal->state),
                                     .dead = refusal->state == NOTICE_DEAD,
                                     .unless_begun = refusal->unless_begun,
                                     .body = refusal->entry->body,
                                     .body_len = refusal->entry->body_len,
                                     .reason = refusal->reason,
                                     .member = refusal->member,
                                     .id = refusal->id,
                                     .event = refusal->event};
    }
    int rc = settle(queue, items, n, done, ctx, err);
    free(items);
    return rc;
}

int queue_control(struct queue *queue, const struct queue_control *controls, size_t n, queue_apply_fn *done, void *ctx, struct err *err) {
    assert(n > 0);
    struct settling *items = calloc(n, sizeof *items);
    if (items == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        const struct queue_control *control = &controls[i];
        items[i] = (struct settling){.ack = entry_ack(queue, control->entry),
                                     .state = '-',
                                     .counts = control->counts,
                                     .event = control->event,
                                     .effects = control->effects,
                                     .n_effects = control->n_effects};
    }
    int rc = settle(queue, items, n, done, ctx, err);
    free(items);
    return rc;
}

int queue_receipts_done(struct queue *queue, const struct queue_receipt *receipts, const char *const *reasons, size_t n, struct err *err) {
    assert(n > 0);
    struct settling *items = calloc(n, sizeof *items);
    if (items == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        const char *reason = reasons == NULL ? NULL : reasons[i];
        items[i] = (struct settling){.ack = ack_of(&queue->held, STREAM_RECEIPTS, receipts[i].stream_id, &receipts[i].leased),
                                     .state = '-',
                                     .dead = reason != NULL,
                                     .body = receipts[i].body,
                                     .body_len = receipts[i].body_len,
                                     .reason = reason,
                                     .counts = reason == NULL ? "receipts" : "receipts-refused"};
    }
    int rc = settle(queue, items, n, NULL, NULL, err);
    free(items);
    return rc;
}
