/* smtp-send: sends messages through one gateway as reachd would, for tests in shell.
 *
 *   smtp-send GATEWAY.yaml < messages.ndjson > outcomes.ndjson
 *
 * GATEWAY.yaml is one entry of the section `gateways`. A message is an object with the members of struct message that are texts ("key",
 * "to", "to_name", "locale", "from_name", "subject", "text", "html", ...) and "created_at_ms". For each an object comes out, in the order
 * of the answers: {"key","to","outcome","blame","code","ref","reason"}. Exit 0 where every message was answered, 2 for a bad call. */
#include "base/arena.h"
#include "base/log.h"
#include "channels/channel.h"
#include "tests/support/mail_peer.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sending {
    struct message message;
    struct run *run;
};

struct run {
    struct arena arena;
    struct event_base *base;
    struct gateway_settings settings;
    const struct channel_driver *driver;
    struct gateway *gateway;
    size_t n_open;
};

static void __attribute__((noreturn)) give_up(const char *what) {
    (void)fprintf(stderr, "smtp-send: %s\n", what);
    exit(2);
}

struct member {
    const char *name;
    size_t offset;
};

static const struct member members[] = {
#define MEMBER(name)                                                                                                                       \
    { #name, offsetof(struct message, name) }
    MEMBER(key),    MEMBER(to),        MEMBER(to_name),      MEMBER(notice_id), MEMBER(customer_id), MEMBER(locale),
    MEMBER(notice), MEMBER(from_name), MEMBER(subject),      MEMBER(preheader), MEMBER(title),       MEMBER(text),
    MEMBER(html),   MEMBER(link),      MEMBER(from_address), MEMBER(reply_to),
#undef MEMBER
};

static struct sending *read_message(struct run *run, const char *line) {
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    struct sending *sending = arena_alloc(&run->arena, sizeof *sending);
    if (object == NULL || sending == NULL) {
        give_up("a line is not a message");
    }
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *value = json_string_value(json_object_get(object, members[i].name));
        const char *copy = arena_strdup(&run->arena, value);
        memcpy((char *)&sending->message + members[i].offset, &copy, sizeof copy);
    }
    sending->message.created_at_ms = json_integer_value(json_object_get(object, "created_at_ms"));
    sending->run = run;
    json_decref(object);
    return sending;
}

static void on_done(void *ctx, const struct outcome *outcome) {
    static const char *const blames[] = {"none", "message", "contact", "gateway", "account"};
    struct sending *sending = ctx;
    json_t *line = json_pack("{s:s?,s:s?,s:s,s:s,s:s,s:s,s:s}", "key", sending->message.key, "to", sending->message.to, "outcome",
                             outcome_name(outcome->kind), "blame", blames[outcome->blame], "code", outcome->code, "ref", outcome->ref,
                             "reason", outcome->reason);
    if (line == NULL || json_dumpf(line, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF || fflush(stdout) != 0) {
        give_up("cannot write an outcome");
    }
    json_decref(line);
    if (--sending->run->n_open == 0) {
        (void)event_base_loopbreak(sending->run->base);
    }
}

static void send_all(struct run *run) {
    char *line = NULL;
    size_t cap = 0;
    int64_t not_after_ms = clock_mono_ms(&clock_system) + 600000;
    while (getline(&line, &cap, stdin) > 0) {
        struct sending *sending = read_message(run, line);
        struct err err;
        run->n_open++;
        if (run->driver->send(run->gateway, &sending->message, not_after_ms, on_done, sending, &err) != 0) {
            give_up(err.text);
        }
    }
    free(line);
    run->driver->flush(run->gateway);
}

int main(int argc, char **argv) {
    struct run run = {.arena = ARENA_INIT};
    struct err err;
    log_init("smtp-send", LOG_LEVEL_WARNING);
    if (argc != 2) {
        give_up("usage: smtp-send GATEWAY.yaml < messages.ndjson");
    }
    run.base = event_base_new();
    struct channel_env env = {.base = run.base, .clock = &clock_system, .libexec_dir = mail_peer_build_dir()};
    if (run.base == NULL || conf_read_file(argv[1], &gateway_table, &run.settings, &run.arena, &err) != 0) {
        give_up(run.base == NULL ? "no event loop" : err.text);
    }
    run.driver = channel_driver_find(run.settings.driver);
    run.gateway = run.driver->open(&env, &run.settings, &err);
    if (run.gateway == NULL) {
        give_up(err.text);
    }
    send_all(&run);
    if (run.n_open > 0 && event_base_dispatch(run.base) < 0) {
        give_up("the loop does not run");
    }
    run.driver->close(run.gateway);
    event_base_free(run.base);
    arena_fini(&run.arena);
    return 0;
}
