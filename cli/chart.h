/* chart: bar charts as inline SVG, and text made safe for HTML. For pages that stand on their own: no script, no other file. */
#ifndef REACH_CLI_CHART_H
#define REACH_CLI_CHART_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Appends text with &, <, >, " and ' as entities: safe in an element and in a quoted attribute. NULL appends nothing. */
void html_text(struct buf *out, const char *text);

/* Appends a number with thin separators: 1 234 567. */
void html_count(struct buf *out, uint64_t n);

enum { CHART_PARTS_MAX = 4 };

/* One bar: a label, and up to CHART_PARTS_MAX parts that stand behind one another. */
struct chart_bar {
    const char *label;
    const char *note; /* at the end of the bar in the place of the sum; NULL: the sum */
    uint64_t parts[CHART_PARTS_MAX];
};

/* What the parts are: name and CSS class (which gives the colour). */
struct chart_part {
    const char *name;
    const char *css;
};

struct chart {
    const char *title; /* read out by a screen reader; escaped here */
    const struct chart_part *parts;
    size_t n_parts;
    const struct chart_bar *bars;
    size_t n_bars;
    uint64_t full; /* what a bar over the whole width stands for; 0: the largest sum */
};

/* Horizontal bars, one below the other, with label and sum; every part has a tooltip. */
void chart_bars(struct buf *out, const struct chart *chart);

/* The names of the parts with their colours. */
void chart_legend(struct buf *out, const struct chart *chart);

#endif
