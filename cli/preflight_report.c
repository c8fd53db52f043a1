/* preflight_report: see preflight_report.h. The JSON object and the text; the page is in preflight_html.c.
 *
 * All three are made from the same counts, so they agree. The text is for the person who runs the preflight: what would happen, who
 * is affected first, what to mend. Addresses were masked long before they come here.
 *
 * Fails: by want of memory. Does not: judge, count or read. */
#include "cli/preflight_report.h"

#include "base/clock.h"
#include "cli/view.h"
#include "dispatcher/core/schedule.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int report_keeps_promise(const struct preflight_report *report) {
    int64_t promise_ms = report->preflight->change->promise_ms;
    int64_t takes_ms = preflight_takes_ms(report->preflight);
    return promise_ms == 0 || takes_ms < 0 ? -1 : takes_ms <= promise_ms ? 1 : 0;
}

int report_ask_desk(struct preflight_report *report, struct arena *arena, struct err *err) {
    const struct preflight *preflight = report->preflight;
    const struct desk_settings *settings = &preflight->settings->desk;
    struct preflight_desk *desk = &report->desk;
    int64_t effective_at_ms = preflight->change->effective_at_ms;
    int64_t in_force_ms = effective_at_ms > report->made_at_ms ? effective_at_ms : report->made_at_ms;
    *desk = (struct preflight_desk){.has_hours = settings->hours.n > 0};
    desk->work_ms = (int64_t)((double)preflight_lost(preflight) * (double)settings->case_ms / (double)settings->people);
    if (!desk->has_hours) {
        return 0;
    }
    const struct desk_hours *hours = desk_hours_new(settings->time_zone, &settings->hours, &settings->closed, arena, err);
    if (hours == NULL) {
        return -1;
    }
    desk->open_at_effective = desk_is_open(hours, in_force_ms);
    desk->opens_at_ms = desk_opens_at(hours, in_force_ms);
    desk->open_after_ms = desk_open_ms(hours, in_force_ms, in_force_ms + REPORT_DESK_DAYS * INT64_C(86400000));
    desk->done_at_ms = desk_done_at(hours, report->made_at_ms, desk->work_ms);
    return 0;
}

/* ---- JSON --------------------------------------------------------------------------------------------------------------- */

static void set_count(json_t *object, const char *name, uint64_t value) {
    (void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *names_object(const struct preflight_names *names, bool with_lost) {
    json_t *object = json_object();
    for (size_t i = 0; i <= PREFLIGHT_NAMES_MAX; i++) {
        const struct preflight_name *row = &names->rows[i];
        if (row->customers > 0 && with_lost) {
            json_t *counts = json_object();
            set_count(counts, "customers", row->customers);
            set_count(counts, "lost", row->lost);
            (void)json_object_set_new(object, row->name, counts);
        } else if (row->customers > 0) {
            set_count(object, row->name, row->customers);
        }
    }
    return object;
}

static json_t *verdicts_object(const struct preflight *preflight) {
    json_t *object = json_object();
    for (int verdict = VERDICT_REACHABLE; verdict <= VERDICT_STRANDED; verdict++) {
        set_count(object, verdict_name((enum verdict)verdict), preflight->verdicts[verdict]);
    }
    return object;
}

/* Customers by surviving channel. A banner tells nobody by itself and is not among them. */
static json_t *channels_object(const struct preflight *preflight) {
    json_t *object = json_object();
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        const struct channel_traits *traits = channel_traits((enum channel_id)channel);
        if (!traits->passive) {
            set_count(object, traits->name, preflight->channels[channel]);
        }
    }
    return object;
}

static json_t *first_messages_object(const struct preflight_report *report) {
    const struct preflight *preflight = report->preflight;
    json_t *channels = json_object();
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        const struct preflight_load *load = &preflight->loads[channel];
        json_t *object = json_object();
        set_count(object, "messages", load->first);
        if (load->takes_ms >= 0) {
            (void)json_object_set_new(object, "seconds", json_integer(load->takes_ms / 1000));
        }
        (void)json_object_set_new(channels, channel_traits((enum channel_id)channel)->name, object);
    }
    json_t *object = json_object();
    (void)json_object_set_new(object, "channels", channels);
    int64_t takes_ms = preflight_takes_ms(preflight);
    int keeps = report_keeps_promise(report);
    (void)json_object_set_new(object, "seconds", takes_ms < 0 ? json_null() : json_integer(takes_ms / 1000));
    (void)json_object_set_new(object, "promise_seconds",
                              preflight->change->promise_ms == 0 ? json_null() : json_integer(preflight->change->promise_ms / 1000));
    (void)json_object_set_new(object, "keeps_promise", keeps < 0 ? json_null() : json_boolean(keeps == 1));
    return object;
}

