/* dates: times and numbers as people write them, by ICU. */
#ifndef REACH_TEMPLATES_DATES_H
#define REACH_TEMPLATES_DATES_H

#include "base/err.h"

#include <stdint.h>

enum date_style {
    DATE_FULL, /* 23 December 2026 at 18:00 GMT */
    DATE_DAY,  /* 23 December 2026 */
    DATE_TIME  /* 18:00 GMT */
};

/* Remembers the texts made last: the messages of a campaign share a handful. */
struct dates;

struct dates *dates_new(void);
void dates_free(struct dates *dates);

/* The time `ms` for a reader of `locale` (BCP 47) in `time_zone` (IANA; NULL or unknown: UTC). Blanks are plain blanks, so that an SMS
 * stays in its alphabet. The text is borrowed until the next call; NULL with *err. */
const char *dates_text(struct dates *dates, const char *locale, const char *time_zone, enum date_style style, int64_t ms, struct err *err);

#endif
