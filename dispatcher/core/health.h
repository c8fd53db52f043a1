/* health: what all workers know of one gateway: its breaker and its share of the load, as the text that they keep in Redis. Pure. */
#ifndef REACH_CORE_HEALTH_H
#define REACH_CORE_HEALTH_H

#include "dispatcher/core/breaker.h"
#include "dispatcher/core/share.h"

struct health {
    struct breaker breaker;
    struct share share;
};

/* A gateway of which nothing is known: closed, its whole share. */
void health_init(struct health *health);

enum { HEALTH_TEXT_MAX = 512 };

/* "state level until_ms changed_at_ms points moved_at_ms owner reason..." ("-" for no owner). What each worker counts for itself (failures,
 * successes) is not in it. */
void health_write(const struct health *health, char out[HEALTH_TEXT_MAX]);

/* 0, or -1 where it is no such text (*health is then as after health_init()). Counts of failures and successes are kept where the state
 * and its time are still the same. */
int health_read(const char *text, struct health *health);

#endif
