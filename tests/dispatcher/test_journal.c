/* journal: what was put down is found again, however the process or the machine ended. */
#include "dispatcher/journal.h"

#include "base/arena.h"

#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static struct event_base *base;
static struct journal_settings settings;

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/reach-journal-XXXXXX");
    base = event_base_new();
    settings = (struct journal_settings){.directory = dir, .size_max = 65536};
    return base == NULL || mkdtemp(dir) == NULL ? -1 : 0;
}

static const char *const names[] = {"w1.0.journal", "w1.1.journal", "w1.lock"};

static const char *path_of(int i) {
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    return path;
}

static int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)unlink(path_of(i));
    }
    event_base_free(base);
    return rmdir(dir);
}

static struct journal *open_it(void) {
    struct err err;
    struct journal *journal = journal_open(base, &settings, "w1", &err);
    if (journal == NULL) {
        fail_msg("%s", err.text);
    }
    return journal;
}

static struct outcome outcome_of(enum outcome_kind kind, const char *reason) {
    struct outcome outcome;
    outcome_set(&outcome, kind, BLAME_CONTACT, "550 5.1.1", "%s", reason);
    (void)snprintf(outcome.ref, sizeof outcome.ref, "ref-1");
    outcome.retry_after_ms = 5000;
    return outcome;
}

static void put(struct journal *journal, const char *id, uint64_t fence, struct journal_mark *mark) {
    struct outcome outcome = outcome_of(OUTCOME_SENT, "250 \"queued\" as 1");
    *mark = journal_put(journal, &(struct journal_attempt){.id = id, .fence = fence}, &outcome);
}

static bool knows(const struct journal *journal, const char *id, uint64_t fence) {
    struct outcome outcome;
    return journal_find(journal, id, fence, &outcome) == 1;
}

static void what_was_put_down_is_found_after_the_process_was_killed(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct err err;
        struct event_base *own = event_base_new();
        struct journal *journal = journal_open(own, &settings, "w1", &err);
        struct outcome sent = outcome_of(OUTCOME_SENT, "250 \"queued\" as 1"), rejected = outcome_of(OUTCOME_REJECTED, "no such mailbox");
        (void)journal_put(journal, &(struct journal_attempt){.id = "n1", .fence = 0xabcULL << 40 | 7}, &sent);
        (void)journal_put(journal, &(struct journal_attempt){.id = "n2", .fence = 8}, &rejected);
        journal_flush(journal);
        (void)kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    struct journal *journal = open_it();
    struct outcome outcome;
    assert_int_equal(journal_load(journal), 2);
    assert_int_equal(journal_find(journal, "n1", 0xabcULL << 40 | 7, &outcome), 1);
    assert_int_equal(outcome.kind, OUTCOME_SENT);
    assert_int_equal(outcome.blame, BLAME_CONTACT);
    assert_int_equal(outcome.retry_after_ms, 5000);
    assert_string_equal(outcome.code, "550 5.1.1");
    assert_string_equal(outcome.ref, "ref-1");
    assert_non_null(strstr(outcome.reason, "had answered")); /* the provider's own words are not kept */
    assert_int_equal(journal_find(journal, "n2", 8, &outcome), 1);
    assert_int_equal(outcome.kind, OUTCOME_REJECTED);
    journal_close(journal);
}

static void only_the_very_token_finds_it(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct journal_mark mark;
    put(journal, "n1", 7, &mark);
    assert_int_equal(journal_load(journal), 1);
    assert_true(knows(journal, "n1", 7));
    assert_false(knows(journal, "n1", 8));
    assert_false(knows(journal, "n2", 7));
    journal_forget(journal, 7);
    assert_false(knows(journal, "n1", 7));
    journal_recorded(&mark);
    journal_close(journal);
}

static void an_unknown_outcome_is_not_put_down(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct outcome outcome = outcome_of(OUTCOME_UNKNOWN, "dropped");
    assert_null(journal_put(journal, &(struct journal_attempt){.id = "n1", .fence = 7}, &outcome).journal);
    assert_int_equal(journal_load(journal), 0);
    journal_close(journal);
}

