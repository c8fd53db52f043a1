/* libexec: where the helper executables are. */
#ifndef REACH_DISPATCHER_LIBEXEC_H
#define REACH_DISPATCHER_LIBEXEC_H

#include "dispatcher/settings.h"

/* The directory of reachd-mailer: as configured, else the one this program is in, else ../libexec/reachd beside it. In the arena or in
 * *settings. NULL: no memory. */
const char *libexec_find(const struct settings *settings, struct arena *arena);

#endif
