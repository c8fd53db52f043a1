/* conf: see conf.h. Tables and a tree of nodes in, a filled struct out.
 *
 * A mapping is filled in a fixed order: defaults, then the keys that are there, then the keys of the variant, then the table's own
 * check. The order decides which of several faults is told: a misspelt key is told before the key that is missing because of it.
 *
 * Guarantees: after success every field holds a value its row allows; nothing in the file was ignored.
 * Fails: at the first fault. Does not: parse YAML (conf_yaml.c), know how a value is written (conf_value.c), read files
 * (conf_file.c) or write documentation (conf_describe.c). */
#include "base/conf.h"

#include "base/buf.h"
#include "base/conf_value.h"
#include "base/conf_yaml.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The mapping at hand. */
struct filling {
    const struct conf_reader *reader;
    const struct conf_place *place;
    const struct conf_node *node; /* NULL: only defaults */
    const struct conf_table *table;
    void *object;
};

static int fill_table(const struct filling *filling);

static void *slot_of(const struct filling *filling, const struct conf_key *key) {
    return (char *)filling->object + key->offset;
}

static const struct conf_key *find_key(const struct conf_table *table, const char *name) {
    for (size_t i = 0; table != NULL && i < table->n_keys; i++) {
        if (table->keys[i].type != CONF_VARIANT && strcmp(table->keys[i].name, name) == 0) {
            return &table->keys[i];
        }
    }
    return NULL;
}

static const struct conf_key *variant_row(const struct conf_table *table) {
    const struct conf_key *last = table->n_keys == 0 ? NULL : &table->keys[table->n_keys - 1];
    return last != NULL && last->type == CONF_VARIANT ? last : NULL;
}

/* ---- unknown keys --------------------------------------------------------------------------------------------------- */

enum { NAME_MAX_BYTES = 48 };

static size_t smallest(size_t a, size_t b, size_t c) {
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Number of single-character edits between two names (Levenshtein); long names count as far apart. */
static size_t distance(const char *a, const char *b) {
    size_t n = strlen(b);
    if (strlen(a) > NAME_MAX_BYTES || n > NAME_MAX_BYTES) {
        return NAME_MAX_BYTES;
    }
    size_t row[NAME_MAX_BYTES + 1];
    for (size_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t above = row[j + 1];
            row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1));
            diagonal = above;
        }
    }
    return row[n];
}

/* The known key that is most likely meant, or NULL. */
static const char *nearest(const struct conf_table *const tables[2], const char *name) {
    const char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2;
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; tables[t] != NULL && i < tables[t]->n_keys; i++) {
            const struct conf_key *key = &tables[t]->keys[i];
            size_t d = key->type == CONF_VARIANT ? NAME_MAX_BYTES : distance(name, key->name);
            if (d < best_distance) {
                best = key->name;
                best_distance = d;
            }
        }
    }
    return best;
}

static void list_keys(const struct conf_table *const tables[2], struct buf *out) {
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; tables[t] != NULL && i < tables[t]->n_keys; i++) {
            if (tables[t]->keys[i].type != CONF_VARIANT) {
                buf_putf(out, "%s%s", out->len == 0 ? "" : ", ", tables[t]->keys[i].name);
            }
        }
    }
}

static int fail_unknown(const struct filling *filling, const struct conf_table *variant, const struct conf_node *child) {
    const struct conf_table *const tables[2] = {filling->table, variant};
    struct conf_place at = {filling->place, child->name, 0};
    struct buf known = BUF_INIT;
    list_keys(tables, &known);
    const char *meant = nearest(tables, child->name);
    const char *names = buf_str(&known);
    (void)conf_fail(filling->reader, child->line, &at, "unknown key (%s%s%sknown: %s)", meant == NULL ? "" : "did you mean ",
                    meant == NULL ? "" : meant, meant == NULL ? "" : "? ", names == NULL ? "" : names);
    buf_fini(&known);
    return -1;
}

static int refuse_unknown(const struct filling *filling, const struct conf_table *variant) {
    for (const struct conf_node *child = filling->node->first; child != NULL; child = child->next) {
        if (find_key(filling->table, child->name) == NULL && find_key(variant, child->name) == NULL) {
            return fail_unknown(filling, variant, child);
        }
    }
    return 0;
}

/* ---- sections and lists --------------------------------------------------------------------------------------------- */

static int fill_section(const struct filling *filling, const struct conf_key *key, const struct conf_node *node) {
    struct conf_place at = {filling->place, key->name, 0};
    struct filling inner = {filling->reader, &at, node, key->table, slot_of(filling, key)};
    return fill_table(&inner);
}

