/* preflight_html: the report as one page that can be mailed to a change board, printed, or kept with the change.
 *
 * The page needs nothing but itself: styles and charts are inline, there is no script, and a Content-Security-Policy forbids
 * everything else, so that nothing in a name or a locale can load or run. It follows the reader's light or dark preference and
 * prints without colour mattering: every figure stands there in words.
 *
 * The file is written beside its place and then moved there, so a reader never sees half a page; only the owner may read it.
 *
 * Does not: count anything; see preflight.c. */
#include "cli/chart.h"
#include "cli/preflight_report.h"
#include "cli/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_SHOWN = 12 };

static const char style[] =
    ":root{--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--paper:#fff;--panel:#f6f8fa;--good:#1b7f5c;--weak:#c79200;--passive:#d2691e;"
    "--lost:#b3261e;--base:#3b6ea5}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--line:#323a45;--paper:#14181e;--panel:#1b2129;--good:#3fae87;"
    "--weak:#e0b03a;--passive:#e58a4a;--lost:#e5675f;--base:#6ea3d8}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n"
    "main{max-width:960px;margin:0 auto;padding:32px 24px 64px}h1{font-size:1.7rem;margin:0 0 4px}h2{font-size:1.15rem;margin:40px 0 8px}\n"
    ".sub,.note{color:var(--soft);margin:0}.verdict{margin:24px 0;padding:16px 20px;border-left:6px solid var(--good);"
    "background:var(--panel);font-size:1.15rem}.verdict.bad{border-color:var(--lost)}.verdict.maybe{border-color:var(--weak)}\n"
    ".findings{list-style:none;padding:0;margin:20px 0 0}.findings li{padding:4px 0}.findings "
    "b{display:inline-block;width:22px;height:22px;"
    "line-height:22px;text-align:center;border-radius:11px;color:var(--paper);margin-right:8px;font-size:.85rem}.ok "
    "b{background:var(--good)}"
    ".no b{background:var(--lost)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px}.tile{background:var(--panel);"
    "padding:12px 16px;border-radius:6px;border-top:4px solid var(--base)}.tile b{display:block;font-size:1.5rem;line-height:1.2}\n"
    ".tile span{color:var(--soft);font-size:.85rem}.tile.good{border-color:var(--good)}.tile.weak{border-color:var(--weak)}"
    ".tile.passive{border-color:var(--passive)}.tile.lost{border-color:var(--lost)}\n"
    ".chart{width:100%;height:auto;display:block}.chart text{font:13px system-ui,sans-serif;fill:var(--ink)}"
    ".chart .label{text-anchor:end}.chart .sum{fill:var(--soft)}.axis{stroke:var(--line)}\n"
    "rect.good,i.good{fill:var(--good);background:var(--good)}rect.weak,i.weak{fill:var(--weak);background:var(--weak)}"
    "rect.passive,i.passive{fill:var(--passive);background:var(--passive)}rect.lost,i.lost{fill:var(--lost);background:var(--lost)}"
    "rect.base,i.base{fill:var(--base);background:var(--base)}\n"
    ".chart{margin-top:8px}.legend span{margin-right:20px;font-size:.85rem;color:var(--soft)}.legend "
    "i{display:inline-block;width:12px;height:12px;"
    "border-radius:2px;margin-right:6px}\n"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;padding:6px 10px 6px 0;"
    "border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right}.scroll{overflow-x:auto}\n"
    "ul{padding-left:20px}code{font:.9em ui-monospace,monospace}@media "
    "print{main{max-width:none;padding:0}h2,tr,svg{break-inside:avoid}}\n";

/* ---- head --------------------------------------------------------------------------------------------------------------- */

