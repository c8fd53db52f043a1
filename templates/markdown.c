/* markdown: compile_markdown() of compile.h.
 *
 * Each Mustache tag is replaced by a marker of three private characters ("\uE000", its number, "\uE001") before cmark-gfm sees the text. To
 * Markdown a marker is a word like any other, so a tag can stand wherever a word can: in a paragraph, in bold, in an address.
 * Then the tree is walked twice, once for HTML and once for plain text, and every marker becomes a step of the program. The values
 * come much later and never meet Markdown at all.
 *
 * A section tag on a line of its own becomes a block of its own, so that {{#x}} can hold paragraphs and lists. A section must
 * close in the same block, emphasis or list item that it was opened in, or the HTML would not nest; this is checked.
 *
 * HTML written by the writer is refused: what a message can hold is what Markdown can say. Images need a text. A link shows
 * its address behind its words, in both parts. In a mail, a paragraph that is nothing but a link becomes a button.
 *
 * Fails: with findings. Does not: support tables, footnotes or other extensions. */
#include "templates/compile.h"

#include "templates/report.h"

#include <assert.h>
#include <cmark-gfm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_BEGIN "\xee\x80\x80"
#define MARK_END "\xee\x80\x81"
enum { MARK_LEN = 3, OPEN_MAX = 32, PREFIX_MAX = 64, LINES_MAX = 5000 };

/* Inline styles of a mail; a banner has none, the website has its own. Colours that dark mode changes are classes of layout.html. */
struct styles {
    const char *p, *h1, *h2, *ul, *li, *quote, *code, *a, *address, *button, *button_line, *hr, *img;
};

static const struct styles mail_styles = {
    .p = " style=\"margin:0 0 16px\"",
    .h1 = " style=\"margin:0 0 16px;font-size:22px;line-height:1.3\"",
    .h2 = " style=\"margin:24px 0 8px;font-size:18px;line-height:1.3\"",
    .ul = " style=\"margin:0 0 16px;padding-inline-start:24px\"",
    .li = " style=\"margin:0 0 8px\"",
    .quote = " class=\"rule\" style=\"margin:0 0 16px;padding-inline-start:16px;border-inline-start:4px solid #c9cfd6\"",
    .code = " style=\"font-family:monospace\"",
    .a = " class=\"link\" style=\"color:#0b5cad\"",
    .address = " class=\"quiet\" style=\"color:#5b6570;word-break:break-all\" dir=\"ltr\"",
    .button = " class=\"button\" style=\"display:inline-block;padding:12px 20px;border-radius:6px;background-color:#0b5cad;color:#ffffff;"
              "font-weight:bold;text-decoration:none\"",
    .button_line = " style=\"margin:24px 0 8px\"",
    .hr = " class=\"rule\" style=\"border:0;border-top:1px solid #c9cfd6;margin:24px 0\"",
    .img = " style=\"max-width:100%;height:auto;border:0\"",
};

static const struct styles bare_styles = {"", "", "", "", "", "", "", "", " dir=\"ltr\"", "", "", "", ""};

struct walk {
    struct compiler *compiler;
    const struct mustache_doc *doc;
    const char *file;
    const int *lines; /* source line of each line that cmark sees */
    size_t n_lines;
    const struct styles *styles;
    struct program_builder *out;
    bool html;
    bool mail;
    bool failed;
    int line; /* of the block at hand */
    struct {
        const struct mustache_token *token;
        cmark_node *inside;
    } open[OPEN_MAX];
    size_t n_open;
    char prefix[PREFIX_MAX]; /* plain text: what each line begins with */
    bool after_bullet;       /* plain text: the line has begun already */
};

static void walk_blocks(struct walk *w, cmark_node *parent);
static void walk_inlines(struct walk *w, cmark_node *parent);

static void fault(struct walk *w, const char *text) {
    w->failed = true;
    if (w->html) {
        (void)report_error(w->compiler->report, w->file, w->line, "%s", text);
    }
}

