/* The archive on disk: files, indices, limits, torn lines, full disks, and the child that writes. Each case has a directory of its own. */
#include "dispatcher/archive.h"
#include "dispatcher/archive_file.h"

#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char parent[64], dir[80];
static struct archive_settings settings;
static const int64_t now_ms = INT64_C(1795300000000);

static int set_up(void **state) {
    (void)state;
    (void)snprintf(parent, sizeof parent, "/tmp/reach-archive-XXXXXX");
    if (mkdtemp(parent) == NULL) {
        return -1;
    }
    (void)snprintf(dir, sizeof dir, "%s/archive", parent);
    settings = (struct archive_settings){.directory = dir, .file_max = 1 << 20, .file_ms = 86400000};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", parent);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

/* ---- helpers ------------------------------------------------------------------------------------------------------------ */

static void put(struct buf *out, const char *id, const char *customer, int n) {
    char record[120];
    (void)snprintf(record, sizeof record, "{\"c\":\"x\",\"n\":\"note\",\"at\":%d}", n);
    archive_put_line(out, id, customer, NOTICE_REACHED, 0x123456789abcdefULL, now_ms, record);
}

static void append(struct archive_file *file, const char *id, const char *customer, int n) {
    struct buf lines = BUF_INIT;
    struct err err;
    put(&lines, id, customer, n);
    assert_int_equal(archive_file_append(file, lines.data, lines.len, now_ms, &err), 0);
    buf_fini(&lines);
}

static void open_file(struct archive_file *file) {
    struct err err;
    if (archive_file_open(file, &settings, "host/1", now_ms, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

struct hits {
    int n;
    char last[300]; /* record of the newest */
};

static int count(void *ctx, const struct archive_found *found) {
    struct hits *hits = ctx;
    if (hits->n++ == 0) {
        (void)snprintf(hits->last, sizeof hits->last, "%s", found->record);
    }
    return 0;
}

static struct hits search(enum archive_key key, const char *text) {
    struct arena arena = ARENA_INIT;
    struct hits hits = {0};
    struct err err;
    assert_int_equal(archive_search(dir, key, text, count, &hits, &arena, &err), 0);
    arena_fini(&arena);
    return hits;
}

static int count_files(const char *ending) {
    DIR *d = opendir(dir);
    int n = 0;
    assert_non_null(d);
    for (const struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        size_t len = strlen(entry->d_name), end = strlen(ending);
        n += len > end && strcmp(entry->d_name + len - end, ending) == 0;
    }
    (void)closedir(d);
    return n;
}

/* Of the only file with that ending. */
static void path_of(const char *ending, char out[400]) {
    DIR *d = opendir(dir);
    out[0] = '\0';
    assert_non_null(d);
    for (const struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        if (strlen(entry->d_name) > strlen(ending) && strcmp(entry->d_name + strlen(entry->d_name) - strlen(ending), ending) == 0) {
            (void)snprintf(out, 400, "%s/%s", dir, entry->d_name);
        }
    }
    (void)closedir(d);
    assert_true(out[0] != '\0');
}

/* ---- files -------------------------------------------------------------------------------------------------------------- */

static void what_was_archived_is_found_before_and_after_the_file_is_finished(void **state) {
    (void)state;
    struct archive_file file;
    open_file(&file);
    append(&file, "n1", "C1", 1);
    append(&file, "n2", "C1", 2);
    append(&file, "n\"3\\", "C\u00e4", 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_files(".idx"), round);
        assert_int_equal(search(ARCHIVE_BY_ID, "n1").n, 1);
        assert_string_equal(search(ARCHIVE_BY_ID, "n2").last, "{\"c\":\"x\",\"n\":\"note\",\"at\":2}");
        assert_int_equal(search(ARCHIVE_BY_ID, "n\"3\\").n, 1);
        assert_int_equal(search(ARCHIVE_BY_ID, "n").n, 0);
        assert_int_equal(search(ARCHIVE_BY_ID, "C1").n, 0);
        assert_int_equal(search(ARCHIVE_BY_CUSTOMER, "C1").n, 2);
        assert_string_equal(search(ARCHIVE_BY_CUSTOMER, "C1").last,
                            round == 0 ? "{\"c\":\"x\",\"n\":\"note\",\"at\":1}" : "{\"c\":\"x\",\"n\":\"note\",\"at\":2}");
        assert_int_equal(search(ARCHIVE_BY_CUSTOMER, "C\u00e4").n, 1);
        if (round == 0) {
            archive_file_close(&file);
        }
    }
}

static void files_are_for_their_owner_alone(void **state) {
    (void)state;
    struct archive_file file;
    struct stat info;
    char path[400];
    open_file(&file);
    append(&file, "n1", "C1", 1);
    archive_file_close(&file);
    assert_int_equal(stat(dir, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    path_of(".ndjson", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_non_null(strstr(path, "-host_1.ndjson"));
    path_of(".idx", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void a_full_or_old_file_is_finished(void **state) {
    (void)state;
    struct archive_file file;
    settings.file_max = 4096;
    open_file(&file);
    for (int i = 0; i < 100; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "n%d", i);
        append(&file, id, "C1", i);
    }
    int n = count_files(".ndjson");
    assert_true(n > 3);
    assert_int_equal(count_files(".idx"), n - 1);
    struct buf lines = BUF_INIT;
    struct err err;
    put(&lines, "late", "C1", 0);
    assert_int_equal(archive_file_append(&file, lines.data, lines.len, now_ms + settings.file_ms, &err), 0);
    buf_fini(&lines);
    assert_int_equal(count_files(".ndjson"), n + 1);
    archive_file_close(&file);
    assert_int_equal(search(ARCHIVE_BY_CUSTOMER, "C1").n, 101);
    for (int i = 0; i < 100; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "n%d", i);
        assert_int_equal(search(ARCHIVE_BY_ID, id).n, 1);
    }
}

static void limits_delete_the_oldest_files_only(void **state) {
    (void)state;
    struct archive_file file;
    settings.file_max = 4096;
    settings.size_max = 3 * 4096;
    open_file(&file);
    for (int i = 0; i < 200; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "n%d", i);
        append(&file, id, "C1", i);
    }
    assert_true(count_files(".ndjson") <= 4);
    assert_true(file.n_deleted > 0);
    archive_file_close(&file);
    assert_int_equal(search(ARCHIVE_BY_ID, "n0").n, 0);
    assert_int_equal(search(ARCHIVE_BY_ID, "n199").n, 1);
    settings.size_max = 0;
    settings.keep_ms = 1000;
    struct err err;
    assert_int_equal(archive_file_open(&file, &settings, "h", now_ms + INT64_C(1000) * 365 * 86400000, &err), 0);
    assert_int_equal(count_files(".ndjson"), 0);
    assert_int_equal(count_files(".idx"), 0);
    archive_file_close(&file);
}

/* ---- what goes wrong ---------------------------------------------------------------------------------------------------- */

static void a_torn_line_and_a_damaged_index_cost_nothing_else(void **state) {
    (void)state;
    struct archive_file file;
    char path[400], index[400];
    open_file(&file);
    append(&file, "n1", "C1", 1);
    archive_file_close(&file);
    path_of(".ndjson", path);
    path_of(".idx", index);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "{\"id\":\"torn\",\"cust", 18), 18); /* the index does not fit any more */
    (void)close(fd);
    assert_int_equal(search(ARCHIVE_BY_ID, "n1").n, 1);
    assert_int_equal(search(ARCHIVE_BY_ID, "torn").n, 0);
    assert_int_equal(unlink(index), 0);
    open_file(&file); /* makes it again */
    assert_int_equal(count_files(".idx"), 1);
    append(&file, "n2", "C1", 2);
    archive_file_close(&file);
    assert_int_equal(search(ARCHIVE_BY_CUSTOMER, "C1").n, 2);
    fd = open(index, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, "reachidx", 8), 8);
    (void)close(fd);
    assert_int_equal(search(ARCHIVE_BY_ID, "n1").n, 1);
}

static void a_full_disk_is_told_and_leaves_no_half_line(void **state) {
    (void)state;
    struct archive_file file;
    struct buf lines = BUF_INIT;
    struct err err;
    struct rlimit before, small = {.rlim_cur = 300};
    open_file(&file);
    append(&file, "n1", "C1", 1);
    for (int i = 0; i < 10; i++) {
        put(&lines, "n2", "C2", i);
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = archive_file_append(&file, lines.data, lines.len, now_ms, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err.text, "too large"));
    assert_int_equal(search(ARCHIVE_BY_ID, "n2").n, 0);
    assert_int_equal(archive_file_append(&file, lines.data, lines.len, now_ms, &err), 0);
    buf_fini(&lines);
    archive_file_close(&file);
    assert_int_equal(search(ARCHIVE_BY_ID, "n1").n, 1);
    assert_int_equal(search(ARCHIVE_BY_ID, "n2").n, 10);
}

static void two_may_write_to_one_directory(void **state) {
    (void)state;
    struct archive_file a, b;
    open_file(&a);
    append(&a, "n1", "C1", 1);
    open_file(&b); /* leaves the other's file alone: it has no index and is locked */
    assert_int_equal(count_files(".idx"), 0);
    append(&b, "n2", "C1", 2);
    append(&a, "n3", "C1", 3);
    assert_int_equal(count_files(".ndjson"), 2);
    archive_file_close(&a);
    archive_file_close(&b);
    assert_int_equal(search(ARCHIVE_BY_CUSTOMER, "C1").n, 3);
}

static void a_directory_that_cannot_be_is_told(void **state) {
    (void)state;
    struct err err;
    settings.directory = "/proc/nowhere/archive";
    struct event_base *base = event_base_new();
    assert_null(archive_new(base, &settings, "h", &err));
    assert_non_null(strstr(err.text, "archive.directory: /proc/nowhere/archive"));
    event_base_free(base);
    struct arena arena = ARENA_INIT;
    struct hits hits = {0};
    assert_int_equal(archive_search(dir, ARCHIVE_BY_ID, "n1", count, &hits, &arena, &err), -1);
    arena_fini(&arena);
}

/* ---- the child ---------------------------------------------------------------------------------------------------------- */

struct waiting {
    struct event_base *base;
    int done, failed;
};

static void on_done(void *ctx, const struct err *err) {
    struct waiting *waiting = ctx;
    waiting->done++;
    waiting->failed += err != NULL;
    assert_int_equal(event_base_loopbreak(waiting->base), 0);
}

static void put_page(struct archive *archive, struct waiting *waiting, const char *id) {
    struct buf lines = BUF_INIT;
    struct err err;
    put(&lines, id, "C1", 1);
    assert_int_equal(archive_put(archive, &lines, on_done, waiting, &err), 0);
    assert_int_equal(lines.len, 0);
    int done = waiting->done;
    while (waiting->done == done) {
        assert_int_not_equal(event_base_dispatch(waiting->base), -1);
    }
}

/* The pid of the only child of this process. */
static pid_t the_child(void) {
    char path[64], text[64] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    return (pid_t)strtol(text, NULL, 10);
}

static void the_child_writes_and_is_made_again_when_it_dies(void **state) {
    (void)state;
    struct waiting waiting = {.base = event_base_new()};
    struct err err;
    struct archive *archive = archive_new(waiting.base, &settings, "h", &err);
    assert_non_null(archive);
    put_page(archive, &waiting, "n1");
    assert_int_equal(search(ARCHIVE_BY_ID, "n1").n, 1); /* on the disk when done() is called */
    pid_t child = the_child();
    assert_int_equal(kill(child, SIGKILL), 0);
    while (kill(child, 0) == 0) { /* until it is waited for: its end was noticed */
        assert_int_not_equal(event_base_loop(waiting.base, EVLOOP_ONCE), -1);
    }
    put_page(archive, &waiting, "n2");
    assert_int_not_equal(the_child(), child);
    archive_free(archive);
    assert_int_equal(waiting.failed, 0);
    assert_int_equal(count_files(".idx"), 2); /* the first one's was made by the second */
    assert_int_equal(search(ARCHIVE_BY_CUSTOMER, "C1").n, 2);
    event_base_free(waiting.base);
}

static void what_is_under_way_when_reachd_stops_is_answered(void **state) {
    (void)state;
    struct waiting waiting = {.base = event_base_new()};
    struct buf lines = BUF_INIT;
    struct err err;
    struct archive *archive = archive_new(waiting.base, &settings, "h", &err);
    assert_non_null(archive);
    put(&lines, "n1", "C1", 1);
    assert_int_equal(archive_put(archive, &lines, on_done, &waiting, &err), 0);
    archive_free(archive);
    assert_int_equal(waiting.done, 1);
    assert_int_equal(waiting.failed, 1);
    event_base_free(waiting.base);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_was_archived_is_found_before_and_after_the_file_is_finished),
        TEST(files_are_for_their_owner_alone),
        TEST(a_full_or_old_file_is_finished),
        TEST(limits_delete_the_oldest_files_only),
        TEST(a_torn_line_and_a_damaged_index_cost_nothing_else),
        TEST(a_full_disk_is_told_and_leaves_no_half_line),
        TEST(two_may_write_to_one_directory),
        TEST(a_directory_that_cannot_be_is_told),
        TEST(the_child_writes_and_is_made_again_when_it_dies),
        TEST(what_is_under_way_when_reachd_stops_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
