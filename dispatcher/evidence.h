/* evidence: later news about a notice (contract.md, "Receipts in"), and what it changes in the record. Pure: no Redis, no clock. */
#ifndef REACH_DISPATCHER_EVIDENCE_H
#define REACH_DISPATCHER_EVIDENCE_H

#include "base/arena.h"
#include "base/err.h"
#include "dispatcher/record.h"

enum receipt_status { RECEIPT_DELIVERED, RECEIPT_FAILED, RECEIPT_BOUNCED, RECEIPT_SEEN, RECEIPT_ACKNOWLEDGED, RECEIPT_DISMISSED };

struct receipt {
    const char *notice;   /* the notice's id, or NULL where gateway and ref name the message */
    const char *gateway;  /* or NULL */
    const char *ref;      /* or NULL */
    const char *customer; /* or NULL */
    enum receipt_status status;
    int64_t at_ms;      /* 0: not given */
    const char *detail; /* or NULL */
};

const char *receipt_status_name(enum receipt_status status);

/* Reads one receipt; strings live in `arena`. 0, or -1 with *err naming the member. */
int receipt_parse(const char *text, size_t len, struct arena *arena, struct receipt *receipt, struct err *err);

enum evidence_effect {
    EVIDENCE_NO_TRY,   /* the notice was not sent in a way that this receipt could be about */
    EVIDENCE_NOTHING,  /* known already, or weaker than what is known */
    EVIDENCE_BETTER,   /* better evidence than before */
    EVIDENCE_WITHDRAWN /* what was sent did not arrive */
};

/* The try that the receipt is about (see evidence_apply()), or NULL. */
const struct record_try *evidence_try(struct record *record, const struct receipt *receipt);

/* Takes down what the receipt says in the try it is about: the one with its gateway and ref, else the newest one that was sent (for
 * seen and dismissed: the newest of a passive channel). A failure does not undo a reaction of the customer. */
enum evidence_effect evidence_apply(struct record *record, const struct receipt *receipt, int64_t now_ms);

#endif
