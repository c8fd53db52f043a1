/* Drivers, the gateway table, and the small drivers that need no network. */
#include "base/arena.h"
#include "channels/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <event2/event.h>
#include <string.h>

enum { ANSWERS_MAX = 32 };

struct stage {
    struct event_base *base;
    struct arena arena;
    struct channel_env env;
    struct gateway_settings settings;
    const struct channel_driver *driver;
    struct gateway *gateway;
    struct outcome answers[ANSWERS_MAX];
    size_t n_answers;
    const struct message *banner; /* what put_banner was given */
};

static int read_settings(struct stage *stage, const char *yaml, struct err *err) {
    return conf_read_text(yaml, strlen(yaml), "test.yaml", &gateway_table, &stage->settings, &stage->arena, err);
}

static int put_banner(void *ctx, const struct message *message, channel_done_fn *done, void *done_ctx, struct err *err) {
    struct stage *stage = ctx;
    struct outcome outcome;
    (void)err;
    stage->banner = message;
    outcome_set(&outcome, OUTCOME_SENT, BLAME_NONE, NULL, "stored");
    done(done_ctx, &outcome);
    return 0;
}

static void set_stage(struct stage *stage, const char *yaml) {
    struct err err;
    memset(stage, 0, sizeof *stage);
    if (read_settings(stage, yaml, &err) != 0) {
        fail_msg("%s", err.text);
    }
    stage->base = event_base_new();
    stage->env = (struct channel_env){.base = stage->base, .clock = &clock_system, .put_banner = put_banner, .ctx = stage};
    stage->driver = channel_driver_find(stage->settings.driver);
    assert_non_null(stage->driver);
    stage->gateway = stage->driver->open(&stage->env, &stage->settings, &err);
    assert_non_null(stage->gateway);
}

static void close_gateway(struct stage *stage) {
    stage->driver->close(stage->gateway);
    stage->gateway = NULL;
}

static void clear_stage(struct stage *stage) {
    if (stage->gateway != NULL) {
        close_gateway(stage);
    }
    event_base_free(stage->base);
    arena_fini(&stage->arena);
}

static void on_done(void *ctx, const struct outcome *outcome) {
    struct stage *stage = ctx;
    assert_in_range(stage->n_answers, 0, ANSWERS_MAX - 1);
    stage->answers[stage->n_answers++] = *outcome;
}

static int send_one(struct stage *stage) {
    static const struct message message = {.key = "00ab", .to = "ada@example.org"};
    struct err err;
    return stage->driver->send(stage->gateway, &message, INT64_MAX, on_done, stage, &err);
}

static void every_driver_is_found_by_its_name_and_named_in_the_texts(void **state) {
    (void)state;
    static const char *const names[] = {"smtp", "http", "banner", "null", "fake"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct channel_driver *driver = channel_driver_find(names[i]);
        assert_non_null(driver);
        assert_string_equal(driver->name, names[i]);
        assert_non_null(strstr(channel_driver_names(), names[i]));
    }
    assert_null(channel_driver_find("pigeon"));
}

static void the_table_names_the_same_drivers_as_the_registry(void **state) {
    (void)state;
    const struct conf_key *last = &gateway_table.keys[gateway_table.n_keys - 1];
    assert_int_equal(last->type, CONF_VARIANT);
    assert_string_equal(last->variant_names, channel_driver_names());
}

static void bad_gateways_are_refused_with_the_key_at_fault(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *said;
    } cases[] = {
        {"name: g\nchannel: email\ndriver: pigeon\n", "driver"},
        {"name: g\nchannel: pigeon\ndriver: \"null\"\n", "channel"},
        {"name: a b\nchannel: email\ndriver: \"null\"\n", "name"},
        {"name: g\nchannel: email\ndriver: \"null\"\non_unknown: panic\n", "on_unknown"},
        {"name: g\nchannel: email\ndriver: \"null\"\nhost: x\n", "host"},
        {"name: g\nchannel: email\ndriver: \"null\"\nweight: 1001\n", "weight"},
        {"name: g\nchannel: email\ndriver: fake\noutcomes: [lost]\n", "outcomes"},
        {"name: g\nchannel: email\ndriver: smtp\nhost: relay.example\n", "from_address"},
        {"name: g\nchannel: email\ndriver: smtp\nhost: \"relay example\"\nfrom_address: a@b.example\n", "host"},
        {"name: g\nchannel: email\ndriver: smtp\nhost: relay.example\nfrom_address: \"a b@b.example\"\n", "from_address"},
        {"name: g\nchannel: email\ndriver: smtp\nhost: relay.example\nfrom_address: a@b.example\nusername: u\n", "password_file"},
        {"name: g\nchannel: email\ndriver: smtp\nhost: relay.example\nfrom_address: a@b.example\ntls: sometimes\n", "tls"},
        {"name: g\nchannel: email\ndriver: smtp\nhost: relay.example\nfrom_address: a@b.example\nmessage_deadline: 5s\n",
         "connect_timeout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage = {0};
        struct err err;
        assert_int_equal(read_settings(&stage, cases[i].yaml, &err), -1);
        if (strstr(err.text, cases[i].said) == NULL) {
            fail_msg("case %zu does not name %s: %s", i, cases[i].said, err.text);
        }
        arena_fini(&stage.arena);
    }
}

