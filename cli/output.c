/* output: see output.h.
 *
 * Tables are drawn by libsmartcols: it knows how wide a character is and escapes what could steer a terminal. On a terminal long
 * columns wrap to its width; into a pipe or a file a table is plain text, one line a row, never cut, so that grep and awk see
 * everything.
 *
 * Guarantees: nothing here writes anywhere but to stdout. Whether the writes succeeded is found out once, at the end (main.c).
 *
 * Fails: by want of memory only; a table that lost a row is not printed at all. */
#include "cli/output.h"

#include "base/text.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JSON_FLAGS = JSON_INDENT(2) };

enum ctl_exit output_json(json_t *value_take) {
    if (value_take == NULL) {
        ctl_say("out of memory");
        return CTL_FAILED;
    }
    (void)json_dumpf(value_take, stdout, JSON_FLAGS); /* a failed write stays in ferror(stdout) */
    (void)putchar('\n');
    json_decref(value_take);
    return CTL_DONE;
}

void output_array_item(struct output_array *array, json_t *item_take) {
    (void)fputs(array->begun ? ",\n" : "[\n", stdout);
    array->begun = true;
    (void)json_dumpf(item_take, stdout, JSON_COMPACT);
    json_decref(item_take);
}

void output_array_end(struct output_array *array) {
    (void)fputs(array->begun ? "\n]\n" : "[]\n", stdout);
}

bool output_color(const struct ctl *ctl) {
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return !ctl->globals.no_color && (no_color == NULL || no_color[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
           isatty(STDOUT_FILENO) != 0;
}

struct table {
    struct libscols_table *scols;
    size_t n_columns;
    size_t n_rows;
    bool failed;
};

static int column_flags(enum column_kind kind, bool terminal) {
    switch (kind) {
    case COLUMN_NUMBER: return SCOLS_FL_RIGHT;
    case COLUMN_LONG: return terminal ? SCOLS_FL_WRAP : 0;
    case COLUMN_TEXT: return 0;
    }
    return 0;
}

struct table *table_new(const struct ctl *ctl, const struct column *columns, size_t n) {
    struct table *table = calloc(1, sizeof *table);
    struct libscols_table *scols = scols_new_table();
    bool terminal = isatty(STDOUT_FILENO) != 0;
    bool ok = table != NULL && scols != NULL && scols_table_enable_colors(scols, output_color(ctl)) == 0 &&
              scols_table_set_termforce(scols, terminal ? SCOLS_TERMFORCE_AUTO : SCOLS_TERMFORCE_NEVER) == 0 &&
              scols_table_set_column_separator(scols, "  ") == 0 && scols_table_enable_header_repeat(scols, 0) == 0;
    for (size_t i = 0; ok && i < n; i++) {
        struct libscols_column *column = scols_table_new_column(scols, columns[i].name, 0, column_flags(columns[i].kind, terminal));
        ok = column != NULL;
        if (ok && output_color(ctl)) {
            ok = scols_cell_set_color(scols_column_get_header(column), "bold") == 0;
        }
    }
    if (!ok) {
        scols_unref_table(scols);
        free(table);
        return NULL;
    }
    *table = (struct table){.scols = scols, .n_columns = n};
    return table;
}

static const char *mood_color(enum mood mood) {
    switch (mood) {
    case MOOD_GOOD: return "green";
    case MOOD_WARN: return "yellow";
    case MOOD_BAD: return "red";
    case MOOD_PLAIN: return NULL;
    }
    return NULL;
}

void table_row(struct table *table, enum mood mood, const char *const *cells) {
    struct libscols_line *line = scols_table_new_line(table->scols, NULL);
    if (line == NULL) {
        table->failed = true;
        return;
    }
    for (size_t i = 0; i < table->n_columns; i++) {
        if (cells[i] != NULL && scols_line_set_data(line, i, cells[i]) != 0) {
            table->failed = true;
        }
    }
    if (mood_color(mood) != NULL && scols_line_set_color(line, mood_color(mood)) != 0) {
        table->failed = true;
    }
    table->n_rows++;
}

size_t table_rows(const struct table *table) {
    return table->n_rows;
}

enum ctl_exit table_print(struct table *table_take) {
    if (table_take == NULL) {
        ctl_say("out of memory");
        return CTL_FAILED;
    }
    bool failed = table_take->failed;
    if (!failed && table_take->n_rows > 0) {
        failed = scols_print_table(table_take->scols) < 0;
    }
    scols_unref_table(table_take->scols);
    free(table_take);
    if (failed) {
        ctl_say("cannot print the table: out of memory");
    }
    return failed ? CTL_FAILED : CTL_DONE;
}

void output_field(const char *label, const char *value) {
    if (value == NULL) {
        return;
    }
    (void)printf("%-14s ", label);
    for (const char *p = value; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        (void)putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
    (void)putchar('\n');
}

void output_heading(const struct ctl *ctl, const char *text) {
    bool color = output_color(ctl);
    (void)printf("\n%s%s%s\n", color ? "\033[1m" : "", text, color ? "\033[0m" : "");
}

const char *output_span(int64_t ms, char *out, size_t cap) {
    long long s = (long long)((ms < 0 ? -ms : ms) / 1000);
    if (s < 60) {
        (void)snprintf(out, cap, "%lld s", s);
    } else if (s < 3600) {
        (void)snprintf(out, cap, "%lld min", s / 60);
    } else if (s < 86400) {
        (void)snprintf(out, cap, "%lld h %lld min", s / 3600, s / 60 % 60);
    } else {
        (void)snprintf(out, cap, "%lld d %lld h", s / 86400, s / 3600 % 24);
    }
    return out;
}
