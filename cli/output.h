/* output: the two shapes of an answer: a JSON document for scripts, a table or lines for people. All of it goes to stdout. */
#ifndef REACH_CLI_OUTPUT_H
#define REACH_CLI_OUTPUT_H

#include "base/err.h"
#include "cli/ctl.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- JSON --------------------------------------------------------------------------------------------------------------- */
/* Prints one document and a newline, and drops the reference. CTL_DONE, or CTL_FAILED where `value_take` is NULL (no memory). */
enum ctl_exit output_json(json_t *value_take);

/* One long array, item by item, so that memory does not grow with it. */
struct output_array {
    bool begun;
};

void output_array_item(struct output_array *array, json_t *item_take);
void output_array_end(struct output_array *array);

/* ---- tables ------------------------------------------------------------------------------------------------------------- */
enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER, /* aligned to the right */
    COLUMN_LONG    /* wraps on a terminal that is too narrow */
};

struct column {
    const char *name;
    enum column_kind kind;
};

struct table;

/* An empty table. On a terminal it has colours (unless unwanted) and keeps to its width; elsewhere it is plain and as wide as it
 * needs to be. NULL when there is no memory. `columns` is borrowed. */
struct table *table_new(const struct ctl *ctl, const struct column *columns, size_t n);

enum mood { MOOD_PLAIN, MOOD_GOOD, MOOD_WARN, MOOD_BAD };

/* Appends a row of n cells (NULL: empty); the texts are copied. A failure is remembered and told by table_print(). */
void table_row(struct table *table, enum mood mood, const char *const *cells);

/* Number of rows. */
size_t table_rows(const struct table *table);

/* Prints it (nothing where it has no rows) and frees it; `table_take` may be NULL. CTL_DONE or CTL_FAILED. */
enum ctl_exit table_print(struct table *table_take);

/* ---- lines -------------------------------------------------------------------------------------------------------------- */
/* "label  value" with the labels aligned; the value's control characters are replaced. Nothing where value is NULL. */
void output_field(const char *label, const char *value);

/* A heading above a table, underlined by nothing but a blank line before it. */
void output_heading(const struct ctl *ctl, const char *text);

/* Whether stdout wants colours: a terminal, no --no-color, no NO_COLOR (https://no-color.org), TERM not "dumb". */
bool output_color(const struct ctl *ctl);

/* "3 s", "4 min", "2 h 5 min", "3 d 4 h": a span for people. Returns out. */
const char *output_span(int64_t ms, char *out, size_t cap);

#endif
