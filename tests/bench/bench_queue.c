/* bench_queue: what the guarantees cost.
 *
 * Two ways to take the same jobs from a Redis (AOF everysec), each time a fresh one of its own, one after the other in the same run:
 *   bare   XREADGROUP 512, jansson parses each job, one pipelined HSET a job, one XACK a batch. Nothing is safe: a crash between
 *          the two loses or repeats work, nobody else may take over, nothing is counted, nobody is told.
 *   whole  reachd's path with a channel that does nothing: read, validate (job_parse), look up, decide (doomed set, reachability, plan),
 *          intent, plan again, result with acknowledgement, counters and events, through queue.h.
 * Both write the same text for a notice. Bare waits for each answer, as the simplest loop does; reachd's path has several batches under way
 * and Redis busy meanwhile. Its batches are large, so their records go by the door (queue/door.c). Told: notices a second, CPU of the
 * redis-server process a notice by its own accounting (INFO cpu), and the ratios of the two; at growing numbers. Each is repeated, both
 * ways in turn, each larger number beside the smallest one; of the ratios the median counts. What grows with the number is told for Redis
 * alone as well, beside how much the bare loop's Redis does.
 *
 * Usage: bench_queue [number...] (default 10000 100000 1000000); exit 1 where a bar is missed. Does not: render, send, measure a network;
 * or write the effects of a notice (clearance, release, contact book), which bare has nothing of. */
#include "base/json.h"
#include "dispatcher/core/plan.h"
#include "dispatcher/job.h"
#include "queue/store.h"
#include "tests/support/queue_kit.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

enum { BATCH = 512, REPEATS = 7, REPEATS_MANY = 5, SMALL_MAX = 20000, ROOM = 4096 };

struct figures {
    double per_second;
    double redis_us; /* CPU of Redis, a notice */
    double own_us;   /* CPU of this process, a notice */
    double both_us;
};

static struct redis_server server;
static struct queue_settings settings;
static const struct mailbox_rules *rules;
static const struct route_step step = {.channel = CHANNEL_EMAIL, .success = EVIDENCE_SENT, .attempts_max = 4, .retry_for_ms = 60000};
static const struct route route = {.name = "security", .steps = &step, .n_steps = 1};
static const int64_t now_ms = INT64_C(1795300000000);

/* ---- measuring ----------------------------------------------------------------------------------------------------- */

