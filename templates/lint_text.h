/* lint_text: a text as the checks read it. Private to templates/. */
#ifndef REACH_TEMPLATES_LINT_TEXT_H
#define REACH_TEMPLATES_LINT_TEXT_H

#include "templates/compile.h"

/* Words in lower case, one blank between them, tags as "{}", each byte with the line it came from. */
struct lint_text {
    const char *text;
    size_t len;
    const int *lines;
};

/* Makes it in the arena; without memory the text is empty. */
struct lint_text lint_text_of(const struct source *source, struct arena *arena);

/* Says what is wrong with the words of one file: links, asking for secrets, panic. `locale` chooses the word lists (the language counts); a
 * language without a list is checked for links only. */
void lint_words(const struct lint_text *text, const char *file, const char *locale, const struct link_rules *links,
                struct template_report *report);

/* Whether the text names one of the hosts. */
bool lint_names_host(const struct lint_text *text, const struct conf_strings *hosts);

#endif
