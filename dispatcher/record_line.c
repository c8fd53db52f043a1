/* record_line: see record_line.h.
 *
 * A finished notice stays in Redis for weeks, and most of what its timeline says stands elsewhere in its record: what a gateway answered in
 * the try, why it ended in `why`. So a line's detail is left out where it can be said again from there, and a number says from where:
 *
 *   sending, early warning     1000 * try + attempt: "<channel> through <gateway>, attempt <n>"
 *   sent, retry, rejected ...  try: "<gateway>: <why>"
 *   anything else              0: the record's `why`
 *
 * Hashes (of the job, of the words) are written in base64. Times are written as the distance from when the notice was accepted, where that
 * is less than RELATIVE_MS; no time of ours is that near to 1970. Guarantees: what is read is what was written, byte for byte; texts of
 * earlier versions, which say everything, are read too. */
#include "dispatcher/record_line.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELATIVE_MS INT64_C(100000000000) /* three years */

enum { TRY_UNIT = 1000 };

void record_time_put(struct buf *out, const struct record *record, int64_t at_ms) {
    int64_t since_ms = at_ms - record->accepted_at_ms;
    buf_put_i64(out, since_ms > -RELATIVE_MS && since_ms < RELATIVE_MS ? since_ms : at_ms);
}

int64_t record_time_read(const struct record *record, int64_t written) {
    return written > -RELATIVE_MS && written < RELATIVE_MS ? record->accepted_at_ms + written : written;
}

/* ---- hashes -------------------------------------------------------------------------------------------------------- */

enum { HASH_BYTES_MAX = 33, BASE64_MAX = 4 * HASH_BYTES_MAX / 3 + 1 }; /* a multiple of three, for SHA-256 */

static unsigned digit_of(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The bytes that hex digits stand for, or 0 where they are not a hash of ours. */
static size_t unhex(const char *text, unsigned char bytes[HASH_BYTES_MAX]) {
    size_t len = strlen(text);
    if (len == 0 || len % 2 != 0 || len > 2 * HASH_BYTES_MAX || strspn(text, "0123456789abcdef") != len) {
        return 0;
    }
    for (size_t i = 0; i < len; i += 2) {
        bytes[i / 2] = (unsigned char)(digit_of(text[i]) << 4 | digit_of(text[i + 1]));
    }
    return len / 2;
}

void record_hash_put(struct buf *out, const char *text) {
    unsigned char bytes[HASH_BYTES_MAX], base64[BASE64_MAX];
    size_t len = unhex(text, bytes);
    if (len == 0) {
        buf_put_json_str(out, text);
        return;
    }
    int base64_len = EVP_EncodeBlock(base64, bytes, (int)len);
    buf_puts(out, "\"*");
    buf_put(out, base64, (size_t)base64_len);
    buf_putc(out, '"');
}

const char *record_hash_read(const char *written, struct arena *arena) {
    unsigned char bytes[BASE64_MAX];
    size_t len = written == NULL ? 0 : strlen(written);
    if (len < 5 || written[0] != '*' || len - 1 > BASE64_MAX || len % 4 != 1) {
        return arena_strdup(arena, written);
    }
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)written + 1, (int)len - 1);
    n -= n < 0 ? 0 : (written[len - 1] == '=') + (written[len - 2] == '=');
    char *text = n < 0 ? NULL : arena_alloc(arena, 2 * (size_t)n + 1);
    for (int i = 0; text != NULL && i < n; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    return text;
}

/* ---- details that stand elsewhere ---------------------------------------------------------------------------------- */

static bool is_sending(const char *what) {
    return strcmp(what, "sending") == 0 || strcmp(what, "early warning") == 0;
}

static bool is_outcome(const char *what) {
    for (int kind = OUTCOME_SENT; kind <= OUTCOME_UNKNOWN; kind++) {
        if (strcmp(what, outcome_name((enum outcome_kind)kind)) == 0) {
            return true;
        }
    }
    return false;
}

/* What follows `start` in `text`, or NULL where it does not begin with it (or there is no text). */
static const char *after(const char *text, const char *start) {
    size_t len = start == NULL ? 0 : strlen(start);
    return text != NULL && start != NULL && strncmp(text, start, len) == 0 ? text + len : NULL;
}

/* The attempt that "<channel> through <gateway>, attempt <n>" tells of this try; 0: it does not. */
static unsigned attempt_of(const char *detail, const struct record_try *t) {
    const char *digits = after(after(after(after(detail, t->channel), " through "), t->gateway), ", attempt ");
    char *end = NULL;
    unsigned long attempt = digits == NULL || *digits < '1' || *digits > '9' ? 0 : strtoul(digits, &end, 10);
    return attempt > 0 && attempt < TRY_UNIT && *end == '\0' ? (unsigned)attempt : 0;
}

static bool is_answer_of(const char *detail, const struct record_try *t) {
    const char *why = after(after(detail, t->gateway), ": ");
    return why != NULL && t->why != NULL && strcmp(why, t->why) == 0;
}

/* The number that stands for the line's detail; -1: nothing does. The newest tries are looked at first. */
static long number_of(const struct record *record, const struct record_line *line) {
    bool sending = is_sending(line->what), outcome = is_outcome(line->what);
    if (!sending && !outcome) {
        return record->why != NULL && strcmp(line->detail, record->why) == 0 ? 0 : -1;
    }
    for (size_t i = record->n_tries; i-- > 0;) {
        const struct record_try *t = &record->tries[i];
        unsigned attempt = sending ? attempt_of(line->detail, t) : 0;
        if (sending && attempt > 0) {
            return (long)(i * TRY_UNIT + attempt);
        }
        if (outcome && is_answer_of(line->detail, t)) {
            return (long)i;
        }
    }
    return -1;
}

static const char *detail_of(const struct record *record, const char *what, json_int_t number, struct arena *arena) {
    bool sending = is_sending(what);
    if (!sending && !is_outcome(what)) {
        return record->why;
    }
    size_t index = (size_t)(sending ? number / TRY_UNIT : number);
    if (number < 0 || index >= record->n_tries) {
        return NULL;
    }
    const struct record_try *t = &record->tries[index];
    const char *gateway = t->gateway == NULL ? "" : t->gateway;
    return sending ? arena_printf(arena, "%s through %s, attempt %u", t->channel == NULL ? "" : t->channel, gateway,
                                  (unsigned)(number % TRY_UNIT))
                   : arena_printf(arena, "%s: %s", gateway, t->why == NULL ? "" : t->why);
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

void record_line_put(struct buf *out, const struct record *record, const struct record_line *line) {
    buf_putc(out, '[');
    record_time_put(out, record, line->at_ms);
    buf_putc(out, ',');
    buf_put_json_str(out, line->what);
    if (line->detail != NULL) {
        long number = number_of(record, line);
        buf_putc(out, ',');
        if (number >= 0) {
            buf_put_i64(out, number);
        } else {
            buf_put_json_str(out, line->detail);
        }
    }
    buf_putc(out, ']');
}

struct record_line record_line_read(const json_t *array, const struct record *record, struct arena *arena) {
    const char *what = json_string_value(json_array_get(array, 1));
    const json_t *detail = json_array_get(array, 2);
    struct record_line line = {.at_ms = record_time_read(record, json_integer_value(json_array_get(array, 0)))};
    line.what = arena_strdup(arena, what);
    line.detail = json_is_integer(detail) && what != NULL ? detail_of(record, what, json_integer_value(detail), arena)
                                                          : arena_strdup(arena, json_string_value(detail));
    return line;
}
