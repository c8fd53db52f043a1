/* sms_text: see sms_text.h.
 *
 * One pass decides the alphabet, a second fills segments one by one: a character of two units that does not fit into what is
 * left of a segment moves whole into the next, as a telephone wants it.
 *
 * Does not: allocate, transliterate, or know national shift tables. */
#include "base/sms_text.h"

#include <stdint.h>
#include <string.h>

/* The characters of the default alphabet outside ASCII (3GPP TS 23.038, table 6.2.1), ascending. */
static const uint16_t gsm_beyond_ascii[] = {0xa1, 0xa3, 0xa4, 0xa5,  0xa7,  0xbf,  0xc4,  0xc5,  0xc6,  0xc7,  0xc9,  0xd1,  0xd6,
                                            0xd8, 0xdc, 0xdf, 0xe0,  0xe4,  0xe5,  0xe6,  0xe8,  0xe9,  0xec,  0xf1,  0xf2,  0xf6,
                                            0xf8, 0xf9, 0xfc, 0x393, 0x394, 0x398, 0x39b, 0x39e, 0x3a0, 0x3a3, 0x3a6, 0x3a8, 0x3a9};

enum { EURO = 0x20ac, SINGLE_7BIT = 160, PART_7BIT = 153, SINGLE_UCS2 = 70, PART_UCS2 = 67 };

/* Decodes one character; a byte that begins none is a character of its own beyond the alphabet. */
static size_t decode(const char *text, size_t len, uint32_t *code_r) {
    unsigned char lead = (unsigned char)text[0];
    size_t n = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    if (n == 0 || n > len) {
        *code_r = 0xfffd;
        return 1;
    }
    uint32_t code = n == 1 ? lead : lead & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        code = code << 6 | ((unsigned char)text[i] & 0x3fU);
    }
    *code_r = code;
    return n;
}

/* Septets of a character: 1, 2 (escape and one of the extension table), or 0: not in the alphabet. */
static size_t septets(uint32_t code) {
    if (code == '\n' || code == '\r' || code == '\f') {
        return code == '\f' ? 2 : 1;
    }
    if (code >= 0x20 && code < 0x7f) {
        return code == '`' ? 0 : strchr("^{}\\[~]|", (int)code) != NULL ? 2 : 1;
    }
    for (size_t i = 0; i < sizeof gsm_beyond_ascii / sizeof *gsm_beyond_ascii; i++) {
        if (gsm_beyond_ascii[i] == code) {
            return 1;
        }
    }
    return code == EURO ? 2 : 0;
}

static size_t units_of(uint32_t code, bool ucs2) {
    return ucs2 ? (code > 0xffff ? 2 : 1) : septets(code);
}

static void find_alphabet(const char *text, size_t len, struct sms_count *count) {
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        size_t n = decode(text + at, len - at, &code);
        if (septets(code) == 0) {
            count->ucs2 = true;
            count->first_ucs2_at = at;
            count->first_ucs2_len = n;
            return;
        }
        at += n;
    }
}

/* Segments when each holds `room` units. */
static size_t fill(const char *text, size_t len, bool ucs2, size_t room) {
    size_t segments = 1;
    size_t used = 0;
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        at += decode(text + at, len - at, &code);
        size_t units = units_of(code, ucs2);
        if (used + units > room) {
            segments++;
            used = 0;
        }
        used += units;
    }
    return segments;
}

struct sms_count sms_count(const char *text, size_t len) {
    struct sms_count count = {0};
    find_alphabet(text, len, &count);
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        at += decode(text + at, len - at, &code);
        count.units += units_of(code, count.ucs2);
    }
    size_t single = count.ucs2 ? SINGLE_UCS2 : SINGLE_7BIT;
    size_t part = count.ucs2 ? PART_UCS2 : PART_7BIT;
    if (count.units > single) {
        count.segments = fill(text, len, count.ucs2, part);
        count.units_max = count.segments * part;
    } else {
        count.segments = len == 0 ? 0 : 1;
        count.units_max = single;
    }
    return count;
}
