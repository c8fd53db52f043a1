/* dates: see dates.h.
 *
 * Opening an ICU formatter costs tens of microseconds, a look-up here a fraction of one. The cache is direct-mapped by a hash of what
 * makes the text, so a full cache only costs the work again.
 *
 * Guarantees: the same arguments give the same text. Fails: only where ICU has no memory or does not know the locale at all.
 * Does not: read the clock. */
#include "templates/dates.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/udat.h>
#include <unicode/udatpg.h>
#include <unicode/ustring.h>

enum { ENTRIES = 64, ZONE_MAX = 64, TEXT_MAX = 160, PATTERN_MAX = 96 };

struct entry {
    bool used;
    enum date_style style;
    int64_t ms;
    char locale[40];
    char zone[ZONE_MAX];
    char text[TEXT_MAX];
};

struct dates {
    struct entry entries[ENTRIES];
};

struct dates *dates_new(void) {
    return calloc(1, sizeof(struct dates));
}

void dates_free(struct dates *dates) {
    free(dates);
}

static size_t hash(const struct entry *key) {
    uint64_t h = 14695981039346656037ULL ^ (uint64_t)key->ms ^ (uint64_t)key->style << 60;
    for (const char *p = key->locale; *p != '\0'; p++) {
        h = (h ^ (unsigned char)*p) * 1099511628211ULL;
    }
    for (const char *p = key->zone; *p != '\0'; p++) {
        h = (h ^ (unsigned char)*p) * 1099511628211ULL;
    }
    return (size_t)((h ^ h >> 29) % ENTRIES);
}

static bool same(const struct entry *a, const struct entry *b) {
    return a->used && a->ms == b->ms && a->style == b->style && strcmp(a->locale, b->locale) == 0 && strcmp(a->zone, b->zone) == 0;
}

static const char *skeleton(enum date_style style) {
    switch (style) {
    case DATE_FULL: return "yMMMMdjmz";
    case DATE_DAY: return "yMMMMd";
    case DATE_TIME: return "jmz";
    }
    return "yMMMMdjmz";
}

static int32_t best_pattern(const char *locale, enum date_style style, UChar *pattern, UErrorCode *status) {
    UChar wanted[16];
    u_uastrcpy(wanted, skeleton(style));
    UDateTimePatternGenerator *generator = udatpg_open(locale, status);
    int32_t len = udatpg_getBestPattern(generator, wanted, -1, pattern, PATTERN_MAX, status);
    udatpg_close(generator);
    return len;
}

/* An unknown zone would silently become GMT in some places and fail in others: settle it here. */
static void zone_id(const char *zone, UChar *id) {
    UErrorCode status = U_ZERO_ERROR;
    UBool is_system = false;
    UChar canonical[ZONE_MAX];
    u_uastrncpy(id, zone, ZONE_MAX - 1);
    id[ZONE_MAX - 1] = 0;
    (void)ucal_getCanonicalTimeZoneID(id, -1, canonical, ZONE_MAX, &is_system, &status);
    if (U_FAILURE(status) || !is_system) {
        u_uastrcpy(id, "UTC");
    }
}

/* Non-breaking blanks of any width become plain ones. */
static void plain_blanks(UChar *text) {
    for (; *text != 0; text++) {
        if (*text == 0x202f || *text == 0xa0 || *text == 0x2009) {
            *text = ' ';
        }
    }
}

static int format(struct entry *entry, struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    char locale[64];
    int32_t parsed = 0;
    (void)uloc_forLanguageTag(entry->locale, locale, sizeof locale, &parsed, &status);
    UChar pattern[PATTERN_MAX];
    UChar zone[ZONE_MAX];
    UChar text[TEXT_MAX];
    zone_id(entry->zone, zone);
    int32_t pattern_len = best_pattern(locale, entry->style, pattern, &status);
    UDateFormat *formatter = udat_open(UDAT_PATTERN, UDAT_PATTERN, locale, zone, -1, pattern, pattern_len, &status);
    (void)udat_format(formatter, (UDate)entry->ms, text, TEXT_MAX, NULL, &status);
    udat_close(formatter);
    if (U_SUCCESS(status) && status != U_STRING_NOT_TERMINATED_WARNING) {
        plain_blanks(text);
        (void)u_strToUTF8(entry->text, TEXT_MAX, NULL, text, -1, &status);
    }
    if (U_FAILURE(status) || status == U_STRING_NOT_TERMINATED_WARNING) {
        return err_set(err, ERR_LIMIT, "a date could not be written: %s", u_errorName(status));
    }
    return 0;
}

const char *dates_text(struct dates *dates, const char *locale, const char *time_zone, enum date_style style, int64_t ms, struct err *err) {
    struct entry key = {.used = true, .style = style, .ms = ms};
    (void)snprintf(key.locale, sizeof key.locale, "%s", locale);
    (void)snprintf(key.zone, sizeof key.zone, "%s", time_zone == NULL ? "UTC" : time_zone);
    struct entry *entry = &dates->entries[hash(&key)];
    if (!same(entry, &key)) {
        *entry = key;
        if (format(entry, err) < 0) {
            entry->used = false;
            return NULL;
        }
    }
    return entry->text;
}
