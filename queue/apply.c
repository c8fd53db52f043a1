/* apply: a batch of changes becomes one call of lua/apply.lua; a large one has its records behind it (door.c).
 *
 * The arguments are laid out by kind, as the script describes them, so that it can hand whole ranges of them on. The script grants a
 * batch as a whole or not at all. Where some of its items turn out to be stale, which is rare (another worker has taken a
 * notice over, a job came twice), it is sent once more without them; so the items are kept until the answer.
 *
 * Guarantees: what the caller passed is copied. After the answer the entries of the batch are no longer "in hand", whether
 * they were acknowledged or not: one that is still pending may be handed out again. Fails: by want of memory, at once; a
 * script that refuses for good is told to the caller with results NULL. */
#include "queue/acks.h"
#include "queue/arguments.h"
#include "queue/inside.h"
#include "queue/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A change that was copied, and where its result belongs. */
struct item {
    struct queue_change change;
    struct queue_entry entry; /* what change.ack points to */
    struct queue_entry from;  /* what change.from points to */
    size_t place;
};

struct batch {
    queue_apply_fn *done;
    void *ctx;
    size_t n; /* all of them */
    enum queue_result *results;
    struct item *items; /* those whose result is open */
    size_t n_items;
    struct ack *acks; /* of these, in the order of their rows; those of the locked ones stand behind the others */
    size_t n_acks;
    size_t n_locked; /* how many of them are locked */
    bool by_record;  /* leases were not enough: all by their tokens */
    struct arena arena;
};

/* ---- the copy ------------------------------------------------------------------------------------------------------ */

static void batch_free(struct batch *batch) {
    if (batch != NULL) {
        arena_fini(&batch->arena);
        free(batch);
    }
}

static const char *copy_text(struct arena *arena, const char *text, bool *failed) {
    const char *copy = arena_strdup(arena, text);
    *failed = *failed || (text != NULL && copy == NULL);
    return copy;
}

static const struct queue_effect *copy_effects(struct arena *arena, const struct queue_effect *effects, size_t n, bool *failed) {
    struct queue_effect *copies = arena_array(arena, n, sizeof *copies);
    if (copies == NULL) {
        *failed = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        copies[i] = (struct queue_effect){.op = effects[i].op,
                                          .key = copy_text(arena, effects[i].key, failed),
                                          .field = copy_text(arena, effects[i].field, failed),
                                          .value = copy_text(arena, effects[i].value, failed),
                                          .at_ms = effects[i].at_ms};
    }
    return copies;
}

static void copy_item(struct arena *arena, const struct queue_change *change, struct item *item, bool *failed) {
    struct queue_change *copy = &item->change;
    *copy = *change;
    copy->id = copy_text(arena, change->id, failed);
    copy->customer = copy_text(arena, change->customer, failed);
    copy->record = copy_text(arena, change->record, failed);
    copy->counts = copy_text(arena, change->counts, failed);
    copy->event = copy_text(arena, change->event, failed);
    copy->decided_on = copy_text(arena, change->decided_on, failed);
    if (change->job_action == QUEUE_JOB_STORE) {
        copy->job = arena_strndup(arena, change->job, change->job_len);
        *failed = *failed || copy->job == NULL;
    }
    if (change->ack != NULL) {
        item->entry.lane = change->ack->lane;
        item->entry.leased = change->ack->leased;
        item->entry.stream_id = copy_text(arena, change->ack->stream_id, failed);
        copy->ack = &item->entry;
    }
    if (change->from != NULL) {
        item->from.lane = change->from->lane;
        item->from.leased = change->from->leased;
        item->from.stream_id = copy_text(arena, change->from->stream_id, failed);
        copy->from = &item->from;
    }
    copy->effects = change->n_effects == 0 ? NULL : copy_effects(arena, change->effects, change->n_effects, failed);
}

static void move_item(struct item *to, const struct item *from) {
    if (to != from) {
        *to = *from;
        to->change.ack = from->change.ack == NULL ? NULL : &to->entry;
        to->change.from = from->change.from == NULL ? NULL : &to->from;
    }
}

/* Its entry, if it has one, is not in hand any more. */
static void let_go(struct queue *queue, const struct item *item) {
    if (item->change.ack != NULL) {
        (void)held_remove(&queue->held, (enum stream)item->entry.lane, item->entry.stream_id);
    }
}

