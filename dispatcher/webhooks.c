/* webhooks: see webhooks.h.
 *
 *   provider ──▶ listener (genuine? readable?) ──▶ here: {"v":1,"gateway","ref","status","at","detail"} ──▶ XADD receipts ──▶ 200
 *                                                                                               └─ Redis away ──▶ 503, Retry-After
 *
 * A receipt over HTTP is nothing special: once it is in the stream, it is read, matched and applied by the same code as those that other
 * programs push (receipts.c), by whichever reachd reads it first, and lost by none. The provider hears 200 only when Redis has it.
 *
 * What was refused is counted in Redis under the gateway (`reachctl status`), added up here and written once a second, so that a flood of
 * forged receipts costs Redis nothing. Numbers that Redis does not take are kept.
 *
 * Does not: know what a receipt means. */
#include "dispatcher/webhooks.h"

#include "base/log.h"
#include "channels/listener.h"
#include "dispatcher/gateway_check.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_MS = 1000, BODIES_MAX = 64, NAME_MAX_LEN = 200 };

/* What one counter is to be raised by. */
struct tally {
    char name[NAME_MAX_LEN];
    uint64_t n;
    struct tally *next;
};

struct webhooks {
    struct listener *listener;
    struct queue *queue;
    const struct clock *clock;
    struct event *timer;
    struct tally *tallies; /* as many as there are gateways times events */
};

/* ---- counting -------------------------------------------------------------------------------------------------------- */

static void arm(struct webhooks *hooks) {
    struct timeval wait = {.tv_sec = COUNT_MS / 1000, .tv_usec = COUNT_MS % 1000 * 1000};
    if (event_pending(hooks->timer, EV_TIMEOUT, NULL) == 0 && event_add(hooks->timer, &wait) < 0) {
        log_error("webhooks: no timer for the counters");
    }
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    (void)fd;
    (void)what;
    struct webhooks *hooks = ctx;
    bool left = false;
    for (struct tally *tally = hooks->tallies; tally != NULL; tally = tally->next) {
        if (tally->n > 0 && queue_count(hooks->queue, tally->name, (int64_t)tally->n) == 0) {
            tally->n = 0;
        }
        left = left || tally->n > 0;
    }
    if (left) {
        arm(hooks);
    }
}

static struct tally *find_tally(struct webhooks *hooks, const char *name) {
    struct tally *tally = hooks->tallies;
    while (tally != NULL && strcmp(tally->name, name) != 0) {
        tally = tally->next;
    }
    if (tally == NULL && (tally = calloc(1, sizeof *tally)) != NULL) {
        (void)snprintf(tally->name, sizeof tally->name, "%s", name);
        tally->next = hooks->tallies;
        hooks->tallies = tally;
    }
    return tally;
}

/* "gateway.NAME.receipts-forged": where `reachctl status` looks for what belongs to a gateway. */
static void on_count(void *ctx, const char *gateway, enum listener_event event, uint64_t n) {
    struct webhooks *hooks = ctx;
    char name[NAME_MAX_LEN];
    if (gateway == NULL) {
        (void)snprintf(name, sizeof name, "receipts-%s", listener_event_name(event));
    } else {
        (void)snprintf(name, sizeof name, "gateway.%s.receipts-%s", gateway, listener_event_name(event));
    }
    struct tally *tally = find_tally(hooks, name);
    if (tally == NULL) {
        log_error("webhooks: out of memory for a counter");
        return;
    }
    tally->n += n;
    arm(hooks);
}

/* ---- taking ---------------------------------------------------------------------------------------------------------- */

struct storing {
    listener_stored_fn *stored;
    void *stored_ctx;
};

static void on_stored(void *ctx, bool stored) {
    struct storing *storing = ctx;
    storing->stored(storing->stored_ctx, stored);
    free(storing);
}

static void put_member(struct buf *out, const char *name, const char *value) {
    if (value[0] != '\0') {
        buf_putf(out, ",\"%s\":", name);
        buf_put_json_str(out, value);
    }
}

