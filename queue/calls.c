/* calls: the commands that must be answered.
 *
 * A call keeps its commands as they go over the wire until all of them are answered, so that it can be sent again, unchanged and
 * in its old place in the order, after a lost connection or a refusal that will pass. The scripts make that harmless: a change
 * that was already made is not made again.
 *
 * Guarantees: each call is finished once, in the loop. Fails: an error that will not pass is handed to the call's owner.
 * Does not: give up. A call waits as long as Redis is away; the worker bounds how many there are by its own room. */
#include "queue/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A call of so many bytes goes at once: Redis works on it while the worker makes the next one. Small ones share a write. */
enum { FLUSH_BYTES = 32768 };

struct call *call_new(const struct call_kind *kind, void *data) {
    struct call *call = calloc(1, sizeof *call);
    if (call != NULL) {
        call->kind = kind;
        call->data = data;
    }
    return call;
}

void call_parts_drop(struct call *call) {
    for (size_t i = 0; i < call->n_parts; i++) {
        command_fini(&call->parts[i]);
    }
    call->n_parts = 0;
}

void call_free(struct call *call) {
    if (call->data != NULL && call->kind->drop != NULL) {
        call->kind->drop(call);
    }
    call_parts_drop(call);
    free(call);
}

struct command *call_part(struct call *call) {
    assert(call->n_parts < CALL_PARTS_MAX);
    return &call->parts[call->n_parts++];
}

int call_parts_end(struct call *call) {
    int rc = 0;
    for (size_t i = 0; i < call->n_parts; i++) {
        rc = command_end(&call->parts[i]) < 0 ? -1 : rc;
    }
    return rc;
}

static void finish(struct queue *queue, struct call *call) {
    struct err err;
    bool failed = call->trouble != TROUBLE_NONE;
    if (failed) {
        (void)err_set(&err, ERR_REDIS, "Redis refused: %s", call->error);
    }
    TAILQ_REMOVE(&queue->calls, call, link);
    queue->n_calls--;
    call->kind->finish(queue, call, failed ? &err : NULL);
    call_free(call);
    if (queue->n_calls == 0 && queue->handlers->idle != NULL) {
        queue->handlers->idle(queue->ctx);
    }
}

/* All parts have been answered: done, or what has to be done before it is sent again. */
static void settle(struct queue *queue, struct call *call) {
    enum trouble trouble = call->trouble;
    if (trouble == TROUBLE_OTHER && call->kind->patient) {
        trouble = TROUBLE_WAIT;
    }
    if (trouble == TROUBLE_NONE || trouble == TROUBLE_OTHER) {
        if (trouble == TROUBLE_NONE) {
            connect_well(queue);
        }
        finish(queue, call);
        return;
    }
    call->sent = false;
    connect_trouble(queue, trouble, call->error);
    if (trouble == TROUBLE_NOSCRIPT || trouble == TROUBLE_NOGROUP) {
        calls_send(queue); /* behind what mends it */
    }
}

static void note_trouble(struct call *call, enum trouble trouble, const char *text) {
    if (trouble > call->trouble) {
        call->trouble = trouble;
        (void)snprintf(call->error, sizeof call->error, "%s", text);
    }
}

void call_note(struct call *call, const redisReply *error) {
    note_trouble(call, reply_trouble(error), error->str);
}

/* EXEC that refuses because one of the commands before it was refused, which says more. */
static bool is_told_already(const struct call *call, const redisReply *error) {
    return call->trouble != TROUBLE_NONE && strncmp(error->str, "EXECABORT", 9) == 0;
}

