/* queue_kit: see queue_kit.h. Fails a test rather than return an error. */
#include "tests/support/queue_kit.h"

#include "queue/inside.h"
#include "queue/store.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60000 };

static void keep_arena(struct kit *kit, struct arena *arena_take) {
    assert_true(kit->n_arenas < sizeof kit->arenas / sizeof *kit->arenas);
    kit->arenas[kit->n_arenas++] = *arena_take;
}

static void on_ready(void *ctx) {
    struct kit *kit = ctx;
    kit->ready++;
}

static void on_lost(void *ctx, const struct err *err) {
    struct kit *kit = ctx;
    kit->lost++;
    kit->err = *err;
}

static void on_fatal(void *ctx, const struct err *err) {
    struct kit *kit = ctx;
    kit->fatal++;
    kit->err = *err;
}

static void on_entries(void *ctx, const struct queue_entry *entries, size_t n, struct arena *arena_take) {
    struct kit *kit = ctx;
    assert_true(kit->n_entries + n <= KIT_MAX);
    memcpy(kit->entries + kit->n_entries, entries, n * sizeof *entries);
    keep_arena(kit, arena_take);
    kit->n_entries += n;
    kit->n_batches++;
    kit->room_seen_max = n > kit->room_seen_max ? n : kit->room_seen_max;
    if (kit->on_entries != NULL) {
        kit->on_entries(kit, kit->entries + kit->n_entries - n, n);
    }
    if (kit->keep_room > 0) {
        queue_set_room(kit->queue, kit->keep_room);
    }
}

static void on_due(void *ctx, const struct queue_due *due, size_t n, struct arena *arena_take) {
    struct kit *kit = ctx;
    assert_true(kit->n_due + n <= KIT_MAX);
    memcpy(kit->due + kit->n_due, due, n * sizeof *due);
    keep_arena(kit, arena_take);
    kit->n_due += n;
}

static void on_receipts(void *ctx, const struct queue_receipt *receipts, size_t n, struct arena *arena_take) {
    struct kit *kit = ctx;
    assert_true(kit->n_receipts + n <= KIT_MAX);
    memcpy(kit->receipts + kit->n_receipts, receipts, n * sizeof *receipts);
    keep_arena(kit, arena_take);
    kit->n_receipts += n;
}

static void on_old(void *ctx, const struct queue_due *finished, size_t n, struct arena *arena_take) {
    struct kit *kit = ctx;
    struct err err;
    struct queue_retired *retired = calloc(n, sizeof *retired);
    assert_non_null(retired);
    for (size_t i = 0; i < n; i++) {
        retired[i] = (struct queue_retired){.id = finished[i].id, .fence = finished[i].held.fence};
    }
    kit->n_old += n;
    assert_int_equal(queue_retire(kit->queue, retired, n, &err), 0);
    free(retired);
    arena_fini(arena_take);
}

static const struct queue_handlers handlers = {
    .ready = on_ready, .lost = on_lost, .fatal = on_fatal, .entries = on_entries, .due = on_due, .receipts = on_receipts, .old = on_old};

void kit_prepare(struct kit *kit, const struct redis_server *server, const char *consumer) {
    *kit = (struct kit){0};
    struct arena arena = ARENA_INIT;
    struct err err;
    assert_int_equal(conf_defaults(&queue_table, &kit->settings, &arena, &err), 0);
    kit->settings.address = server->address;
    kit->settings.prefix = "reach:";
    kit->settings.group = "reachd";
    kit->settings.consumer = consumer;
    arena_fini(&arena);
    kit->entries = calloc(KIT_MAX, sizeof *kit->entries);
    kit->due = calloc(KIT_MAX, sizeof *kit->due);
    kit->receipts = calloc(KIT_MAX, sizeof *kit->receipts);
    kit->base = event_base_new();
    assert_true(kit->entries != NULL && kit->due != NULL && kit->receipts != NULL && kit->base != NULL);
}

void kit_connect(struct kit *kit, size_t room) {
    struct err err;
    kit->queue = queue_new(kit->base, &clock_system, &kit->settings, &handlers, kit, &err);
    assert_non_null(kit->queue);
    const char *door = getenv("KIT_DOOR_BYTES");
    if (door != NULL) {
        kit->queue->door_bytes = strtoul(door, NULL, 10);
    }
    queue_set_room(kit->queue, room);
}

void kit_start(struct kit *kit, const struct redis_server *server, const char *consumer, int64_t lease_ms) {
    kit_prepare(kit, server, consumer);
    kit->settings.lease_ms = lease_ms;
    kit_connect(kit, 0);
    kit_until_u(kit, &kit->ready, 1);
}

