/* lint: see lint.h.
 *
 * Checks that need more than one file, or the words as a whole. Each finding says where, what is wrong and how to mend it, in words for
 * somebody who writes texts for a living.
 *
 * Does not: compile (compile.c has found every fault of syntax before this runs). */
#include "templates/lint.h"

#include "templates/report.h"
#include "templates/values.h"

#include <string.h>

static bool has_locale(const struct notice_words *notice, const char *locale) {
    for (size_t i = 0; i < notice->n_locales; i++) {
        if (strcmp(notice->locales[i].locale, locale) == 0) {
            return true;
        }
    }
    return false;
}

static void lint_locales(const struct template_set *set, const struct notice_words *notice, struct template_report *report) {
    for (size_t i = 0; i < set->company.locales.n; i++) {
        const char *locale = set->company.locales.items[i];
        if (!has_locale(notice, locale)) {
            (void)report_error(report, notice->where.file, 0,
                               "the notice has no words in \"%s\", which company.yaml asks for; add the folder %s/%s", locale, notice->name,
                               locale);
        }
    }
}

void lint_set(const struct template_set *set, struct template_report *report) {
    for (size_t i = 0; i < set->n_notices; i++) {
        lint_locales(set, &set->notices[i], report);
    }
}
