/* Changes of notices: atomic, fenced, counted once. Against a real Redis each. */
#include "tests/support/queue_kit.h"

#include "queue/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct redis_server server;
static struct kit kit;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, NULL) < 0) {
        return -1;
    }
    kit_open(&kit, &server, "w1", 1000);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kit_close(&kit);
    redis_server_stop(&server);
    return 0;
}

static void a_new_notice_is_counted_as_accepted_and_in_its_state(void **state) {
    (void)state;
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply(&kit, &change, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "accepted", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "state:s", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "in_flight"), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void a_change_of_state_moves_the_counter(void **state) {
    (void)state;
    struct queue_change first = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply(&kit, &first, 1);
    struct queue_change second = kit_change(&kit, "n1", first.fence, NOTICE_REACHED);
    kit_apply(&kit, &second, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 1);
    assert_int_equal(kit_status(&kit.settings, "finished"), 1);
    assert_int_equal(kit_status(&kit.settings, "in_flight"), 0);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void a_stale_token_changes_nothing(void **state) {
    (void)state;
    struct queue_change first = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply(&kit, &first, 1);
    struct queue_change second = kit_change(&kit, "n1", first.fence, NOTICE_SENT);
    kit_apply(&kit, &second, 1);
    struct queue_effect hold = {QUEUE_HSET, "holds", "ada@walton.example", "n1", 0};
    struct queue_change late = kit_change(&kit, "n1", first.fence, NOTICE_REACHED);
    late.counts = "late";
    late.event = "{}";
    late.due_at_ms = 5;
    late.effects = &hold;
    late.n_effects = 1;
    long long events = redis_server_number(&server, "XLEN", "reach:events", NULL);
    kit_apply(&kit, &late, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:counters", "count:late", NULL), "(nil)");
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:holds", NULL), 0);
    assert_int_equal(redis_server_number(&server, "ZCARD", "reach:due", NULL), 0);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), events);
    assert_int_equal(kit_status(&kit.settings, "finished"), 0);
}

static void a_second_new_notice_of_the_same_id_is_stale(void **state) {
    (void)state;
    struct queue_change first = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    struct queue_change second = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply(&kit, &first, 1);
    kit_apply(&kit, &second, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 1);
}

static void a_stale_item_does_not_keep_the_others_of_its_batch(void **state) {
    (void)state;
    struct queue_change old = kit_change(&kit, "n2", 0, NOTICE_SENDING);
    kit_apply(&kit, &old, 1);
    struct queue_change changes[4] = {kit_change(&kit, "n1", 0, NOTICE_SENDING), kit_change(&kit, "n2", 0, NOTICE_SENDING),
                                      kit_change(&kit, "n3", 0, NOTICE_SENDING), kit_change(&kit, "n3", 0, NOTICE_SENDING)};
    for (int i = 0; i < 4; i++) {
        changes[i].counts = "tries";
        changes[i].event = "{}";
    }
    kit_apply(&kit, changes, 4);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit.results[1], QUEUE_STALE);
    assert_int_equal(kit.results[2], QUEUE_APPLIED);
    assert_int_equal(kit.results[3], QUEUE_STALE); /* the same id a second time */
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:tries", NULL), 2);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 3);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

static void the_same_batch_applied_twice_counts_once(void **state) {
    (void)state;
    struct queue_effect effects[] = {{QUEUE_HSET, "desk", "n1", "{}", 0}, {QUEUE_SET, "banner:{C1}", NULL, "{}", 0}};
    struct queue_change changes[2] = {kit_change(&kit, "n1", 0, NOTICE_STRANDED), kit_change(&kit, "n2", 0, NOTICE_REACHED)};
    changes[0].effects = effects;
    changes[0].n_effects = 2;
    changes[0].event = "{\"id\":\"n1\"}";
    changes[0].counts = "stranded";
    changes[1].counts = "sent:email fallback";
    kit_apply(&kit, changes, 2);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:desk", "n1", NULL), 1); /* so that doing it again would show */
    kit_apply(&kit, changes, 2);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit.results[1], QUEUE_APPLIED);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 2);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:sent:email", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:fallback", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:stranded", NULL), 1);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:desk", NULL), 0);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), 1);
}