static void put_head(struct buf *out, const struct preflight_report *report) {
    const struct change *change = report->preflight->change;
    char at[TIME_TEXT_MAX];
    char audience[512];
    buf_puts(out,
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Preflight ");
    html_text(out, change->id);
    buf_puts(out, "</title>\n<style>\n");
    buf_puts(out, style);
    buf_puts(out, "</style></head>\n<body><main>\n<h1>Preflight: ");
    html_text(out, change->id);
    buf_puts(out, "</h1>\n<p class=\"sub\">Notice <code>");
    html_text(out, change->notice);
    buf_puts(out, "</code> · in force ");
    html_text(out, change->effective_at_ms == 0 ? "already" : view_clock(change->effective_at_ms, at));
    buf_puts(out, " · customers from ");
    html_text(out, report->source);
    if (change->only_customer == NULL) {
        buf_puts(out, " · audience: ");
        html_text(out, audience_text(&change->audience, audience, sizeof audience));
    }
    buf_puts(out, " · made ");
    html_text(out, view_clock(report->made_at_ms, at));
    buf_puts(out, "</p>\n");
}

static void put_verdict(struct buf *out, const struct preflight_report *report) {
    const struct preflight *preflight = report->preflight;
    uint64_t lost = preflight_lost(preflight);
    bool maybe = lost == 0 && preflight->unusable > 0;
    buf_putf(out, "<p class=\"verdict%s\">", lost > 0 ? " bad" : maybe ? " maybe" : "");
    if (lost > 0) {
        buf_puts(out, "<b>Do not go ahead yet.</b> ");
        html_count(out, lost);
        buf_puts(out, " of ");
        html_count(out, preflight->customers);
        buf_puts(out, " customers would be cut off: no machine could tell them. Their accounts would be held, and each becomes a case for "
                      "the service desk.");
    } else if (maybe) {
        buf_puts(out, "<b>Not certain.</b> Everybody who could be judged can still be reached, but ");
        html_count(out, preflight->unusable);
        buf_puts(out, " customers could not be judged.");
    } else {
        buf_puts(out, "<b>Everybody can still be reached</b> once the change is in force.");
    }
    buf_puts(out, "</p>\n");
}

/* One line of what a board has to know before it agrees. */
static void put_finding(struct buf *out, bool good, uint64_t n, const char *text) {
    buf_puts(out, good ? "<li class=\"ok\"><b>\u2713</b> " : "<li class=\"no\"><b>!</b> ");
    if (n > 0) {
        html_count(out, n);
        buf_putc(out, ' ');
    }
    html_text(out, text);
    buf_puts(out, "</li>\n");
}

static uint64_t customers_without_words(const struct preflight_report *report) {
    uint64_t n = 0;
    size_t i;
    json_t *row;
    json_array_foreach(report->missing_words, i, row) {
        n += (uint64_t)json_integer_value(json_object_get(row, "customers"));
    }
    return n;
}

static void put_desk_finding(struct buf *out, const struct preflight_desk *desk) {
    if (!desk->has_hours) {
        put_finding(out, false, 0, "The hours of the service desk are not configured.");
    } else {
        put_finding(out, desk->open_at_effective, 0,
                    desk->open_at_effective ? "The service desk is open when the change comes into force."
                                            : "The service desk is closed when the change comes into force.");
    }
}

static void put_findings(struct buf *out, const struct preflight_report *report) {
    const struct preflight *preflight = report->preflight;
    uint64_t lost = preflight_lost(preflight);
    uint64_t wordless = customers_without_words(report);
    int keeps = report_keeps_promise(report);
    buf_puts(out, "<ul class=\"findings\">\n");
    put_finding(out, lost == 0, lost, lost == 0 ? "Nobody is cut off." : "customers are cut off and need the service desk.");
    put_desk_finding(out, &report->desk);
    if (report->words_problem != NULL) {
        put_finding(out, false, 0, "The words of the notice could not be checked.");
    } else {
        put_finding(out, wordless == 0, wordless,
                    wordless == 0 ? "The notice is written in every language that is needed."
                                  : "customers have no words in their language.");
    }
    if (preflight->change->promise_ms != 0) {
        put_finding(out, keeps == 1, 0,
                    keeps == 1   ? "The promise can be kept for everybody who can be told."
                    : keeps == 0 ? "The promise would be broken at the configured rates."
                                 : "Whether the promise can be kept is not known: no rates are configured.");
    }
    if (preflight->unusable > 0) {
        put_finding(out, false, preflight->unusable, "customers could not be judged.");
    }
    if (preflight->contacts_invalid + preflight->contacts_lookalike > 0) {
        put_finding(out, false, preflight->contacts_invalid + preflight->contacts_lookalike,
                    "addresses should be looked at: they cannot be valid, or look like others.");
    }
    buf_puts(out, "</ul>\n");
}

static void put_tile(struct buf *out, const char *css, uint64_t n, uint64_t all, const char *name) {
    buf_putf(out, "<div class=\"tile %s\"><b>", css);
    html_count(out, n);
    buf_puts(out, "</b><span>");
    html_text(out, name);
    if (all > 0) {
        buf_putf(out, "<br>%.1f %%", 100.0 * (double)n / (double)all);
    }
    buf_puts(out, "</span></div>");
}

static void put_tiles(struct buf *out, const struct preflight *preflight) {
    uint64_t all = preflight->customers;
    buf_puts(out, "<div class=\"tiles\">");
    put_tile(out, "", all, 0, "customers");
    put_tile(out, "good", preflight->verdicts[VERDICT_REACHABLE], all, "reachable");
    put_tile(out, "weak", preflight->verdicts[VERDICT_WEAK], all, "weak");
    put_tile(out, "passive", preflight->verdicts[VERDICT_PASSIVE], all, "passive");
    put_tile(out, "lost", preflight->verdicts[VERDICT_STRANDED], all, "stranded");
    put_tile(out, "", preflight->single_route, all, "single route");
    buf_puts(out, "</div>\n");
}

/* ---- charts ------------------------------------------------------------------------------------------------------------- */

static void put_chart(struct buf *out, const char *heading, const char *note, const struct chart *chart) {
    buf_puts(out, "<h2>");
    html_text(out, heading);
    buf_puts(out, "</h2>\n<p class=\"note\">");
    html_text(out, note);
    buf_puts(out, "</p>\n");
    if (chart->n_parts > 1) {
        chart_legend(out, chart);
    }
    chart_bars(out, chart);
}

static void put_verdict_chart(struct buf *out, const struct preflight *preflight) {
    static const struct chart_part parts[] = {{"reachable", "good"}, {"weak", "weak"}, {"passive", "passive"}, {"stranded", "lost"}};
    struct chart_bar bar = {.label = "customers"};
    for (int verdict = VERDICT_REACHABLE; verdict <= VERDICT_STRANDED; verdict++) {
        bar.parts[verdict] = preflight->verdicts[verdict];
    }
    struct chart chart = {"Customers by verdict", parts, 4, &bar, 1, 0};
    put_chart(out, "Who can still be reached",
              "Weak: only unverified or recently changed contact points survive. Passive: only a banner survives, so they hear of it when "
              "they come by themselves. Stranded: nothing survives.",
              &chart);
}

static void put_channel_chart(struct buf *out, const struct preflight *preflight) {
    static const struct chart_part parts[] = {{"first message goes this way", "good"}, {"could be used as well", "base"}};
    struct chart_bar bars[CHANNEL_COUNT] = {0};
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        uint64_t first = preflight->loads[channel].first;
        bars[channel] = (struct chart_bar){.label = channel_traits((enum channel_id)channel)->name};
        bars[channel].parts[0] = first;
        bars[channel].parts[1] = preflight->channels[channel] - first;
    }
    struct chart chart = {"Customers by surviving channel", parts, 2, bars, CHANNEL_COUNT, preflight->customers};
    put_chart(out, "Through which channel", "Customers with a surviving contact point; a full bar would be every customer.", &chart);
}

