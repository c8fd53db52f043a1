/* test_settings: the whole configuration: defaults, the default route, checks across sections, and the shapes other rooms get. */
#include "dispatcher/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct state {
    struct arena arena;
    struct settings settings;
    struct err err;
    char path[64];
};

static int set_up(void **state_r) {
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return -1;
    }
    (void)snprintf(state->path, sizeof state->path, "%s", "/tmp/reach-test-settings-XXXXXX");
    int fd = mkstemp(state->path);
    *state_r = state;
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state_r) {
    struct state *state = *state_r;
    arena_fini(&state->arena);
    (void)unlink(state->path);
    free(state);
    return 0;
}

static int read_yaml(struct state *state, const char *text) {
    FILE *file = fopen(state->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    err_clear(&state->err);
    return settings_read(state->path, &state->arena, &state->settings, &state->err);
}

static void must_read(struct state *state, const char *text) {
    if (read_yaml(state, text) != 0) {
        fail_msg("refused: %s", state->err.text);
    }
}

static void without_a_file_the_defaults_work(void **state_r) {
    struct state *state = *state_r;
    assert_int_equal(settings_read(NULL, &state->arena, &state->settings, &state->err), 0);
    assert_string_equal(state->settings.redis.address, "127.0.0.1:6379");
    assert_string_equal(state->settings.log_level, "info");
    assert_int_equal(state->settings.gateways.n, 0);
    size_t n = 0;
    const struct route *routes = settings_routes(&state->settings, &state->arena, &n, &state->err);
    assert_non_null(routes);
    assert_int_equal(n, 1);
    assert_non_null(settings_rules(&state->settings, &state->arena, &state->err));
}

static void the_default_route_is_email_sms_push_banner(void **state_r) {
    struct state *state = *state_r;
    must_read(state, "log_level: debug\n");
    size_t n = 0;
    const struct route *routes = settings_routes(&state->settings, &state->arena, &n, &state->err);
    static const enum channel_id wanted[] = {CHANNEL_EMAIL, CHANNEL_SMS, CHANNEL_PUSH, CHANNEL_BANNER};
    assert_int_equal(n, 1);
    assert_string_equal(routes[0].name, "security");
    assert_int_equal(routes[0].n_steps, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(routes[0].steps[i].channel, wanted[i]);
        assert_true(routes[0].steps[i].attempts_max > 1);
        assert_true(routes[0].steps[i].wait_ms > 0);
    }
    assert_int_equal(routes[0].steps[0].success, EVIDENCE_SENT);
    assert_int_equal(routes[0].steps[1].success, EVIDENCE_DELIVERED);
}

static const char two_routes[] = "routes:\n"
                                 "  - name: first\n    steps: [{channel: sms, success: delivered, wait: 2m, attempts: 7, retry_for: 9s}]\n"
                                 "  - name: second\n    steps: [{channel: email}, {channel: banner, success: seen}]\n"
                                 "  - name: third\n    steps: [{channel: push}]\n";

static void routes_become_what_the_core_wants(void **state_r) {
    struct state *state = *state_r;
    must_read(state, two_routes);
    size_t n = 0;
    const struct route *routes = settings_routes(&state->settings, &state->arena, &n, &state->err);
    assert_int_equal(n, 3);
    assert_string_equal(routes[0].name, "first");
    assert_int_equal(routes[0].steps[0].channel, CHANNEL_SMS);
    assert_int_equal(routes[0].steps[0].success, EVIDENCE_DELIVERED);
    assert_int_equal(routes[0].steps[0].wait_ms, 120000);
    assert_int_equal(routes[0].steps[0].attempts_max, 7);
    assert_int_equal(routes[0].steps[0].retry_for_ms, 9000);
    assert_int_equal(routes[1].n_steps, 2);
}

static void the_default_route_comes_first(void **state_r) {
    struct state *state = *state_r;
    static const struct {
        const char *head;
        const char *order[3];
    } cases[] = {
        {"", {"first", "second", "third"}},
        {"default_route: first\n", {"first", "second", "third"}},
        {"default_route: second\n", {"second", "first", "third"}},
        {"default_route: third\n", {"third", "first", "second"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        (void)snprintf(text, sizeof text, "%s%s", cases[i].head, two_routes);
        must_read(state, text);
        size_t n = 0;
        const struct route *routes = settings_routes(&state->settings, &state->arena, &n, &state->err);
        for (size_t k = 0; k < 3; k++) {
            assert_string_equal(routes[k].name, cases[i].order[k]);
        }
    }
}

static void own_domains_become_rules(void **state_r) {
    struct state *state = *state_r;
    must_read(state, "own_domains:\n  - domain: walton.example\n    aliases: [mail.walton.example]\n    plus_addressing: true\n");
    const struct mailbox_rules *rules = settings_rules(&state->settings, &state->arena, &state->err);
    assert_non_null(rules);
    char out[MAILBOX_MAX];
    assert_int_equal(mailbox_canon(rules, "Ada+Shop@MAIL.walton.example", out, &state->err), 0);
    assert_string_equal(out, "ada@walton.example");
}

static void a_fault_is_told_with_its_line(void **state_r) {
    struct state *state = *state_r;
    static const struct {
        const char *text, *error; /* behind the file's name */
    } bad[] = {
        {"log_level: loud\n", ":1: log_level: \"loud\" is no level (allowed: error, warning, notice, info, debug)"},
        {"logs: debug\n", ":1: logs: unknown key (known: log_level, "},
        {"redis:\n  prot: 6379\n", ":2: redis.prot: unknown key ("},
        {"redis:\n  address: nowhere\n", ":2: redis.address: must be host:port or unix:/path"},
        {"worker:\n  in_flight_max: 0\n", ":2: worker.in_flight_max: \"0\" is out of range (allowed: 1 to 100000)"},
        {"worker:\n  retry_base: 10m\n  retry_cap: 5m\n", ":3: worker.retry_cap: is shorter than retry_base"},
        {"clearance:\n  valid: 1s\n", ":2: clearance.valid: \"1s\" is out of range (allowed: 1m to 30d)"},
        {"default_route: fast\n", ":1: default_route: there is no route \"fast\" (the first one is \"security\")"},
        {"default_route: fast\nroutes:\n  - name: slow\n    steps: [{channel: sms}]\n",
         ":1: default_route: there is no route \"fast\" (the first one is \"slow\")"},
        {"routes:\n  - name: r\n    steps: [{channel: pigeon}]\n",
         ":3: routes[0].steps[0].channel: there is no channel \"pigeon\" (allowed: email, sms, push, banner)"},
        {"routes:\n  - name: r\n    steps:\n      - channel: sms\n        success: none\n",
         ":5: routes[0].steps[0].success: \"none\" is no evidence (allowed: sent, delivered, seen, acknowledged)"},
        {"routes:\n  - name: r\n    steps: []\n", ":3: routes[0].steps: has 0 steps (allowed: 1 to 32)"},
        {"routes:\n  - name: r\n", ":2: routes[0].steps: is missing (the steps, in order)"},
        {"routes:\n  - name: a b\n    steps: [{channel: sms}]\n", ":2: routes[0].name: a route's name is "},
        {"routes:\n  - name: r\n    steps: [{channel: sms}]\n  - name: r\n    steps: [{channel: sms}]\n",
         ":4: route \"r\" stands twice (first on line 2)"},
        {"gateways:\n  - name: g\n    channel: sms\n    driver: carrier\n", ":4: gateways[0].driver: \"carrier\" is not known (allowed: "},
        {"gateways:\n  - name: g\n    channel: fax\n    driver: \"null\"\n", ":3: gateways[0].channel: there is no channel \"fax\""},
        {"gateways:\n  - {name: g, channel: sms, driver: \"null\"}\n  - {name: g, channel: push, driver: \"null\"}\n",
         ":3: gateway \"g\" stands twice (first on line 2)"},
        {"own_domains:\n  - domain: a.example\n\n  - domain: b.example\n    aliases: [a.example]\n", ":4: own_domains[1].aliases[0]: "},
        {"own_domains:\n  - domain: a..example\n", ":2: own_domains[0].domain: "},
        {"own_domains:\n  - domian: a.example\n", ":2: own_domains[0].domian: unknown key (did you mean domain? "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_yaml(state, bad[i].text) == 0) {
            fail_msg("accepted: %s", bad[i].text);
        }
        size_t file = strlen(state->path);
        if (strncmp(state->err.text, state->path, file) != 0 || strncmp(state->err.text + file, bad[i].error, strlen(bad[i].error)) != 0) {
            fail_msg("for: %s\n got: %s\nwant: FILE%s", bad[i].text, state->err.text, bad[i].error);
        }
    }
}

static void the_reference_has_every_section(void **state_r) {
    (void)state_r;
    struct buf out = BUF_INIT;
    conf_describe(&settings_table, &out);
    static const char *const wanted[] = {"## Top level", "## redis",         "## worker",     "## templates", "## clearance",
                                         "## desk",      "## own_domains[]", "## gateways[]", "## routes[]",  "## routes[].steps[]"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_non_null(strstr(buf_str(&out), wanted[i]));
    }
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_file_the_defaults_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_default_route_is_email_sms_push_banner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(routes_become_what_the_core_wants, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_default_route_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_domains_become_rules, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fault_is_told_with_its_line, set_up, tear_down),
        cmocka_unit_test(the_reference_has_every_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
