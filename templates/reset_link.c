/* reset_link: see reset_link.h.
 *
 * The link is made at the moment of sending and again for every retry, so its lifetime begins when the message goes out. It
 * names the notice and the customer by their ids and holds nothing else about anybody; the website that receives it checks the signature
 * with the shared key and needs no look-up to refuse a forged or late one.
 *
 * Guarantees: a change of any part, the channel and the time included, breaks the signature; comparing takes the same time
 * wherever it differs. Does not: make a link single-use (the website does, by the notice id) or keep the key. */
#include "templates/reset_link.h"

#include "base/buf.h"
#include "base/text.h"
#include "templates/escape.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

enum { MAC_BYTES = 32, SIGNATURE_CHARS = 43, PART_MAX = 400 };

/* base64url of the MAC, without padding (RFC 4648 section 5). */
static int sign(const struct reset_link *link, const void *key, size_t key_len, struct arena *arena, char signature[SIGNATURE_CHARS + 2],
                struct err *err) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    const char *text = arena_printf(arena, "reach-reset-link-1\n%s\n%s\n%s\n%lld", link->notice_id, link->customer_id, link->channel,
                                    (long long)(link->expires_at_ms / 1000));
    if (text == NULL || HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), mac, &len) == NULL ||
        len != MAC_BYTES) {
        return err_set(err, ERR_SYSTEM, "a reset link could not be signed");
    }
    (void)EVP_EncodeBlock((unsigned char *)signature, mac, MAC_BYTES);
    signature[SIGNATURE_CHARS] = '\0';
    for (char *p = signature; *p != '\0'; p++) {
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    }
    return 0;
}

const char *reset_link_make(const struct reset_link *link, const void *key, size_t key_len, struct arena *arena, struct err *err) {
    char signature[SIGNATURE_CHARS + 2];
    struct buf out = BUF_INIT;
    if (!text_is_id(link->notice_id) || !text_is_id(link->customer_id)) {
        (void)err_set(err, ERR_MEMBER, "a reset link needs the ids of a notice and a customer");
        return NULL;
    }
    if (sign(link, key, key_len, arena, signature, err) < 0) {
        return NULL;
    }
    buf_puts(&out, link->url);
    buf_puts(&out, strchr(link->url, '?') == NULL ? "?n=" : "&n=");
    escape_put(&out, ESCAPE_URL_PART, link->notice_id, strlen(link->notice_id));
    buf_puts(&out, "&c=");
    escape_put(&out, ESCAPE_URL_PART, link->customer_id, strlen(link->customer_id));
    buf_putf(&out, "&ch=%s&e=%lld&s=%s", link->channel, (long long)(link->expires_at_ms / 1000), signature);
    const char *made = buf_str(&out);
    const char *kept = made == NULL ? NULL : arena_strdup(arena, made);
    buf_fini(&out);
    if (kept == NULL) {
        (void)err_no_memory(err);
    }
    return kept;
}

/* ---- checking ------------------------------------------------------------------------------------------------------ */
static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of a parameter of the query, percent-decoded, in the arena; NULL where it is absent, empty or broken. */
static const char *parameter(const char *query, const char *name, struct arena *arena) {
    size_t name_len = strlen(name);
    for (const char *p = query; p != NULL; p = strchr(p, '&')) {
        p += *p == '&';
        if (strncmp(p, name, name_len) != 0 || p[name_len] != '=') {
            continue;
        }
        const char *value = p + name_len + 1;
        size_t len = strcspn(value, "&#");
        char *out = len == 0 || len > PART_MAX ? NULL : arena_alloc(arena, len + 1);
        size_t n = 0;
        for (size_t i = 0; out != NULL && i < len; i++) {
            bool coded = value[i] == '%' && i + 2 < len && hex_digit(value[i + 1]) >= 0 && hex_digit(value[i + 2]) >= 0;
            out[n++] = coded ? (char)(unsigned char)(hex_digit(value[i + 1]) * 16 + hex_digit(value[i + 2])) : value[i];
            i += coded ? 2 : 0;
        }
        return out;
    }
    return NULL;
}

static bool is_seconds(const char *text) {
    size_t len = strspn(text, "0123456789");
    return len > 0 && len < 16 && text[len] == '\0';
}

int reset_link_check(const char *text, const void *key, size_t key_len, int64_t now_ms, struct arena *arena, struct reset_link *link_r,
                     struct err *err) {
    char wanted[SIGNATURE_CHARS + 2];
    const char *mark = strchr(text, '?');
    const char *query = mark == NULL ? text : mark + 1;
    const char *expires = parameter(query, "e", arena);
    const char *signature = parameter(query, "s", arena);
    *link_r = (struct reset_link){
        .notice_id = parameter(query, "n", arena), .customer_id = parameter(query, "c", arena), .channel = parameter(query, "ch", arena)};
    if (link_r->notice_id == NULL || !text_is_id(link_r->notice_id) || link_r->customer_id == NULL || !text_is_id(link_r->customer_id) ||
        link_r->channel == NULL || !text_is_id(link_r->channel) || expires == NULL || !is_seconds(expires) || signature == NULL) {
        return err_set(err, ERR_SYNTAX, "this is not one of our reset links");
    }
    link_r->expires_at_ms = (int64_t)strtoll(expires, NULL, 10) * 1000;
    if (sign(link_r, key, key_len, arena, wanted, err) < 0) {
        return -1;
    }
    if (strlen(signature) != SIGNATURE_CHARS || CRYPTO_memcmp(signature, wanted, SIGNATURE_CHARS) != 0) {
        return err_set(err, ERR_CONFLICT, "the signature of the reset link is wrong");
    }
    return now_ms < link_r->expires_at_ms ? 0 : err_set(err, ERR_LIMIT, "the reset link has expired");
}
