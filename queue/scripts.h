/* scripts: the Lua scripts of queue/lua/, each with its name in Redis (SHA-1 of its text). */
#ifndef REACH_QUEUE_SCRIPTS_H
#define REACH_QUEUE_SCRIPTS_H

#include "base/arena.h"
#include "base/err.h"

#define SCRIPT_LIST(X)                                                                                                                     \
    X(SCRIPT_APPLY, apply)                                                                                                                 \
    X(SCRIPT_SETTLE, settle)                                                                                                               \
    X(SCRIPT_GIVEBACK, giveback)                                                                                                           \
    X(SCRIPT_CLAIM, claim)                                                                                                                 \
    X(SCRIPT_TAKE, take)                                                                                                                   \
    X(SCRIPT_GROUP, group)                                                                                                                 \
    X(SCRIPT_RECLAIM, reclaim)                                                                                                             \
    X(SCRIPT_READ, read)                                                                                                                   \
    X(SCRIPT_TRIM, trim)                                                                                                                   \
    X(SCRIPT_REQUEUE, requeue)                                                                                                             \
    X(SCRIPT_SWEEP, sweep)                                                                                                                 \
    X(SCRIPT_RETIRE, retire)                                                                                                               \
    X(SCRIPT_EPOCH, epoch)                                                                                                                 \
    X(SCRIPT_BOOK, book)                                                                                                                   \
    X(SCRIPT_REPLACE, replace)                                                                                                             \
    X(SCRIPT_GATEWAY, gateway)                                                                                                             \
    X(SCRIPT_RECOUNT, recount)                                                                                                             \
    X(SCRIPT_AUDIT, audit)                                                                                                                 \
    X(SCRIPT_RATE, rate)

#define SCRIPT_ENUM(id, name) id,
enum script_id { SCRIPT_LIST(SCRIPT_ENUM) SCRIPT_COUNT };

struct script {
    const char *text;
    char sha[41]; /* 40 hex digits */
};

/* Puts each script together with lua/common.lua in `arena` (take stands alone and without its head: it is sent with each read) and names
 * it. 0, or -1 with *err. */
int scripts_make(struct arena *arena, struct script scripts[SCRIPT_COUNT], struct err *err);

/* The text of the Redis function library that other services call; begins with "#!lua name=reach". */
const char *scripts_library(void);

#endif
