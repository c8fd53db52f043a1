/* test_conf: the configuration engine against a table of its own that has one row of every type.
 *
 * The bad inputs are a table: text in, the whole error line out, because an operator sees nothing else. */
#include "base/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a table with everything ---------------------------------------------------------------------------------------- */

struct smtp {
    struct conf_where where;
    const char *host;
    int64_t port;
};

struct http {
    const char *url;
    struct conf_pairs headers;
    const char *body;
};

struct gateway {
    struct conf_where where;
    const char *name;
    const char *driver;
    void *settings;
};

struct inner {
    const char *address;
    int64_t batch;
};

struct everything {
    struct conf_where where;
    bool on;
    int64_t count;
    int64_t offset;
    int64_t room;
    int64_t wait_ms;
    const char *words;
    const char *path;
    int64_t level;
    const char *token;
    struct conf_strings names;
    struct inner redis;
    struct conf_list gateways;
};

static const struct conf_key smtp_keys[] = {
    {.name = "host", .type = CONF_STRING, .offset = offsetof(struct smtp, host), .required = true, .help = "where to"},
    {.name = "port", .type = CONF_INT, .offset = offsetof(struct smtp, port), .initial = "587", .min = 1, .max = 65535, .help = "port"},
};

static int check_smtp(void *object, struct err *err) {
    const struct smtp *smtp = object;
    return smtp->port == 25 ? err_member(err, "port", "port 25 is for relays between servers (use 587)") : 0;
}

static const struct conf_table smtp_table = {"smtp", smtp_keys, 2, sizeof(struct smtp), offsetof(struct smtp, where), check_smtp};

static const struct conf_key http_keys[] = {
    {.name = "url", .type = CONF_STRING, .offset = offsetof(struct http, url), .required = true, .help = "https URL"},
    {.name = "headers", .type = CONF_PAIRS, .offset = offsetof(struct http, headers), .help = "more headers"},
    {.name = "body", .type = CONF_STRING, .offset = offsetof(struct http, body), .help = "body"},
};
static const struct conf_table http_table = {"http", http_keys, 3, sizeof(struct http), SIZE_MAX, NULL};
static const struct conf_table null_table = {"null", NULL, 0, 0, SIZE_MAX, NULL};

static const struct conf_table *driver_table(const char *name) {
    return strcmp(name, "smtp") == 0   ? &smtp_table
           : strcmp(name, "http") == 0 ? &http_table
           : strcmp(name, "null") == 0 ? &null_table
                                       : NULL;
}

static const struct conf_key gateway_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = offsetof(struct gateway, name), .required = true, .help = "its name"},
    {.name = "driver", .type = CONF_STRING, .offset = offsetof(struct gateway, driver), .required = true, .help = "smtp, http or null"},
    {.type = CONF_VARIANT,
     .offset = offsetof(struct gateway, settings),
     .variant = driver_table,
     .variant_key = "driver",
     .variant_names = "smtp, http, null"},
};
static const struct conf_table gateway_table = {"gateway", gateway_keys, 3, sizeof(struct gateway), offsetof(struct gateway, where), NULL};

static const struct conf_key inner_keys[] = {
    {.name = "address", .type = CONF_STRING, .offset = offsetof(struct inner, address), .initial = "127.0.0.1:6379", .help = "where"},
    {.name = "batch",
     .type = CONF_INT,
     .offset = offsetof(struct inner, batch),
     .initial = "512",
     .min = 1,
     .max = 4096,
     .help = "how many"},
};
static const struct conf_table inner_table = {"redis", inner_keys, 2, sizeof(struct inner), SIZE_MAX, NULL};