static void effects_job_due_and_acknowledgement_happen_together(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_effect effects[] = {{QUEUE_SET, "clearance:{a}", NULL, "{\"v\":1}", 4102444800000},
                                     {QUEUE_HSET, "holds", "a", "n1", 0},
                                     {QUEUE_ZADD, "campaign:{c}:due", "n1", NULL, 7}};
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_PLANNED);
    change.job_action = QUEUE_JOB_STORE;
    change.job = kit.entries[0].body;
    change.job_len = kit.entries[0].body_len;
    change.due_at_ms = 4102444800000;
    change.ack = &kit.entries[0];
    change.effects = effects;
    change.n_effects = 3;
    kit_apply(&kit, &change, 1);
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:jobs", "n1", NULL), "{\"n\":0}");
    assert_string_equal(redis_server_ask(&server, "ZSCORE", "reach:due", "n1", NULL), "4102444800000");
    assert_string_equal(redis_server_ask(&server, "GET", "reach:clearance:{a}", NULL), "{\"v\":1}");
    assert_true(redis_server_number(&server, "PTTL", "reach:clearance:{a}", NULL) > 0);
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:holds", "a", NULL), "n1");
    assert_string_equal(redis_server_ask(&server, "ZSCORE", "reach:campaign:{c}:due", "n1", NULL), "7");
    assert_int_equal(kit_pending(&kit.settings, "urgent"), 0);
    struct queue_effect undo[] = {
        {QUEUE_DEL, "clearance:{a}", NULL, NULL, 0}, {QUEUE_HDEL, "holds", "a", NULL, 0}, {QUEUE_ZREM, "campaign:{c}:due", "n1", NULL, 0}};
    struct queue_change last = kit_change(&kit, "n1", change.fence, NOTICE_REACHED);
    last.job_action = QUEUE_JOB_DROP;
    last.due_at_ms = 0;
    last.effects = undo;
    last.n_effects = 3;
    kit_apply(&kit, &last, 1);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:jobs", "reach:due", "reach:clearance:{a}", "reach:holds",
                                         "reach:campaign:{c}:due", NULL),
                     0);
}

static void a_key_of_the_wrong_type_refuses_the_whole_batch_before_anything_is_written(void **state) {
    (void)state;
    assert_string_equal(redis_server_ask(&server, "SET", "reach:holds", "no hash", NULL), "OK");
    struct queue_effect hold = {QUEUE_HSET, "holds", "a", "n2", 0};
    struct queue_change changes[2] = {kit_change(&kit, "n1", 0, NOTICE_SENDING), kit_change(&kit, "n2", 0, NOTICE_SENDING)};
    changes[1].effects = &hold;
    changes[1].n_effects = 1;
    kit_apply_later(&kit, changes, 2);
    kit_until_u(&kit, &kit.refused, 1);
    assert_non_null(strstr(kit.answer_err.text, "reach:holds"));
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:notices", "reach:counters", NULL), 0);
    assert_int_equal(queue_pending(kit.queue), 0);
}

static void a_key_that_an_effect_only_reads_is_looked_at_as_well(void **state) {
    (void)state;
    assert_string_equal(redis_server_ask(&server, "SET", "reach:contacts", "no hash", NULL), "OK");
    struct queue_effect book = {QUEUE_BOOK, "", "C1", "entry", 0};
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    change.effects = &book;
    change.n_effects = 1;
    unsigned refused = kit.refused;
    kit_apply_later(&kit, &change, 1);
    kit_until_u(&kit, &kit.refused, refused + 1);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:notices", "reach:counters", NULL), 0);
}

