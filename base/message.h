/* message: the finished words for one attempt, between templates (which make them) and channels (which carry them).
 *
 * All strings are UTF-8 and borrowed from the arena of the notice; they stay valid until the attempt's outcome has been
 * reported. A member that the channel does not use is NULL. */
#ifndef REACH_BASE_MESSAGE_H
#define REACH_BASE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

struct message {
    /* who and which (set by the dispatcher) */
    const char *notice_id;
    const char *key;     /* idempotency key, the same on every resend of this step to this contact point; [0-9a-f] */
    const char *to;      /* the address for the wire: canonical mailbox, E.164 number, token, login */
    const char *to_name; /* the customer's name, or NULL */
    uint64_t attempt;    /* tells this attempt from every other; 0: nobody will ask for it again */
    const char *customer_id;
    const char *locale;    /* the locale the words are in, BCP 47 */
    int64_t created_at_ms; /* when the notice was accepted (the Date: of a mail, stable over resends) */
    int64_t expires_at_ms; /* 0: never */

    /* the words (set by templates) */
    const char *notice;       /* template name */
    const char *severity;     /* "info", "warning", "critical" */
    const char *version;      /* content hash of the template set they were made from */
    const char *dir;          /* "ltr" or "rtl" */
    const char *from_name;    /* e-mail: overrides the gateway's display name; or NULL */
    const char *from_address; /* e-mail: overrides the gateway's sender address; or NULL */
    const char *reply_to;     /* e-mail: overrides the gateway's; or NULL */
    const char *subject;      /* e-mail */
    const char *preheader;    /* e-mail; or NULL */
    const char *title;        /* push, banner */
    const char *text;         /* e-mail text part, SMS, push body, banner text */
    const char *html;         /* e-mail HTML part, banner HTML (safe) */
    const char *link;         /* push, banner; or NULL */
    bool asks_reset_key;      /* the words would differ under another key for {{reset_link}}, or without one */
};

#endif
