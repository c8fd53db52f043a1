/* gateway_state: see gateway_state.h. Does not: talk to Redis, or to a gateway. */
#include "cli/gateway_state.h"

#include "base/clock.h"
#include "cli/view.h"

#include <stdio.h>

void gateway_state_view(json_t *object, const struct gateway_settings *gateway, const char *text) {
    struct health health;
    health_init(&health);
    if (text != NULL) {
        (void)health_read(text, &health); /* damaged: as reachd takes it, nothing is known */
    }
    const struct breaker *breaker = &health.breaker;
    view_text(object, "state", breaker_state_name(breaker->state));
    (void)json_object_set_new(object, "share", json_integer(health.share.points));
    (void)json_object_set_new(object, "weight_now", json_real((double)(gateway->weight * health.share.points) / SHARE_FULL));
    view_time(object, "since", breaker->changed_at_ms);
    view_time(object, "until", breaker->state == BREAKER_OPEN ? breaker->until_ms : 0);
    view_text(object, "reason", breaker->state == BREAKER_CLOSED || breaker->reason[0] == '\0' ? NULL : breaker->reason);
}

const char *gateway_state_text(const struct health *health, char *out, size_t cap) {
    const struct breaker *breaker = &health->breaker;
    char until[TIME_TEXT_MAX];
    if (breaker->state == BREAKER_OPEN) {
        (void)snprintf(out, cap, "open until %s: %s", view_clock(breaker->until_ms, until), breaker->reason);
    } else {
        bool bare = breaker->state == BREAKER_CLOSED || breaker->reason[0] == '\0';
        (void)snprintf(out, cap, "%s%s%s", breaker_state_name(breaker->state), bare ? "" : ": ", bare ? "" : breaker->reason);
    }
    return out;
}
