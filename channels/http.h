/* http: the driver for SMS and push gateways that are spoken to over HTTP. What to send and how to read the answer stands in the
 * configuration (http_settings.h); docs/gateways.md explains it to operators. */
#ifndef REACH_CHANNELS_HTTP_H
#define REACH_CHANNELS_HTTP_H

#include "channels/channel.h"

extern const struct channel_driver channel_http;

#endif
