/* dial: opens a connection to an address as the configuration writes it: "unix:/path" or "host:port". */
#ifndef REACH_QUEUE_DIAL_H
#define REACH_QUEUE_DIAL_H

#include "base/err.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdint.h>

/* 0, or -1 with *err where it is neither of the two forms. */
int dial_check(const char *address, struct err *err);

/* Begins to connect; of the address dial_check() has approved. NULL: no memory; else look at ->err. Its reader is guarded against answers
 * of absurd length. */
redisAsyncContext *dial_async(const char *address);

/* The same, waiting wait_ms at the most for the connection and for each answer. NULL: no memory; else look at ->err. */
redisContext *dial_blocking(const char *address, int64_t wait_ms);

#endif
