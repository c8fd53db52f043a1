/* reach: who can still be reached once the change is in force. Pure: inputs in, a verdict and its reasons out.
 *
 * A contact point survives only if it is not doomed, its status allows it, all of its `depends_on` survive and, where
 * `forwards_to` is given, at least one target survives (least fixed point: a loop without a real mailbox does not). An e-mail
 * address that mail cannot be sent to from here (a local part outside ASCII) is no way to the customer and does not survive. */
#ifndef REACH_CORE_REACH_H
#define REACH_CORE_REACH_H

#include "base/notice.h"
#include "dispatcher/core/mailbox.h"

/* What dies with the change, in canonical form. Built once per job or campaign; immutable while it is asked. */
struct doomed_set;

/* The set of `disables` (its accounts and domains; with audience_accounts also every account in `audience`, which may
 * be NULL). An account is a mailbox or an E.164 number. NULL with *err naming the member ("disables.accounts[3]",
 * "audience[17]"). Lives in the arena. */
const struct doomed_set *doomed_set_new(const struct mailbox_rules *rules, const struct disables *disables,
                                        const struct address_list *audience, struct arena *arena, struct err *err);

/* Whether a canonical mailbox or number is in the set. */
bool doomed_set_has(const struct doomed_set *set, const char *canonical);

enum verdict { VERDICT_REACHABLE, VERDICT_WEAK, VERDICT_PASSIVE, VERDICT_STRANDED };

const char *verdict_name(enum verdict verdict);

struct reach_contact {
    bool survives;
    bool weak;                 /* survives, but is unverified or changed after suspect_since */
    bool evidence_counts;      /* survives and was not changed after suspect_since: what arrives there may be evidence */
    bool doomed;               /* works now and dies with the change: it is in the set, or leads only there (may carry an early
                                * warning before effective_at) */
    bool invalid;              /* it cannot be a valid address (only where tolerate_invalid is set) */
    size_t first;              /* index of the first contact point with the same address; its own index where it is the first */
    const char *canonical;     /* how this contact point is compared: canonical mailbox, number, token, login */
    const char *reason;        /* in words for a service desk, with addresses; never NULL */
    const char *reason_masked; /* the same with every address masked; never NULL */
    const char *warning;       /* mailbox_warning(), or NULL: changes nothing, but somebody should look */
};

struct reach_answer {
    enum verdict verdict;
    bool single_route;              /* all surviving routes (the passive ones apart) share one mail domain or one gateway */
    struct reach_contact *contacts; /* one per contact point of the customer, in their order */
    size_t n_contacts;
    size_t n_warnings; /* contact points with a warning */
};

struct reach_question {
    const struct mailbox_rules *rules;
    const struct doomed_set *doomed;
    /* Other people's accounts that die in the same change, where they are too many for a set in memory: whether this canonical mailbox or
     * number is one of them. The answer must not change while the question is open. NULL: there are none but those in `doomed`. */
    bool (*dies_too)(void *ctx, const char *canonical);
    void *dies_too_ctx;
    const struct customer *customer;
    int64_t suspect_since_ms; /* 0: not given */
    /* A contact point or target that cannot be valid does not survive, with the reason, instead of failing the whole answer. For
     * customers out of the contact book, where one bad entry must not cost them the good ones. */
    bool tolerate_invalid;
    /* The gateway of each channel where only one is configured, for single_route; NULL entries: several, or not known. */
    const char *sole_gateway[CHANNEL_COUNT];
};

/* Answers for the time from effective_at on. Everything in *answer lives in `arena` or is borrowed from the question. 0; -1 with
 * *err where an address cannot be a valid one ("customer.contacts[2].address") or memory is short. Time and memory are linear in
 * the size of the customer; nothing recurses.
 *
 * The same address given twice is one contact point: the worse status and the conditions of all its entries hold. */
int reach_decide(const struct reach_question *question, struct arena *arena, struct reach_answer *answer, struct err *err);

/* May this contact point carry this message now? The check that is made again at every attempt (P2), status permitting: a surviving
 * one always, a doomed one only strictly before `effective_at_ms` and only as an early warning. `point` is the contact point as it is
 * known now. effective_at_ms 0: the
 * change is in force already. */
enum reach_use { REACH_NEVER, REACH_EARLY_WARNING, REACH_EVIDENCE };
enum reach_use reach_use_at(const struct reach_contact *contact, const struct contact *point, int64_t effective_at_ms, int64_t now_ms);

/* The customer as the notice must see them where a job gives suspect_since: behind every contact point that was changed after
 * that moment stands its previous address as a contact point of its own, so that the route tells both (the changed one alone is
 * no evidence). Where there is nothing to add, *out is a copy of *in that shares its contacts. 0, or -1 with *err (no memory). */
int reach_with_previous(const struct customer *in, int64_t suspect_since_ms, struct arena *arena, struct customer *out, struct err *err);

#endif
