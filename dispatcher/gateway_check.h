/* gateway_check: whether a gateway could be opened, without opening it: for `reachd --check-config`, `reachctl gateway lint` and a reload.
 */
#ifndef REACH_DISPATCHER_GATEWAY_CHECK_H
#define REACH_DISPATCHER_GATEWAY_CHECK_H

#include "channels/channel.h"

/* Reads its description and its secrets and compiles what a start would compile; connects to nobody. 0, or -1 with *err: file, line,
 * gateway, key and remedy in one line. */
int gateway_check(const struct gateway_settings *settings, struct err *err);

/* Puts the key at fault, the gateway's name, file and line in front of *err's text. Always -1. */
int gateway_fault(const struct gateway_settings *settings, struct err *err);

#endif
