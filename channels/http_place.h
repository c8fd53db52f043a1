/* http_place: places in an answer or a receipt where a description says that something stands. */
#ifndef REACH_CHANNELS_HTTP_PLACE_H
#define REACH_CHANNELS_HTTP_PLACE_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_PLACES "/json/pointer, header:Name, xml:Element, field:name or text"

enum http_place_kind { PLACE_NONE, PLACE_JSON, PLACE_HEADER, PLACE_XML, PLACE_FIELD, PLACE_TEXT };

struct http_place {
    enum http_place_kind kind;
    const char *name; /* JSON pointer (RFC 6901), header, element or field */
};

/* What a place is looked up in; members may be NULL. Everything is borrowed. */
struct http_source {
    json_t *json;
    const char *text; /* the body */
    size_t text_len;
    const char *(*header)(const void *ctx, const char *name);
    const char *(*field)(const void *ctx, const char *name); /* of a form or a query */
    const void *ctx;
};

/* Parses a place; NULL gives PLACE_NONE. `text` is borrowed. 0, or -1 with *err naming `key`. */
int http_place_parse(const char *key, const char *text, struct http_place *place, struct err *err);

/* The text at a place into out. 1, or 0 where there is none, it is empty, longer than cap - 1 or no scalar. */
int http_place_get(const struct http_source *source, const struct http_place *place, char *out, size_t cap);

/* The same; but what is not plain printable ASCII without blanks counts as absent, and out is then "". */
int http_place_get_plain(const struct http_source *source, const struct http_place *place, char *out, size_t cap);

/* The value a JSON pointer leads to, or NULL. Borrowed. */
json_t *http_pointer_get(json_t *value, const char *pointer);

#endif