static double now_s(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double own_cpu_s(void) {
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double info_number(const char *section, const char *name) {
    const char *info = redis_server_ask(&server, "INFO", section, NULL);
    const char *at = info == NULL ? NULL : strstr(info, name);
    return at == NULL ? 0 : strtod(at + strlen(name), NULL);
}

static double redis_cpu_s(void) {
    return info_number("cpu", "used_cpu_user:") + info_number("cpu", "used_cpu_sys:");
}

struct meter {
    double wall_s, redis_s, own_s;
};

static struct meter meter_start(void) {
    double redis_s = redis_cpu_s();
    return (struct meter){now_s(), redis_s, own_cpu_s()};
}

static struct figures meter_stop(const struct meter *start, size_t n) {
    double wall_s = now_s() - start->wall_s;
    double own_s = own_cpu_s() - start->own_s;
    double redis_us = (redis_cpu_s() - start->redis_s) / (double)n * 1e6, own_us = own_s / (double)n * 1e6;
    return (struct figures){(double)n / wall_s, redis_us, own_us, redis_us + own_us};
}

/* ---- jobs ---------------------------------------------------------------------------------------------------------- */

static size_t job_text(size_t i, char *out, size_t cap) {
    return (size_t)snprintf(
        out, cap,
        "{\"v\":1,\"type\":\"notice\",\"id\":\"bench-%zu\",\"notice\":\"mail-password-disabled\",\"customer\":{\"id\":\"C%zu\","
        "\"locale\":\"en-GB\",\"name\":\"Ada\",\"contacts\":[{\"channel\":\"email\",\"address\":\"ada%zu@example.org\"},"
        "{\"channel\":\"sms\",\"address\":\"+441632960001\"}]},\"disables\":{\"accounts\":[\"ada%zu@walton.example\"]},"
        "\"promise\":\"PT30M\",\"data\":{\"reset_url\":\"https://walton.example/reset\"}}",
        i, i, i, i);
}

static void push_jobs(size_t n) {
    static char texts[BATCH][512];
    const char *bodies[BATCH];
    size_t lens[BATCH], done = 0;
    struct err err;
    struct store *store = store_open(&settings, &err);
    assert_non_null(store);
    for (size_t from = 0; from < n; from += BATCH) {
        size_t count = n - from < BATCH ? n - from : BATCH;
        for (size_t i = 0; i < count; i++) {
            lens[i] = job_text(from + i, texts[i], sizeof texts[i]);
            bodies[i] = texts[i];
        }
        assert_int_equal(store_push(store, LANE_BULK, bodies, lens, count, &done, &err), 0);
    }
    store_close(store);
}

/* A Redis that has never held anything else. */
static void start_over(size_t n) {
    assert_int_equal(redis_server_start(&server, "auto-aof-rewrite-percentage 0"), 0);
    push_jobs(n);
}

/* The record that either way writes. */
static int record_text(const json_t *job, char *out, size_t cap) {
    return snprintf(out, cap,
                    "{\"v\":1,\"notice\":\"%s\",\"accepted_at\":1795300000000,\"accounts\":[\"%s\"],\"tries\":[{\"step\":0,"
                    "\"contact\":\"0123456789abcdef\",\"attempts\":1,\"last\":\"sent\",\"at\":1795300000000}]}",
                    json_string_value(json_object_get(job, "notice")),
                    json_string_value(json_array_get(json_object_get(json_object_get(job, "disables"), "accounts"), 0)));
}

/* ---- bare ---------------------------------------------------------------------------------------------------------- */

static void bare_batch(redisContext *redis, const redisReply *rows) {
    const char *ack[3 + BATCH] = {"XACK", "reach:intake:bulk", "bare"};
    for (size_t i = 0; i < rows->elements; i++) {
        const redisReply *body = rows->element[i]->element[1]->element[1];
        struct err err;
        char record[512];
        json_t *job = json_parse_strict(body->str, (size_t)body->len, 0, &err);
        assert_non_null(job);
        (void)record_text(job, record, sizeof record);
        const char *set[] = {"HSET", "reach:bare", json_string_value(json_object_get(job, "id")), record};
        assert_int_equal(redisAppendCommandArgv(redis, 4, set, NULL), REDIS_OK);
        json_decref(job);
        ack[3 + i] = rows->element[i]->element[0]->str;
    }
    assert_int_equal(redisAppendCommandArgv(redis, (int)(3 + rows->elements), ack, NULL), REDIS_OK);
}

static struct figures bare(size_t n) {
    start_over(n);
    redisContext *redis = redisConnectUnix(server.socket);
    redis->reader->maxbuf = 0;
    freeReplyObject(redisCommand(redis, "XGROUP CREATE reach:intake:bulk bare 0"));
    struct meter meter = meter_start();
    for (size_t done = 0; done < n;) {
        redisReply *reply = redisCommand(redis, "XREADGROUP GROUP bare b COUNT %d STREAMS reach:intake:bulk >", BATCH);
        assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
        const redisReply *rows = reply->element[0]->element[1];
        bare_batch(redis, rows);
        for (size_t i = 0; i <= rows->elements; i++) {
            void *answer = NULL;
            assert_int_equal(redisGetReply(redis, &answer), REDIS_OK);
            freeReplyObject(answer);
        }
        done += rows->elements;
        freeReplyObject(reply);
    }
    struct figures figures = meter_stop(&meter, n);
    redisFree(redis);
    redis_server_stop(&server);
    return figures;
}

/* ---- whole --------------------------------------------------------------------------------------------------------- */

/* One batch on its way through the steps. */
struct work {
    struct arena arena; /* of the entries */
    size_t n;
    const struct queue_entry *entries;
    struct job_document *jobs;
    struct arena *arenas; /* of the jobs, one each, as the worker has it */
    struct queue_change *changes;
    const char **ids;
    char (*records)[512];
    char (*events)[256];
    char (*keys)[17]; /* of the contact point that was chosen */
};

static struct event_base *base;
static struct queue *queue;
static size_t in_hand, finished, wanted;
static struct meter started; /* when it was connected, as with bare */

static void work_free(struct work *work) {
    for (size_t i = 0; i < work->n; i++) {
        job_document_fini(&work->jobs[i]);
        arena_fini(&work->arenas[i]);
    }
    free(work->jobs);
    free(work->arenas);
    free(work->changes);
    free(work->ids);
    free(work->records);
    free(work->events);
    free(work->keys);
    arena_fini(&work->arena);
    free(work);
}

static void on_result(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    assert_null(err);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(results[i], QUEUE_APPLIED);
    }
    finished += n;
    in_hand -= n;
    work_free(ctx);
    queue_set_room(queue, ROOM - in_hand);
    if (finished == wanted) {
        assert_int_equal(event_base_loopbreak(base), 0);
    }
}

static void event_text(struct work *work, size_t i, const char *state) {
    (void)snprintf(work->events[i], sizeof work->events[i], "{\"at\":1795300000000,\"notice\":\"%s\",\"customer\":\"%s\",\"state\":\"%s\"}",
                   work->ids[i], work->changes[i].customer, state);
}

/* What the core says about a job, as dispatcher/decide.c asks it: first to send by e-mail, then, sent, that it is enough. */
static void decide(struct work *work, size_t i, const struct plan_try *tries, size_t n_tries, enum plan_kind expected) {
    const struct job *job = &work->jobs[i].job;
    struct err err;
    struct reach_answer answer;
    struct plan_action action;
    struct reach_question reach = {.rules = rules, .customer = &job->customer};
    reach.doomed = doomed_set_new(rules, &job->disables, &job->customer.accounts, &work->arenas[i], &err);
    assert_non_null(reach.doomed);
    assert_int_equal(reach_decide(&reach, &work->arenas[i], &answer, &err), 0);
    struct plan_question question = {.route = &route,
                                     .customer = &job->customer,
                                     .reach = &answer,
                                     .tries = tries,
                                     .n_tries = n_tries,
                                     .effective_at_ms = job->effective_at_ms,
                                     .expires_at_ms = job->expires_at_ms,
                                     .now_ms = now_ms};
    plan_next(&question, &action);
    assert_int_equal(action.kind, expected);
    if (expected == PLAN_REACHED) {
        return;
    }
    assert_int_equal(reach_use_at(&answer.contacts[action.contact], &job->customer.contacts[action.contact], 0, now_ms), REACH_EVIDENCE);
    plan_contact_key(CHANNEL_EMAIL, answer.contacts[action.contact].canonical, work->keys[i]);
}

/* The intent is recorded, the channel has done nothing: the result. */
static void on_intent(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    struct work *work = ctx;
    (void)results;
    assert_null(err);
    for (size_t i = 0; i < n; i++) {
        struct queue_change *change = &work->changes[i];
        struct plan_try try = {.attempts = 1, .last = OUTCOME_SENT, .best = EVIDENCE_SENT, .first_at_ms = now_ms, .last_at_ms = now_ms};
        memcpy(try.contact_key, work->keys[i], sizeof work->keys[i]);
        decide(work, i, &try, 1, PLAN_REACHED);
        change->fence_seen = change->fence;
        change->fence = queue_fence(queue);
        change->state = NOTICE_REACHED;
        change->ack = &work->entries[i];
        change->begun_from_ack = true;
        change->counts = "sent:email reached:email";
        event_text(work, i, "reached");
        change->event = work->events[i];
    }
    struct err fault;
    assert_int_equal(queue_apply(queue, work->changes, n, on_result, work, &fault), 0);
}

static void on_found(void *ctx, const struct queue_found *found, size_t n, struct arena *arena_take) {
    struct work *work = ctx;
    for (size_t i = 0; i < n; i++) {
        assert_false(found[i].held.found);
        decide(work, i, NULL, 0, PLAN_SEND);
        (void)record_text(work->jobs[i].root, work->records[i], sizeof work->records[i]);
        work->changes[i] = (struct queue_change){.id = work->ids[i],
                                                 .customer = work->jobs[i].job.customer.id,
                                                 .fence = queue_fence(queue),
                                                 .state = NOTICE_SENDING,
                                                 .record = work->records[i],
                                                 .from = &work->entries[i],
                                                 .not_after_ms = work->entries[i].not_after_ms,
                                                 .due_at_ms = -1,
                                                 .event = work->events[i]};
        event_text(work, i, "sending");
    }
    arena_fini(arena_take);
    struct err err;
    assert_int_equal(queue_apply(queue, work->changes, n, on_intent, work, &err), 0);
}

static void on_entries(void *ctx, const struct queue_entry *entries, size_t n, struct arena *arena_take) {
    (void)ctx;
    struct work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    *work = (struct work){*arena_take,
                          n,
                          entries,
                          calloc(n, sizeof *work->jobs),
                          calloc(n, sizeof *work->arenas),
                          calloc(n, sizeof *work->changes),
                          calloc(n, sizeof *work->ids),
                          calloc(n, sizeof *work->records),
                          calloc(n, sizeof *work->events),
                          calloc(n, sizeof *work->keys)};
    const char **customers = calloc(n, sizeof *customers);
    struct err err;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(job_parse(entries[i].body, entries[i].body_len, rules, &work->arenas[i], &work->jobs[i], NULL, &err), 0);
        work->ids[i] = work->jobs[i].job.id;
        customers[i] = work->jobs[i].job.customer.id;
    }
    in_hand += n;
    assert_int_equal(queue_lookup(queue, work->ids, customers, n, on_found, work, &err), 0);
    free(customers);
}