/* ---- markers ------------------------------------------------------------------------------------------------------- */
/* The token of the marker that `text` begins with; *len_r is the marker's length. NULL: no marker. */
static const struct mustache_token *read_marker(const struct walk *w, const char *text, size_t len, size_t *len_r) {
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
        fault(w, "too many sections inside one another");
        return;
    }
    w->open[w->n_open].token = token;
    w->open[w->n_open++].inside = inside;
    program_begin(w->out, token->kind == MUSTACHE_SECTION ? OP_SECTION : OP_INVERTED, token->name);
}

static void close_section(struct walk *w, const struct mustache_token *token, cmark_node *inside) {
    w->line = token->line;
    if (w->n_open == 0 || w->open[w->n_open - 1].inside != inside) {
        fault(w, "this section begins in one paragraph, list item or emphasis and ends in another; put both tags on lines of their own, or "
                 "both into "
                 "the same paragraph");
        return;
    }
    w->n_open--;
    program_end(w->out);
}

static void put_marker(struct walk *w, const struct mustache_token *token, enum escape escape, cmark_node *inside) {
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

/* A literal of the tree: text with markers in it. */
static void put_literal(struct walk *w, const char *text, cmark_node *inside) {
    enum escape escape = w->html ? ESCAPE_HTML : ESCAPE_NONE;
    size_t len = strlen(text);
    while (len > 0) {
        const char *next = memmem(text, len, MARK_BEGIN, MARK_LEN);
        size_t plain = next == NULL ? len : (size_t)(next - text);
        program_text(w->out, escape, text, plain);
        text += plain;
        len -= plain;
        size_t marker = 0;
        const struct mustache_token *token = read_marker(w, text, len, &marker);
        if (token != NULL) {
            put_marker(w, token, escape, inside);
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
        const struct mustache_token *token = read_marker(w, url, len, &used);
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
        fault(w, "the address holds too many variables");
    }
    return n;
}

static void put_address(struct walk *w, const char *url) {
    struct mustache_token tokens[ADDRESS_TOKENS_MAX];
    size_t n = address_tokens(w, url, tokens);
    bool known = w->failed;
    if (!known && compile_address(w->compiler, tokens, n, w->file, w->line, w->html ? ESCAPE_HTML : ESCAPE_NONE, w->out) < 0) {
        w->failed = true;
    }
}

/* Whether the words of a link are its address already. */
static bool shows_address(cmark_node *link) {
    cmark_node *only = cmark_node_first_child(link);
    return only != NULL && cmark_node_next(only) == NULL && cmark_node_get_type(only) == CMARK_NODE_TEXT &&
           strcmp(cmark_node_get_literal(only), cmark_node_get_url(link)) == 0;
}

static void put_shown_address(struct walk *w, const char *url) {
    program_puts(w->out, "<span");
    program_puts(w->out, w->styles->address);
    program_puts(w->out, ">");
    put_address(w, url);
    program_puts(w->out, "</span>");
}

static void html_link(struct walk *w, cmark_node *link, const char *style) {
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
        fault(w, "a link without words: write [what it does](address), so that a screen reader has something to say");
        return;
    }
    if (w->html) {
        html_link(w, link, w->styles->a);
        if (!shows_address(link)) {
            program_puts(w->out, " (");
            put_shown_address(w, cmark_node_get_url(link));
            program_puts(w->out, ")");
        }
        return;
    }
    if (!shows_address(link)) {
        walk_inlines(w, link);
        program_puts(w->out, ": ");
    }
    put_address(w, cmark_node_get_url(link));
}

static void put_image(struct walk *w, cmark_node *image) {
    if (cmark_node_first_child(image) == NULL) {
        fault(w, "an image without a text for screen readers: write ![what it shows](address)");
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
            put_literal(w, cmark_node_get_literal(child), image);
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
    put_literal(w, cmark_node_get_literal(node), node);
    program_puts(w->out, w->html ? "</code>" : "");
}

static void put_inline(struct walk *w, cmark_node *node, cmark_node *parent) {
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_TEXT: put_literal(w, cmark_node_get_literal(node), parent); break;
    case CMARK_NODE_SOFTBREAK:
        w->line++;
        program_puts(w->out, w->html ? "\n" : " ");
        break;
    case CMARK_NODE_LINEBREAK:
        w->line++;
        break_line(w);
        break;
    case CMARK_NODE_CODE: put_code(w, node); break;
    case CMARK_NODE_EMPH: wrap_inlines(w, node, "<em>", "</em>"); break;
    case CMARK_NODE_STRONG: wrap_inlines(w, node, "<strong>", "</strong>"); break;
    case CMARK_NODE_LINK: put_link(w, node); break;
    case CMARK_NODE_IMAGE: put_image(w, node); break;
    default: fault(w, "HTML is not allowed here; use Markdown (for a bare \"<\" write \"\\<\")"); break;
    }
}

static void walk_inlines(struct walk *w, cmark_node *parent) {
    for (cmark_node *node = cmark_node_first_child(parent); node != NULL; node = cmark_node_next(node)) {
        put_inline(w, node, parent);
    }
}

/* ---- blocks -------------------------------------------------------------------------------------------------------- */
static void tag_open(struct walk *w, const char *name, const char *style) {
    program_puts(w->out, "<");
    program_puts(w->out, name);
    program_puts(w->out, style);
    program_puts(w->out, ">");
}

/* A block of plain text begins at the start of a line, or behind its bullet. */
static void begin_text_block(struct walk *w) {
    if (!w->html && !w->after_bullet) {
        program_puts(w->out, w->prefix);
    }
    w->after_bullet = false;
}

static void blank_line(struct walk *w) {
    size_t len = strlen(w->prefix);
    while (len > 0 && w->prefix[len - 1] == ' ') {
        len--;
    }
    program_text(w->out, ESCAPE_NONE, w->prefix, len);
    program_puts(w->out, "\n");
}

static void end_text_block(struct walk *w) {
    program_puts(w->out, "\n");
    blank_line(w);
}

/* The section tag that has this paragraph to itself, or NULL. */
static const struct mustache_token *block_section(const struct walk *w, cmark_node *node) {
    cmark_node *only = cmark_node_first_child(node);
    if (cmark_node_get_type(node) != CMARK_NODE_PARAGRAPH || only == NULL || cmark_node_next(only) != NULL ||
        cmark_node_get_type(only) != CMARK_NODE_TEXT) {
        return NULL;
    }
    const char *text = cmark_node_get_literal(only);
    size_t used = 0;
    const struct mustache_token *token = read_marker(w, text, strlen(text), &used);
    return token != NULL && token->standalone && text[used] == '\0' ? token : NULL;
}

static bool is_button(const struct walk *w, cmark_node *paragraph) {
    cmark_node *only = cmark_node_first_child(paragraph);
    return w->mail && only != NULL && cmark_node_next(only) == NULL && cmark_node_get_type(only) == CMARK_NODE_LINK && !shows_address(only);
}

static void html_button(struct walk *w, cmark_node *link) {
    tag_open(w, "p", w->styles->button_line);
    html_link(w, link, w->styles->button);
    program_puts(w->out, "</p>\n");
    tag_open(w, "p", w->styles->p);
    put_shown_address(w, cmark_node_get_url(link));
    program_puts(w->out, "</p>\n");
}

static void put_paragraph(struct walk *w, cmark_node *node) {
    cmark_node *item = cmark_node_parent(node);
    bool tight = cmark_node_get_type(item) == CMARK_NODE_ITEM && cmark_node_get_list_tight(cmark_node_parent(item));
    if (w->html && is_button(w, node)) {
        html_button(w, cmark_node_first_child(node));
        return;
    }
    if (w->html && !tight) {
        tag_open(w, "p", w->styles->p);
    }
    begin_text_block(w);
    walk_inlines(w, node);
    if (w->html) {
        program_puts(w->out, tight ? "" : "</p>\n");
    } else if (tight) {
        program_puts(w->out, "\n");
    } else {
        end_text_block(w);
    }
}

static void put_heading(struct walk *w, cmark_node *node) {
    int level = cmark_node_get_heading_level(node);
    const char *name = level == 1 ? "h1" : level == 2 ? "h2" : "h3";
    begin_text_block(w);
    if (!w->html) {
        walk_inlines(w, node);
        end_text_block(w);
        return;
    }
    tag_open(w, name, level == 1 ? w->styles->h1 : w->styles->h2);
    walk_inlines(w, node);
    program_puts(w->out, "</");
    program_puts(w->out, name);
    program_puts(w->out, ">\n");
}

/* Everything below `node`, with `more` added to what further lines begin with. */
static void walk_indented(struct walk *w, cmark_node *node, const char *more) {
    size_t len = strlen(w->prefix);
    if (len + strlen(more) >= sizeof w->prefix) {
        fault(w, "lists and quotes nest too deeply");
        return;
    }
    (void)strcpy(w->prefix + len, more);
    walk_blocks(w, node);
    w->prefix[len] = '\0';
}

static void put_item(struct walk *w, cmark_node *list, cmark_node *item, int number) {
    if (w->html) {
        tag_open(w, "li", w->styles->li);
        walk_blocks(w, item);
        program_puts(w->out, "</li>\n");
        return;
    }
    char bullet[16] = "- ";
    bool ordered = cmark_node_get_list_type(list) == CMARK_ORDERED_LIST;
    if (ordered) {
        (void)snprintf(bullet, sizeof bullet, "%d. ", number);
    }
    begin_text_block(w);
    program_puts(w->out, bullet);
    w->after_bullet = true;
    walk_indented(w, item, ordered ? "   " : "  ");
    w->after_bullet = false;
}

static void put_list(struct walk *w, cmark_node *list) {
    bool ordered = cmark_node_get_list_type(list) == CMARK_ORDERED_LIST;
    int number = ordered ? cmark_node_get_list_start(list) : 0;
    if (w->html) {
        tag_open(w, ordered ? "ol" : "ul", w->styles->ul);
        program_puts(w->out, "\n");
    }
    for (cmark_node *item = cmark_node_first_child(list); item != NULL; item = cmark_node_next(item)) {
        put_item(w, list, item, number++);
    }
    if (w->html) {
        program_puts(w->out, ordered ? "</ol>\n" : "</ul>\n");
    } else if (cmark_node_get_list_tight(list) && cmark_node_get_type(cmark_node_parent(list)) != CMARK_NODE_ITEM) {
        blank_line(w);
    }
}

static void put_quote(struct walk *w, cmark_node *node) {
    if (!w->html) {
        walk_indented(w, node, "> ");
        return;
    }
    tag_open(w, "blockquote", w->styles->quote);
    walk_blocks(w, node);
    program_puts(w->out, "</blockquote>\n");
}

static void put_code_block(struct walk *w, cmark_node *node) {
    begin_text_block(w);
    if (w->html) {
        tag_open(w, "pre", w->styles->p);
    }
    put_literal(w, cmark_node_get_literal(node), node);
    program_puts(w->out, w->html ? "</pre>\n" : "\n");
}

static void put_rule(struct walk *w) {
    if (w->html) {
        tag_open(w, "hr", w->styles->hr);
        program_puts(w->out, "\n");
    } else {
        begin_text_block(w);
        program_puts(w->out, "----");
        end_text_block(w);
    }
}

static void put_block(struct walk *w, cmark_node *node, cmark_node *parent) {
    const struct mustache_token *section = block_section(w, node);
    size_t line = (size_t)cmark_node_get_start_line(node);
    w->line = line >= 1 && line <= w->n_lines ? w->lines[line - 1] : w->line;
    if (section != NULL) {
        put_marker(w, section, ESCAPE_NONE, parent);
        return;
    }
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_PARAGRAPH: put_paragraph(w, node); break;
    case CMARK_NODE_HEADING: put_heading(w, node); break;
    case CMARK_NODE_LIST: put_list(w, node); break;
    case CMARK_NODE_BLOCK_QUOTE: put_quote(w, node); break;
    case CMARK_NODE_CODE_BLOCK: put_code_block(w, node); break;
    case CMARK_NODE_THEMATIC_BREAK: put_rule(w); break;
    default: fault(w, "HTML is not allowed here; use Markdown (for a bare \"<\" write \"\\<\")"); break;
    }
}

