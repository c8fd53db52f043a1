/* bench_retention: what finished notices cost, in Redis while they are there, after they have left, and in the archive.
 *
 * Rounds of N notices: each is finished, archived (the real child, the real files) and taken out of Redis (lua/retire.lua). A round stands
 * for 31 days: the clock is moved on between them, so what redis.remember_ids (30 days) keeps of one round is forgotten in the next. Told:
 * bytes of Redis a finished notice, a remembered id, and what is left for ever of a million jobs (bar: less than 1 MB), by
 * used_memory_dataset; the time of writing and of looking one up among all that were archived, in files with an index and in one without.
 *
 * Usage: bench_retention [N [rounds]] (default 250000 4); exit 1 where a bar is missed. Does not: walk (sweep.lua paces itself). */
#include "dispatcher/archive.h"
#include "dispatcher/record.h"
#include "tests/support/queue_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <event2/event.h>

enum { PAGE = 500, LOOKUPS = 200, ROUND_DAYS = 31 };

static struct redis_server server;
static struct kit kit;
static struct queue *queue;
static struct archive *archive;
static int64_t shift_ms;
static size_t open_calls, ready;

static double now_s(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int64_t shifted_wall(void *ctx) {
    (void)ctx;
    return clock_wall_ms(&clock_system) + shift_ms;
}

static int64_t mono(void *ctx) {
    (void)ctx;
    return clock_mono_ms(&clock_system);
}

static const struct clock moved_clock = {.wall_ms = shifted_wall, .mono_ms = mono};

static void until_done(void) {
    while (open_calls > 0 || (queue != NULL && queue_pending(queue) > 0)) {
        assert_int_not_equal(event_base_loop(kit.base, EVLOOP_ONCE), -1);
    }
}

static long long dataset_bytes(void) {
    const char *info = redis_server_ask(&server, "INFO", "memory", NULL);
    return strtoll(strstr(info, "used_memory_dataset:") + 20, NULL, 10);
}

/* ---- one round ------------------------------------------------------------------------------------------------------ */

static void id_of(int round, size_t i, char id[40], char customer[40]) {
    (void)snprintf(id, 40, "campaign-%d-%zu", round, i);
    (void)snprintf(customer, 40, "C%zu", (size_t)round * 1000000 + i);
}

/* The record of a notice as most end: one mail, taken at once; written as reachd writes it. */
static const char *text;

static void make_text(struct arena *arena, struct buf *out) {
    const int64_t at_ms = INT64_C(1795300000000);
    static const char *accounts[] = {"ada@walton.example"};
    struct record record = {.customer = "C1234567",
                            .notice = "mail-password-disabled",
                            .accounts = {accounts, 1},
                            .n_own = 1,
                            .accepted_at_ms = at_ms,
                            .promise_at_ms = at_ms + 1800000,
                            .route = "security",
                            .digest = "0123456789abcdef0123456789abcdef",
                            .origin = "1/1795300000000-17",
                            .verdict = "reachable",
                            .why = "sent by email",
                            .locale = "en",
                            .version = "7403fdff3efa8889362ab1abcc1eba41cf5a025a0e2e832b05f444203aa91a76",
                            .addressed = {.name = "Ada Lovelace", .locale = "en-GB"},
                            .data = "{\"reset_url\":\"https://walton.example/reset\"}",
                            .cleared = true};
    struct record_try *t = record_try_get(&record, arena, 0, "0123456789abcdef");
    assert_non_null(t);
    t->plan.attempts = 1;
    t->plan.last = OUTCOME_SENT;
    t->plan.best = EVIDENCE_SENT;
    t->plan.first_at_ms = at_ms;
    t->plan.last_at_ms = at_ms + 100;
    t->channel = "email";
    t->gateway = "relay";
    t->to = "a\xe2\x80\xa2\xe2\x80\xa2@example.org";
    t->code = "250 2.0.0";
    t->why = "2.0.0 Ok: queued as 4XyZ123abcdz1F";
    t->ref = "4XyZ123abcdz1F";
    t->check = "81861950188c1acd";
    t->version = record.version;
    t->made_at_ms = at_ms;
    bool is_logged = record_log(&record, arena, at_ms, "accepted", NULL) == 0 &&
                     record_log(&record, arena, at_ms, "sending", "email through relay, attempt 1") == 0 &&
                     record_log(&record, arena, at_ms + 100, "sent", "relay: 2.0.0 Ok: queued as 4XyZ123abcdz1F") == 0 &&
                     record_log(&record, arena, at_ms + 100, "reached", "sent by email") == 0;
    assert_true(is_logged);
    record_write(&record, NOTICE_REACHED, out);
    text = buf_str(out);
    assert_non_null(text);
}

static void on_ready(void *ctx) {
    (void)ctx;
    ready++;
}

static void on_trouble(void *ctx, const struct err *err) {
    (void)ctx;
    fail_msg("%s", err->text);
}

static void on_applied(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    (void)ctx;
    assert_null(err);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(results[i], QUEUE_APPLIED);
    }
    open_calls--;
}

