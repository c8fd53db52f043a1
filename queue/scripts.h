/* scripts: the Lua scripts of queue/lua/, each with its name in Redis (SHA-1 of its text). */
#ifndef REACH_QUEUE_SCRIPTS_H
#define REACH_QUEUE_SCRIPTS_H

#include "base/arena.h"
#include "base/err.h"

/* What a script is put together with: lua/common.lua always, and these parts of it, in this order. Each script lives in Redis' Lua by
 * itself, and Lua's garbage collector walks over all of them again and again: so none carries what it does not use. */
enum script_with { WITH_NOTHING = 0, WITH_LEASES = 1, WITH_CUSTOMERS = 2, WITH_EFFECTS = 4, WITH_NOT_EVEN_COMMON = 8 };

#define SCRIPT_LIST(X)                                                                                                                     \
    X(SCRIPT_APPLY, apply, WITH_LEASES | WITH_CUSTOMERS | WITH_EFFECTS)                                                                    \
    X(SCRIPT_SETTLE, settle, WITH_LEASES | WITH_CUSTOMERS | WITH_EFFECTS)                                                                  \
    X(SCRIPT_GIVEBACK, giveback, WITH_NOTHING)                                                                                             \
    X(SCRIPT_CLAIM, claim, WITH_NOTHING)                                                                                                   \
    X(SCRIPT_TAKE, take, WITH_NOT_EVEN_COMMON)                                                                                             \
    X(SCRIPT_GROUP, group, WITH_LEASES)                                                                                                    \
    X(SCRIPT_RECLAIM, reclaim, WITH_LEASES)                                                                                                \
    X(SCRIPT_READ, read, WITH_CUSTOMERS)                                                                                                   \
    X(SCRIPT_TRIM, trim, WITH_LEASES)                                                                                                      \
    X(SCRIPT_REQUEUE, requeue, WITH_LEASES)                                                                                                \
    X(SCRIPT_SWEEP, sweep, WITH_NOTHING)                                                                                                   \
    X(SCRIPT_RETIRE, retire, WITH_CUSTOMERS)                                                                                               \
    X(SCRIPT_EPOCH, epoch, WITH_NOTHING)                                                                                                   \
    X(SCRIPT_BOOK, book, WITH_CUSTOMERS)                                                                                                   \
    X(SCRIPT_REPLACE, replace, WITH_NOTHING)                                                                                               \
    X(SCRIPT_GATEWAY, gateway, WITH_NOTHING)                                                                                               \
    X(SCRIPT_RECOUNT, recount, WITH_NOTHING)                                                                                               \
    X(SCRIPT_AUDIT, audit, WITH_NOTHING)                                                                                                   \
    X(SCRIPT_RATE, rate, WITH_NOTHING)

#define SCRIPT_ENUM(id, name, parts) id,
enum script_id { SCRIPT_LIST(SCRIPT_ENUM) SCRIPT_COUNT };

struct script {
    const char *text;
    char sha[41]; /* 40 hex digits */
};

/* Puts each script together with its parts in `arena` (take stands alone, without its head: it is sent with each read) and names it. 0, or
 * -1 with *err. */
int scripts_make(struct arena *arena, struct script scripts[SCRIPT_COUNT], struct err *err);

/* The text of the Redis function library that other services call; begins with "#!lua name=reach". */
const char *scripts_library(void);

#endif
