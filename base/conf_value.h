/* conf_value: the scalar types of a configuration: how each is written, checked, stored and described. Private to the conf
 * files of this room. */
#ifndef REACH_BASE_CONF_VALUE_H
#define REACH_BASE_CONF_VALUE_H

#include "base/conf.h"
#include "base/conf_yaml.h"

/* Where in the tree of keys a value is; rendered only for an error ("gateways[2].retry.base"). */
struct conf_place {
    const struct conf_place *up; /* NULL: the top */
    const char *name;            /* NULL: an item of a sequence, `index` counts from 0 */
    size_t index;
};

struct conf_reader {
    const char *file; /* NULL: only defaults are filled in */
    struct arena *arena;
    struct err *err;
};

enum { CONF_PLACE_MAX = 96, CONF_ALLOWED_MAX = 200 };

/* Writes the path of a place into out; returns out. */
const char *conf_place_text(const struct conf_place *place, char *out, size_t cap);

/* Fails with "file:line: place: <printf>" and the place as the member. Returns -1. */
int conf_fail(const struct conf_reader *reader, int line, const struct conf_place *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Stores a node in the slot of a key whose type is a scalar, strings or pairs. 0, or -1 with the reader's error. */
int conf_value_store(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key,
                     const struct conf_node *node, void *slot);

/* Stores the default of such a key. */
int conf_value_store_initial(const struct conf_reader *reader, const struct conf_place *place, const struct conf_key *key, void *slot);

/* What a key's value may be, in words ("1 to 4096", "1s to 1h", "sent, delivered"); empty where anything goes. */
const char *conf_value_allowed(const struct conf_key *key, char out[CONF_ALLOWED_MAX]);

/* "whole number", "size", "list of text", ... */
const char *conf_value_type_name(enum conf_type type);

#endif
