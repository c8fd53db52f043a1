/* sent: a message that was sent, made again, and what else the files of the noun `template` share. */
#ifndef REACH_CLI_SENT_H
#define REACH_CLI_SENT_H

#include "base/message.h"
#include "cli/ctl.h"
#include "templates/template.h"

#include <jansson.h>
#include <stdio.h>

/* Which message of a notice, and how; every member may be NULL. Borrowed. */
struct sent_ask {
    const char *channel;        /* NULL: any */
    const char *part;           /* "text", "html"; NULL: what the gateway was handed */
    const char *reset_key_file; /* with the key that signed its link; NULL: the configured one */
};

/* Prints the last message of the notice `id`. *known_r is false where Redis knows no such notice; nothing was printed then. */
enum ctl_exit sent_print(struct ctl *ctl, const char *id, const struct sent_ask *ask, bool *known_r);

/* The folder where versions are kept: as configured, else where a reachd says that it keeps them, if that is on this machine. In the arena
 * or borrowed; NULL: none. (cmd_versions.c) */
const char *versions_archive(struct ctl *ctl);

/* A message as JSON: its words, without who they are for. New. (cmd_template.c) */
json_t *view_message(const struct message *message);

/* What the checks found in the set at `dir`, a line each; without the advice where only errors matter. (cmd_template.c) */
void print_findings(const char *dir, const struct template_report *report, bool advice_too, FILE *out);

#endif
