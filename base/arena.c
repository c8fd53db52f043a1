/* arena: see arena.h.
 *
 * A chain of blocks, bump-allocated. Large requests get a block of their own, so the waste of a block is bounded.
 * Guarantees: memory is zeroed and aligned for max_align_t; nothing moves until fini or reset.
 * Fails: only by want of memory, with NULL. Does not: free single allocations; is not for more than one thread. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 8192 - 64 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    _Alignas(max_align_t) char data[];
};

static void free_chain(struct arena_block *block) {
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_fini(struct arena *arena) {
    free_chain(arena->head);
    *arena = ARENA_INIT;
}

void arena_reset(struct arena *arena) {
    if (arena->head != NULL) {
        free_chain(arena->head->next);
        arena->head->next = NULL;
        arena->head->used = 0;
    }
    arena->used_bytes = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t size) {
    size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    struct arena_block *block = malloc(sizeof *block + room);
    if (block == NULL) {
        return NULL;
    }
    block->next = arena->head;
    block->size = room;
    block->used = 0;
    arena->head = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size) {
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size_t need = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    struct arena_block *block = arena->head;
    if (block == NULL || block->size - block->used < need) {
        block = add_block(arena, need);
        if (block == NULL) {
            return NULL;
        }
    }
    void *p = block->data + block->used;
    block->used += need;
    arena->used_bytes += need;
    memset(p, 0, need);
    return p;
}

void *arena_array(struct arena *arena, size_t n, size_t size) {
    if (size != 0 && n > SIZE_MAX / 2 / size) {
        return NULL;
    }
    return arena_alloc(arena, n * size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len) {
    if (text == NULL) {
        return NULL;
    }
    char *copy = arena_alloc(arena, len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
    }
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text) {
    return text == NULL ? NULL : arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text;
}
