/* Broken files of every kind: a set is loaded or refused with a finding, and nothing else happens. A fixed sequence of mutations, so a
 * failure comes again; run it under the sanitizers. */
#include "set_fixture.h"

enum { ROUNDS = 800, FILE_MAX_BYTES = 4096 };

static uint64_t seed = 0x9e3779b97f4a7c15ULL;

static uint64_t next(uint64_t n) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static const char *const pieces[] = {"{{",
                                     "}}",
                                     "{{#word}}",
                                     "{{/word}}",
                                     "{{^url}}",
                                     "{{/url}}",
                                     "{{{word}}}",
                                     "{{>x}}",
                                     "{{=<% %>=}}",
                                     "{{!",
                                     "---\n",
                                     "\n",
                                     "\n\n",
                                     "  ",
                                     "\t",
                                     "*",
                                     "**",
                                     "_",
                                     "`",
                                     "```\n",
                                     "[",
                                     "](",
                                     ")",
                                     "![",
                                     "<",
                                     ">",
                                     "- ",
                                     "1. ",
                                     "> ",
                                     "#",
                                     "&",
                                     "\\",
                                     "{{.}}",
                                     "{{#items}}",
                                     "{{/items}}",
                                     "{{date when}}",
                                     "{{plural count | one: # | other: x}}",
                                     "https://",
                                     "walton.example",
                                     "subject: ",
                                     "title: x\n",
                                     "\"",
                                     "'",
                                     ": ",
                                     "[a, b]",
                                     "{a: b}",
                                     "&a ",
                                     "*a",
                                     "!!x ",
                                     "\xff",
                                     "\xc3",
                                     "\xee\x80\x80",
                                     "\xe2\x80\x8b",
                                     "\r\n",
                                     "\r",
                                     "| ",
                                     "%",
                                     "example: ",
                                     "name: ",
                                     "type: list\n"};

/* Everything that Markdown and Mustache can do here, in one text. */
static const struct fixture_file rich = {
    "n/en/banner.md",
    "---\ntitle: \"{{word}}\"\nlink: \"{{check_url}}\"\nlink_hosts: [other.example]\n---\n# Head {{word}}\n\n{{#yes}}\n- a *{{word}}*\n  - "
    "b\n{{/yes}}\n{{#items}}\n- {{.}}\n"
    "{{/items}}\n- z\n\n> quote {{#url}}[go]({{url}}){{/url}}\n\n[x](https://other.example/?q={{word}}) ![p](https://walton.example/i) `c "
    "{{word}}`\n\n1. one\n\n   more\n\n---\n\n"
    "{{#when}}{{date when}}{{/when}}{{#count}}{{plural count | one: # | other: #s}}{{/count}}{{^in_force}}{{effective_at}}{{/in_force}}\n"};

/* Cuts, doubles or inserts at random places. */
static void mutate(const char *good, char out[FILE_MAX_BYTES]) {
    size_t len = strlen(good);
    memcpy(out, good, len + 1);
    for (uint64_t i = 1 + next(6); i > 0; i--) {
        size_t at = len == 0 ? 0 : (size_t)next(len + 1);
        size_t cut = (size_t)next(next(4) == 0 ? len - at + 1 : 4);
        const char *piece = next(4) == 0 ? "" : pieces[next(sizeof pieces / sizeof *pieces)];
        size_t add = strlen(piece);
        cut = cut > len - at ? len - at : cut;
        if (len - cut + add >= FILE_MAX_BYTES) {
            continue;
        }
        memmove(out + at + add, out + at + cut, len - at - cut + 1);
        memcpy(out + at, piece, add);
        len = len - cut + add;
    }
}

static void render_all(const struct template_set *set) {
    json_t *data = json_loads("{\"word\":\"w\",\"url\":\"https://walton.example/"
                              "\",\"items\":[\"a\",\"b\"],\"when\":\"2026-12-23T18:00:00Z\",\"count\":2,\"yes\":true}",
                              0, NULL);
    struct template_values values = {.data = data, .customer_name = "Ada", .now_ms = 1};
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        struct arena arena = ARENA_INIT;
        struct message m = {0};
        struct err err = {0};
        int rc = template_render(set, "n", "en", (enum channel_id)channel, &values, &arena, &m, &err);
        assert_true(rc == 0 ? m.text != NULL : err.text[0] != '\0');
        arena_fini(&arena);
    }
    json_decref(data);
}

static void garbage_is_refused_with_a_finding(void **state) {
    int loaded = 0;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        const struct fixture_file *file = next(3) == 0 ? &rich : &fixture_base[next(sizeof fixture_base / sizeof *fixture_base)];
        char text[FILE_MAX_BYTES];
        struct err err = {0};
        struct template_report report = {0};
        mutate(file->text, text);
        fixture_write(file->path, text);
        struct template_set *set = template_set_load(fixture_dir, &report, &err);
        assert_true(set != NULL || (report.n_errors > 0 && err.text[0] != '\0'));
        if (set != NULL) {
            loaded++;
            render_all(set);
        }
        template_set_free(set);
        template_report_fini(&report);
        fixture_write(file->path, file->text);
    }
    print_message("%d of %d mutated sets were still good\n", loaded, ROUNDS);
    assert_true(loaded > 0 && loaded < ROUNDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(garbage_is_refused_with_a_finding, fixture_setup, fixture_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
