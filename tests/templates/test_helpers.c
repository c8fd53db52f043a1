/* Helpers, partials, directions, lists and reset links. */
#include "set_fixture.h"

#include "base/sms_text.h"
#include "templates/reset_link.h"

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

static void numbers_and_plurals_follow_the_language(void **state) {
    (void)state;
    fixture_write("n/en/banner.md",
                  "---\ntitle: t\n---\n{{word}}{{#count}} {{count}} {{plural count | one: # order | other: # orders}}{{/count}}\n");
    struct template_set *set = fixture_load();
    assert_string_equal(render(set, CHANNEL_BANNER, "{\"word\":\"x\",\"count\":1}", (struct template_values){0}).text, "x 1 1 order");
    assert_string_equal(render(set, CHANNEL_BANNER, "{\"word\":\"x\",\"count\":12345.5}", (struct template_values){0}).text,
                        "x 12,345.5 12,345.5 orders");
    assert_string_equal(render(set, CHANNEL_BANNER, "{\"word\":\"x\",\"count\":0}", (struct template_values){0}).text, "x 0 0 orders");
    template_set_free(set);
}

static void helpers_are_checked_by_name_and_type(void **state) {
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"{{shout word}}", "there is no helper \"shout\""},
        {"{{#count}}{{plural count}}{{/count}}", "write the forms"},
        {"{{#count}}{{plural count | one: x}}{{/count}}", "\"other\" is missing"},
        {"{{#count}}{{plural count | single: x | other: y}}{{/count}}", "zero, one, two"},
        {"{{date word}}", "of type date"},
        {"{{date when}}", "may be missing"},
        {"{{#date when}}x{{/date when}}", "cannot open a section"},
        {"{{masked word other}}", "one variable"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "Walton {{word}} walton.example\n%s\n", cases[i].text);
        fixture_write("n/en/sms.txt", text);
        fixture_refused("n/en/sms.txt", 2, cases[i].told);
    }
}

static void an_address_can_be_masked(void **state) {
    (void)state;
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{masked word}}{{#when}} {{date when}}{{/when}}\n");
    struct template_set *set = fixture_load();
    struct message m = render(set, CHANNEL_BANNER, "{\"word\":\"ada.l@walton.example\",\"when\":\"2026-12-23T23:30:00Z\"}",
                              (struct template_values){.time_zone = "Asia/Tokyo"});
    assert_string_equal(m.text, "a••@walton.example December 24, 2026");
    template_set_free(set);
}

static void partials_are_put_in_when_the_set_is_loaded(void **state) {
    (void)state;
    fixture_write("partials/en/hello.md", "Hello{{#name}} {{name}}{{/name}},\n");
    fixture_write("partials/rule.md", "- from *{{word}}*\n- {{>hello}}\n");
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{>hello}} you\n\n{{>rule}}\n");
    fixture_write("n/en/sms.txt", "{{>hello}} {{word}} walton.example\n");
    struct template_set *set = fixture_load();
    struct message m = render(set, CHANNEL_BANNER, "{\"word\":\"x\"}", (struct template_values){.customer_name = "Ada"});
    assert_string_equal(m.html, "<p>Hello Ada, you</p>\n<ul>\n<li>from <em>x</em></li>\n<li>Hello Ada,</li>\n</ul>");
    assert_string_equal(render(set, CHANNEL_SMS, "{\"word\":\"x\"}", (struct template_values){0}).text, "Hello, x walton.example");
    template_set_free(set);
    fixture_write("partials/rule.md", "ok\n\n{{wrong}}\n");
    fixture_refused("partials/rule.md", 3, "unknown variable");
    fixture_write("partials/rule.md", "{{>rule}}\n");
    fixture_refused("partials/rule.md", 1, "without end");
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{>nope}}\n");
    fixture_refused("n/en/banner.md", 4, "no partial \"nope\"");
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{>../x}}\n");
    fixture_refused("n/en/banner.md", 4, "no partial");
}

static void sections_between_items_make_one_list(void **state) {
    (void)state;
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n- {{word}}\n{{#yes}}\n- yes\n{{/yes}}\n{{#items}}\n- {{.}}\n{{/items}}\n- "
                                    "end\n\nafter\n\n{{#items}}\n1. {{.}}\n{{/items}}\n");
    struct template_set *set = fixture_load();
    struct message m = render(set, CHANNEL_BANNER, "{\"word\":\"x\",\"items\":[\"a\",\"b\"]}", (struct template_values){0});
    assert_string_equal(m.html,
                        "<ul>\n<li>x</li>\n<li>a</li>\n<li>b</li>\n<li>end</li>\n</ul>\n<p>after</p>\n<ol>\n<li>a</li>\n<li>b</li>\n</ol>");
    assert_string_equal(m.text, "- x\n- a\n- b\n- end\n\nafter\n\n- a\n- b");
    m = render(set, CHANNEL_BANNER, "{\"word\":\"x\",\"yes\":true,\"items\":[]}", (struct template_values){0});
    assert_string_equal(m.html, "<ul>\n<li>x</li>\n<li>yes</li>\n<li>end</li>\n</ul>\n<p>after</p>");
    template_set_free(set);
}

static void nested_blocks_read_well_as_text(void **state) {
    (void)state;
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n## Head {{word}}\n\n> quoted\n> on\n>\n> second\n\n1. one\n2. two\n   - inner\n\n "
                                    "  more\n\n---\n\nhard  \nbreak `code`\n");
    struct template_set *set = fixture_load();
    struct message m = render(set, CHANNEL_BANNER, "{\"word\":\"x\"}", (struct template_values){0});
    assert_string_equal(m.text,
                        "Head x\n\n> quoted on\n>\n> second\n>\n1. one\n\n2. two\n\n   - inner\n   more\n\n----\n\nhard\nbreak code");
    template_set_free(set);
}

