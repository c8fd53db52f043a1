/* preview: a page on loopback where a writer sees what customers will see. */
#ifndef REACH_TEMPLATES_PREVIEW_H
#define REACH_TEMPLATES_PREVIEW_H

#include "base/err.h"
#include "templates/template.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct preview;

/* Starts to serve the set below `dir` on 127.0.0.1:`port` (0: a free one). A set with errors is served all the same: its findings are
 * shown, and the messages of the last good version. Watches the directory and tells open pages of each change. NULL with *err. */
struct preview *preview_new(struct event_base *base, const char *dir, uint16_t port, struct err *err);

/* Ends every open request and frees. */
void preview_free(struct preview *preview);

/* The messages of a notice in one locale (NULL: the set's default), made with its examples, as the page shows them: {"email": {...}, "sms":
 * {..., "count": {...}}, ...}; a channel that cannot be made has {"error"}. A new reference; NULL with *err. */
json_t *preview_examples(const struct template_set *set, const char *notice, const char *locale, bool in_force, struct err *err);

/* "http://127.0.0.1:43210/"; borrowed. */
const char *preview_url(const struct preview *preview);

#endif
