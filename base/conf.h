/* conf: YAML configuration described by tables; the tables give the checks, the defaults, the help and the redaction.
 *
 * A table describes one mapping that is stored in one C struct: each row says key, type, where it goes, default, range,
 * help. The engine refuses unknown keys, doubled keys, wrong types, values out of range and missing required keys, each with
 * "file:line: key: what is wrong (allowed: ...)". It expands nothing, includes nothing and reads no environment. */
#ifndef REACH_BASE_CONF_H
#define REACH_BASE_CONF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_BOOL,     /* bool: true, false */
    CONF_INT,      /* int64_t in [min, max] */
    CONF_SIZE,     /* int64_t bytes: 4096, 64KiB, 16MiB, 2GiB */
    CONF_DURATION, /* int64_t ms: ISO 8601 ("PT30S") or 250ms, 30s, 5m, 12h, 7d */
    CONF_STRING,   /* const char * */
    CONF_PATH,     /* const char *: a file or directory; relative ones are relative to the configuration file */
    CONF_CHOICE,   /* int64_t: index into `choices` */
    CONF_STRINGS,  /* struct conf_strings: a sequence of strings, or one string */
    CONF_PAIRS,    /* struct conf_pairs: a mapping of string to string, in file order */
    CONF_SECTION,  /* a struct in place, described by `table` */
    CONF_LIST,     /* struct conf_list of structs described by `table`: a sequence of mappings */
    CONF_VARIANT   /* void *: a struct described by the table that `variant` names for the value of the sibling key
                    * `variant_key` (which stands before it in the table); its keys are written beside the others, in the
                    * same mapping, not in one of their own. One per table, the last row. */
};

struct conf_strings {
    const char **items;
    size_t n;
};
struct conf_pair {
    const char *key;
    const char *value;
};
struct conf_pairs {
    struct conf_pair *items;
    size_t n;
};
struct conf_list {
    void *items;
    size_t n;
    size_t item_size;
    const int *lines; /* where each item stands in the file; NULL where the list is empty */
};

struct conf_table;

struct conf_key {
    const char *name;
    enum conf_type type;
    size_t offset;              /* offsetof() in the struct of the table */
    const char *initial;        /* the default as it would be written; NULL: 0, NULL or empty */
    int64_t min, max;           /* CONF_INT, CONF_SIZE, CONF_DURATION; strings: length; both 0: no limit */
    const char *const *choices; /* CONF_CHOICE: NULL-terminated */
    const struct conf_table *table;
    const struct conf_table *(*variant)(const char *value); /* NULL: no such variant (refused, with variant_names) */
    const char *variant_key;
    const char *variant_names; /* "smtp, http, null": for the error text */
    bool required;
    bool secret;      /* never printed */
    const char *help; /* one line */
};

/* Where an object stands in its file, for errors that a `check` finds later. */
struct conf_where {
    const char *file;
    int line;
};

struct conf_table {
    const char *name;
    const struct conf_key *keys;
    size_t n_keys;
    size_t size;         /* sizeof the struct */
    size_t where_offset; /* offsetof a struct conf_where in it, or SIZE_MAX */
    /* Looks at the filled struct as a whole; 0, or -1 with *err (the engine adds file and line). May be NULL. */
    int (*check)(void *object, struct err *err);
};

/* Reads `path` into *object (zeroed and filled with defaults first). Everything it points to lives in `arena`.
 * 0, or -1 with *err ("reachd.yaml:12: redis.prot: unknown key (known: address, username, ...)"). */
int conf_read_file(const char *path, const struct conf_table *table, void *object, struct arena *arena, struct err *err);

/* The same from a text; `file` is the name used in errors and for CONF_PATH. */
int conf_read_text(const char *text, size_t len, const char *file, const struct conf_table *table, void *object, struct arena *arena,
                   struct err *err);

/* Only the defaults. 0, or -1 with *err (a required key has none). */
int conf_defaults(const struct conf_table *table, void *object, struct arena *arena, struct err *err);

/* A reference of all keys as Markdown (key, type, default, range, help), for docs and `--help-config`. */
void conf_describe(const struct conf_table *table, struct buf *out);

/* Appends a JSON Schema (2020-12) of one mapping of the table, whose rows hold neither sections nor lists. `required`: names of keys that
 * must stand there, NULL at the end. */
void conf_schema(const struct conf_table *table, const char *id, const char *const *required, struct buf *out);

/* "file:line" of an object, for a message; into out; returns out. */
const char *conf_where_text(const struct conf_where *where, char *out, size_t cap);

/* Reads a secret from a file (first line, trailing newline removed, 1..4096 bytes). Refuses a file that others may read
 * (mode & 077 beyond group read), with the chmod that mends it. 0 and *secret_r in the arena, or -1 with *err. */
int conf_read_secret(const char *path, struct arena *arena, const char **secret_r, struct err *err);

/* The same for a key of several lines (PEM, JSON): the whole text, 1..16384 bytes. */
int conf_read_key(const char *path, struct arena *arena, const char **text_r, struct err *err);

#endif
