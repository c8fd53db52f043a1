/* http_fields: see http_fields.h.
 *
 * Every value is encoded as a whole for the place where it stands: percent-encoded in a form or query, a JSON string in JSON, so a
 * text full of quotes and braces is still one string. A field with an absent value is left out, so one description serves messages
 * with and without a link.
 *
 * JSON is written in one go: from one field to the next, containers that they do not share are closed and opened. That needs names
 * that nest without contradiction and containers whose fields stand together; http_fields_check_json() sees to both, once, when a
 * gateway is opened. What stands before a value is written then too, for the usual case that the field before it is there. */
#include "channels/http_fields.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum field_kind { FIELD_STRING, FIELD_INT, FIELD_JSON };

struct field {
    const char *name;
    const char **path; /* JSON: the name cut at its dots */
    size_t n_path;
    const char *lead; /* JSON: from the end of the value of the field before this one to the beginning of its own */
    size_t lead_len;
    enum field_kind kind;
    const struct http_template *value; /* FIELD_STRING, FIELD_INT */
    const char *literal;               /* FIELD_JSON */
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
        json_t *json = json_loads(value + 5, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
        field->literal = json == NULL ? NULL : arena_strdup(arena, value + 5);
        json_decref(json);
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

/* ---- JSON: what stands before a value -------------------------------------------------------------------------------- */

static bool is_index(const char *segment) {
    return segment[0] != '\0' && strspn(segment, "0123456789") == strlen(segment);
}

/* How many leading segments two paths share. */
static size_t shared(const struct field *a, const struct field *b) {
    size_t n = 0;
    while (n < a->n_path && n < b->n_path && strcmp(a->path[n], b->path[n]) == 0) {
        n++;
    }
    return n;
}

/* The key before a value, unless it stands in an array. The root is an object always. */
static void put_key(const struct field *field, size_t level, struct buf *out) {
    if (level == 0 || !is_index(field->path[level])) {
        buf_put_json_str(out, field->path[level]);
        buf_putc(out, ':');
    }
}

/* Closes what is open after `last` and not shared with `next` (NULL: everything but the root). */
static void close_containers(const struct field *last, const struct field *next, struct buf *out) {
    size_t keep = next == NULL ? 0 : shared(last, next);
    for (size_t level = last->n_path - 1; level > keep; level--) {
        buf_putc(out, is_index(last->path[level]) ? ']' : '}');
    }
}

static void open_containers(const struct field *last, const struct field *next, struct buf *out) {
    for (size_t level = last == NULL ? 0 : shared(last, next); level + 1 < next->n_path; level++) {
        put_key(next, level, out);
        buf_putc(out, is_index(next->path[level + 1]) ? '[' : '{');
    }
}

/* Puts everything from the end of `last`'s value (NULL: the beginning) to the beginning of the value of `next`. */
static void put_lead(const struct field *last, const struct field *next, struct buf *out) {
    if (last != NULL) {
        close_containers(last, next, out);
    }
    buf_putc(out, last == NULL ? '{' : ',');
    open_containers(last, next, out);
    put_key(next, next->n_path - 1, out);
}

static int compile_leads(struct http_fields *fields, struct arena *arena, struct err *err) {
    struct buf out = BUF_INIT;
    int result = 0;
    for (size_t i = 0; i < fields->n && result == 0; i++) {
        struct field *field = &fields->items[i];
        buf_reset(&out);
        put_lead(i == 0 ? NULL : field - 1, field, &out);
        field->lead = out.failed ? NULL : arena_strndup(arena, out.data, out.len);
        field->lead_len = out.len;
        result = field->lead == NULL ? err_no_memory(err) : 0;
    }
    buf_fini(&out);
    return result;
}

/* ---- compiling ------------------------------------------------------------------------------------------------------- */

const struct http_fields *http_fields_new(const char *key, const struct conf_pairs *pairs, bool typed, const struct conf_pairs *constants,
                                          struct arena *arena, struct err *err) {
    struct http_fields *fields = arena_alloc(arena, sizeof *fields);
    struct field *items = arena_array(arena, pairs->n + 1, sizeof *items);
    if (fields == NULL || items == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    fields->key = key;
    fields->items = items;
    while (fields->n < pairs->n) {
        const struct conf_pair *pair = &pairs->items[fields->n];
        struct field *field = &items[fields->n++];
        field->name = pair->key;
        if (compile_value(field, pair->value, typed, constants, arena, err) < 0 || split_path(field, arena, err) < 0) {
            (void)at_field(fields, field, err);
            return NULL;
        }
    }
    return typed && compile_leads(fields, arena, err) < 0 ? NULL : fields;
}

bool http_fields_use(const struct http_fields *fields, enum http_value value) {
    for (size_t i = 0; i < fields->n; i++) {
        if (fields->items[i].value != NULL && http_template_uses(fields->items[i].value, value)) {
            return true;
        }
    }
    return false;
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

/* ---- JSON: can it be written? ---------------------------------------------------------------------------------------- */

/* Two fields fit when neither stands inside the other, and where they part it is both by name or both by index. */
static bool fits(const struct field *a, const struct field *b) {
    size_t n = shared(a, b);
    return n < a->n_path && n < b->n_path && (n == 0 || is_index(a->path[n]) == is_index(b->path[n]));
}

/* What shares a container must stand together, as the text is written in one go. */
int http_fields_check_json(const struct http_fields *fields, struct err *err) {
    for (size_t i = 0; i < fields->n; i++) {
        for (size_t k = 0; k < i; k++) {
            bool apart = i > k + 1 && shared(&fields->items[k], &fields->items[i]) > shared(&fields->items[i - 1], &fields->items[i]);
            if (apart || !fits(&fields->items[k], &fields->items[i])) {
                (void)err_set(err, ERR_MEMBER, "does not fit %s %s", apart ? "here: it must follow" : "beside", fields->items[k].name);
                return at_field(fields, &fields->items[i], err);
            }
        }
    }
    return 0;
}

/* ---- JSON: writing --------------------------------------------------------------------------------------------------- */

static bool is_integer(const char *text) {
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t len = strlen(digits);
    return len > 0 && len < 19 && strspn(digits, "0123456789") == len && (digits[0] != '0' || len == 1);
}

/* Puts the value of a field, whose text is given, as JSON. 0, or -1 with *err. */
static int put_value(const struct field *field, const char *text, size_t len, struct buf *out, struct err *err) {
    if (field->kind == FIELD_STRING) {
        buf_put_json(out, text, len);
        return 0;
    }
    buf_put(out, text, len);
    return field->kind == FIELD_JSON || is_integer(text) ? 0 : err_set(err, ERR_MEMBER, "int: needs a whole number");
}

/* The text of a field's value, borrowed or in `room`: 1, 0 where it is absent, -1 with *err. */
static int field_text(const struct field *field, const struct http_values *values, struct buf *room, const char **text_r, size_t *len_r,
                      struct err *err) {
    if (field->kind == FIELD_JSON) {
        *text_r = field->literal;
        *len_r = strlen(field->literal);
        return 1;
    }
    buf_reset(room);
    int found = http_template_get(field->value, values, room, text_r, len_r);
    return found < 0 ? err_no_memory(err) : found;
}

int http_fields_put_json(const struct http_fields *fields, const struct http_values *values, struct buf *out, struct err *err) {
    struct buf room = BUF_INIT;
    const struct field *last = NULL;
    int result = 0;
    for (size_t i = 0; i < fields->n && result >= 0; i++) {
        const struct field *field = &fields->items[i];
        const char *text = NULL;
        size_t len = 0;
        result = field_text(field, values, &room, &text, &len, err);
        if (result == 1) {
            if (i == 0 || last == field - 1) {
                buf_put(out, field->lead, field->lead_len);
            } else {
                put_lead(last, field, out);
            }
            result = put_value(field, text, len, out, err);
            last = field;
        }
        if (result < 0) {
            (void)at_field(fields, field, err);
        }
    }
    if (last == NULL) {
        buf_putc(out, '{');
    } else {
        close_containers(last, NULL, out);
    }
    buf_putc(out, '}');
    buf_fini(&room);
    return result < 0 ? -1 : out->failed ? err_no_memory(err) : 0;
}

/* ---- forms ----------------------------------------------------------------------------------------------------------- */

void http_fields_put_form(const struct http_fields *fields, const struct http_values *values, const char *first, struct buf *out) {
    struct buf room = BUF_INIT;
    const char *separator = first;
    for (size_t i = 0; i < fields->n; i++) {
        const struct field *field = &fields->items[i];
        const char *text = NULL;
        size_t len = 0;
        buf_reset(&room);
        int found = http_template_get(field->value, values, &room, &text, &len);
        out->failed = out->failed || found < 0;
        if (found != 1) {
            continue;
        }
        buf_puts(out, separator);
        http_put_encoded(out, field->name, strlen(field->name));
        buf_putc(out, '=');
        http_put_encoded(out, text, len);
        separator = "&";
    }
    buf_fini(&room);
}
