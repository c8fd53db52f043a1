/* gateway_news: what a change of a gateway's state is told as, by reachd and by an operator's command alike. */
#ifndef REACH_DISPATCHER_GATEWAY_NEWS_H
#define REACH_DISPATCHER_GATEWAY_NEWS_H

#include "base/buf.h"
#include "channels/channel.h"
#include "dispatcher/core/health.h"

/* The event for reach:events (docs/contract.md) in `out`. NULL: no memory. */
const char *gateway_event(const struct gateway_settings *gateway, const struct health *before, const struct health *after, int64_t now_ms,
                          struct buf *out);

/* The names of the counters it raises, blanks between; "" for none. NULL: no memory. */
const char *gateway_counts(const struct gateway_settings *gateway, const struct health *before, const struct health *after,
                           struct buf *out);

#endif