static const char *const levels[] = {"low", "middle", "high", NULL};
static const struct conf_key keys[] = {
    {.name = "on", .type = CONF_BOOL, .offset = offsetof(struct everything, on), .initial = "true", .help = "a switch"},
    {.name = "count", .type = CONF_INT, .offset = offsetof(struct everything, count), .initial = "7", .min = 1, .max = 10, .help = "a | b"},
    {.name = "offset", .type = CONF_INT, .offset = offsetof(struct everything, offset), .min = -5, .max = 5, .help = "may be negative"},
    {.name = "room", .type = CONF_SIZE, .offset = offsetof(struct everything, room), .initial = "64KiB", .min = 4096, .max = 1 << 30},
    {.name = "wait", .type = CONF_DURATION, .offset = offsetof(struct everything, wait_ms), .initial = "30s", .min = 250, .max = 3600000},
    {.name = "words", .type = CONF_STRING, .offset = offsetof(struct everything, words), .initial = "reach:", .min = 1, .max = 16},
    {.name = "path", .type = CONF_PATH, .offset = offsetof(struct everything, path), .initial = "messages"},
    {.name = "level", .type = CONF_CHOICE, .offset = offsetof(struct everything, level), .initial = "middle", .choices = levels},
    {.name = "token", .type = CONF_STRING, .offset = offsetof(struct everything, token), .max = 8, .secret = true, .help = "A secret."},
    {.name = "names", .type = CONF_STRINGS, .offset = offsetof(struct everything, names), .initial = "one"},
    {.name = "redis", .type = CONF_SECTION, .offset = offsetof(struct everything, redis), .table = &inner_table},
    {.name = "gateways", .type = CONF_LIST, .offset = offsetof(struct everything, gateways), .table = &gateway_table},
};
static const struct conf_table table = {
    "everything", keys, sizeof keys / sizeof *keys, sizeof(struct everything), offsetof(struct everything, where), NULL};

/* ---- helpers -------------------------------------------------------------------------------------------------------- */

struct state {
    struct arena arena;
    struct everything got;
    struct err err;
};

static int set_up(void **state_r) {
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return -1;
    }
    *state_r = state;
    return 0;
}

static int tear_down(void **state_r) {
    struct state *state = *state_r;
    arena_fini(&state->arena);
    free(state);
    return 0;
}

static int read_text_as(struct state *state, const char *file, const char *text, size_t len) {
    memset(&state->got, 0xa5, sizeof state->got);
    err_clear(&state->err);
    /* An exact copy on the heap, so that a sanitizer sees any read behind the end. */
    char *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int rc = conf_read_text(copy, len, file, &table, &state->got, &state->arena, &state->err);
    free(copy);
    return rc;
}

static int read_text(struct state *state, const char *text) {
    return read_text_as(state, "f.yaml", text, strlen(text));
}

static void must_read(struct state *state, const char *text) {
    if (read_text(state, text) != 0) {
        fail_msg("refused: %s", state->err.text);
    }
}

/* ---- good input ----------------------------------------------------------------------------------------------------- */

static void an_empty_file_gives_the_defaults(void **state_r) {
    struct state *state = *state_r;
    static const char *const empties[] = {"", "\n\n", "# only a comment\n", "---\n", "{}", "redis:\ngateways:\nnames:\n", "redis: {}"};
    for (size_t i = 0; i < sizeof empties / sizeof *empties; i++) {
        must_read(state, empties[i]);
        assert_true(state->got.on);
        assert_int_equal(state->got.count, 7);
        assert_int_equal(state->got.offset, 0);
        assert_int_equal(state->got.room, 65536);
        assert_int_equal(state->got.wait_ms, 30000);
        assert_string_equal(state->got.words, "reach:");
        assert_string_equal(state->got.path, "messages");
        assert_int_equal(state->got.level, 1);
        assert_null(state->got.token);
        assert_int_equal(state->got.redis.batch, 512);
        assert_int_equal(state->got.gateways.n, 0);
        assert_int_equal(state->got.gateways.item_size, sizeof(struct gateway));
    }
}

static void every_type_is_read(void **state_r) {
    struct state *state = *state_r;
    must_read(state, "on: false\ncount: 10\noffset: -5\nroom: 2MiB\nwait: PT1M\nwords: \"a b: ü\"\npath: /var/lib\nlevel: high\n"
                     "token: hunter2\nnames: [x, 'y', \"\"]\nredis:\n  address: unix:/run/r.sock\n");
    const struct everything *got = &state->got;
    assert_false(got->on);
    assert_int_equal(got->count, 10);
    assert_int_equal(got->offset, -5);
    assert_int_equal(got->room, 2 << 20);
    assert_int_equal(got->wait_ms, 60000);
    assert_string_equal(got->words, "a b: ü");
    assert_string_equal(got->path, "/var/lib");
    assert_int_equal(got->level, 2);
    assert_string_equal(got->token, "hunter2");
    assert_int_equal(got->names.n, 3);
    assert_string_equal(got->names.items[1], "y");
    assert_string_equal(got->names.items[2], "");
    assert_string_equal(got->redis.address, "unix:/run/r.sock");
    assert_int_equal(got->redis.batch, 512);
}

