/* What a set must be like to be used at all, and what a writer is told. */
#include "set_fixture.h"

static void a_good_set_loads_and_its_version_follows_its_words(void **state) {
    (void)state;
    struct template_set *a = fixture_load();
    struct template_set *b = fixture_load();
    assert_string_equal(template_set_version(a), template_set_version(b));
    fixture_write("n/en/sms.txt", "Walton: {{word}}! see walton.example/check\n");
    struct template_set *c = fixture_load();
    assert_string_not_equal(template_set_version(a), template_set_version(c));
    template_set_free(a);
    template_set_free(b);
    template_set_free(c);
}

static void a_missing_directory_is_an_error(void **state) {
    struct err err = {0};
    (void)state;
    assert_null(template_set_load("/nonexistent/words", NULL, &err));
    assert_int_equal(err.code, ERR_SYSTEM);
}

static void every_channel_must_be_there(void **state) {
    (void)state;
    fixture_remove("n/en/push.md");
    fixture_refused("n/en/push.md", 0, "missing");
}

static void a_language_the_company_asks_for_must_be_there(void **state) {
    (void)state;
    fixture_write("company.yaml", "name: W\nlocales: [en, de]\ncheck_url: https://walton.example/check\nlink_hosts: "
                                  "[walton.example]\nhow_to_check: {en: x, de: y}\n");
    fixture_refused("n/notice.yaml", 0, "no words in \"de\"");
}

#define COMPANY "name: W\ncheck_url: https://walton.example/check\nlink_hosts: [walton.example]\nhow_to_check: {en: x}\n"

static void the_login_page_names_nobody_and_speaks_every_language(void **state) {
    struct err err = {0};
    struct arena arena = ARENA_INIT;
    struct message m = {0};
    (void)state;
    struct template_set *set = fixture_load();
    assert_int_equal(template_render_login(set, "n", "en", &arena, &m, &err), 0);
    template_set_free(set);
    fixture_write("company.yaml",
                  COMPANY "login_title: {en: \"A <message> of {{company}}\"}\nlogin_text: {en: \"See {{check_url}} & read\"}\n");
    set = fixture_load();
    assert_int_equal(template_render_login(set, "n", "en-GB", &arena, &m, &err), 1);
    assert_string_equal(m.title, "A <message> of W");
    assert_string_equal(m.text, "See https://walton.example/check & read");
    assert_string_equal(m.html, "<p>See https://walton.example/check &amp; read</p>");
    assert_string_equal(m.link, "https://walton.example/check");
    template_set_free(set);
    arena_fini(&arena);
    fixture_write("company.yaml", COMPANY "login_title: {en: \"x\"}\nlogin_text: {en: \"Dear{{#name}} {{name}}{{/name}}\"}\n");
    fixture_refused("company.yaml", 0, "not signed in");
    fixture_write("company.yaml", COMPANY "login_title: {en: \"x\"}\nlogin_text: {de: y}\n");
    fixture_refused("company.yaml", 0, "login_text has nothing for \"en\"");
}

static void an_unknown_variable_is_told_with_its_line(void **state) {
    (void)state;
    fixture_write("n/en/email.md", "---\nsubject: s\n---\n\none\n\ntwo {{wrod}}\n");
    fixture_refused("n/en/email.md", 7, "unknown variable {{wrod}}");
}

static void a_variable_in_the_subject_is_told_with_its_line(void **state) {
    (void)state;
    fixture_write("n/en/email.md", "---\npreheader: p\nsubject: \"{{wrod}}\"\n---\nx {{word}}\n");
    fixture_refused("n/en/email.md", 3, "unknown variable {{wrod}}");
}

static void an_address_that_is_none_is_told_with_its_line(void **state) {
    (void)state;
    static const char *const wrong[] = {"desk", "\"{{word}}@walton.example\"", "\"Desk <desk@walton.example>\"",
                                        "d\xc3\xa9sk@walton.example"};
    static const char *const keys[] = {"from_address", "reply_to"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong * 2; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "---\nsubject: s\n%s: %s\n---\nx {{word}}\n", keys[i % 2], wrong[i / 2]);
        fixture_write("n/en/email.md", text);
        fixture_refused("n/en/email.md", 3, keys[i % 2]);
    }
}

static void an_optional_variable_needs_its_section(void **state) {
    (void)state;
    fixture_write("n/en/sms.txt", "see {{url}} {{word}}\n");
    fixture_refused("n/en/sms.txt", 1, "{{#url}}");
    fixture_write("n/en/sms.txt", "Hi {{name}} {{word}}\n");
    fixture_refused("n/en/sms.txt", 1, "{{#name}}");
    fixture_write("n/en/sms.txt", "{{word}}{{#url}} {{url}}{{/url}}{{^in_force}} {{effective_at}}{{/in_force}} walton.example\n");
    template_set_free(fixture_load());
}

static void raw_tags_and_raw_html_are_refused(void **state) {
    (void)state;
    fixture_write("n/en/sms.txt", "a\n{{{word}}}\n");
    fixture_refused("n/en/sms.txt", 2, "{{word}}");
    fixture_write("n/en/sms.txt", "{{word}} walton.example\n");
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{word}}\n\n<div>x</div>\n");
    fixture_refused("n/en/banner.md", 6, "HTML is not allowed");
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{word}}\nand <b>x</b>\n");
    fixture_refused("n/en/banner.md", 5, "HTML is not allowed");
}

