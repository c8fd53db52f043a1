/* reset_link: a link that only we can have made, for {{reset_link}}. */
#ifndef REACH_TEMPLATES_RESET_LINK_H
#define REACH_TEMPLATES_RESET_LINK_H

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct reset_link {
    const char *url;         /* the page; https, without a fragment */
    const char *notice_id;   /* text_is_id() */
    const char *customer_id; /* text_is_id() */
    const char *channel;     /* a channel's name */
    int64_t expires_at_ms;   /* kept to the second */
};

/* The link: the page's address with the parameters n (notice), c (customer), ch (channel), e (seconds since 1970 at which it
 * stops working) and s (HMAC-SHA-256, base64url without padding, over
 * "reach-reset-link-1\n" notice "\n" customer "\n" channel "\n" e). Made again with the same arguments it is the same. In the arena;
 * NULL with *err. */
const char *reset_link_make(const struct reset_link *link, const void *key, size_t key_len, struct arena *arena, struct err *err);

/* Checks a link that came back (a query string or a whole address). 0 and *link_r, whose strings live in the arena and whose `url` is NULL;
 * -1 with *err: ERR_SYNTAX (not one of ours), ERR_CONFLICT (forged), ERR_LIMIT (too late). */
int reset_link_check(const char *text, const void *key, size_t key_len, int64_t now_ms, struct arena *arena, struct reset_link *link_r,
                     struct err *err);

#endif
