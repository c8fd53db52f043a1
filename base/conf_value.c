/* conf_value: see conf_value.h.
 *
 * One function per type turns the written form into the stored one. All of them are strict: `yes` is not a truth value, `30` is
 * not a duration, a quoted "5" is not a number. What is refused is answered with what is allowed.
 *
 * Guarantees: a slot is written only when the value is good. A secret's value is never quoted in an error.
 * Fails: with the line and the place of the value. Does not: expand, substitute or look at the file system. */
#include "base/conf_value.h"

#include "base/clock.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUOTED_MAX = 48 };

/* ---- errors --------------------------------------------------------------------------------------------------------- */

const char *conf_place_text(const struct conf_place *place, char *out, size_t cap) {
    if (place == NULL) {
        out[0] = '\0';
        return out;
    }
    (void)conf_place_text(place->up, out, cap);
    size_t used = strlen(out);
    if (place->name == NULL) {
        (void)snprintf(out + used, cap - used, "[%zu]", place->index);
    } else {
        (void)snprintf(out + used, cap - used, "%s%s", used == 0 ? "" : ".", place->name);
    }
    return out;
}

int conf_fail(const struct conf_reader *reader, int line, const struct conf_place *place, const char *format, ...) {
    char path[CONF_PLACE_MAX];
    char what[300];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)conf_place_text(place, path, sizeof path);
    const char *file = reader->file == NULL ? "default" : reader->file;
    return err_member(reader->err, path, "%s:%d: %s%s%s", file, line, path, path[0] == '\0' ? "" : ": ", what);
}

/* The value for an error text: quoted and cut between characters; a secret or something that is no scalar only in words. */
static const char *quote(const struct conf_key *key, const struct conf_node *node, char out[QUOTED_MAX]) {
    size_t len = node->kind == CONF_NODE_SCALAR ? strlen(node->text) : 0;
    if (key->secret || node->kind != CONF_NODE_SCALAR) {
        (void)snprintf(out, QUOTED_MAX, "%s",
                       node->kind == CONF_NODE_SCALAR    ? "the value"
                       : node->kind == CONF_NODE_MAPPING ? "a mapping"
                                                         : "a sequence");
        return out;
    }
    bool cut = len > QUOTED_MAX - 6;
    if (cut) {
        for (len = QUOTED_MAX - 6; len > 0 && ((unsigned char)node->text[len] & 0xc0) == 0x80; len--) {
        }
    }
    (void)snprintf(out, QUOTED_MAX, "\"%.*s%s\"", (int)len, node->text, cut ? "..." : "");
    return out;
}

static int refuse(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                  const struct conf_node *node, const char *what) {
    char quoted[QUOTED_MAX];
    char allowed[CONF_ALLOWED_MAX];
    (void)conf_value_allowed(key, allowed);
    if (conf_node_is_empty(node)) {
        return conf_fail(reader, node->line, place, "has no value%s%s%s", allowed[0] == '\0' ? "" : " (allowed: ", allowed,
                         allowed[0] == '\0' ? "" : ")");
    }
    return conf_fail(reader, node->line, place, "%s %s%s%s%s", quote(key, node, quoted), what,
                     allowed[0] == '\0' ? "" : " (allowed: ", allowed, allowed[0] == '\0' ? "" : ")");
}

/* ---- units ---------------------------------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit size_units[] = {{"GiB", INT64_C(1) << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}};
static const struct unit duration_units[] = {
    {"d", INT64_C(86400000)}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
enum { SIZE_UNITS = sizeof size_units / sizeof *size_units, DURATION_UNITS = sizeof duration_units / sizeof *duration_units };

/* Reads digits with a unit behind them. 0, or -1 where it is anything else or too large. */
static int read_with_unit(const char *text, const struct unit *units, size_t n_units, int64_t *value_r) {
    if (!isdigit((unsigned char)text[0])) {
        return -1;
    }
    errno = 0;
    char *rest = NULL;
    long long number = strtoll(text, &rest, 10);
    for (size_t i = 0; errno == 0 && i < n_units; i++) {
        if (strcmp(rest, units[i].name) == 0) {
            return __builtin_mul_overflow((int64_t)number, units[i].factor, value_r) ? -1 : 0;
        }
    }
    return -1;
}

static const char *write_with_unit(int64_t value, const struct unit *units, size_t n_units, char *out, size_t cap) {
    size_t i = 0;
    while (i + 1 < n_units && (value == 0 || value % units[i].factor != 0)) {
        i++;
    }
    (void)snprintf(out, cap, "%lld%s", (long long)(value / units[i].factor), units[i].name);
    return out;
}

static const char *number_text(enum conf_type type, int64_t value, char *out, size_t cap) {
    if (type == CONF_SIZE) {
        return write_with_unit(value, size_units, SIZE_UNITS, out, cap);
    }
    if (type == CONF_DURATION) {
        return write_with_unit(value, duration_units, DURATION_UNITS, out, cap);
    }
    (void)snprintf(out, cap, "%lld", (long long)value);
    return out;
}