static json_t *words_object(const struct preflight_report *report) {
    json_t *object = json_object();
    (void)json_object_set_new(object, "checked", json_boolean(report->words_problem == NULL));
    view_text(object, "problem", report->words_problem);
    (void)json_object_set(object, "missing_locales", report->missing_words);
    return object;
}

static json_t *desk_object(const struct preflight_report *report) {
    const struct preflight_desk *desk = &report->desk;
    json_t *object = json_object();
    set_count(object, "cases", preflight_lost(report->preflight));
    set_count(object, "work_seconds", (uint64_t)desk->work_ms / 1000);
    (void)json_object_set_new(object, "open_at_effective", desk->has_hours ? json_boolean(desk->open_at_effective) : json_null());
    if (desk->has_hours) {
        view_time(object, "opens_at", desk->opens_at_ms < 0 ? 0 : desk->opens_at_ms);
        view_time(object, "done_at", desk->done_at_ms < 0 ? 0 : desk->done_at_ms);
        set_count(object, "open_seconds_after", (uint64_t)desk->open_after_ms / 1000);
    }
    return object;
}

json_t *report_summary(const struct preflight_report *report) {
    const struct preflight *preflight = report->preflight;
    char audience[512];
    json_t *object = json_object();
    view_text(object, "job", preflight->change->id);
    view_text(object, "notice", preflight->change->notice);
    view_time(object, "effective_at", preflight->change->effective_at_ms);
    view_text(object, "source", report->source);
    view_text(object, "audience", audience_text(&preflight->change->audience, audience, sizeof audience));
    set_count(object, "customers", preflight->customers);
    set_count(object, "unusable", preflight->unusable);
    (void)json_object_set_new(object, "verdicts", verdicts_object(preflight));
    (void)json_object_set_new(object, "channels", channels_object(preflight));
    set_count(object, "single_route", preflight->single_route);
    json_t *contacts = json_object();
    set_count(contacts, "all", preflight->contacts);
    set_count(contacts, "surviving", preflight->contacts_surviving);
    set_count(contacts, "doomed", preflight->contacts_doomed);
    set_count(contacts, "vanished", preflight->contacts_vanished);
    set_count(contacts, "invalid", preflight->contacts_invalid);
    set_count(contacts, "lookalike", preflight->contacts_lookalike);
    (void)json_object_set_new(object, "contact_points", contacts);
    (void)json_object_set_new(object, "locales", names_object(&preflight->locales, true));
    (void)json_object_set_new(object, "gateways", names_object(&preflight->gateways, false));
    (void)json_object_set_new(object, "words", words_object(report));
    (void)json_object_set_new(object, "desk", desk_object(report));
    (void)json_object_set_new(object, "first_messages", first_messages_object(report));
    (void)json_object_set(object, "unusable_customers", report->unusable);
    (void)json_object_set(object, "invalid_contacts", preflight->invalid);
    (void)json_object_set(object, "lookalikes", preflight->lookalikes);
    return object;
}

/* ---- text --------------------------------------------------------------------------------------------------------------- */

static const char *count_text(uint64_t n, char *out, size_t cap) {
    (void)snprintf(out, cap, "%" PRIu64, n);
    return out;
}

static const char *share_text(uint64_t part, uint64_t all, char *out, size_t cap) {
    (void)snprintf(out, cap, "%.1f %%", all == 0 ? 0.0 : 100.0 * (double)part / (double)all);
    return out;
}

static const char *verdict_meaning(enum verdict verdict) {
    switch (verdict) {
    case VERDICT_REACHABLE: return "a verified contact point survives the change";
    case VERDICT_WEAK: return "only unverified or recently changed contact points survive";
    case VERDICT_PASSIVE: return "only a banner survives: they hear of it when they come by themselves";
    case VERDICT_STRANDED: return "no contact point survives";
    }
    return "";
}

static enum ctl_exit print_verdicts(const struct ctl *ctl, const struct preflight *preflight) {
    static const struct column columns[] = {
        {"VERDICT", COLUMN_TEXT}, {"CUSTOMERS", COLUMN_NUMBER}, {"SHARE", COLUMN_NUMBER}, {"MEANING", COLUMN_LONG}};
    static const enum mood moods[] = {MOOD_GOOD, MOOD_WARN, MOOD_BAD, MOOD_BAD};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (int verdict = VERDICT_REACHABLE; table != NULL && verdict <= VERDICT_STRANDED; verdict++) {
        char count[24];
        char share[24];
        uint64_t n = preflight->verdicts[verdict];
        table_row(table, n == 0 ? MOOD_PLAIN : moods[verdict],
                  (const char *[]){verdict_name((enum verdict)verdict), count_text(n, count, sizeof count),
                                   share_text(n, preflight->customers, share, sizeof share), verdict_meaning((enum verdict)verdict)});
    }
    return table_print(table);
}