static void one_text_stands_for_a_list_of_one(void **state_r) {
    struct state *state = *state_r;
    must_read(state, "names: alone");
    assert_int_equal(state->got.names.n, 1);
    assert_string_equal(state->got.names.items[0], "alone");
}

static void durations_and_sizes_take_units(void **state_r) {
    struct state *state = *state_r;
    static const struct {
        const char *text;
        int64_t room, wait_ms;
    } cases[] = {
        {"room: 4096\nwait: 250ms", 4096, 250},
        {"room: 64KiB\nwait: 30s", 65536, 30000},
        {"room: 16MiB\nwait: 5m", 16 << 20, 300000},
        {"room: 1GiB\nwait: 1h", 1 << 30, 3600000},
        {"wait: PT0.5S", 65536, 500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        must_read(state, cases[i].text);
        assert_int_equal(state->got.room, cases[i].room);
        assert_int_equal(state->got.wait_ms, cases[i].wait_ms);
    }
}

static void a_variant_reads_the_keys_beside_it(void **state_r) {
    struct state *state = *state_r;
    must_read(state, "gateways:\n"
                     "  - name: mail\n    host: relay.example\n    driver: smtp\n"
                     "  - driver: http\n    name: sms\n    url: https://x.example/\n    headers: {X-A: '1', X-B: two}\n"
                     "    body: |\n      {\n      \"to\": 1\n      }\n"
                     "  - {name: none, driver: \"null\"}\n");
    const struct gateway *gateways = state->got.gateways.items;
    assert_int_equal(state->got.gateways.n, 3);
    const struct smtp *smtp = gateways[0].settings;
    assert_string_equal(smtp->host, "relay.example");
    assert_int_equal(smtp->port, 587);
    assert_int_equal(smtp->where.line, 2);
    const struct http *http = gateways[1].settings;
    assert_string_equal(http->url, "https://x.example/");
    assert_int_equal(http->headers.n, 2);
    assert_string_equal(http->headers.items[1].key, "X-B");
    assert_string_equal(http->headers.items[1].value, "two");
    assert_string_equal(http->body, "{\n\"to\": 1\n}\n");
    assert_non_null(gateways[2].settings);
    assert_int_equal(gateways[1].where.line, 5);
    assert_int_equal(state->got.gateways.lines[1], 5);
    char where[64];
    assert_string_equal(conf_where_text(&gateways[1].where, where, sizeof where), "f.yaml:5");
}

static void a_relative_path_is_relative_to_its_file(void **state_r) {
    struct state *state = *state_r;
    static const struct {
        const char *file, *text, *path;
    } cases[] = {
        {"/etc/reachd/f.yaml", "path: words", "/etc/reachd/words"},
        {"/etc/reachd/f.yaml", "path: /words", "/words"},
        {"/etc/reachd/f.yaml", "", "/etc/reachd/messages"},
        {"f.yaml", "path: words", "words"},
        {"a/f.yaml", "path: ../words", "a/../words"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_text_as(state, cases[i].file, cases[i].text, strlen(cases[i].text)), 0);
        assert_string_equal(state->got.path, cases[i].path);
    }
}

static void defaults_alone_fail_only_for_a_required_key(void **state_r) {
    struct state *state = *state_r;
    assert_int_equal(conf_defaults(&table, &state->got, &state->arena, &state->err), 0);
    assert_string_equal(state->got.redis.address, "127.0.0.1:6379");
    struct smtp smtp;
    assert_int_equal(conf_defaults(&smtp_table, &smtp, &state->arena, &state->err), -1);
    assert_string_equal(state->err.member, "host");
}

/* ---- bad input ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *text;
    const char *error; /* the whole line, or its beginning where it ends with "..." */
} refused[] = {
    /* keys */
    {"on: true\ncuont: 3\n", "f.yaml:2: cuont: unknown key (did you mean count? known: on, count, offset, room, wait, words, path, level, "
                             "token, names, redis, gateways)"},
    {"redis:\n  adress: x\n", "f.yaml:2: redis.adress: unknown key (did you mean address? known: address, batch)"},
    {"redis:\n  tls: x\n", "f.yaml:2: redis.tls: unknown key (known: address, batch)"},
    {"redis:\n  \"\": x\n", "f.yaml:2: redis.: unknown key (known: address, batch)"},
    {"count: 1\non: true\ncount: 1\n", "f.yaml:3: count: stands twice (first on line 1)"},
    {"redis:\n  batch: 1\n  batch: 1\n", "f.yaml:3: batch: stands twice (first on line 2)"},
    {"<<: {count: 1}\n", "f.yaml:1: <<: unknown key ..."},
    {"? [a, b]\n: 1\n", "f.yaml:1: a key must be a plain word"},
    /* shape */
    {"- a\n- b\n", "f.yaml:1: must be a mapping (\"key: value\" lines)"},
    {"just words\n", "f.yaml:1: must be a mapping (\"key: value\" lines)"},
    {"redis: here\n", "f.yaml:1: redis: must be a mapping (\"key: value\" lines)"},
    {"gateways:\n  name: x\n", "f.yaml:1: gateways: must be a list of mappings (each begins with \"- \")"},
    {"gateways:\n  - x\n", "f.yaml:2: gateways[0]: must be a mapping (\"key: value\" lines)"},
    {"names: {a: b}\n", "f.yaml:1: names: a mapping is not a list of texts"},
    {"names: [a, [b]]\n", "f.yaml:1: names[1]: a sequence is not a text"},
    {"names: [a, null]\n", "f.yaml:1: names[1]: has no value"},
    {"words: [a]\n", "f.yaml:1: words: a sequence is not a single value (allowed: 1 to 16 bytes)"},
    {"words:\n", "f.yaml:1: words: has no value (allowed: 1 to 16 bytes)"},
    /* types */
    {"on: yes\n", "f.yaml:1: on: \"yes\" is not true or false (allowed: true, false)"},
    {"on: \"true\"\n", "f.yaml:1: on: \"true\" is not true or false (allowed: true, false)"},
    {"on: True\n", "f.yaml:1: on: \"True\" is not true or false (allowed: true, false)"},
    {"count: seven\n", "f.yaml:1: count: \"seven\" is not a whole number (allowed: 1 to 10)"},
    {"count: \"7\"\n", "f.yaml:1: count: \"7\" is not a whole number (allowed: 1 to 10)"},
    {"count: 7.5\n", "f.yaml:1: count: \"7.5\" is not a whole number (allowed: 1 to 10)"},
    {"count: 0x7\n", "f.yaml:1: count: \"0x7\" is not a whole number (allowed: 1 to 10)"},
    {"count: 99999999999999999999\n", "f.yaml:1: count: \"99999999999999999999\" is not a whole number (allowed: 1 to 10)"},
    {"count: - 3\n", "f.yaml:1: not valid YAML: ..."},
    {"offset: --3\n", "f.yaml:1: offset: \"--3\" is not a whole number (allowed: -5 to 5)"},
    {"room: 64kb\n", "f.yaml:1: room: \"64kb\" is not a size such as 4096, 64KiB or 16MiB (allowed: 4KiB to 1GiB)"},
    {"room: 9999999999GiB\n", "f.yaml:1: room: \"9999999999GiB\" is not a size such as 4096, 64KiB or 16MiB (allowed: 4KiB to 1GiB)"},
    {"wait: 30\n", "f.yaml:1: wait: \"30\" is not a duration with its unit, such as 250ms, 30s, 5m, 12h or 7d (allowed: 250ms to 1h)"},
    {"wait: P1M\n", "f.yaml:1: wait: \"P1M\" is not a duration with its unit, ..."},
    {"wait: 30 s\n", "f.yaml:1: wait: \"30 s\" is not a duration ..."},
    {"level: extreme\n", "f.yaml:1: level: \"extreme\" is not one of the choices (allowed: low, middle, high)"},
    {"path: \"\"\n", "f.yaml:1: path: \"\" is not a path"},
    {"path: \"a\\nb\"\n", "f.yaml:1: path: holds control characters ..."},
    /* ranges */
    {"count: 0\n", "f.yaml:1: count: \"0\" is out of range (allowed: 1 to 10)"},
    {"count: 11\n", "f.yaml:1: count: \"11\" is out of range (allowed: 1 to 10)"},
    {"wait: 249ms\n", "f.yaml:1: wait: \"249ms\" is out of range (allowed: 250ms to 1h)"},
    {"room: 4095\n", "f.yaml:1: room: \"4095\" is out of range (allowed: 4KiB to 1GiB)"},
    {"words: \"\"\n", "f.yaml:1: words: \"\" is too short (allowed: 1 to 16 bytes)"},
    {"words: 12345678901234567\n", "f.yaml:1: words: \"12345678901234567\" is too long (allowed: 1 to 16 bytes)"},
    {"words: \"a\\0b\"\n", "f.yaml:1: a NUL character is not allowed"},
    {"words: \"a\\tb\"\n", "f.yaml:1: words: holds control characters (allowed: one line; several lines only as a block, \"|\")"},
    {"words: \"a\\x7fb\"\n", "f.yaml:1: words: holds control characters ..."},
    /* required keys and variants */
    {"gateways:\n  - driver: smtp\n    host: h\n", "f.yaml:2: gateways[0].name: is missing (its name)"},
    {"\ngateways:\n  - name: a\n", "f.yaml:3: gateways[0].driver: is missing (smtp, http or null)"},
    {"gateways:\n  - name: a\n    drivr: smtp\n", "f.yaml:2: gateways[0].driver: is missing (smtp, http or null)"},
    {"gateways:\n  - name: a\n    driver: smtp\n", "f.yaml:2: gateways[0].host: is missing (where to)"},
    {"gateways:\n  - name: a\n    driver: pigeon\n", "f.yaml:3: gateways[0].driver: \"pigeon\" is not known (allowed: smtp, http, null)"},
    {"gateways:\n  - name: a\n    driver: smtp\n    host: h\n    url: u\n",
     "f.yaml:5: gateways[0].url: unknown key (known: name, driver, host, port)"},
    {"gateways:\n  - {name: a, driver: 'null'}\n  - name: b\n    driver: smtp\n    hots: h\n",
     "f.yaml:5: gateways[1].hots: unknown key (did you mean host? known: name, driver, host, port)"},
    {"gateways:\n  - name: a\n    driver: smtp\n    host: h\n    port: 25\n",
     "f.yaml:5: gateways[0].port: port 25 is for relays between servers (use 587)"},
    {"gateways:\n  - name: a\n    driver: http\n    url: u\n    headers: [a]\n",
     "f.yaml:5: gateways[0].headers: a sequence is not a mapping of text to text"},
    {"gateways:\n  - name: a\n    driver: http\n    url: u\n    headers: {a: {}}\n",
     "f.yaml:5: gateways[0].headers.a: a mapping is not a text"},
    {"gateways:\n  - name: a\n    driver: http\n    url: u\n    headers: {a: \"x\\r\\nEvil: 1\"}\n",
     "f.yaml:5: gateways[0].headers.a: holds control characters ..."},
    /* secrets are not repeated */
    {"token: correcthorse\n", "f.yaml:1: token: the value is too long (allowed: 0 to 8 bytes)"},
    /* YAML that has no place here */
    {"redis:\n\tbatch: 1\n", "f.yaml:2: not valid YAML: a tab in the indentation (allowed: blanks)"},
    {"on: [true\n", "f.yaml:2: not valid YAML: ..."},
    {"on: \"true\n", "f.yaml:2: not valid YAML: ..."},
    {"a: b: c\n", "f.yaml:1: not valid YAML: ..."},
    {"words: &anchor x\n", "f.yaml:1: anchors (&name) are not allowed: write the value out where it is needed"},
    {"redis: &r\n  batch: 1\n", "f.yaml:1: anchors (&name) are not allowed: write the value out where it is needed"},
    {"words: *alias\n", "f.yaml:1: aliases (*name) are not allowed: write the value out"},
    {"*alias : x\n", "f.yaml:1: aliases (*name) are not allowed: write the value out"},
    {"words: !!str x\n", "f.yaml:1: tags (!name) are not allowed: the type of a key is fixed"},
    {"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "f.yaml:1: anchors ..."},
    {"on: true\n---\non: false\n", "f.yaml:2: a second document (---) is not allowed"},
    {"words: \xc3\x28\n", "f.yaml:1: not UTF-8"},
    {"on: true\n# \xff\n", "f.yaml:2: not UTF-8"},
    {"words: a\x01\n", "f.yaml:1: not valid YAML: control characters are not allowed"},
};

static void a_fault_is_told_with_file_line_and_key(void **state_r) {
    struct state *state = *state_r;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const char *want = refused[i].error;
        size_t len = strlen(want);
        bool beginning = len > 3 && strcmp(want + len - 3, "...") == 0;
        if (read_text(state, refused[i].text) != -1) {
            fail_msg("accepted: %s", refused[i].text);
        }
        const char *got = state->err.text;
        if (beginning ? strncmp(got, want, len - 3) != 0 : strcmp(got, want) != 0) {
            fail_msg("for: %s\n got: %s\nwant: %s", refused[i].text, got, want);
        }
        assert_null(strchr(got, '\n'));
    }
}

