/* More than 10,000 hostile values through every channel: none may add an element, an attribute, a link, a line, a header or a placeholder.
 *
 * With --dump FILE the messages are written as NDJSON for the test that parses them back with other people's parsers
 * (test_parse_back.sh); with --dump and a number only every nth. */
#include "set_fixture.h"

#include "base/text.h"
#include "channels/mime.h"

#include <ctype.h>

enum { VALUE_MAX = 600 };

/* {{word}} wherever a writer can put it. */
static const struct fixture_file places[] = {
    {"n/en/email.md",
     "---\nsubject: \"About {{word}} today\"\npreheader: \"Of {{word}}\"\nfrom: \"Walton {{word}}\"\n---\n"
     "# Head {{word}}\n\nHello{{#name}} {{name}}{{/name}}, {{word}} *soft {{word}}* **hard {{word}}** `code {{word}}`\n\n"
     "- item {{word}}\n{{#items}}\n- {{.}}\n{{/items}}\n\n> quote {{word}}\n\n[words {{word}}](https://walton.example/?q={{word}}&r=1) "
     "![picture {{word}}](https://walton.example/i.png?{{word}})\n\n[button {{word}}](https://walton.example/{{word}})\n"},
    {"n/en/sms.txt", "Walton: {{word}} see walton.example/check\n"},
    {"n/en/push.md", "---\ntitle: \"T {{word}}\"\nlink: \"https://walton.example/?q={{word}}\"\n---\nPush {{word}} walton.example\n"},
    {"n/en/banner.md", "---\ntitle: \"T {{word}}\"\n---\nBanner {{word}} [x {{word}}](https://walton.example/{{word}}#a)\n"},
};

static struct template_set *set;
static FILE *dump;
static size_t every = 1;
static size_t n_values;
static size_t n_refused;

/* ---- looking at messages ------------------------------------------------------------------------------------------- */
/* The elements of an HTML text with the names of their attributes, one a line. Values of attributes must be quoted and hold no quote. */
static void skeleton(const char *html, struct buf *out) {
    for (const char *p = strchr(html, '<'); p != NULL; p = strchr(p, '<')) {
        bool quoted = false;
        for (; *p != '\0' && (quoted || *p != '>'); p++) {
            if (*p == '"') {
                quoted = !quoted;
            }
            if (!quoted) {
                buf_putc(out, *p);
            }
        }
        buf_putc(out, '\n');
    }
}

static size_t count_lines(const char *text) {
    size_t n = 1;
    for (; *text != '\0'; text++) {
        n += *text == '\n';
    }
    return n;
}

/* A thing that a mail program or a telephone would make a link of, outside the addresses that the template itself shows. */
static bool has_foreign_link(const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        bool joins = *p == '.' && p > text && isalnum((unsigned char)p[-1]) && isalpha((unsigned char)p[1]);
        bool ours = p - text >= 6 && strncmp(p - 6, "walton.example", 14) == 0;
        bool file = p - text >= 1 && strncmp(p - 1, "i.png", 5) == 0;
        if (joins && !ours && !file) {
            return true;
        }
        if (strncmp(p, "://", 3) == 0 && strncmp(p, "://walton.example", 17) != 0 && p[3] != ' ' && p[3] != '\0') {
            return true;
        }
    }
    return false;
}

static bool is_one_line(const char *text) {
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

/* What every value must leave as it is. */
struct shape {
    char *html[CHANNEL_COUNT];
    size_t lines[CHANNEL_COUNT];
};

static struct shape harmless;

static char *html_shape(const struct message *message) {
    struct buf out = BUF_INIT;
    if (message->html != NULL) {
        skeleton(message->html, &out);
    }
    return buf_take(&out);
}

static void check(const char *value, enum channel_id channel, const struct message *m) {
    const char *const heads[] = {m->subject, m->preheader, m->from_name, m->title, m->link};
    char *html = html_shape(m);
    const char *fault = NULL;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        fault = heads[i] != NULL && !is_one_line(heads[i]) ? "a header has a line break" : fault;
        fault = heads[i] != NULL && has_foreign_link(heads[i]) ? "a header has a link" : fault;
    }
    fault = !text_is_utf8(m->text, strlen(m->text)) ? "broken UTF-8" : fault;
    fault = strcmp(html == NULL ? "" : html, harmless.html[channel] == NULL ? "" : harmless.html[channel]) != 0
                ? "the HTML has another shape"
                : fault;
    fault = count_lines(m->text) != harmless.lines[channel] ? "the text has other lines" : fault;
    fault = has_foreign_link(m->text) ? "the text has a link" : fault;
    free(html);
    if (fault != NULL) {
        fail_msg("%s, channel %d, value \"%s\":\n%s\n%s", fault, (int)channel, value, m->text, m->html == NULL ? "" : m->html);
    }
}

