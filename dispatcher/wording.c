/* wording: see wording.h.
 *
 * The worker makes a message from a job that it has in hand; `reachctl template render` makes the same message again, long afterwards, from
 * what the record kept. Both come through here, so that they cannot drift apart: what is not in the arguments of these functions
 * is not in a message.
 *
 * Guarantees: the same arguments give the same bytes. Fails: as template_render(), and for an address that cannot be a mailbox.
 * Does not: read Redis, the configuration or a clock. */
#include "dispatcher/wording.h"

#include "base/buf.h"
#include "channels/channel.h"
#include "dispatcher/core/mailbox.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

int wording_make(const struct wording *wording, const struct template_set *set, enum channel_id channel, struct arena *arena,
                 struct message *message, struct err *err) {
    const struct record *record = wording->record;
    const struct record_addressed *addressed = &record->addressed;
    const struct template_values values = {
        .data = wording->data,
        .customer_name = addressed->name,
        .account = record->accounts.n > 0 ? record->accounts.items[0] : NULL,
        .time_zone = addressed->time_zone,
        .effective_at_ms = record->effective_at_ms,
        .expires_at_ms = record->expires_at_ms,
        .now_ms = wording->made_at_ms,
        .notice_id = wording->id,
        .customer_id = record->customer,
        .reset_key = wording->reset_key,
        .reset_key_len = wording->reset_key == NULL ? 0 : strlen(wording->reset_key),
    };
    message->notice_id = wording->id;
    message->customer_id = record->customer;
    message->to_name = addressed->name;
    message->created_at_ms = record->accepted_at_ms;
    message->expires_at_ms = record->expires_at_ms;
    return template_render(set, record->notice, addressed->locale, channel, &values, arena, message, err);
}

/* In the arena; NULL: no memory. */
static const char *hex(const unsigned char *bytes, size_t n, struct arena *arena) {
    static const char digits[] = "0123456789abcdef";
    char *text = arena_alloc(arena, 2 * n + 1);
    for (size_t i = 0; text != NULL && i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return text;
}

const char *wording_key(const char *id, uint32_t step, const char *contact_key, struct arena *arena) {
    char text[200];
    unsigned char hash[SHA256_DIGEST_LENGTH];
    int len = snprintf(text, sizeof text, "%s %u %s", id, step, contact_key);
    (void)SHA256((const unsigned char *)text, (size_t)len, hash);
    return hex(hash, 16, arena);
}

int wording_key_mark(const struct message *message, const char *key, struct arena *arena, const char **mark_r, struct err *err) {
    static const unsigned char label[] = "reach-reset-key-mark-1";
    unsigned char mac[EVP_MAX_MD_SIZE];
    *mark_r = NULL;
    if (!message->asks_reset_key) {
        return 0;
    }
    if (key == NULL) {
        *mark_r = WORDING_NO_KEY;
        return 0;
    }
    if (HMAC(EVP_sha256(), key, (int)strlen(key), label, sizeof label - 1, mac, NULL) == NULL) {
        return err_set(err, ERR_SYSTEM, "the key for reset links cannot be marked");
    }
    *mark_r = hex(mac, 8, arena);
    return *mark_r == NULL ? err_no_memory(err) : 0;
}

const char *wording_address(enum channel_id channel, const char *address, struct arena *arena, struct err *err) {
    if (channel_traits(channel)->address != ADDRESS_MAILBOX) {
        return address;
    }
    char wire[MAILBOX_MAX];
    if (mailbox_wire(address, wire, err) < 0) {
        return NULL;
    }
    const char *copy = arena_strdup(arena, wire);
    if (copy == NULL) {
        (void)err_no_memory(err);
    }
    return copy;
}

/* With a line break before it; "" where nothing of the gateway stands in a message. NULL: no memory. */
static const char *sender_of(const struct gateway_settings *gateway, struct arena *arena) {
    const struct channel_driver *driver = gateway == NULL ? NULL : channel_driver_find(gateway->driver);
    if (driver == NULL || driver->sender == NULL) {
        return "";
    }
    struct buf text = BUF_INIT;
    buf_putc(&text, '\n');
    driver->sender(gateway, &text);
    const char *sender = buf_str(&text) == NULL ? NULL : arena_strdup(arena, buf_str(&text));
    buf_fini(&text);
    return sender;
}

const char *wording_check(enum channel_id channel, const struct record_addressed *addressed, const char *to,
                          const struct gateway_settings *gateway, struct arena *arena) {
    const char *name = addressed->name == NULL ? "" : addressed->name;
    const char *time_zone = addressed->time_zone == NULL ? "" : addressed->time_zone;
    const char *locale = addressed->locale == NULL ? "" : addressed->locale;
    const char *sender = sender_of(gateway, arena);
    const char *all = sender == NULL ? NULL : arena_printf(arena, "%s\n%s\n%s\n%s%s", name, time_zone, locale, to, sender);
    char *check = arena_alloc(arena, 17);
    if (all == NULL || check == NULL) {
        return NULL;
    }
    plan_contact_key(channel, all, check);
    return check;
}