/* One receipt of the contract, in the arena. NULL: no memory. */
static const char *make_body(const char *gateway, const struct provider_receipt *receipt, int64_t now_ms, struct arena *arena) {
    char at[TIME_TEXT_MAX];
    struct buf out = BUF_INIT;
    buf_puts(&out, "{\"v\":1");
    put_member(&out, "gateway", gateway);
    put_member(&out, "ref", receipt->ref);
    put_member(&out, "status", receipt->status);
    put_member(&out, "at", time_format(now_ms, at));
    put_member(&out, "detail", receipt->code);
    buf_putc(&out, '}');
    const char *text = buf_str(&out) == NULL ? NULL : arena_strndup(arena, out.data, out.len);
    buf_fini(&out);
    return text;
}

static void on_take(void *ctx, const char *gateway, const struct provider_receipt *receipts, size_t n, listener_stored_fn *stored,
                    void *stored_ctx) {
    struct webhooks *hooks = ctx;
    struct arena arena = ARENA_INIT;
    struct err err;
    const char *bodies[BODIES_MAX];
    int64_t now_ms = clock_wall_ms(hooks->clock);
    struct storing *storing = n > BODIES_MAX ? NULL : malloc(sizeof *storing);
    bool made = storing != NULL;
    for (size_t i = 0; made && i < n; i++) {
        bodies[i] = make_body(gateway, &receipts[i], now_ms, &arena);
        made = bodies[i] != NULL;
    }
    if (made) {
        *storing = (struct storing){stored, stored_ctx};
    }
    if (!made || queue_add_receipts(hooks->queue, bodies, n, on_stored, storing, &err) < 0) {
        free(storing);
        stored(stored_ctx, false);
    }
    arena_fini(&arena);
}

static const struct listener_handlers handlers = {.take = on_take, .count = on_count};

/* ---- life ------------------------------------------------------------------------------------------------------------ */

int webhooks_load(struct webhooks *hooks, const struct settings *settings, struct err *err) {
    const struct gateway_settings *gateways = settings->gateways.items;
    size_t at_fault = 0;
    if (hooks == NULL) {
        return 0;
    }
    int n = listener_load(hooks->listener, gateways, settings->gateways.n, &at_fault, err);
    if (n < 0) {
        return gateway_fault(&gateways[at_fault], err);
    }
    log_info("listener: receipts of %d gateways are taken at %s", n, settings->listener.address);
    return 0;
}

int webhooks_new(struct event_base *base, const struct clock *clock, struct queue *queue, const struct settings *settings,
                 struct webhooks **hooks_r, struct err *err) {
    *hooks_r = NULL;
    if (settings->listener.address == NULL) {
        return 0;
    }
    struct webhooks *hooks = calloc(1, sizeof *hooks);
    if (hooks == NULL) {
        return err_no_memory(err);
    }
    hooks->queue = queue;
    hooks->clock = clock;
    hooks->timer = evtimer_new(base, on_timer, hooks);
    if (hooks->timer == NULL) {
        webhooks_free(hooks);
        return err_no_memory(err);
    }
    hooks->listener = listener_new(base, clock, &settings->listener, &handlers, hooks, err);
    if (hooks->listener == NULL) {
        char where[256];
        webhooks_free(hooks);
        if (err->member[0] != '\0') {
            (void)err_prefix(err, err->member);
        }
        return err_prefix(err, conf_where_text(&settings->listener.where, where, sizeof where));
    }
    if (webhooks_load(hooks, settings, err) < 0) {
        webhooks_free(hooks);
        return -1;
    }
    *hooks_r = hooks;
    return 0;
}

void webhooks_free(struct webhooks *hooks) {
    if (hooks == NULL) {
        return;
    }
    listener_free(hooks->listener);
    if (hooks->timer != NULL) {
        event_free(hooks->timer);
    }
    for (struct tally *next, *tally = hooks->tallies; tally != NULL; tally = next) {
        next = tally->next;
        free(tally);
    }
    free(hooks);
}

bool webhooks_is_settled(const struct webhooks *hooks) {
    return hooks == NULL || listener_is_settled(hooks->listener);
}
