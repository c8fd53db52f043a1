/* http_place: see http_place.h.
 *
 *   /a/0/b        a JSON pointer (RFC 6901)
 *   header:Name   the first header of that name
 *   xml:Element   the text of the first element of that local name. No XML parser: answers are flat, and ids and codes hold neither
 *                 entities nor markup; where that is not so, the place counts as empty
 *   field:name    a field of a form or a query (receipts)
 *   text          the body's first word, up to a colon or blank ("0: Accepted for delivery" gives 0)
 *
 * Total: any foreign bytes in, a bounded text out or nothing. What leaves through http_place_get_plain() is safe in a log line, a
 * record and a code table; whether it means anything is the caller's business. */
#include "channels/http_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int http_place_parse(const char *key, const char *text, struct http_place *place, struct err *err) {
    static const struct {
        const char *prefix;
        enum http_place_kind kind;
    } kinds[] = {{"header:", PLACE_HEADER}, {"xml:", PLACE_XML}, {"field:", PLACE_FIELD}};
    *place = (struct http_place){PLACE_NONE, NULL};
    if (text == NULL) {
        return 0;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t len = strlen(kinds[i].prefix);
        if (strncmp(text, kinds[i].prefix, len) == 0 && text[len] != '\0') {
            *place = (struct http_place){kinds[i].kind, text + len};
            return 0;
        }
    }
    if (text[0] == '/') {
        *place = (struct http_place){PLACE_JSON, text};
    } else if (strcmp(text, "text") == 0) {
        *place = (struct http_place){PLACE_TEXT, text};
    } else {
        return err_member(err, key, "\"%s\" is not a place (allowed: %s)", text, HTTP_PLACES);
    }
    return 0;
}

/* One reference token of a JSON pointer, unescaped, into `out`; returns what follows it, or NULL where it is too long. */
static const char *next_token(const char *pointer, char *out, size_t cap) {
    size_t len = 0;
    for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
        if (len + 1 >= cap) {
            return NULL;
        }
        char c = *pointer;
        if (c == '~' && (pointer[1] == '0' || pointer[1] == '1')) {
            c = pointer[1] == '0' ? '~' : '/';
            pointer++;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return pointer;
}

json_t *http_pointer_get(json_t *value, const char *pointer) {
    char token[128];
    while (value != NULL && *pointer == '/') {
        pointer = next_token(pointer, token, sizeof token);
        if (pointer == NULL) {
            return NULL;
        }
        if (json_is_array(value)) {
            char *end = NULL;
            unsigned long index = strtoul(token, &end, 10);
            value = end == token || *end != '\0' ? NULL : json_array_get(value, index);
        } else {
            value = json_object_get(value, token);
        }
    }
    return value;
}

static int copy_text(const char *text, size_t len, char *out, size_t cap) {
    if (text == NULL || len == 0 || len >= cap) {
        return 0;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return 1;
}

static int scalar_text(const json_t *value, char *out, size_t cap) {
    if (json_is_string(value)) {
        return copy_text(json_string_value(value), json_string_length(value), out, cap);
    }
    if (json_is_integer(value)) {
        return snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) < (int)cap;
    }
    if (json_is_boolean(value)) {
        return snprintf(out, cap, "%s", json_is_true(value) ? "true" : "false") < (int)cap;
    }
    return 0;
}

/* The text between "<name>" or "<name attr...>" and the next '<'. */
static int element_text(const char *xml, const char *name, char *out, size_t cap) {
    size_t name_len = strlen(name);
    for (const char *at = xml; at != NULL && (at = strchr(at, '<')) != NULL; at++) {
        if (strncmp(at + 1, name, name_len) == 0 && strchr("> \t\r\n", at[1 + name_len]) != NULL && at[1 + name_len] != '\0') {
            const char *text = strchr(at, '>');
            return text == NULL ? 0 : copy_text(text + 1, strcspn(text + 1, "<"), out, cap);
        }
    }
    return 0;
}

int http_place_get(const struct http_source *source, const struct http_place *place, char *out, size_t cap) {
    const char *value = NULL;
    switch (place->kind) {
    case PLACE_NONE: return 0;
    case PLACE_JSON: return scalar_text(http_pointer_get(source->json, place->name), out, cap);
    case PLACE_HEADER: value = source->header == NULL ? NULL : source->header(source->ctx, place->name); break;
    case PLACE_FIELD: value = source->field == NULL ? NULL : source->field(source->ctx, place->name); break;
    case PLACE_XML: return source->text == NULL ? 0 : element_text(source->text, place->name, out, cap);
    case PLACE_TEXT: return source->text == NULL ? 0 : copy_text(source->text, strcspn(source->text, ": \t\r\n"), out, cap);
    }
    return copy_text(value, value == NULL ? 0 : strlen(value), out, cap);
}

int http_place_get_plain(const struct http_source *source, const struct http_place *place, char *out, size_t cap) {
    if (http_place_get(source, place, out, cap) == 1) {
        const char *at = out;
        while (*at > ' ' && *at <= '~') {
            at++;
        }
        if (*at == '\0') {
            return 1;
        }
    }
    out[0] = '\0';
    return 0;
}
