/* conf_yaml: a YAML text as a small tree with line numbers. Private to the conf files of this room.
 *
 * Only what a configuration needs is let through: one document of mappings, sequences and scalars. Anchors, aliases and tags
 * are refused, so a text can neither grow while it is read nor choose a type of its own. */
#ifndef REACH_BASE_CONF_YAML_H
#define REACH_BASE_CONF_YAML_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    CONF_TEXT_MAX_BYTES = 1 << 20,
    CONF_DEPTH_MAX = 12,     /* mappings and sequences within one another */
    CONF_NODES_MAX = 100000, /* values in one file */
    CONF_MEMBERS_MAX = 1000  /* keys of one mapping */
};

enum conf_node_kind { CONF_NODE_SCALAR, CONF_NODE_SEQUENCE, CONF_NODE_MAPPING };

struct conf_node {
    enum conf_node_kind kind;
    int line;                /* 1-based; of the key where the node has one */
    const char *name;        /* the key, where the node is a value of a mapping; else NULL */
    const char *text;        /* scalar: NUL-terminated, holds no other NUL */
    bool plain;              /* scalar written without quotes */
    bool block;              /* scalar written as a block ("|" or ">"), which may have several lines */
    struct conf_node *first; /* children, in file order */
    struct conf_node *next;  /* sibling */
    size_t n;                /* number of children */
};

/* Reads one document. An empty text gives an empty mapping. `file` is the name in errors. The tree lives in `arena`. NULL with
 * *err ("file:line: what is wrong"): not UTF-8, not YAML, a doubled key, something refused, a limit passed. */
const struct conf_node *conf_yaml_read(const char *text, size_t len, const char *file, struct arena *arena, struct err *err);

/* Whether a node is a value left empty ("key:" and nothing behind it, or null). */
bool conf_node_is_empty(const struct conf_node *node);

/* The value of `name` in a mapping, or NULL. */
const struct conf_node *conf_node_get(const struct conf_node *mapping, const char *name);

#endif