static uint32_t hash_of(const char *id) {
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (; *id != '\0'; id++) {
        hash = (hash ^ (unsigned char)*id) * 16777619U;
    }
    return hash ^ hash >> 15;
}

/* Of one notice only the first change of a batch is made, as the script demands: the others are stale at once. 0, or -1 without memory. */
static int drop_doubles(struct queue *queue, struct batch *batch) {
    size_t cap = 4, open = 0;
    while (cap < 2 * batch->n) {
        cap *= 2;
    }
    const char **seen = calloc(cap, sizeof *seen);
    if (seen == NULL) {
        return -1;
    }
    for (size_t i = 0; i < batch->n; i++) {
        size_t at = hash_of(batch->items[i].change.id) & (cap - 1);
        while (seen[at] != NULL && strcmp(seen[at], batch->items[i].change.id) != 0) {
            at = (at + 1) & (cap - 1);
        }
        if (seen[at] == NULL) {
            seen[at] = batch->items[i].change.id;
            move_item(&batch->items[open++], &batch->items[i]);
        } else {
            batch->results[batch->items[i].place] = QUEUE_STALE;
            let_go(queue, &batch->items[i]);
        }
    }
    free(seen);
    batch->n_items = open;
    return 0;
}

static struct batch *batch_new(struct queue *queue, const struct queue_change *changes, size_t n, queue_apply_fn *done, void *ctx) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return NULL;
    }
    *batch = (struct batch){.done = done, .ctx = ctx, .n = n, .n_items = n, .arena = ARENA_INIT};
    batch->results = arena_array(&batch->arena, n, sizeof *batch->results);
    batch->items = arena_array(&batch->arena, n, sizeof *batch->items);
    batch->acks = arena_array(&batch->arena, n, sizeof *batch->acks);
    bool failed = batch->results == NULL || batch->items == NULL || batch->acks == NULL;
    for (size_t i = 0; i < n && !failed; i++) {
        assert(notice_state_held(changes[i].state) && changes[i].fence != 0 && changes[i].customer != NULL);
        batch->items[i].place = i;
        copy_item(&batch->arena, &changes[i], &batch->items[i], &failed);
    }
    if (failed || drop_doubles(queue, batch) < 0) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

/* ---- the arguments ------------------------------------------------------------------------------------------------- */

/* How many rows of each kind a batch has, in the order of the script. */
struct rows {
    size_t due, due_gone, jobs, jobs_gone, acks, acks_locked, effects, decided_on;
    size_t new; /* have no token yet */
    bool by_door;
};

/* Whether the lease on its entry is enough for Redis to know that the notice is this worker's. Not where the connection was lost since it
 * began: Redis may have lost with it what it had answered. */
static bool is_locked(const struct queue *queue, const struct batch *batch, const struct queue_change *change) {
    return !batch->by_record && change->begun_from_ack && change->ack != NULL && queue_is_of_connection(queue, change->fence_seen) &&
           held_lease(&queue->held, (enum stream)change->ack->lane, change->ack->stream_id) == change->ack->leased.lease;
}

static size_t put_acks(const struct queue *queue, const struct batch *batch, bool locked, struct ack *acks) {
    size_t n = 0;
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct queue_change *change = &batch->items[i].change;
        const struct queue_entry *entry = change->ack;
        if (entry != NULL && is_locked(queue, batch, change) == locked) {
            acks[n++] = ack_of(&queue->held, (enum stream)entry->lane, entry->stream_id, &entry->leased);
        }
    }
    acks_sort(acks, n);
    return n;
}

static void sort_acks(const struct queue *queue, struct batch *batch) {
    batch->n_acks = put_acks(queue, batch, false, batch->acks);
    batch->n_locked = put_acks(queue, batch, true, batch->acks + batch->n_acks);
}

static struct rows count_rows(const struct queue *queue, const struct batch *batch) {
    size_t bytes = 0;
    struct rows rows = {.acks = acks_rows(batch->acks, batch->n_acks),
                        .acks_locked = acks_rows(batch->acks + batch->n_acks, batch->n_locked)};
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct queue_change *change = &batch->items[i].change;
        rows.new += change->fence_seen == 0;
        bytes += strlen(change->record);
        rows.due += change->due_at_ms > 0;
        rows.due_gone += change->due_at_ms == 0;
        rows.jobs += change->job_action == QUEUE_JOB_STORE;
        rows.jobs_gone += change->job_action == QUEUE_JOB_DROP;
        rows.effects += change->n_effects;
        rows.decided_on += change->decided_on != NULL;
    }
    rows.by_door = bytes >= queue->door_bytes;
    return rows;
}

