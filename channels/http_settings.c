/* http_settings: see http_settings.h.
 *
 * The table is the one place that names the keys: checks, defaults, help and the reference in docs/ come from it. The check compiles
 * the gateway as http.c would (with a made-up secret: whoever only looks at the configuration need not be able to read secrets),
 * so that a bad template, a plain http url or a missing variable is refused with file and line before anything starts. */
#include "channels/http_settings.h"

#include "channels/http_answer.h"
#include "channels/http_description_keys.h"
#include "channels/http_request.h"
#include "channels/receipt.h"

#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct http_settings, member)

static int check_settings(void *object, struct err *err);

static const struct conf_key keys[] = {
    HTTP_DESCRIPTION_KEYS,
    {.name = "description",
     .type = CONF_STRING,
     .offset = AT(description),
     .min = 1,
     .max = 64,
     .help = "name of a description that comes with reachd: twilio, fcm, ..."},
    {.name = "description_file", .type = CONF_PATH, .offset = AT(description_file), .help = "a description of your own"},
    {.name = "variables", .type = CONF_PAIRS, .offset = AT(variables), .help = "placeholders of your own: {{account_sid}}, {{region}}"},
    {.name = "from", .type = CONF_STRING, .offset = AT(from), .min = 1, .max = 128, .help = "{{from}}: sender id or number"},
    {.name = "username",
     .type = CONF_STRING,
     .offset = AT(username),
     .min = 1,
     .max = 256,
     .help = "account name for auth basic, access key id for aws-sigv4"},
    {.name = "secret_file", .type = CONF_PATH, .offset = AT(secret_file), .help = "file that holds the password, token or private key"},
    {.name = "receipt_secret_file",
     .type = CONF_PATH,
     .offset = AT(receipt_secret_file),
     .help = "file with the key that receipts are signed with, where it is another one"},
    {.name = "receipt_url",
     .type = CONF_STRING,
     .offset = AT(receipt_url),
     .min = 8,
     .max = 1024,
     .help = "the public address where the provider delivers receipts, exactly as the provider knows it"},
    {.name = "receipt_topic",
     .type = CONF_STRING,
     .offset = AT(receipt_topic),
     .min = 8,
     .max = 300,
     .help = "Amazon SNS: the ARN of the topic that forwards delivery reports; its subscription is confirmed by itself, others never"},
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
};

const struct conf_table http_table = {.name = "http",
                                      .keys = keys,
                                      .n_keys = sizeof keys / sizeof keys[0],
                                      .size = sizeof(struct http_settings),
                                      .where_offset = AT(where),
                                      .check = check_settings};

const struct http_description *http_settings_description(const struct http_settings *settings, struct arena *arena, struct err *err) {
    const char *path = settings->description_file;
    int given = (settings->description != NULL) + (path != NULL) + (settings->in_place.url != NULL);
    if (given != 1) {
        (void)err_member(err, "url", "give exactly one of description, description_file and url");
        return NULL;
    }
    if (settings->in_place.url != NULL) {
        return &settings->in_place;
    }
    if (!http_description_is_empty(&settings->in_place)) {
        (void)err_member(err, "description", "stands in a file of its own: keys such as body, fields or auth belong there, not here");
        return NULL;
    }
    if (path == NULL && http_description_find(settings->description, arena, &path) != 1) {
        (void)err_member(err, "description", "there is no description \"%s\" (use description_file for one of your own)",
                         settings->description);
        return NULL;
    }
    const struct http_description *description = http_description_read(path, arena, err);
    if (description == NULL) {
        char why[sizeof err->text];
        (void)snprintf(why, sizeof why, "%s", err->text);
        (void)err_member(err, settings->description == NULL ? "description_file" : "description", "%s", why);
    }
    return description;
}

/* ---- constants ------------------------------------------------------------------------------------------------------- */

static void add_pairs(struct conf_pairs *constants, const struct conf_pair *more, size_t n) {
    for (size_t i = 0; i < n; i++) {
        http_constants_add(constants, more[i].key, more[i].value);
    }
}