static void append(int file, const void *bytes, size_t len) {
    int fd = open(path_of(file), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

/* A line may be cut anywhere, or changed, or followed by empty blocks: what is whole is found, the rest is left out. */
static void a_line_that_was_cut_anywhere_is_left_out(void **state) {
    (void)state;
    static char text[1024];
    struct journal *journal = open_it();
    struct journal_mark mark;
    put(journal, "n1", 7, &mark);
    journal_close(journal);
    int fd = open(path_of(0), O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, text, sizeof text);
    assert_int_equal(close(fd), 0);
    assert_true(len > 40);
    for (ssize_t cut = 0; cut < len - 1; cut += 3) {
        assert_int_equal(truncate(path_of(0), 0), 0);
        append(0, text, (size_t)cut);
        append(1, text, cut % 2 == 0 ? (size_t)len : 0);
        journal = open_it();
        assert_int_equal(journal_load(journal), cut % 2 == 0 ? 1 : 0);
        put(journal, "n2", 9, &mark); /* goes on behind the damage */
        assert_int_equal(journal_load(journal), cut % 2 == 0 ? 2 : 1);
        assert_true(knows(journal, "n2", 9));
        journal_recorded(&mark);
        journal_close(journal);
        assert_int_equal(truncate(path_of(1), 0), 0);
    }
}

static void a_damaged_byte_spoils_its_line_only(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct journal_mark mark[3];
    for (uint64_t i = 0; i < 3; i++) {
        put(journal, "n", 7 + i, &mark[i]);
    }
    journal_close(journal);
    FILE *file = fopen(path_of(0), "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 200, SEEK_SET), 0); /* in the second line */
    assert_int_equal(fputc('\0', file), 0);
    assert_int_equal(fclose(file), 0);
    append(0, "\0\0\0\0\0\0\0\0", 8);
    journal = open_it();
    assert_int_equal(journal_load(journal), 2);
    assert_true(knows(journal, "n", 7) && !knows(journal, "n", 8) && knows(journal, "n", 9));
    journal_close(journal);
}

static off_t size_of_both(void) {
    struct stat one, two;
    assert_int_equal(stat(path_of(0), &one), 0);
    assert_int_equal(stat(path_of(1), &two), 0);
    return one.st_size + two.st_size;
}

static void what_is_recorded_gives_its_room_back_and_what_is_not_stays(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct journal_mark open, mark;
    put(journal, "open", 1, &open);
    journal_flush(journal);
    for (uint64_t i = 2; i < 5000; i++) {
        put(journal, "n", i, &mark);
        journal_flush(journal);
        journal_recorded(&mark);
        assert_true(size_of_both() <= 65536);
    }
    (void)journal_load(journal);
    assert_true(knows(journal, "open", 1));
    for (uint64_t i = 1; i < 5000; i++) {
        journal_forget(journal, i);
    }
    journal_recorded(&open);
    for (uint64_t i = 5000; i < 6000; i++) {
        put(journal, "n", i, &mark);
        journal_flush(journal);
        journal_recorded(&mark);
        assert_true(size_of_both() <= 65536);
    }
    (void)journal_load(journal);
    assert_true(knows(journal, "n", 5999)); /* it goes on after it was full */
    journal_close(journal);
}

static void what_was_loaded_and_is_not_dealt_with_outlives_its_file(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct journal_mark mark;
    put(journal, "old", 1, &mark);
    put(journal, "done", 2, &mark);
    journal_close(journal);
    for (int life = 0; life < 3; life++) {
        journal = open_it();
        (void)journal_load(journal);
        assert_true(knows(journal, "old", 1));
        journal_forget(journal, 2);
        for (uint64_t i = 10; i < 2000; i++) {
            put(journal, "n", i, &mark);
            journal_flush(journal);
            journal_recorded(&mark);
        }
        journal_close(journal);
    }
    journal = open_it();
    (void)journal_load(journal);
    assert_true(knows(journal, "old", 1));
    assert_false(knows(journal, "done", 2));
    journal_close(journal);
}

static void what_redis_leaves_unrecorded_is_synced_and_what_it_records_is_not_waited_for(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct journal_mark mark, other;
    struct timeval tick = {.tv_usec = 10000};
    put(journal, "n1", 1, &mark);
    put(journal, "n2", 2, &other);
    journal_flush(journal);
    assert_false(journal_is_synced(journal));
    journal_recorded(&other);
    for (int i = 0; i < 1000 && !journal_is_synced(journal); i++) {
        assert_int_equal(event_base_loopexit(base, &tick), 0);
        assert_int_not_equal(event_base_dispatch(base), -1);
    }
    assert_true(journal_is_synced(journal));
    journal_recorded(&mark);
    journal_close(journal);
}

static void two_of_one_name_do_not_share_it(void **state) {
    (void)state;
    struct journal *journal = open_it();
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct err err;
        bool refused = journal_open(base, &settings, "w1", &err) == NULL && strstr(err.text, "redis.consumer") != NULL;
        _exit(refused ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    journal_close(journal);
    journal_close(open_it());
}

static void a_directory_that_cannot_be_written_is_told(void **state) {
    (void)state;
    struct err err;
    struct journal_settings wrong = {.directory = "/proc/nowhere", .size_max = 65536};
    assert_null(journal_open(base, &wrong, "w1", &err));
    assert_non_null(strstr(err.text, "/proc/nowhere"));
    journal_close(open_it());
}

static struct journal_attempt attempt_of(const char *id, uint64_t fence, uint32_t number) {
    return (struct journal_attempt){.id = id,
                                    .fence = fence,
                                    .digest = "0123456789abcdef-and-more",
                                    .step = 2,
                                    .contact_key = "fedcba9876543210",
                                    .number = number,
                                    .channel = "email",
                                    .gateway = "mail \"main\"",
                                    .early_warning = number == 1};
}

static void put_attempt(struct journal *journal, const char *id, uint64_t fence, uint32_t number, enum outcome_kind kind) {
    struct journal_attempt attempt = attempt_of(id, fence, number);
    struct outcome outcome = outcome_of(kind, "as it says");
    struct journal_mark mark = journal_put(journal, &attempt, &outcome);
    journal_recorded(&mark);
}

static void intend(struct journal *journal, const char *id, uint64_t fence, uint32_t number) {
    struct journal_attempt attempt = attempt_of(id, fence, number);
    journal_intend(journal, &attempt);
}

/* What did not go out is not among them; what may have gone out, or did, is. */
static void the_attempts_of_a_notice_are_found_with_what_is_known_of_them(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct journal_known known[4];
    struct arena arena = ARENA_INIT;
    intend(journal, "n1", 30, 3);
    intend(journal, "n1", 10, 1);
    put_attempt(journal, "n1", 10, 1, OUTCOME_SENT);
    intend(journal, "n1", 20, 2);
    put_attempt(journal, "n1", 20, 2, OUTCOME_REJECTED);
    intend(journal, "n2", 40, 1);
    assert_int_equal(journal_load(journal), 4);
    assert_int_equal(journal_attempts(journal, "n1", known, 4, &arena), 2);
    assert_int_equal(known[0].attempt.fence, 10);
    assert_false(known[0].is_open);
    assert_int_equal(known[0].outcome.kind, OUTCOME_SENT);
    assert_string_equal(known[0].outcome.ref, "ref-1");
    assert_true(known[0].attempt.early_warning);
    assert_int_equal(known[1].attempt.fence, 30);
    assert_true(known[1].is_open);
    assert_string_equal(known[1].attempt.id, "n1");
    assert_string_equal(known[1].attempt.digest, "0123456789abcdef");
    assert_int_equal(known[1].attempt.step, 2);
    assert_string_equal(known[1].attempt.contact_key, "fedcba9876543210");
    assert_int_equal(known[1].attempt.number, 3);
    assert_string_equal(known[1].attempt.channel, "email");
    assert_string_equal(known[1].attempt.gateway, "mail \"main\"");
    assert_false(known[1].attempt.early_warning);
    assert_false(knows(journal, "n1", 30)); /* an intent is no answer */
    assert_int_equal(journal_attempts(journal, "n1", known, 1, &arena), 1);
    assert_int_equal(journal_attempts(journal, "nobody", known, 4, &arena), 0);
    journal_forget_notice(journal, "n1");
    assert_int_equal(journal_attempts(journal, "n1", known, 4, &arena), 0);
    assert_int_equal(journal_attempts(journal, "n2", known, 4, &arena), 1);
    arena_fini(&arena);
    journal_close(journal);
}

/* What nobody asked for is not kept: it would be written over for ever. */
static void some_notices_are_recalled_beside_what_is_not_dealt_with(void **state) {
    (void)state;
    struct journal *journal = open_it();
    put_attempt(journal, "old", 5, 1, OUTCOME_SENT);
    put_attempt(journal, "done", 6, 1, OUTCOME_SENT);
    (void)journal_load(journal);
    journal_forget(journal, 6);
    put_attempt(journal, "n1", 10, 1, OUTCOME_SENT);
    put_attempt(journal, "n2", 20, 1, OUTCOME_SENT);
    intend(journal, "n3", 30, 1);
    const char *ids[] = {"n3", "nobody", "n1"};
    journal_recall(journal, ids, 3);
    struct journal_known known[1];
    struct arena arena = ARENA_INIT;
    assert_true(knows(journal, "n1", 10) && knows(journal, "old", 5));
    assert_false(knows(journal, "n2", 20) || knows(journal, "done", 6));
    assert_int_equal(journal_attempts(journal, "n3", known, 1, &arena), 1);
    journal_recall(journal, ids, 0);
    assert_true(knows(journal, "n1", 10));
    journal_recall(NULL, ids, 3);
    arena_fini(&arena);
    journal_close(journal);
}

/* An answer that a gateway's own file has kept says nothing of the attempt: its intent does. */
static void an_answer_without_its_attempt_is_told_by_the_intent(void **state) {
    (void)state;
    struct journal *journal = open_it();
    struct journal_mark mark;
    struct journal_known known[2];
    struct arena arena = ARENA_INIT;
    put(journal, "n1", 10, &mark);
    put(journal, "n2", 20, &mark);
    intend(journal, "n1", 10, 7);
    (void)journal_load(journal);
    assert_int_equal(journal_attempts(journal, "n1", known, 2, &arena), 1);
    assert_false(known[0].is_open);
    assert_int_equal(known[0].attempt.number, 7);
    assert_int_equal(journal_attempts(journal, "n2", known, 2, &arena), 0);
    arena_fini(&arena);
    journal_close(journal);
}

/* Intents are not waited for: they neither keep a file from being emptied nor a disk busy. */
static void intents_alone_keep_nothing_open(void **state) {
    (void)state;
    struct journal *journal = open_it();
    for (uint64_t i = 1; i < 3000; i++) {
        intend(journal, "n", i, 1);
        journal_flush(journal);
        assert_true(size_of_both() <= 65536);
    }
    assert_true(journal_is_synced(journal));
    (void)journal_load(journal);
    assert_false(knows(journal, "n", 2999));
    struct journal_known known[1];
    struct arena arena = ARENA_INIT;
    assert_int_equal(journal_attempts(journal, "n", known, 1, &arena), 1);
    arena_fini(&arena);
    journal_close(journal);
}

static void without_a_journal_nothing_is_kept_or_found(void **state) {
    (void)state;
    struct outcome outcome = outcome_of(OUTCOME_SENT, "ok");
    struct journal_mark mark = journal_put(NULL, &(struct journal_attempt){.id = "n1", .fence = 1}, &outcome);
    journal_flush(NULL);
    journal_recorded(&mark);
    assert_int_equal(journal_load(NULL), 0);
    assert_int_equal(journal_find(NULL, "n1", 1, &outcome), 0);
    journal_forget(NULL, 1);
    journal_close(NULL);
    journal_close(open_it());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_down_is_found_after_the_process_was_killed),
        TEST(only_the_very_token_finds_it),
        TEST(an_unknown_outcome_is_not_put_down),
        TEST(a_line_that_was_cut_anywhere_is_left_out),
        TEST(a_damaged_byte_spoils_its_line_only),
        TEST(what_is_recorded_gives_its_room_back_and_what_is_not_stays),
        TEST(what_was_loaded_and_is_not_dealt_with_outlives_its_file),
        TEST(what_redis_leaves_unrecorded_is_synced_and_what_it_records_is_not_waited_for),
        TEST(two_of_one_name_do_not_share_it),
        TEST(a_directory_that_cannot_be_written_is_told),
        TEST(the_attempts_of_a_notice_are_found_with_what_is_known_of_them),
        TEST(some_notices_are_recalled_beside_what_is_not_dealt_with),
        TEST(an_answer_without_its_attempt_is_told_by_the_intent),
        TEST(intents_alone_keep_nothing_open),
        TEST(without_a_journal_nothing_is_kept_or_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
