/* tell: what concerns no notice and no entry, as one call of lua/apply.lua without items.
 *
 * The words that go live, or are refused, are such a thing: nobody's state changes, yet an event, a counter and a record of it have to
 * appear together.
 *
 * Guarantees: all of it becomes true in one step. How it fails: an answer that is lost has it told once more, because without an item
 * there is no token to know it by; a refusal for good goes to the log. Does not: tell the caller when it is done. */
#include "queue/arguments.h"
#include "queue/inside.h"

#include "base/log.h"

static int on_answer(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    (void)call;
    (void)part;
    return reply_is_string(reply) ? 0 : -1;
}

static void on_finish(struct queue *queue, struct call *call, const struct err *err) {
    (void)queue;
    (void)call;
    if (err != NULL) {
        log_error("queue: an event could not be told: %s", err->text);
    }
}

static const struct call_kind tell_kind = {on_answer, on_finish, NULL, false, NULL};

/* The arguments as lua/apply.lua lists them: no item, and rows of two kinds only. */
static int put_arguments(struct command *command, const struct queue_settings *settings, const char *event,
                         const struct counts_wanted *counts, size_t n_effects) {
    struct buf events = BUF_INIT;
    if (event != NULL) {
        buf_putf(&events, "[%s]", event);
    }
    bool failed = events.failed;
    command_puts(command, settings->prefix);
    command_put_i64(command, settings->events_max);
    command_put(command, events.len > 0 ? events.data : "", events.len);
    command_puts(command, "0"); /* items */
    command_puts(command, "");  /* their tokens */
    command_puts(command, "");  /* their states */
    for (int kind = 0; kind < 6; kind++) {
        command_puts(command, "0");
    }
    command_put_i64(command, (int64_t)counts->n);
    command_put_i64(command, (int64_t)n_effects);
    command_puts(command, "0"); /* nothing rests on an entry of the contact book */
    command_puts(command, "0"); /* no limit in time */
    command_puts(command, "");  /* no tokens */
    command_puts(command, "0"); /* nothing new */
    command_puts(command, "0"); /* no record */
    for (size_t i = 0; i < counts->n; i++) {
        command_puts(command, counts->items[i].names);
        command_put_i64(command, (int64_t)counts->items[i].times);
    }
    buf_fini(&events);
    return failed ? -1 : 0;
}

int queue_tell(struct queue *queue, const char *counts, const char *event, const struct queue_effect *effects, size_t n_effects,
               struct err *err) {
    struct counts_wanted wanted = COUNTS_WANTED_INIT;
    struct call *call = call_new(&tell_kind, NULL);
    if (call == NULL || counts_wanted_add(&wanted, counts) < 0) {
        if (call != NULL) {
            call_free(call);
        }
        counts_wanted_fini(&wanted);
        return err_no_memory(err);
    }
    call->n_parts = 1;
    call_script(queue, &call->parts[0], SCRIPT_APPLY, KEY_NOTICES, KEY_APPLYING);
    if (put_arguments(&call->parts[0], queue->settings, event, &wanted, n_effects) < 0) {
        call->parts[0].bytes.failed = true; /* seen when it is submitted */
    }
    arguments_put_effects(&call->parts[0], effects, n_effects);
    counts_wanted_fini(&wanted);
    return call_submit(queue, call, err);
}
