/* http_fields: see http_fields.h.
 *
 * Every value is encoded as a whole for the place where it stands: percent-encoded in a form or query, a JSON string in JSON. The JSON
 * is built as a tree and then written, never pasted together, so a text full of quotes and braces is still one string. A field
 * with an absent value is left out, so one description serves messages with and without a link.
 *
 * Whether names nest without contradiction is found by http_fields_json() with every value present; http_plan_new() rehearses that
 * when a gateway is opened. */
#include "channels/http_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum field_kind { FIELD_STRING, FIELD_INT, FIELD_JSON };

struct field {
    const char *name;
    const char **path; /* JSON: the name cut at its dots */
    size_t n_path;
    enum field_kind kind;
    const struct http_template *value; /* FIELD_STRING, FIELD_INT */
    json_t *literal;                   /* FIELD_JSON; owned */
};

struct http_fields {
    const char *key; /* the configuration key they come from, for errors */
    struct field *items;
    size_t n;
};

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
        return field->literal != NULL ? 0 : err_set(err, ERR_SYNTAX, "what follows json: is not JSON");
    }
    if (typed && strncmp(value, "int:", 4) == 0) {
        field->kind = FIELD_INT;
        value += 4;
    }
    field->value = http_template_parse(value, constants, arena, err);
    return field->value != NULL ? 0 : -1;
}

/* Puts key and field before an error, so that its line can be found. Returns -1. */
static int at_field(const struct http_fields *fields, const struct field *field, struct err *err) {
    char why[sizeof err->text];
    (void)snprintf(why, sizeof why, "%s", err->text);
    return err_member(err, fields->key, "%s: %s", field->name, why);
}

int http_fields_new(const char *key, const struct conf_pairs *pairs, bool typed, const struct conf_pairs *constants, struct arena *arena,
                    struct http_fields **fields_r, struct err *err) {
    struct http_fields *fields = *fields_r = arena_alloc(arena, sizeof *fields);
    if (fields == NULL) {
        return err_no_memory(err);
    }
    fields->key = key;
    fields->items = arena_array(arena, pairs->n + 1, sizeof *fields->items);
    if (fields->items == NULL) {
        return err_no_memory(err);
    }
    while (fields->n < pairs->n) {
        const struct conf_pair *pair = &pairs->items[fields->n];
        struct field *field = &fields->items[fields->n++];
        field->name = pair->key;
        if (compile_value(field, pair->value, typed, constants, arena, err) < 0 || split_path(field, arena, err) < 0) {
            return at_field(fields, field, err);
        }
    }
    return 0;
}

void http_fields_fini(struct http_fields *fields) {
    for (size_t i = 0; fields != NULL && i < fields->n; i++) {
        json_decref(fields->items[i].literal);
        fields->items[i].literal = NULL;
    }
}

size_t http_fields_count(const struct http_fields *fields) {
    return fields->n;
}

const char *http_fields_name(const struct http_fields *fields, size_t i) {
    return fields->items[i].name;
}

int http_fields_put(const struct http_fields *fields, size_t i, const struct http_values *values, struct buf *out) {
    return http_template_put(fields->items[i].value, values, out);
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
        return err_set(err, ERR_MEMBER, "does not fit beside the fields before it");
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
        (void)err_set(err, ERR_MEMBER, "int: needs a whole number");
        return NULL;
    }
    return json_integer(number);
}

/* The value of a field: 1 and *value_r (a new reference), 0 where it is absent, -1 with *err. */
static int field_value(const struct field *field, const struct http_values *values, struct buf *text, json_t **value_r, struct err *err) {
    if (field->literal != NULL) {
        *value_r = json_deep_copy(field->literal);
        return *value_r == NULL ? err_no_memory(err) : 1;
    }
    buf_reset(text);
    if (http_template_put(field->value, values, text) == 0) {
        return 0;
    }
    err_clear(err);
    *value_r = buf_str(text) == NULL ? NULL : field_json(field, buf_str(text), err);
    if (*value_r == NULL && err->code == ERR_NONE) {
        return err_no_memory(err);
    }
    return *value_r == NULL ? -1 : 1;
}

json_t *http_fields_json(const struct http_fields *fields, const struct http_values *values, struct err *err) {
    json_t *root = json_object();
    struct buf text = BUF_INIT;
    int result = root == NULL ? err_no_memory(err) : 0;
    for (size_t i = 0; i < fields->n && result >= 0; i++) {
        json_t *value = NULL;
        result = field_value(&fields->items[i], values, &text, &value, err);
        if (result == 1) {
            result = tree_set_take(root, &fields->items[i], value, err);
        }
        if (result < 0) {
            (void)at_field(fields, &fields->items[i], err);
        }
    }
    buf_fini(&text);
    if (result < 0) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static int append_bytes(const char *data, size_t len, void *arg) {
    struct buf *out = arg;
    buf_put(out, data, len);
    return out->failed ? -1 : 0;
}

int http_fields_put_json(const struct http_fields *fields, const struct http_values *values, struct buf *out, struct err *err) {
    json_t *root = http_fields_json(fields, values, err);
    if (root == NULL) {
        return -1;
    }
    int result = json_dump_callback(root, append_bytes, out, JSON_COMPACT) < 0 ? err_no_memory(err) : 0;
    json_decref(root);
    return result;
}

/* ---- forms ----------------------------------------------------------------------------------------------------------- */

void http_fields_put_form(const struct http_fields *fields, const struct http_values *values, const char *first, struct buf *out) {
    struct buf text = BUF_INIT;
    const char *separator = first;
    for (size_t i = 0; i < fields->n; i++) {
        const struct field *field = &fields->items[i];
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
}