/* The mail as it would go out, or NULL for another channel. */
static const char *compose(const struct message *words, struct buf *out) {
    static const struct mime_sender sender = {.from_address = "security@walton.example", .from_name = "Walton"};
    struct message m = *words;
    struct err err = {0};
    m.key = "0123456789abcdef";
    m.to = "ada@example.org";
    m.created_at_ms = 1798000000000;
    if (m.subject == NULL) {
        return NULL;
    }
    if (mime_compose(&m, &sender, out, &err) < 0) {
        fail_msg("no mail: %s", err.text);
    }
    return buf_str(out);
}

static void dump_message(const char *value, enum channel_id channel, const struct message *m) {
    struct buf mail = BUF_INIT;
    json_t *line = json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s, s:s?, s:s?, s:s?}", "value", value, "channel",
                             channel_traits(channel)->name, "subject", m->subject, "preheader", m->preheader, "from", m->from_name, "title",
                             m->title, "text", m->text, "html", m->html, "link", m->link, "mail", compose(m, &mail));
    assert_non_null(line);
    assert_int_equal(json_dumpf(line, dump, JSON_COMPACT), 0);
    assert_true(fputc('\n', dump) != EOF);
    json_decref(line);
    buf_fini(&mail);
}

static int render(const char *value, enum channel_id channel, struct arena *arena, struct message *m, struct err *err) {
    json_t *data = json_pack("{s:s, s:[s]}", "word", value, "items", value);
    assert_non_null(data);
    struct template_values values = {.data = data, .customer_name = value, .account = value};
    int rc = template_render(set, "n", "en", channel, &values, arena, m, err);
    json_decref(data);
    return rc;
}

static void try_value(const char *value) {
    bool dumped = n_values++ % every == 0;
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        struct arena arena = ARENA_INIT;
        struct message m = {0};
        struct err err = {0};
        if (render(value, (enum channel_id)channel, &arena, &m, &err) == 0) {
            if (dump == NULL) {
                check(value, (enum channel_id)channel, &m);
            } else if (dumped) {
                dump_message(value, (enum channel_id)channel, &m);
            }
        } else {
            assert_int_equal(err.code, ERR_MEMBER); /* nothing but blanks and invisible characters: missing */
            assert_string_equal(err.member, "data.word");
            n_refused++;
        }
        arena_fini(&arena);
    }
}

/* ---- values -------------------------------------------------------------------------------------------------------- */
static const char *const attacks[] = {
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<a href=\"https://evil.example\">x</a>",
    "</p></td></table><h1>x",
    "<!-- x",
    "]]>",
    "<![CDATA[x",
    "\" onmouseover=\"alert(1)",
    "' onfocus='x",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "&amp;",
    "<b",
    "<",
    ">",
    "</style><style>*{display:none}",
    "<base href=//evil.example>",
    "<svg/onload=x>",
    "*bold*",
    "**bold**",
    "_em_",
    "`code`",
    "```\ncode\n```",
    "# Heading",
    "\n# Heading",
    "- item",
    "\n- item\n- item",
    "1. one",
    "> quote",
    "---",
    "\n\n---\n\n",
    "[x](https://evil.example)",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/i.png)",
    "<https://evil.example>",
    "[x]: https://evil.example",
    "](https://evil.example)",
    ")[x](https://evil.example",
    "\\",
    "\\\n",
    "  \nx",
    "    indented",
    "| a | b |\n|---|---|",
    "~~x~~",
    "&nbsp;",
    "&#x1F600;",
    "{{word}}",
    "{{{word}}}",
    "{{&word}}",
    "{{#word}}x{{/word}}",
    "{{^word}}",
    "{{>greeting}}",
    "{{=<% %>=}}",
    "{{!",
    "}}",
    "{{",
    "{{reset_link}}",
    "${x}",
    "%s%n",
    "<%= x %>",
    "{{/in_force}}",
    "a\r\nBcc: victim@evil.example",
    "a\nBcc: x",
    "a\rBcc: x",
    "a\r\n\r\n<h1>body</h1>",
    "\r\n.\r\nMAIL FROM:<x>",
    "a\u2028Bcc: x",
    "a\xc2\x85 b",
    "\vx\fy",
    "=?UTF-8?B?eA==?=",
    "a\tb",
    "\u202Egnp.exe",
    "\u2066x\u2069",
    "\u200fx",
    "\u061c",
    "a\u202db\u202ec",
    "\u2067",
    "\u2069\u2069",
    "e\u200bvil",
    "\u200bx",
    "\ufeffx",
    "\u2060",
    "\u00adx\u00ad",
    "\u034fx",
    "\u180e",
    "\u3164x",
    "\uffa0",
    "https://evil.example/x",
    "http://evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "//evil.example",
    "www.evil.example",
    "evil.example",
    "evil.com/path?x=y",
    "me@evil.example",
    "mailto:me@evil.example",
    "tel:+44123456",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil\u3002com",
    "evil\uff0ecom",
    "evil\uff61com",
    "xn--e1awd7f.com",
    "\u0435vil.com",
    "hxxp://evil.com",
    "ftp://evil.com",
    "http:evil.com",
    "http:/evil.com",
    "\\\\evil.com\\share",
    "http:\\\\evil.com",
    "1.2.3.4",
    "http://1.2.3.4/",
    "[::1]",
    "a.b.c.d.e",
    "evil.co.uk",
    "user:pass@evil.com",
    "../../etc/passwd",
    "?x=y#z",
    "%0d%0aBcc:x",
    "%3Cscript%3E",
    "/",
    "https://walton.example@evil.com",
    "https://walton.example.evil.com",
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7.com",
    "evil.\xd0\xba\xd0\xbe\xd0\xbc",
    "\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95",
    "foo.museum",
    "x.y",
};

