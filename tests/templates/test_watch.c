/* A set is loaded anew when its files change, and only a good one takes the place of the old. */
#include "set_fixture.h"

#include "templates/watch.h"

#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

static struct event_base *base;
static struct template_set *serving;
static int accepted;
static int refused;
static char told[400];

static int start(void **state) {
    accepted = 0;
    refused = 0;
    base = event_base_new();
    assert_non_null(base);
    return fixture_setup(state);
}

static int stop(void **state) {
    template_set_free(serving);
    serving = NULL;
    event_base_free(base);
    return fixture_teardown(state);
}

static void on_change(void *ctx, struct template_set *set, const struct template_report *report, const struct err *err) {
    assert_null(ctx);
    (void)snprintf(told, sizeof told, "%s", err->text);
    if (set == NULL) {
        refused++;
        assert_true(report->n_errors > 0);
        return;
    }
    accepted++;
    template_set_free(serving);
    serving = set;
}

/* Runs the loop until `count` has become `wanted`, at most five seconds. */
static void run_until(const int *count, int wanted) {
    for (int i = 0; i < 500 && *count < wanted; i++) {
        const struct timeval step = {.tv_usec = 10000};
        assert_int_equal(event_base_loopexit(base, &step), 0);
        assert_true(event_base_dispatch(base) >= 0);
    }
    assert_int_equal(*count, wanted);
}

static void a_good_change_is_taken_and_a_bad_one_is_told(void **state) {
    struct err err = {0};
    (void)state;
    struct template_watch *watch = template_watch_new(base, fixture_dir, on_change, NULL, &err);
    assert_non_null(watch);
    fixture_write("n/en/sms.txt", "One {{word}} walton.example\n");
    run_until(&accepted, 1);
    fixture_write("n/en/sms.txt", "Two {{word}} {{#garbage\n");
    run_until(&refused, 1);
    assert_non_null(strstr(told, "n/en/sms.txt:1:"));
    struct arena arena = ARENA_INIT;
    struct message m = {0};
    assert_int_equal(fixture_render(serving, CHANNEL_SMS, "{\"word\":\"x\"}", (struct template_values){0}, &arena, &m, &err), 0);
    assert_string_equal(m.text, "One x walton.example");
    arena_fini(&arena);
    fixture_write("n/en/sms.txt", "Three {{word}} walton.example\n");
    run_until(&accepted, 2);
    assert_int_equal(refused, 1);
    template_watch_free(watch);
}

static void a_new_folder_is_watched_too(void **state) {
    struct err err = {0};
    (void)state;
    struct template_watch *watch = template_watch_new(base, fixture_dir, on_change, NULL, &err);
    fixture_write("n/de/email.md", fixture_base[3].text);
    run_until(&refused, 1);
    fixture_write("n/de/sms.txt", fixture_base[4].text);
    run_until(&refused, 2);
    fixture_write("n/de/push.md", fixture_base[5].text);
    fixture_write("n/de/banner.md", fixture_base[6].text);
    run_until(&accepted, 1);
    assert_string_equal(template_locale(serving, "n", "de-AT"), "de");
    template_watch_free(watch);
}

static void many_saves_in_a_row_are_one_load(void **state) {
    struct err err = {0};
    (void)state;
    struct template_watch *watch = template_watch_new(base, fixture_dir, on_change, NULL, &err);
    for (int i = 0; i < 50; i++) {
        fixture_write("n/en/sms.txt", "Saved {{word}} walton.example\n");
    }
    run_until(&accepted, 1);
    for (int i = 0; i < 30; i++) {
        const struct timeval step = {.tv_usec = 10000};
        assert_int_equal(event_base_loopexit(base, &step), 0);
        assert_true(event_base_dispatch(base) >= 0);
    }
    assert_int_equal(accepted, 1);
    template_watch_free(watch);
}

static void it_can_be_asked_to_load_and_freed_while_it_does(void **state) {
    struct err err = {0};
    (void)state;
    struct template_watch *watch = template_watch_new(base, fixture_dir, on_change, NULL, &err);
    template_watch_kick(watch);
    template_watch_kick(watch);
    run_until(&accepted, 2);
    template_watch_kick(watch);
    template_watch_free(watch);
    assert_int_equal(accepted, 2);
}

/* As `reachctl template publish` does it: the directory is a link, and is pointed to another. */
static void a_link_that_is_turned_is_followed(void **state) {
    struct err err = {0};
    char link[300];
    char fresh[300];
    char other[300];
    char command[1000];
    (void)state;
    (void)snprintf(link, sizeof link, "%s.link", fixture_dir);
    (void)snprintf(fresh, sizeof fresh, "%s.fresh", fixture_dir);
    (void)snprintf(other, sizeof other, "%s.other", fixture_dir);
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s' && printf 'Other {{word}} walton.example\\n' >'%s/n/en/sms.txt'", fixture_dir,
                   other, other);
    assert_int_equal(system(command), 0);
    assert_int_equal(symlink(fixture_dir, link), 0);
    struct template_watch *watch = template_watch_new(base, link, on_change, NULL, &err);
    assert_non_null(watch);
    for (int i = 1; i <= 4; i++) {
        assert_int_equal(symlink(i % 2 == 1 ? other : fixture_dir, fresh), 0);
        assert_int_equal(rename(fresh, link), 0);
        run_until(&accepted, i);
        struct arena arena = ARENA_INIT;
        struct message m = {0};
        assert_int_equal(fixture_render(serving, CHANNEL_SMS, "{\"word\":\"x\"}", (struct template_values){0}, &arena, &m, &err), 0);
        assert_int_equal(strncmp(m.text, "Other x", 7) == 0, i % 2 == 1);
        arena_fini(&arena);
    }
    template_watch_free(watch);
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'", other, link);
    assert_int_equal(system(command), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_good_change_is_taken_and_a_bad_one_is_told),
        TEST(a_new_folder_is_watched_too),
        TEST(many_saves_in_a_row_are_one_load),
        TEST(a_link_that_is_turned_is_followed),
        TEST(it_can_be_asked_to_load_and_freed_while_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
