/* fake: a gateway whose answers are written down beforehand, for tests and rehearsals.
 *
 *     outcomes: [sent, "retry:gateway:451", "rejected:contact:550 5.1.1", refuse]
 *
 * The n-th message gets the n-th entry; after the last one the list starts again. An entry is KIND[:BLAME[:CODE]] with KIND
 * sent, retry, rejected or unknown and BLAME none, message, contact, gateway or account; or `refuse`: then send() itself fails and
 * nothing is taken. An empty list means sent. The list is checked when the configuration is read.
 *
 * What waits when the gateway closes is reported as unknown, as a real gateway would have to. */
#include "channels/defer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_settings {
    struct conf_strings outcomes;
    int64_t delay_ms;
};

struct gateway {
    const struct fake_settings *settings;
    struct defer *defer;
    size_t n_asked;
};

static const char *const kind_names[] = {"sent", "retry", "rejected", "unknown", NULL};              /* order of enum outcome_kind */
static const char *const blame_names[] = {"none", "message", "contact", "gateway", "account", NULL}; /* order of enum outcome_blame */
static const char refuse[] = "refuse";

static int find_word(const char *const *names, const char *text, size_t len) {
    for (int i = 0; names[i] != NULL; i++) {
        if (strlen(names[i]) == len && strncmp(names[i], text, len) == 0) {
            return i;
        }
    }
    return -1;
}

/* Turns one entry into an outcome. 0, or -1 where it is not an entry. */
static int parse_entry(const char *entry, struct outcome *outcome) {
    size_t len = strcspn(entry, ":");
    int kind = find_word(kind_names, entry, len);
    int blame = BLAME_NONE;
    const char *rest = entry + len;
    if (kind >= 0 && *rest == ':') {
        rest++;
        len = strcspn(rest, ":");
        blame = find_word(blame_names, rest, len);
        rest += len;
    }
    if (kind < 0 || blame < 0) {
        return -1;
    }
    outcome_set(outcome, (enum outcome_kind)kind, (enum outcome_blame)blame, *rest == ':' ? rest + 1 : NULL, "scripted: %s", entry);
    return 0;
}

static int check_settings(void *object, struct err *err) {
    const struct fake_settings *settings = object;
    for (size_t i = 0; i < settings->outcomes.n; i++) {
        struct outcome outcome;
        const char *entry = settings->outcomes.items[i];
        if (strcmp(entry, refuse) != 0 && parse_entry(entry, &outcome) != 0) {
            return err_member(err, "outcomes", "\"%s\" is no outcome (allowed: KIND[:BLAME[:CODE]] or refuse)", entry);
        }
    }
    return 0;
}

static const struct conf_key keys[] = {
    {.name = "outcomes",
     .type = CONF_STRINGS,
     .offset = offsetof(struct fake_settings, outcomes),
     .help = "what the messages get, in turn: KIND[:BLAME[:CODE]] or refuse"},
    {.name = "delay",
     .type = CONF_DURATION,
     .offset = offsetof(struct fake_settings, delay_ms),
     .initial = "0ms",
     .min = 0,
     .max = 3600000,
     .help = "how long each answer takes"},
};

static const struct conf_table table = {.name = "fake gateway",
                                        .keys = keys,
                                        .n_keys = sizeof keys / sizeof keys[0],
                                        .size = sizeof(struct fake_settings),
                                        .where_offset = SIZE_MAX,
                                        .check = check_settings};

static struct gateway *fake_open(const struct channel_env *env, const struct gateway_settings *settings, struct err *err) {
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    gateway->settings = settings->driver_settings;
    gateway->defer = defer_new(env->base, err);
    if (gateway->defer == NULL) {
        free(gateway);
        return NULL;
    }
    return gateway;
}

static int fake_send(struct gateway *gateway, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                     struct err *err) {
    (void)not_after_mono_ms;
    const struct conf_strings *script = &gateway->settings->outcomes;
    const char *entry = script->n == 0 ? kind_names[OUTCOME_SENT] : script->items[gateway->n_asked++ % script->n];
    struct outcome outcome;
    if (strcmp(entry, refuse) == 0 || parse_entry(entry, &outcome) != 0) {
        return err_set(err, ERR_NET, "the script refuses this message");
    }
    (void)snprintf(outcome.ref, sizeof outcome.ref, "%s", message->key == NULL ? "" : message->key);
    return defer_add(gateway->defer, gateway->settings->delay_ms, &outcome, done, ctx, err);
}

static void fake_flush(struct gateway *gateway) {
    (void)gateway;
}

static void fake_close(struct gateway *gateway) {
    struct outcome outcome;
    outcome_set(&outcome, OUTCOME_UNKNOWN, BLAME_NONE, NULL, "the gateway was closed before it had answered");
    defer_free(gateway->defer, &outcome);
    free(gateway);
}

extern const struct channel_driver channel_fake;
const struct channel_driver channel_fake = {
    .name = "fake", .settings = &table, .open = fake_open, .send = fake_send, .flush = fake_flush, .close = fake_close};
