/* conf_schema: see conf.h. A JSON Schema of one mapping, made from the table that checks it, for editors and for other programs that write
 * such files. The table stays the judge: a schema cannot say that two keys go together or that a placeholder exists.
 *
 * YAML's plain words may be numbers or booleans to a reader that guesses types; where this program reads a text, the schema takes those,
 * too.
 *
 * Does not: describe sections or lists of mappings; no table that needs them has a schema. */
#include "base/conf.h"

#include <assert.h>

static const char any_text[] = "\"type\":[\"string\",\"number\",\"boolean\"]";

static void put_string(struct buf *out, const struct conf_key *key) {
    buf_puts(out, any_text);
    if (key->max > 0) {
        buf_putf(out, ",\"minLength\":%lld,\"maxLength\":%lld", (long long)key->min, (long long)key->max);
    }
}

static void put_choices(struct buf *out, const struct conf_key *key) {
    buf_puts(out, "\"enum\":[");
    for (const char *const *choice = key->choices; *choice != NULL; choice++) {
        buf_puts(out, choice == key->choices ? "" : ",");
        buf_put_json_str(out, *choice);
    }
    buf_putc(out, ']');
}

static void put_type(struct buf *out, const struct conf_key *key) {
    switch (key->type) {
    case CONF_BOOL: buf_puts(out, "\"type\":\"boolean\""); return;
    case CONF_INT:
        buf_putf(out, "\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld", (long long)key->min, (long long)key->max);
        return;
    case CONF_SIZE: buf_puts(out, "\"type\":[\"string\",\"integer\"],\"pattern\":\"^[0-9]+(KiB|MiB|GiB)?$\""); return;
    case CONF_DURATION: buf_puts(out, "\"type\":\"string\",\"pattern\":\"^([0-9]+(ms|s|m|h|d)|P.+)$\""); return;
    case CONF_STRING:
    case CONF_PATH: put_string(out, key); return;
    case CONF_CHOICE: put_choices(out, key); return;
    case CONF_STRINGS: buf_putf(out, "\"anyOf\":[{%s},{\"type\":\"array\",\"items\":{%s}}]", any_text, any_text); return;
    case CONF_PAIRS: buf_putf(out, "\"type\":\"object\",\"additionalProperties\":{%s}", any_text); return;
    case CONF_SECTION:
    case CONF_LIST:
    case CONF_VARIANT: break;
    }
    assert(key->type < CONF_SECTION); /* such a table has no schema */
}

void conf_schema(const struct conf_table *table, const char *id, const char *const *required, struct buf *out) {
    buf_puts(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$id\":");
    buf_put_json_str(out, id);
    buf_puts(out, ",\"title\":");
    buf_put_json_str(out, table->name);
    buf_puts(out, ",\"type\":\"object\",\"additionalProperties\":false,\"required\":[");
    for (const char *const *name = required; *name != NULL; name++) {
        buf_puts(out, name == required ? "" : ",");
        buf_put_json_str(out, *name);
    }
    buf_puts(out, "],\"properties\":{");
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct conf_key *key = &table->keys[i];
        buf_puts(out, i == 0 ? "" : ",");
        buf_put_json_str(out, key->name);
        buf_puts(out, ":{\"description\":");
        buf_put_json_str(out, key->help == NULL ? "" : key->help);
        buf_putc(out, ',');
        put_type(out, key);
        buf_putc(out, '}');
    }
    buf_puts(out, "}}");
}
