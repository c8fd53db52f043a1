/* vanished: entries in hand that Redis has lost.
 *
 * Redis with appendfsync everysec that is killed, or a replica that is promoted, may have lost jobs that it had answered to their producers
 * and handed out to us. Nobody holds such an entry in Redis any more: a notice that began on it would have no lease, and no job to be taken
 * up again with once its worker dies. So at each connection, before anything is sent again, Redis is asked for every entry in hand; what it
 * does not know is not in hand any more, and what has not begun by then does not begin (calls_revise()). Its producer pushes the job again.
 *
 * The questions go in front of the greeting's last one, so they are answered before the connection is ready. How it fails: for want of
 * memory, or where Redis refuses, everything counts as there, as if nothing had been asked. Does not: ask on the first connection, with
 * nothing in hand. */
#include "queue/inside.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void id_of(const struct held_item *item, char *out, size_t cap) {
    (void)snprintf(out, cap, "%" PRIu64 "-%" PRIu64, item->ms, item->seq);
}

static void tell(struct vanished *vanished) {
    if (vanished->gone > 0) {
        log_warning("queue: Redis has lost %zu entries that it had handed out; what has not begun does not begin", vanished->gone);
    }
    vanished->gone = 0;
}

static void on_entry(redisAsyncContext *redis, void *reply_ptr, void *data) {
    (void)data;
    struct queue *queue = connect_queue_of(redis);
    const redisReply *reply = reply_ptr;
    if (queue == NULL || reply == NULL || queue->vanished.at == queue->vanished.n) {
        return;
    }
    const struct held_item *item = &queue->vanished.items[queue->vanished.at++];
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 0) {
        char id[48];
        id_of(item, id, sizeof id);
        queue->vanished.gone += held_remove(&queue->held, (enum stream)(item->stream_and_one - 1), id) == 1;
    }
    if (queue->vanished.at == queue->vanished.n) {
        tell(&queue->vanished);
    }
}

void vanished_ask(struct queue *queue) {
    struct vanished *vanished = &queue->vanished;
    vanished_fini(queue);
    vanished->items = held_list(&queue->held, &vanished->n);
    for (size_t i = 0; i < vanished->n && queue->redis != NULL; i++) {
        struct command command;
        char id[48];
        id_of(&vanished->items[i], id, sizeof id);
        command_init(&command, "XRANGE");
        command_puts(&command, queue->keys.name[stream_key((enum stream)(vanished->items[i].stream_and_one - 1))]);
        command_puts(&command, id);
        command_puts(&command, id);
        (void)connect_send(queue, &command, on_entry, NULL);
    }
}

void vanished_fini(struct queue *queue) {
    free(queue->vanished.items);
    queue->vanished = (struct vanished){0};
}