static void put_contact_chart(struct buf *out, const struct preflight *preflight) {
    static const struct chart_part parts[] = {{"survive", "good"}, {"die with the change", "lost"}, {"unusable already", "passive"}};
    struct chart_bar bar = {.label = "contact points"};
    bar.parts[0] = preflight->contacts_surviving;
    bar.parts[1] = preflight->contacts_doomed;
    bar.parts[2] = preflight->contacts - preflight->contacts_surviving - preflight->contacts_doomed;
    struct chart chart = {"Contact points", parts, 3, &bar, 1, 0};
    put_chart(out, "What becomes of the contact points", "Unusable already: bounced, blocked, withdrawn, or leading nowhere.", &chart);
}

static int by_customers(const void *a, const void *b) {
    const struct preflight_name *left = *(const struct preflight_name *const *)a;
    const struct preflight_name *right = *(const struct preflight_name *const *)b;
    return left->customers < right->customers ? 1 : left->customers > right->customers ? -1 : strcmp(left->name, right->name);
}

/* The names with the most customers; the rest in one bar. */
static void put_names_chart(struct buf *out, const struct preflight_names *names, bool with_lost, const char *heading, const char *note) {
    static const struct chart_part parts[] = {{"can be told", "good"}, {"passive or stranded", "lost"}};
    static const struct chart_part one[] = {{"customers", "base"}};
    const struct preflight_name *sorted[PREFLIGHT_NAMES_MAX + 1];
    struct chart_bar bars[NAMES_SHOWN + 1] = {0};
    size_t n = 0;
    size_t n_bars = 0;
    for (size_t i = 0; i <= PREFLIGHT_NAMES_MAX; i++) {
        if (names->rows[i].customers > 0) {
            sorted[n++] = &names->rows[i];
        }
    }
    qsort(sorted, n, sizeof *sorted, by_customers);
    for (size_t i = 0; i < n; i++) {
        struct chart_bar *bar = &bars[i < NAMES_SHOWN ? i : NAMES_SHOWN];
        n_bars = i < NAMES_SHOWN ? i + 1 : NAMES_SHOWN + 1;
        bar->label = i < NAMES_SHOWN ? sorted[i]->name : "all others";
        bar->parts[0] += sorted[i]->customers - sorted[i]->lost;
        bar->parts[1] += sorted[i]->lost;
    }
    struct chart chart = {heading, with_lost ? parts : one, with_lost ? 2 : 1, bars, n_bars, 0};
    put_chart(out, heading, note, &chart);
}