static void sections_must_nest(void **state) {
    (void)state;
    fixture_write("n/en/sms.txt", "{{#url}}\nx\n");
    fixture_refused("n/en/sms.txt", 1, "never closed");
    fixture_write("n/en/sms.txt", "x{{/url}}\n");
    fixture_refused("n/en/sms.txt", 1, "never opened");
    fixture_write("n/en/sms.txt", "x\n{{#url\n");
    fixture_refused("n/en/sms.txt", 2, "never closed");
    fixture_write("n/en/sms.txt", "{{word}} walton.example\n");
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{word}}\n**a{{#url}}b** c{{/url}}\n");
    fixture_refused("n/en/banner.md", 5, "begins in one paragraph");
}

static void quotes_too_deep_for_the_text_part_are_told(void **state) {
    char text[200] = "---\ntitle: t\n---\n{{word}}\n\n";
    size_t len = strlen(text);
    (void)state;
    memset(text + len, '>', 60);
    (void)strcpy(text + len + 60, " x\n");
    fixture_write("n/en/banner.md", text);
    fixture_refused("n/en/banner.md", 6, "too deeply");
}

static void links_may_only_lead_to_allowed_hosts(void **state) {
    static const struct {
        const char *link;
        const char *told;
    } cases[] = {
        {"https://evil.example/x", "not allowed"}, {"https://bit.ly/x", "shortener"}, {"http://walton.example/", "https://"},
        {"https://{{word}}.example/", "host"},     {"{{word}}", "type url"},          {"https://walton.example/{{url}}", "whole address"},
        {"mailto:a@walton.example", "https://"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "---\ntitle: t\n---\n{{word}}{{#url}}\n[x](%s)\n{{/url}}\n", cases[i].link);
        fixture_write("n/en/banner.md", text);
        fixture_refused("n/en/banner.md", 5, cases[i].told);
    }
    fixture_write("n/en/banner.md", "---\ntitle: t\nlink_hosts: [other.example]\n---\n{{word}} [x](https://other.example/)\n");
    template_set_free(fixture_load());
}

static void a_picture_needs_words(void **state) {
    (void)state;
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{word}} ![](https://walton.example/x.png)\n");
    fixture_refused("n/en/banner.md", 4, "screen readers");
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{word}} [](https://walton.example/x)\n");
    fixture_refused("n/en/banner.md", 4, "without words");
}

static void faults_of_yaml_have_file_and_line(void **state) {
    (void)state;
    fixture_write("n/notice.yaml", "description: d\nseverity: loud\n");
    fixture_refused("n/notice.yaml", 2, "severity");
    fixture_write("n/notice.yaml",
                  "description: d\nseverity: info\nvariables:\n  - {name: word, example: x}\n  - {name: word, example: x}\n");
    fixture_refused("n/notice.yaml", 5, "exists already");
    fixture_write("n/notice.yaml", "description: d\nseverity: info\nvariables:\n  - {name: company, example: x}\n");
    fixture_refused("n/notice.yaml", 4, "exists already");
    fixture_write("n/notice.yaml", fixture_base[2].text);
    fixture_write("n/en/email.md", "---\nsubject: s\nsubjekt: x\n---\n{{word}}\n");
    fixture_refused("n/en/email.md", 3, "subjekt");
    fixture_write("n/en/email.md", "---\nsubject: s\n{{word}}\n");
    fixture_refused("n/en/email.md", 1, "never closed");
}

static void bytes_that_are_not_text_are_refused(void **state) {
    (void)state;
    fixture_write("n/en/sms.txt", "{{word}} \xff\n");
    fixture_refused("n/en/sms.txt", 0, "UTF-8");
    fixture_write("n/en/sms.txt", "{{word}}\n\xee\x80\x80\n");
    fixture_refused("n/en/sms.txt", 2, "private character");
    fixture_write("n/en/sms.txt", " \n");
    fixture_refused("n/en/sms.txt", 2, "no text");
}

static void the_shipped_words_are_good(void **state) {
    static const char *const notices[] = {"mail-password-disabled", "account-compromised", "reminder", "add-a-contact"};
    struct err err = {0};
    (void)state;
    struct template_set *set = template_set_load("templates/messages", NULL, &err);
    if (set == NULL) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < sizeof notices / sizeof *notices; i++) {
        assert_int_equal(template_has(set, notices[i]), 1);
        assert_string_equal(template_locale(set, notices[i], "de-AT"), "de");
    }
    template_set_free(set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_good_set_loads_and_its_version_follows_its_words),
        TEST(a_missing_directory_is_an_error),
        TEST(every_channel_must_be_there),
        TEST(a_language_the_company_asks_for_must_be_there),
        TEST(the_login_page_names_nobody_and_speaks_every_language),
        TEST(an_unknown_variable_is_told_with_its_line),
        TEST(a_variable_in_the_subject_is_told_with_its_line),
        TEST(an_address_that_is_none_is_told_with_its_line),
        TEST(an_optional_variable_needs_its_section),
        TEST(raw_tags_and_raw_html_are_refused),
        TEST(sections_must_nest),
        TEST(quotes_too_deep_for_the_text_part_are_told),
        TEST(links_may_only_lead_to_allowed_hosts),
        TEST(a_picture_needs_words),
        TEST(faults_of_yaml_have_file_and_line),
        TEST(bytes_that_are_not_text_are_refused),
        TEST(the_shipped_words_are_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