static void a_long_value_is_cut_between_characters(void **state_r) {
    struct state *state = *state_r;
    char text[200] = "level: ";
    for (size_t i = 0; i < 40; i++) {
        strcat(text, i == 0 ? "xé" : "é");
    }
    assert_int_equal(read_text(state, text), -1);
    assert_non_null(strstr(state->err.text, "éé...\" is not one of the choices"));
}

static void the_member_at_fault_is_named(void **state_r) {
    struct state *state = *state_r;
    assert_int_equal(read_text(state, "gateways:\n  - {name: a, driver: smtp, host: h, port: 0}\n"), -1);
    assert_int_equal(state->err.code, ERR_MEMBER);
    assert_string_equal(state->err.member, "gateways[0].port");
}

/* ---- limits --------------------------------------------------------------------------------------------------------- */

static void repeat(char *out, const char *part, size_t n) {
    size_t len = strlen(part);
    for (size_t i = 0; i < n; i++) {
        memcpy(out + i * len, part, len);
    }
    out[n * len] = '\0';
}

static void a_text_over_one_mebibyte_is_refused(void **state_r) {
    struct state *state = *state_r;
    size_t len = (1 << 20) + 1;
    char *text = malloc(len + 1);
    assert_non_null(text);
    repeat(text, "#", len);
    assert_int_equal(read_text_as(state, "f.yaml", text, len), -1);
    assert_string_equal(state->err.text, "f.yaml: too large (allowed: 1 MiB)");
    assert_int_equal(read_text_as(state, "f.yaml", text, len - 1), 0);
    free(text);
}