static int fill_list(const struct filling *filling, const struct conf_key *key, const struct conf_node *node) {
    struct conf_place at = {filling->place, key->name, 0};
    struct conf_list *list = slot_of(filling, key);
    if (conf_node_is_empty(node)) {
        return 0;
    }
    if (node->kind != CONF_NODE_SEQUENCE) {
        return conf_fail(filling->reader, node->line, &at, "must be a list of mappings (each begins with \"- \")");
    }
    char *items = arena_array(filling->reader->arena, node->n, key->table->size);
    int *lines = arena_array(filling->reader->arena, node->n, sizeof *lines);
    if (items == NULL || lines == NULL) {
        return err_no_memory(filling->reader->err);
    }
    const struct conf_node *item = node->first;
    for (size_t i = 0; i < node->n; i++, item = item->next) {
        lines[i] = item->line;
        struct conf_place item_at = {&at, NULL, i};
        struct filling inner = {filling->reader, &item_at, item, key->table, items + i * key->table->size};
        if (fill_table(&inner) < 0) {
            return -1;
        }
    }
    list->items = items;
    list->lines = lines;
    list->n = node->n;
    return 0;
}

/* ---- one mapping ---------------------------------------------------------------------------------------------------- */

static int fill_default(const struct filling *filling, const struct conf_key *key) {
    struct conf_place at = {filling->place, key->name, 0};
    switch (key->type) {
    case CONF_SECTION: return fill_section(filling, key, NULL);
    case CONF_LIST: ((struct conf_list *)slot_of(filling, key))->item_size = key->table->size; return 0;
    case CONF_VARIANT: return 0;
    default: return conf_value_store_initial(filling->reader, &at, key, slot_of(filling, key));
    }
}

static int fill_key(const struct filling *filling, const struct conf_key *key, const struct conf_node *node) {
    struct conf_place at = {filling->place, key->name, 0};
    switch (key->type) {
    case CONF_SECTION: return fill_section(filling, key, node);
    case CONF_LIST: return fill_list(filling, key, node);
    default: return conf_value_store(filling->reader, &at, key, node, slot_of(filling, key));
    }
}

/* Every row but the variant: from the file where it is there, else the default. A required row that is missing is told later. */
static int fill_rows(const struct filling *filling) {
    memset(filling->object, 0, filling->table->size);
    for (size_t i = 0; i < filling->table->n_keys; i++) {
        const struct conf_key *key = &filling->table->keys[i];
        const struct conf_node *node = filling->node == NULL || key->type == CONF_VARIANT ? NULL : conf_node_get(filling->node, key->name);
        bool is_section = key->type == CONF_SECTION;
        if ((node == NULL || !is_section) && fill_default(filling, key) < 0) {
            return -1;
        }
        if (node != NULL && fill_key(filling, key, node) < 0) {
            return -1;
        }
    }
    return 0;
}

static int refuse_missing(const struct filling *filling) {
    int line = filling->node == NULL ? 0 : filling->node->line;
    for (size_t i = 0; i < filling->table->n_keys; i++) {
        const struct conf_key *key = &filling->table->keys[i];
        if (!key->required || (filling->node != NULL && conf_node_get(filling->node, key->name) != NULL)) {
            continue;
        }
        struct conf_place at = {filling->place, key->name, 0};
        return conf_fail(filling->reader, line, &at, "is missing (%s)", key->help);
    }
    return 0;
}

/* The word the file (or the default) gives for the key that chooses the variant; NULL where there is none. */
static const char *variant_word(const struct filling *filling, const struct conf_key *row) {
    const struct conf_key *chooser = find_key(filling->table, row->variant_key);
    assert(chooser != NULL && (chooser->type == CONF_STRING || chooser->type == CONF_CHOICE));
    const void *slot = slot_of(filling, chooser);
    return chooser->type == CONF_STRING ? *(const char *const *)slot : chooser->choices[*(const int64_t *)slot];
}

/* Finds the variant's table. 1 and *table_r, 0 where the table at hand has none or the choosing key is not given, -1. */
static int find_variant(const struct filling *filling, const struct conf_table **table_r) {
    const struct conf_key *row = variant_row(filling->table);
    const char *word = row == NULL ? NULL : variant_word(filling, row);
    if (word == NULL) {
        return 0;
    }
    *table_r = row->variant(word);
    if (*table_r != NULL) {
        return 1;
    }
    const struct conf_node *node = filling->node == NULL ? NULL : conf_node_get(filling->node, row->variant_key);
    struct conf_place at = {filling->place, row->variant_key, 0};
    return conf_fail(filling->reader, node == NULL ? 0 : node->line, &at, "\"%.40s\" is not known (allowed: %s)", word, row->variant_names);
}

