/* read: single values and a customer's open notices, for work that is not a batch of notices (receipts, control jobs).
 *
 * One script, one round trip, nothing changed; like a look-up it is sent again after a loss and waits out what will pass. Fails:
 * by want of memory. */
#include "queue/inside.h"

#include <assert.h>
#include <stdlib.h>

struct reading_call {
    queue_read_fn *done;
    void *ctx;
    size_t n;
    struct arena arena;
    const char **values;
};

static int on_answer(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    (void)part;
    struct reading_call *read = call->data;
    if (!reply_is_array(reply, read->n)) {
        return -1;
    }
    for (size_t i = 0; i < read->n; i++) {
        const redisReply *value = reply->element[i];
        read->values[i] = NULL;
        if (reply_is_string(value)) {
            read->values[i] = arena_strndup(&read->arena, value->str, (size_t)value->len);
            if (read->values[i] == NULL) {
                return -1;
            }
        }
    }
    return 0;
}

static void on_finish(struct queue *queue, struct call *call, const struct err *err) {
    (void)queue;
    (void)err;
    assert(err == NULL); /* the kind is patient */
    struct reading_call *read = call->data;
    struct arena arena = read->arena;
    read->arena = ARENA_INIT;
    read->done(read->ctx, read->values, read->n, &arena);
}

static void reading_call_free(struct reading_call *read) {
    arena_fini(&read->arena);
    free(read);
}

static void on_drop(struct call *call) {
    reading_call_free(call->data);
}

static const struct call_kind read_kind = {on_answer, on_finish, on_drop, true, NULL};

int queue_read(struct queue *queue, const struct queue_ask *asks, size_t n, queue_read_fn *done, void *ctx, struct err *err) {
    static const char kinds[] = {
        [QUEUE_ASK_STRING] = 'G', [QUEUE_ASK_FIELD] = 'H', [QUEUE_ASK_NOTICES] = 'N', [QUEUE_ASK_REACHED_NOTICES] = 'R'};
    assert(n > 0);
    struct reading_call *read = calloc(1, sizeof *read);
    if (read == NULL) {
        return err_no_memory(err);
    }
    *read = (struct reading_call){.done = done, .ctx = ctx, .n = n, .arena = ARENA_INIT};
    read->values = arena_array(&read->arena, n, sizeof *read->values);
    struct call *call = read->values == NULL ? NULL : call_new(&read_kind, read);
    if (call == NULL) {
        reading_call_free(read);
        return err_no_memory(err);
    }
    struct command *command = &call->parts[call->n_parts++];
    call_script(queue, command, SCRIPT_READ, KEY_NOTICES, 5);
    command_puts(command, queue->settings->prefix);
    for (size_t i = 0; i < n; i++) {
        command_put(command, &kinds[asks[i].kind], 1);
        command_puts(command, asks[i].key);
        command_puts(command, asks[i].field == NULL ? "" : asks[i].field);
    }
    return call_submit(queue, call, err);
}
