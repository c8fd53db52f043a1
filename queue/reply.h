/* reply: what Redis answered, sorted by what has to be done about it. */
#ifndef REACH_QUEUE_REPLY_H
#define REACH_QUEUE_REPLY_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trouble {
    TROUBLE_NONE,      /* no error */
    TROUBLE_NOSCRIPT,  /* load the scripts, send again */
    TROUBLE_NOGROUP,   /* make the group again, from 0 */
    TROUBLE_WAIT,      /* LOADING, BUSY, MISCONF, OOM, ...: back off, tell, send again */
    TROUBLE_RECONNECT, /* READONLY, MASTERDOWN: this is not the master (any more): drop the connection */
    TROUBLE_FATAL,     /* NOAUTH, WRONGPASS, NOPERM, REACHDOOR (lua/apply.lua): nothing here can mend it */
    TROUBLE_OTHER      /* anything else: the caller is told */
};

/* Sorts an error reply by its first word, also where a script passed it on. `reply` is never NULL. */
enum trouble reply_trouble(const redisReply *reply);

/* Whether it is an array of at least n elements. */
bool reply_is_array(const redisReply *reply, size_t n);

/* Whether it is a string (bulk or status). */
bool reply_is_string(const redisReply *reply);

/* An integer, also when it comes as a string; `otherwise` for anything else. */
int64_t reply_int(const redisReply *reply, int64_t otherwise);

/* The value of "name:" in an INFO text into `out` (cut to cap). 1, or 0 where it is not there. */
int reply_info(const redisReply *reply, const char *name, char *out, size_t cap);

#endif
