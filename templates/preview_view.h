/* preview_view: what the preview page asks for, as JSON. Private to templates/. */
#ifndef REACH_TEMPLATES_PREVIEW_VIEW_H
#define REACH_TEMPLATES_PREVIEW_VIEW_H

#include "templates/template.h"

/* Everything but the messages: {"version", "notices": [{"notice", "description", "severity", "locales", "variables", "example"}],
 * "findings"}. `set` NULL: no good version yet. A new reference; NULL without memory. */
json_t *preview_set_view(const struct template_set *set, const struct template_report *report);

/* The messages of one notice in one locale: {"email": {...} or {"error"}, "sms": ..., ...}. `wanted` is what the page sends: {"notice",
 * "locale", "data", "name", "account", "time_zone", "in_force", "dates"}. NULL with *err. */
json_t *preview_messages_view(const struct template_set *set, const json_t *wanted, struct err *err);

/* The text of one of the set's files: {"file", "text"}. Only files that the set has. NULL with *err. */
json_t *preview_source_view(const char *dir, const char *file, struct err *err);

#endif
