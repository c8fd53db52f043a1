/* banner: the record that the website shows when the customer comes by.
 *
 * It owns nothing: the surroundings (the dispatcher) store the record and answer. "Sent" therefore means that the record is
 * stored; that anybody saw it is told by a receipt of the website. Fails as the store fails. */
#include "channels/channel.h"

#include <stdlib.h>

struct gateway {
    const struct channel_env *env;
};

static struct gateway *banner_open(const struct channel_env *env, const struct gateway_settings *settings, struct err *err) {
    (void)settings;
    if (env->put_banner == NULL) {
        (void)err_set(err, ERR_CONFLICT, "there is no store for banner records here");
        return NULL;
    }
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    gateway->env = env;
    return gateway;
}

static int banner_send(struct gateway *gateway, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                       struct err *err) {
    (void)not_after_mono_ms; /* storing the same record twice changes nothing */
    return gateway->env->put_banner(gateway->env->ctx, message, done, ctx, err);
}

static void banner_flush(struct gateway *gateway) {
    (void)gateway;
}

static void banner_close(struct gateway *gateway) {
    free(gateway);
}

extern const struct channel_driver channel_banner;
const struct channel_driver channel_banner = {
    .name = "banner", .settings = NULL, .open = banner_open, .send = banner_send, .flush = banner_flush, .close = banner_close};
