/* lint_rendered: checks of finished messages, made with the examples. Private to templates/. */
#ifndef REACH_TEMPLATES_LINT_RENDERED_H
#define REACH_TEMPLATES_LINT_RENDERED_H

#include "templates/set.h"

/* Makes every message of a notice with and without its optional values, before and after the change, and looks at what came
 * out: does it work at all, how many segments has an SMS, how long is a push message or a subject. */
void lint_rendered(const struct template_set *set, const struct notice_words *notice, struct template_report *report);

#endif
