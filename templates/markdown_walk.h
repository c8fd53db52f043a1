/* markdown_walk: the walk over a Markdown tree, shared by markdown.c (blocks) and markdown_inline.c (what is in them). Private to
 * those two. */
#ifndef REACH_TEMPLATES_MARKDOWN_WALK_H
#define REACH_TEMPLATES_MARKDOWN_WALK_H

#include "templates/compile.h"

#include <cmark-gfm.h>

#define MARK_BEGIN "\xee\x80\x80"
#define MARK_END "\xee\x80\x81"
enum { MARK_LEN = 3, OPEN_MAX = 32, PREFIX_MAX = 64 };

/* Inline styles of a mail; a banner has none, the website has its own. Colours that dark mode changes are classes of layout.html. */
struct styles {
    const char *p, *h1, *h2, *ul, *li, *quote, *code, *a, *address, *button, *button_line, *hr, *img;
};

/* Where a line comes from: the file itself or a partial. */
struct place {
    const char *file;
    int line;
};

struct walk {
    struct compiler *compiler;
    const struct mustache_doc *doc;
    const struct place *lines; /* where each line that cmark sees comes from */
    size_t n_lines;
    const struct styles *styles;
    struct program_builder *out;
    bool html;
    bool mail;
    bool failed;
    struct place at; /* of the block at hand */
    struct {
        const struct mustache_token *token;
        cmark_node *inside;
    } open[OPEN_MAX];
    size_t n_open;
    char prefix[PREFIX_MAX]; /* plain text: what each line begins with */
    bool after_bullet;       /* plain text: the line has begun already */
};

/* Reports what is wrong at the place at hand and lets the walk fail. */
void walk_fault(struct walk *w, const char *text);

/* The token of the marker that `text` begins with; *len_r is the marker's length. NULL: no marker. */
const struct mustache_token *walk_marker(const struct walk *w, const char *text, size_t len, size_t *len_r);

/* Turns the token of a marker into a step. `inside` is the node whose child the marker is: a section must end in the node in which it
 * began. */
void walk_put_token(struct walk *w, const struct mustache_token *token, enum escape escape, cmark_node *inside);

/* A literal of the tree: text with markers in it. */
void walk_put_literal(struct walk *w, const char *text, cmark_node *inside);

/* A link's <a> with `style`, without its address shown. HTML only. */
void walk_put_anchor(struct walk *w, cmark_node *link, const char *style);

/* The address of a link as text to read. HTML only. */
void walk_put_shown_address(struct walk *w, const char *url);

/* Whether the words of a link are its address already. */
bool walk_shows_address(cmark_node *link);

/* Everything inside a paragraph, heading, link or emphasis. */
void walk_inlines(struct walk *w, cmark_node *parent);

#endif
