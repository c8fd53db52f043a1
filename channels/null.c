/* null: sends nowhere and answers "sent" on the next turn of the loop.
 *
 * For rehearsals and for measuring everything but the gateway. It reports what it swallows as sent, so it must never stand in a
 * configuration that real customers depend on; `reachctl doctor` and the example configuration say so. */
#include "channels/defer.h"

#include <stdlib.h>

struct gateway {
    struct defer *defer;
};

static struct gateway *null_open(const struct channel_env *env, const struct gateway_settings *settings, struct err *err) {
    (void)settings;
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    gateway->defer = defer_new(env->base, err);
    if (gateway->defer == NULL) {
        free(gateway);
        return NULL;
    }
    return gateway;
}

static int null_send(struct gateway *gateway, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                     struct err *err) {
    (void)message;
    (void)not_after_mono_ms;
    struct outcome outcome;
    outcome_set(&outcome, OUTCOME_SENT, BLAME_NONE, NULL, "swallowed by the null driver");
    return defer_add(gateway->defer, 0, &outcome, done, ctx, err);
}

static void null_flush(struct gateway *gateway) {
    (void)gateway;
}

static void null_close(struct gateway *gateway) {
    defer_free(gateway->defer, NULL);
    free(gateway);
}

extern const struct channel_driver channel_null;
const struct channel_driver channel_null = {
    .name = "null", .settings = NULL, .open = null_open, .send = null_send, .flush = null_flush, .close = null_close};
