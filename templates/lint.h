/* lint: what can be wrong with words that compile. Private to templates/. */
#ifndef REACH_TEMPLATES_LINT_H
#define REACH_TEMPLATES_LINT_H

#include "templates/set.h"

/* Looks at a compiled set as a whole. Findings go into the report. */
void lint_set(const struct template_set *set, struct template_report *report);

#endif