static void deep_and_wide_texts_are_bounded(void **state_r) {
    struct state *state = *state_r;
    static const struct {
        const char *head, *part, *error;
        size_t n;
    } cases[] = {
        {"on: ", "[", "nested too deeply", 500000},
        {"on: ", "{a: ", "nested too deeply", 200000},
        {"names: [", "a,", "too many values", 500000},
        {"", "? ", "not valid YAML", 1},
    };
    char *text = malloc(1 << 20);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        strcpy(text, cases[i].head);
        repeat(text + strlen(text), cases[i].part, cases[i].n);
        assert_int_equal(read_text(state, text), -1);
        if (strstr(state->err.text, cases[i].error) == NULL && cases[i].n > 1) {
            fail_msg("got: %s", state->err.text);
        }
    }
    size_t used = 0;
    for (int i = 0; i < 2000; i++) {
        used += (size_t)sprintf(text + used, "k%d: 1\n", i);
    }
    assert_int_equal(read_text(state, text), -1);
    assert_non_null(strstr(state->err.text, "too many keys (allowed: 1000 in one mapping)"));
    free(text);
}

/* ---- description ---------------------------------------------------------------------------------------------------- */

static void the_reference_lists_every_key(void **state_r) {
    (void)state_r;
    struct buf out = BUF_INIT;
    conf_describe(&table, &out);
    const char *text = buf_str(&out);
    static const char *const wanted[] = {
        "## Top level\n",
        "| `count` | whole number | `7` | 1 to 10 | a \\| b |\n",
        "| `wait` | duration | `30s` | 250ms to 1h |  |\n",
        "| `level` | choice | `middle` | low, middle, high |  |\n",
        "| `token` | text | - | 0 to 8 bytes | A secret. Never printed. |\n",
        "## redis\n",
        "## gateways[]\n",
        "| `driver` | text | required |  | smtp, http or null |\n",
        "## gateways[] with driver: smtp\n",
        "| `port` | whole number | `587` | 1 to 65535 | port |\n",
        "## gateways[] with driver: http\n",
        "## gateways[] with driver: null\n\nNo keys of its own.\n",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (strstr(text, wanted[i]) == NULL) {
            fail_msg("missing: %s\nin:\n%s", wanted[i], text);
        }
    }
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_file_gives_the_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_type_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_text_stands_for_a_list_of_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(durations_and_sizes_take_units, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_variant_reads_the_keys_beside_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_relative_path_is_relative_to_its_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(defaults_alone_fail_only_for_a_required_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fault_is_told_with_file_line_and_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_value_is_cut_between_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_member_at_fault_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_over_one_mebibyte_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deep_and_wide_texts_are_bounded, set_up, tear_down),
        cmocka_unit_test(the_reference_lists_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
