/* The door: records go past the script that decides on them, and still it is all or nothing. Against a real Redis each. All records go by
 * it here, however small; test_by_door.sh has other tests do the same. */
#include "tests/support/queue_kit.h"

#include "queue/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_MAX = 1 << 20, CUT_STEP = 23 };

static struct redis_server server;
static struct kit kit;

static int set_up(void **state) {
    (void)state;
    if (redis_server_start(&server, "appendfsync always") < 0) {
        return -1;
    }
    kit_open(&kit, &server, "w1", 1000);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (kit.base != NULL) {
        kit_close(&kit);
    }
    redis_server_stop(&server);
    return 0;
}

static const char *record_of(const char *id) {
    return redis_server_ask(&server, "HGET", "reach:notices", id, NULL);
}

static void assert_open(const char *kind) {
    assert_string_equal(redis_server_ask(&server, "TYPE", "reach:notices", NULL), kind);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:notices:aside", NULL), 0);
}

static struct queue_change begin(const char *id) {
    struct queue_change change = kit_change(&kit, id, 0, NOTICE_SENDING);
    kit_apply(&kit, &change, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    return change;
}

/* How many commands of a name Redis has had. */
static long long calls_of(const char *command) {
    char name[64];
    (void)snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
    const char *at = strstr(redis_server_ask(&server, "INFO", "commandstats", NULL), name);
    return at == NULL ? 0 : strtoll(at + strlen(name), NULL, 10);
}

static void what_is_refused_leaves_the_record_as_it_was(void **state) {
    (void)state;
    struct queue_change first = begin("n1");
    struct queue_change late = kit_change(&kit, "n1", first.fence + 1, NOTICE_REACHED);
    late.record = "{\"late\":true}";
    kit_apply(&kit, &late, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_null(strstr(record_of("n1"), "late"));
    assert_open("hash");
}

static void what_is_refused_in_an_empty_redis_leaves_it_empty(void **state) {
    (void)state;
    struct queue_change late = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    late.not_after_ms = 1;
    kit_apply(&kit, &late, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_open("none");
    (void)begin("n1");
    assert_open("hash");
}

/* Had the record of the first try gone through, the second would find its token there, and count nothing. */
static void nothing_goes_through_without_the_script(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) { /* where there are no records yet, and where there are */
        char id[16];
        (void)snprintf(id, sizeof id, "n%d", i);
        assert_string_equal(redis_server_ask(&server, "SCRIPT", "FLUSH", NULL), "OK");
        struct queue_effect effect = {QUEUE_HSET, "desk", id, "x", 0};
        struct queue_change change = kit_change(&kit, id, 0, NOTICE_STRANDED);
        change.effects = &effect;
        change.n_effects = 1;
        kit_apply(&kit, &change, 1);
        assert_int_equal(kit.results[0], QUEUE_APPLIED);
        assert_int_equal(kit_status(&kit.settings, "accepted"), i + 1);
        assert_int_equal(redis_server_number(&server, "HLEN", "reach:desk", NULL), i + 1);
        assert_open("hash");
    }
}

static void nothing_goes_through_where_a_key_is_spoilt(void **state) {
    (void)state;
    static const char *const keys[] = {"reach:due", "reach:last", "reach:counters", "reach:events", "reach:notices"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_string_equal(redis_server_ask(&server, "SET", keys[i], "spoilt", NULL), "OK");
        struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
        unsigned refused = kit.refused;
        kit_apply_later(&kit, &change, 1);
        kit_until_u(&kit, &kit.refused, refused + 1);
        assert_non_null(strstr(kit.answer_err.text, keys[i]));
        assert_string_equal(redis_server_ask(&server, "GET", keys[i], NULL), "spoilt");
        assert_open(i == 4 ? "string" : "none");
        assert_int_equal(redis_server_number(&server, "DEL", keys[i], NULL), 1);
    }
}

/* As a file that ended within a transaction leaves it. */
static void close_it(void) {
    assert_int_equal(redis_server_number(&server, "RENAMENX", "reach:notices", "reach:notices:aside", NULL), 1);
    assert_int_equal(redis_server_number(&server, "SADD", "reach:notices", "closed", NULL), 1);
}

static void a_door_that_was_left_closed_is_opened_by_the_next_change(void **state) {
    (void)state;
    struct queue_change first = begin("n1");
    close_it();
    struct queue_change second = kit_change(&kit, "n1", first.fence, NOTICE_REACHED);
    kit_apply(&kit, &second, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_open("hash");
    close_it();
    kit_apply(&kit, &first, 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_open("hash");
    assert_int_equal(record_of("n1")[0], 'R');
}

static void a_door_that_was_left_closed_is_opened_by_the_next_connection(void **state) {
    (void)state;
    (void)begin("n1");
    close_it();
    struct kit other;
    kit_open(&other, &server, "w2", 0);
    assert_open("hash");
    assert_int_equal(record_of("n1")[0], 's');
    kit_close(&other);
}

static void a_door_that_was_left_closed_on_nothing_is_opened_too(void **state) {
    (void)state;
    assert_int_equal(redis_server_number(&server, "SADD", "reach:notices", "closed", NULL), 1);
    (void)begin("n1"); /* by the next change */
    assert_open("hash");
    assert_int_equal(redis_server_number(&server, "DEL", "reach:notices", "reach:last", NULL), 2);
    assert_int_equal(redis_server_number(&server, "SADD", "reach:notices", "closed", NULL), 1);
    struct kit other;
    kit_open(&other, &server, "w2", 0); /* by the next connection */
    assert_open("none");
    kit_close(&other);
}

/* An ACL file from before the door: that is found at once, and the door stays open. */
static void nobody_connects_who_may_not_open_it(void **state) {
    (void)state;
    static const char *const denied[] = {"-renamenx", "-sadd", "-srem", "-scard"};
    static const char *const allowed[] = {"+renamenx", "+sadd", "+srem", "+scard"};
    for (size_t i = 0; i < 2 * sizeof denied / sizeof *denied; i++) { /* without records, then with some */
        size_t which = i % (sizeof denied / sizeof *denied);
        if (i == sizeof denied / sizeof *denied) {
            (void)begin("n1");
        }
        assert_string_equal(redis_server_ask(&server, "ACL", "SETUSER", "default", denied[which], NULL), "OK");
        struct kit other;
        kit_prepare(&other, &server, "w2");
        kit_connect(&other, 0);
        kit_until_u(&other, &other.fatal, 1);
        assert_non_null(strstr(other.err.text, "can't"));
        assert_open(which == i ? "none" : "hash");
        kit_close(&other);
        assert_string_equal(redis_server_ask(&server, "ACL", "SETUSER", "default", allowed[which], NULL), "OK");
    }
}

/* What fails behind the script is not passed over. */
static void an_effect_that_fails_is_told(void **state) {
    (void)state;
    struct queue_effect effect = {QUEUE_BURY, "dead", "nonsense", "{}", 0};
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_STRANDED);
    change.effects = &effect;
    change.n_effects = 1;
    kit_apply_later(&kit, &change, 1);
    kit_until_u(&kit, &kit.refused, 1);
    assert_open("hash");
}

/* One of two is stale, and what is left is small. */
static void what_went_by_it_is_tried_again_without(void **state) {
    (void)state;
    static char record[DOOR_BYTES + 1];
    (void)memset(record, ' ', sizeof record - 1);
    kit.queue->door_bytes = DOOR_BYTES;
    (void)begin("n1");
    struct queue_effect effect = {QUEUE_HSET, "desk", "n2", "x", 0};
    struct queue_change both[2] = {kit_change(&kit, "n1", 0, NOTICE_SENDING), kit_change(&kit, "n2", 0, NOTICE_STRANDED)};
    both[0].record = record;
    both[1].effects = &effect;
    both[1].n_effects = 1;
    long long before = calls_of("sadd");
    kit_apply(&kit, both, 2);
    assert_int_equal(calls_of("sadd"), before + 1);
    assert_int_equal(kit.results[0], QUEUE_STALE);
    assert_int_equal(kit.results[1], QUEUE_APPLIED);
    assert_int_equal(record_of("n1")[0], 's');
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:desk", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 2);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

/* The records of that one batch are lost to whoever made the key; what rests on them is not done. */
static void what_somebody_put_in_its_way_ends_it(void **state) {
    (void)state;
    struct queue_change first = begin("n1");
    assert_int_equal(redis_server_number(&server, "HSET", "reach:notices:aside", "x", "y", NULL), 1);
    struct queue_effect effect = {QUEUE_HSET, "desk", "n1", "x", 0};
    struct queue_change late = kit_change(&kit, "n1", first.fence + 1, NOTICE_STRANDED);
    late.effects = &effect;
    late.n_effects = 1;
    kit_apply_later(&kit, &late, 1);
    kit_until_u(&kit, &kit.fatal, 1);
    assert_non_null(strstr(kit.err.text, "reach:notices:aside"));
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:desk", NULL), 0);
}

static void no_connection_is_made_past_what_somebody_put_in_its_way(void **state) {
    (void)state;
    struct kit other;
    (void)begin("n1");
    assert_int_equal(redis_server_number(&server, "HSET", "reach:notices:aside", "x", "y", NULL), 1);
    kit_prepare(&other, &server, "w2");
    kit_connect(&other, 0);
    kit_until_u(&other, &other.fatal, 1);
    assert_non_null(strstr(other.err.text, "reach:notices:aside"));
    assert_int_equal(other.ready, 0);
    assert_int_equal(record_of("n1")[0], 's');
    kit_close(&other);
}

/* ---- a file that ends within a transaction ------------------------------------------------------------------------- */

static char path[160];
static char file[FILE_MAX];

static size_t read_file(void) {
    (void)snprintf(path, sizeof path, "%s/appendonlydir/appendonly.aof.1.incr.aof", server.dir);
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    size_t n = fread(file, 1, sizeof file, stream);
    assert_int_equal(fclose(stream), 0);
    assert_true(n < sizeof file);
    return n;
}

static void write_file(size_t n) {
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(file, 1, n, stream), n);
    assert_int_equal(fclose(stream), 0);
}

/* Redis leaves out the unfinished transaction at the first start, but goes on with it at the second one (7.0), so the door is closed then
 * in front of all that was done in between: changes, or every second time nothing but a connection. Nobody mends the file here. */
static void a_file_that_ends_within_a_transaction_costs_no_record(void **state) {
    (void)state;
    struct queue_change first = begin("n1");
    size_t before = read_file();
    struct queue_change second = kit_change(&kit, "n1", first.fence, NOTICE_REACHED);
    kit_apply(&kit, &second, 1);
    size_t after = read_file();
    kit_close(&kit);
    kit.base = NULL;
    bool works = false;
    for (size_t cut = before + 1; cut < after; cut += CUT_STEP, works = !works) {
        redis_server_kill(&server);
        write_file(cut);
        assert_int_equal(redis_server_again(&server, true), 0);
        kit_open(&kit, &server, "w1", 1000);
        assert_int_equal(record_of("n1")[0], 's');
        if (works) {
            (void)begin("n2");
        }
        kit_close(&kit);
        kit.base = NULL;
        redis_server_shut(&server);
        assert_int_equal(redis_server_again(&server, true), 0);
        assert_open("hash");
        assert_true(record_of("n1")[0] == 's' || record_of("n1")[0] == 'R');
        assert_int_equal(record_of("n2")[0], works ? 's' : '('); /* (nil) */
    }
}

/* The same in a Redis that had no records, where no reachd came in between: only a producer with a transaction of its own. */
static void a_file_that_ends_within_the_first_transaction_keeps_nobody_out(void **state) {
    (void)state;
    size_t before = read_file();
    (void)begin("n1");
    size_t after = read_file();
    kit_close(&kit);
    kit.base = NULL;
    for (size_t cut = before + 1; cut < after; cut += CUT_STEP) {
        redis_server_kill(&server);
        write_file(cut);
        assert_int_equal(redis_server_again(&server, true), 0);
        assert_non_null(redis_server_ask(&server, "EVAL", "redis.call('SET', 'a', 1) redis.call('SET', 'b', 1)", "0", NULL));
        redis_server_shut(&server);
        assert_int_equal(redis_server_again(&server, true), 0);
        kit_open(&kit, &server, "w1", 1000);
        assert_int_equal(redis_server_number(&server, "EXISTS", "reach:notices:aside", NULL), 0);
        (void)begin("n2");
        assert_open("hash");
        kit_close(&kit);
        kit.base = NULL;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A door costs more than Lua's look at a few bytes. */
static void only_large_batches_go_by_it(void **state) {
    (void)state;
    static char record[DOOR_BYTES + 1];
    (void)memset(record, ' ', sizeof record - 1);
    kit.queue->door_bytes = DOOR_BYTES;
    long long before = calls_of("sadd");
    (void)begin("n1");
    assert_int_equal(calls_of("sadd"), before);
    struct queue_change large = kit_change(&kit, "n2", 0, NOTICE_SENDING);
    large.record = record;
    kit_apply(&kit, &large, 1);
    assert_int_equal(calls_of("sadd"), before + 1);
    assert_int_equal(strlen(record_of("n2")), strlen("s0123456789abcdef C1 ") + DOOR_BYTES);
}

int main(void) {
    if (setenv("KIT_DOOR_BYTES", "1", 1) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        TEST(only_large_batches_go_by_it),
        TEST(what_is_refused_leaves_the_record_as_it_was),
        TEST(what_is_refused_in_an_empty_redis_leaves_it_empty),
        TEST(nothing_goes_through_without_the_script),
        TEST(nothing_goes_through_where_a_key_is_spoilt),
        TEST(a_door_that_was_left_closed_is_opened_by_the_next_change),
        TEST(a_door_that_was_left_closed_is_opened_by_the_next_connection),
        TEST(a_door_that_was_left_closed_on_nothing_is_opened_too),
        TEST(nobody_connects_who_may_not_open_it),
        TEST(an_effect_that_fails_is_told),
        TEST(what_went_by_it_is_tried_again_without),
        TEST(what_somebody_put_in_its_way_ends_it),
        TEST(no_connection_is_made_past_what_somebody_put_in_its_way),
        TEST(a_file_that_ends_within_a_transaction_costs_no_record),
        TEST(a_file_that_ends_within_the_first_transaction_keeps_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
