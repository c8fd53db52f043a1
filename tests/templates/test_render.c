/* Values in, messages out. */
#include "set_fixture.h"

static struct arena arena;

static int setup(void **state) {
    arena = ARENA_INIT;
    return fixture_setup(state);
}

static int teardown(void **state) {
    arena_fini(&arena);
    return fixture_teardown(state);
}

static struct message render(struct template_set *set, enum channel_id channel, const char *data, struct template_values values) {
    struct message message = {0};
    struct err err = {0};
    if (fixture_render(set, channel, data, values, &arena, &message, &err) < 0) {
        fail_msg("not rendered: %s", err.text);
    }
    return message;
}

static void refused(struct template_set *set, enum channel_id channel, const char *data, enum err_code code, const char *member) {
    struct message message = {0};
    struct err err = {0};
    struct template_values values = {0};
    assert_int_equal(fixture_render(set, channel, data, values, &arena, &message, &err), -1);
    assert_int_equal(err.code, code);
    assert_string_equal(err.member, member);
    assert_null(message.text);
}

static void a_mail_has_all_its_parts(void **state) {
    (void)state;
    struct template_set *set = fixture_load();
    struct message m = render(set, CHANNEL_EMAIL, "{\"word\":\"you\"}", (struct template_values){0});
    assert_string_equal(m.subject, "About you");
    assert_string_equal(m.text, "Hello you\n\n--\nType walton.example/check yourself.");
    assert_non_null(strstr(m.html, "<html lang=\"en\" dir=\"ltr\"><title>About you</title><p"));
    assert_non_null(strstr(m.html, ">Hello you</p>"));
    assert_non_null(strstr(m.html, "<footer>Type walton.example/check yourself.</footer>"));
    assert_string_equal(m.notice, "n");
    assert_string_equal(m.severity, "info");
    assert_string_equal(m.locale, "en");
    assert_string_equal(m.dir, "ltr");
    assert_int_equal(strlen(m.version), 64);
    template_set_free(set);
}

static void the_sender_and_where_answers_go_are_the_words_own(void **state) {
    (void)state;
    fixture_write("n/en/email.md", "---\nsubject: s\nfrom: Walton Security\nfrom_address: security@walton.example\n"
                                   "reply_to: desk@walton.example\n---\nHello {{word}}\n");
    struct template_set *set = fixture_load();
    struct message m = render(set, CHANNEL_EMAIL, "{\"word\":\"you\"}", (struct template_values){0});
    assert_string_equal(m.from_name, "Walton Security");
    assert_string_equal(m.from_address, "security@walton.example");
    assert_string_equal(m.reply_to, "desk@walton.example");
    m = render(set, CHANNEL_BANNER, "{\"word\":\"you\"}", (struct template_values){0});
    assert_null(m.from_address);
    assert_null(m.reply_to);
    template_set_free(set);
}

static void a_value_never_becomes_markup_in_any_channel(void **state) {
    (void)state;
    struct template_set *set = fixture_load();
    const char *data = "{\"word\":\"<b>*x*</b> [y](z) {{url}} \\\"'&\\r\\nBcc: q\"}";
    const char *plain = "<b>*x*</b> [y](z) {{url}} \"'&  Bcc: q";
    const char *html = "&lt;b&gt;*x*&lt;/b&gt; [y](z) {{url}} &quot;&#39;&amp;  Bcc: q";
    struct message m = render(set, CHANNEL_EMAIL, data, (struct template_values){0});
    assert_string_equal(m.subject + 6, plain);
    assert_memory_equal(m.text + 6, plain, strlen(plain));
    assert_non_null(strstr(m.html, html));
    assert_null(strstr(m.html, "<b>"));
    assert_null(strstr(m.html, "<em>"));
    m = render(set, CHANNEL_SMS, data, (struct template_values){0});
    assert_non_null(strstr(m.text, plain));
    m = render(set, CHANNEL_PUSH, data, (struct template_values){0});
    assert_string_equal(m.title, plain);
    m = render(set, CHANNEL_BANNER, data, (struct template_values){0});
    assert_non_null(strstr(m.html, html));
    assert_string_equal(m.title, plain);
    template_set_free(set);
}

static void a_missing_value_is_an_error_that_names_it(void **state) {
    (void)state;
    struct template_set *set = fixture_load();
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        refused(set, (enum channel_id)channel, "{}", ERR_MEMBER, "data.word");
        refused(set, (enum channel_id)channel, "{\"word\":null}", ERR_MEMBER, "data.word");
        refused(set, (enum channel_id)channel, "{\"word\":\"\"}", ERR_MEMBER, "data.word");
        refused(set, (enum channel_id)channel, "{\"word\":\" \\u200b\"}", ERR_MEMBER, "data.word");
    }
    template_set_free(set);
}

