/* conf_describe: see conf.h. A reference of all keys in Markdown, made from the same tables that check them, so that the
 * documentation cannot say anything else than the program does.
 *
 * Guarantees: one table per mapping, rows in the order of the rows in the code. Does not: print values, only defaults. */
#include "base/conf.h"

#include "base/conf_value.h"

#include <stdio.h>
#include <string.h>

static void describe_table(const struct conf_table *table, const char *path, struct buf *out);

/* Puts a text into a cell: '|' would end it. */
static void put_cell(struct buf *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '|') {
            buf_putc(out, '\\');
        }
        buf_putc(out, *text);
    }
}

static void put_default(struct buf *out, const struct conf_key *key) {
    if (key->required) {
        buf_puts(out, "required");
    } else if (key->initial != NULL && key->initial[0] != '\0') {
        buf_putc(out, '`');
        put_cell(out, key->initial);
        buf_putc(out, '`');
    } else if (key->type == CONF_BOOL) {
        buf_puts(out, "`false`");
    } else {
        buf_puts(out, "-");
    }
}

static void put_row(struct buf *out, const struct conf_key *key) {
    char allowed[CONF_ALLOWED_MAX];
    buf_putf(out, "| `%s` | %s | ", key->name, conf_value_type_name(key->type));
    put_default(out, key);
    buf_puts(out, " | ");
    put_cell(out, key->type == CONF_BOOL ? "" : conf_value_allowed(key, allowed));
    buf_puts(out, " | ");
    put_cell(out, key->help == NULL ? "" : key->help);
    buf_puts(out, key->secret ? " Never printed. |\n" : " |\n");
}

static void put_rows(struct buf *out, const struct conf_table *table) {
    if (table->n_keys == 0) {
        buf_puts(out, "No keys of its own.\n\n");
        return;
    }
    buf_puts(out, "| key | type | default | allowed | what it does |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < table->n_keys; i++) {
        if (table->keys[i].type != CONF_VARIANT) {
            put_row(out, &table->keys[i]);
        }
    }
    buf_putc(out, '\n');
}

/* One heading and table for every word in "smtp, http, null". */
static void describe_variants(const struct conf_key *row, const char *path, struct buf *out) {
    const char *p = row->variant_names;
    while (*p != '\0') {
        size_t len = strcspn(p, ", ");
        char word[64];
        (void)snprintf(word, sizeof word, "%.*s", (int)len, p);
        const struct conf_table *table = row->variant(word);
        if (table != NULL) {
            char heading[160];
            (void)snprintf(heading, sizeof heading, "%s with %s: %s", path, row->variant_key, word);
            describe_table(table, heading, out);
        }
        p += len;
        p += strspn(p, ", ");
    }
}

static void describe_inner(const struct conf_key *key, const char *path, struct buf *out) {
    char inner[160];
    (void)snprintf(inner, sizeof inner, "%s%s%s%s", path, path[0] == '\0' ? "" : ".", key->name, key->type == CONF_LIST ? "[]" : "");
    describe_table(key->table, inner, out);
}

static void describe_table(const struct conf_table *table, const char *path, struct buf *out) {
    buf_putf(out, "## %s\n\n", path[0] == '\0' ? "Top level" : path);
    put_rows(out, table);
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct conf_key *key = &table->keys[i];
        if (key->type == CONF_SECTION || key->type == CONF_LIST) {
            describe_inner(key, path, out);
        } else if (key->type == CONF_VARIANT) {
            describe_variants(key, path, out);
        }
    }
}

void conf_describe(const struct conf_table *table, struct buf *out) {
    describe_table(table, "", out);
}
