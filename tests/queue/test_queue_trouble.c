/* Redis in trouble: each fault is caused for real. The numbers are those of the list of faults. */
#include "tests/support/queue_kit.h"

#include "queue/store.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct redis_server server, second;
static struct kit kit;

static int tear_down(void **state) {
    (void)state;
    if (kit.base != NULL) {
        kit_close(&kit);
    }
    redis_server_stop(&server);
    redis_server_stop(&second);
    return 0;
}

static void start(const char *extra) {
    assert_int_equal(redis_server_start(&server, extra), 0);
}

/* ---- F01, F02 ------------------------------------------------------------------------------------------------------ */

enum { LOAD = 20000 };

/* A worker that takes each entry through intent and result; counts what it has been told is done. */
static char load_ids[LOAD * 2][16];
static size_t load_n, load_done;

static void on_load(void *ctx, const enum queue_result *results, size_t n, const struct err *err) {
    (void)ctx;
    (void)results;
    assert_null(err);
    load_done += n;
}

static void work_off(struct kit *worker, const struct queue_entry *entries, size_t n) {
    static struct queue_change changes[4096];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(load_ids[load_n], sizeof load_ids[load_n], "n%s", entries[i].body + 5);
        changes[i] = kit_change(worker, load_ids[load_n], 0, NOTICE_REACHED);
        changes[i].ack = &entries[i];
        load_n++;
    }
    struct err err;
    assert_int_equal(queue_apply(worker->queue, changes, n, on_load, NULL, &err), 0);
}

static void push_many(size_t n) {
    static char texts[LOAD][24];
    static const char *bodies[LOAD];
    static size_t lens[LOAD];
    struct err err;
    struct store *store = store_open(&kit.settings, &err);
    size_t done = 0;
    assert_non_null(store);
    for (size_t i = 0; i < n; i++) {
        lens[i] = (size_t)snprintf(texts[i], sizeof texts[i], "{\"n\":%zu}", i);
        bodies[i] = texts[i];
    }
    assert_int_equal(store_push(store, LANE_BULK, bodies, lens, n, &done, &err), 0);
    assert_int_equal(done, n);
    store_close(store);
}

static void fault_02_redis_killed_under_load_loses_no_acknowledged_job(void **state) {
    (void)state;
    start("appendfsync always");
    kit_prepare(&kit, &server, "w1");
    push_many(LOAD);
    load_n = load_done = 0;
    kit.on_entries = work_off;
    kit.keep_room = 2000;
    kit_connect(&kit, 2000);
    for (int kills = 0; kills < 4 && load_done < LOAD; kills++) {
        kit_until_n(&kit, &load_done, load_done + 1500 < LOAD ? load_done + 1500 : LOAD);
        redis_server_kill(&server);
        kit_run(&kit, 20);
        assert_int_equal(redis_server_again(&server, kills % 2 == 0), 0);
    }
    kit_until_n(&kit, &load_done, LOAD);
    while (queue_pending(kit.queue) > 0) {
        kit_run(&kit, 5);
    }
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:notices", NULL), LOAD);
    assert_int_equal(kit_status(&kit.settings, "accepted"), LOAD);
    assert_int_equal(kit_status(&kit.settings, "finished"), LOAD);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    assert_true(kit.lost >= 4 && kit.ready >= 5);
}

/* The reply is lost, not the change: Redis is stopped with the call in its socket, and the connection is cut behind it. */
static void fault_04_a_call_whose_answer_is_lost_is_applied_once(void **state) {
    (void)state;
    start(NULL);
    kit_open(&kit, &server, "w1", 0);
    struct queue_change changes[2] = {kit_change(&kit, "n1", 0, NOTICE_SENDING), kit_change(&kit, "n2", 0, NOTICE_REACHED)};
    for (int i = 0; i < 2; i++) {
        changes[i].counts = "tries";
        changes[i].event = "{}";
    }
    (void)redis_server_ask(&server, "CLIENT", "REPLY", "ON", NULL);
    assert_string_equal(redis_server_ask(&server, "CLIENT", "PAUSE", "150", "WRITE", NULL), "OK");
    kit_apply_later(&kit, changes, 2);
    kit_run(&kit, 50);
    kit.settings.connect_timeout_ms = 100; /* the answer of the greeting will be late as well */
    assert_true(redis_server_number(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL) >= 1);
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit.results[1], QUEUE_APPLIED);
    assert_int_equal(redis_server_number(&server, "HGET", "reach:counters", "count:tries", NULL), 2);
    assert_int_equal(redis_server_number(&server, "XLEN", "reach:events", NULL), 1);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
}