static void on_ready(void *ctx) {
    (void)ctx;
    started = meter_start();
}

static void on_trouble(void *ctx, const struct err *err) {
    (void)ctx;
    fail_msg("%s", err->text);
}

static void on_none(void *ctx, const struct queue_due *due, size_t n, struct arena *arena_take) {
    (void)ctx;
    (void)due;
    (void)n;
    arena_fini(arena_take);
}

static void on_no_receipts(void *ctx, const struct queue_receipt *receipts, size_t n, struct arena *arena_take) {
    (void)ctx;
    (void)receipts;
    (void)n;
    arena_fini(arena_take);
}

static struct figures whole(size_t n) {
    static const struct queue_handlers handlers = {
        .ready = on_ready, .lost = on_trouble, .fatal = on_trouble, .entries = on_entries, .due = on_none, .receipts = on_no_receipts};
    struct err err;
    start_over(n);
    base = event_base_new();
    in_hand = finished = 0;
    wanted = n;
    queue = queue_new(base, &clock_system, &settings, &handlers, NULL, &err);
    assert_non_null(queue);
    queue_set_room(queue, ROOM);
    assert_int_not_equal(event_base_dispatch(base), -1);
    struct figures figures = meter_stop(&started, n);
    queue_free(queue);
    event_base_free(base);
    assert_int_equal(finished, n);
    assert_int_equal(kit_status(&settings, "finished"), n);
    assert_int_equal(kit_status(&settings, "unaccounted"), 0);
    redis_server_stop(&server);
    return figures;
}

