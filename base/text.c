/* text: see text.h.
 *
 * Everything here is total: any bytes in, a defined answer out, no allocation. */
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void text_make_printable(char *text, char substitute) {
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = (unsigned char)substitute;
        }
    }
}

/* Length of the sequence that `lead` begins, 0 where it begins none; the smallest code point it may encode. */
static size_t sequence_length(unsigned char lead, unsigned long *min_r) {
    if (lead < 0x80) {
        *min_r = 0;
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        *min_r = 0x80;
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        *min_r = 0x800;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        *min_r = 0x10000;
        return 4;
    }
    return 0;
}

void text_drop_cut(char *text) {
    size_t len = strlen(text);
    size_t lead = len;
    while (lead > 0 && len - lead < 3 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80) {
        lead--;
    }
    unsigned long min = 0;
    if (lead > 0 && (unsigned char)text[lead - 1] >= 0xc0 && sequence_length((unsigned char)text[lead - 1], &min) > len - lead + 1) {
        text[lead - 1] = '\0';
    }
}

bool text_is_utf8(const char *text, size_t len) {
    for (size_t i = 0; i < len;) {
        unsigned char lead = (unsigned char)text[i];
        unsigned long min = 0;
        size_t n = sequence_length(lead, &min);
        if (n == 0 || n > len - i) {
            return false;
        }
        unsigned long code = n == 1 ? lead : lead & (0x7fU >> n);
        for (size_t k = 1; k < n; k++) {
            unsigned char c = (unsigned char)text[i + k];
            if ((c & 0xc0) != 0x80) {
                return false;
            }
            code = code << 6 | (c & 0x3f);
        }
        if (code < min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
        i += n;
    }
    return true;
}

bool text_is_id(const char *text) {
    size_t len = strlen(text);
    if (len == 0 || len > 128) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || (!isalnum(c) && strchr("._:@+/=-", c) == NULL)) {
            return false;
        }
    }
    return true;
}

/* Bytes of the first character of a UTF-8 text. */
static int first_character(const char *text) {
    unsigned long min = 0;
    size_t n = sequence_length((unsigned char)text[0], &min);
    return n == 0 || !text_is_utf8(text, strnlen(text, n)) ? 0 : (int)strnlen(text, n);
}

const char *text_mask_address(const char *address, char *out, size_t cap) {
    const char *at = strrchr(address, '@');
    size_t len = strlen(address);
    if (at != NULL && at != address) {
        (void)snprintf(out, cap, "%.*s••%s", first_character(address), address, at);
    } else if (len > 4) {
        (void)snprintf(out, cap, "••%s", address + len - 2);
    } else {
        (void)snprintf(out, cap, "••");
    }
    text_drop_cut(out);
    return out;
}