/* ---- F03 ----------------------------------------------------------------------------------------------------------- */

static void expect_fatal(const char *extra, const char *words) {
    start(extra);
    kit_prepare(&kit, &server, "w1");
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.fatal, 1);
    if (strstr(kit.err.text, words) == NULL) {
        fail_msg("%s", kit.err.text);
    }
    kit_run(&kit, 100);
    assert_int_equal(kit.fatal, 1);
    assert_int_equal(kit.ready, 0);
    assert_int_equal(redis_server_number(&server, "DBSIZE", NULL), 0); /* nothing was written before the check */
}

static void fault_03_a_redis_without_aof_is_refused(void **state) {
    (void)state;
    expect_fatal("appendonly no", "appendonly yes");
}

static void fault_03_a_redis_that_evicts_is_refused(void **state) {
    (void)state;
    expect_fatal("maxmemory-policy allkeys-lru", "noeviction");
}

static void fault_03_allow_unsafe_accepts_it(void **state) {
    (void)state;
    start("appendonly no\nmaxmemory-policy allkeys-lru");
    kit_prepare(&kit, &server, "w1");
    kit.settings.allow_unsafe = true;
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.ready, 1);
}

static void fault_03_the_settings_are_looked_at_again_on_reconnect(void **state) {
    (void)state;
    start(NULL);
    kit_open(&kit, &server, "w1", 10);
    assert_string_equal(redis_server_ask(&server, "CONFIG", "SET", "maxmemory-policy", "volatile-ttl", NULL), "OK");
    assert_int_equal(redis_server_number(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL), 1);
    kit_until_u(&kit, &kit.fatal, 1);
    assert_non_null(strstr(kit.err.text, "volatile-ttl"));
}

/* ---- F10, F14: refuses writes -------------------------------------------------------------------------------------- */

static void fault_10_a_full_redis_is_waited_for(void **state) {
    (void)state;
    start(NULL);
    kit_open(&kit, &server, "w1", 100);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 1);
    assert_string_equal(redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "1", NULL), "OK");
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    change.ack = &kit.entries[0];
    kit_apply_later(&kit, &change, 1);
    kit_run(&kit, 300);
    assert_int_equal(kit.answers, 0); /* no intent, so no send */
    assert_int_equal(queue_pending(kit.queue), 1);
    assert_int_equal(redis_server_number(&server, "EXISTS", "reach:notices", NULL), 0);
    assert_int_equal(redis_server_number(&server, "HLEN", "reach:leases", NULL), 2); /* how far the lane was read, and the lease */
    assert_string_equal(redis_server_ask(&server, "CONFIG", "SET", "maxmemory", "0", NULL), "OK");
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit_status(&kit.settings, "unaccounted"), 0);
    kit_push(&kit.settings, LANE_URGENT, 1);
    kit_until_n(&kit, &kit.n_entries, 2);
}

static void fault_14_a_redis_that_cannot_save_is_waited_for(void **state) {
    (void)state;
    start("save 3600 1\nappendfsync always");
    kit_open(&kit, &server, "w1", 100);
    char dump[128];
    (void)snprintf(dump, sizeof dump, "%s/dump.rdb", server.dir);
    /* A directory of the file's name cannot be renamed over. */
    assert_int_equal(mkdir(dump, 0700), 0);
    char inside[160];
    (void)snprintf(inside, sizeof inside, "%s/x", dump);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_non_null(redis_server_ask(&server, "BGSAVE", NULL));
    const char *info = NULL;
    for (int i = 0; i < 100; i++) {
        kit_run(&kit, 20);
        info = redis_server_ask(&server, "INFO", "persistence", NULL);
        if (strstr(info, "rdb_last_bgsave_status:err") != NULL) {
            break;
        }
    }
    assert_non_null(strstr(info, "rdb_last_bgsave_status:err"));
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply_later(&kit, &change, 1);
    kit_run(&kit, 200);
    assert_int_equal(kit.answers, 0);
    assert_int_equal(kit.fatal, 0);
    assert_int_equal(rmdir(inside), 0);
    assert_int_equal(rmdir(dump), 0);
    assert_non_null(redis_server_ask(&server, "BGSAVE", NULL));
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
}