static void a_value_of_the_wrong_type_is_refused(void **state) {
    (void)state;
    struct template_set *set = fixture_load();
    refused(set, CHANNEL_SMS, "{\"word\":7}", ERR_MEMBER, "data.word");
    refused(set, CHANNEL_SMS, "{\"word\":\"x\",\"when\":\"tomorrow\"}", ERR_MEMBER, "data.when");
    refused(set, CHANNEL_SMS, "{\"word\":\"x\",\"count\":\"3\"}", ERR_MEMBER, "data.count");
    refused(set, CHANNEL_SMS, "{\"word\":\"x\",\"yes\":1}", ERR_MEMBER, "data.yes");
    refused(set, CHANNEL_SMS, "{\"word\":\"x\",\"items\":[1]}", ERR_MEMBER, "data.items");
    refused(set, CHANNEL_SMS, "{\"word\":\"x\",\"items\":\"a\"}", ERR_MEMBER, "data.items");
    template_set_free(set);
}

static void an_address_may_only_lead_to_an_allowed_host(void **state) {
    static const char *const bad[] = {"http://walton.example/",
                                      "https://evil.example/",
                                      "https://walton.example@evil.example/",
                                      "https://walton.example:8443/",
                                      "https://walton.example.evil.example/",
                                      "javascript:alert(1)",
                                      "https://walton.example/\\\"><b>",
                                      "https://walton.example/a b",
                                      "https://walton.example/\\u00e9",
                                      "//walton.example/",
                                      ""};
    (void)state;
    struct template_set *set = fixture_load();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char data[200];
        (void)snprintf(data, sizeof data, "{\"word\":\"x\",\"url\":\"%s\"}", bad[i]);
        refused(set, CHANNEL_EMAIL, data, ERR_MEMBER, "data.url");
    }
    (void)render(set, CHANNEL_EMAIL, "{\"word\":\"x\",\"url\":\"https://Walton.example/a?b=c&d#e\"}", (struct template_values){0});
    template_set_free(set);
}

static void unknown_notices_and_languages_are_told_apart(void **state) {
    (void)state;
    struct template_set *set = fixture_load();
    struct template_values values = {0};
    struct message m = {0};
    struct err err = {0};
    assert_int_equal(template_render(set, "nope", "en", CHANNEL_SMS, &values, &arena, &m, &err), -1);
    assert_int_equal(err.code, ERR_UNKNOWN);
    assert_string_equal(err.member, "notice");
    assert_int_equal(template_render(set, "n", "tlh", CHANNEL_SMS, &values, &arena, &m, &err), -1);
    assert_int_equal(err.code, ERR_UNKNOWN);
    assert_string_equal(err.member, "customer.locale");
    assert_int_equal(template_has(set, "n"), 1);
    assert_int_equal(template_has(set, "nope"), 0);
    template_set_free(set);
}

static void copy_locale(const char *locale) {
    static const char *const files[] = {"email.md", "sms.txt", "push.md", "banner.md"};
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "n/%s/%s", locale, files[i]);
        fixture_write(path, fixture_base[3 + i].text);
    }
}

static void the_nearest_locale_of_the_language_is_used(void **state) {
    (void)state;
    copy_locale("de-AT");
    copy_locale("ar");
    struct template_set *set = fixture_load();
    assert_string_equal(template_locale(set, "n", "en-GB"), "en");
    assert_string_equal(template_locale(set, "n", "EN"), "en");
    assert_string_equal(template_locale(set, "n", "de-AT"), "de-AT");
    assert_string_equal(template_locale(set, "n", "de"), "de-AT");
    assert_string_equal(template_locale(set, "n", "de-CH-1996"), "de-AT");
    assert_string_equal(template_locale(set, "n", NULL), "en");
    assert_string_equal(template_locale(set, "n", "en_US"), "en");
    assert_null(template_locale(set, "n", "fr-FR"));
    assert_null(template_locale(set, "n", "e"));
    struct message m = {0};
    struct err err = {0};
    json_t *data = json_pack("{s:s}", "word", "x");
    struct template_values values = {.data = data};
    assert_int_equal(template_render(set, "n", "ar-EG", CHANNEL_EMAIL, &values, &arena, &m, &err), 0);
    assert_string_equal(m.dir, "rtl");
    assert_non_null(strstr(m.html, "lang=\"ar\" dir=\"rtl\""));
    json_decref(data);
    template_set_free(set);
}