static enum ctl_exit print_channels(const struct ctl *ctl, const struct preflight *preflight) {
    static const struct column columns[] = {
        {"CHANNEL", COLUMN_TEXT}, {"STILL REACH", COLUMN_NUMBER}, {"FIRST MESSAGES", COLUMN_NUMBER}, {"TAKES", COLUMN_NUMBER}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (int channel = 0; table != NULL && channel < CHANNEL_COUNT; channel++) {
        const struct preflight_load *load = &preflight->loads[channel];
        char reach[24];
        char first[24];
        char takes[32] = "not known";
        if (load->takes_ms >= 0) {
            (void)output_span(load->takes_ms, takes, sizeof takes);
        }
        table_row(table, MOOD_PLAIN,
                  (const char *[]){channel_traits((enum channel_id)channel)->name,
                                   count_text(preflight->channels[channel], reach, sizeof reach),
                                   count_text(load->first, first, sizeof first), takes});
    }
    output_heading(ctl, "Channels");
    return table_print(table);
}

static enum ctl_exit print_names(const struct ctl *ctl, const struct preflight_names *names, const char *heading, bool with_lost) {
    const struct column columns[] = {{heading, COLUMN_TEXT}, {"CUSTOMERS", COLUMN_NUMBER}, {with_lost ? "LOST" : "", COLUMN_NUMBER}};
    struct table *table = table_new(ctl, columns, with_lost ? 3 : 2);
    for (size_t i = 0; table != NULL && i <= PREFLIGHT_NAMES_MAX; i++) {
        const struct preflight_name *row = &names->rows[i];
        char customers[24];
        char lost[24];
        if (row->customers > 0) {
            table_row(table, MOOD_PLAIN,
                      (const char *[]){row->name, count_text(row->customers, customers, sizeof customers),
                                       count_text(row->lost, lost, sizeof lost)});
        }
    }
    (void)putchar('\n');
    return table_print(table);
}

/* One row per contact point; the customer stands in the first of them. */
static void add_entry(struct table *table, const json_t *entry) {
    const json_t *contacts = json_object_get(entry, "contacts");
    if (json_array_size(contacts) == 0) {
        table_row(table, MOOD_PLAIN,
                  (const char *[]){view_get(entry, "customer"), view_get(entry, "verdict"), NULL, NULL, "no contact point is known"});
    }
    for (size_t i = 0; i < json_array_size(contacts); i++) {
        const json_t *contact = json_array_get(contacts, i);
        table_row(table, MOOD_PLAIN,
                  (const char *[]){i == 0 ? view_get(entry, "customer") : NULL, i == 0 ? view_get(entry, "verdict") : NULL,
                                   view_get(contact, "channel"), view_get(contact, "address"), view_get(contact, "reason")});
    }
}

static enum ctl_exit print_list(const struct ctl *ctl, const json_t *list, const char *heading, uint64_t all) {
    static const struct column columns[] = {
        {"CUSTOMER", COLUMN_TEXT}, {"VERDICT", COLUMN_TEXT}, {"CHANNEL", COLUMN_TEXT}, {"ADDRESS", COLUMN_TEXT}, {"WHY", COLUMN_LONG}};
    size_t shown = json_array_size(list) < REPORT_TEXT_MAX ? json_array_size(list) : REPORT_TEXT_MAX;
    if (shown == 0) {
        return CTL_DONE;
    }
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < shown; i++) {
        add_entry(table, json_array_get(list, i));
    }
    output_heading(ctl, heading);
    enum ctl_exit code = table_print(table);
    if (all > shown) {
        (void)printf("... and %" PRIu64 " more (--json lists them all)\n", all - shown);
    }
    return code;
}

static void print_head(const struct preflight_report *report) {
    const struct change *change = report->preflight->change;
    char at[TIME_TEXT_MAX];
    char span[32];
    char audience[512];
    output_field("change", change->id);
    output_field("notice", change->notice);
    output_field("in force", change->effective_at_ms == 0 ? "already" : view_clock(change->effective_at_ms, at));
    output_field("customers from", report->source);
    if (change->only_customer == NULL) {
        output_field("audience", audience_text(&change->audience, audience, sizeof audience));
    }
    if (change->promise_ms != 0) {
        int keeps = report_keeps_promise(report);
        char text[96];
        (void)snprintf(text, sizeof text, "%s: %s", output_span(change->promise_ms, span, sizeof span),
                       keeps < 0    ? "not known whether it can be kept (no gateway has an expected_rate)"
                       : keeps == 1 ? "can be kept for everybody who can be told"
                                    : "WILL BE BROKEN");
        output_field("promise", text);
    }
    (void)putchar('\n');
}