/* ---- F11: a master that becomes a replica -------------------------------------------------------------------------- */

static void fault_11_a_demoted_master_is_left_and_used_again_when_promoted(void **state) {
    (void)state;
    start(NULL);
    kit_open(&kit, &server, "w1", 100);
    assert_string_equal(redis_server_ask(&server, "REPLICAOF", "127.0.0.1", "1", NULL), "OK");
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply_later(&kit, &change, 1);
    kit_until_u(&kit, &kit.lost, 1);
    kit_run(&kit, 200);
    assert_int_equal(kit.ready, 1);
    assert_int_equal(kit.answers, 0);
    assert_string_equal(redis_server_ask(&server, "REPLICAOF", "NO", "ONE", NULL), "OK");
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
}

/* ---- F13: loading -------------------------------------------------------------------------------------------------- */

static void fault_13_a_redis_that_is_loading_is_waited_for(void **state) {
    (void)state;
    start("key-load-delay 20");
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_non_null(redis_server_ask(&server, "SET", key, "v", NULL));
    }
    (void)redis_server_ask(&server, "CONFIG", "SET", "appendonly", "yes", NULL);
    (void)redis_server_ask(&server, "BGREWRITEAOF", NULL);
    kit_prepare(&kit, &server, "w1");
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.ready, 1);
    redis_server_kill(&server);
    assert_int_equal(redis_server_again(&server, false), 0);
    kit_until_u(&kit, &kit.ready, 2);
    assert_int_equal(kit.fatal, 0);
}

/* ---- F15: busy ----------------------------------------------------------------------------------------------------- */

static void fault_15_a_busy_redis_is_waited_for_and_its_script_not_killed(void **state) {
    (void)state;
    start("busy-reply-threshold 50");
    kit_open(&kit, &server, "w1", 10);
    pid_t pid = fork();
    if (pid == 0) {
        struct redis_server copy = server;
        copy.connection = NULL;
        copy.answer = NULL;
        const char *answer = redis_server_ask(&copy, "EVAL",
                                              "local t=redis.call('TIME'); local till=t[1]*1000000+t[2]+700000;"
                                              "repeat t=redis.call('TIME') until t[1]*1000000+t[2]>till; return 'done'",
                                              "0", NULL);
        _exit(answer != NULL && strcmp(answer, "done") == 0 ? 0 : 1);
    }
    kit_run(&kit, 150);
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply_later(&kit, &change, 1);
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0); /* it ran to its end */
    assert_int_equal(kit.fatal, 0);
}

/* ---- F16 ----------------------------------------------------------------------------------------------------------- */

static void fault_16_flushed_scripts_are_loaded_again(void **state) {
    (void)state;
    start(NULL);
    kit_open(&kit, &server, "w1", 100);
    for (int i = 0; i < 3; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "n%d", i);
        assert_string_equal(redis_server_ask(&server, "SCRIPT", "FLUSH", NULL), "OK");
        struct queue_change changes[1] = {kit_change(&kit, id, 0, NOTICE_SENDING)};
        kit_apply(&kit, changes, 1);
        assert_int_equal(kit.results[0], QUEUE_APPLIED);
    }
    assert_int_equal(kit_status(&kit.settings, "accepted"), 3);
}

static void write_secret(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void fault_16_a_wrong_password_is_fatal(void **state) {
    (void)state;
    char path[128];
    start("requirepass right");
    (void)snprintf(path, sizeof path, "%s/secret", server.dir);
    kit_prepare(&kit, &server, "w1");
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.fatal, 1);
    assert_non_null(strstr(kit.err.text, "NOAUTH"));
    kit_close(&kit);
    write_secret(path, "wrong\n");
    kit_prepare(&kit, &server, "w1");
    kit.settings.password_file = path;
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.fatal, 1);
    assert_non_null(strstr(kit.err.text, "WRONGPASS"));
    assert_null(strstr(kit.err.text, "wrong\n"));
    kit_close(&kit);
    write_secret(path, "right\n");
    kit_prepare(&kit, &server, "w1");
    kit.settings.password_file = path;
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.ready, 1);
}