static const char *const wraps[] = {"%s",     "a%s",  "%sb",       "a %s b", "%s%s", "\"%s",   "'%s'",     "<%s>",
                                    "(%s)",   "[%s]", "{{%s}}",    "*%s*",   "\n%s", "%s\n\n", "\u200b%s", "\u202e%s\u202c",
                                    "Ada %s", "%s.",  "http://%s", "x@%s",   ".%s"};

static void try_attacks(void) {
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        for (size_t k = 0; k < sizeof wraps / sizeof *wraps; k++) {
            char value[VALUE_MAX] = "";
            size_t len = 0;
            for (const char *p = wraps[k]; *p != '\0' && len < sizeof value - 200; p++) {
                if (p[0] == '%' && p[1] == 's') {
                    len += (size_t)snprintf(value + len, sizeof value - len, "%s", attacks[i]);
                    p++;
                } else {
                    value[len++] = *p;
                }
            }
            value[len] = '\0';
            try_value(value);
        }
    }
}

static size_t put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)((0xf00U >> n) | c);
    return n;
}

/* Each character of the first planes' beginnings, then one in 61 of all: every block of Unicode is met. */
static void try_characters(void) {
    for (uint32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 61) {
        char value[64];
        size_t len = 0;
        if (c >= 0xd800 && c < 0xe000) {
            continue;
        }
        value[len++] = 'a';
        len += put_utf8(value + len, c);
        memcpy(value + len, "b.evil", 6);
        len += 6;
        len += put_utf8(value + len, c);
        memcpy(value + len, "com", 4);
        try_value(value);
    }
}

/* A fixed sequence of pseudo-random pieces of the attacks (xorshift). */
static void try_mixtures(void) {
    uint64_t x = 88172645463325252ULL;
    for (int i = 0; i < 4000; i++) {
        char value[VALUE_MAX] = "";
        size_t len = 0;
        for (int k = 0; k < 4; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            const char *piece = attacks[x % (sizeof attacks / sizeof *attacks)];
            len += (size_t)snprintf(value + len, sizeof value - len, "%s%s", piece, (x >> 40 & 1) != 0 ? " " : "");
        }
        try_value(value);
    }
}

/* ---- the test ------------------------------------------------------------------------------------------------------ */
/* The layout that goes out. */
static void use_shipped_layout(void) {
    static char layout[16384];
    FILE *file = fopen("templates/messages/layout.html", "re");
    assert_non_null(file);
    layout[fread(layout, 1, sizeof layout - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    fixture_write("layout.html", layout);
}

static void prepare(void) {
    use_shipped_layout();
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        fixture_write(places[i].path, places[i].text);
    }
    set = fixture_load();
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        struct arena arena = ARENA_INIT;
        struct message m = {0};
        struct err err = {0};
        assert_int_equal(render("harmless", (enum channel_id)channel, &arena, &m, &err), 0);
        harmless.html[channel] = html_shape(&m);
        harmless.lines[channel] = count_lines(m.text);
        arena_fini(&arena);
    }
}

static void no_value_changes_the_shape_of_a_message(void **state) {
    (void)state;
    prepare();
    try_value("harmless");
    try_attacks();
    try_characters();
    try_mixtures();
    print_message("%zu values, %zu of them messages refused as empty\n", n_values, n_refused);
    assert_true(n_values >= 10000);
    assert_true(n_refused < n_values / 20);
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        free(harmless.html[channel]);
    }
    template_set_free(set);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_value_changes_the_shape_of_a_message, fixture_setup, fixture_teardown)};
    if (argc >= 3 && strcmp(argv[1], "--dump") == 0) {
        dump = fopen(argv[2], "we");
        every = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
        if (dump == NULL || every == 0) {
            return 2;
        }
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    return dump != NULL && fclose(dump) != 0 ? 2 : rc;
}
