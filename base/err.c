/* err: see err.h.
 *
 * Guarantees: the text is always one printable line and always ends with NUL; a text that does not fit is cut on the
 * right, between two characters. Texts here end up in dead letters and on an operator's screen, so CR, LF, ESC and other control bytes that
 * come out of foreign input are replaced by '?' at this one place.
 *
 * Does not: allocate, print or log. */
#include "base/err.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Makes a text one line of whole characters. */
static void tidy(char *text) {
    text_make_printable(text, '?');
    text_drop_cut(text);
}

static void __attribute__((format(printf, 3, 0))) set_text(struct err *err, enum err_code code, const char *format, va_list args) {
    err->code = code;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    tidy(err->text);
}

void err_clear(struct err *err) {
    err->code = ERR_NONE;
    err->member[0] = '\0';
    err->text[0] = '\0';
}

int err_set(struct err *err, enum err_code code, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        set_text(err, code, format, args);
        va_end(args);
        err->member[0] = '\0';
    }
    return -1;
}

int err_member(struct err *err, const char *member, const char *format, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        set_text(err, ERR_MEMBER, format, args);
        va_end(args);
        (void)snprintf(err->member, sizeof err->member, "%s", member);
        tidy(err->member);
    }
    return -1;
}

int err_no_memory(struct err *err) {
    return err_set(err, ERR_MEMORY, "out of memory");
}

int err_system(struct err *err, const char *what) {
    return err_set(err, ERR_SYSTEM, "%s: %s", what, strerror(errno));
}

int err_prefix(struct err *err, const char *prefix) {
    if (err != NULL) {
        char old[sizeof err->text];
        memcpy(old, err->text, sizeof old);
        size_t used = (size_t)snprintf(err->text, sizeof err->text, "%s: ", prefix);
        if (used < sizeof err->text) {
            (void)snprintf(err->text + used, sizeof err->text - used, "%.*s", (int)(sizeof err->text - used - 1), old);
        }
        tidy(err->text);
    }
    return -1;
}