static void walk_blocks(struct walk *w, cmark_node *parent) {
    for (cmark_node *node = cmark_node_first_child(parent); node != NULL; node = cmark_node_next(node)) {
        put_block(w, node, parent);
    }
}

/* ---- the text that cmark sees -------------------------------------------------------------------------------------- */
struct marked {
    struct buf text;
    int lines[LINES_MAX];
    size_t n_lines;
    int line;
};

static void marked_put(struct marked *m, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        buf_putc(&m->text, text[i]);
        if (text[i] == '\n' && m->n_lines < LINES_MAX) {
            m->lines[m->n_lines++] = m->line;
        }
    }
}

static void marked_text(struct marked *m, const struct mustache_token *token) {
    m->line = token->line;
    for (size_t i = 0; i < token->len; i++) {
        marked_put(m, token->text + i, 1);
        m->line += token->text[i] == '\n';
    }
}

static void marked_tag(struct marked *m, const struct mustache_token *token, size_t index) {
    char marker[32];
    int len = snprintf(marker, sizeof marker, MARK_BEGIN "%zu" MARK_END, index);
    bool block = token->standalone && token->kind != MUSTACHE_VALUE;
    m->line = token->line;
    if (block) {
        marked_put(m, "\n", 1);
        marked_put(m, token->indent, token->indent_len);
    }
    marked_put(m, marker, (size_t)len);
    if (block) {
        marked_put(m, "\n\n", 2);
    }
}

