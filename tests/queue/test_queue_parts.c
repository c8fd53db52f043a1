/* The small parts: commands in wire form, the set of entries in hand, records, error replies, settings. No Redis. */
#include "queue/command.h"
#include "queue/gone.h"
#include "queue/held.h"
#include "queue/record.h"
#include "queue/reply.h"
#include "queue/scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_command_carries_any_bytes(void **state) {
    (void)state;
    struct command command;
    command_init(&command, "SET");
    command_puts(&command, "k\r\n$3\r\nDEL");
    command_put(&command, "a\0b", 3);
    command_put_i64(&command, INT64_MIN);
    assert_int_equal(command_end(&command), 0);
    static const char wire[] = "*4\r\n$3\r\nSET\r\n$10\r\nk\r\n$3\r\nDEL\r\n$3\r\na\0b\r\n$20\r\n-9223372036854775808\r\n";
    assert_int_equal(command_len(&command), sizeof wire - 1);
    assert_memory_equal(command_data(&command), wire, sizeof wire - 1);
    command_fini(&command);
}

static void entries_in_hand_are_a_set(void **state) {
    (void)state;
    struct held held = HELD_INIT;
    char id[40];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5000; i++) {
            (void)snprintf(id, sizeof id, "%u-%u", 1700000000u + i / 7, i % 7);
            assert_int_equal(held_add(&held, (enum stream)(i % 3), id, i), 1);
            assert_int_equal(held_add(&held, (enum stream)(i % 3), id, i), 0);
            assert_int_equal(held_remove(&held, (enum stream)((i + 1) % 3), id), 0);
        }
        assert_int_equal(held.n, 5000);
        for (unsigned i = 0; i < 5000; i++) {
            unsigned k = i * 1237 % 5000; /* another order */
            (void)snprintf(id, sizeof id, "%u-%u", 1700000000u + k / 7, k % 7);
            assert_int_equal(held_remove(&held, (enum stream)(k % 3), id), 1);
            assert_int_equal(held_remove(&held, (enum stream)(k % 3), id), 0);
        }
        assert_int_equal(held.n, 0);
    }
    assert_int_equal(held_add(&held, STREAM_BULK, "no id", 1), 0);
    held_fini(&held);
}

static void a_record_is_read_as_it_was_written(void **state) {
    (void)state;
    struct buf text = BUF_INIT;
    struct queue_change change = {.fence = UINT64_MAX - 1, .state = NOTICE_STRANDED, .record = "{\"a\": \"b c\"}"};
    change.customer = "C-1";
    queue_record_put(&text, &change);
    assert_string_equal(buf_str(&text), "nfffffffffffffffe C-1 {\"a\": \"b c\"}");
    struct queue_record record = {0};
    const char *customer = NULL;
    size_t customer_len = 0;
    assert_int_equal(queue_record_read(text.data, text.len, &record, &customer, &customer_len), 0);
    assert_true(record.found && record.fence == UINT64_MAX - 1 && record.state == NOTICE_STRANDED);
    assert_string_equal(record.record, change.record);
    assert_int_equal(customer_len, 3);
    assert_memory_equal(customer, "C-1", 3);
    buf_fini(&text);
}

static void a_record_names_the_lease_that_its_notice_has_begun_under(void **state) {
    (void)state;
    struct buf text = BUF_INIT;
    struct queue_entry entry = {.lane = LANE_BULK, .stream_id = "1-0", .leased.lease = 255};
    struct queue_change change = {.customer = "C1", .fence = 1, .state = NOTICE_SENDING, .record = "{}", .from = &entry};
    queue_record_put(&text, &change);
    assert_string_equal(buf_str(&text), "s0000000000000001 C1 @bulk/00000000000000ff,1-0 {}");
    struct queue_record record = {0};
    assert_int_equal(queue_record_read(text.data, text.len, &record, NULL, NULL), 0);
    assert_string_equal(record.record, "{}");
    struct queue_change others[] = {change, change, change};
    others[0].state = NOTICE_PLANNED;
    others[1].ack = &entry;
    others[2].fence_seen = 7;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        buf_reset(&text);
        queue_record_put(&text, &others[i]);
        assert_null(strchr(buf_str(&text), '@'));
    }
    buf_fini(&text);
}

static void what_is_no_record_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "n",
                                        "n0000000000000001",
                                        "n0000000000000001 C1",
                                        "z0000000000000001 C1 {}",
                                        "n000000000000000g C1 {}",
                                        "n00000000000000010C1 {}",
                                        "N0000000000000001 C1 {}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct queue_record record = {0};
        assert_int_equal(queue_record_read(wrong[i], strlen(wrong[i]), &record, NULL, NULL), -1);
        assert_false(record.found);
    }
}

struct trouble_case {
    const char *text;
    enum trouble trouble;
};

