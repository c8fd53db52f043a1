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
#include "templates/markdown_walk.h"

#include "templates/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 5000 };

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

static void walk_blocks(struct walk *w, cmark_node *parent);

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
    const struct mustache_token *token = walk_marker(w, text, strlen(text), &used);
    return token != NULL && token->standalone && text[used] == '\0' ? token : NULL;
}

static bool is_button(const struct walk *w, cmark_node *paragraph) {
    cmark_node *only = cmark_node_first_child(paragraph);
    return w->mail && only != NULL && cmark_node_next(only) == NULL && cmark_node_get_type(only) == CMARK_NODE_LINK &&
           !walk_shows_address(only);
}

static void html_button(struct walk *w, cmark_node *link) {
    tag_open(w, "p", w->styles->button_line);
    walk_put_anchor(w, link, w->styles->button);
    program_puts(w->out, "</p>\n");
    tag_open(w, "p", w->styles->p);
    walk_put_shown_address(w, cmark_node_get_url(link));
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
        walk_fault(w, "lists and quotes nest too deeply");
        return;
    }
    (void)strcpy(w->prefix + len, more);
    walk_blocks(w, node);
    w->prefix[len] = '\0';
}

/* `number` 0: a bullet. */
static void put_item(struct walk *w, cmark_node *item, int number) {
    if (w->html) {
        tag_open(w, "li", w->styles->li);
        walk_blocks(w, item);
        program_puts(w->out, "</li>\n");
        return;
    }
    char bullet[16] = "- ";
    if (number > 0) {
        (void)snprintf(bullet, sizeof bullet, "%d. ", number);
    }
    begin_text_block(w);
    program_puts(w->out, bullet);
    w->after_bullet = true;
    walk_indented(w, item, number > 0 ? "   " : "  ");
    w->after_bullet = false;
}

static bool is_ordered(cmark_node *list) {
    return cmark_node_get_list_type(list) == CMARK_ORDERED_LIST;
}

static void begin_list(struct walk *w, cmark_node *list) {
    if (w->html) {
        tag_open(w, is_ordered(list) ? "ol" : "ul", w->styles->ul);
        program_puts(w->out, "\n");
    }
}

static void end_list(struct walk *w, cmark_node *list) {
    if (w->html) {
        program_puts(w->out, is_ordered(list) ? "</ol>\n" : "</ul>\n");
    } else if (cmark_node_get_list_tight(list) && cmark_node_get_type(cmark_node_parent(list)) != CMARK_NODE_ITEM) {
        blank_line(w);
    }
}

static void put_items(struct walk *w, cmark_node *list, bool numbered) {
    int number = numbered && is_ordered(list) ? cmark_node_get_list_start(list) : 0;
    for (cmark_node *item = cmark_node_first_child(list); item != NULL; item = cmark_node_next(item)) {
        put_item(w, item, number);
        number += number > 0;
    }
}

static void put_list(struct walk *w, cmark_node *list) {
    begin_list(w, list);
    put_items(w, list, true);
    end_list(w, list);
}

/* ---- lists with sections between their items ----------------------------------------------------------------------- */
/* A run of neighbours that is one list to the reader: lists of one kind and the section tags around their items. */
struct list_run {
    cmark_node *list; /* the first */
    cmark_node *last;
    const struct mustache_token *around; /* the section that holds the whole run, or NULL */
};

static bool is_close(const struct mustache_token *token) {
    return token->kind == MUSTACHE_CLOSE;
}

/* Whether a run begins at `node`. It ends at the last place where all its sections are closed. */
static bool find_list_run(const struct walk *w, cmark_node *node, struct list_run *run) {
    int depth = 0;
    int tags = 0;
    cmark_node *list = NULL;
    const struct mustache_token *first = block_section(w, node);
    *run = (struct list_run){.around = first};
    for (; node != NULL; node = cmark_node_next(node)) {
        const struct mustache_token *section = block_section(w, node);
        bool is_list = cmark_node_get_type(node) == CMARK_NODE_LIST;
        if ((section == NULL && !is_list) || (section != NULL && is_close(section) && depth == 0) ||
            (is_list && list != NULL && is_ordered(node) != is_ordered(list))) {
            break;
        }
        list = is_list && list == NULL ? node : list;
        tags += section != NULL;
        depth += section == NULL ? 0 : is_close(section) ? -1 : 1;
        if (depth == 0) {
            run->around = run->last == NULL ? run->around : NULL;
            run->last = node;
            run->list = list;
        }
    }
    return tags > 0 && run->list != NULL && run->last != NULL && run->list != run->last;
}

