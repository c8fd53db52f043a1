/* http_settings: see http_settings.h.
 *
 * The table is the one place that names the keys: checks, defaults, help and the reference in docs/ come from it. What can only
 * be judged with the whole mapping at hand is in check_settings(); what needs the templates parsed is found by http_plan_new()
 * when the gateway is opened. Reads no file and knows no provider. */
#include "channels/http_settings.h"

#include <string.h>

static const char *const body_names[] = {"none", "form", "json", "query", NULL};
static const char *const auth_names[] = {"none", "basic", "bearer", "header", NULL};

#define AT(member) offsetof(struct http_settings, member)
#define DESC(member) offsetof(struct http_settings, description.member)

static const struct conf_key keys[] = {
    {.name = "url",
     .type = CONF_STRING,
     .offset = DESC(url),
     .required = true,
     .min = 8,
     .max = 2048,
     .help = "where requests go; may hold {{placeholders}}, not in the host name"},
    {.name = "method", .type = CONF_STRING, .offset = DESC(method), .initial = "POST", .min = 1, .max = 16, .help = "HTTP method"},
    {.name = "headers", .type = CONF_PAIRS, .offset = DESC(headers), .help = "more request headers; values may hold {{placeholders}}"},
    {.name = "body",
     .type = CONF_CHOICE,
     .offset = DESC(body),
     .initial = "none",
     .choices = body_names,
     .help = "how `fields` are sent; query: in the URL"},
    {.name = "fields",
     .type = CONF_PAIRS,
     .offset = DESC(fields),
     .help = "what is sent; in JSON a.b nests, a.0 is an array's element, and a value int:... or json:... is not a string"},
    {.name = "auth",
     .type = CONF_CHOICE,
     .offset = DESC(auth),
     .initial = "none",
     .choices = auth_names,
     .help = "how the secret is shown to the gateway"},
    {.name = "auth_header",
     .type = CONF_STRING,
     .offset = DESC(auth_header),
     .min = 1,
     .max = 64,
     .help = "auth header: the header that holds the secret"},
    {.name = "idempotency_header",
     .type = CONF_STRING,
     .offset = DESC(idempotency_header),
     .min = 1,
     .max = 64,
     .help = "header that holds the same key on every resend"},
    {.name = "success_status",
     .type = CONF_STRINGS,
     .offset = DESC(success_status),
     .initial = "2xx",
     .help = "HTTP statuses that may mean sent: 200, 2xx"},
    {.name = "success_field",
     .type = CONF_STRING,
     .offset = DESC(success_field),
     .min = 1,
     .max = 200,
     .help = "place in the answer that tells success: /json/pointer, header:Name or text"},
    {.name = "success_values", .type = CONF_STRINGS, .offset = DESC(success_values), .help = "what stands there on success"},
    {.name = "id", .type = CONF_STRING, .offset = DESC(id), .min = 1, .max = 200, .help = "place of the gateway's id of the message"},
    {.name = "code", .type = CONF_STRING, .offset = DESC(code), .min = 1, .max = 200, .help = "place of the provider's own code"},
    {.name = "codes",
     .type = CONF_PAIRS,
     .offset = DESC(codes),
     .help = "code, or \"HTTP 400\": retry, rejected, contact-dead, account-trouble, unknown or sent"},
    {.name = "variables", .type = CONF_PAIRS, .offset = AT(variables), .help = "placeholders of your own: {{account}}, {{region}}"},
    {.name = "from", .type = CONF_STRING, .offset = AT(from), .min = 1, .max = 128, .help = "{{from}}: sender id or number"},
    {.name = "username", .type = CONF_STRING, .offset = AT(username), .min = 1, .max = 256, .help = "account name for auth basic"},
    {.name = "secret_file", .type = CONF_PATH, .offset = AT(secret_file), .secret = true, .help = "file that holds the password or token"},
    {.name = "ca_file", .type = CONF_PATH, .offset = AT(ca_file), .help = "PEM file of the authorities to trust instead of the system's"},
    {.name = "allow_insecure",
     .type = CONF_BOOL,
     .offset = AT(allow_insecure),
     .initial = "false",
     .help = "let this gateway's url be plain http"},
    {.name = "allow_private",
     .type = CONF_BOOL,
     .offset = AT(allow_private),
     .initial = "false",
     .help = "let this gateway have a loopback or private address"},
    {.name = "http2", .type = CONF_BOOL, .offset = AT(http2), .initial = "false", .help = "speak HTTP/2 where the gateway can"},
    {.name = "connect_timeout",
     .type = CONF_DURATION,
     .offset = AT(connect_timeout_ms),
     .initial = "5s",
     .min = 50,
     .max = 60000,
     .help = "for name look-up, TCP and TLS"},
    {.name = "timeout",
     .type = CONF_DURATION,
     .offset = AT(timeout_ms),
     .initial = "15s",
     .min = 50,
     .max = 300000,
     .help = "for a whole request; after it the outcome is unknown"},
    {.name = "keep_alive",
     .type = CONF_DURATION,
     .offset = AT(keep_alive_ms),
     .initial = "15s",
     .min = 0,
     .max = 600000,
     .help = "an idle connection older than this is not used again; keep it below the gateway's own limit"},
    {.name = "connections",
     .type = CONF_INT,
     .offset = AT(connections),
     .initial = "32",
     .min = 1,
     .max = 1000,
     .help = "most connections"},
    {.name = "parallel", .type = CONF_INT, .offset = AT(parallel), .initial = "32", .min = 1, .max = 1000, .help = "most requests at once"},
    {.name = "answer_max",
     .type = CONF_SIZE,
     .offset = AT(answer_max_bytes),
     .initial = "64KiB",
     .min = 256,
     .max = 1 << 20,
     .help = "longest answer that is read"},
    {.name = "validity_max",
     .type = CONF_DURATION,
     .offset = AT(validity_max_ms),
     .initial = "0s",
     .min = 0,
     .max = 31LL * 86400000,
     .help = "longest validity that the provider takes; 0s: no limit"},
};

static int check_settings(void *object, struct err *err) {
    const struct http_settings *settings = object;
    const struct http_description *description = &settings->description;
    if (description->auth == HTTP_AUTH_BASIC && settings->username == NULL) {
        return err_member(err, "username", "is needed by auth basic");
    }
    if (description->auth != HTTP_AUTH_NONE && settings->secret_file == NULL) {
        return err_member(err, "secret_file", "is needed by auth %s", auth_names[description->auth]);
    }
    if (description->auth == HTTP_AUTH_HEADER && description->auth_header == NULL) {
        return err_member(err, "auth_header", "is needed by auth header");
    }
    if ((description->success_field == NULL) != (description->success_values.n == 0)) {
        return err_member(err, "success_field", "success_field and success_values go together");
    }
    if (description->body == HTTP_BODY_NONE && description->fields.n > 0) {
        return err_member(err, "body", "must be form, json or query where there are fields");
    }
    return 0;
}

const struct conf_table http_table = {.name = "http",
                                      .keys = keys,
                                      .n_keys = sizeof keys / sizeof keys[0],
                                      .size = sizeof(struct http_settings),
                                      .where_offset = AT(where),
                                      .check = check_settings};
