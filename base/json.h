/* json: jansson, strictly: no duplicate keys, no NUL, bounded depth and size, unknown members refused with their path.
 *
 * A struct json_in walks one object: every json_in_* getter marks a member as known and json_in_end() refuses the rest, so a
 * reader lists each member once and nothing is silently ignored (P12). After the first failure the getters return their
 * "absent" value and keep the first error; check once, at json_in_end(). */
#ifndef REACH_BASE_JSON_H
#define REACH_BASE_JSON_H

#include "base/arena.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_TEXT_MAX_BYTES 65536
#define JSON_DEPTH_MAX 32

/* Parses exactly one JSON value. `max_bytes` 0 means JSON_TEXT_MAX_BYTES. Refuses invalid UTF-8, duplicate members, depth over
 * JSON_DEPTH_MAX, trailing text, "\u0000". A new reference, or NULL with *err (ERR_SYNTAX, ERR_LIMIT). */
json_t *json_parse_strict(const char *text, size_t len, size_t max_bytes, struct err *err);

enum { JSON_IN_MEMBERS_MAX = 32 };

struct json_in {
    json_t *object;   /* borrowed */
    const char *path; /* of the object, "" at the top; borrowed */
    struct err *err;
    bool failed;
    const char *known[JSON_IN_MEMBERS_MAX];
    size_t n_known;
};

/* Starts on `value`, which must be an object (else fails with the path). `path` and `err` are borrowed until json_in_end. */
void json_in_begin(struct json_in *in, json_t *value, const char *path, struct err *err);

/* 0, or -1 where anything failed or an unknown member is left; the error names the member with its whole path. */
int json_in_end(struct json_in *in);

/* Fails the walk at member `name` (printf). Returns -1. Keeps an earlier error. */
int json_in_fail(struct json_in *in, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The member's path ("customer.contacts[2].address") into `out`; returns `out`. */
const char *json_in_path(const struct json_in *in, const char *name, char *out, size_t cap);

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

/* Any value, or NULL where absent. */
json_t *json_in_any(struct json_in *in, const char *name, enum json_need need);
json_t *json_in_object(struct json_in *in, const char *name, enum json_need need);
json_t *json_in_array(struct json_in *in, const char *name, enum json_need need);

/* A string of 1..max_len bytes without control characters; borrowed from the document. NULL where absent. */
const char *json_in_string(struct json_in *in, const char *name, enum json_need need, size_t max_len);

/* A text_is_id() string. */
const char *json_in_id(struct json_in *in, const char *name, enum json_need need);

/* An integer in [min, max]; `absent` where it is not there. */
int64_t json_in_int(struct json_in *in, const char *name, enum json_need need, int64_t min, int64_t max, int64_t absent);

bool json_in_bool(struct json_in *in, const char *name, bool absent);

/* RFC 3339 time, ISO 8601 duration; 0 where absent. */
int64_t json_in_time(struct json_in *in, const char *name, enum json_need need);
int64_t json_in_duration(struct json_in *in, const char *name, enum json_need need);

#endif