/* ---- what is allowed ------------------------------------------------------------------------------------------------ */

static bool has_range(const struct conf_key *key) {
    return key->min != 0 || key->max != 0;
}

static void allowed_range(const struct conf_key *key, const char *without, char out[CONF_ALLOWED_MAX]) {
    char low[32];
    char high[32];
    if (!has_range(key)) {
        (void)snprintf(out, CONF_ALLOWED_MAX, "%s", without);
        return;
    }
    (void)snprintf(out, CONF_ALLOWED_MAX, "%s to %s", number_text(key->type, key->min, low, sizeof low),
                   number_text(key->type, key->max, high, sizeof high));
}

static void allowed_choices(const struct conf_key *key, char out[CONF_ALLOWED_MAX]) {
    size_t used = 0;
    for (size_t i = 0; key->choices[i] != NULL && used < CONF_ALLOWED_MAX; i++) {
        used += (size_t)snprintf(out + used, CONF_ALLOWED_MAX - used, "%s%s", i == 0 ? "" : ", ", key->choices[i]);
    }
}

const char *conf_value_allowed(const struct conf_key *key, char out[CONF_ALLOWED_MAX]) {
    out[0] = '\0';
    switch (key->type) {
    case CONF_BOOL: (void)snprintf(out, CONF_ALLOWED_MAX, "true, false"); break;
    case CONF_INT: allowed_range(key, "a whole number", out); break;
    case CONF_SIZE: allowed_range(key, "a size such as 4096, 64KiB, 16MiB, 2GiB", out); break;
    case CONF_DURATION: allowed_range(key, "a duration such as 250ms, 30s, 5m, 12h, 7d or PT30S", out); break;
    case CONF_CHOICE: allowed_choices(key, out); break;
    case CONF_STRING:
    case CONF_PATH:
        if (has_range(key)) {
            (void)snprintf(out, CONF_ALLOWED_MAX, "%lld to %lld bytes", (long long)key->min, (long long)key->max);
        }
        break;
    default: break;
    }
    return out;
}

const char *conf_value_type_name(enum conf_type type) {
    switch (type) {
    case CONF_BOOL: return "true or false";
    case CONF_INT: return "whole number";
    case CONF_SIZE: return "size";
    case CONF_DURATION: return "duration";
    case CONF_STRING: return "text";
    case CONF_PATH: return "path";
    case CONF_CHOICE: return "choice";
    case CONF_STRINGS: return "list of text";
    case CONF_PAIRS: return "mapping of text to text";
    case CONF_SECTION: return "section";
    case CONF_LIST: return "list of sections";
    case CONF_VARIANT: return "variant";
    }
    return "?";
}

/* ---- one function per type ------------------------------------------------------------------------------------------ */

static int store_bool(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                      const struct conf_node *node, void *slot) {
    bool is_true = strcmp(node->text, "true") == 0;
    if (!node->plain || (!is_true && strcmp(node->text, "false") != 0)) {
        return refuse(reader, place, key, node, "is not true or false");
    }
    *(bool *)slot = is_true;
    return 0;
}

static int read_int(const char *text, int64_t *value_r) {
    if (text[0] != '-') {
        return read_with_unit(text, size_units + SIZE_UNITS - 1, 1, value_r);
    }
    int rc = read_with_unit(text + 1, size_units + SIZE_UNITS - 1, 1, value_r);
    *value_r = -*value_r;
    return rc;
}

static int read_number(enum conf_type type, const char *text, int64_t *value_r) {
    if (type == CONF_SIZE) {
        return read_with_unit(text, size_units, SIZE_UNITS, value_r);
    }
    if (type == CONF_DURATION) {
        return text[0] == 'P' ? duration_parse(text, value_r) : read_with_unit(text, duration_units, DURATION_UNITS, value_r);
    }
    return read_int(text, value_r);
}

static int store_number(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                        const struct conf_node *node, void *slot) {
    int64_t value = 0;
    if (!node->plain || read_number(key->type, node->text, &value) < 0) {
        return refuse(reader, place, key, node,
                      key->type == CONF_SIZE       ? "is not a size such as 4096, 64KiB or 16MiB"
                      : key->type == CONF_DURATION ? "is not a duration with its unit, such as 250ms, 30s, 5m, 12h or 7d"
                                                   : "is not a whole number");
    }
    if (has_range(key) && (value < key->min || value > key->max)) {
        return refuse(reader, place, key, node, "is out of range");
    }
    *(int64_t *)slot = value;
    return 0;
}

static int store_choice(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                        const struct conf_node *node, void *slot) {
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        if (strcmp(node->text, key->choices[i]) == 0) {
            *(int64_t *)slot = (int64_t)i;
            return 0;
        }
    }
    return refuse(reader, place, key, node, "is not one of the choices");
}

