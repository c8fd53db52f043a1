/* http_request: see http_request.h.
 *
 * Every value of a message is encoded as a whole for the place where it stands: percent-encoded in a URL or form, a JSON string in
 * JSON, control characters blanked in a header. The JSON body is built as a tree and then written, never pasted together, so
 * a text full of quotes and braces is still one string. A field with an absent value is left out, so one description serves
 * messages with and without a link.
 *
 * The host of the url must be fixed by the operator: a placeholder of the message in it is refused when the gateway is opened, as are
 * credentials in the url and plain http without allow_insecure. */
#include "channels/http_request.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <event2/http.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum field_kind { FIELD_STRING, FIELD_INT, FIELD_JSON };

struct field {
    const char *name;
    const char **path; /* JSON: the name cut at its dots */
    size_t n_path;
    enum field_kind kind;
    const struct http_template *value; /* FIELD_STRING, FIELD_INT */
    json_t *literal;                   /* FIELD_JSON; owned */
};

struct http_plan {
    const struct http_description *description;
    const struct http_template *url;
    struct field *headers; /* name and value only */
    size_t n_headers;
    struct field *fields;
    size_t n_fields;
    const char *fixed_headers[4]; /* whole lines */
    size_t n_fixed;
};

void http_filled_reset(struct http_filled *filled) {
    buf_reset(&filled->url);
    buf_reset(&filled->body);
    buf_reset(&filled->lines);
    filled->n_headers = 0;
    filled->has_body = false;
}

void http_filled_fini(struct http_filled *filled) {
    buf_fini(&filled->url);
    buf_fini(&filled->body);
    buf_fini(&filled->lines);
}

/* ---- compiling ------------------------------------------------------------------------------------------------------- */

/* The operator's own placeholders: variables, from, username, secret. */
static int constants_of(const struct http_settings *settings, const char *secret, struct arena *arena, struct conf_pairs *constants_r,
                        struct err *err) {
    const struct conf_pair own[] = {{"from", settings->from}, {"username", settings->username}, {"secret", secret}};
    size_t n = settings->variables.n;
    struct conf_pair *items = arena_array(arena, n + sizeof own / sizeof own[0], sizeof *items);
    if (items == NULL) {
        return err_no_memory(err);
    }
    if (n > 0) {
        memcpy(items, settings->variables.items, n * sizeof *items);
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (own[i].value != NULL) {
            items[n++] = own[i];
        }
    }
    *constants_r = (struct conf_pairs){items, n};
    return 0;
}

/* Offset of the end of "scheme://host:port" in a URL. */
static size_t authority_end(const char *url) {
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    return (size_t)(host - url) + strcspn(host, "/?#");
}

static int check_url(const struct http_settings *settings, const struct http_template *url, const char *fixed, struct err *err) {
    struct evhttp_uri *uri = evhttp_uri_parse(fixed);
    const char *scheme = uri == NULL ? NULL : evhttp_uri_get_scheme(uri);
    const char *host = uri == NULL ? NULL : evhttp_uri_get_host(uri);
    int result = 0;
    if (http_template_varies_until(url, authority_end(fixed))) {
        result = err_member(err, "url", "must not take its host from the message");
    } else if (scheme == NULL || host == NULL || host[0] == '\0' || (strcasecmp(scheme, "https") != 0 && strcasecmp(scheme, "http") != 0)) {
        result = err_member(err, "url", "must be a whole https:// address");
    } else if (evhttp_uri_get_userinfo(uri) != NULL) {
        result = err_member(err, "url", "must not hold a user name or password; use auth, username and secret_file");
    } else if (evhttp_uri_get_fragment(uri) != NULL) {
        result = err_member(err, "url", "must not hold a # part");
    } else if (strcasecmp(scheme, "http") == 0 && !settings->allow_insecure) {
        result = err_member(err, "url", "is plain http; use https, or set allow_insecure: true for this gateway");
    }
    if (uri != NULL) {
        evhttp_uri_free(uri);
    }
    return result;
}

static int compile_url(struct http_plan *plan, const struct http_settings *settings, const struct conf_pairs *constants,
                       struct arena *arena, struct err *err) {
    plan->url = http_template_parse(plan->description->url, constants, arena, err);
    if (plan->url == NULL) {
        return err_prefix(err, "url");
    }
    const char *fixed = http_template_fixed(plan->url, arena);
    return fixed == NULL ? err_no_memory(err) : check_url(settings, plan->url, fixed, err);
}

