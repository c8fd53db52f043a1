/* gateway: the table of one configured provider (section `gateways`).
 *
 * The keys that every gateway has are here; the keys of its driver come from the driver's own table, through the variant row,
 * and stand beside them in the same mapping:
 *
 *     gateways:
 *       - name: main-smarthost
 *         channel: email
 *         driver: smtp
 *         host: relay.example        # a key of the smtp driver
 *
 * Checks what one gateway can know of itself; that names are unique and routes have gateways is the dispatcher's to check. */
#include "channels/channel.h"

#include "base/text.h"

#include <string.h>

static const char *const unknown_policies[] = {"resend", "wait", "next"};

/* A driver without keys of its own. */
static const struct conf_table no_settings = {
    .name = "driver without settings", .keys = NULL, .n_keys = 0, .size = 1, .where_offset = SIZE_MAX, .check = NULL};

static const struct conf_table *driver_table(const char *name) {
    const struct channel_driver *driver = channel_driver_find(name);
    if (driver == NULL) {
        return NULL;
    }
    return driver->settings != NULL ? driver->settings : &no_settings;
}

static int known_policy(const char *name) {
    for (size_t i = 0; i < sizeof unknown_policies / sizeof unknown_policies[0]; i++) {
        if (strcmp(name, unknown_policies[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static int check_gateway(void *object, struct err *err) {
    const struct gateway_settings *settings = object;
    enum channel_id channel;
    if (!text_is_id(settings->name)) {
        return err_member(err, "name", "a gateway's name is 1 to 128 of A-Z a-z 0-9 . _ : @ + / = -");
    }
    if (!channel_find(settings->channel, &channel)) {
        return err_member(err, "channel", "there is no channel \"%s\"", settings->channel);
    }
    if (!known_policy(settings->on_unknown)) {
        return err_member(err, "on_unknown", "\"%s\" is not a policy (allowed: resend, wait, next)", settings->on_unknown);
    }
    return 0;
}

static const struct conf_key keys[] = {
    {.name = "name",
     .type = CONF_STRING,
     .offset = offsetof(struct gateway_settings, name),
     .min = 1,
     .max = 128,
     .required = true,
     .help = "what operators, receipts and metrics call this gateway"},
    {.name = "channel",
     .type = CONF_STRING,
     .offset = offsetof(struct gateway_settings, channel),
     .required = true,
     .help = "the channel it serves: email, sms, push or banner"},
    {.name = "in_flight_max",
     .type = CONF_INT,
     .offset = offsetof(struct gateway_settings, in_flight_max),
     .initial = "256",
     .min = 1,
     .max = 100000,
     .help = "how many attempts may be under way at once"},
    {.name = "weight",
     .type = CONF_INT,
     .offset = offsetof(struct gateway_settings, weight),
     .initial = "1",
     .min = 0,
     .max = 1000,
     .help = "share of the channel's load; 0: only when the others cannot"},
    {.name = "on_unknown",
     .type = CONF_STRING,
     .offset = offsetof(struct gateway_settings, on_unknown),
     .initial = "resend",
     .help = "what follows an attempt that may or may not have gone out: resend, wait or next"},
    {.name = "expected_rate",
     .type = CONF_INT,
     .offset = offsetof(struct gateway_settings, expected_rate_per_s),
     .initial = "0",
     .min = 0,
     .max = 1000000,
     .help = "messages per second that the provider will take, for the estimates of `reachctl preflight`; 0: not known"},
    {.name = "driver",
     .type = CONF_STRING,
     .offset = offsetof(struct gateway_settings, driver),
     .required = true,
     .help = "the code that talks to it; each driver adds keys of its own"},
    {.name = "driver_settings",
     .type = CONF_VARIANT,
     .offset = offsetof(struct gateway_settings, driver_settings),
     .variant = driver_table,
     .variant_key = "driver",
     .variant_names = "smtp, http, banner, null, fake",
     .help = "the driver's own keys"},
};

const struct conf_table gateway_table = {
    .name = "gateway",
    .keys = keys,
    .n_keys = sizeof keys / sizeof keys[0],
    .size = sizeof(struct gateway_settings),
    .where_offset = offsetof(struct gateway_settings, where),
    .check = check_gateway,
};
