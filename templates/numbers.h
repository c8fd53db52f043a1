/* numbers: numbers and plural forms as a language writes them, by ICU. */
#ifndef REACH_TEMPLATES_NUMBERS_H
#define REACH_TEMPLATES_NUMBERS_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Keeps the formatters of the languages used last. */
struct numbers;

struct numbers *numbers_new(void);
void numbers_free(struct numbers *numbers);

/* `value` for a reader of `locale` ("1,234.5"; blanks are plain ones). In the arena; NULL with *err. */
const char *numbers_text(struct numbers *numbers, const char *locale, double value, struct arena *arena, struct err *err);

/* Chooses among forms like "one: # order | other: # orders" (CLDR's categories: zero, one, two, few, many, other) the one that `locale`
 * uses for `value`, and puts the number in for each "#". In the arena; NULL with *err. */
const char *numbers_plural(struct numbers *numbers, const char *locale, const char *forms, double value, struct arena *arena,
                           struct err *err);

/* Whether the forms are well written: NULL, or what is wrong. */
const char *numbers_refuse_forms(const char *forms);

#endif
