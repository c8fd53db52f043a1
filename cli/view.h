/* view: what Redis holds, as JSON objects for --json and as the source of the tables. Addresses are masked here, once. */
#ifndef REACH_CLI_VIEW_H
#define REACH_CLI_VIEW_H

#include "base/notice.h"
#include "cli/output.h"
#include "dispatcher/core/reach.h"
#include "dispatcher/record.h"

/* ---- members that may be absent ------------------------------------------------------------------------------------------ */
/* Sets a member; a NULL text, a time or number of 0 and a false flag are left out. A want of memory leaves the member out. */
void view_text(json_t *object, const char *name, const char *text);
void view_time(json_t *object, const char *name, int64_t ms);
void view_number(json_t *object, const char *name, int64_t value);
void view_flag(json_t *object, const char *name, bool value);
void view_masked(json_t *object, const char *name, const char *address);

/* The string member of that name, or NULL. */
const char *view_get(const json_t *object, const char *name);

/* The member as milliseconds since 1970: an RFC 3339 text or a number of milliseconds. 0 where it is neither. */
int64_t view_get_time(const json_t *object, const char *name);

/* ---- documents ---------------------------------------------------------------------------------------------------------- */
/* A notice in one line: id, state, customer, notice, accepted_at, verdict, reason. New; NULL: no memory. */
json_t *view_notice_line(const char *id, enum notice_state state, const struct record *record);

/* The whole of it: also times, route, accounts (masked), tries, timeline. */
json_t *view_notice(const char *id, enum notice_state state, const struct record *record);

/* One contact point with its verdict: channel, address (masked), status, survives, weak, doomed, reason (its addresses masked). */
json_t *view_contact(const struct contact *contact, const struct reach_contact *answer);

/* A time as a person reads it, "2026-12-23 18:00:00Z", "-" for 0; into out, which holds TIME_TEXT_MAX bytes. */
const char *view_clock(int64_t ms, char *out);

#endif