static void a_name_in_another_direction_is_isolated(void **state) {
    (void)state;
    fixture_write("n/en/banner.md", "---\ntitle: t\n---\n{{word}} [x](https://walton.example/?q={{word}})\n");
    struct template_set *set = fixture_load();
    struct message m = render(set, CHANNEL_BANNER, "{\"word\":\"\\u0622\\u062f\\u0627\"}", (struct template_values){0});
    assert_non_null(strstr(m.text, "\u2068\u0622\u062f\u0627\u2069"));
    assert_non_null(strstr(m.text, "?q=%D8%A2%D8%AF%D8%A7"));
    assert_null(strstr(render(set, CHANNEL_BANNER, "{\"word\":\"Ada\"}", (struct template_values){0}).text, "\u2068"));
    template_set_free(set);
}

static void a_reset_link_is_signed_for_its_channel(void **state) {
    struct reset_link link;
    struct err err = {0};
    (void)state;
    fixture_write("company.yaml", "name: W\ncheck_url: https://walton.example/check\nlink_hosts: [walton.example]\nhow_to_check: {en: x}\n"
                                  "reset_link: {url: https://walton.example/reset, sms: 30m}\n");
    fixture_write("n/en/sms.txt", "{{word}} walton.example{{#reset_link}} {{reset_link}}{{/reset_link}}\n");
    struct template_set *set = fixture_load();
    struct template_values values = {
        .now_ms = 1797000000000, .notice_id = "n:1", .customer_id = "C1", .reset_key = "secret", .reset_key_len = 6};
    struct message m = render(set, CHANNEL_SMS, "{\"word\":\"x\"}", values);
    const char *url = strstr(m.text, "https://");
    assert_non_null(url);
    assert_memory_equal(url, "https://walton.example/reset?n=n%3A1&c=C1&ch=sms&e=1797001800&s=", 63);
    assert_int_equal(reset_link_check(url, "secret", 6, values.now_ms, &arena, &link, &err), 0);
    assert_string_equal(link.notice_id, "n:1");
    assert_string_equal(link.channel, "sms");
    assert_int_equal(link.expires_at_ms, 1797001800000);
    assert_int_equal(reset_link_check(url, "secret", 6, 1797001800000, &arena, &link, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(reset_link_check(url, "secreT", 6, values.now_ms, &arena, &link, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    char forged[300];
    (void)snprintf(forged, sizeof forged, "%s", url);
    *strstr(forged, "C1") = 'D';
    assert_int_equal(reset_link_check(forged, "secret", 6, values.now_ms, &arena, &link, &err), -1);
    assert_int_equal(reset_link_check("https://walton.example/", "secret", 6, values.now_ms, &arena, &link, &err), -1);
    assert_int_equal(err.code, ERR_SYNTAX);
    assert_null(strstr(render(set, CHANNEL_SMS, "{\"word\":\"x\"}", (struct template_values){0}).text, "https://"));
    template_set_free(set);
}

static void check_sms(const char *text, bool ucs2, size_t units, size_t segments) {
    struct sms_count count = sms_count(text, strlen(text));
    assert_int_equal(count.ucs2, ucs2);
    assert_int_equal(count.units, units);
    assert_int_equal(count.segments, segments);
}

static void sms_segments_are_counted_as_telephones_do(void **state) {
    char text[400] = "";
    (void)state;
    check_sms("", false, 0, 0);
    check_sms("Hello \u00e9\u00df\u03a9@$", false, 11, 1);
    check_sms("\u20ac[]", false, 6, 1);
    check_sms("\u2019", true, 1, 1);
    check_sms("\U0001f600", true, 2, 1);
    memset(text, 'a', 160);
    check_sms(text, false, 160, 1);
    text[160] = 'a';
    check_sms(text, false, 161, 2);
    memset(text, 'a', 306);
    check_sms(text, false, 306, 2);
    memcpy(text + 152, "{", 1);
    check_sms(text, false, 307, 3);
    memset(text, 0, sizeof text);
    for (int i = 0; i < 34; i++) {
        (void)strcat(text, "\U0001f600");
    }
    check_sms(text, true, 68, 1);
    (void)strcat(text, "\U0001f600\u00e9x");
    check_sms(text, true, 72, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(numbers_and_plurals_follow_the_language),
        TEST(helpers_are_checked_by_name_and_type),
        TEST(an_address_can_be_masked),
        TEST(partials_are_put_in_when_the_set_is_loaded),
        TEST(sections_between_items_make_one_list),
        TEST(nested_blocks_read_well_as_text),
        TEST(a_name_in_another_direction_is_isolated),
        TEST(a_reset_link_is_signed_for_its_channel),
        TEST(sms_segments_are_counted_as_telephones_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
