/* http_description: see http_description.h.
 *
 * A description file is checked by compiling it the way a gateway does, with made-up values for the variables it needs, so a slip in
 * a template, a place or a code table is told with its line, by whoever reads the file first: the daemon, `reachctl gateway lint`
 * or a test. Nothing is read but the one file; a description cannot include another. */
#include "channels/http_description.h"

#include "channels/http_answer.h"
#include "channels/http_description_keys.h"
#include "channels/http_request.h"
#include "channels/http_template.h"
#include "channels/receipt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *const http_body_names[] = {"none", "form", "json", "query", "webpush", NULL};
const char *const http_auth_names[] = {"none",      "basic",     "bearer",    "header", "aws-sigv4",
                                       "jwt-es256", "jwt-rs256", "oauth-jwt", "vapid",  NULL};

/* ---- checks ---------------------------------------------------------------------------------------------------------- */

static bool uses_claims(int64_t auth) {
    return auth == HTTP_AUTH_JWT_ES256 || auth == HTTP_AUTH_JWT_RS256 || auth == HTTP_AUTH_OAUTH_JWT || auth == HTTP_AUTH_VAPID;
}

static int check_auth(const struct http_description *description, struct err *err) {
    const struct {
        const char *key;
        bool given;
        bool wanted;
    } cases[] = {{"auth_header", description->auth_header != NULL, description->auth == HTTP_AUTH_HEADER},
                 {"auth_scope", description->auth_scope != NULL, description->auth == HTTP_AUTH_AWS_SIGV4},
                 {"token_url", description->token_url != NULL, description->auth == HTTP_AUTH_OAUTH_JWT},
                 {"jwt_claims", description->jwt_claims.n > 0, uses_claims(description->auth)}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].given != cases[i].wanted) {
            return err_member(err, cases[i].key, "%s auth %s", cases[i].wanted ? "is needed by" : "has no use with",
                              http_auth_names[description->auth]);
        }
    }
    return 0;
}

int http_description_check(const struct http_description *description, struct err *err) {
    if ((description->success_field == NULL) != (description->success_values.n == 0)) {
        return err_member(err, "success_field", "success_field and success_values go together");
    }
    if (description->body == HTTP_BODY_NONE && description->fields.n > 0) {
        return err_member(err, "body", "must be form, json, query or webpush where there are fields");
    }
    if ((description->receipt_ref == NULL) != (description->receipt_status == NULL) ||
        (description->receipt_status == NULL) != (description->receipt_statuses.n == 0)) {
        return err_member(err, "receipt_ref", "receipt_ref, receipt_status and receipt_statuses go together");
    }
    return check_auth(description, err);
}

/* Whether a row's slot holds nothing. */
static bool is_unset(const struct conf_key *key, const void *slot) {
    switch (key->type) {
    case CONF_BOOL: return !*(const bool *)slot;
    case CONF_STRINGS: return ((const struct conf_strings *)slot)->n == 0;
    case CONF_PAIRS: return ((const struct conf_pairs *)slot)->n == 0;
    case CONF_CHOICE:
    case CONF_DURATION: return *(const int64_t *)slot == 0;
    default: return *(const char *const *)slot == NULL;
    }
}

bool http_description_is_empty(const struct http_description *description) {
    for (size_t i = 0; i < http_description_table.n_keys; i++) {
        const struct conf_key *key = &http_description_table.keys[i];
        if (!is_unset(key, (const char *)description + key->offset)) {
            return false;
        }
    }
    return true;
}

/* ---- constants ------------------------------------------------------------------------------------------------------- */

const struct conf_pair *http_constants_find(const struct conf_pairs *constants, const char *name) {
    for (size_t i = 0; i < constants->n; i++) {
        if (strcmp(constants->items[i].key, name) == 0) {
            return &constants->items[i];
        }
    }
    return NULL;
}

void http_constants_add(struct conf_pairs *constants, const char *name, const char *value) {
    const struct conf_pair *old = http_constants_find(constants, name);
    if (old == NULL) {
        constants->items[constants->n++] = (struct conf_pair){name, value};
    } else if (old->value == NULL) {
        constants->items[old - constants->items].value = value;
    }
}