/* The earliest end of a lease among the new notices; 0: none has one. */
static int64_t not_after_ms(const struct batch *batch) {
    int64_t earliest_ms = 0;
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct queue_change *change = &batch->items[i].change;
        bool has_one = change->fence_seen == 0 && change->not_after_ms > 0;
        if (has_one && (earliest_ms == 0 || change->not_after_ms < earliest_ms)) {
            earliest_ms = change->not_after_ms;
        }
    }
    return earliest_ms;
}

static void put_events(struct command *command, struct buf *scratch, const struct batch *batch) {
    buf_reset(scratch);
    for (size_t i = 0; i < batch->n_items; i++) {
        const char *event = batch->items[i].change.event;
        if (event != NULL) {
            buf_putc(scratch, scratch->len == 0 ? '[' : ',');
            buf_puts(scratch, event);
        }
    }
    if (scratch->len > 0) {
        buf_putc(scratch, ']');
    }
    command_put(command, scratch->len > 0 ? scratch->data : "", scratch->len);
}

static void put_tokens_seen(const struct queue *queue, struct command *command, struct buf *scratch, const struct batch *batch,
                            bool all_new) {
    static const char lock[RECORD_TOKEN_LEN] = {'@', '@', '@', '@', '@', '@', '@', '@', '@', '@', '@', '@', '@', '@', '@', '@'};
    if (batch->n_locked == batch->n_items) {
        command_puts(command, "@");
        return;
    }
    buf_reset(scratch);
    for (size_t i = 0; i < batch->n_items && !all_new; i++) {
        const struct queue_change *change = &batch->items[i].change;
        char token[RECORD_TOKEN_LEN];
        queue_record_token(change->fence_seen, token);
        buf_put(scratch, is_locked(queue, batch, change) ? lock : token, sizeof token);
    }
    command_put(command, scratch->len > 0 ? scratch->data : "", scratch->len);
}

static void put_tokens(struct command *command, struct buf *scratch, const struct batch *batch) {
    buf_reset(scratch);
    for (size_t i = 0; i < batch->n_items && batch->n_locked < batch->n_items; i++) {
        char token[RECORD_TOKEN_LEN];
        queue_record_token(batch->items[i].change.fence, token);
        buf_put(scratch, token, sizeof token);
    }
    command_put(command, scratch->len > 0 ? scratch->data : "", scratch->len);
}

/* How many get which state. */
static void put_states(struct command *command, struct buf *scratch, const struct batch *batch) {
    size_t times[NOTICE_STATE_COUNT] = {0};
    buf_reset(scratch);
    for (size_t i = 0; i < batch->n_items; i++) {
        times[batch->items[i].change.state]++;
    }
    for (int state = 0; state < NOTICE_STATE_COUNT; state++) {
        if (times[state] > 0) {
            buf_putf(scratch, "%c%zu", notice_state_letter((enum notice_state)state), times[state]);
        }
    }
    command_put(command, scratch->data, scratch->len);
}

static void put_ids(struct command *command, const struct batch *batch) {
    for (size_t i = 0; i < batch->n_items; i++) {
        command_puts(command, batch->items[i].change.id);
    }
    for (size_t i = 0; i < batch->n_items; i++) {
        if (batch->items[i].change.fence_seen == 0) {
            command_puts(command, batch->items[i].change.customer);
        }
    }
}

static void put_due(struct command *command, const struct batch *batch) {
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct queue_change *change = &batch->items[i].change;
        if (change->due_at_ms > 0) {
            arguments_put_due(command, change->due_at_ms, change->lost_if_over);
            command_puts(command, change->id);
        }
    }
    for (size_t i = 0; i < batch->n_items; i++) {
        if (batch->items[i].change.due_at_ms == 0) {
            command_puts(command, batch->items[i].change.id);
        }
    }
}

static void put_jobs(struct command *command, const struct batch *batch) {
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct queue_change *change = &batch->items[i].change;
        if (change->job_action == QUEUE_JOB_STORE) {
            command_puts(command, change->id);
            command_put(command, change->job, change->job_len);
        }
    }
    for (size_t i = 0; i < batch->n_items; i++) {
        if (batch->items[i].change.job_action == QUEUE_JOB_DROP) {
            command_puts(command, batch->items[i].change.id);
        }
    }
}

