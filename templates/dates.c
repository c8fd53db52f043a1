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

enum { ENTRIES = 64, PATTERNS = 32, ZONE_MAX = 64, TEXT_MAX = 160, PATTERN_MAX = 96 };

struct entry {
    bool used;
    enum date_style style;
    int64_t ms;
    char locale[40];
    char zone[ZONE_MAX];
    char text[TEXT_MAX];
};

/* How a language writes a style: finding out costs ICU milliseconds. */
struct pattern {
    bool used;
    enum date_style style;
    char locale[40];
    UChar text[PATTERN_MAX];
    int32_t len;
};

struct dates {
    struct entry entries[ENTRIES];
    struct pattern patterns[PATTERNS];
};

struct dates *dates_new(void) {
    return calloc(1, sizeof(struct dates));
}

void dates_free(struct dates *dates) {
    free(dates);
}

static uint64_t mix(uint64_t h, const char *text) {
    for (; *text != '\0'; text++) {
        h = (h ^ (unsigned char)*text) * 1099511628211ULL;
    }
    return h;
}

static size_t place(const char *locale, const char *zone, enum date_style style, int64_t ms) {
    uint64_t h = mix(mix(14695981039346656037ULL ^ (uint64_t)ms ^ (uint64_t)style << 60, locale), zone);
    return (size_t)((h ^ h >> 29) % ENTRIES);
}

static bool holds(const struct entry *entry, const char *locale, const char *zone, enum date_style style, int64_t ms) {
    return entry->used && entry->ms == ms && entry->style == style && strcmp(entry->locale, locale) == 0 && strcmp(entry->zone, zone) == 0;
}

static const char *skeleton(enum date_style style) {
    switch (style) {
    case DATE_FULL: return "yMMMMdjmz";
    case DATE_DAY: return "yMMMMd";
    case DATE_TIME: return "jmz";
    }
    return "yMMMMdjmz";
}

/* `id` is ICU's name of `locale`. */
static const struct pattern *best_pattern(struct dates *dates, const char *locale, const char *id, enum date_style style,
                                          UErrorCode *status) {
    UChar wanted[16];
    struct pattern *pattern = &dates->patterns[(mix(14695981039346656037ULL, locale) + style) % PATTERNS];
    if (pattern->used && pattern->style == style && strcmp(pattern->locale, locale) == 0) {
        return pattern;
    }
    *pattern = (struct pattern){.style = style};
    (void)snprintf(pattern->locale, sizeof pattern->locale, "%s", locale);
    u_uastrcpy(wanted, skeleton(style));
    UDateTimePatternGenerator *generator = udatpg_open(id, status);
    pattern->len = udatpg_getBestPattern(generator, wanted, -1, pattern->text, PATTERN_MAX, status);
    udatpg_close(generator);
    pattern->used = U_SUCCESS(*status) && pattern->len < PATTERN_MAX;
    return pattern;
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

static int format(struct dates *dates, struct entry *entry, struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    char locale[64];
    int32_t parsed = 0;
    (void)uloc_forLanguageTag(entry->locale, locale, sizeof locale, &parsed, &status);
    UChar zone[ZONE_MAX];
    UChar text[TEXT_MAX];
    zone_id(entry->zone, zone);
    const struct pattern *pattern = best_pattern(dates, entry->locale, locale, entry->style, &status);
    UDateFormat *formatter = udat_open(UDAT_PATTERN, UDAT_PATTERN, locale, zone, -1, pattern->text, pattern->len, &status);
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

/* A name too long to be one is cut; the cut name is unknown to ICU and so reads as the default. */
static int refill(struct dates *dates, struct entry *entry, const char *locale, const char *zone, enum date_style style, int64_t ms,
                  struct err *err) {
    *entry = (struct entry){.used = true, .style = style, .ms = ms};
    (void)snprintf(entry->locale, sizeof entry->locale, "%s", locale);
    (void)snprintf(entry->zone, sizeof entry->zone, "%s", zone);
    if (format(dates, entry, err) < 0) {
        entry->used = false;
        return -1;
    }
    return 0;
}

const char *dates_text(struct dates *dates, const char *locale, const char *time_zone, enum date_style style, int64_t ms, struct err *err) {
    const char *zone = time_zone == NULL ? "UTC" : time_zone;
    struct entry *entry = &dates->entries[place(locale, zone, style, ms)];
    if (!holds(entry, locale, zone, style, ms) && refill(dates, entry, locale, zone, style, ms, err) < 0) {
        return NULL;
    }
    return entry->text;
}