/* ---- time and words ----------------------------------------------------------------------------------------------------- */

static void put_time(struct buf *out, const struct preflight_report *report) {
    const struct preflight *preflight = report->preflight;
    int64_t takes_ms = preflight_takes_ms(preflight);
    int keeps = report_keeps_promise(report);
    char span[32];
    buf_puts(out, "<h2>How long it takes</h2>\n<p>");
    if (takes_ms < 0) {
        buf_puts(out, "Not known: not every channel that is needed has a gateway with an <code>expected_rate</code>.");
    } else {
        buf_puts(out, "The last first message would be out ");
        html_text(out, output_span(takes_ms, span, sizeof span));
        buf_puts(out, " after the start.");
    }
    if (preflight->change->promise_ms != 0) {
        buf_puts(out, " Customers were promised to hear within ");
        html_text(out, output_span(preflight->change->promise_ms, span, sizeof span));
        buf_puts(out, keeps < 0    ? "."
                      : keeps == 1 ? ": <b>that can be kept</b>."
                                   : ": <b>that would be broken</b>. Start earlier, in waves, or with more gateways.");
    }
    buf_puts(out, "</p>\n");
}

static void put_words(struct buf *out, const struct preflight_report *report) {
    size_t i;
    json_t *row;
    buf_puts(out, "<h2>The words</h2>\n");
    if (report->words_problem != NULL) {
        buf_puts(out, "<p>Not checked: ");
        html_text(out, report->words_problem);
        buf_puts(out, "</p>\n");
        return;
    }
    if (json_array_size(report->missing_words) == 0) {
        buf_puts(out, "<p>The notice is written in every language that is needed.</p>\n");
        return;
    }
    buf_puts(out, "<p>The notice is missing in these locales:</p>\n<ul>");
    json_array_foreach(report->missing_words, i, row) {
        buf_puts(out, "<li><code>");
        html_text(out, view_get(row, "locale"));
        buf_puts(out, "</code>: ");
        html_count(out, (uint64_t)json_integer_value(json_object_get(row, "customers")));
        buf_puts(out, " customers</li>");
    }
    buf_puts(out, "</ul>\n");
}