static void put_decided_on(struct command *command, const struct batch *batch) {
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct queue_change *change = &batch->items[i].change;
        if (change->decided_on != NULL) {
            command_put_i64(command, (int64_t)i + 1);
            command_puts(command, change->customer);
            command_puts(command, change->decided_on);
        }
    }
}

static void put_records(struct command *command, struct buf *scratch, const struct batch *batch) {
    for (size_t i = 0; i < batch->n_items; i++) {
        command_puts(command, batch->items[i].change.id);
        buf_reset(scratch);
        queue_record_put(scratch, &batch->items[i].change);
        command_put(command, scratch->data, scratch->len);
    }
}

static void put_rows(struct command *command, const struct batch *batch, const struct counts_wanted *counts, bool by_door) {
    put_ids(command, batch);
    put_due(command, batch);
    put_jobs(command, batch);
    acks_put(command, batch->acks, batch->n_acks);
    acks_put(command, batch->acks + batch->n_acks, batch->n_locked);
    for (size_t i = 0; i < counts->n; i++) {
        command_puts(command, counts->items[i].names);
        command_put_i64(command, (int64_t)counts->items[i].times);
    }
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct queue_change *change = &batch->items[i].change;
        (by_door ? arguments_put_effect_keys : arguments_put_effects)(command, change->effects, change->n_effects);
    }
    put_decided_on(command, batch);
}

/* The script's part. */
static int put_script(const struct queue *queue, struct command *command, struct buf *scratch, const struct batch *batch,
                      const struct rows *rows) {
    struct counts_wanted counts = COUNTS_WANTED_INIT;
    int rc = 0;
    for (size_t i = 0; i < batch->n_items && rc >= 0; i++) {
        rc = counts_wanted_add(&counts, batch->items[i].change.counts);
    }
    call_script(queue, command, SCRIPT_APPLY, KEY_NOTICES, KEY_APPLYING);
    command_puts(command, queue->settings->prefix);
    command_put_i64(command, queue->settings->events_max);
    put_events(command, scratch, batch);
    command_put_i64(command, (int64_t)batch->n_items);
    put_tokens_seen(queue, command, scratch, batch, rows->new == batch->n_items);
    put_states(command, scratch, batch);
    const size_t numbers[] = {rows->due,         rows->due_gone, rows->jobs,    rows->jobs_gone, rows->acks,
                              rows->acks_locked, counts.n,       rows->effects, rows->decided_on};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        command_put_i64(command, (int64_t)numbers[i]);
    }
    command_put_i64(command, not_after_ms(batch));
    put_tokens(command, scratch, batch);
    command_put_i64(command, (int64_t)rows->new);
    command_put_i64(command, rows->by_door ? 0 : (int64_t)batch->n_items);
    put_rows(command, batch, &counts, rows->by_door);
    if (!rows->by_door) {
        put_records(command, scratch, batch);
    }
    counts_wanted_fini(&counts);
    return rc < 0 ? -1 : 0;
}

/* What stands behind the script. */
static void put_behind(const struct queue *queue, struct call *call, struct buf *scratch, const struct batch *batch, size_t n_effects) {
    struct command *command = call_part(call);
    command_init(command, "HSET");
    command_puts(command, queue->keys.name[KEY_NOTICES]);
    put_records(command, scratch, batch);
    if (n_effects == 0) {
        return;
    }
    command = door_put_effects(queue, call, n_effects);
    for (size_t i = 0; i < batch->n_items; i++) {
        arguments_put_effects(command, batch->items[i].change.effects, batch->items[i].change.n_effects);
    }
}

/* The whole call for what is open in the batch. 0, or -1 (no memory). */
static int put_call(const struct queue *queue, struct call *call, struct batch *batch) {
    struct buf scratch = BUF_INIT;
    call_parts_drop(call);
    sort_acks(queue, batch);
    struct rows rows = count_rows(queue, batch);
    if (rows.by_door) {
        door_begin(queue, call);
    }
    int rc = put_script(queue, call_part(call), &scratch, batch, &rows);
    if (rows.by_door) {
        put_behind(queue, call, &scratch, batch, rows.effects);
        door_end(queue, call);
    }
    rc = rc < 0 || scratch.failed ? -1 : call_parts_end(call);
    buf_fini(&scratch);
    return rc;
}