/* Applies a new notice `id` that has nothing but one effect. */
static void effect_of(const char *id, struct queue_effect effect) {
    struct queue_change change = kit_change(&kit, id, 0, NOTICE_REACHED);
    change.effects = &effect;
    change.n_effects = 1;
    kit_apply(&kit, &change, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
}

static const int64_t far_ms = INT64_C(4102444800000);

static void an_account_is_held_until_every_notice_lets_it_go(void **state) {
    (void)state;
    effect_of("n1", (struct queue_effect){QUEUE_HOLD, "holds", "a", "{\"notice\":\"n1\"}", 0});
    effect_of("n2", (struct queue_effect){QUEUE_HOLD, "holds", "a", "{\"notice\":\"n2\"}", 0});
    effect_of("n3", (struct queue_effect){QUEUE_HOLD, "holds", "a", "{\"notice\":\"n2\"}", 0}); /* again: no second time */
    effect_of("n4", (struct queue_effect){QUEUE_UNHOLD, "holds", "a", "n1", 0});
    assert_non_null(strstr(redis_server_ask(&server, "HGET", "reach:holds", "a", NULL), "n2"));
    effect_of("n5", (struct queue_effect){QUEUE_UNHOLD, "holds", "a", "n2", 0});
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:holds", NULL), 0);
    effect_of("n6", (struct queue_effect){QUEUE_UNHOLD, "holds", "a", "n2", 0}); /* nothing there: nothing happens */
}

static void a_hold_takes_the_clearance_away(void **state) {
    (void)state;
    assert_string_equal(redis_server_ask(&server, "SET", "reach:clearance:{a}", "{}", NULL), "OK");
    effect_of("n1", (struct queue_effect){QUEUE_HOLD, "holds", "a", "{\"notice\":\"n1\"}", 0});
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:clearance:{a}", NULL), 0);
}

static void a_clearance_is_refused_while_another_notice_holds_the_account(void **state) {
    (void)state;
    static const char grant[] = "{\"granted_at\":\"2026-11-21T00:00:00Z\",\"notice\":\"n1\",\"evidence\":\"sms delivered\"}";
    effect_of("n1", (struct queue_effect){QUEUE_HOLD, "holds", "a", "{\"notice\":\"n1\"}", 0});
    effect_of("n2", (struct queue_effect){QUEUE_HOLD, "holds", "a", "{\"notice\":\"n2\"}", 0});
    effect_of("n3", (struct queue_effect){QUEUE_GRANT, "clearance:{a}", "a", grant, far_ms});
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:clearance:{a}", NULL), 0);
    assert_non_null(strstr(redis_server_ask(&server, "XREVRANGE", "reach:events", "+", "-", "COUNT", "1", NULL), "refused"));
    effect_of("n4", (struct queue_effect){QUEUE_UNHOLD, "holds", "a", "n2", 0});
    effect_of("n5", (struct queue_effect){QUEUE_GRANT, "clearance:{a}", "a", grant, far_ms}); /* its own hold does not stand in the way */
    assert_string_equal(redis_server_ask(&server, "GET", "reach:clearance:{a}", NULL), grant);
    assert_non_null(strstr(redis_server_ask(&server, "XREVRANGE", "reach:events", "+", "-", "COUNT", "1", NULL), "granted"));
}

static void a_damaged_hold_stands_in_the_way(void **state) {
    (void)state;
    assert_int_equal(redis_server_number(&server, "HSET", "reach:holds", "a", "{broken", NULL), 1);
    effect_of("n1", (struct queue_effect){QUEUE_GRANT, "clearance:{a}", "a", "{\"notice\":\"n1\"}", far_ms});
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:clearance:{a}", NULL), 0);
}

static void a_book_entry_is_written_only_over_the_one_that_was_read(void **state) {
    (void)state;
    char seen[QUEUE_SEEN_LEN];
    assert_int_equal(queue_book_seen(NULL, seen), 0);
    effect_of("n1", (struct queue_effect){QUEUE_BOOK, seen, "C1", "one", 0});
    effect_of("n2", (struct queue_effect){QUEUE_BOOK, seen, "C1", "two", 0}); /* meanwhile there is one */
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:contacts", "C1", NULL), "one");
    assert_int_equal(queue_book_seen("one", seen), 0);
    effect_of("n3", (struct queue_effect){QUEUE_BOOK, seen, "C1", "three", 0});
    assert_string_equal(redis_server_ask(&server, "HGET", "reach:contacts", "C1", NULL), "three");
}

static void a_change_is_made_only_on_the_book_entry_that_it_was_decided_on(void **state) {
    (void)state;
    char seen[QUEUE_SEEN_LEN];
    assert_int_equal(redis_server_number(&server, "HSET", "reach:contacts", "C1", "one", "C2", "other", NULL), 2);
    assert_int_equal(queue_book_seen("zero", seen), 0);
    struct queue_effect grant = {QUEUE_GRANT, "clearance:{a}", "a", "{\"granted_at\":\"t\",\"notice\":\"n1\",\"evidence\":\"e\"}", far_ms};
    struct queue_change changes[3] = {kit_change(&kit, "n0", 0, NOTICE_SENT), kit_change(&kit, "n1", 0, NOTICE_REACHED),
                                      kit_change(&kit, "n2", 0, NOTICE_SENT)};
    changes[1].effects = &grant;
    changes[1].n_effects = 1;
    changes[1].decided_on = seen; /* C1's is another one by now */
    changes[2].customer = "C2";
    changes[2].decided_on = seen;
    kit_apply(&kit, changes, 3);
    assert_int_equal(kit.results[0], QUEUE_APPLIED); /* the others are not held up */
    assert_int_equal(kit.results[1], QUEUE_MOVED);
    assert_int_equal(kit.results[2], QUEUE_MOVED);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:clearance:{a}", NULL), 0);
    assert_int_equal(redis_server_number(&server, "HEXISTS", "reach:notices", "n1", NULL), 0);
    assert_int_equal(queue_book_seen("one", seen), 0);
    kit_apply(&kit, &changes[1], 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:clearance:{a}", NULL), 1);
    kit_apply(&kit, &changes[1], 1); /* its answer was lost: the second time it finds its own token, whatever the book says */
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:contacts", "C1", NULL), 1);
    changes[1].fence_seen = changes[1].fence;
    changes[1].fence = queue_fence(kit.queue);
    kit_apply(&kit, &changes[1], 1);
    assert_int_equal(kit.results[0], QUEUE_MOVED); /* it is gone */
    changes[1].decided_on = "";
    kit_apply(&kit, &changes[1], 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED); /* decided when there was none */
}

static unsigned control_answers;
static enum queue_result control_result;
static void on_control(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    (void)ctx;
    assert_null(err);
    assert_int_equal(n, 1);
    control_answers++;
    control_result = results[0];
}

/* Acknowledges a control job with one effect. */
static enum queue_result control_with(const struct queue_entry *entry, struct queue_effect effect) {
    struct err err;
    struct queue_control control = {.entry = entry, .effects = &effect, .n_effects = 1};
    unsigned before = control_answers;
    assert_int_equal(queue_control(kit.queue, &control, 1, on_control, NULL, &err), 0);
    kit_until_u(&kit, &control_answers, before + 1);
    return control_result;
}

static void a_contact_change_waits_for_a_notice_that_was_reached_meanwhile(void **state) {
    (void)state;
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
    struct queue_effect nobody = {QUEUE_REACHED, "", "C1", NULL, 0};
    struct queue_effect both = {QUEUE_REACHED, "n2 n1", "C1", NULL, 0};
    effect_of("n1", (struct queue_effect){QUEUE_HDEL, "desk", "x", NULL, 0});
    effect_of("n2", (struct queue_effect){QUEUE_HDEL, "desk", "x", NULL, 0});
    assert_int_equal(control_with(&kit.entries[0], nobody), QUEUE_STALE);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:intake", NULL), 1);
    assert_int_equal(control_with(&kit.entries[0], both), QUEUE_APPLIED);
}

static void a_release_waits_for_every_notice_and_desk_case_of_the_customer(void **state) {
    (void)state;
    struct queue_effect release = {QUEUE_FREE, "release:{C1}", "C1", "{}", far_ms};
    struct queue_change open = kit_change(&kit, "open", 0, NOTICE_STRANDED);
    kit_apply(&kit, &open, 1);
    effect_of("n1", release);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL), 0);
    struct queue_change closed = kit_change(&kit, "open", open.fence, NOTICE_RESOLVED);
    kit_apply(&kit, &closed, 1);
    assert_int_equal(redis_server_number(&server, "HSET", "reach:desk", "n1", "{}", NULL), 1);
    effect_of("n2", release);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL), 0);
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:desk", "n1", NULL), 1);
    effect_of("n3", release);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL), 1);
    struct queue_change holding = kit_change(&kit, "holding", 0, NOTICE_REACHED); /* reached, then a bounce; a person closed the case */
    holding.record = "{\"hold\":true}";
    kit_apply(&kit, &holding, 1);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL), 0); /* gone with the new notice */
    effect_of("n4", release);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL), 0);
    struct queue_change let_go = kit_change(&kit, "holding", holding.fence, NOTICE_REACHED);
    kit_apply(&kit, &let_go, 1);
    effect_of("n5", release);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL), 1);
    struct queue_change again = kit_change(&kit, "n6", 0, NOTICE_SENDING);
    kit_apply(&kit, &again, 1); /* something of theirs is open again */
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL), 0);
}

