/* hash: a 64-bit hash of bytes, and a string map that is filled once. Pure; private to the core. */
#ifndef REACH_CORE_HASH_H
#define REACH_CORE_HASH_H

#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4 with a fixed key of zeros: the same in every process and on every machine. */
uint64_t hash_bytes(const void *data, size_t len);

struct str_slot {
    const char *key; /* borrowed; NULL: free */
    uint64_t hash;
    size_t value;
};

/* Open addressing, at most half full, never grows. A zeroed map is empty and can be searched. */
struct str_map {
    struct str_slot *slots;
    size_t mask;
    size_t n;
};

/* Room for `n` keys, in the arena. 0, or -1 when there is no memory. */
int str_map_init(struct str_map *map, size_t n, struct arena *arena);

/* Finds `key` or adds it with `value` (the key is borrowed). Returns its value, old or new. Asserts that there is room. */
size_t str_map_add(struct str_map *map, const char *key, size_t value);

/* 1 and *value_r (may be NULL), or 0. */
int str_map_find(const struct str_map *map, const char *key, size_t *value_r);

#endif
