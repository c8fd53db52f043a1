/* archived: notices that have left Redis, out of the archive of this machine (archive.directory). */
#ifndef REACH_CLI_ARCHIVED_H
#define REACH_CLI_ARCHIVED_H

#include "cli/ctl.h"
#include "queue/store.h"

/* One notice, out of Redis or else the archive: 1 and *held_r in the command's arena, *archived_at_r an RFC 3339 time or NULL where it is
 * still in Redis; 0 unknown; -1 with *err. Opens the connection. */
int archived_notice(struct ctl *ctl, const char *id, struct queue_record *held_r, const char **archived_at_r, struct err *err);

/* Adds a customer's newest archived notices (100 at most) to a list of notices as view_notice_line() makes them, each with the member
 * `archived_at`. Those that are in the list already are left out. 0, or -1 with *err. */
int archived_of_customer(struct ctl *ctl, const char *customer, json_t *list, struct err *err);

#endif
