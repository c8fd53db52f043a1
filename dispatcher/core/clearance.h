/* clearance: may this account be disabled now. Pure. (Whether contact data may be deleted depends on nothing but what is open in Redis, and
 * is decided there, in the step that closes something: lua/effects.lua.)
 *
 * It fails closed: the answer is no unless everything that is asked for is there. A clearance that was granted is withdrawn by asking
 * again: whenever a receipt comes, a contact point changes or another notice speaks of the account, the same question is put with
 * what is known then, and anything but CLEARANCE_GRANT takes it back. */
#ifndef REACH_CORE_CLEARANCE_H
#define REACH_CORE_CLEARANCE_H

#include "dispatcher/core/plan.h"

enum clearance_word {
    CLEARANCE_NOT_YET, /* no; evidence may still come */
    CLEARANCE_DESK,    /* no, and nothing that is planned will change that: a person has to */
    CLEARANCE_GRANT
};

struct clearance_question {
    const struct plan_question *plan; /* the notice: route, tries, and the verdict as it is now, not as it was when sending */
    const struct doomed_set *doomed;  /* of the change that the notice is about */
    const char *account;              /* canonical */
    /* What the customer did that came through no contact point: saw the banner made for the stranded, used the link, spoke with the desk.
     * EVIDENCE_NONE: nothing. Less than EVIDENCE_SEEN counts as nothing; nor does a link that only went out as an early warning. */
    enum evidence reaction;
    /* The least evidence through a contact point that nobody has verified, where the route would take less. */
    enum evidence unverified_needs;
    size_t others;    /* other notices, of this customer or another, that hold the same account */
    bool over;        /* the plan has ended: reached, stranded or expired */
    int64_t valid_ms; /* how long a clearance lasts */
};

struct clearance_answer {
    enum clearance_word word;
    enum evidence evidence; /* CLEARANCE_GRANT: what it is granted on */
    size_t step;            /* CLEARANCE_GRANT: where the evidence came from; SIZE_MAX: a reaction */
    size_t contact;
    int64_t expires_at_ms; /* CLEARANCE_GRANT */
    char reason[160];      /* one line, no address; never empty */
};

/* Decides for one account and one notice. Granted only if the change named this account, nobody else holds it, and evidence that the
 * route calls enough (and at least a reaction where only a banner or nothing survives) came through a contact point that survives
 * now and was not changed after suspect_since, or the customer reacted. */
void clearance_decide(const struct clearance_question *question, struct clearance_answer *answer);

/* Whether a record granted_at..expires_at (0, 0: there is none) allows an account to have been disabled at `at_ms`. */
bool clearance_covers(int64_t granted_at_ms, int64_t expires_at_ms, int64_t at_ms);

#endif