static void null_answers_sent_from_the_loop_and_not_before(void **state) {
    (void)state;
    struct stage stage;
    set_stage(&stage, "name: g\nchannel: sms\ndriver: \"null\"\n");
    assert_int_equal(send_one(&stage), 0);
    stage.driver->flush(stage.gateway);
    assert_int_equal(stage.n_answers, 0);
    assert_int_equal(event_base_loop(stage.base, EVLOOP_ONCE), 0);
    assert_int_equal(stage.n_answers, 1);
    assert_int_equal(stage.answers[0].kind, OUTCOME_SENT);
    clear_stage(&stage);
}

static void fake_gives_its_script_in_turn_and_starts_again(void **state) {
    (void)state;
    struct stage stage;
    set_stage(&stage, "name: g\nchannel: sms\ndriver: fake\noutcomes: [sent, \"retry:gateway:451 4.3.0\", refuse, rejected:contact]\n");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(send_one(&stage), 0);
        assert_int_equal(send_one(&stage), 0);
        assert_int_equal(send_one(&stage), -1);
        assert_int_equal(send_one(&stage), 0);
    }
    assert_int_equal(event_base_dispatch(stage.base), 1);
    assert_int_equal(stage.n_answers, 6);
    for (size_t i = 0; i < 6; i += 3) {
        assert_int_equal(stage.answers[i].kind, OUTCOME_SENT);
        assert_string_equal(stage.answers[i].ref, "00ab");
        assert_int_equal(stage.answers[i + 1].kind, OUTCOME_RETRY);
        assert_int_equal(stage.answers[i + 1].blame, BLAME_GATEWAY);
        assert_string_equal(stage.answers[i + 1].code, "451 4.3.0");
        assert_int_equal(stage.answers[i + 2].kind, OUTCOME_REJECTED);
        assert_int_equal(stage.answers[i + 2].blame, BLAME_CONTACT);
    }
    clear_stage(&stage);
}

static void fake_that_is_closed_early_reports_unknown(void **state) {
    (void)state;
    struct stage stage;
    set_stage(&stage, "name: g\nchannel: sms\ndriver: fake\ndelay: 1h\n");
    assert_int_equal(send_one(&stage), 0);
    assert_int_equal(send_one(&stage), 0);
    close_gateway(&stage);
    assert_int_equal(stage.n_answers, 2);
    assert_int_equal(stage.answers[1].kind, OUTCOME_UNKNOWN);
    clear_stage(&stage);
}

static void banner_hands_the_message_to_the_store(void **state) {
    (void)state;
    struct stage stage;
    set_stage(&stage, "name: g\nchannel: banner\ndriver: banner\n");
    assert_int_equal(send_one(&stage), 0);
    assert_non_null(stage.banner);
    assert_string_equal(stage.banner->key, "00ab");
    assert_int_equal(stage.answers[0].kind, OUTCOME_SENT);
    clear_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_driver_is_found_by_its_name_and_named_in_the_texts),
        cmocka_unit_test(the_table_names_the_same_drivers_as_the_registry),
        cmocka_unit_test(bad_gateways_are_refused_with_the_key_at_fault),
        cmocka_unit_test(null_answers_sent_from_the_loop_and_not_before),
        cmocka_unit_test(fake_gives_its_script_in_turn_and_starts_again),
        cmocka_unit_test(fake_that_is_closed_early_reports_unknown),
        cmocka_unit_test(banner_hands_the_message_to_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