/* Cuts "a.b.0" at its dots. */
static int split_path(struct field *field, struct arena *arena, struct err *err) {
    size_t n = 1;
    for (const char *at = field->name; (at = strchr(at, '.')) != NULL; at++) {
        n++;
    }
    char *copy = arena_strdup(arena, field->name);
    field->path = arena_array(arena, n, sizeof *field->path);
    if (copy == NULL || field->path == NULL) {
        return err_no_memory(err);
    }
    for (char *at = copy; at != NULL;) {
        field->path[field->n_path++] = strsep(&at, ".");
    }
    return 0;
}

static int compile_value(struct field *field, const char *value, bool typed, const struct conf_pairs *constants, struct arena *arena,
                         struct err *err) {
    if (typed && strncmp(value, "json:", 5) == 0) {
        field->kind = FIELD_JSON;
        field->literal = json_loads(value + 5, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
        return field->literal != NULL ? 0 : err_member(err, field->name, "what follows json: is not JSON");
    }
    if (typed && strncmp(value, "int:", 4) == 0) {
        field->kind = FIELD_INT;
        value += 4;
    }
    field->value = http_template_parse(value, constants, arena, err);
    return field->value != NULL ? 0 : err_prefix(err, field->name);
}

static int compile_pairs(const struct conf_pairs *pairs, bool typed, const struct conf_pairs *constants, struct arena *arena,
                         struct field **fields_r, size_t *n_r, struct err *err) {
    *fields_r = arena_array(arena, pairs->n + 1, sizeof **fields_r);
    if (*fields_r == NULL) {
        return err_no_memory(err);
    }
    while (*n_r < pairs->n) {
        const struct conf_pair *pair = &pairs->items[*n_r];
        struct field *field = &(*fields_r)[(*n_r)++];
        field->name = pair->key;
        if (compile_value(field, pair->value, typed, constants, arena, err) < 0 || (typed && split_path(field, arena, err) < 0)) {
            return -1;
        }
    }
    return 0;
}

static bool is_token(const char *name) {
    return name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!#$%&'*+^`|~") == strlen(name);
}

static int check_headers(const struct http_plan *plan, struct err *err) {
    const struct http_description *description = plan->description;
    if (plan->n_headers + plan->n_fixed + 2 > HTTP_HEADERS_MAX) {
        return err_member(err, "headers", "are more than %d", HTTP_HEADERS_MAX - 6);
    }
    for (size_t i = 0; i < plan->n_headers; i++) {
        if (!is_token(plan->headers[i].name)) {
            return err_member(err, "headers", "\"%s\" is not a header's name", plan->headers[i].name);
        }
    }
    if ((description->idempotency_header != NULL && !is_token(description->idempotency_header)) ||
        (description->auth_header != NULL && !is_token(description->auth_header)) || !is_token(description->method)) {
        return err_member(err, "method", "method, auth_header and idempotency_header must be plain HTTP words");
    }
    return 0;
}

static bool has_header(const struct http_plan *plan, const char *name) {
    for (size_t i = 0; i < plan->n_headers; i++) {
        if (strcasecmp(plan->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Headers that are the same for every message: the kind of the body, and the secret. */
static int compile_fixed(struct http_plan *plan, const char *secret, struct arena *arena, struct err *err) {
    const struct http_description *description = plan->description;
    const char *type = description->body == HTTP_BODY_JSON   ? "Content-Type: application/json"
                       : description->body == HTTP_BODY_FORM ? "Content-Type: application/x-www-form-urlencoded"
                                                             : NULL;
    if (type != NULL && !has_header(plan, "Content-Type")) {
        plan->fixed_headers[plan->n_fixed++] = type;
    }
    if (description->auth == HTTP_AUTH_BEARER || description->auth == HTTP_AUTH_HEADER) {
        bool bearer = description->auth == HTTP_AUTH_BEARER;
        const char *line = bearer ? arena_printf(arena, "Authorization: Bearer %s", secret)
                                  : arena_printf(arena, "%s: %s", description->auth_header, secret);
        if (line == NULL) {
            return err_no_memory(err);
        }
        plan->fixed_headers[plan->n_fixed++] = line;
    }
    return 0;
}

/* Fills the plan once with a value everywhere, so that a body that cannot be built is found when the gateway is opened. */
static int rehearse(const struct http_plan *plan, struct err *err) {
    struct http_values values;
    for (size_t i = 0; i < HTTP_VALUE_COUNT; i++) {
        values.text[i] = "1";
    }
    struct http_filled filled = {0};
    int result = http_plan_fill(plan, &values, &filled, err);
    http_filled_fini(&filled);
    return result;
}

struct http_plan *http_plan_new(const struct http_settings *settings, const char *secret, struct arena *arena, struct err *err) {
    struct http_plan *plan = arena_alloc(arena, sizeof *plan);
    struct conf_pairs constants;
    if (plan == NULL || constants_of(settings, secret, arena, &constants, err) < 0) {
        (void)err_no_memory(err);
        return NULL;
    }
    const struct http_description *description = &settings->description;
    plan->description = description;
    if (compile_url(plan, settings, &constants, arena, err) < 0) {
        return NULL;
    }
    bool json = description->body == HTTP_BODY_JSON;
    if (compile_pairs(&description->headers, false, &constants, arena, &plan->headers, &plan->n_headers, err) < 0 ||
        compile_pairs(&description->fields, json, &constants, arena, &plan->fields, &plan->n_fields, err) < 0 ||
        compile_fixed(plan, secret, arena, err) < 0 || check_headers(plan, err) < 0 || rehearse(plan, err) < 0) {
        http_plan_fini(plan);
        return NULL;
    }
    return plan;
}

void http_plan_fini(struct http_plan *plan) {
    for (size_t i = 0; plan != NULL && plan->fields != NULL && i < plan->n_fields; i++) {
        json_decref(plan->fields[i].literal);
        plan->fields[i].literal = NULL;
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static bool is_index(const char *segment) {
    return segment[0] != '\0' && strspn(segment, "0123456789") == strlen(segment);
}

/* The child of a container, or NULL. */
static json_t *child_get(json_t *parent, const char *segment) {
    return json_is_array(parent) ? json_array_get(parent, strtoul(segment, NULL, 10)) : json_object_get(parent, segment);
}

/* Puts a value where there is none yet; array elements must come in order. 0 or -1; takes the value in any case. */
static int child_set_take(json_t *parent, const char *segment, json_t *value) {
    if (json_is_array(parent) && is_index(segment) && strtoul(segment, NULL, 10) == json_array_size(parent)) {
        return json_array_append_new(parent, value);
    }
    if (json_is_object(parent) && json_object_get(parent, segment) == NULL) {
        return json_object_set_new(parent, segment, value);
    }
    json_decref(value);
    return -1;
}

/* The container under `segment`, made where it is not there yet. NULL where something else stands there. */
static json_t *step_into(json_t *parent, const char *segment, bool array) {
    json_t *child = child_get(parent, segment);
    if (child == NULL) {
        child = array ? json_array() : json_object();
        if (child_set_take(parent, segment, child) < 0) {
            return NULL;
        }
    }
    return json_is_array(child) == array && (array || json_is_object(child)) ? child : NULL;
}

static int tree_set_take(json_t *root, const struct field *field, json_t *value, struct err *err) {
    json_t *parent = root;
    for (size_t i = 0; i + 1 < field->n_path && parent != NULL; i++) {
        parent = step_into(parent, field->path[i], is_index(field->path[i + 1]));
    }
    if (parent == NULL) {
        json_decref(value);
    }
    if (parent == NULL || child_set_take(parent, field->path[field->n_path - 1], value) < 0) {
        return err_member(err, field->name, "does not fit beside the fields before it");
    }
    return 0;
}

static json_t *field_json(const struct field *field, const char *text, struct err *err) {
    if (field->kind == FIELD_STRING) {
        return json_string(text);
    }
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') {
        (void)err_member(err, field->name, "int: needs a whole number");
        return NULL;
    }
    return json_integer(number);
}

static int append_bytes(const char *data, size_t len, void *arg) {
    struct buf *out = arg;
    buf_put(out, data, len);
    return out->failed ? -1 : 0;
}

static int fill_json(const struct http_plan *plan, const struct http_values *values, struct buf *out, struct err *err) {
    json_t *root = json_object();
    struct buf text = BUF_INIT;
    int result = root == NULL ? err_no_memory(err) : 0;
    for (size_t i = 0; i < plan->n_fields && result == 0; i++) {
        const struct field *field = &plan->fields[i];
        json_t *value = field->literal == NULL ? NULL : json_deep_copy(field->literal);
        if (field->literal == NULL) {
            buf_reset(&text);
            if (http_template_put(field->value, values, &text) == 0) {
                continue;
            }
            value = buf_str(&text) == NULL ? NULL : field_json(field, buf_str(&text), err);
        }
        result = value == NULL ? -1 : tree_set_take(root, field, value, err);
    }
    if (result == 0 && json_dump_callback(root, append_bytes, out, JSON_COMPACT) < 0) {
        result = err_no_memory(err);
    }
    buf_fini(&text);
    json_decref(root);
    return result;
}

/* ---- the other places ------------------------------------------------------------------------------------------------ */

static int fill_form(const struct http_plan *plan, const struct http_values *values, struct buf *out, const char *first) {
    struct buf text = BUF_INIT;
    const char *separator = first;
    for (size_t i = 0; i < plan->n_fields; i++) {
        const struct field *field = &plan->fields[i];
        buf_reset(&text);
        if (http_template_put(field->value, values, &text) == 0) {
            continue;
        }
        buf_puts(out, separator);
        http_put_encoded(out, field->name, strlen(field->name));
        buf_putc(out, '=');
        http_put_encoded(out, text.len == 0 ? "" : text.data, text.len);
        separator = "&";
    }
    out->failed = out->failed || text.failed;
    buf_fini(&text);
    return out->failed ? -1 : 0;
}

/* Ends a header line that began at `start`: no control character may leave it. */
static void end_line(struct http_filled *filled, size_t start) {
    buf_putc(&filled->lines, '\0');
    if (!filled->lines.failed) {
        text_make_printable(filled->lines.data + start, ' ');
    }
    filled->n_headers++;
}

static void put_headers(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled) {
    struct buf *lines = &filled->lines;
    for (size_t i = 0; i < plan->n_fixed; i++) {
        size_t start = lines->len;
        buf_puts(lines, plan->fixed_headers[i]);
        end_line(filled, start);
    }
    for (size_t i = 0; i < plan->n_headers; i++) {
        size_t start = lines->len;
        buf_putf(lines, "%s: ", plan->headers[i].name);
        if (http_template_put(plan->headers[i].value, values, lines) == 1) {
            end_line(filled, start);
        } else if (!lines->failed) {
            lines->len = start;
        }
    }
    if (plan->description->idempotency_header != NULL && values->text[HTTP_KEY] != NULL) {
        size_t start = lines->len;
        buf_putf(lines, "%s: %s", plan->description->idempotency_header, values->text[HTTP_KEY]);
        end_line(filled, start);
    }
}

/* The lines have stopped moving: point at them. */
static void point_at_lines(struct http_filled *filled) {
    const char *at = filled->lines.data;
    for (size_t i = 0; i < filled->n_headers; i++) {
        filled->headers[i] = at;
        at += strlen(at) + 1;
    }
}

int http_plan_fill(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled, struct err *err) {
    const struct http_description *description = plan->description;
    if (http_template_put_url(plan->url, values, &filled->url) == 0) {
        return err_set(err, ERR_MEMBER, "the gateway's url needs a value that this message does not have");
    }
    if (description->body == HTTP_BODY_QUERY && !filled->url.failed) {
        (void)fill_form(plan, values, &filled->url, strchr(filled->url.data, '?') == NULL ? "?" : "&");
    } else if (description->body == HTTP_BODY_FORM) {
        (void)fill_form(plan, values, &filled->body, "");
    } else if (description->body == HTTP_BODY_JSON && fill_json(plan, values, &filled->body, err) < 0) {
        return -1;
    }
    filled->has_body = strcmp(description->method, "GET") != 0 && strcmp(description->method, "DELETE") != 0;
    put_headers(plan, values, filled);
    if (filled->url.failed || filled->body.failed || filled->lines.failed) {
        return err_no_memory(err);
    }
    point_at_lines(filled);
    return 0;
}