/* Whether a text has control characters that have no business in it; a block may hold line ends and tabs. */
static bool has_control(const struct conf_node *node) {
    for (const unsigned char *p = (const unsigned char *)node->text; *p != '\0'; p++) {
        bool of_block = node->block && (*p == '\n' || *p == '\t');
        if ((*p < 0x20 && !of_block) || *p == 0x7f) {
            return true;
        }
    }
    return false;
}

static int check_text(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                      const struct conf_node *node) {
    if (node->kind != CONF_NODE_SCALAR || conf_node_is_empty(node)) {
        return refuse(reader, place, key, node, "is not a text");
    }
    if (has_control(node)) {
        return conf_fail(reader, node->line, place, "holds control characters (allowed: one line; several lines only as a block, \"|\")");
    }
    int64_t len = (int64_t)strlen(node->text);
    if (has_range(key) && (len < key->min || len > key->max)) {
        return refuse(reader, place, key, node, len < key->min ? "is too short" : "is too long");
    }
    return 0;
}

static int store_string(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                        const struct conf_node *node, void *slot) {
    if (check_text(reader, place, key, node) < 0) {
        return -1;
    }
    *(const char **)slot = node->text;
    return 0;
}

static int store_path(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                      const struct conf_node *node, void *slot) {
    if (node->text[0] == '\0' || node->block) {
        return refuse(reader, place, key, node, "is not a path");
    }
    if (check_text(reader, place, key, node) < 0) {
        return -1;
    }
    const char *path = node->text;
    const char *slash = reader->file == NULL ? NULL : strrchr(reader->file, '/');
    if (path[0] != '/' && slash != NULL) {
        path = arena_printf(reader->arena, "%.*s/%s", (int)(slash - reader->file), reader->file, path);
        if (path == NULL) {
            return err_no_memory(reader->err);
        }
    }
    *(const char **)slot = path;
    return 0;
}

static int store_strings(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                         const struct conf_node *node, struct conf_strings *strings) {
    const struct conf_node *item = node->kind == CONF_NODE_SEQUENCE ? node->first : node;
    size_t n = node->kind == CONF_NODE_SEQUENCE ? node->n : 1;
    if (node->kind == CONF_NODE_MAPPING) {
        return refuse(reader, place, key, node, "is not a list of texts");
    }
    if (conf_node_is_empty(node)) {
        return 0;
    }
    const char **items = arena_array(reader->arena, n, sizeof *items);
    if (items == NULL) {
        return err_no_memory(reader->err);
    }
    for (size_t i = 0; i < n; i++, item = item->next) {
        struct conf_place at = {place, NULL, i};
        if (check_text(reader, &at, key, item) < 0) {
            return -1;
        }
        items[i] = item->text;
    }
    *strings = (struct conf_strings){items, n};
    return 0;
}

static int store_pairs(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                       const struct conf_node *node, struct conf_pairs *pairs) {
    if (conf_node_is_empty(node)) {
        return 0;
    }
    if (node->kind != CONF_NODE_MAPPING) {
        return refuse(reader, place, key, node, "is not a mapping of text to text");
    }
    struct conf_pair *items = arena_array(reader->arena, node->n, sizeof *items);
    if (items == NULL) {
        return err_no_memory(reader->err);
    }
    size_t i = 0;
    for (const struct conf_node *child = node->first; child != NULL; child = child->next, i++) {
        struct conf_place at = {place, child->name, 0};
        if (check_text(reader, &at, key, child) < 0) {
            return -1;
        }
        items[i] = (struct conf_pair){child->name, child->text};
    }
    *pairs = (struct conf_pairs){items, node->n};
    return 0;
}

/* ---- storing -------------------------------------------------------------------------------------------------------- */

int conf_value_store(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                     const struct conf_node *node, void *slot) {
    if (key->type == CONF_STRINGS) {
        return store_strings(reader, place, key, node, slot);
    }
    if (key->type == CONF_PAIRS) {
        return store_pairs(reader, place, key, node, slot);
    }
    if (node->kind != CONF_NODE_SCALAR || conf_node_is_empty(node)) {
        return refuse(reader, place, key, node, "is not a single value");
    }
    switch (key->type) {
    case CONF_BOOL: return store_bool(reader, place, key, node, slot);
    case CONF_INT:
    case CONF_SIZE:
    case CONF_DURATION: return store_number(reader, place, key, node, slot);
    case CONF_CHOICE: return store_choice(reader, place, key, node, slot);
    case CONF_PATH: return store_path(reader, place, key, node, slot);
    default: assert(key->type == CONF_STRING); return store_string(reader, place, key, node, slot);
    }
}

int conf_value_store_initial(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key, void *slot) {
    if (key->initial == NULL) {
        return 0;
    }
    assert(key->type != CONF_PAIRS);
    const struct conf_node node = {.kind = CONF_NODE_SCALAR, .text = key->initial, .plain = true};
    return conf_value_store(reader, place, key, &node, slot);
}
