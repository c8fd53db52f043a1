/* report: see report.h.
 *
 * The findings live in the report's own arena, which grows by doubling copies; a set has dozens at most. Does not: judge or print. */
#include "templates/report.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINDINGS_FIRST = 8 };

static struct template_finding *next_finding(struct template_report *report) {
    bool full = report->n == 0 || (report->n >= FINDINGS_FIRST && (report->n & (report->n - 1)) == 0);
    if (full) {
        size_t cap = report->n == 0 ? FINDINGS_FIRST : report->n * 2;
        struct template_finding *grown = arena_array(&report->arena, cap, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        if (report->n > 0) {
            memcpy(grown, report->findings, report->n * sizeof *grown);
        }
        report->findings = grown;
    }
    return &report->findings[report->n];
}

static void __attribute__((format(printf, 5, 0)))
add(struct template_report *report, bool is_error, const char *file, int line, const char *format, va_list args) {
    report->n_errors += is_error;
    char text[600];
    (void)vsnprintf(text, sizeof text, format, args);
    struct template_finding *finding = next_finding(report);
    if (finding == NULL) {
        return;
    }
    *finding = (struct template_finding){.is_error = is_error, .line = line};
    finding->file = arena_strdup(&report->arena, file);
    finding->text = arena_strdup(&report->arena, text);
    if (finding->file != NULL && finding->text != NULL) {
        report->n++;
    }
}

int report_error(struct template_report *report, const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add(report, true, file, line, format, args);
    va_end(args);
    return -1;
}

int report_advice(struct template_report *report, const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add(report, false, file, line, format, args);
    va_end(args);
    return 0;
}

static int compare(const void *a, const void *b) {
    const struct template_finding *left = a;
    const struct template_finding *right = b;
    int order = strcmp(left->file, right->file);
    return order != 0 ? order : (left->line > right->line) - (left->line < right->line);
}

void report_sort(struct template_report *report) {
    if (report->n > 1) {
        qsort(report->findings, report->n, sizeof *report->findings, compare);
    }
}

void template_finding_put(const struct template_finding *finding, const char *dir, struct buf *out) {
    buf_putf(out, "%s%s%s", dir == NULL ? "" : dir, dir == NULL ? "" : "/", finding->file);
    if (finding->line > 0) {
        buf_putf(out, ":%d", finding->line);
    }
    buf_putf(out, ": %s%s", finding->is_error ? "" : "advice: ", finding->text);
}

int report_to_err(const struct template_report *report, struct err *err) {
    assert(report->n_errors > 0);
    size_t i = 0;
    while (i < report->n && !report->findings[i].is_error) {
        i++;
    }
    struct buf text = BUF_INIT;
    if (i < report->n) {
        template_finding_put(&report->findings[i], NULL, &text);
    }
    int rc = i == report->n || buf_str(&text) == NULL ? err_no_memory(err) : err_set(err, ERR_SYNTAX, "%s", buf_str(&text));
    buf_fini(&text);
    return rc;
}

void template_report_fini(struct template_report *report) {
    arena_fini(&report->arena);
    *report = (struct template_report){0};
}