/* ---- the report ---------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median of each figure by itself. */
static struct figures median(const struct figures *all, int n) {
    double per_second[REPEATS], redis_us[REPEATS], own_us[REPEATS], both_us[REPEATS];
    for (int i = 0; i < n; i++) {
        per_second[i] = all[i].per_second;
        redis_us[i] = all[i].redis_us;
        own_us[i] = all[i].own_us;
        both_us[i] = all[i].both_us;
    }
    qsort(per_second, (size_t)n, sizeof *per_second, ascending);
    qsort(redis_us, (size_t)n, sizeof *redis_us, ascending);
    qsort(own_us, (size_t)n, sizeof *own_us, ascending);
    qsort(both_us, (size_t)n, sizeof *both_us, ascending);
    return (struct figures){per_second[n / 2], redis_us[n / 2], own_us[n / 2], both_us[n / 2]};
}

static void row(const char *name, size_t n, struct figures f) {
    printf("%-6s %9zu  %10.0f /s  Redis %6.2f us  own %6.2f us  a notice\n", name, n, f.per_second, f.redis_us, f.own_us);
    (void)fflush(stdout);
}

static int bar(const char *what, double value, double limit, bool at_least) {
    bool met = at_least ? value >= limit : value <= limit;
    printf("%-64s %5.2f (%s %.2f)  %s\n", what, value, at_least ? "at least" : "at most", limit, met ? "met" : "MISSED");
    return met ? 0 : 1;
}

