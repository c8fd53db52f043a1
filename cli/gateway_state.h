/* gateway_state: how a gateway is at the moment, as the workers share it in Redis, for `gateway list` and `status`. */
#ifndef REACH_CLI_GATEWAY_STATE_H
#define REACH_CLI_GATEWAY_STATE_H

#include "cli/ctl.h"
#include "dispatcher/core/health.h"

#include <jansson.h>

/* Sets state, share, weight_now, and where it is not closed since, until, reason. `text`: as in Redis; NULL: nothing is known, so it works.
 */
void gateway_state_view(json_t *object, const struct gateway_settings *gateway, const char *text);

/* "open until 12:00:03: 421 4.3.2": for people; into out. */
const char *gateway_state_text(const struct health *health, char *out, size_t cap);

#endif
