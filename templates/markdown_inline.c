/* markdown_inline: what stands inside a paragraph; see markdown_walk.h and markdown.c.
 *
 * Every literal of the tree may hold markers: each becomes a step of the program, what is between them static text. An
 * address becomes tokens again and is checked by the one rule that compile_address() has for all of them.
 *
 * Fails: with findings at the line at hand. Does not: know blocks. */
#include "templates/markdown_walk.h"

#include "templates/report.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The second walk, for the text part, only begins when the first has found nothing: no fault is told twice. */
void walk_fault(struct walk *w, const char *text) {
    w->failed = true;
    (void)report_error(w->compiler->report, w->at.file, w->at.line, "%s", text);
}

/* ---- markers ------------------------------------------------------------------------------------------------------- */
const struct mustache_token *walk_marker(const struct walk *w, const char *text, size_t len, size_t *len_r) {
    if (len < 2 * MARK_LEN + 1 || memcmp(text, MARK_BEGIN, MARK_LEN) != 0) {
        return NULL;
    }
    char *end = NULL;
    unsigned long index = strtoul(text + MARK_LEN, &end, 10);
    assert(index < w->doc->n && memcmp(end, MARK_END, MARK_LEN) == 0);
    *len_r = (size_t)(end - text) + MARK_LEN;
    return &w->doc->tokens[index];
}

static void open_section(struct walk *w, const struct mustache_token *token, cmark_node *inside) {
    if (w->n_open == OPEN_MAX) {
        walk_fault(w, "too many sections inside one another");
        return;
    }
    w->open[w->n_open].token = token;
    w->open[w->n_open++].inside = inside;
    program_begin(w->out, token->kind == MUSTACHE_SECTION ? OP_SECTION : OP_INVERTED, token->name);
}

static void close_section(struct walk *w, const struct mustache_token *token, cmark_node *inside) {
    w->at = (struct place){token->file, token->line};
    if (w->n_open == 0 || w->open[w->n_open - 1].inside != inside) {
        walk_fault(
            w, "this section begins in one paragraph, list item or emphasis and ends in another; put both tags on lines of their own, or "
               "both into "
               "the same paragraph");
        return;
    }
    w->n_open--;
    program_end(w->out);
}

void walk_put_token(struct walk *w, const struct mustache_token *token, enum escape escape, cmark_node *inside) {
    switch (token->kind) {
    case MUSTACHE_SECTION:
    case MUSTACHE_INVERTED: open_section(w, token, inside); break;
    case MUSTACHE_CLOSE: close_section(w, token, inside); break;
    case MUSTACHE_VALUE: program_value(w->out, escape, token->name); break;
    case MUSTACHE_TEXT:
    case MUSTACHE_RAW:
    case MUSTACHE_PARTIAL: break;
    }
}

void walk_put_literal(struct walk *w, const char *text, cmark_node *inside) {
    enum escape escape = w->html ? ESCAPE_HTML : ESCAPE_NONE;
    size_t len = strlen(text);
    while (len > 0) {
        const char *next = memmem(text, len, MARK_BEGIN, MARK_LEN);
        size_t plain = next == NULL ? len : (size_t)(next - text);
        program_text(w->out, escape, text, plain);
        text += plain;
        len -= plain;
        size_t marker = 0;
        const struct mustache_token *token = walk_marker(w, text, len, &marker);
        if (token != NULL) {
            walk_put_token(w, token, escape, inside);
            text += marker;
            len -= marker;
        }
    }
}

/* ---- addresses ----------------------------------------------------------------------------------------------------- */
enum { ADDRESS_TOKENS_MAX = 16 };

/* An address of the tree as tokens. */
static size_t address_tokens(struct walk *w, const char *url, struct mustache_token tokens[ADDRESS_TOKENS_MAX]) {
    size_t n = 0;
    size_t len = strlen(url);
    while (len > 0 && n < ADDRESS_TOKENS_MAX) {
        size_t used = 0;
        const struct mustache_token *token = walk_marker(w, url, len, &used);
        if (token != NULL) {
            tokens[n++] = *token;
        } else {
            const char *next = memmem(url, len, MARK_BEGIN, MARK_LEN);
            used = next == NULL ? len : (size_t)(next - url);
            tokens[n++] = (struct mustache_token){.kind = MUSTACHE_TEXT, .text = url, .len = used};
        }
        url += used;
        len -= used;
    }
    if (len > 0) {
        walk_fault(w, "the address holds too many variables");
    }
    return n;
}

static void put_address(struct walk *w, const char *url) {
    struct mustache_token tokens[ADDRESS_TOKENS_MAX];
    size_t n = address_tokens(w, url, tokens);
    bool known = w->failed;
    if (!known && compile_address(w->compiler, tokens, n, w->at.file, w->at.line, w->html ? ESCAPE_HTML : ESCAPE_NONE, w->out) < 0) {
        w->failed = true;
    }
}

