/* mime_encode: text into the forms that mail allows: quoted-printable, base64, encoded words. Pure; ASCII out. */
#ifndef REACH_CHANNELS_MIME_ENCODE_H
#define REACH_CHANNELS_MIME_ENCODE_H

#include "base/buf.h"

/* The cheaper encoding for `text`, as it is written in Content-Transfer-Encoding: "quoted-printable" or "base64". */
const char *mime_encoding_for(const char *text);

/* Appends `text` (UTF-8; LF, CRLF or CR end a line) in that encoding, lines of at most 76 bytes that end with CRLF. No line begins with
 * "." or "From ", none ends with a blank, and neither "--" nor "=_" can be at the start of one: nothing in the text can end the
 * message or a part (RFC 2045 section 6.7 and 6.8). */
void mime_put_quoted_printable(struct buf *out, const char *text);
void mime_put_base64(struct buf *out, const char *text);

/* Appends an unstructured header line "Name: text" CRLF, folded; as encoded words (RFC 2047) where it is not plain ASCII. */
void mime_put_text_header(struct buf *out, const char *name, const char *text);

/* Appends "Name: display name <address>" CRLF; `display` NULL or empty: the address alone. The address is put as it is. */
void mime_put_address_header(struct buf *out, const char *name, const char *display, const char *address);

#endif
