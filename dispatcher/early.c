/* early: see early.h.
 *
 * A provider may report a message as delivered before its answer to our request has come, and before the result with its id is in Redis.
 * Such a receipt must not be lost, so it is kept here and looked at again: after 250 ms, then at growing distances of 4 s at most, for
 * worker.receipt_wait. That is longer than an attempt lasts; after it the message is nobody's we know and the receipt goes to the dead
 * letters.
 *
 * Guarantees: what is kept stays pending in Redis, so a crash loses nothing. At most EARLY_MAX are kept: an account that is shared with
 * others, whose receipts come here too, cannot take the place of ours. Does not: look anything up. */
#include "dispatcher/early.h"

#include "base/log.h"
#include "dispatcher/intake.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum { EARLY_MAX = 2048, PAUSE_LEAST_MS = 250, PAUSE_MOST_MS = 4000 };

struct kept {
    struct kept *next;
    struct queue_leased leased;
    int64_t since_ms; /* monotonic, as the next */
    int64_t again_ms;
    size_t body_len;
    size_t body_at; /* in text */
    char text[];    /* stream id, NUL, body, NUL */
};

struct early {
    struct event *timer;
    struct kept *items;
    size_t n;
};

static void arm(struct early *early, int64_t now_ms) {
    int64_t wait_ms = PAUSE_MOST_MS;
    for (const struct kept *kept = early->items; kept != NULL; kept = kept->next) {
        int64_t left_ms = kept->again_ms - now_ms;
        wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
    }
    wait_ms = wait_ms < 1 ? 1 : wait_ms;
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    if (early->items != NULL && event_add(early->timer, &wait) < 0) {
        log_error("early receipts: no timer; they come back when reachd starts anew");
    }
}

static void hand_in(struct worker *w, const struct kept *kept) {
    struct arena arena = ARENA_INIT;
    struct queue_receipt receipt = {.stream_id = arena_strdup(&arena, kept->text),
                                    .leased = kept->leased,
                                    .body = arena_strndup(&arena, kept->text + kept->body_at, kept->body_len),
                                    .body_len = kept->body_len};
    if (receipt.stream_id == NULL || receipt.body == NULL) {
        log_error("out of memory for a receipt; it comes back after its lease");
        queue_let_go_receipt(w->queue, kept->text);
        arena_fini(&arena);
        return;
    }
    intake_take_receipts(w, &receipt, 1, kept->since_ms, &arena);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct worker *w = ctx;
    struct early *early = w->early;
    int64_t now_ms = clock_mono_ms(w->place.clock);
    for (struct kept **link = &early->items; *link != NULL;) {
        struct kept *kept = *link;
        if (kept->again_ms > now_ms) {
            link = &kept->next;
            continue;
        }
        *link = kept->next;
        early->n--;
        hand_in(w, kept); /* answers later, from the loop */
        free(kept);
    }
    arm(early, now_ms);
}

static struct early *early_of(struct worker *w) {
    if (w->early == NULL) {
        w->early = calloc(1, sizeof *w->early);
        if (w->early != NULL && (w->early->timer = evtimer_new(w->base, on_timer, w)) == NULL) {
            free(w->early);
            w->early = NULL;
        }
    }
    return w->early;
}

bool early_keep(struct worker *w, const struct queue_receipt *receipt, int64_t since_ms) {
    int64_t now_ms = clock_mono_ms(w->place.clock);
    struct early *early = now_ms - since_ms >= w->place.settings->worker.receipt_wait_ms ? NULL : early_of(w);
    size_t id_len = strlen(receipt->stream_id);
    if (early == NULL || early->n >= EARLY_MAX) {
        return false;
    }
    struct kept *kept = malloc(sizeof *kept + id_len + receipt->body_len + 2);
    if (kept == NULL) {
        return false;
    }
    int64_t pause_ms = (now_ms - since_ms) / 2;
    pause_ms = pause_ms < PAUSE_LEAST_MS ? PAUSE_LEAST_MS : pause_ms;
    pause_ms = pause_ms > PAUSE_MOST_MS ? PAUSE_MOST_MS : pause_ms;
    *kept = (struct kept){.next = early->items,
                          .leased = receipt->leased,
                          .since_ms = since_ms,
                          .again_ms = now_ms + pause_ms,
                          .body_len = receipt->body_len,
                          .body_at = id_len + 1};
    memcpy(kept->text, receipt->stream_id, id_len + 1);
    memcpy(kept->text + kept->body_at, receipt->body, receipt->body_len);
    kept->text[kept->body_at + receipt->body_len] = '\0';
    early->items = kept;
    early->n++;
    arm(early, now_ms);
    return true;
}

void early_fini(struct worker *w) {
    if (w->early == NULL) {
        return;
    }
    for (struct kept *next, *kept = w->early->items; kept != NULL; kept = next) {
        next = kept->next;
        free(kept);
    }
    event_free(w->early->timer);
    free(w->early);
    w->early = NULL;
}
