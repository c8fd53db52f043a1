/* door: the transaction in which a script decides whether records go through.
 *
 *   MULTI
 *   RENAMENX notices notices:aside · SADD notices closed     closed: `notices` is a set by now, to which no HSET can write
 *   EVALSHA apply ...                                        opens it, where it grants the batch
 *   HSET notices id record ...                               the records, past Lua: it would hash every byte of them
 *   EVALSHA apply ... effects ...                            what rests on the new records; nothing where the door is closed
 *   SREM notices closed · RENAMENX notices:aside notices     opens it again where the script has not
 *   EXEC
 *
 * Guarantees: all of it, or nothing, also where the script fails or is not there: then nobody has opened the door. Outside the transaction
 * it is always open; nobody else ever sees it closed. A door that was left closed is opened by the next transaction (PROTOCOL.md: a file
 * that ends in the middle of one), and by each connection (lua/epoch.lua).
 *
 * How it fails: as the worst of its commands does, but for the errors that say which way the door stood. Where somebody has made a key
 * notices:aside it cannot be closed: that ends reachd (REACHDOOR). Does not: know what the script answers. */
#include "queue/inside.h"

/* Places in EXEC's answer. The last two are SREM and RENAMENX. */
enum { AT_SCRIPT = 2, N_LEAST = 5 };

static const char CLOSED[] = "closed";

static void put_move(const struct queue *queue, struct command *command, enum key from, enum key to) {
    command_init(command, "RENAMENX");
    command_puts(command, queue->keys.name[from]);
    command_puts(command, queue->keys.name[to]);
}

static void put_lock(const struct queue *queue, struct command *command, const char *name) {
    command_init(command, name);
    command_puts(command, queue->keys.name[KEY_NOTICES]);
    command_puts(command, CLOSED);
}

void door_begin(const struct queue *queue, struct call *call) {
    command_init(call_part(call), "MULTI");
    put_move(queue, call_part(call), KEY_NOTICES, KEY_NOTICES_ASIDE);
    put_lock(queue, call_part(call), "SADD");
}

struct command *door_put_effects(const struct queue *queue, struct call *call, size_t n) {
    struct command *command = call_part(call);
    call_script(queue, command, SCRIPT_APPLY, KEY_NOTICES, KEY_APPLYING);
    command_puts(command, queue->settings->prefix);
    command_put_i64(command, queue->settings->events_max);
    command_puts(command, "effects");
    command_put_i64(command, (int64_t)n);
    return command;
}

void door_end(const struct queue *queue, struct call *call) {
    put_lock(queue, call_part(call), "SREM");
    put_move(queue, call_part(call), KEY_NOTICES_ASIDE, KEY_NOTICES);
    command_init(call_part(call), "EXEC");
}

/* What stands behind the script: where the door was still closed at the end, it was to fail. */
static void note_failures(struct call *call, const redisReply *exec) {
    const redisReply *srem = exec->element[exec->elements - 2];
    bool was_closed = srem->type == REDIS_REPLY_INTEGER && srem->integer == 1;
    for (size_t i = AT_SCRIPT + 1; i < exec->elements - 2 && !was_closed; i++) {
        if (exec->element[i]->type == REDIS_REPLY_ERROR) {
            call_note(call, exec->element[i]);
        }
    }
}

int door_answer(struct call *call, size_t part, const redisReply *reply, const redisReply **answer_r) {
    if (part + 1 < call->n_parts) {
        return reply_is_string(reply) ? 0 : -1; /* OK, QUEUED */
    }
    if (!reply_is_array(reply, N_LEAST)) {
        return call->trouble == TROUBLE_NONE ? -1 : 0;
    }
    if (reply->element[AT_SCRIPT]->type == REDIS_REPLY_ERROR) {
        call_note(call, reply->element[AT_SCRIPT]);
        return 0;
    }
    note_failures(call, reply);
    if (call->trouble != TROUBLE_NONE) {
        return 0;
    }
    *answer_r = reply->element[AT_SCRIPT];
    return 1;
}