int http_description_add_defaults(const struct http_description *description, struct conf_pairs *constants, struct arena *arena,
                                  struct err *err) {
    for (size_t i = 0; i < description->defaults.n; i++) {
        const struct conf_pair *pair = &description->defaults.items[i];
        const struct http_template *template = http_template_parse(pair->value, constants, arena, err);
        if (template == NULL || http_template_varies_until(template, SIZE_MAX)) {
            return err_member(err, "defaults", "%s: may only hold variables that stand before it", pair->key);
        }
        const char *value = http_template_fixed(template, arena);
        if (value == NULL) {
            return err_no_memory(err);
        }
        http_constants_add(constants, pair->key, value);
    }
    return 0;
}

/* ---- compiling with made-up values ----------------------------------------------------------------------------------- */

/* A variable that begins the url or token_url is a base address; any other is just a word. */
static const char *made_up(const struct http_description *description, const char *name) {
    char begins[80];
    (void)snprintf(begins, sizeof begins, "{{%s}}", name);
    bool base = description->url != NULL && strncmp(description->url, begins, strlen(begins)) == 0;
    return base ? "https://lint.example" : "x";
}

static int made_up_constants(const struct http_description *description, struct arena *arena, struct conf_pairs *constants_r,
                             struct err *err) {
    static const char *const own[] = {"from", "username", "secret", "receipt_url", "receipt_secret"};
    size_t n_own = sizeof own / sizeof own[0];
    struct conf_pair *items = arena_array(arena, description->needs.n + description->defaults.n + n_own, sizeof *items);
    if (items == NULL) {
        return err_no_memory(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < n_own; i++) {
        items[n++] = (struct conf_pair){own[i], "x"};
    }
    for (size_t i = 0; i < description->needs.n; i++) {
        items[n++] = (struct conf_pair){description->needs.items[i], made_up(description, description->needs.items[i])};
    }
    *constants_r = (struct conf_pairs){items, n};
    return http_description_add_defaults(description, constants_r, arena, err);
}

static int compile(const struct http_description *description, struct arena *arena, struct err *err) {
    struct conf_pairs constants;
    if (made_up_constants(description, arena, &constants, err) < 0) {
        return -1;
    }
    if (http_plan_new(description, &constants, false, arena, err) == NULL) {
        return -1;
    }
    return http_rule_new(description, arena, err) == NULL || receipt_rule_new(description, arena, err) == NULL ? -1 : 0;
}

static int check_file(void *object, struct err *err) {
    const struct http_description *description = object;
    if (description->url == NULL) {
        return err_member(err, "url", "is missing");
    }
    struct arena arena = ARENA_INIT;
    int result = http_description_check(description, err) < 0 ? -1 : compile(description, &arena, err);
    arena_fini(&arena);
    return result;
}

static const struct conf_key keys[] = {HTTP_DESCRIPTION_KEYS};

const struct conf_table http_description_table = {.name = "gateway description",
                                                  .keys = keys,
                                                  .n_keys = sizeof keys / sizeof keys[0],
                                                  .size = sizeof(struct http_description),
                                                  .where_offset = SIZE_MAX,
                                                  .check = check_file};

/* ---- files ----------------------------------------------------------------------------------------------------------- */

const struct http_description *http_description_read(const char *path, struct arena *arena, struct err *err) {
    struct http_description *description = arena_alloc(arena, sizeof *description);
    if (description == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    return conf_read_file(path, &http_description_table, description, arena, err) < 0 ? NULL : description;
}

static bool is_plain_name(const char *name) {
    return name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

/* Looks beside the program and up to three directories above it: PREFIX/bin/reachd and a build directory in a source tree both do. */
int http_description_find(const char *name, struct arena *arena, const char **path_r) {
    static const char *const places[] = {"share/reachd/gateways", "channels/gateways"};
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (!is_plain_name(name) || len <= 0) {
        return 0;
    }
    program[len] = '\0';
    for (int level = 0; level < 4; level++) {
        char *slash = strrchr(program, '/');
        if (slash == NULL) {
            return 0;
        }
        *slash = '\0';
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            *path_r = arena_printf(arena, "%s/%s/%s.yaml", program, places[i], name);
            if (*path_r != NULL && access(*path_r, R_OK) == 0) {
                return 1;
            }
        }
    }
    return 0;
}