static void print_desk(const struct preflight_report *report) {
    const struct preflight_desk *desk = &report->desk;
    char span[32];
    char at[TIME_TEXT_MAX];
    (void)printf("\nService desk: %" PRIu64 " cases, %s of open time\n", preflight_lost(report->preflight),
                 output_span(desk->work_ms, span, sizeof span));
    if (!desk->has_hours) {
        (void)printf("Its hours are not configured (desk.hours).\n");
        return;
    }
    if (desk->open_at_effective) {
        (void)printf("It is open when the change is in force");
    } else if (desk->opens_at_ms < 0) {
        (void)printf("It is CLOSED when the change is in force, and for a year from then");
    } else {
        (void)printf("It is CLOSED when the change is in force; it opens %s", view_clock(desk->opens_at_ms, at));
    }
    (void)printf(", and is open for %s in the %d days after.\n",
                 desk->open_after_ms == 0 ? "no time at all" : output_span(desk->open_after_ms, span, sizeof span), REPORT_DESK_DAYS);
    (void)printf("All cases would be done %s%s.\n", desk->done_at_ms < 0 ? "in more than a year" : "by ",
                 desk->done_at_ms < 0 ? "" : view_clock(desk->done_at_ms, at));
}

static void print_words(const struct preflight_report *report) {
    size_t i;
    json_t *row;
    if (report->words_problem != NULL) {
        (void)printf("\nWords: not checked: %s\n", report->words_problem);
    }
    json_array_foreach(report->missing_words, i, row) {
        (void)printf("%sWords missing: locale %s, %lld customers\n", i == 0 ? "\n" : "", view_get(row, "locale"),
                     (long long)json_integer_value(json_object_get(row, "customers")));
    }
}

/* Contact points that somebody should look at, the first of them. */
static enum ctl_exit print_remarks(const struct ctl *ctl, const json_t *list, const char *heading, uint64_t all) {
    static const struct column columns[] = {
        {"CUSTOMER", COLUMN_TEXT}, {"CHANNEL", COLUMN_TEXT}, {"ADDRESS", COLUMN_TEXT}, {"WHY", COLUMN_LONG}};
    size_t shown = json_array_size(list) < REPORT_TEXT_MAX ? json_array_size(list) : REPORT_TEXT_MAX;
    if (shown == 0) {
        return CTL_DONE;
    }
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < shown; i++) {
        const json_t *row = json_array_get(list, i);
        table_row(table, MOOD_PLAIN,
                  (const char *[]){view_get(row, "customer"), view_get(row, "channel"), view_get(row, "address"), view_get(row, "reason")});
    }
    output_heading(ctl, heading);
    enum ctl_exit code = table_print(table);
    if (all > shown) {
        (void)printf("... and %" PRIu64 " more\n", all - shown);
    }
    return code;
}

enum ctl_exit report_print_text(const struct ctl *ctl, const struct preflight_report *report) {
    const struct preflight *preflight = report->preflight;
    print_head(report);
    enum ctl_exit code = print_verdicts(ctl, preflight);
    code = code != CTL_DONE ? code : print_channels(ctl, preflight);
    code = code != CTL_DONE ? code : print_names(ctl, &preflight->locales, "LOCALE", true);
    code = code != CTL_DONE ? code : print_names(ctl, &preflight->gateways, "GATEWAY", false);
    print_words(report);
    print_desk(report);
    (void)printf("\nsingle route: %" PRIu64 " customers hang on one mail domain or one gateway\n", preflight->single_route);
    code = code != CTL_DONE
               ? code
               : print_list(ctl, report->lost, "Passive and stranded: hold, banner and desk case for each", preflight_lost(preflight));
    code = code != CTL_DONE ? code : print_list(ctl, report->weak, "Weak", preflight->verdicts[VERDICT_WEAK]);
    code = code != CTL_DONE
               ? code
               : print_remarks(ctl, preflight->invalid, "Addresses that cannot be valid: they count as dead", preflight->contacts_invalid);
    return code != CTL_DONE ? code
                            : print_remarks(ctl, preflight->lookalikes, "Look-alikes: somebody should look at these addresses",
                                            preflight->contacts_lookalike);
}
