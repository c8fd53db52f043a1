/* json: see json.h.
 *
 * jansson does the parsing; this file adds what it does not check by itself: a size limit before parsing, a depth limit (its own
 * is 2,048), and the walk that refuses unknown members with a path a producer can find.
 *
 * Guarantees: json_parse_strict never returns a value that holds a NUL or a doubled member. Errors never quote a value, which
 * may be an address; they name the member and what was expected. */
#include "base/json.h"

#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Deepest nesting of a JSON text, read off its brackets outside strings: bounded work before anything is allocated. */
static int text_depth(const char *text, size_t len) {
    int depth = 0;
    int deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return deepest;
}

json_t *json_parse_strict(const char *text, size_t len, size_t max_bytes, struct err *err) {
    size_t limit = max_bytes == 0 ? JSON_TEXT_MAX_BYTES : max_bytes;
    if (len > limit) {
        (void)err_set(err, ERR_LIMIT, "%zu bytes are more than the %zu allowed", len, limit);
        return NULL;
    }
    if (text_depth(text, len) > JSON_DEPTH_MAX) {
        (void)err_set(err, ERR_LIMIT, "nested deeper than %d levels", JSON_DEPTH_MAX);
        return NULL;
    }
    json_error_t at;
    json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    if (value == NULL) {
        /* jansson quotes the text near the fault ("... near 'x'"), which may be personal: keep only what comes before. */
        char *near = strstr(at.text, " near ");
        if (near != NULL) {
            *near = '\0';
        }
        (void)err_set(err, ERR_SYNTAX, "not valid JSON: %s (line %d, column %d)", at.text, at.line, at.column);
    }
    return value;
}

const char *json_in_path(const struct json_in *in, const char *name, char *out, size_t cap) {
    (void)snprintf(out, cap, "%s%s%s", in->path, in->path[0] == '\0' || name[0] == '\0' ? "" : ".", name);
    return out;
}

int json_in_fail(struct json_in *in, const char *name, const char *format, ...) {
    if (in->failed) {
        return -1;
    }
    in->failed = true;
    char path[96];
    char text[300];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_member(in->err, json_in_path(in, name, path, sizeof path), "%s", text);
}

void json_in_begin(struct json_in *in, json_t *value, const char *path, struct err *err) {
    *in = (struct json_in){.object = value, .path = path, .err = err};
    if (!json_is_object(value)) {
        (void)json_in_fail(in, "", "must be an object");
        in->object = NULL;
    }
}

static bool is_known(const struct json_in *in, const char *name) {
    for (size_t i = 0; i < in->n_known; i++) {
        if (strcmp(in->known[i], name) == 0) {
            return true;
        }
    }
    return false;
}

int json_in_end(struct json_in *in) {
    const char *name;
    json_t *value;
    if (!in->failed && in->object != NULL) {
        json_object_foreach(in->object, name, value) {
            if (!is_known(in, name)) {
                char shown[64];
                (void)snprintf(shown, sizeof shown, "%s", name);
                (void)json_in_fail(in, shown, "unknown member");
                break;
            }
        }
    }
    return in->failed ? -1 : 0;
}

json_t *json_in_any(struct json_in *in, const char *name, enum json_need need) {
    assert(in->n_known < JSON_IN_MEMBERS_MAX);
    in->known[in->n_known++] = name;
    json_t *value = in->object == NULL ? NULL : json_object_get(in->object, name);
    if (value == NULL && need == JSON_REQUIRED) {
        (void)json_in_fail(in, name, "is missing");
    }
    return value;
}

json_t *json_in_object(struct json_in *in, const char *name, enum json_need need) {
    json_t *value = json_in_any(in, name, need);
    if (value != NULL && !json_is_object(value)) {
        (void)json_in_fail(in, name, "must be an object");
        return NULL;
    }
    return value;
}

json_t *json_in_array(struct json_in *in, const char *name, enum json_need need) {
    json_t *value = json_in_any(in, name, need);
    if (value != NULL && !json_is_array(value)) {
        (void)json_in_fail(in, name, "must be an array");
        return NULL;
    }
    return value;
}

static bool has_control(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f) {
            return true;
        }
    }
    return false;
}

const char *json_in_string(struct json_in *in, const char *name, enum json_need need, size_t max_len) {
    json_t *value = json_in_any(in, name, need);
    if (value == NULL) {
        return NULL;
    }
    if (!json_is_string(value)) {
        (void)json_in_fail(in, name, "must be a string");
        return NULL;
    }
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (len == 0 || len > max_len) {
        (void)json_in_fail(in, name, "must be 1 to %zu bytes long", max_len);
        return NULL;
    }
    if (has_control(text, len)) {
        (void)json_in_fail(in, name, "must not hold control characters");
        return NULL;
    }
    return text;
}

const char *json_in_id(struct json_in *in, const char *name, enum json_need need) {
    const char *text = json_in_string(in, name, need, 128);
    if (text != NULL && !text_is_id(text)) {
        (void)json_in_fail(in, name, "must be 1 to 128 characters out of A-Z a-z 0-9 . _ : @ + / = -");
        return NULL;
    }
    return text;
}

int64_t json_in_int(struct json_in *in, const char *name, enum json_need need, int64_t min, int64_t max, int64_t absent) {
    json_t *value = json_in_any(in, name, need);
    if (value == NULL) {
        return absent;
    }
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max) {
        (void)json_in_fail(in, name, "must be an integer from %lld to %lld", (long long)min, (long long)max);
        return absent;
    }
    return json_integer_value(value);
}

bool json_in_bool(struct json_in *in, const char *name, bool absent) {
    json_t *value = json_in_any(in, name, JSON_OPTIONAL);
    if (value == NULL) {
        return absent;
    }
    if (!json_is_boolean(value)) {
        (void)json_in_fail(in, name, "must be true or false");
        return absent;
    }
    return json_is_true(value);
}

int64_t json_in_time(struct json_in *in, const char *name, enum json_need need) {
    const char *text = json_in_string(in, name, need, 40);
    int64_t ms = 0;
    if (text != NULL && time_parse(text, &ms) < 0) {
        (void)json_in_fail(in, name, "must be an RFC 3339 time with a zone, such as 2026-12-23T18:00:00Z");
    }
    return ms;
}

int64_t json_in_duration(struct json_in *in, const char *name, enum json_need need) {
    const char *text = json_in_string(in, name, need, 40);
    int64_t ms = 0;
    if (text != NULL && duration_parse(text, &ms) < 0) {
        (void)json_in_fail(in, name, "must be an ISO 8601 duration of weeks, days, hours, minutes or seconds, such as PT30M");
    }
    return ms;
}
