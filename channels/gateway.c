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

#include <stdlib.h>
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

/* "10/s": microseconds a message; 0 where it is not that. */
static int64_t parse_rate(const char *text) {
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {{"/s", 1000000}, {"/m", INT64_C(60000000)}, {"/min", INT64_C(60000000)}, {"/h", INT64_C(3600000000)}};
    size_t digits = strspn(text, "0123456789");
    int64_t n = digits > 0 && digits <= 9 ? strtol(text, NULL, 10) : 0;
    for (size_t i = 0; n > 0 && i < sizeof units / sizeof *units; i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            return units[i].us / n;
        }
    }
    return 0;
}

static int check_rate(struct gateway_settings *settings, struct err *err) {
    settings->rate_interval_us = settings->rate == NULL ? 0 : parse_rate(settings->rate);
    if (settings->rate != NULL && settings->rate_interval_us == 0) {
        return err_member(err, "rate", "\"%.32s\" is no rate (such as 10/s, 600/m, 5000/h; at most 1000000/s)", settings->rate);
    }
    if (settings->burst > 0 && settings->rate == NULL) {
        return err_member(err, "burst", "means nothing without a rate");
    }
    if (settings->rate != NULL && settings->burst == 0) {
        int64_t tenth = 100000 / settings->rate_interval_us;
        settings->burst = tenth > 1 ? tenth : 1;
    }
    return 0;
}

static int check_breaker(void *object, struct err *err) {
    const struct gateway_breaker *breaker = object;
    return breaker->open_max_ms >= breaker->open_ms ? 0 : err_member(err, "open_max", "is shorter than open");
}

static int check_gateway(void *object, struct err *err) {
    struct gateway_settings *settings = object;
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
    return check_rate(settings, err);
}

#define BREAKER(member) .offset = offsetof(struct gateway_breaker, member)
#define FAILOVER(member) .offset = offsetof(struct gateway_failover, member)

static const struct conf_key breaker_keys[] = {
    {.name = "failures",
     .type = CONF_INT,
     BREAKER(failures),
     .initial = "5",
     .min = 0,
     .max = 10000,
     .help = "so many failures of the whole gateway in a row open it (a refused login counts for half of them); 0: never"},
    {.name = "open",
     .type = CONF_DURATION,
     BREAKER(open_ms),
     .initial = "10s",
     .min = 10,
     .max = INT64_C(3600000),
     .help = "how long nothing goes there then; it doubles each time a probe fails"},
    {.name = "open_max",
     .type = CONF_DURATION,
     BREAKER(open_max_ms),
     .initial = "5m",
     .min = 10,
     .max = INT64_C(86400000),
     .help = "the longest such time; a refused login opens it for this long at once"},
    {.name = "probes",
     .type = CONF_INT,
     BREAKER(probes),
     .initial = "3",
     .min = 1,
     .max = 1000,
     .help = "so many messages are tried afterwards; all of them must go through before the rest follows"},
};

static const struct conf_table breaker_table = {.name = "breaker",
                                                .keys = breaker_keys,
                                                .n_keys = sizeof breaker_keys / sizeof *breaker_keys,
                                                .size = sizeof(struct gateway_breaker),
                                                .where_offset = SIZE_MAX,
                                                .check = check_breaker};

static const struct conf_key failover_keys[] = {
    {.name = "step",
     .type = CONF_INT,
     FAILOVER(step),
     .initial = "10",
     .min = 0,
     .max = 100,
     .help = "percent points of its weight that a gateway loses or regains at a time; 0: load never moves"},
    {.name = "error_every",
     .type = CONF_DURATION,
     FAILOVER(error_every_ms),
     .initial = "1m",
     .min = 10,
     .max = INT64_C(86400000),
     .help = "failures take at most one step in this time"},
    {.name = "slow_every",
     .type = CONF_DURATION,
     FAILOVER(slow_every_ms),
     .initial = "10m",
     .min = 10,
     .max = INT64_C(86400000),
     .help = "slowness takes at most one step in this time"},
    {.name = "back_every",
     .type = CONF_DURATION,
     FAILOVER(back_every_ms),
     .initial = "1h",
     .min = 10,
     .max = INT64_C(604800000),
     .help = "a step back after so long without a change"},
    {.name = "slow_answer",
     .type = CONF_DURATION,
     FAILOVER(slow_answer_ms),
     .initial = "10s",
     .min = 1,
     .max = INT64_C(3600000),
     .help = "an answer that takes longer is slow"},
    {.name = "slow_delivery",
     .type = CONF_DURATION,
     FAILOVER(slow_delivery_ms),
     .initial = "5m",
     .min = 1,
     .max = INT64_C(86400000),
     .help = "so is a delivery that is reported later than this after sending"},
    {.name = "slow_percent",
     .type = CONF_INT,
     FAILOVER(slow_percent),
     .initial = "30",
     .min = 1,
     .max = 100,
     .help = "the gateway is slow when at least so many percent of its last 20 answers were, or of its last 20 deliveries"},
};

static const struct conf_table failover_table = {.name = "failover",
                                                 .keys = failover_keys,
                                                 .n_keys = sizeof failover_keys / sizeof *failover_keys,
                                                 .size = sizeof(struct gateway_failover),
                                                 .where_offset = SIZE_MAX,
                                                 .check = NULL};

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
     .help = "how many attempts one reachd may have under way at once; what is more waits and costs no attempt"},
    {.name = "weight",
     .type = CONF_INT,
     .offset = offsetof(struct gateway_settings, weight),
     .initial = "1",
     .min = 0,
     .max = 1000,
     .help = "share of the channel's load; 0: only when the others are broken or drained"},
    {.name = "rate",
     .type = CONF_STRING,
     .offset = offsetof(struct gateway_settings, rate),
     .min = 3,
     .max = 32,
     .help = "how much all reachd together may send: 10/s, 600/m, 5000/h; what is more waits and costs no attempt; none: no limit"},
    {.name = "burst",
     .type = CONF_INT,
     .offset = offsetof(struct gateway_settings, burst),
     .initial = "0",
     .min = 0,
     .max = 1000000,
     .help = "messages that may go at once after a rest; 0: a tenth of a second's worth, at least 1"},
    {.name = "breaker",
     .type = CONF_SECTION,
     .offset = offsetof(struct gateway_settings, breaker),
     .table = &breaker_table,
     .help = "when nothing is sent there for a while because it does not work"},
    {.name = "failover",
     .type = CONF_SECTION,
     .offset = offsetof(struct gateway_settings, failover),
     .table = &failover_table,
     .help = "how load moves to the other gateways of its channel while it fails or is slow"},
    {.name = "on_unknown",
     .type = CONF_STRING,
     .offset = offsetof(struct gateway_settings, on_unknown),
     .initial = "resend",
     .help =
         "what follows an attempt that may or may not have gone out: resend (under the same key), wait (for a receipt, as long as the step "
         "does; then the next step) or next (at once)"},
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
