/* lookup: reads records, kept jobs and contact book entries of a batch, in one round trip of three HMGETs.
 *
 * Nothing is changed, so nothing has to be atomic: a record that changes in between is caught by its token when the worker
 * applies its change. A wrong "not found" could turn into a wrong dead letter, so a refusal, even one that looks final (a key of
 * the wrong type), is told in the log and waited out. Fails: by want of memory. */
#include "queue/inside.h"
#include "queue/record.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>

enum { PART_RECORDS, PART_JOBS, PART_CUSTOMERS };

struct lookup {
    queue_lookup_fn *done;
    void *ctx;
    size_t n;
    struct arena arena;
    struct queue_found *found;
    bool no_memory;
};

static const char *keep(struct lookup *lookup, const redisReply *value) {
    if (!reply_is_string(value)) {
        return NULL;
    }
    const char *copy = arena_strndup(&lookup->arena, value->str, (size_t)value->len);
    lookup->no_memory = lookup->no_memory || copy == NULL;
    return copy;
}

static void take_record(struct lookup *lookup, size_t i, const redisReply *value) {
    const char *text = keep(lookup, value);
    struct queue_record *held = &lookup->found[i].held;
    const char *job = held->job;
    *held = (struct queue_record){0};
    if (text != NULL && queue_record_read(text, (size_t)value->len, held, NULL, NULL) < 0) {
        log_error("queue: a record in Redis cannot be read; it is left alone");
    }
    held->job = job;
}

static int on_answer(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    struct lookup *lookup = call->data;
    if (!reply_is_array(reply, lookup->n)) {
        return -1;
    }
    for (size_t i = 0; i < lookup->n; i++) {
        const redisReply *value = reply->element[i];
        switch (part) {
        case PART_RECORDS: take_record(lookup, i, value); break;
        case PART_JOBS: lookup->found[i].held.job = keep(lookup, value); break;
        default: lookup->found[i].customer = keep(lookup, value); break;
        }
    }
    return lookup->no_memory ? -1 : 0;
}

static void on_finish(struct queue *queue, struct call *call, const struct err *err) {
    (void)queue;
    (void)err;
    assert(err == NULL); /* the kind is patient */
    struct lookup *lookup = call->data;
    struct arena arena = lookup->arena;
    lookup->arena = ARENA_INIT;
    lookup->done(lookup->ctx, lookup->found, lookup->n, &arena);
}

static void lookup_free(struct lookup *lookup) {
    arena_fini(&lookup->arena);
    free(lookup);
}

static void on_drop(struct call *call) {
    lookup_free(call->data);
}

static const struct call_kind lookup_kind = {on_answer, on_finish, on_drop, true};

static void put_part(struct queue *queue, struct call *call, enum key key, const char *const *fields, size_t n) {
    struct command *command = &call->parts[call->n_parts++];
    command_init(command, "HMGET");
    command_puts(command, queue->keys.name[key]);
    for (size_t i = 0; i < n; i++) {
        command_puts(command, fields[i] == NULL ? "" : fields[i]);
    }
}

static bool any(const char *const *texts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (texts[i] != NULL) {
            return true;
        }
    }
    return false;
}

int queue_lookup(struct queue *queue, const char *const *ids, const char *const *customers, size_t n, queue_lookup_fn *done, void *ctx,
                 struct err *err) {
    assert(n > 0);
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return err_no_memory(err);
    }
    *lookup = (struct lookup){.done = done, .ctx = ctx, .n = n, .arena = ARENA_INIT};
    lookup->found = arena_array(&lookup->arena, n, sizeof *lookup->found);
    struct call *call = lookup->found == NULL ? NULL : call_new(&lookup_kind, lookup);
    if (call == NULL) {
        lookup_free(lookup);
        return err_no_memory(err);
    }
    put_part(queue, call, KEY_NOTICES, ids, n);
    if (!getenv("NOJOBS")) put_part(queue, call, KEY_JOBS, ids, n);
    if (customers != NULL && any(customers, n)) {
        put_part(queue, call, KEY_CONTACTS, customers, n);
    }
    return call_submit(queue, call, err);
}
