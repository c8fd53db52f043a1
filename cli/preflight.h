/* preflight: counts who could still be reached, one customer after the other, with memory that does not grow with them. */
#ifndef REACH_CLI_PREFLIGHT_H
#define REACH_CLI_PREFLIGHT_H

#include "base/buf.h"
#include "base/json.h"
#include "cli/change.h"
#include "cli/sorted.h"
#include "dispatcher/core/reach.h"
#include "dispatcher/settings.h"

#include <stdint.h>

enum { PREFLIGHT_NAMES_MAX = 200, PREFLIGHT_CONTACTS_SHOWN = 50, PREFLIGHT_REMARKS_MAX = 100 };

/* Customers by some name (a locale, a gateway). Names beyond the first PREFLIGHT_NAMES_MAX are counted together. */
struct preflight_name {
    char name[64];
    uint64_t customers;
    uint64_t lost;  /* of them, passive or stranded */
    uint64_t stamp; /* the customer counted last */
};

struct preflight_names {
    struct preflight_name rows[PREFLIGHT_NAMES_MAX + 1]; /* the last one: all further names */
    size_t n;
};

/* How much one channel has to carry at first, and how long that takes. */
struct preflight_load {
    uint64_t first;    /* customers whose first message goes this way */
    double rate_per_s; /* of its gateways together; 0: not configured */
    int64_t takes_ms;  /* -1: not known */
};

struct preflight {
    const struct change *change;
    const struct settings *settings;
    const struct route *route;
    struct reach_question question;
    struct arena arena; /* of one customer */
    struct buf entry;
    struct sorted sorted; /* the lost and the weak: "<0|1><customer>\t<JSON>" */
    bool sorting;

    uint64_t customers; /* judged: the sum of the verdicts */
    uint64_t unusable;  /* could not be judged; counted by the caller */
    uint64_t verdicts[4];
    uint64_t single_route;
    uint64_t channels[CHANNEL_COUNT]; /* customers with a surviving contact point there */
    uint64_t contacts, contacts_surviving, contacts_doomed, contacts_vanished, contacts_invalid, contacts_lookalike;
    json_t *invalid;    /* [{customer, channel, address, reason}], masked: the first PREFLIGHT_REMARKS_MAX that cannot be valid; owned */
    json_t *lookalikes; /* the same of those that the eye takes for others; owned */
    struct preflight_load loads[CHANNEL_COUNT];
    struct preflight_names locales;
    struct preflight_names gateways;
};

/* Begins. Everything is borrowed; `route` is the one that the change would take. 0, or -1 with *err. preflight_fini() in any case. */
int preflight_init(struct preflight *preflight, const struct change *change, const struct settings *settings, const struct route *route,
                   const struct mailbox_rules *rules, const struct doomed_set *doomed, struct err *err);
void preflight_fini(struct preflight *preflight);

/* Judges one customer, as reachd judges one out of the contact book: an address that cannot be valid is noted, does not survive, and costs
 * no other. 0, or -1 with *err for want of memory (ERR_MEMORY). */
int preflight_add(struct preflight *preflight, const struct customer *customer, struct err *err);

/* No more customers: works out how long the first messages take. 0, or -1 with *err. */
int preflight_end(struct preflight *preflight, struct err *err);

/* One of the lost (passive, stranded) or weak, as JSON text; ordered by customer, all of the lost first. Borrowed until the next
 * call. 1, 0 after the last, -1 with *err. */
int preflight_next(struct preflight *preflight, bool *weak_r, const char **json_r, struct err *err);

/* Passive and stranded together: who would be a desk case. */
uint64_t preflight_lost(const struct preflight *preflight);

/* When the last first message would be out, counted from the start; -1: not known. */
int64_t preflight_takes_ms(const struct preflight *preflight);

#endif