/* The part that a reply belongs to is the next one: replies come in the order of the commands. */
static void on_reply(redisAsyncContext *redis, void *reply_ptr, void *data) {
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    struct call *call = data;
    if (queue == NULL || reply == NULL) {
        return; /* the connection is gone; calls_unsent() has seen to the call */
    }
    size_t part = call->n_answered++;
    enum trouble trouble = reply_trouble(reply);
    if (trouble != TROUBLE_NONE) {
        if (!is_told_already(call, reply)) {
            note_trouble(call, trouble, reply->str);
        }
    } else if (call->kind->answer(queue, call, part, reply) < 0) {
        note_trouble(call, TROUBLE_OTHER, "an answer of another form than expected");
    }
    if (call->n_answered == call->n_parts) {
        settle(queue, call);
    }
}

static int send_one(struct queue *queue, struct call *call) {
    call->n_answered = 0;
    call->trouble = TROUBLE_NONE;
    call->sent = true;
    for (size_t i = 0; i < call->n_parts; i++) {
        const struct command *part = &call->parts[i];
        if (redisAsyncFormattedCommand(queue->redis, on_reply, call, command_data(part), command_len(part)) != REDIS_OK) {
            return -1;
        }
    }
    return 0;
}

void calls_revise(struct queue *queue) {
    struct call *call = TAILQ_FIRST(&queue->calls), *after;
    for (; call != NULL; call = after) {
        after = TAILQ_NEXT(call, link);
        if (call->kind->revise != NULL && call->kind->revise(queue, call) == 0) {
            call->trouble = TROUBLE_NONE;
            finish(queue, call);
        }
    }
}

void calls_send(struct queue *queue) {
    struct call *call;
    if (!queue->ready || queue->in_trouble) {
        return;
    }
    TAILQ_FOREACH(call, &queue->calls, link) {
        if (!call->sent && send_one(queue, call) < 0) {
            connect_drop(queue, "a command could not be queued");
            return;
        }
    }
}

static size_t bytes_of(const struct call *call) {
    size_t bytes = 0;
    for (size_t i = 0; i < call->n_parts; i++) {
        bytes += command_len(&call->parts[i]);
    }
    return bytes;
}

/* While Redis refuses, calls wait; but where this is the end, each is tried at once. */
void call_enqueue(struct queue *queue, struct call *call_take) {
    TAILQ_INSERT_TAIL(&queue->calls, call_take, link);
    queue->n_calls++;
    if (!queue->ready || (queue->in_trouble && !queue->stopped)) {
        return;
    }
    if (send_one(queue, call_take) < 0) {
        connect_drop(queue, "a command could not be queued");
    } else if (bytes_of(call_take) >= FLUSH_BYTES) {
        connect_flush(queue);
    }
}

int call_submit(struct queue *queue, struct call *call_take, struct err *err) {
    if (call_parts_end(call_take) < 0) {
        call_free(call_take);
        return err_no_memory(err);
    }
    call_enqueue(queue, call_take);
    return 0;
}

void calls_unsent(struct queue *queue) {
    struct call *call;
    TAILQ_FOREACH(call, &queue->calls, link) {
        call->sent = false;
    }
}

void calls_fini(struct queue *queue) {
    struct call *call;
    while ((call = TAILQ_FIRST(&queue->calls)) != NULL) {
        TAILQ_REMOVE(&queue->calls, call, link);
        call_free(call);
    }
    queue->n_calls = 0;
}

void call_script(const struct queue *queue, struct command *command, enum script_id script, enum key first, size_t n_keys) {
    command_init(command, "EVALSHA");
    command_put(command, queue->scripts[script].sha, 40);
    command_put_i64(command, (int64_t)n_keys);
    for (size_t i = 0; i < n_keys; i++) {
        command_puts(command, queue->keys.name[first + i]);
    }
}

void call_stream_script(const struct queue *queue, struct command *command, enum script_id script, enum stream stream) {
    command_init(command, "EVALSHA");
    command_put(command, queue->scripts[script].sha, 40);
    command_put_i64(command, 3);
    command_puts(command, queue->keys.name[stream_key(stream)]);
    command_puts(command, queue->keys.name[KEY_COUNTERS]);
    command_puts(command, queue->keys.name[KEY_LEASES]);
}
