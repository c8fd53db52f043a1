/* http_kit: see http_kit.h. */
#include "tests/support/http_kit.h"

#include "channels/http.h"
#include "channels/http_settings.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const struct message http_kit_message = {.notice_id = "n-1",
                                         .key = "0123456789abcdef",
                                         .to = "+441632960001",
                                         .locale = "en-GB",
                                         .notice = "mail-password-disabled",
                                         .severity = "critical",
                                         .title = "Your mailbox",
                                         .text = "Your mailbox password was disabled."};

void http_kit_init(struct http_kit *kit) {
    memset(kit, 0, sizeof *kit);
    kit->base = event_base_new();
    assert_non_null(kit->base);
    kit->env = (struct channel_env){.base = kit->base, .clock = &clock_system};
}

int http_kit_open(struct http_kit *kit, const char *channel, const char *yaml, struct err *err) {
    void *settings = arena_alloc(&kit->arena, sizeof(struct http_settings));
    assert_non_null(settings);
    kit->settings = (struct gateway_settings){.name = "test", .channel = channel, .driver = "http", .driver_settings = settings};
    if (conf_read_text(yaml, strlen(yaml), "test.yaml", &http_table, settings, &kit->arena, err) < 0) {
        return -1;
    }
    kit->gateway = channel_http.open(&kit->env, &kit->settings, err);
    return kit->gateway == NULL ? -1 : 0;
}

void http_kit_fini(struct http_kit *kit) {
    if (kit->gateway != NULL) {
        channel_http.close(kit->gateway);
    }
    for (size_t i = 0; i < kit->n_files; i++) {
        (void)unlink(kit->files[i]);
    }
    arena_fini(&kit->arena);
    event_base_free(kit->base);
}

static void on_done(void *ctx, const struct outcome *outcome) {
    struct http_kit *kit = ctx;
    kit->outcomes[kit->n_done++ % HTTP_KIT_OUTCOMES] = *outcome;
}

void http_kit_take(struct http_kit *kit, const struct message *message) {
    struct err err;
    assert_int_equal(channel_http.send(kit->gateway, message, INT64_MAX, on_done, kit, &err), 0);
}

void http_kit_wait(struct http_kit *kit, int n) {
    int64_t until_ms = clock_mono_ms(&clock_system) + 60000;
    while (kit->n_done < n && clock_mono_ms(&clock_system) < until_ms) {
        struct timeval step = {.tv_usec = 5000};
        assert_int_equal(event_base_loopexit(kit->base, &step), 0);
        assert_int_not_equal(event_base_dispatch(kit->base), -1);
    }
    assert_int_equal(kit->n_done, n);
}

const struct outcome *http_kit_deliver(struct http_kit *kit, const struct message *message) {
    int before = kit->n_done;
    http_kit_take(kit, message);
    channel_http.flush(kit->gateway);
    assert_int_equal(kit->n_done, before); /* never from inside send() or flush() */
    http_kit_wait(kit, before + 1);
    return &kit->outcomes[before % HTTP_KIT_OUTCOMES];
}

void http_kit_assert_outcome(const struct outcome *outcome, enum outcome_kind kind, enum outcome_blame blame) {
    if (outcome->kind != kind || outcome->blame != blame || outcome->reason[0] == '\0' || strstr(outcome->reason, "163296") != NULL) {
        fail_msg("outcome %s, blame %d, reason \"%s\"", outcome_name(outcome->kind), outcome->blame, outcome->reason);
    }
}

const char *http_kit_file(struct http_kit *kit, const char *content) {
    char path[] = "/tmp/reach_test_http_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    (void)close(fd);
    const char *copy = arena_strdup(&kit->arena, path);
    assert_non_null(copy);
    assert_true(kit->n_files < sizeof kit->files / sizeof kit->files[0]);
    kit->files[kit->n_files++] = copy;
    return copy;
}