bool walk_shows_address(cmark_node *link) {
    cmark_node *only = cmark_node_first_child(link);
    return only != NULL && cmark_node_next(only) == NULL && cmark_node_get_type(only) == CMARK_NODE_TEXT &&
           strcmp(cmark_node_get_literal(only), cmark_node_get_url(link)) == 0;
}

void walk_put_shown_address(struct walk *w, const char *url) {
    program_puts(w->out, "<span");
    program_puts(w->out, w->styles->address);
    program_puts(w->out, ">");
    put_address(w, url);
    program_puts(w->out, "</span>");
}

void walk_put_anchor(struct walk *w, cmark_node *link, const char *style) {
    program_puts(w->out, "<a href=\"");
    put_address(w, cmark_node_get_url(link));
    program_puts(w->out, "\"");
    program_puts(w->out, style);
    program_puts(w->out, ">");
    walk_inlines(w, link);
    program_puts(w->out, "</a>");
}

static void put_link(struct walk *w, cmark_node *link) {
    if (cmark_node_first_child(link) == NULL) {
        walk_fault(w, "a link without words: write [what it does](address), so that a screen reader has something to say");
        return;
    }
    if (w->html) {
        walk_put_anchor(w, link, w->styles->a);
        if (!walk_shows_address(link)) {
            program_puts(w->out, " (");
            walk_put_shown_address(w, cmark_node_get_url(link));
            program_puts(w->out, ")");
        }
        return;
    }
    if (!walk_shows_address(link)) {
        walk_inlines(w, link);
        program_puts(w->out, ": ");
    }
    put_address(w, cmark_node_get_url(link));
}

static void put_image(struct walk *w, cmark_node *image) {
    if (cmark_node_first_child(image) == NULL) {
        walk_fault(w, "an image without a text for screen readers: write ![what it shows](address)");
        return;
    }
    if (!w->html) {
        walk_inlines(w, image);
        return;
    }
    program_puts(w->out, "<img src=\"");
    put_address(w, cmark_node_get_url(image));
    program_puts(w->out, "\" alt=\"");
    for (cmark_node *child = cmark_node_first_child(image); child != NULL; child = cmark_node_next(child)) {
        if (cmark_node_get_type(child) == CMARK_NODE_TEXT) {
            walk_put_literal(w, cmark_node_get_literal(child), image);
        }
    }
    program_puts(w->out, "\"");
    program_puts(w->out, w->styles->img);
    program_puts(w->out, ">");
}

/* ---- inlines ------------------------------------------------------------------------------------------------------- */
static void wrap_inlines(struct walk *w, cmark_node *node, const char *begin, const char *end) {
    program_puts(w->out, w->html ? begin : "");
    walk_inlines(w, node);
    program_puts(w->out, w->html ? end : "");
}

static void break_line(struct walk *w) {
    program_puts(w->out, w->html ? "<br>\n" : "\n");
    program_puts(w->out, w->html ? "" : w->prefix);
}

static void put_code(struct walk *w, cmark_node *node) {
    if (w->html) {
        program_puts(w->out, "<code");
        program_puts(w->out, w->styles->code);
        program_puts(w->out, ">");
    }
    walk_put_literal(w, cmark_node_get_literal(node), node);
    program_puts(w->out, w->html ? "</code>" : "");
}

static void put_inline(struct walk *w, cmark_node *node, cmark_node *parent) {
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_TEXT: walk_put_literal(w, cmark_node_get_literal(node), parent); break;
    case CMARK_NODE_SOFTBREAK:
        w->at.line++;
        program_puts(w->out, w->html ? "\n" : " ");
        break;
    case CMARK_NODE_LINEBREAK:
        w->at.line++;
        break_line(w);
        break;
    case CMARK_NODE_CODE: put_code(w, node); break;
    case CMARK_NODE_EMPH: wrap_inlines(w, node, "<em>", "</em>"); break;
    case CMARK_NODE_STRONG: wrap_inlines(w, node, "<strong>", "</strong>"); break;
    case CMARK_NODE_LINK: put_link(w, node); break;
    case CMARK_NODE_IMAGE: put_image(w, node); break;
    default: walk_fault(w, "HTML is not allowed here; use Markdown (for a bare \"<\" write \"\\<\")"); break;
    }
}

void walk_inlines(struct walk *w, cmark_node *parent) {
    for (cmark_node *node = cmark_node_first_child(parent); node != NULL; node = cmark_node_next(node)) {
        put_inline(w, node, parent);
    }
}
