/* campaign_job: a job of type `campaign` (contract.md): one change that owes notices to many customers. */
#ifndef REACH_DISPATCHER_CAMPAIGN_JOB_H
#define REACH_DISPATCHER_CAMPAIGN_JOB_H

#include "dispatcher/audience.h"

struct campaign_job {
    const char *notice;
    const char *route; /* NULL: the default one */
    struct audience audience;
    struct disables disables;
    int64_t effective_at_ms; /* 0: in force already */
    int64_t expires_at_ms;   /* 0: never */
    int64_t promise_ms;      /* 0: none */
    int64_t suspect_since_ms;
};

/* Reads what stands in a campaign job beside `v`, `type` and `id`, which the caller has taken from `in`; the caller then ends it. Strings
 * live in `arena`, the values of attributes are borrowed from the document. 0, or -1 with *in->err naming the member. */
int campaign_job_read(struct json_in *in, const struct mailbox_rules *rules, struct arena *arena, struct campaign_job *campaign);

#endif
