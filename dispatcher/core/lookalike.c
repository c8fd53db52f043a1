/* lookalike: see lookalike.h.
 *
 * A Cyrillic letter in an otherwise Latin address makes another mailbox that a person reads as the first. Such an address is
 * compared like any other, and it may be somebody's own; so it is no reason to refuse it and changes no verdict. It is a reason to tell
 * whoever looks at the customer, because that is how a contact point is slipped in.
 *
 * ICU's spoof checker judges; its data are opened once and not changed. Where it cannot be opened nothing is reported. */
#include "dispatcher/core/lookalike.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unicode/uidna.h>
#include <unicode/uspoof.h>

static pthread_once_t spoof_once = PTHREAD_ONCE_INIT;
static USpoofChecker *spoof; /* NULL: cannot be opened */
static UIDNA *unlabel;

static void open_spoof(void) {
    UErrorCode status = U_ZERO_ERROR;
    USpoofChecker *checker = uspoof_open(&status);
    uspoof_setRestrictionLevel(checker, USPOOF_HIGHLY_RESTRICTIVE);
    uspoof_setChecks(checker, USPOOF_RESTRICTION_LEVEL, &status);
    unlabel = uidna_openUTS46(UIDNA_NONTRANSITIONAL_TO_UNICODE, &status);
    spoof = U_SUCCESS(status) ? checker : NULL;
}

static bool is_ready(void) {
    (void)pthread_once(&spoof_once, open_spoof);
    return spoof != NULL;
}

bool lookalike_is_plain(const char *canonical) {
    for (const char *p = canonical; *p != '\0'; p++) {
        if ((*p & 0x80) != 0) {
            return false;
        }
    }
    return strstr(canonical, "xn--") == NULL;
}

/* The domain in Unicode; its length, or -1. */
static int32_t to_unicode(const char *domain, char *out, int32_t cap) {
    UErrorCode status = U_ZERO_ERROR;
    UIDNAInfo info = UIDNA_INFO_INITIALIZER;
    int32_t len = uidna_nameToUnicodeUTF8(unlabel, domain, -1, out, cap, &info, &status);
    return U_SUCCESS(status) && len < cap ? len : -1;
}

/* ASCII and the Latin letters up to U+017F: one script, seen without asking. */
static bool is_latin(const char *part, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)part[i];
        if (c > 0xc5 || c == 0xc2) {
            return false;
        }
    }
    return true;
}

static bool part_is_mixed(const char *part, size_t len) {
    if (is_latin(part, len)) {
        return false;
    }
    UErrorCode status = U_ZERO_ERROR;
    int32_t found = uspoof_checkUTF8(spoof, part, (int32_t)len, NULL, &status);
    return U_SUCCESS(status) && found != 0;
}

bool lookalike_is_mixed(const char *canonical) {
    char domain[SKELETON_MAX];
    const char *at = strchr(canonical, '@');
    if (at == NULL || !is_ready()) {
        return false;
    }
    if (part_is_mixed(canonical, (size_t)(at - canonical))) {
        return true;
    }
    int32_t len = to_unicode(at + 1, domain, sizeof domain);
    for (const char *label = domain, *end = domain + (len < 0 ? 0 : len); label < end;) {
        const char *dot = memchr(label, '.', (size_t)(end - label));
        const char *stop = dot == NULL ? end : dot;
        if (part_is_mixed(label, (size_t)(stop - label))) {
            return true;
        }
        label = stop + 1;
    }
    return false;
}

int lookalike_skeleton(const char *domain, char out[SKELETON_MAX]) {
    char unicode[SKELETON_MAX];
    if (!is_ready()) {
        return -1;
    }
    int32_t len = to_unicode(domain, unicode, sizeof unicode);
    if (len < 0) {
        return -1;
    }
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = uspoof_getSkeletonUTF8(spoof, 0, unicode, len, out, SKELETON_MAX - 1, &status);
    if (U_FAILURE(status) || n >= SKELETON_MAX) {
        return -1;
    }
    out[n] = '\0';
    return 0;
}
