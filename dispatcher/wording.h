/* wording: what a message of a notice is made from, in one place, so that it can be made again byte for byte. */
#ifndef REACH_DISPATCHER_WORDING_H
#define REACH_DISPATCHER_WORDING_H

#include "base/message.h"
#include "dispatcher/record.h"
#include "templates/template.h"

/* All that a message depends on besides the set of words. Borrowed. */
struct gateway_settings;

struct wording {
    const char *id;              /* of the notice */
    const struct record *record; /* customer, notice, accounts, times, and who is addressed (record->addressed) */
    const json_t *data;          /* the job's values, or NULL */
    const char *reset_key;       /* signs {{reset_link}}; NULL: there is none */
    int64_t made_at_ms;
};

/* Fills the words of one channel into *message, and who it is for. Everything lives in `arena`. 0, or -1 with *err as template_render(). */
int wording_make(const struct wording *wording, const struct template_set *set, enum channel_id channel, struct arena *arena,
                 struct message *message, struct err *err);

/* The idempotency key of a try: the same for the same notice, step and contact point, whoever sends it and however often. In the arena;
 * NULL: no memory. */
const char *wording_key(const char *id, uint32_t step, const char *contact_key, struct arena *arena);

/* The address as it goes on the wire. In the arena or `address` itself; NULL with *err. */
const char *wording_address(enum channel_id channel, const char *address, struct arena *arena, struct err *err);

/* 16 hex digits that differ where a message would be addressed in another way: name, language, time zone or address, or would come from
 * another sender through `gateway` (NULL: no sender). In the arena; NULL: no memory. */
const char *wording_check(enum channel_id channel, const struct record_addressed *addressed, const char *to,
                          const struct gateway_settings *gateway, struct arena *arena);

/* What tells one key for {{reset_link}} from another: 16 hex digits (of HMAC-SHA-256 with the key, over a fixed text), or WORDING_NO_KEY.
 * *mark_r is NULL for a message that does not depend on the key. In the arena. 0, or -1 with *err. */
#define WORDING_NO_KEY "none"
int wording_key_mark(const struct message *message, const char *key, struct arena *arena, const char **mark_r, struct err *err);

#endif
