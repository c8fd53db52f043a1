/* life: see life.h.
 *
 * One row per living state, one column per event; an empty cell is "may not happen". Terminal states have no row, so they cannot
 * be left. Three things in the table are worth a word:
 *   - Evidence never goes backwards: a delivery report after an acknowledgement changes nothing, and what the gateway says
 *     of an attempt after the customer has answered does not take the answer away.
 *   - `sending` means that a worker has it in hand. After an `unknown` outcome nobody has: the notice is planned again, with the try
 *     on record that may have gone out, and whoever takes it up sends the same key again or waits.
 *   - A stranded notice does not expire silently: at its end it is handed to the desk, which keeps the case. */
#include "dispatcher/core/life.h"

#include <assert.h>

#define EVENT_NAME(id, name) [id] = name,
static const char *const event_names[LIFE_EVENT_COUNT] = {LIFE_EVENT_LIST(EVENT_NAME)};

const char *life_event_name(enum life_event event) {
    assert((unsigned)event < LIFE_EVENT_COUNT);
    return event_names[event];
}

/* A cell holds the next state plus one, so that an empty cell is 0. */
#define TO(state) (unsigned char)(NOTICE_##state + 1)

/* What may happen to every living notice. A desk case can be open beside an attempt (a passive customer), so a person can end any. */
#define ENDS [LIFE_CANCEL] = TO(CANCELLED), [LIFE_RESOLVE] = TO(RESOLVED), [LIFE_HAND_OVER] = TO(HANDED_TO_DESK)

static const unsigned char next[NOTICE_STATE_COUNT][LIFE_EVENT_COUNT] = {
    [NOTICE_ACCEPTED] = {ENDS, [LIFE_PLAN] = TO(PLANNED), [LIFE_NEW_CONTACT] = TO(ACCEPTED), [LIFE_EXPIRE] = TO(EXPIRED)},
    [NOTICE_PLANNED] =
        {ENDS, [LIFE_PLAN] = TO(PLANNED), [LIFE_SEND] = TO(SENDING), [LIFE_EVIDENCE_DELIVERED] = TO(DELIVERED),
         [LIFE_EVIDENCE_SEEN] = TO(DELIVERED), [LIFE_EVIDENCE_ACKNOWLEDGED] = TO(ACKNOWLEDGED), [LIFE_FAILED_LATER] = TO(PLANNED),
         [LIFE_REACHED] = TO(REACHED), [LIFE_STRAND] = TO(STRANDED), [LIFE_NEW_CONTACT] = TO(PLANNED), [LIFE_EXPIRE] = TO(EXPIRED)},
    [NOTICE_SENDING] =
        {ENDS, [LIFE_SEND] = TO(SENDING), [LIFE_OUTCOME_SENT] = TO(SENT), [LIFE_OUTCOME_RETRY] = TO(PLANNED),
         [LIFE_OUTCOME_REJECTED] = TO(PLANNED), [LIFE_OUTCOME_UNKNOWN] = TO(PLANNED), [LIFE_EVIDENCE_DELIVERED] = TO(DELIVERED),
         [LIFE_EVIDENCE_SEEN] = TO(DELIVERED), [LIFE_EVIDENCE_ACKNOWLEDGED] = TO(ACKNOWLEDGED), [LIFE_FAILED_LATER] = TO(SENDING),
         [LIFE_REACHED] = TO(REACHED), [LIFE_STRAND] = TO(STRANDED), [LIFE_NEW_CONTACT] = TO(SENDING), [LIFE_EXPIRE] = TO(EXPIRED)},
    [NOTICE_SENT] = {ENDS, [LIFE_SEND] = TO(SENDING), [LIFE_EVIDENCE_DELIVERED] = TO(DELIVERED), [LIFE_EVIDENCE_SEEN] = TO(DELIVERED),
                     [LIFE_EVIDENCE_ACKNOWLEDGED] = TO(ACKNOWLEDGED), [LIFE_FAILED_LATER] = TO(PLANNED), [LIFE_REACHED] = TO(REACHED),
                     [LIFE_STRAND] = TO(STRANDED), [LIFE_NEW_CONTACT] = TO(SENT), [LIFE_EXPIRE] = TO(EXPIRED)},
    [NOTICE_DELIVERED] =
        {ENDS, [LIFE_SEND] = TO(SENDING), [LIFE_OUTCOME_SENT] = TO(DELIVERED), [LIFE_OUTCOME_RETRY] = TO(DELIVERED),
         [LIFE_OUTCOME_REJECTED] = TO(DELIVERED), [LIFE_OUTCOME_UNKNOWN] = TO(DELIVERED), [LIFE_EVIDENCE_DELIVERED] = TO(DELIVERED),
         [LIFE_EVIDENCE_SEEN] = TO(DELIVERED), [LIFE_EVIDENCE_ACKNOWLEDGED] = TO(ACKNOWLEDGED), [LIFE_FAILED_LATER] = TO(PLANNED),
         [LIFE_REACHED] = TO(REACHED), [LIFE_STRAND] = TO(STRANDED), [LIFE_NEW_CONTACT] = TO(DELIVERED), [LIFE_EXPIRE] = TO(EXPIRED)},
    [NOTICE_ACKNOWLEDGED] =
        {ENDS, [LIFE_SEND] = TO(SENDING), [LIFE_OUTCOME_SENT] = TO(ACKNOWLEDGED), [LIFE_OUTCOME_RETRY] = TO(ACKNOWLEDGED),
         [LIFE_OUTCOME_REJECTED] = TO(ACKNOWLEDGED), [LIFE_OUTCOME_UNKNOWN] = TO(ACKNOWLEDGED),
         [LIFE_EVIDENCE_DELIVERED] = TO(ACKNOWLEDGED), [LIFE_EVIDENCE_SEEN] = TO(ACKNOWLEDGED),
         [LIFE_EVIDENCE_ACKNOWLEDGED] = TO(ACKNOWLEDGED), [LIFE_FAILED_LATER] = TO(ACKNOWLEDGED), [LIFE_REACHED] = TO(REACHED),
         [LIFE_STRAND] = TO(STRANDED), [LIFE_NEW_CONTACT] = TO(ACKNOWLEDGED), [LIFE_EXPIRE] = TO(EXPIRED)},
    [NOTICE_STRANDED] = {ENDS, [LIFE_EVIDENCE_DELIVERED] = TO(STRANDED), [LIFE_EVIDENCE_SEEN] = TO(STRANDED),
                         [LIFE_EVIDENCE_ACKNOWLEDGED] = TO(ACKNOWLEDGED), [LIFE_FAILED_LATER] = TO(STRANDED), [LIFE_REACHED] = TO(REACHED),
                         [LIFE_STRAND] = TO(STRANDED), [LIFE_NEW_CONTACT] = TO(PLANNED), [LIFE_EXPIRE] = TO(HANDED_TO_DESK)},
};

int life_next(enum notice_state from, enum life_event event, enum notice_state *to_r) {
    assert((unsigned)from < NOTICE_STATE_COUNT && (unsigned)event < LIFE_EVENT_COUNT);
    unsigned char cell = next[from][event];
    if (cell == 0) {
        return 0;
    }
    *to_r = (enum notice_state)(cell - 1);
    return 1;
}
