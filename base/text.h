/* text: small rules about foreign text that every room needs. */
#ifndef REACH_BASE_TEXT_H
#define REACH_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Replaces every control byte (below 0x20, and 0x7f) by `substitute`, in place. */
void text_make_printable(char *text, char substitute);

/* Removes a UTF-8 sequence that was cut off at the end of `text`, in place: for after a snprintf(3) into a fixed size. */
void text_drop_cut(char *text);

/* Whether `len` bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
bool text_is_utf8(const char *text, size_t len);

/* Whether `text` may be an id of ours: 1..128 bytes out of A-Z a-z 0-9 . _ : @ + / = -  (no blanks, so that ids can be
 * separated by blanks in records and log lines). */
bool text_is_id(const char *text);

/* Writes a masked form of an address fit for a screen or an export: the first character, "••", and from '@' on the rest
 * ("a••@walton.example"); for anything without '@', "••" and the last two characters ("••01"). Returns `out`, cut to cap. */
const char *text_mask_address(const char *address, char *out, size_t cap);

#endif