static void built_in_values_are_masked_and_written_for_the_reader(void **state) {
    (void)state;
    fixture_write(
        "n/en/push.md",
        "---\ntitle: t\n---\n{{word}}{{#name}} {{name}}{{/name}}{{#account}} {{account}}{{/account}}{{#effective_at}} "
        "{{effective_at}}|{{date effective_at}}|"
        "{{time effective_at}}{{/effective_at}}{{#in_force}} now{{/in_force}}{{^in_force}} later{{/in_force}} {{company}} {{check_url}}\n");
    struct template_set *set = fixture_load();
    struct template_values values = {.customer_name = "Ada",
                                     .account = "ada@walton.example",
                                     .time_zone = "Europe/Berlin",
                                     .effective_at_ms = 1798048800000,
                                     .now_ms = 1797000000000};
    struct message m = render(set, CHANNEL_PUSH, "{\"word\":\"x\"}", values);
    assert_string_equal(m.text, "x Ada a••@walton.example December 23, 2026 at 7:00 PM GMT+1|December 23, 2026|7:00 PM GMT+1 later Walton "
                                "https://walton.example/check");
    m = render(set, CHANNEL_PUSH, "{\"word\":\"x\"}", (struct template_values){0});
    assert_string_equal(m.text, "x now Walton https://walton.example/check");
    values = (struct template_values){.customer_name = "evil.com pays"};
    m = render(set, CHANNEL_PUSH, "{\"word\":\"x\"}", values);
    assert_string_equal(m.text, "x now Walton https://walton.example/check");
    template_set_free(set);
}

static void sections_lists_and_flags_work_in_markdown(void **state) {
    (void)state;
    fixture_write(
        "n/en/banner.md",
        "---\ntitle: T\n---\n{{#yes}}\n# Head\n\n{{/yes}}\n{{word}} **{{word}}**{{#count}} {{count}}{{/count}}\n\n{{#items}}\n- item "
        "*{{.}}*\n{{/items}}\n\n"
        "{{#url}}\n[go & see]({{url}})\n{{/url}}\n{{^url}}\nnowhere\n{{/url}}\n\nsee [help](https://walton.example/h?q={{word}}&b=1)\n");
    struct template_set *set = fixture_load();
    struct message m =
        render(set, CHANNEL_BANNER,
               "{\"word\":\"a/b\",\"yes\":true,\"items\":[\"<i>\",\"q.example\"],\"url\":\"https://walton.example/?a&b\",\"count\":3}",
               (struct template_values){0});
    assert_non_null(strstr(m.html, "<h1>Head</h1>"));
    assert_non_null(strstr(m.html, "<p>a/b <strong>a/b</strong> 3</p>"));
    assert_non_null(strstr(m.html, "<li>item <em>&lt;i&gt;</em></li>"));
    assert_non_null(strstr(m.html, "q. example"));
    assert_non_null(strstr(m.html, "<a href=\"https://walton.example/?a&amp;b\">go &amp; see</a>"));
    assert_non_null(strstr(m.html, "href=\"https://walton.example/h?q=a%2Fb&amp;b=1\""));
    assert_null(strstr(m.html, "nowhere"));
    assert_non_null(strstr(m.text, "go & see: https://walton.example/?a&b\n"));
    assert_non_null(strstr(m.text, "- item <i>\n"));
    m = render(set, CHANNEL_BANNER, "{\"word\":\"w\"}", (struct template_values){0});
    assert_null(strstr(m.html, "<h1>"));
    assert_non_null(strstr(m.html, "<p>nowhere</p>"));
    assert_string_equal(m.text, "w w\n\nnowhere\n\nsee help: https://walton.example/h?q=w&b=1");
    template_set_free(set);
}

static void a_message_too_long_for_its_channel_is_refused(void **state) {
    (void)state;
    struct template_set *set = fixture_load();
    char data[2100];
    char word[1801];
    memset(word, 'x', 1800);
    word[1800] = '\0';
    (void)snprintf(data, sizeof data, "{\"word\":\"%s\"}", word);
    refused(set, CHANNEL_SMS, data, ERR_LIMIT, "");
    (void)render(set, CHANNEL_BANNER, "{\"word\":\"x\"}", (struct template_values){0});
    template_set_free(set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_mail_has_all_its_parts),
        TEST(the_sender_and_where_answers_go_are_the_words_own),
        TEST(a_value_never_becomes_markup_in_any_channel),
        TEST(a_missing_value_is_an_error_that_names_it),
        TEST(a_value_of_the_wrong_type_is_refused),
        TEST(an_address_may_only_lead_to_an_allowed_host),
        TEST(unknown_notices_and_languages_are_told_apart),
        TEST(the_nearest_locale_of_the_language_is_used),
        TEST(built_in_values_are_masked_and_written_for_the_reader),
        TEST(sections_lists_and_flags_work_in_markdown),
        TEST(a_message_too_long_for_its_channel_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