static void errors_are_sorted_by_what_has_to_be_done(void **state) {
    (void)state;
    static const struct trouble_case cases[] = {
        {"NOSCRIPT No matching script. Please use EVAL.", TROUBLE_NOSCRIPT},
        {"NOGROUP No such key 'x' or consumer group", TROUBLE_NOGROUP},
        {"UNBLOCKED the stream key no longer exists", TROUBLE_NOGROUP},
        {"OOM command not allowed when used memory > 'maxmemory'.", TROUBLE_WAIT},
        {"LOADING Redis is loading the dataset in memory", TROUBLE_WAIT},
        {"BUSY Redis is busy running a script.", TROUBLE_WAIT},
        {"MISCONF Errors writing to the AOF file: No space left on device", TROUBLE_WAIT},
        {"READONLY You can't write against a read only replica.", TROUBLE_RECONNECT},
        {"NOAUTH Authentication required.", TROUBLE_FATAL},
        {"WRONGPASS invalid username-password pair or user is disabled.", TROUBLE_FATAL},
        {"NOPERM this user has no permissions to run the 'xadd' command", TROUBLE_FATAL},
        {"ERR The user executing the script can't run this command or subcommand script: x, on @user_script:1.", TROUBLE_FATAL},
        {"ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed", TROUBLE_WAIT},
        {"ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write", TROUBLE_RECONNECT},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", TROUBLE_OTHER},
        {"EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.", TROUBLE_WAIT},
        {"EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.", TROUBLE_RECONNECT},
        {"EXECABORT Transaction discarded because of previous errors.", TROUBLE_OTHER},
        {"REACHDOOR somebody has made the key reach:notices:aside", TROUBLE_FATAL},
        {"BUSYGROUP Consumer Group name already exists", TROUBLE_OTHER},
        {"ERR unknown command 'OOM BUSY'", TROUBLE_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[160];
        (void)snprintf(text, sizeof text, "%s", cases[i].text);
        redisReply reply = {.type = REDIS_REPLY_ERROR, .str = text, .len = (int)strlen(text)};
        if (reply_trouble(&reply) != cases[i].trouble) {
            fail_msg("%s: %d", cases[i].text, (int)reply_trouble(&reply));
        }
    }
}

static void an_info_text_is_read_by_name(void **state) {
    (void)state;
    char text[] = "# Memory\r\nmaxmemory_policy:noeviction\r\nx_maxmemory:5\r\nmaxmemory:7\r\n", value[16];
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = text, .len = (int)strlen(text)};
    assert_int_equal(reply_info(&reply, "maxmemory", value, sizeof value), 1);
    assert_string_equal(value, "7");
    assert_int_equal(reply_info(&reply, "maxmemory_policy", value, sizeof value), 1);
    assert_string_equal(value, "noeviction");
    assert_int_equal(reply_info(&reply, "memory", value, sizeof value), 0);
}

static void an_address_is_a_socket_or_a_host_with_a_port(void **state) {
    (void)state;
    static const char *const right[] = {"unix:/run/redis.sock", "127.0.0.1:6379", "::1:6379", "redis.example:1"};
    static const char *const wrong[] = {"unix:", "localhost", "host:", ":6379", "host:0", "host:65536", "host:63x"};
    struct err err;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        struct queue_settings settings = {.address = right[i]};
        assert_int_equal(queue_table.check(&settings, &err), 0);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct queue_settings settings = {.address = wrong[i]};
        assert_int_equal(queue_table.check(&settings, &err), -1);
        assert_string_equal(err.member, "address");
    }
}

static void scripts_have_names_of_their_own(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct script scripts[SCRIPT_COUNT];
    struct err err;
    assert_int_equal(scripts_make(&arena, scripts, &err), 0);
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        assert_int_equal(strlen(scripts[i].sha), 40);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(scripts[i].sha, scripts[k].sha);
        }
    }
    arena_fini(&arena);
}

static void a_remembered_id_has_a_place_and_an_end(void **state) {
    (void)state;
    enum { DAY_MS = 86400000 };
    struct gone_place place, other;
    gone_place_of("bench-1", &place);
    gone_place_of("bench-2", &other);
    assert_int_equal(strspn(place.bucket, "0123456789abcdef"), GONE_BUCKET_LEN);
    assert_true(memcmp(place.mark, other.mark, GONE_MARK_LEN) != 0);
    char bucket[2 * GONE_ENTRY_LEN] = {0};
    char content[GONE_CONTENT_LEN], other_content[GONE_CONTENT_LEN];
    gone_content_of("digest", content);
    gone_content_of("another", other_content);
    assert_true(memcmp(content, other_content, sizeof content) != 0);
    memcpy(bucket + GONE_ENTRY_LEN, place.mark, GONE_MARK_LEN);
    memcpy(bucket + GONE_ENTRY_LEN + GONE_MARK_LEN, content, sizeof content);
    bucket[2 * GONE_ENTRY_LEN - 2] = (char)(20000 >> 8);
    bucket[2 * GONE_ENTRY_LEN - 1] = (char)(20000 & 255);
    assert_non_null(gone_find(bucket, sizeof bucket, place.mark, 19999));
    assert_memory_equal(gone_find(bucket, sizeof bucket, place.mark, 19999), content, sizeof content);
    assert_null(gone_find(bucket, sizeof bucket, place.mark, 20000));
    assert_null(gone_find(bucket, sizeof bucket, other.mark, 0));
    assert_null(gone_find(bucket, sizeof bucket - 1, place.mark, 0)); /* torn */
    int64_t now_ms = INT64_C(20000) * DAY_MS + 5;
    assert_int_equal(gone_day(now_ms), 20000);
    assert_int_equal(gone_forgotten(now_ms, 0), -1);
    assert_int_equal(gone_forgotten(now_ms, 2 * DAY_MS), 19997); /* noted at any hour of day 19998: still known */
    assert_int_equal(gone_forgotten(now_ms, INT64_C(30000) * DAY_MS), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_carries_any_bytes),        cmocka_unit_test(entries_in_hand_are_a_set),
        cmocka_unit_test(a_record_is_read_as_it_was_written), cmocka_unit_test(a_record_names_the_lease_that_its_notice_has_begun_under),
        cmocka_unit_test(what_is_no_record_is_refused),       cmocka_unit_test(errors_are_sorted_by_what_has_to_be_done),
        cmocka_unit_test(an_info_text_is_read_by_name),       cmocka_unit_test(an_address_is_a_socket_or_a_host_with_a_port),
        cmocka_unit_test(scripts_have_names_of_their_own),    cmocka_unit_test(a_remembered_id_has_a_place_and_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
