/* receipt_gateway: see receipt_gateway.h.
 *
 * A gateway takes receipts over HTTP when its provider's description says how they are signed and the operator has given receipt_url or
 * receipt_secret_file. Where the provider signs the address it called, we must know that address exactly as the provider does: a proxy
 * in front changes what we see, so it comes from the configuration and not from the request. */
#include "channels/receipt_gateway.h"

#include "channels/http.h"
#include "channels/http_settings.h"

static bool signs_url(int64_t signature) {
    return signature == RECEIPT_TWILIO || signature == RECEIPT_PLIVO_V2 || signature == RECEIPT_MESSAGEBIRD_JWT;
}

/* The key: the receipts' own, or the account's secret where the provider uses that. 0, or -1 with *err. */
static int read_key(const struct http_settings *settings, int64_t signature, struct arena *arena, const char **key_r, struct err *err) {
    bool account_secret_signs = signature == RECEIPT_TWILIO || signature == RECEIPT_PLIVO_V2;
    const char *path = settings->receipt_secret_file;
    if (path == NULL && account_secret_signs) {
        path = settings->secret_file;
    }
    if (signature == RECEIPT_SNS) {
        return 0;
    }
    return path == NULL ? err_member(err, "receipt_secret_file", "is needed to check this provider's receipts")
                        : conf_read_secret(path, arena, key_r, err);
}

int receipt_gateway_open(const struct gateway_settings *settings, struct arena *arena, struct receipt_gateway *gateway_r, struct err *err) {
    if (channel_driver_find(settings->driver) != &channel_http) {
        return 0;
    }
    const struct http_settings *http = settings->driver_settings;
    if (http->receipt_url == NULL && http->receipt_secret_file == NULL) {
        return 0;
    }
    const struct http_description *description = http_settings_description(http, arena, err);
    const struct receipt_rule *rule = description == NULL ? NULL : receipt_rule_new(description, arena, err);
    if (rule == NULL) {
        return -1;
    }
    if (!receipt_rule_is_usable(rule)) {
        return 0;
    }
    *gateway_r =
        (struct receipt_gateway){.name = settings->name, .public_url = http->receipt_url, .topic = http->receipt_topic, .rule = rule};
    if (signs_url(description->receipt_signature) && http->receipt_url == NULL) {
        return err_member(err, "receipt_url", "is needed: this provider signs the address it calls");
    }
    if (description->receipt_signature == RECEIPT_SNS && http->receipt_topic == NULL) {
        return err_member(err, "receipt_topic", "is needed: Amazon signs everybody's topics, only yours may count");
    }
    return read_key(http, description->receipt_signature, arena, &gateway_r->key, err) < 0 ? -1 : 1;
}