static long long release_keys(void) {
    return redis_server_number(&server, "EXISTS", "reach:release:{C1}", NULL);
}

/* As if their notices had all left for the archive. */
static void forget_notices_of_c1(void) {
    assert_int_equal(redis_server_number(&server, "HDEL", "reach:last", "C1", NULL), 1);
}

/* Seen by the customer's earlier notices; else by `releases`; and where that does not know, each is taken away. */
static void a_new_notice_takes_a_release_away_whether_or_not_it_is_known_who_has_one(void **state) {
    (void)state;
    struct queue_effect release = {QUEUE_FREE, "release:{C1}", "C1", "{}", far_ms};
    struct queue_change first = kit_change(&kit, "n0", 0, NOTICE_REACHED);
    kit_apply(&kit, &first, 1);
    forget_notices_of_c1();
    assert_int_equal(redis_server_number(&server, "ZADD", "reach:releases", "9000000000000", "C1", NULL), 1);
    assert_string_equal(redis_server_ask(&server, "SET", "reach:release:{C1}", "{}", NULL), "OK");
    struct queue_change next = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply(&kit, &next, 1);
    assert_int_equal(release_keys(), 0);
    assert_string_equal(redis_server_ask(&server, "ZSCORE", "reach:releases", "C1", NULL), "(nil)");
    next = kit_change(&kit, "n1", next.fence, NOTICE_RESOLVED);
    kit_apply(&kit, &next, 1);
    effect_of("n2", release);
    assert_int_equal(release_keys(), 1);
    assert_int_equal(redis_server_number(&server, "ZCARD", "reach:releases", NULL), 1); /* the empty name */
    forget_notices_of_c1();
    assert_int_equal(redis_server_number(&server, "ZREM", "reach:releases", "", NULL), 1);
    next = kit_change(&kit, "n3", 0, NOTICE_SENDING);
    kit_apply(&kit, &next, 1);
    assert_int_equal(release_keys(), 0);
}