static void put_desk(struct buf *out, const struct preflight_report *report) {
    const struct preflight_desk *desk = &report->desk;
    int64_t effective_at_ms = report->preflight->change->effective_at_ms;
    char text[64];
    buf_puts(out, "<h2>What the service desk will face</h2>\n<p><b>");
    html_count(out, preflight_lost(report->preflight));
    buf_puts(out, " cases</b>, which is ");
    html_text(out, output_span(desk->work_ms, text, sizeof text));
    buf_puts(out, " of open time. ");
    if (!desk->has_hours) {
        buf_puts(out, "Its hours are not configured.</p>\n");
        return;
    }
    if (desk->open_at_effective) {
        buf_puts(out, "It is open when the change comes into force");
    } else {
        buf_puts(out, "<b>It is closed when the change comes into force</b>");
        if (desk->opens_at_ms >= 0) {
            buf_puts(out, " and opens ");
            html_text(out, view_clock(desk->opens_at_ms, text));
        }
    }
    buf_putf(out, "; in the %d days after it is open for ", REPORT_DESK_DAYS);
    html_text(out, desk->open_after_ms == 0 ? "no time at all" : output_span(desk->open_after_ms, text, sizeof text));
    buf_puts(out, ". If work begins now, all cases would be done ");
    html_text(out, desk->done_at_ms < 0 ? "in more than a year" : view_clock(desk->done_at_ms, text));
    bool late = effective_at_ms != 0 && (desk->done_at_ms < 0 || desk->done_at_ms > effective_at_ms);
    buf_puts(out, late && preflight_lost(report->preflight) > 0 ? ", <b>after the change is in force</b>.</p>\n" : ".</p>\n");
}

/* ---- lists -------------------------------------------------------------------------------------------------------------- */

static void put_cell(struct buf *out, const char *text) {
    buf_puts(out, "<td>");
    html_text(out, text);
    buf_puts(out, "</td>");
}

static void put_entry(struct buf *out, const json_t *entry) {
    const json_t *contacts = json_object_get(entry, "contacts");
    size_t n = json_array_size(contacts);
    for (size_t i = 0; i < (n == 0 ? 1 : n); i++) {
        const json_t *contact = json_array_get(contacts, i);
        buf_puts(out, "<tr>");
        put_cell(out, i == 0 ? view_get(entry, "customer") : "");
        put_cell(out, i == 0 ? view_get(entry, "verdict") : "");
        put_cell(out, view_get(contact, "channel"));
        put_cell(out, view_get(contact, "address"));
        put_cell(out, n == 0 ? "no contact point is known" : view_get(contact, "reason"));
        buf_puts(out, "</tr>\n");
    }
}

static void put_list(struct buf *out, const json_t *list, uint64_t all, const char *heading) {
    size_t i;
    const json_t *entry;
    if (json_array_size(list) == 0) {
        return;
    }
    buf_putf(out, "<h2>%s</h2>\n", heading);
    if (all > json_array_size(list)) {
        buf_putf(out, "<p class=\"note\">The first %zu of ", json_array_size(list));
        html_count(out, all);
        buf_puts(out, "; <code>reachctl preflight --json</code> lists them all.</p>\n");
    }
    buf_puts(out, "<div class=\"scroll\"><table><thead><tr><th>Customer</th><th>Verdict</th><th>Channel</th><th>Address</th><th>Why</th>"
                  "</tr></thead><tbody>\n");
    json_array_foreach(list, i, entry) {
        put_entry(out, entry);
    }
    buf_puts(out, "</tbody></table></div>\n");
}