void kit_open(struct kit *kit, const struct redis_server *server, const char *consumer, size_t room) {
    kit_prepare(kit, server, consumer);
    kit_connect(kit, room);
    kit_until_u(kit, &kit->ready, 1);
}

void kit_close(struct kit *kit) {
    queue_free(kit->queue);
    for (size_t i = 0; i < kit->n_arenas; i++) {
        arena_fini(&kit->arenas[i]);
    }
    free(kit->entries);
    free(kit->due);
    free(kit->receipts);
    event_base_free(kit->base);
    *kit = (struct kit){0};
}

static void turn(struct kit *kit) {
    struct timeval wait = {.tv_sec = 0, .tv_usec = 2000};
    assert_int_equal(event_base_loopexit(kit->base, &wait), 0);
    assert_int_not_equal(event_base_dispatch(kit->base), -1);
}

void kit_until_n(struct kit *kit, const size_t *what, size_t at_least) {
    int64_t end_ms = clock_mono_ms(&clock_system) + PATIENCE_MS;
    while (*what < at_least && clock_mono_ms(&clock_system) < end_ms) {
        turn(kit);
    }
    if (*what < at_least) {
        fail_msg("waited in vain: %zu of %zu", *what, at_least);
    }
}

void kit_until_u(struct kit *kit, const unsigned *what, unsigned at_least) {
    int64_t end_ms = clock_mono_ms(&clock_system) + PATIENCE_MS;
    while (*what < at_least && clock_mono_ms(&clock_system) < end_ms) {
        turn(kit);
    }
    if (*what < at_least) {
        fail_msg("waited in vain: %u of %u", *what, at_least);
    }
}

void kit_run(struct kit *kit, long ms) {
    int64_t end_ms = clock_mono_ms(&clock_system) + ms;
    while (clock_mono_ms(&clock_system) < end_ms) {
        turn(kit);
    }
}

static void on_answer(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    struct kit *kit = ctx;
    kit->answers++;
    kit->n_results = n;
    if (err != NULL) {
        kit->refused++;
        kit->answer_err = *err;
        return;
    }
    assert_true(n <= sizeof kit->results / sizeof *kit->results);
    memcpy(kit->results, results, n * sizeof *results);
}

void kit_apply_later(struct kit *kit, const struct queue_change *changes, size_t n) {
    struct err err;
    assert_int_equal(queue_apply(kit->queue, changes, n, on_answer, kit, &err), 0);
}

void kit_apply(struct kit *kit, const struct queue_change *changes, size_t n) {
    unsigned answers = kit->answers, refused = kit->refused;
    kit_apply_later(kit, changes, n);
    kit_until_u(kit, &kit->answers, answers + 1);
    if (kit->refused != refused) {
        fail_msg("%s", kit->answer_err.text);
    }
}

void kit_refuse(struct kit *kit, const struct queue_refusal *refusals, size_t n) {
    struct err err;
    unsigned answers = kit->answers;
    assert_int_equal(queue_refuse(kit->queue, refusals, n, on_answer, kit, &err), 0);
    kit_until_u(kit, &kit->answers, answers + 1);
}

struct queue_change kit_change(struct kit *kit, const char *id, uint64_t fence_seen, enum notice_state state) {
    return (struct queue_change){.id = id,
                                 .customer = "C1",
                                 .fence_seen = fence_seen,
                                 .fence = queue_fence(kit->queue),
                                 .state = state,
                                 .record = "{}",
                                 .due_at_ms = -1};
}

void kit_push(const struct queue_settings *settings, enum lane lane, size_t n) {
    struct err err;
    struct store *store = store_open(settings, &err);
    assert_non_null(store);
    for (size_t i = 0; i < n; i++) {
        char text[32];
        size_t done = 0, len = (size_t)snprintf(text, sizeof text, "{\"n\":%zu}", i);
        const char *body = text;
        assert_int_equal(store_push(store, lane, &body, &len, 1, &done, &err), 0);
    }
    store_close(store);
}

static json_t *look(const struct queue_settings *settings) {
    struct err err;
    struct store *store = store_open(settings, &err);
    assert_non_null(store);
    json_t *status = store_status(store, &err);
    assert_non_null(status);
    store_close(store);
    return status;
}

static long long number(const json_t *object, const char *member) {
    const json_t *value = json_object_get(object, member);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

long long kit_status(const struct queue_settings *settings, const char *member) {
    json_t *status = look(settings);
    long long value = number(status, member);
    json_decref(status);
    return value;
}

long long kit_pending(const struct queue_settings *settings, const char *lane) {
    json_t *status = look(settings);
    long long value = number(json_object_get(json_object_get(status, "lanes"), lane), "pending");
    json_decref(status);
    return value;
}
