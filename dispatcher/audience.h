/* audience: whom a campaign is for (contract.md, "audience"). Reading it out of a job, and whether a customer belongs to it. */
#ifndef REACH_DISPATCHER_AUDIENCE_H
#define REACH_DISPATCHER_AUDIENCE_H

#include "base/arena.h"
#include "base/json.h"
#include "base/notice.h"
#include "dispatcher/core/mailbox.h"

enum audience_kind {
    AUDIENCE_ALL,  /* everybody in the contact book */
    AUDIENCE_FILE, /* whose ids a file lists */
    AUDIENCE_SET,  /* whose ids a Redis set lists */
    AUDIENCE_WHERE /* whom all conditions fit */
};

/* One condition on an attribute: it has one of these values. */
struct audience_attribute {
    const char *name;
    const json_t *const *values; /* strings, numbers, booleans */
    size_t n;
};

struct audience {
    enum audience_kind kind;
    const char *file;                                         /* AUDIENCE_FILE: as given */
    const char *set;                                          /* AUDIENCE_SET: the key behind the prefix */
    struct address_list locales, time_zones, account_domains; /* AUDIENCE_WHERE; empty: no condition. Domains are canonical */
    const struct audience_attribute *attributes;
    size_t n_attributes;
};

/* Reads the member `audience` of a job. The values of attributes are borrowed from `value`; all else lives in `arena`. 0, or -1 with *err
 * naming the member ("audience.where.locale"). */
int audience_read(json_t *value, const struct mailbox_rules *rules, struct arena *arena, struct audience *audience, struct err *err);

/* Whether the audience's conditions fit a customer; always for AUDIENCE_ALL. `attributes`: JSON text, or NULL. The two kinds that list ids
 * are not asked here: who holds the list compares ids. */
bool audience_fits(const struct audience *audience, const struct mailbox_rules *rules, const struct customer *customer,
                   const char *attributes);

/* In words, for reports: "everybody", "the ids in FILE", ... Writes into out and returns it. */
const char *audience_text(const struct audience *audience, char *out, size_t cap);

#endif
