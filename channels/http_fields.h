/* http_fields: the named values of a request: a form, a query, a JSON body, a header block, the claims of a token. */
#ifndef REACH_CHANNELS_HTTP_FIELDS_H
#define REACH_CHANNELS_HTTP_FIELDS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "channels/http_template.h"

#include <stdbool.h>

struct http_fields; /* lives in an arena */

/* Compiles pairs of name and template. `typed`: values int:... and json:... are numbers and literal JSON, not strings. `key` is the
 * configuration key they stand under, named in errors. NULL with *err. */
const struct http_fields *http_fields_new(const char *key, const struct conf_pairs *pairs, bool typed, const struct conf_pairs *constants,
                                          struct arena *arena, struct err *err);

size_t http_fields_count(const struct http_fields *fields);
const char *http_fields_name(const struct http_fields *fields, size_t i);

/* Appends the filled value of field i as it is. 1, or 0 where a value is absent. */
int http_fields_put(const struct http_fields *fields, size_t i, const struct http_values *values, struct buf *out);

/* Whether the names make one JSON object: "a.b" nests, "a.0" is an array's element. 0, or -1 with *err naming key and field. */
int http_fields_check_json(const struct http_fields *fields, struct err *err);

/* Appends that object; fields with absent values are left out. Only after http_fields_check_json(). 0, or -1 with *err. */
int http_fields_put_json(const struct http_fields *fields, const struct http_values *values, struct buf *out, struct err *err);

/* Whether any field holds this placeholder. */
bool http_fields_use(const struct http_fields *fields, enum http_value value);

/* Appends name=value&... percent-encoded, with `first` before the first pair ("", "?" or "&"). `out` tells of a failure. */
void http_fields_put_form(const struct http_fields *fields, const struct http_values *values, const char *first, struct buf *out);

#endif
