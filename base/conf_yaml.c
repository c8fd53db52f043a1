/* conf_yaml: see conf_yaml.h.
 *
 * libyaml does the parsing, event by event; this file builds a tree in the arena and stops at the first thing that has no
 * place in a configuration. Working on events (not on libyaml's own documents) is what makes the limits hold: depth,
 * number of values and aliases are seen before anything has been built from them, so the work is bounded by the length of
 * the text, which is bounded itself.
 *
 * Guarantees: every node has a line; no text holds a NUL; no mapping holds a key twice.
 * Fails: at the first fault, with "file:line: what". Does not: know any table or type; that is conf.c. */
#include "base/conf_yaml.h"

#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reading {
    yaml_parser_t parser;
    const char *text;
    size_t len;
    const char *file;
    struct arena *arena;
    struct err *err;
    size_t n_nodes;
};

static int line_of(yaml_mark_t mark) {
    return mark.line < INT32_MAX ? (int)mark.line + 1 : INT32_MAX;
}

static int fail_at(struct reading *reading, enum err_code code, int line, const char *what) {
    return err_set(reading->err, code, "%s:%d: %s", reading->file, line, what);
}

/* Whether a line (1-based) is indented with a tab, the usual reason for an error whose words do not say so. */
static bool line_has_tab(const struct reading *reading, int line) {
    const char *p = reading->text;
    const char *end = p + reading->len;
    for (int at = 1; at < line && p < end; at++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        p = newline == NULL ? end : newline + 1;
    }
    while (p < end && (*p == ' ' || *p == '-')) {
        p++;
    }
    return p < end && *p == '\t';
}

static int fail_syntax(struct reading *reading) {
    const yaml_parser_t *parser = &reading->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        return err_no_memory(reading->err);
    }
    int line = line_of(parser->problem_mark);
    if (line_has_tab(reading, line)) {
        return fail_at(reading, ERR_SYNTAX, line, "not valid YAML: a tab in the indentation (allowed: blanks)");
    }
    char what[200];
    (void)snprintf(what, sizeof what, "not valid YAML: %s%s%s", parser->context == NULL ? "" : parser->context,
                   parser->context == NULL ? "" : ", ", parser->problem == NULL ? "cannot be read" : parser->problem);
    return fail_at(reading, ERR_SYNTAX, line, what);
}

static int next_event(struct reading *reading, yaml_event_t *event) {
    return yaml_parser_parse(&reading->parser, event) == 1 ? 0 : fail_syntax(reading);
}

/* What makes an event one that has no place here, or NULL. */
static const char *objection(const yaml_event_t *event) {
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT: return "aliases (*name) are not allowed: write the value out";
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default: break;
    }
    if (anchor != NULL) {
        return "anchors (&name) are not allowed: write the value out where it is needed";
    }
    return tag != NULL ? "tags (!name) are not allowed: the type of a key is fixed" : NULL;
}

/* Whether a node may begin with this event. 0, or -1 with the reason. */
static int check_node(struct reading *reading, const yaml_event_t *event, int depth) {
    int line = line_of(event->start_mark);
    const char *wrong = objection(event);
    if (wrong != NULL) {
        return fail_at(reading, ERR_SYNTAX, line, wrong);
    }
    if (depth > CONF_DEPTH_MAX) {
        return fail_at(reading, ERR_LIMIT, line, "nested too deeply (allowed: 12 levels)");
    }
    if (++reading->n_nodes > CONF_NODES_MAX) {
        return fail_at(reading, ERR_LIMIT, line, "too many values (allowed: 100000 in one file)");
    }
    return 0;
}

static int set_scalar(struct reading *reading, struct conf_node *node, const yaml_event_t *event) {
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    yaml_scalar_style_t style = event->data.scalar.style;
    if (memchr(value, '\0', len) != NULL) {
        return fail_at(reading, ERR_SYNTAX, node->line, "a NUL character is not allowed");
    }
    node->kind = CONF_NODE_SCALAR;
    node->plain = style == YAML_PLAIN_SCALAR_STYLE;
    node->block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    node->text = arena_strndup(reading->arena, value, len);
    return node->text == NULL ? err_no_memory(reading->err) : 0;
}

static struct conf_node *read_node(struct reading *reading, const yaml_event_t *event, int depth);

static void append(struct conf_node *parent, struct conf_node **last, struct conf_node *child) {
    if (*last == NULL) {
        parent->first = child;
    } else {
        (*last)->next = child;
    }
    *last = child;
    parent->n++;
}

static int read_items(struct reading *reading, struct conf_node *node, int depth) {
    struct conf_node *last = NULL;
    for (;;) {
        yaml_event_t event;
        if (next_event(reading, &event) < 0) {
            return -1;
        }
        bool at_end = event.type == YAML_SEQUENCE_END_EVENT;
        struct conf_node *child = at_end ? NULL : read_node(reading, &event, depth + 1);
        yaml_event_delete(&event);
        if (child == NULL) {
            return at_end ? 0 : -1;
        }
        append(node, &last, child);
    }
}

