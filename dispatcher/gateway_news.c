/* gateway_news: see gateway_news.h. Two texts out of two states; both go to Redis with the change itself (queue/lua/gateway.lua), so each
 * change is told and counted once. Does not: read a clock, or log. */
#include "dispatcher/gateway_news.h"

#include "base/clock.h"

static void put_member(struct buf *out, const char *name, const char *value) {
    buf_putf(out, ",\"%s\":", name);
    buf_put_json_str(out, value);
}

const char *gateway_event(const struct gateway_settings *gateway, const struct health *before, const struct health *after, int64_t now_ms,
                          struct buf *out) {
    char at[TIME_TEXT_MAX];
    const struct breaker *breaker = &after->breaker;
    buf_putf(out, "{\"type\":\"gateway\",\"at\":\"%s\"", time_format(now_ms, at));
    put_member(out, "gateway", gateway->name);
    put_member(out, "channel", gateway->channel);
    put_member(out, "from", breaker_state_name(before->breaker.state));
    put_member(out, "state", breaker_state_name(breaker->state));
    buf_putf(out, ",\"share\":%d", (int)after->share.points);
    if (breaker->state == BREAKER_OPEN) {
        put_member(out, "until", time_format(breaker->until_ms, at));
    }
    if (breaker->state != BREAKER_CLOSED && breaker->reason[0] != '\0') {
        put_member(out, "reason", breaker->reason);
    }
    buf_putc(out, '}');
    return buf_str(out);
}

const char *gateway_counts(const struct gateway_settings *gateway, const struct health *before, const struct health *after,
                           struct buf *out) {
    static const char *const verbs[BREAKER_STATE_COUNT] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "opened", [BREAKER_HALF_OPEN] = "probed", [BREAKER_DRAINED] = "drained"};
    if (before->breaker.state != after->breaker.state || before->breaker.changed_at_ms != after->breaker.changed_at_ms) {
        buf_putf(out, "gateway.%s.%s", gateway->name, verbs[after->breaker.state]);
    }
    if (before->share.points != after->share.points) {
        buf_putf(out, "%sgateway.%s.%s", out->len == 0 ? "" : " ", gateway->name,
                 before->share.points > after->share.points ? "share-down" : "share-up");
    }
    return buf_str(out);
}
