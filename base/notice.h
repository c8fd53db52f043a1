/* notice: the model that every room shares: channels, contact points, customers, jobs, and the life of a notice.
 *
 * All strings are borrowed from the arena of the job they belong to, UTF-8, NUL-terminated. Times are milliseconds since
 * 1970; 0 means "not given". */
#ifndef REACH_BASE_NOTICE_H
#define REACH_BASE_NOTICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- channels ------------------------------------------------------------------------------------------------------
 * The one list of channels, in an order that is stored: append only. What the core must know of a channel is in its traits; nobody compares
 * names. address: how addresses are compared and checked.  passive: it tells a customer only when they come by themselves. */
enum address_kind { ADDRESS_MAILBOX, ADDRESS_E164, ADDRESS_TOKEN, ADDRESS_LOGIN };

#define CHANNEL_LIST(X)                                                                                                                    \
    X(CHANNEL_EMAIL, "email", ADDRESS_MAILBOX, false)                                                                                      \
    X(CHANNEL_SMS, "sms", ADDRESS_E164, false)                                                                                             \
    X(CHANNEL_PUSH, "push", ADDRESS_TOKEN, false)                                                                                          \
    X(CHANNEL_BANNER, "banner", ADDRESS_LOGIN, true)

#define CHANNEL_ENUM(id, name, address, passive) id,
enum channel_id { CHANNEL_LIST(CHANNEL_ENUM) CHANNEL_COUNT };

struct channel_traits {
    const char *name;
    enum address_kind address;
    bool passive;
};

/* Traits of a channel. Asserts that `id` is one. */
const struct channel_traits *channel_traits(enum channel_id id);

/* 1 and *id_r where `name` is a channel, else 0. */
int channel_find(const char *name, enum channel_id *id_r);

/* ---- contact points and customers ---------------------------------------------------------------------------------- */
/* In an order that is stored: append only. */
#define CONTACT_STATUS_LIST(X)                                                                                                             \
    X(CONTACT_ACTIVE, "active")                                                                                                            \
    X(CONTACT_UNVERIFIED, "unverified")                                                                                                    \
    X(CONTACT_BOUNCED, "bounced")                                                                                                          \
    X(CONTACT_BLOCKED, "blocked")                                                                                                          \
    X(CONTACT_WITHDRAWN, "withdrawn")

#define CONTACT_STATUS_ENUM(id, name) id,
enum contact_status { CONTACT_STATUS_LIST(CONTACT_STATUS_ENUM) CONTACT_STATUS_COUNT };

const char *contact_status_name(enum contact_status status);
int contact_status_find(const char *name, enum contact_status *status_r); /* 1 found, 0 not */

struct address_list {
    const char **items;
    size_t n;
};

struct contact {
    enum channel_id channel;
    enum contact_status status;
    bool status_told;    /* the source says so in words; else CONTACT_ACTIVE is only the default */
    bool vanished;       /* disappeared upstream without being withdrawn; still usable */
    const char *address; /* as given */
    const char *gateway; /* NULL: any gateway of the channel */
    int64_t verified_at_ms;
    int64_t changed_at_ms;
    const char *previous_address;    /* what `address` was before changed_at_ms, or NULL */
    struct address_list depends_on;  /* it works only while all of these do */
    struct address_list forwards_to; /* it only leads to these: works while one of them does */
};

struct customer {
    const char *id;
    const char *name;      /* or NULL */
    const char *locale;    /* BCP 47, or NULL */
    const char *time_zone; /* IANA, or NULL */
    const struct contact *contacts;
    size_t n_contacts;
    struct address_list accounts; /* from the contact book */
};

/* ---- jobs ---------------------------------------------------------------------------------------------------------- */
struct disables {
    struct address_list accounts;
    struct address_list domains;
    bool audience_accounts;
};

struct job {
    const char *id;     /* producer's key: text_is_id() */
    const char *notice; /* template name */
    struct customer customer;
    bool customer_by_id; /* the job gave only the id: the contact book has the rest */
    struct disables disables;
    int64_t effective_at_ms; /* 0: the account is already dead */
    int64_t expires_at_ms;   /* 0: never */
    int64_t promise_ms;      /* a duration; 0: none */
    int64_t suspect_since_ms;
    const char *route;      /* NULL: the default route */
    const char *campaign;   /* NULL: a single notice */
    const char *attributes; /* JSON text of the customer attributes, or NULL */
    json_t *data;           /* object of template values; borrowed from the parsed document, or NULL */
};

/* ---- the life of a notice ------------------------------------------------------------------------------------------
 *   letter: how it is written in the record.  final: terminal state.  held: it has a record while in this state
 *   (a duplicate or a dead job is only counted: it never becomes a notice of its own). */
#define NOTICE_STATE_LIST(X)                                                                                                               \
    X(NOTICE_ACCEPTED, 'a', "accepted", false, true)                                                                                       \
    X(NOTICE_PLANNED, 'p', "planned", false, true)                                                                                         \
    X(NOTICE_SENDING, 's', "sending", false, true)                                                                                         \
    X(NOTICE_SENT, 't', "sent", false, true)                                                                                               \
    X(NOTICE_DELIVERED, 'd', "delivered", false, true)                                                                                     \
    X(NOTICE_ACKNOWLEDGED, 'k', "acknowledged", false, true)                                                                               \
    X(NOTICE_STRANDED, 'n', "stranded", false, true)                                                                                       \
    X(NOTICE_REACHED, 'R', "reached", true, true)                                                                                          \
    X(NOTICE_HANDED_TO_DESK, 'H', "stranded-handed-to-desk", true, true)                                                                   \
    X(NOTICE_EXPIRED, 'E', "expired", true, true)                                                                                          \
    X(NOTICE_CANCELLED, 'C', "cancelled", true, true)                                                                                      \
    X(NOTICE_RESOLVED, 'V', "resolved", true, true)                                                                                        \
    X(NOTICE_DUPLICATE, 'U', "duplicate", true, false)                                                                                     \
    X(NOTICE_DEAD, 'D', "dead", true, false)

#define NOTICE_STATE_ENUM(id, letter, name, final, held) id,
enum notice_state { NOTICE_STATE_LIST(NOTICE_STATE_ENUM) NOTICE_STATE_COUNT };

char notice_state_letter(enum notice_state state);
const char *notice_state_name(enum notice_state state);
bool notice_state_final(enum notice_state state);
bool notice_state_held(enum notice_state state);
int notice_state_from_letter(char letter, enum notice_state *state_r); /* 1 found, 0 not */
int notice_state_from_name(const char *name, enum notice_state *state_r);

#endif