static unsigned freed;

static void on_freed(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    (void)ctx;
    (void)err;
    assert_int_equal(n, 1);
    assert_int_equal(results[0], QUEUE_APPLIED);
    freed++;
}

/* A control job frees a customer who has no notice any more. */
static void a_release_of_somebody_without_notices_is_known(void **state) {
    (void)state;
    struct err err;
    kit_push(&kit.settings, LANE_URGENT, 2);
    kit_until_n(&kit, &kit.n_entries, 2);
    const struct queue_effect effects[] = {
        {QUEUE_FREE, "release:{C8}", "C8", "{}", clock_wall_ms(&clock_system) - (int64_t)25 * 3600 * 1000},
        {QUEUE_FREE, "release:{C9}", "C9", "{}", far_ms}};
    for (size_t i = 0; i < 2; i++) {
        struct queue_control control = {.entry = &kit.entries[i], .effects = &effects[i], .n_effects = 1};
        assert_int_equal(queue_control(kit.queue, &control, 1, on_freed, NULL, &err), 0);
        kit_until_u(&kit, &freed, (unsigned)i + 1);
    }
    assert_string_equal(redis_server_ask(&server, "ZSCORE", "reach:releases", "C8", NULL), "(nil)"); /* over for a day */
    struct queue_change next = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    next.customer = "C9";
    kit_apply(&kit, &next, 1);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:release:{C9}", NULL), 0);
}

static void waking_a_customer_makes_waiting_notices_due_and_no_others(void **state) {
    (void)state;
    struct queue_change changes[3] = {kit_change(&kit, "waits", 0, NOTICE_STRANDED), kit_change(&kit, "in-hand", 0, NOTICE_SENDING),
                                      kit_change(&kit, "done", 0, NOTICE_REACHED)};
    kit_apply(&kit, changes, 3);
    effect_of("n1", (struct queue_effect){QUEUE_WAKE, "due", "C1", NULL, far_ms});
    assert_int_equal(redis_server_number(&server, "ZCARD", "reach:due", NULL), 1);
    assert_string_equal(redis_server_ask(&server, "ZSCORE", "reach:due", "waits", NULL), "4102444800000");
}

static void a_batch_larger_than_the_stack_of_lua_goes_through(void **state) {
    (void)state;
    enum { N = 4096 };
    static struct queue_change changes[N];
    static char ids[N][16];
    for (int i = 0; i < N; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "n%d", i);
        changes[i] = kit_change(&kit, ids[i], 0, NOTICE_SENDING);
        changes[i].due_at_ms = 4102444800000 + i;
        changes[i].event = "{}";
    }
    kit_apply(&kit, changes, N);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), N);
    assert_int_equal(redis_server_number(&server, "ZCARD", "reach:due", NULL), N);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), 1);
}

