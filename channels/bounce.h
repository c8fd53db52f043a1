/* bounce: mail that comes back, read for what it says about a mail of ours. */
#ifndef REACH_CHANNELS_BOUNCE_H
#define REACH_CHANNELS_BOUNCE_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Longest mail that is looked at, in bytes. */
enum { BOUNCE_MAX_BYTES = 1 << 20 };

enum bounce_kind {
    BOUNCE_NOTHING,   /* no bounce (an automatic reply, a person's answer), or one that says nothing clear */
    BOUNCE_DELAYED,   /* not yet delivered; the server goes on trying */
    BOUNCE_DELIVERED, /* delivered, and a report of it was asked for */
    BOUNCE_FAILED,    /* given up; the contact point may work another time (4.y.z) */
    BOUNCE_REJECTED   /* given up for good (5.y.z) */
};

struct bounce {
    enum bounce_kind kind;
    char status[16];  /* RFC 3463, "5.1.1"; or empty */
    char detail[240]; /* one line in the server's words, without addresses; or empty */
    int64_t at_ms;    /* when the report was written; 0: not said */
};

/* Reads a mail: a delivery report (RFC 3464), else a plain-text bounce by its looks. 0; -1 with *err where it is no mail at all or too
 * large. Whom it is about is not taken from what it says: that is its envelope recipient's part (bounce_to_receipt()). */
int bounce_parse(const char *mail, size_t len, struct bounce *bounce, struct err *err);

/* A gateway whose bounces may come. */
struct bounce_gateway {
    const char *name;
    const char *envelope; /* base of the envelope senders (verp.h) */
    const char *secret;   /* or NULL */
};

/* Turns a mail that came to `recipient` (NULL: as its Delivered-To, X-Original-To, Envelope-To or To say) into a receipt (contract.md) for
 * the gateway whose envelope it is. 1 and the JSON appended to *receipt; 0 where there is nothing to report (*err says why); -1 with *err
 * where it must not be believed or cannot be read. */
int bounce_to_receipt(const struct bounce_gateway *gateways, size_t n_gateways, const char *recipient, const char *mail, size_t len,
                      struct buf *receipt, struct err *err);

#endif
