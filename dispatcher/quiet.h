/* quiet: hours in which a channel leaves customers in peace, by their locale and their own clock. Pure but for the arena. */
#ifndef REACH_DISPATCHER_QUIET_H
#define REACH_DISPATCHER_QUIET_H

#include "base/arena.h"
#include "base/conf.h"
#include "base/notice.h"

/* One item of the section `quiet_hours`. */
struct quiet_settings {
    struct conf_where where;
    const char *channel;
    const char *locale;       /* NULL: every locale */
    struct conf_strings send; /* when messages may go, by the customer's clock: "mon-sun 08:00-21:00" */
    const char *time_zone;    /* of customers whose own is not known */
    int64_t unless;           /* from this severity on messages go at any time: index into quiet_unless */
};

extern const struct conf_table quiet_table;

struct quiet_question {
    enum channel_id channel;
    const char *locale;    /* of the customer; or NULL */
    const char *time_zone; /* of the customer, IANA; or NULL */
    const char *severity;  /* of the notice; NULL: not known, so it is not critical */
    int64_t now_ms;
};

/* Whether any item is about that channel. */
bool quiet_concerns(const struct conf_list *items, enum channel_id channel);

/* When the message may go: now_ms, or the end of the quiet hours. The first item that fits channel and locale counts ("de" fits "de-AT").
 * -1 with *err: no memory. */
int64_t quiet_until(const struct conf_list *items, const struct quiet_question *question, struct arena *arena, struct err *err);

#endif