static void on_archived(void *ctx, const struct err *err) {
    (void)ctx;
    assert_null(err);
    open_calls--;
}

/* Finishes n notices in Redis; fences_r[i] are their tokens. */
static void finish(int round, size_t n, uint64_t *fences_r) {
    static struct queue_change changes[PAGE];
    static char ids[PAGE][40], customers[PAGE][40];
    struct err err;
    for (size_t from = 0; from < n; from += PAGE) {
        size_t count = n - from < PAGE ? n - from : PAGE;
        for (size_t i = 0; i < count; i++) {
            id_of(round, from + i, ids[i], customers[i]);
            fences_r[from + i] = queue_fence(queue);
            changes[i] = (struct queue_change){.id = ids[i],
                                               .customer = customers[i],
                                               .fence = fences_r[from + i],
                                               .state = NOTICE_REACHED,
                                               .record = text,
                                               .due_at_ms = 0};
        }
        open_calls++;
        assert_int_equal(queue_apply(queue, changes, count, on_applied, NULL, &err), 0);
        until_done();
    }
}

/* Archives and retires them; the seconds spent in archiving. */
static double leave(int round, size_t n, const uint64_t *fences) {
    static struct queue_retired retired[PAGE];
    static char ids[PAGE][40];
    double spent_s = 0;
    struct err err;
    for (size_t from = 0; from < n; from += PAGE) {
        size_t count = n - from < PAGE ? n - from : PAGE;
        struct buf lines = BUF_INIT;
        double start_s = now_s();
        for (size_t i = 0; i < count; i++) {
            char customer[40];
            id_of(round, from + i, ids[i], customer);
            retired[i] = (struct queue_retired){ids[i], fences[from + i], "0123456789abcdef0123456789abcdef"};
            archive_put_line(&lines, ids[i], customer, NOTICE_REACHED, fences[from + i], shifted_wall(NULL), text);
        }
        open_calls++;
        assert_int_equal(archive_put(archive, &lines, on_archived, NULL, &err), 0);
        until_done();
        spent_s += now_s() - start_s;
        assert_int_equal(queue_retire(queue, retired, count, &err), 0);
        until_done();
    }
    return spent_s;
}

/* ---- looking up ------------------------------------------------------------------------------------------------------ */

static int count_one(void *ctx, const struct archive_found *found) {
    (void)found;
    ++*(size_t *)ctx;
    return 1;
}

/* Milliseconds a look-up, over notices of one round. */
static double look_up(const char *directory, enum archive_key key, int round, size_t n) {
    struct err err;
    size_t found = 0;
    double start_s = now_s();
    for (size_t i = 0; i < LOOKUPS; i++) {
        char id[40], customer[40];
        struct arena arena = ARENA_INIT;
        id_of(round, i * 7919 % n, id, customer);
        assert_int_equal(archive_search(directory, key, key == ARCHIVE_BY_ID ? id : customer, count_one, &found, &arena, &err), 0);
        arena_fini(&arena);
    }
    assert_int_equal(found, LOOKUPS);
    return (now_s() - start_s) * 1e3 / LOOKUPS;
}

