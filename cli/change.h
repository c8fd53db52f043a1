/* change: the change that a preflight is asked about, out of a campaign or a notice job (contract.md, "Jobs in"). */
#ifndef REACH_CLI_CHANGE_H
#define REACH_CLI_CHANGE_H

#include "dispatcher/campaign_job.h"

struct change {
    json_t *document; /* owned: change_fini() */
    const char *id;
    const char *notice;
    const char *route; /* NULL: the default one */
    struct audience audience;
    struct disables disables;
    int64_t effective_at_ms; /* 0: in force already */
    int64_t promise_ms;      /* 0: none */
    int64_t suspect_since_ms;
    const char *only_customer; /* a notice job is about this one; NULL: about the audience */
};

/* Reads the job in the file `path` ("-": standard input). Everything lives in `arena` or in change->document. 0, or -1 with *err naming the
 * member; change_fini() in any case. */
int change_read(const char *path, const struct mailbox_rules *rules, struct arena *arena, struct change *change, struct err *err);
void change_fini(struct change *change);

#endif
