/* arena: memory that is given back all at once; one per job, one per configuration. */
#ifndef REACH_BASE_ARENA_H
#define REACH_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *head; /* the block in use; owned */
    size_t used_bytes;        /* handed out since init or reset */
};

#define ARENA_INIT ((struct arena){0})

/* Frees every block. The arena is empty and usable again. */
void arena_fini(struct arena *arena);

/* Forgets every allocation but keeps the newest block for reuse. */
void arena_reset(struct arena *arena);

/* `size` zeroed bytes aligned for any type; lives until fini or reset. NULL when there is no memory. */
void *arena_alloc(struct arena *arena, size_t size);

/* `n` zeroed elements of `size` bytes. NULL when there is no memory or the product overflows. */
void *arena_array(struct arena *arena, size_t n, size_t size);

/* A NUL-terminated copy. `text` NULL gives NULL. NULL when there is no memory. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);

/* printf into the arena. NULL when there is no memory. */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
