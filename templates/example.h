/* example: values for a message that nobody gets: for the checks and the preview. Private to templates/. */
#ifndef REACH_TEMPLATES_EXAMPLE_H
#define REACH_TEMPLATES_EXAMPLE_H

#include "templates/set.h"

/* The notice's examples as a job's data; without the optional ones where `all` is false. A new reference; NULL without memory. */
json_t *example_data(const struct notice_words *notice, bool all);

/* Example values around `data`: with a name, account and times, or, where `all` is false, with none of them. `in_force` chooses whether the
 * change has happened. */
struct template_values example_values(const json_t *data, bool all, bool in_force);

#endif
