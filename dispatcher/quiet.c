/* quiet: see quiet.h.
 *
 * The hours say when messages may go, not when they may not: "mon-sun 08:00-21:00" is quiet from nine to eight over midnight. They are read
 * on the customer's own clock (core/schedule, ICU), so a change to daylight saving moves them as it moves the clock on the customer's wall:
 * an opening that the night of spring skips is where the clock goes on, one that autumn repeats is the later one.
 *
 * Guarantees: a notice at or above `unless` never waits. A time zone that nobody knows is taken for none. Does not: count attempts; what
 * waits here is decided anew afterwards, with all that has become of it by then (P2). */
#include "dispatcher/quiet.h"

#include "dispatcher/core/schedule.h"

#include <string.h>
#include <strings.h>

static const char *const severities[] = {"info", "warning", "critical", NULL}; /* in rising order */
static const char *const quiet_unless[] = {"info", "warning", "critical", "never", NULL};

static int check_quiet(void *object, struct err *err) {
    const struct quiet_settings *quiet = object;
    const struct conf_strings none = {NULL, 0};
    enum channel_id channel;
    if (channel_find(quiet->channel, &channel) != 1) {
        return err_member(err, "channel", "there is no channel \"%.32s\" (allowed: email, sms, push, banner)", quiet->channel);
    }
    if (quiet->send.n == 0) {
        return err_member(err, "send", "must tell when messages may go, such as \"mon-sun 08:00-21:00\"");
    }
    struct arena arena = ARENA_INIT;
    const struct desk_hours *hours = desk_hours_new(quiet->time_zone, &quiet->send, &none, &arena, err);
    arena_fini(&arena);
    if (hours == NULL && strncmp(err->member, "hours", 5) == 0) {
        return err_member(err, "send", "must be days and hours such as \"mon-sun 08:00-21:00\", at most 8 a day and none over midnight");
    }
    return hours == NULL ? -1 : 0;
}

static const struct conf_key keys[] = {
    {.name = "channel",
     .type = CONF_STRING,
     .offset = offsetof(struct quiet_settings, channel),
     .required = true,
     .help = "the channel that is quiet: email, sms, push or banner"},
    {.name = "locale",
     .type = CONF_STRING,
     .offset = offsetof(struct quiet_settings, locale),
     .min = 2,
     .max = 35,
     .help = "only for customers of this locale (de is also de-AT); none: for all. The first item that fits counts"},
    {.name = "send",
     .type = CONF_STRINGS,
     .offset = offsetof(struct quiet_settings, send),
     .required = true,
     .help = "when messages may go, by the customer's own clock, such as \"mon-sun 08:00-21:00\""},
    {.name = "time_zone",
     .type = CONF_STRING,
     .offset = offsetof(struct quiet_settings, time_zone),
     .initial = "UTC",
     .help = "the clock of customers whose own time zone is not known"},
    {.name = "unless",
     .type = CONF_CHOICE,
     .offset = offsetof(struct quiet_settings, unless),
     .initial = "critical",
     .choices = quiet_unless,
     .help = "notices of this severity or above go at any time (the severity is in the notice's notice.yaml)"},
};

const struct conf_table quiet_table = {.name = "quiet hours",
                                       .keys = keys,
                                       .n_keys = sizeof keys / sizeof *keys,
                                       .size = sizeof(struct quiet_settings),
                                       .where_offset = offsetof(struct quiet_settings, where),
                                       .check = check_quiet};

/* "de" fits "de" and "de-AT", in any case. */
static bool fits_locale(const char *wanted, const char *locale) {
    size_t len = wanted == NULL ? 0 : strlen(wanted);
    return len == 0 || (locale != NULL && strncasecmp(locale, wanted, len) == 0 && (locale[len] == '\0' || locale[len] == '-'));
}

static bool fits_channel(const struct quiet_settings *quiet, enum channel_id wanted) {
    enum channel_id channel;
    return channel_find(quiet->channel, &channel) == 1 && channel == wanted;
}

bool quiet_concerns(const struct conf_list *items, enum channel_id channel) {
    const struct quiet_settings *quiet = items->items;
    for (size_t i = 0; i < items->n; i++) {
        if (fits_channel(&quiet[i], channel)) {
            return true;
        }
    }
    return false;
}

static bool is_urgent_enough(const struct quiet_settings *quiet, const char *severity) {
    for (int64_t i = 0; severity != NULL && severities[i] != NULL; i++) {
        if (strcmp(severities[i], severity) == 0) {
            return i >= quiet->unless;
        }
    }
    return false;
}

int64_t quiet_until(const struct conf_list *items, const struct quiet_question *q, struct arena *arena, struct err *err) {
    const struct conf_strings none = {NULL, 0};
    const struct quiet_settings *quiet = items->items;
    size_t i = 0;
    while (i < items->n && !(fits_channel(&quiet[i], q->channel) && fits_locale(quiet[i].locale, q->locale))) {
        i++;
    }
    if (i == items->n || is_urgent_enough(&quiet[i], q->severity)) {
        return q->now_ms;
    }
    struct err unknown_zone;
    const struct desk_hours *hours =
        q->time_zone == NULL ? NULL : desk_hours_new(q->time_zone, &quiet[i].send, &none, arena, &unknown_zone);
    if (hours == NULL) {
        hours = desk_hours_new(quiet[i].time_zone, &quiet[i].send, &none, arena, err);
    }
    int64_t opens_ms = hours == NULL ? -1 : desk_opens_at(hours, q->now_ms);
    return hours != NULL && opens_ms < 0 ? q->now_ms : opens_ms; /* they open every week: only ICU's want of memory is none */
}