/* ---- the call ------------------------------------------------------------------------------------------------------ */

static int submit(struct queue *queue, struct batch *batch_take, struct err *err);

static enum queue_result result_of(char letter) {
    return letter == 'A' ? QUEUE_APPLIED : letter == 'M' ? QUEUE_MOVED : QUEUE_STALE;
}

/* Sorts the letters into results; what is R stays open. */
static int on_answer(struct queue *queue, struct call *call, size_t part, const redisReply *part_reply) {
    struct batch *batch = call->data;
    const redisReply *reply = part_reply;
    int rc = call->n_parts == 1 ? 1 : door_answer(call, part, part_reply, &reply);
    if (rc <= 0) {
        return rc;
    }
    if (!reply_is_string(reply) || (size_t)reply->len != batch->n_items) {
        return -1;
    }
    size_t open = 0, asked = batch->n_items;
    for (size_t i = 0; i < batch->n_items; i++) {
        struct item *item = &batch->items[i];
        if (reply->str[i] == 'R') {
            move_item(&batch->items[open++], item);
            continue;
        }
        batch->results[item->place] = result_of(reply->str[i]);
        let_go(queue, item);
    }
    batch->n_items = open;
    batch->by_record = batch->by_record || (open > 0 && open == asked);
    return 0;
}

static void on_finish(struct queue *queue, struct call *call, const struct err *err) {
    struct batch *batch = call->data;
    struct err fault;
    queue->upkeep.trim_wanted = true;
    if (err == NULL && batch->n_items > 0) {
        call->data = NULL;
        if (submit(queue, batch, &fault) == 0) {
            return;
        }
        err = &fault;
        call->data = batch;
    }
    for (size_t i = 0; i < batch->n_items; i++) {
        let_go(queue, &batch->items[i]);
    }
    batch->done(batch->ctx, err == NULL ? batch->results : NULL, batch->n, err);
}

static void on_drop(struct call *call) {
    batch_free(call->data);
}

/* A notice whose entry Redis has lost does not begin. */
static bool is_vanished(const struct queue *queue, const struct item *item) {
    return item->change.fence_seen == 0 && item->change.from != NULL && !queue_in_hand(queue, item->change.from);
}

static void give_up(struct queue *queue, struct batch *batch, struct item *item) {
    batch->results[item->place] = QUEUE_STALE;
    let_go(queue, item);
}

static int revise(struct queue *queue, struct call *call) {
    struct batch *batch = call->data;
    size_t open = 0;
    for (size_t i = 0; i < batch->n_items; i++) {
        if (is_vanished(queue, &batch->items[i])) {
            give_up(queue, batch, &batch->items[i]);
        } else {
            move_item(&batch->items[open++], &batch->items[i]);
        }
    }
    if (open == batch->n_items && batch->n_locked == 0) {
        return 1;
    }
    batch->n_items = open;
    if (open > 0 && put_call(queue, call, batch) == 0) {
        return 1;
    }
    for (size_t i = 0; i < open; i++) { /* no memory: they come back after their lease */
        give_up(queue, batch, &batch->items[i]);
    }
    batch->n_items = 0;
    return 0;
}

static const struct call_kind apply_kind = {.answer = on_answer, .finish = on_finish, .revise = revise, .drop = on_drop};

/* The batch belongs to the call from here on, but not where -1 is returned. */
static int submit(struct queue *queue, struct batch *batch, struct err *err) {
    struct call *call = call_new(&apply_kind, NULL);
    if (call == NULL) {
        return err_no_memory(err);
    }
    if (put_call(queue, call, batch) < 0) {
        call_free(call);
        return err_no_memory(err);
    }
    call->data = batch;
    call_enqueue(queue, call);
    return 0;
}

int queue_apply(struct queue *queue, const struct queue_change *changes, size_t n, queue_apply_fn *done, void *ctx, struct err *err) {
    assert(n > 0);
    struct batch *batch = batch_new(queue, changes, n, done, ctx);
    if (batch == NULL) {
        return err_no_memory(err);
    }
    if (submit(queue, batch, err) < 0) {
        batch_free(batch);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (changes[i].due_at_ms > 0) {
            upkeep_due_at(queue, changes[i].due_at_ms);
        }
        if (queue->trial.n > 0) {
            trial_decided(queue, changes[i].id, changes[i].state == NOTICE_SENDING);
        }
    }
    return 0;
}