static int check_needs(const struct http_description *description, const struct conf_pairs *constants, const struct conf_pair *own,
                       size_t n_own, struct err *err) {
    for (size_t i = 0; i < description->needs.n; i++) {
        const char *name = description->needs.items[i];
        const struct conf_pair *found = http_constants_find(constants, name);
        if (found != NULL && found->value != NULL && found->value[0] != '\0') {
            continue;
        }
        for (size_t k = 0; k < n_own; k++) {
            if (strcmp(own[k].key, name) == 0) {
                const char *key = strcmp(name, "secret") == 0           ? "secret_file"
                                  : strcmp(name, "receipt_secret") == 0 ? "receipt_secret_file"
                                                                        : name;
                return err_member(err, key, "is needed by this provider");
            }
        }
        return err_member(err, "variables", "the provider needs %s", name);
    }
    return 0;
}

int http_settings_constants(const struct http_settings *settings, const struct http_description *description,
                            const struct http_secrets *secrets, struct arena *arena, struct conf_pairs *constants_r, struct err *err) {
    const struct conf_pair own[] = {{"from", settings->from},
                                    {"username", settings->username},
                                    {"secret", secrets->secret},
                                    {"receipt_secret", secrets->receipt_secret},
                                    {"receipt_url", settings->receipt_url}};
    size_t n_own = sizeof own / sizeof own[0];
    size_t n = settings->variables.n + description->defaults.n + secrets->members.n + n_own;
    *constants_r = (struct conf_pairs){arena_array(arena, n, sizeof(struct conf_pair)), 0};
    if (constants_r->items == NULL) {
        return err_no_memory(err);
    }
    add_pairs(constants_r, own, n_own);
    add_pairs(constants_r, settings->variables.items, settings->variables.n);
    add_pairs(constants_r, secrets->members.items, secrets->members.n);
    return check_needs(description, constants_r, own, n_own, err) < 0 ? -1
                                                                      : http_description_add_defaults(description, constants_r, arena, err);
}

/* ---- check ----------------------------------------------------------------------------------------------------------- */

static int check_account(const struct http_settings *settings, const struct http_description *description, struct err *err) {
    bool named = description->auth == HTTP_AUTH_BASIC || description->auth == HTTP_AUTH_AWS_SIGV4;
    if (named && settings->username == NULL) {
        return err_member(err, "username", "is needed by auth %s", http_auth_names[description->auth]);
    }
    if (description->auth != HTTP_AUTH_NONE && settings->secret_file == NULL) {
        return err_member(err, "secret_file", "is needed by auth %s", http_auth_names[description->auth]);
    }
    return 0;
}

static int check_compiles(const struct http_settings *settings, const struct http_description *description, struct arena *arena,
                          struct err *err) {
    struct conf_pair members[] = {{"client_email", "x"}, {"project_id", "x"}, {"private_key_id", "x"}}; /* of a JSON key file */
    struct http_secrets secrets = {.secret = settings->secret_file == NULL ? NULL : "x",
                                   .receipt_secret = settings->receipt_secret_file == NULL ? NULL : "x",
                                   .members = {members, description->auth == HTTP_AUTH_OAUTH_JWT ? 3 : 0}};
    struct conf_pairs constants;
    if (http_settings_constants(settings, description, &secrets, arena, &constants, err) < 0) {
        return -1;
    }
    if (http_plan_new(description, &constants, settings->allow_insecure, arena, err) == NULL) {
        return -1;
    }
    return http_rule_new(description, arena, err) == NULL || receipt_rule_new(description, arena, err) == NULL ? -1 : 0;
}

static int check_settings(void *object, struct err *err) {
    const struct http_settings *settings = object;
    struct arena arena = ARENA_INIT;
    const struct http_description *description = http_settings_description(settings, &arena, err);
    int result = description == NULL ? -1 : http_description_check(description, err);
    if (result == 0) {
        result = check_account(settings, description, err) < 0 ? -1 : check_compiles(settings, description, &arena, err);
    }
    arena_fini(&arena);
    return result;
}