/* Without its items a list must not be there at all: a section around the whole of it is asked once before it, and again for its items. */
static cmark_node *put_list_run(struct walk *w, const struct list_run *run, cmark_node *node, cmark_node *parent) {
    if (run->around != NULL) {
        program_begin(w->out, run->around->kind == MUSTACHE_SECTION ? OP_IF : OP_INVERTED, run->around->name);
    }
    begin_list(w, run->list);
    for (;; node = cmark_node_next(node)) {
        const struct mustache_token *section = block_section(w, node);
        if (section != NULL) {
            walk_put_token(w, section, ESCAPE_NONE, parent);
        } else {
            put_items(w, node, false);
        }
        if (node == run->last) {
            break;
        }
    }
    end_list(w, run->list);
    if (run->around != NULL) {
        program_end(w->out);
    }
    return node;
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
    walk_put_literal(w, cmark_node_get_literal(node), node);
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
    w->at = line >= 1 && line <= w->n_lines ? w->lines[line - 1] : w->at;
    if (section != NULL) {
        walk_put_token(w, section, ESCAPE_NONE, parent);
        return;
    }
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_PARAGRAPH: put_paragraph(w, node); break;
    case CMARK_NODE_HEADING: put_heading(w, node); break;
    case CMARK_NODE_LIST: put_list(w, node); break;
    case CMARK_NODE_BLOCK_QUOTE: put_quote(w, node); break;
    case CMARK_NODE_CODE_BLOCK: put_code_block(w, node); break;
    case CMARK_NODE_THEMATIC_BREAK: put_rule(w); break;
    default: walk_fault(w, "HTML is not allowed here; use Markdown (for a bare \"<\" write \"\\<\")"); break;
    }
}

static void walk_blocks(struct walk *w, cmark_node *parent) {
    for (cmark_node *node = cmark_node_first_child(parent); node != NULL; node = cmark_node_next(node)) {
        struct list_run run;
        if (find_list_run(w, node, &run)) {
            node = put_list_run(w, &run, node, parent);
        } else {
            put_block(w, node, parent);
        }
    }
}

/* ---- the text that cmark sees -------------------------------------------------------------------------------------- */
struct marked {
    struct buf text;
    struct place lines[LINES_MAX];
    size_t n_lines;
    struct place at;
};

static void marked_put(struct marked *m, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        buf_putc(&m->text, text[i]);
        if (text[i] == '\n' && m->n_lines < LINES_MAX) {
            m->lines[m->n_lines++] = m->at;
        }
    }
}

static void marked_text(struct marked *m, const struct mustache_token *token) {
    m->at = (struct place){token->file, token->line};
    for (size_t i = 0; i < token->len; i++) {
        marked_put(m, token->text + i, 1);
        m->at.line += token->text[i] == '\n';
    }
}

static void marked_tag(struct marked *m, const struct mustache_token *token, size_t index) {
    char marker[32];
    int len = snprintf(marker, sizeof marker, MARK_BEGIN "%zu" MARK_END, index);
    bool block = token->standalone && token->kind != MUSTACHE_VALUE;
    m->at = (struct place){token->file, token->line};
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
                         .lines = m->lines,
                         .n_lines = m->n_lines,
                         .at = {source->file, source->line},
                         .mail = mail,
                         .styles = mail ? &mail_styles : &bare_styles};
        rc = walk_tree(&w, root, html, true) < 0 ? -1 : walk_tree(&w, root, text, false);
        cmark_node_free(root);
    }
    buf_fini(&m->text);
    free(m);
    return rc;
}