static struct figures quotient(struct figures a, struct figures b) {
    return (struct figures){a.per_second / b.per_second, a.redis_us / b.redis_us, a.own_us / b.own_us, a.both_us / b.both_us};
}

/* In a process of its own, so that what one run leaves of the heap is not the next one's. */
static struct figures apart(struct figures (*way)(size_t n), size_t n) {
    struct figures figures = {0};
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        figures = way(n);
        _exit(write(ends[1], &figures, sizeof figures) == (ssize_t)sizeof figures ? 0 : 1);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &figures, sizeof figures), sizeof figures);
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return figures;
}

/* What is measured beside one another: at this size, and right before it at the smallest one (`few`; 0: this is it). */
struct pair {
    struct figures bare, whole, bare_few, whole_few;
};

static struct pair measure(size_t n, size_t few) {
    struct pair pair = {.bare = {0}};
    if (few > 0) {
        pair.bare_few = apart(bare, few);
        pair.whole_few = apart(whole, few);
    }
    pair.bare = apart(bare, n);
    pair.whole = apart(whole, n);
    return pair;
}

static int judge_growth(const struct pair *pairs, int n) {
    struct figures bares[REPEATS], wholes[REPEATS];
    for (int i = 0; i < n; i++) {
        bares[i] = quotient(pairs[i].bare, pairs[i].bare_few);
        wholes[i] = quotient(pairs[i].whole, pairs[i].whole_few);
    }
    struct figures growth = median(wholes, n), bare_growth = median(bares, n);
    int missed = bar("  time a notice, whole, compared with the smallest size", 1 / growth.per_second, 1.1, false) +
                 bar("  CPU a notice, Redis and own, whole, compared with the smallest", growth.both_us, 1.1, false);
    printf("  Redis CPU alone, compared with the smallest size: whole %.2f, bare %.2f\n", growth.redis_us, bare_growth.redis_us);
    return missed;
}

/* Both ways in turn, and each pair is a measurement: the machine has phases of seconds to minutes in which everything takes longer. */
static int compare(size_t n, size_t few, int repeats) {
    struct pair pairs[REPEATS];
    struct figures bares[REPEATS], wholes[REPEATS], ratios[REPEATS];
    for (int i = 0; i < repeats; i++) {
        pairs[i] = measure(n, few);
        bares[i] = pairs[i].bare;
        wholes[i] = pairs[i].whole;
        ratios[i] = quotient(pairs[i].whole, pairs[i].bare);
    }
    row("bare", n, median(bares, repeats));
    row("whole", n, median(wholes, repeats));
    struct figures ratio = median(ratios, repeats);
    return bar("  notices a second, whole / bare", ratio.per_second, 0.5, true) +
           bar("  Redis CPU a notice, whole / bare", ratio.redis_us, 1.5, false) + (few > 0 ? judge_growth(pairs, repeats) : 0);
}

/* The domain whose mailboxes are the company's own. */
static void make_rules(struct arena *arena) {
    static const struct own_domain own = {.domain = "walton.example", .plus_addressing = true};
    struct err err;
    rules = mailbox_rules_new(&own, 1, arena, &err);
    assert_non_null(rules);
}

int main(int argc, char **argv) {
    static const char *const numbers[] = {"10000", "100000", "1000000"};
    int n = argc > 1 ? argc - 1 : 3, missed = 0;
    struct arena arena = ARENA_INIT;
    size_t few = 0;
    struct kit kit;
    make_rules(&arena);
    kit_prepare(&kit, &server, "bench");
    settings = kit.settings;
    for (int i = 0; i < n; i++) {
        size_t number = strtoul(argc > 1 ? argv[i + 1] : numbers[i], NULL, 10);
        missed += compare(number, few, number <= SMALL_MAX ? REPEATS : REPEATS_MANY);
        few = i == 0 ? number : few;
    }
    kit_close(&kit);
    arena_fini(&arena);
    return missed == 0 ? 0 : 1;
}
