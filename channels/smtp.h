/* smtp: what others may ask of the smtp driver besides sending. */
#ifndef REACH_CHANNELS_SMTP_H
#define REACH_CHANNELS_SMTP_H

#include "base/arena.h"
#include "channels/channel.h"
#include "channels/verp.h"

extern const struct channel_driver channel_smtp;

/* How a gateway makes its envelope senders, for whoever reads bounces. The secret is read from its file into `arena`; the base is borrowed
 * from the settings. 1; 0 where the gateway is none of this driver; -1 with *err where the secret cannot be read. */
int smtp_envelope(const struct gateway_settings *settings, struct arena *arena, struct verp *verp_r, struct err *err);

#endif
