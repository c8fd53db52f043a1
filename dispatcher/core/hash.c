/* hash: see hash.h.
 *
 * One hash serves two needs: the name of a contact point within a notice (plan_contact_key), which must be the same after a
 * restart and on another machine, and the tables of the core. SipHash is written out here because the forty lines are
 * cheaper than a MAC context of the crypto library for every contact point; the test compares it with that library.
 *
 * The key is public, so somebody who chooses addresses could make them meet in one bucket of a table. What that costs is
 * bounded by the 64 KiB of a job (about a thousand contact points): comparisons of 8-byte hashes, not of strings.
 *
 * A map is made for a known number of keys and never grows, so nothing moves and nothing can fail after str_map_init. */
#include "dispatcher/core/hash.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s) {
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word) {
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

uint64_t hash_bytes(const void *data, size_t len) {
    /* The four constants of SipHash ("somepseudorandomlygeneratedbytes"), xored with a key of zeros. */
    struct sip s = {0x736f6d6570736575ULL, 0x646f72616e646f6dULL, 0x6c7967656e657261ULL, 0x7465646279746573ULL};
    const unsigned char *p = data;
    size_t rest = len;
    for (; rest >= 8; rest -= 8, p += 8) {
        uint64_t word = 0;
        memcpy(&word, p, 8);
        sip_word(&s, le64toh(word));
    }
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < rest; i++) {
        last |= (uint64_t)p[i] << (8 * i);
    }
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++) {
        sip_round(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

int str_map_init(struct str_map *map, size_t n, struct arena *arena) {
    size_t slots = 4;
    while (slots / 2 < n) {
        slots *= 2;
    }
    map->slots = arena_array(arena, slots, sizeof *map->slots);
    map->mask = slots - 1;
    map->n = 0;
    return map->slots == NULL ? -1 : 0;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct str_slot *slot_of(const struct str_map *map, const char *key, uint64_t hash) {
    for (size_t i = (size_t)hash & map->mask;; i = (i + 1) & map->mask) {
        struct str_slot *slot = &map->slots[i];
        if (slot->key == NULL || (slot->hash == hash && strcmp(slot->key, key) == 0)) {
            return slot;
        }
    }
}

size_t str_map_add(struct str_map *map, const char *key, size_t value) {
    uint64_t hash = hash_bytes(key, strlen(key));
    struct str_slot *slot = slot_of(map, key, hash);
    if (slot->key == NULL) {
        assert(map->n <= map->mask / 2);
        *slot = (struct str_slot){key, hash, value};
        map->n++;
    }
    return slot->value;
}

int str_map_find(const struct str_map *map, const char *key, size_t *value_r) {
    if (map->n == 0) {
        return 0;
    }
    const struct str_slot *slot = slot_of(map, key, hash_bytes(key, strlen(key)));
    if (slot->key == NULL) {
        return 0;
    }
    if (value_r != NULL) {
        *value_r = slot->value;
    }
    return 1;
}