static void tokens_survive_exactly(void **state) {
    (void)state;
    struct queue_change first = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    first.fence = UINT64_MAX - 1; /* a double would round it */
    kit_apply(&kit, &first, 1);
    struct queue_change wrong = kit_change(&kit, "n1", UINT64_MAX, NOTICE_REACHED);
    kit_apply(&kit, &wrong, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    struct queue_change right = kit_change(&kit, "n1", UINT64_MAX - 1, NOTICE_REACHED);
    kit_apply(&kit, &right, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
}

static void every_connection_gets_tokens_of_its_own(void **state) {
    (void)state;
    uint64_t before = queue_fence(kit.queue);
    static struct kit other;
    kit_open(&other, &server, "w2", 0);
    assert_true(queue_fence(other.queue) > before);
    kit_close(&other);
    kit_run(&kit, 50);
    assert_string_equal(redis_server_ask(&server, "SET", "reach:epoch", "5", NULL), "OK"); /* as if the last writes were lost */
    kit_open(&other, &server, "w3", 0);
    assert_true(queue_fence(other.queue) > before);
    kit_close(&other);
}

static struct queue_found found[3];
static char found_text[3][3][64];
static unsigned lookups;
static void on_found(void *ctx, const struct queue_found *answers, size_t n, struct arena *arena_take) {
    (void)ctx;
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        found[i] = answers[i];
        (void)snprintf(found_text[i][0], 64, "%s", answers[i].held.record == NULL ? "-" : answers[i].held.record);
        (void)snprintf(found_text[i][1], 64, "%s", answers[i].held.job == NULL ? "-" : answers[i].held.job);
        (void)snprintf(found_text[i][2], 64, "%s", answers[i].customer == NULL ? "-" : answers[i].customer);
    }
    arena_fini(arena_take);
    lookups++;
}

static void a_look_up_answers_for_each_id_and_customer(void **state) {
    (void)state;
    struct err err;
    struct queue_effect effect = {QUEUE_HSET, "contacts", "C2", "{\"id\":\"C2\"}", 0};
    struct queue_change change = kit_change(&kit, "n2", 0, NOTICE_SENT);
    change.record = "{\"a b\":1}";
    change.job_action = QUEUE_JOB_STORE;
    change.job = "{job}";
    change.job_len = 5;
    change.effects = &effect;
    change.n_effects = 1;
    kit_apply(&kit, &change, 1);
    const char *ids[] = {"n1", "n2", "n3"};
    const char *customers[] = {NULL, "C2", "C3"};
    unsigned before = lookups;
    assert_int_equal(queue_lookup(kit.queue, ids, customers, 3, on_found, NULL, &err), 0);
    kit_until_u(&kit, &lookups, before + 1);
    assert_false(found[0].held.found);
    assert_true(found[1].held.found);
    assert_int_equal(found[1].held.state, NOTICE_SENT);
    assert_true(found[1].held.fence == change.fence);
    assert_string_equal(found_text[1][0], "{\"a b\":1}");
    assert_string_equal(found_text[1][1], "{job}");
    assert_string_equal(found_text[1][2], "{\"id\":\"C2\"}");
    assert_string_equal(found_text[2][2], "-");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_new_notice_is_counted_as_accepted_and_in_its_state),
        TEST(a_change_of_state_moves_the_counter),
        TEST(a_stale_token_changes_nothing),
        TEST(a_second_new_notice_of_the_same_id_is_stale),
        TEST(a_stale_item_does_not_keep_the_others_of_its_batch),
        TEST(the_same_batch_applied_twice_counts_once),
        TEST(effects_job_due_and_acknowledgement_happen_together),
        TEST(a_key_of_the_wrong_type_refuses_the_whole_batch_before_anything_is_written),
        TEST(a_key_that_an_effect_only_reads_is_looked_at_as_well),
        TEST(an_account_is_held_until_every_notice_lets_it_go),
        TEST(a_hold_takes_the_clearance_away),
        TEST(a_clearance_is_refused_while_another_notice_holds_the_account),
        TEST(a_damaged_hold_stands_in_the_way),
        TEST(a_book_entry_is_written_only_over_the_one_that_was_read),
        TEST(a_change_is_made_only_on_the_book_entry_that_it_was_decided_on),
        TEST(a_contact_change_waits_for_a_notice_that_was_reached_meanwhile),
        TEST(a_release_waits_for_every_notice_and_desk_case_of_the_customer),
        TEST(a_new_notice_takes_a_release_away_whether_or_not_it_is_known_who_has_one),
        TEST(a_release_of_somebody_without_notices_is_known),
        TEST(waking_a_customer_makes_waiting_notices_due_and_no_others),
        TEST(a_batch_larger_than_the_stack_of_lua_goes_through),
        TEST(tokens_survive_exactly),
        TEST(every_connection_gets_tokens_of_its_own),
        TEST(a_look_up_answers_for_each_id_and_customer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
