/* preflight_report: what a preflight found, told in three ways: text, JSON (contract.md), one HTML page. */
#ifndef REACH_CLI_PREFLIGHT_REPORT_H
#define REACH_CLI_PREFLIGHT_REPORT_H

#include "cli/output.h"
#include "cli/preflight.h"

/* The list in the text, and in the page: more are in the JSON. */
enum { REPORT_TEXT_MAX = 20, REPORT_PAGE_MAX = 500 };

/* What the service desk would face. */
struct preflight_desk {
    bool has_hours;  /* configured: the members below are known */
    int64_t work_ms; /* open time that all cases take all people */
    bool open_at_effective;
    int64_t opens_at_ms;   /* the first moment from effective_at on; -1: not within a year */
    int64_t open_after_ms; /* open time in the REPORT_DESK_DAYS days after effective_at */
    int64_t done_at_ms;    /* when all cases are done if work begins now; -1: not within a year */
};

enum { REPORT_DESK_DAYS = 14 };

struct preflight_report {
    struct preflight *preflight; /* ended */
    int64_t made_at_ms;
    const char *source;        /* "contact book" or the file's name */
    json_t *unusable;          /* [{where, member, reason}], the first of them; owned */
    json_t *missing_words;     /* [{locale, customers}] for which the notice has no words; owned */
    const char *words_problem; /* why the words could not be checked, or NULL */
    struct preflight_desk desk;
    json_t *lost; /* the first REPORT_PAGE_MAX of the passive and stranded; owned */
    json_t *weak; /* the same of the weak; owned */
};

/* Whether the first messages are out before the promise: 1 yes, 0 no, -1 not known (no promise or no rates). */
int report_keeps_promise(const struct preflight_report *report);

/* Fills report->desk from the settings. 0, or -1 with *err. */
int report_ask_desk(struct preflight_report *report, struct arena *arena, struct err *err);

/* Everything but the two lists as an object. New; NULL: no memory. */
json_t *report_summary(const struct preflight_report *report);

/* Prints the text. */
enum ctl_exit report_print_text(const struct ctl *ctl, const struct preflight_report *report);

/* Writes the page to `path`. 0, or -1 with *err. */
int report_write_html(const struct preflight_report *report, const char *path, struct err *err);

#endif