/* A command that we send ourselves, and one that a script sends: Redis words the two differently. */
static void fault_16_a_permission_that_is_missing_is_fatal(void **state) {
    (void)state;
    static const struct { const char *without, *words; } cases[] = {{"-xreadgroup", "NOPERM"}, {"-xinfo", "can't run this command"}};
    char path[128];
    start(NULL);
    (void)snprintf(path, sizeof path, "%s/secret", server.dir);
    write_secret(path, "pw\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(
            redis_server_ask(&server, "ACL", "SETUSER", "reachd", "reset", "on", ">pw", "~*", "&*", "+@all", cases[i].without, NULL), "OK");
        kit_prepare(&kit, &server, "w1");
        kit.settings.username = "reachd";
        kit.settings.password_file = path;
        kit_connect(&kit, 10);
        kit_until_u(&kit, &kit.fatal, 1);
        if (strstr(kit.err.text, cases[i].words) == NULL) {
            fail_msg("%s", kit.err.text);
        }
        kit_close(&kit);
    }
}

/* ---- connecting ---------------------------------------------------------------------------------------------------- */

static void a_redis_that_comes_later_is_found(void **state) {
    (void)state;
    start(NULL);
    redis_server_shut(&server);
    kit_prepare(&kit, &server, "w1");
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.lost, 1);
    kit_run(&kit, 300);
    assert_int_equal(kit.lost, 1); /* told once, not at every try */
    assert_int_equal(redis_server_again(&server, true), 0);
    kit_until_u(&kit, &kit.ready, 1);
}

static void a_redis_that_does_not_answer_is_given_up_after_the_timeout(void **state) {
    (void)state;
    start(NULL);
    kit_prepare(&kit, &server, "w1");
    kit.settings.connect_timeout_ms = 100;
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.lost, 1);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    kit_until_u(&kit, &kit.ready, 1);
}

static void a_redis_that_falls_silent_is_given_up_and_its_calls_are_sent_again(void **state) {
    (void)state;
    start(NULL);
    kit_prepare(&kit, &server, "w1");
    kit.settings.answer_timeout_ms = 150;
    kit_connect(&kit, 10);
    kit_until_u(&kit, &kit.ready, 1);
    kit_run(&kit, 400);
    assert_int_equal(kit.lost, 0); /* idle is not silent */
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    struct queue_change change = kit_change(&kit, "n1", 0, NOTICE_SENDING);
    kit_apply_later(&kit, &change, 1);
    kit_until_u(&kit, &kit.lost, 1);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    kit_until_u(&kit, &kit.answers, 1);
    assert_int_equal(kit.results[0], QUEUE_APPLIED);
    assert_int_equal(kit_status(&kit.settings, "accepted"), 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(fault_02_redis_killed_under_load_loses_no_acknowledged_job),
        TEST(fault_04_a_call_whose_answer_is_lost_is_applied_once),
        TEST(fault_03_a_redis_without_aof_is_refused),
        TEST(fault_03_a_redis_that_evicts_is_refused),
        TEST(fault_03_allow_unsafe_accepts_it),
        TEST(fault_03_the_settings_are_looked_at_again_on_reconnect),
        TEST(fault_10_a_full_redis_is_waited_for),
        TEST(fault_14_a_redis_that_cannot_save_is_waited_for),
        TEST(fault_11_a_demoted_master_is_left_and_used_again_when_promoted),
        TEST(fault_13_a_redis_that_is_loading_is_waited_for),
        TEST(fault_15_a_busy_redis_is_waited_for_and_its_script_not_killed),
        TEST(fault_16_flushed_scripts_are_loaded_again),
        TEST(fault_16_a_wrong_password_is_fatal),
        TEST(fault_16_a_permission_that_is_missing_is_fatal),
        TEST(a_redis_that_comes_later_is_found),
        TEST(a_redis_that_does_not_answer_is_given_up_after_the_timeout),
        TEST(a_redis_that_falls_silent_is_given_up_and_its_calls_are_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
