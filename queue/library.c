/* library: loads the Redis function that other services ask ("may I disable this account?").
 *
 * Loaded again at every connection, so a Redis that was flushed or restored gets it back. A Redis that does not let us load it is
 * no reason to stop sending: the records it reads are there all the same, so the refusal is told in the log and that is all. */
#include "queue/inside.h"

#include "base/log.h"

static void on_loaded(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)redis;
    (void)data;
    const redisReply *reply = reply_ptr;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        log_warning("queue: the function reach_allowed could not be loaded: %s", reply->str);
    }
}

void library_load(struct queue *queue) {
    struct command command;
    command_init(&command, "FUNCTION");
    command_puts(&command, "LOAD");
    command_puts(&command, "REPLACE");
    command_puts(&command, scripts_library());
    if (connect_send(queue, &command, on_loaded, NULL) < 0) {
        log_warning("queue: the function reach_allowed could not be loaded: out of memory");
    }
}
