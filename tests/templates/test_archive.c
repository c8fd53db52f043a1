/* Versions that were sent can be made again. */
#include "set_fixture.h"

static char archive[] = "/tmp/reach-archive-XXXXXX";

static int setup(void **state) {
    (void)strcpy(archive, "/tmp/reach-archive-XXXXXX");
    assert_non_null(mkdtemp(archive));
    return fixture_setup(state);
}

static int teardown(void **state) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", archive);
    return system(command) != 0 ? -1 : fixture_teardown(state);
}

static void a_kept_version_gives_the_same_bytes_after_the_words_changed(void **state) {
    struct err err = {0};
    struct arena arena = ARENA_INIT;
    struct message then = {0};
    struct message again = {0};
    (void)state;
    fixture_write("partials/en/bye.md", "Bye, {{word}}\r\n");
    fixture_write("n/en/email.md", "---\r\nsubject: \"Old {{word}}\"\r\npreheader: p\r\n---\r\nold words\r\n\r\n{{>bye}}\r\n");
    struct template_set *set = fixture_load();
    assert_int_equal(template_set_keep(set, archive, &err), 0);
    assert_int_equal(template_set_keep(set, archive, &err), 0);
    assert_int_equal(fixture_render(set, CHANNEL_EMAIL, "{\"word\":\"x\"}", (struct template_values){0}, &arena, &then, &err), 0);
    template_set_free(set);
    fixture_write("n/en/email.md", "---\nsubject: \"New {{word}}\"\npreheader: p\n---\nnew words\n");
    set = template_set_load_kept(archive, then.version, &err);
    assert_non_null(set);
    assert_int_equal(fixture_render(set, CHANNEL_EMAIL, "{\"word\":\"x\"}", (struct template_values){0}, &arena, &again, &err), 0);
    assert_string_equal(again.subject, "Old x");
    assert_string_equal(again.text, then.text);
    assert_string_equal(again.html, then.html);
    assert_string_equal(again.version, then.version);
    template_set_free(set);
    arena_fini(&arena);
}

static void an_unknown_or_altered_version_is_refused(void **state) {
    struct err err = {0};
    char path[400];
    (void)state;
    struct template_set *set = fixture_load();
    assert_null(template_set_load_kept(archive, template_set_version(set), &err));
    assert_int_equal(err.code, ERR_UNKNOWN);
    assert_null(template_set_load_kept(archive, "../../etc", &err));
    assert_int_equal(err.code, ERR_UNKNOWN);
    assert_int_equal(template_set_keep(set, archive, &err), 0);
    (void)snprintf(path, sizeof path, "%s/%s/n/en/sms.txt", archive, template_set_version(set));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("Other {{word}} walton.example\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_null(template_set_load_kept(archive, template_set_version(set), &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(template_set_keep(set, "/nonexistent/archive", &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    template_set_free(set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void publishing_turns_one_link_to_a_kept_version(void **state) {
    struct err err = {0};
    char live[300];
    char target[100];
    (void)state;
    struct template_set *set = template_set_load(fixture_dir, NULL, &err);
    assert_non_null(set);
    assert_int_equal(template_publish(archive, template_set_version(set), &err), -1);
    assert_int_equal(err.code, ERR_UNKNOWN);
    assert_int_equal(template_set_keep(set, archive, &err), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(template_publish(archive, template_set_version(set), &err), 0);
        (void)snprintf(live, sizeof live, "%s/" TEMPLATE_LIVE, archive);
        ssize_t n = readlink(live, target, sizeof target - 1);
        assert_int_equal(n, 64);
        target[n] = '\0';
        assert_string_equal(target, template_set_version(set));
    }
    assert_int_equal(template_publish(archive, "../../etc", &err), -1);
    template_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_kept_version_gives_the_same_bytes_after_the_words_changed),
        TEST(an_unknown_or_altered_version_is_refused),
        TEST(publishing_turns_one_link_to_a_kept_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
