/* standalone: reachd's own redis-server, for trying it out, for the demo and for a small installation. */
#ifndef REACH_DISPATCHER_STANDALONE_H
#define REACH_DISPATCHER_STANDALONE_H

#include "base/err.h"

#include <stdint.h>

struct event_base;
struct standalone;

/* Makes `dir` if need be (mode 700), takes its lock, starts redis-server on the private socket dir/redis.sock with append-only
 * file in dir, and waits at most wait_ms until it answers. When that server dies by itself it is started again. NULL with
 * *err. `base` is borrowed. */
struct standalone *standalone_start(struct event_base *base, const char *dir, int64_t wait_ms, struct err *err);

/* "unix:<dir>/redis.sock"; borrowed. */
const char *standalone_address(const struct standalone *standalone);

/* Stops the server in good order (it writes its file first) and waits for its end. */
void standalone_stop(struct standalone *standalone);

#endif
