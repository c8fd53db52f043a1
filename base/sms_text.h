/* sms_text: how many messages an SMS text costs. Pure. */
#ifndef REACH_BASE_SMS_TEXT_H
#define REACH_BASE_SMS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct sms_count {
    bool ucs2;             /* the text does not fit the GSM 7-bit alphabet */
    size_t units;          /* septets, or 16-bit units */
    size_t segments;       /* messages on the wire; 0 for an empty text */
    size_t units_max;      /* how many units the segments hold in all */
    size_t first_ucs2_at;  /* byte offset of the first character outside GSM 7-bit; meaningless unless ucs2 */
    size_t first_ucs2_len; /* its bytes */
};

/* Counts a UTF-8 text by 3GPP TS 23.038 (default alphabet and its extension table) and 23.040 (concatenation with an 8-bit
 * reference): 160 septets or 70 units alone, 153 or 67 a segment in a longer one. No escape pair or surrogate pair is split
 * over two segments. Bytes that are not UTF-8 count as characters outside the alphabet. */
struct sms_count sms_count(const char *text, size_t len);

#endif
