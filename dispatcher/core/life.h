/* life: the states of a notice and what may happen in each. Pure: a table.
 *
 * Every change of state goes through life_next(), so that the table below is the whole truth about it. */
#ifndef REACH_CORE_LIFE_H
#define REACH_CORE_LIFE_H

#include "base/notice.h"

/* Event and what it means. */
#define LIFE_EVENT_LIST(X)                                                                                                                 \
    X(LIFE_PLAN, "plan")                                   /* the verdict is known and the route chosen, or chosen anew */                 \
    X(LIFE_SEND, "send")                                   /* an attempt is about to begin */                                              \
    X(LIFE_OUTCOME_SENT, "outcome-sent")                   /* the gateway has taken it */                                                  \
    X(LIFE_OUTCOME_RETRY, "outcome-retry")                 /* not taken; later */                                                          \
    X(LIFE_OUTCOME_REJECTED, "outcome-rejected")           /* not taken and never will be */                                               \
    X(LIFE_OUTCOME_UNKNOWN, "outcome-unknown")             /* it may or may not have gone out */                                           \
    X(LIFE_EVIDENCE_DELIVERED, "evidence-delivered")       /* a receipt: it has arrived */                                                 \
    X(LIFE_EVIDENCE_SEEN, "evidence-seen")                 /* a receipt: it was shown to the customer */                                   \
    X(LIFE_EVIDENCE_ACKNOWLEDGED, "evidence-acknowledged") /* a receipt: the customer answered it */                                       \
    X(LIFE_FAILED_LATER, "failed-later")                   /* a bounce after it was sent */                                                \
    X(LIFE_REACHED, "reached")                             /* the route's evidence is there */                                             \
    X(LIFE_STRAND, "strand")                               /* no contact point survives, or the route is exhausted */                      \
    X(LIFE_NEW_CONTACT, "new-contact")                     /* the customer's contact points changed */                                     \
    X(LIFE_HAND_OVER, "hand-over")                         /* the desk has taken a stranded customer over for good */                      \
    X(LIFE_EXPIRE, "expire")                               /* expires_at has passed */                                                     \
    X(LIFE_CANCEL, "cancel")                               /* the producer or an operator stops it */                                      \
    X(LIFE_RESOLVE, "resolve")                             /* the customer has acted: nothing is left to tell */

#define LIFE_EVENT_ENUM(id, name) id,
enum life_event { LIFE_EVENT_LIST(LIFE_EVENT_ENUM) LIFE_EVENT_COUNT };

const char *life_event_name(enum life_event event);

/* 1 and *to_r where `event` may happen in `from` (to_r may be the same state), 0 where it may not (then *to_r is left alone). A
 * terminal state is never left; an event that comes too late for it is answered with 0. */
int life_next(enum notice_state from, enum life_event event, enum notice_state *to_r);

#endif
