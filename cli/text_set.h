/* text_set: a set of texts that may be larger than memory: filled, then asked. */
#ifndef REACH_CLI_TEXT_SET_H
#define REACH_CLI_TEXT_SET_H

#include "base/err.h"

#include <stddef.h>

struct text_set;

/* An empty set that holds at most `memory_bytes` of text (64 KiB to 1 GiB) in memory, and takes at most twice that. NULL with *err. */
struct text_set *text_set_new(size_t memory_bytes, struct err *err);
void text_set_free(struct text_set *set);

/* Adds a copy of `text`, whatever its length. 0, or -1 with *err (the temporary file, memory): the set is of no use then. */
int text_set_add(struct text_set *set, const char *text, struct err *err);

/* No more are added; to be called before the first question. 0, or -1 with *err. */
int text_set_end(struct text_set *set, struct err *err);

/* 1 where `text` was added, 0 where not, -1 with *err: nobody knows. */
int text_set_has(struct text_set *set, const char *text, struct err *err);

/* The same, and marks it. */
int text_set_mark(struct text_set *set, const char *text, struct err *err);

/* Calls each() for every text that was not marked, in no order; it is borrowed during the call. 0, or -1 with *err. */
int text_set_each_unmarked(struct text_set *set, void (*each)(void *ctx, const char *text), void *ctx, struct err *err);

#endif