static void mark(const struct mustache_doc *doc, struct marked *m) {
    for (size_t i = 0; i < doc->n; i++) {
        if (doc->tokens[i].kind == MUSTACHE_TEXT) {
            marked_text(m, &doc->tokens[i]);
        } else {
            marked_tag(m, &doc->tokens[i], i);
        }
    }
    marked_put(m, "\n", 1);
}

static int walk_tree(struct walk *w, cmark_node *root, struct program_builder *out, bool html) {
    w->out = out;
    w->html = html;
    w->n_open = 0;
    walk_blocks(w, root);
    return w->failed ? -1 : 0;
}

int compile_markdown(struct compiler *compiler, const struct source *source, bool mail, struct program_builder *html,
                     struct program_builder *text) {
    struct mustache_doc doc;
    if (compile_read(compiler, source, &doc) < 0) {
        return -1;
    }
    struct marked *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return report_error(compiler->report, source->file, source->line, "out of memory");
    }
    mark(&doc, m);
    const char *marked = buf_str(&m->text);
    cmark_node *root = marked == NULL ? NULL : cmark_parse_document(marked, m->text.len, CMARK_OPT_DEFAULT);
    int rc = -1;
    if (root != NULL) {
        cmark_consolidate_text_nodes(root);
        struct walk w = {.compiler = compiler,
                         .doc = &doc,
                         .file = source->file,
                         .lines = m->lines,
                         .n_lines = m->n_lines,
                         .line = source->line,
                         .mail = mail,
                         .styles = mail ? &mail_styles : &bare_styles};
        rc = walk_tree(&w, root, html, true) < 0 ? -1 : walk_tree(&w, root, text, false);
        cmark_node_free(root);
    }
    buf_fini(&m->text);
    free(m);
    return rc;
}