static int bar(const char *what, double value, double limit) {
    printf("%-76s %10.2f (at most %.2f)  %s\n", what, value, limit, value <= limit ? "met" : "MISSED");
    return value <= limit ? 0 : 1;
}

static void start(const char *directory) {
    static const struct queue_handlers handlers = {.ready = on_ready, .lost = on_trouble, .fatal = on_trouble};
    static struct archive_settings settings = {.file_max = 64 << 20, .file_ms = INT64_C(86400000) * 365};
    struct err err;
    assert_int_equal(redis_server_start(&server, "auto-aof-rewrite-percentage 0\nhz 100"), 0);
    kit_prepare(&kit, &server, "bench");
    kit.settings.events_max = 1000;
    queue = queue_new(kit.base, &moved_clock, &kit.settings, &handlers, NULL, &err);
    assert_non_null(queue);
    while (ready == 0) {
        assert_int_not_equal(event_base_loop(kit.base, EVLOOP_ONCE), -1);
    }
    settings.directory = directory;
    archive = archive_new(kit.base, &settings, "bench", &err);
    assert_non_null(archive);
}

int main(int argc, char **argv) {
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 250000;
    int rounds = argc > 2 ? atoi(argv[2]) : 4, missed = 0; /* NOLINT(cert-err34-c): a bench */
    char parent[] = "/tmp/reach-retention-XXXXXX", directory[64], command[128];
    uint64_t *fences = calloc(n, sizeof *fences);
    long long left[32] = {0}, empty = 0, full = 0;
    double archive_s = 0;
    struct arena arena = ARENA_INIT;
    struct buf record = BUF_INIT;
    make_text(&arena, &record);
    assert_true(fences != NULL && mkdtemp(parent) != NULL && rounds > 1 && rounds <= 32);
    (void)snprintf(directory, sizeof directory, "%s/archive", parent);
    start(directory);
    empty = dataset_bytes();
    for (int round = 0; round < rounds; round++) {
        finish(round, n, fences);
        full = round == 0 ? dataset_bytes() : full;
        archive_s += leave(round, n, fences);
        left[round] = dataset_bytes();
        printf("round %d: %zu finished, archived and gone; dataset of Redis %lld bytes\n", round + 1, n, left[round]);
        (void)fflush(stdout);
        shift_ms += INT64_C(86400000) * ROUND_DAYS;
    }
    printf("Redis, a finished notice: %.0f bytes (its record %zu); its id, for redis.remember_ids after that: %.1f bytes\n",
           (double)(full - empty) / (double)n, record.len, (double)(left[0] - empty) / (double)n);
    missed += bar("what is left in Redis after that, MB a million jobs",
                  (double)(left[rounds - 1] - left[0]) / (double)(n * (size_t)(rounds - 1)), 1);
    printf("archive: %.1f us a notice (500 a page, each page synced)\n", archive_s / (double)n / rounds * 1e6);
    printf("look-up of an id among %zu, the newest file without index: %.2f ms\n", n * (size_t)rounds,
           look_up(directory, ARCHIVE_BY_ID, 0, n));
    archive_free(archive);
    missed += bar("look-up of an id in the oldest files, ms", look_up(directory, ARCHIVE_BY_ID, 0, n), 20);
    missed += bar("look-up of a customer, ms", look_up(directory, ARCHIVE_BY_CUSTOMER, rounds - 1, n), 20);
    queue_free(queue);
    kit_close(&kit);
    redis_server_stop(&server);
    free(fences);
    buf_fini(&record);
    arena_fini(&arena);
    (void)snprintf(command, sizeof command, "du -sh '%s' && rm -rf '%s'", parent, parent);
    return system(command) != 0 || missed != 0; /* NOLINT(cert-env33-c): a path of our own */
}