/* Contact points that somebody should look at. */
static void put_remarks(struct buf *out, const json_t *list, uint64_t all, const char *heading, const char *note) {
    size_t i;
    const json_t *row;
    if (json_array_size(list) == 0) {
        return;
    }
    buf_putf(out, "<h2>%s</h2>\n<p class=\"note\">%s", heading, note);
    if (all > json_array_size(list)) {
        buf_putf(out, " The first %zu of ", json_array_size(list));
        html_count(out, all);
        buf_putc(out, '.');
    }
    buf_puts(out, "</p>\n<div class=\"scroll\"><table><thead><tr><th>Customer</th><th>Channel</th><th>Address</th><th>Why</th></tr></thead>"
                  "<tbody>\n");
    json_array_foreach(list, i, row) {
        buf_puts(out, "<tr>");
        put_cell(out, view_get(row, "customer"));
        put_cell(out, view_get(row, "channel"));
        put_cell(out, view_get(row, "address"));
        put_cell(out, view_get(row, "reason"));
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</tbody></table></div>\n");
}

/* ---- the page ----------------------------------------------------------------------------------------------------------- */

static void put_page(struct buf *out, const struct preflight_report *report) {
    const struct preflight *preflight = report->preflight;
    put_head(out, report);
    put_verdict(out, report);
    put_tiles(out, preflight);
    put_findings(out, report);
    put_verdict_chart(out, preflight);
    put_channel_chart(out, preflight);
    put_contact_chart(out, preflight);
    put_names_chart(out, &preflight->locales, true, "By locale", "The languages with the most customers.");
    put_names_chart(out, &preflight->gateways, false, "By gateway", "Customers with a surviving contact point that the gateway serves.");
    put_desk(out, report);
    put_time(out, report);
    put_words(out, report);
    put_list(out, report->lost, preflight_lost(preflight), "Passive and stranded");
    put_list(out, report->weak, preflight->verdicts[VERDICT_WEAK], "Weak");
    put_remarks(out, preflight->invalid, preflight->contacts_invalid, "Addresses that cannot be valid", "They count as dead.");
    put_remarks(out, preflight->lookalikes, preflight->contacts_lookalike, "Look-alikes",
                "Nothing is wrong with these for a machine, but the eye takes them for other addresses: somebody should look.");
    buf_puts(out, "<p class=\"note\">Made by reachctl. Addresses are masked; the full list is in the data that this was made from.</p>\n"
                  "</main></body></html>\n");
}

/* Writes `text` to `path` as a whole or not at all. */
static int write_file(const char *path, const struct buf *text, struct err *err) {
    char beside[4096];
    int len = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    int fd = len < 0 || (size_t)len >= sizeof beside ? -1 : mkostemp(beside, O_CLOEXEC);
    if (fd < 0) {
        return err_system(err, path);
    }
    FILE *file = fdopen(fd, "w");
    bool ok = file != NULL && fwrite(text->data, 1, text->len, file) == text->len;
    ok = (file != NULL ? fclose(file) : close(fd)) == 0 && ok && rename(beside, path) == 0;
    if (!ok) {
        (void)err_system(err, path);
        (void)unlink(beside);
    }
    return ok ? 0 : -1;
}

int report_write_html(const struct preflight_report *report, const char *path, struct err *err) {
    struct buf page = BUF_INIT;
    put_page(&page, report);
    int result = page.failed ? err_no_memory(err) : write_file(path, &page, err);
    buf_fini(&page);
    return result;
}
