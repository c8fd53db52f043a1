/* numbers: see numbers.h.
 *
 * ICU's formatters are expensive to open and cheap to use, so those of a handful of languages stay open, the newest in the place
 * of an older one. Does not: know currencies or units. */
#include "templates/numbers.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uloc.h>
#include <unicode/unum.h>
#include <unicode/upluralrules.h>
#include <unicode/ustring.h>

enum { LANGUAGES = 16, TEXT_MAX = 80 };

struct language {
    char locale[40];
    UNumberFormat *format;
    UPluralRules *rules;
};

struct numbers {
    struct language languages[LANGUAGES];
    size_t next; /* the place to use again */
};

struct numbers *numbers_new(void) {
    return calloc(1, sizeof(struct numbers));
}

static void close_language(struct language *language) {
    if (language->format != NULL) {
        unum_close(language->format);
    }
    if (language->rules != NULL) {
        uplrules_close(language->rules);
    }
    *language = (struct language){0};
}

void numbers_free(struct numbers *numbers) {
    for (size_t i = 0; numbers != NULL && i < LANGUAGES; i++) {
        close_language(&numbers->languages[i]);
    }
    free(numbers);
}

static const struct language *open_language(struct numbers *numbers, const char *locale, struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    char id[64];
    int32_t parsed = 0;
    struct language *language = &numbers->languages[numbers->next];
    close_language(language);
    (void)uloc_forLanguageTag(locale, id, sizeof id, &parsed, &status);
    language->format = unum_open(UNUM_DECIMAL, NULL, 0, id, NULL, &status);
    language->rules = uplrules_open(id, &status);
    if (U_FAILURE(status)) {
        close_language(language);
        (void)err_set(err, ERR_LIMIT, "a number could not be written: %s", u_errorName(status));
        return NULL;
    }
    (void)snprintf(language->locale, sizeof language->locale, "%s", locale);
    numbers->next = (numbers->next + 1) % LANGUAGES;
    return language;
}

static const struct language *find_language(struct numbers *numbers, const char *locale, struct err *err) {
    for (size_t i = 0; i < LANGUAGES; i++) {
        if (numbers->languages[i].format != NULL && strcmp(numbers->languages[i].locale, locale) == 0) {
            return &numbers->languages[i];
        }
    }
    return open_language(numbers, locale, err);
}

/* UTF-16 into the arena, with plain blanks. */
static const char *keep(const UChar *text, struct arena *arena, struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    UChar plain[TEXT_MAX];
    char utf8[TEXT_MAX * 3];
    size_t n = 0;
    for (; text[n] != 0 && n < TEXT_MAX - 1; n++) {
        plain[n] = text[n] == 0x202f || text[n] == 0xa0 ? ' ' : text[n];
    }
    (void)u_strToUTF8(utf8, sizeof utf8, NULL, plain, (int32_t)n, &status);
    const char *kept = U_FAILURE(status) ? NULL : arena_strdup(arena, utf8);
    if (kept == NULL) {
        (void)err_no_memory(err);
    }
    return kept;
}

const char *numbers_text(struct numbers *numbers, const char *locale, double value, struct arena *arena, struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    UChar text[TEXT_MAX];
    const struct language *language = find_language(numbers, locale, err);
    if (language == NULL) {
        return NULL;
    }
    int32_t len = unum_formatDouble(language->format, value, text, TEXT_MAX, NULL, &status);
    if (U_FAILURE(status) || len >= TEXT_MAX) {
        (void)err_set(err, ERR_LIMIT, "a number is too long to be written");
        return NULL;
    }
    return keep(text, arena, err);
}

/* ---- plural forms -------------------------------------------------------------------------------------------------- */
struct form {
    const char *category;
    size_t category_len;
    const char *text;
    size_t text_len;
};

static void trim(const char **text, size_t *len) {
    while (*len > 0 && **text == ' ') {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && (*text)[*len - 1] == ' ') {
        (*len)--;
    }
}

/* Reads the next form; false at the end. A form without a colon has an empty category. */
static bool next_form(const char **rest, struct form *form) {
    if (*rest == NULL) {
        return false;
    }
    size_t len = strcspn(*rest, "|");
    const char *colon = memchr(*rest, ':', len);
    *form = (struct form){.category = *rest, .text = *rest, .text_len = len};
    if (colon != NULL) {
        form->category_len = (size_t)(colon - *rest);
        form->text = colon + 1;
        form->text_len = len - form->category_len - 1;
    }
    trim(&form->category, &form->category_len);
    trim(&form->text, &form->text_len);
    *rest = (*rest)[len] == '|' ? *rest + len + 1 : NULL;
    return true;
}

static bool is_category(const struct form *form, const char *name) {
    return strlen(name) == form->category_len && memcmp(name, form->category, form->category_len) == 0;
}

const char *numbers_refuse_forms(const char *forms) {
    static const char *const categories[] = {"zero", "one", "two", "few", "many", "other"};
    struct form form;
    bool has_other = false;
    while (next_form(&forms, &form)) {
        bool known = false;
        for (size_t i = 0; i < sizeof categories / sizeof *categories; i++) {
            known = known || is_category(&form, categories[i]);
        }
        if (!known || form.text_len == 0) {
            return "each form is written like \"one: # order\"; the words before the colon are zero, one, two, few, many, other";
        }
        has_other = has_other || is_category(&form, "other");
    }
    return has_other ? NULL : "the form \"other\" is missing; every language needs it";
}

static const char *fill(const struct form *form, const char *number, struct arena *arena) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < form->text_len; i++) {
        if (form->text[i] == '#') {
            buf_puts(&out, number);
        } else {
            buf_putc(&out, form->text[i]);
        }
    }
    const char *made = buf_str(&out);
    const char *kept = made == NULL ? NULL : arena_strdup(arena, made);
    buf_fini(&out);
    return kept;
}

const char *numbers_plural(struct numbers *numbers, const char *locale, const char *forms, double value, struct arena *arena,
                           struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    UChar selected[16];
    char category[16];
    struct form form;
    struct form chosen = {.text = "#", .text_len = 1};
    const char *number = numbers_text(numbers, locale, value, arena, err);
    const struct language *language = number == NULL ? NULL : find_language(numbers, locale, err);
    if (language == NULL) {
        return NULL;
    }
    (void)uplrules_select(language->rules, value, selected, 16, &status);
    (void)u_strToUTF8(category, sizeof category, NULL, selected, -1, &status);
    for (bool exact = false; next_form(&forms, &form);) {
        if (U_SUCCESS(status) && is_category(&form, category)) {
            chosen = form;
            exact = true;
        } else if (!exact && is_category(&form, "other")) {
            chosen = form;
        }
    }
    const char *text = fill(&chosen, number, arena);
    if (text == NULL) {
        (void)err_no_memory(err);
    }
    return text;
}
