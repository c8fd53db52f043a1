/* chart: see chart.h.
 *
 * A bar is a row of rectangles in a view box of fixed width, so the picture scales with the page and prints well. Colours come
 * from CSS classes of the page, which gives dark mode for free; no fact is told by colour alone: every bar has its label and sum
 * in text, every part its tooltip, the chart a title.
 *
 * Does not: choose scales or round figures on its own; what is drawn is what was given. */
#include "cli/chart.h"

#include <inttypes.h>
#include <stdio.h>

enum { WIDTH = 760, LABEL = 170, SUM = 110, ROW = 30, BAR = 18, PLOT = WIDTH - LABEL - SUM };

static const char *entity(char c) {
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

void html_text(struct buf *out, const char *text) {
    for (; text != NULL && *text != '\0'; text++) {
        if (entity(*text) != NULL) {
            buf_puts(out, entity(*text));
        } else {
            buf_putc(out, *text);
        }
    }
}

void html_count(struct buf *out, uint64_t n) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            buf_puts(out, "\u202f");
        }
        buf_putc(out, digits[i]);
    }
}

static uint64_t sum_of(const struct chart *chart, const struct chart_bar *bar) {
    uint64_t sum = 0;
    for (size_t i = 0; i < chart->n_parts; i++) {
        sum += bar->parts[i];
    }
    return sum;
}

static uint64_t full_scale(const struct chart *chart) {
    uint64_t full = chart->full;
    for (size_t i = 0; chart->full == 0 && i < chart->n_bars; i++) {
        uint64_t sum = sum_of(chart, &chart->bars[i]);
        full = sum > full ? sum : full;
    }
    return full == 0 ? 1 : full;
}

/* The parts of one bar. A part that is there but too small to see is drawn one unit wide. */
static void put_parts(struct buf *out, const struct chart *chart, const struct chart_bar *bar, int y, uint64_t full) {
    double x = LABEL;
    for (size_t i = 0; i < chart->n_parts; i++) {
        double width = (double)bar->parts[i] * PLOT / (double)full;
        if (bar->parts[i] == 0) {
            continue;
        }
        width = width < 1 ? 1 : width;
        buf_putf(out, "<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"><title>", chart->parts[i].css, x, y,
                 width, BAR);
        html_text(out, bar->label);
        buf_puts(out, ": ");
        html_text(out, chart->parts[i].name);
        buf_puts(out, " ");
        html_count(out, bar->parts[i]);
        buf_puts(out, "</title></rect>");
        x += width;
    }
    buf_putf(out, "<text class=\"sum\" x=\"%.1f\" y=\"%d\">", x + 8, y + BAR - 4);
    if (bar->note != NULL) {
        html_text(out, bar->note);
    } else {
        html_count(out, sum_of(chart, bar));
    }
    buf_puts(out, "</text>");
}

void chart_bars(struct buf *out, const struct chart *chart) {
    uint64_t full = full_scale(chart);
    buf_putf(out, "<svg role=\"img\" viewBox=\"0 0 %d %zu\" class=\"chart\"><title>", WIDTH, chart->n_bars * ROW + 6);
    html_text(out, chart->title);
    buf_puts(out, "</title>");
    buf_putf(out, "<line class=\"axis\" x1=\"%d\" y1=\"0\" x2=\"%d\" y2=\"%zu\"/>", LABEL, LABEL, chart->n_bars * ROW);
    for (size_t i = 0; i < chart->n_bars; i++) {
        int y = (int)i * ROW + 6;
        buf_putf(out, "<text class=\"label\" x=\"%d\" y=\"%d\">", LABEL - 10, y + BAR - 4);
        html_text(out, chart->bars[i].label);
        buf_puts(out, "</text>");
        put_parts(out, chart, &chart->bars[i], y, full);
    }
    buf_puts(out, "</svg>\n");
}

void chart_legend(struct buf *out, const struct chart *chart) {
    buf_puts(out, "<p class=\"legend\">");
    for (size_t i = 0; i < chart->n_parts; i++) {
        buf_putf(out, "<span><i class=\"%s\"></i>", chart->parts[i].css);
        html_text(out, chart->parts[i].name);
        buf_puts(out, "</span>");
    }
    buf_puts(out, "</p>\n");
}
