/* job: reads and checks what producers push (contract.md, "Jobs in"). Used by reachd and by `reachctl push`. */
#ifndef REACH_DISPATCHER_JOB_H
#define REACH_DISPATCHER_JOB_H

#include "base/arena.h"
#include "base/err.h"
#include "base/notice.h"
#include "dispatcher/core/mailbox.h"

enum job_type { JOB_NOTICE, JOB_CAMPAIGN, JOB_CONTACT, JOB_RESOLVE, JOB_CANCEL, JOB_DISABLED, JOB_DESK };

/* A word about one contact point, in a `contact` job. */
struct job_mark {
    const char *key; /* plan_contact_key() */
    enum contact_status status;
};

struct job_document {
    enum job_type type;
    json_t *root;          /* owned; job_document_fini() */
    struct job job;        /* JOB_NOTICE: everything; JOB_CONTACT: id and customer; JOB_RESOLVE, JOB_CANCEL: id and customer or notice_id */
    const char *notice_id; /* JOB_RESOLVE, JOB_CANCEL: the notice meant; or NULL */
    const char *by;        /* JOB_DESK: who; or NULL */
    const char *note;      /* JOB_DESK: what came of it; or NULL */
    const struct job_mark *marks; /* JOB_CONTACT; in the arena */
    size_t n_marks;
    const char *account;    /* JOB_DISABLED */
    int64_t disabled_at_ms; /* JOB_DISABLED; 0: not given */
    char digest[33];        /* 32 hex digits over the meaning of the job, so that the same id with other content is noticed */
};

/* Parses and checks one job. Strings live in the document or in `arena`; call job_document_fini() in any case.
 * 0, or -1 with *err naming the member at fault. `id_r` (may be NULL) receives the job's id where it could be read, also on failure. */
int job_parse(const char *text, size_t len, const struct mailbox_rules *rules, struct arena *arena, struct job_document *document,
              const char **id_r, struct err *err);

void job_document_fini(struct job_document *document);

/* Whether an address has the form that its channel needs. 0, or -1 with the reason in *why. */
int job_check_address(const struct mailbox_rules *rules, enum channel_id channel, const char *address, struct err *why);

/* Reads one customer object (line of a contacts file) into job->customer and job->attributes. Strings are borrowed from `value`;
 * lists live in `arena`. `rules` NULL: the addresses are not looked at. 0, or -1 with *err naming the member ("contacts[2].address"). */
int job_read_customer(json_t *value, const struct mailbox_rules *rules, struct arena *arena, struct job *job, struct err *err);

#endif