/* Takes a key; 1 with key->text and key->line, 0 at the end of the mapping, -1. */
static int read_key(struct reading *reading, const struct conf_node *mapping, struct conf_node *key) {
    yaml_event_t event;
    if (next_event(reading, &event) < 0) {
        return -1;
    }
    int rc = -1;
    if (event.type == YAML_MAPPING_END_EVENT) {
        rc = 0;
        goto out;
    }
    if (event.type != YAML_SCALAR_EVENT) {
        const char *wrong = objection(&event);
        (void)fail_at(reading, ERR_SYNTAX, line_of(event.start_mark), wrong != NULL ? wrong : "a key must be a plain word");
        goto out;
    }
    if (check_node(reading, &event, 0) < 0) {
        goto out;
    }
    key->line = line_of(event.start_mark);
    if (set_scalar(reading, key, &event) < 0) {
        goto out;
    }
    const struct conf_node *earlier = conf_node_get(mapping, key->text);
    if (earlier != NULL) {
        rc = err_set(reading->err, ERR_MEMBER, "%s:%d: %.60s: stands twice (first on line %d)", reading->file, key->line, key->text,
                     earlier->line);
        goto out;
    }
    rc = 1;
out:
    yaml_event_delete(&event);
    return rc;
}

static int read_members(struct reading *reading, struct conf_node *node, int depth) {
    struct conf_node *last = NULL;
    struct conf_node key;
    int rc;
    while ((rc = read_key(reading, node, &key)) == 1) {
        yaml_event_t event;
        if (next_event(reading, &event) < 0) {
            return -1;
        }
        struct conf_node *child = read_node(reading, &event, depth + 1);
        yaml_event_delete(&event);
        if (child == NULL) {
            return -1;
        }
        child->name = key.text;
        child->line = key.line;
        append(node, &last, child);
        if (node->n > CONF_MEMBERS_MAX) {
            return fail_at(reading, ERR_LIMIT, key.line, "too many keys (allowed: 1000 in one mapping)");
        }
    }
    return rc;
}

static struct conf_node *read_node(struct reading *reading, const yaml_event_t *event, int depth) {
    if (check_node(reading, event, depth) < 0) {
        return NULL;
    }
    struct conf_node *node = arena_alloc(reading->arena, sizeof *node);
    if (node == NULL) {
        (void)err_no_memory(reading->err);
        return NULL;
    }
    node->line = line_of(event->start_mark);
    int rc;
    if (event->type == YAML_SCALAR_EVENT) {
        rc = set_scalar(reading, node, event);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        node->kind = CONF_NODE_SEQUENCE;
        rc = read_items(reading, node, depth);
    } else {
        node->kind = CONF_NODE_MAPPING;
        rc = read_members(reading, node, depth);
    }
    return rc < 0 ? NULL : node;
}

/* Takes one event of a wanted type. 1 it is, 0 it is another, -1. */
static int expect(struct reading *reading, yaml_event_type_t type, int *line_r) {
    yaml_event_t event;
    if (next_event(reading, &event) < 0) {
        return -1;
    }
    int found = event.type == type;
    *line_r = line_of(event.start_mark);
    yaml_event_delete(&event);
    return found;
}

static const struct conf_node *read_document(struct reading *reading) {
    int line = 0;
    if (expect(reading, YAML_STREAM_START_EVENT, &line) < 0) {
        return NULL;
    }
    int has_document = expect(reading, YAML_DOCUMENT_START_EVENT, &line);
    if (has_document <= 0) {
        struct conf_node *empty = has_document < 0 ? NULL : arena_alloc(reading->arena, sizeof *empty);
        if (empty != NULL) {
            empty->kind = CONF_NODE_MAPPING;
            empty->line = 1;
        } else if (has_document == 0) {
            (void)err_no_memory(reading->err);
        }
        return empty;
    }
    yaml_event_t event;
    if (next_event(reading, &event) < 0) {
        return NULL;
    }
    const struct conf_node *root = read_node(reading, &event, 1);
    yaml_event_delete(&event);
    if (root == NULL || expect(reading, YAML_DOCUMENT_END_EVENT, &line) < 0) {
        return NULL;
    }
    int at_end = expect(reading, YAML_STREAM_END_EVENT, &line);
    if (at_end == 0) {
        (void)fail_at(reading, ERR_SYNTAX, line, "a second document (---) is not allowed");
    }
    return at_end == 1 ? root : NULL;
}

/* The line of the first byte that is not UTF-8. */
static int bad_utf8_line(const char *text, size_t len) {
    int line = 1;
    const char *end = text + len;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t here = newline == NULL ? (size_t)(end - text) : (size_t)(newline - text);
        if (!text_is_utf8(text, here) || newline == NULL) {
            break;
        }
        text = newline + 1;
        line++;
    }
    return line;
}

const struct conf_node *conf_yaml_read(const char *text, size_t len, const char *file, struct arena *arena, struct err *err) {
    struct reading reading = {.text = text, .len = len, .file = file, .arena = arena, .err = err};
    if (len > CONF_TEXT_MAX_BYTES) {
        (void)err_set(err, ERR_LIMIT, "%s: too large (allowed: 1 MiB)", file);
        return NULL;
    }
    if (!text_is_utf8(text, len)) {
        (void)fail_at(&reading, ERR_SYNTAX, bad_utf8_line(text, len), "not UTF-8");
        return NULL;
    }
    if (yaml_parser_initialize(&reading.parser) != 1) {
        (void)err_no_memory(err);
        return NULL;
    }
    yaml_parser_set_encoding(&reading.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reading.parser, (const unsigned char *)text, len);
    const struct conf_node *root = read_document(&reading);
    yaml_parser_delete(&reading.parser);
    return root;
}

bool conf_node_is_empty(const struct conf_node *node) {
    return node->kind == CONF_NODE_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

const struct conf_node *conf_node_get(const struct conf_node *mapping, const char *name) {
    for (const struct conf_node *child = mapping->first; child != NULL; child = child->next) {
        if (strcmp(child->name, name) == 0) {
            return child;
        }
    }
    return NULL;
}
