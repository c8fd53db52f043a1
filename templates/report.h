/* report: what the checks have found, for a writer's eyes. */
#ifndef REACH_TEMPLATES_REPORT_H
#define REACH_TEMPLATES_REPORT_H

#include "templates/template.h"

/* Adds one finding (printf). `file` is copied; `line` 0 is the file as a whole. Returns -1 for an error and 0 for advice, so that a check
 * can end with `return report_error(...)`. Without memory the finding is still counted. */
int report_error(struct template_report *report, const char *file, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));
int report_advice(struct template_report *report, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* By file, then line. */
void report_sort(struct template_report *report);

/* The first error as *err ("file:line: text"). Returns -1. Asserts that there is one. */
int report_to_err(const struct template_report *report, struct err *err);

#endif