static int set_where(const struct filling *filling, const struct conf_table *table, void *object) {
    if (table->where_offset == SIZE_MAX || filling->reader->file == NULL) {
        return 0;
    }
    struct conf_where *where = (struct conf_where *)(void *)((char *)object + table->where_offset);
    where->file = arena_strdup(filling->reader->arena, filling->reader->file);
    where->line = filling->node == NULL ? 0 : filling->node->line;
    return where->file == NULL ? err_no_memory(filling->reader->err) : 0;
}

/* Runs a table's own check and puts file, line and place before what it says. */
static int run_check(const struct filling *filling) {
    struct err found;
    err_clear(&found);
    if (filling->table->check == NULL || filling->table->check(filling->object, &found) == 0) {
        return 0;
    }
    const struct conf_node *node = filling->node;
    const struct conf_node *child = node == NULL || found.member[0] == '\0' ? NULL : conf_node_get(node, found.member);
    struct conf_place at = {filling->place, found.member, 0};
    int line = child != NULL ? child->line : node != NULL ? node->line : 0;
    return conf_fail(filling->reader, line, found.member[0] == '\0' ? filling->place : &at, "%s", found.text);
}

static int fill_variant(const struct filling *filling, const struct conf_table *table, struct filling *inner) {
    *inner = (struct filling){filling->reader, filling->place, filling->node, table, NULL};
    assert(variant_row(table) == NULL);
    inner->object = arena_alloc(filling->reader->arena, table->size);
    if (inner->object == NULL) {
        return err_no_memory(filling->reader->err);
    }
    void *slot = slot_of(filling, variant_row(filling->table));
    memcpy(slot, &inner->object, sizeof inner->object);
    return fill_rows(inner) < 0 ? -1 : set_where(inner, table, inner->object);
}

static int fill_members(const struct filling *filling) {
    const struct conf_table *variant_table = NULL;
    struct filling variant = {0};
    if (fill_rows(filling) < 0 || set_where(filling, filling->table, filling->object) < 0) {
        return -1;
    }
    int has_variant = find_variant(filling, &variant_table);
    if (has_variant < 0 || (has_variant == 1 && fill_variant(filling, variant_table, &variant) < 0)) {
        return -1;
    }
    /* While the choosing key is missing nobody knows the variant's keys: the missing key is told first. */
    bool undecided = has_variant == 0 && variant_row(filling->table) != NULL;
    if (filling->node != NULL && !undecided && refuse_unknown(filling, variant_table) < 0) {
        return -1;
    }
    if (refuse_missing(filling) < 0 || (has_variant == 1 && refuse_missing(&variant) < 0)) {
        return -1;
    }
    if (filling->node != NULL && undecided && refuse_unknown(filling, NULL) < 0) {
        return -1;
    }
    return has_variant == 1 && run_check(&variant) < 0 ? -1 : run_check(filling);
}

static int fill_table(const struct filling *filling) {
    struct filling inner = *filling;
    const struct conf_node nothing = {.kind = CONF_NODE_MAPPING, .line = filling->node == NULL ? 0 : filling->node->line};
    if (inner.node != NULL && conf_node_is_empty(inner.node)) {
        inner.node = &nothing;
    }
    if (inner.node != NULL && inner.node->kind != CONF_NODE_MAPPING) {
        return conf_fail(inner.reader, inner.node->line, inner.place, "must be a mapping (\"key: value\" lines)");
    }
    return fill_members(&inner);
}

/* ---- entry points --------------------------------------------------------------------------------------------------- */

int conf_read_text(const char *text, size_t len, const char *file, const struct conf_table *table, void *object, struct arena *arena,
                   struct err *err) {
    const struct conf_node *root = conf_yaml_read(text, len, file, arena, err);
    if (root == NULL) {
        return -1;
    }
    struct conf_reader reader = {file, arena, err};
    struct filling filling = {&reader, NULL, root, table, object};
    return fill_table(&filling);
}

int conf_defaults(const struct conf_table *table, void *object, struct arena *arena, struct err *err) {
    struct conf_reader reader = {NULL, arena, err};
    struct filling filling = {&reader, NULL, NULL, table, object};
    return fill_table(&filling);
}

const char *conf_where_text(const struct conf_where *where, char *out, size_t cap) {
    (void)snprintf(out, cap, "%s:%d", where->file == NULL ? "default" : where->file, where->line);
    return out;
}
