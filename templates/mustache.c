/* mustache: see mustache.h. This file is the reader: text in, tokens out.
 *
 * The one subtle rule is that of standalone tags: a tag that is neither a value nor raw, with nothing but blanks before and
 * after it on its line, takes the whole line with it. It is decided by looking at the source around the tag, so another tag
 * on the line (which is not blank) settles it without bookkeeping.
 *
 * Guarantees: sections nest and are closed by their own name; every tag has a name without padding; every token knows its line.
 * Fails: with one plain sentence and the line for an unclosed tag, a section left open or closed in the wrong order, bad delimiters.
 *
 * Does not: know what a name means (compile.c binds it) or render anything (program.c). */
#include "templates/mustache.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DELIMITER_MAX = 16, SECTIONS_MAX = 32 };

struct reader {
    const char *text;
    size_t len;
    size_t at;
    const char *file;
    int line;
    struct arena *arena;
    struct err *err;
    char open[DELIMITER_MAX + 1];
    char close[DELIMITER_MAX + 1];
    struct mustache_doc *doc;
    size_t cap;
    size_t sections[SECTIONS_MAX]; /* tokens that opened the sections we are in */
    size_t n_sections;
};

/* Between two delimiters. */
struct tag {
    size_t begin, end; /* in the source, delimiters included */
    char sigil;        /* '#', '^', '/', '>', '!', '=', '&', '{', or 0 for a value */
    const char *content;
    size_t len;
};

static int __attribute__((format(printf, 3, 4))) fail(struct reader *r, int line, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->doc->error_line = line;
    return err_set(r->err, ERR_SYNTAX, "%s", text);
}

/* A length for "%.*s" that keeps an error on one line. */
static int shown(size_t len) {
    return len > 60 ? 60 : (int)len;
}

static struct mustache_token *add_token(struct reader *r, enum mustache_kind kind) {
    if (r->doc->n == r->cap) {
        size_t cap = r->cap == 0 ? 16 : r->cap * 2;
        struct mustache_token *tokens = arena_array(r->arena, cap, sizeof *tokens);
        if (tokens == NULL) {
            (void)err_no_memory(r->err);
            return NULL;
        }
        if (r->doc->n > 0) {
            memcpy(tokens, r->doc->tokens, r->doc->n * sizeof *tokens);
        }
        r->doc->tokens = tokens;
        r->cap = cap;
    }
    struct mustache_token *token = &r->doc->tokens[r->doc->n++];
    *token = (struct mustache_token){.kind = kind, .file = r->file, .line = r->line};
    return token;
}

static int add_text(struct reader *r, size_t begin, size_t end) {
    if (begin == end) {
        return 0;
    }
    struct mustache_token *token = add_token(r, MUSTACHE_TEXT);
    if (token == NULL) {
        return -1;
    }
    token->text = r->text + begin;
    token->len = end - begin;
    return 0;
}

static void count_lines(struct reader *r, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
        r->line += r->text[i] == '\n';
    }
}

static const char *find(const struct reader *r, size_t from, const char *what) {
    return memmem(r->text + from, r->len - from, what, strlen(what));
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *len) {
    while (*len > 0 && is_space((*text)[0])) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && is_space((*text)[*len - 1])) {
        (*len)--;
    }
}

/* Reads the tag that begins at r->at. */
static int read_tag(struct reader *r, struct tag *tag) {
    size_t inside = r->at + strlen(r->open);
    *tag = (struct tag){.begin = r->at};
    if (inside < r->len && strchr("#^/>!=&{", r->text[inside]) != NULL && r->text[inside] != '\0') {
        tag->sigil = r->text[inside];
        inside++;
    }
    char closing[DELIMITER_MAX + 2];
    (void)snprintf(closing, sizeof closing, "%s%s", tag->sigil == '{' ? "}" : tag->sigil == '=' ? "=" : "", r->close);
    const char *end = find(r, inside, closing);
    if (end == NULL) {
        return fail(r, r->line, "the tag %.*s is never closed; add its closing braces", shown(strcspn(r->text + r->at, "\n")),
                    r->text + r->at);
    }
    tag->content = r->text + inside;
    tag->len = (size_t)(end - tag->content);
    tag->end = (size_t)(end - r->text) + strlen(closing);
    trim(&tag->content, &tag->len);
    return 0;
}

/* Whether the tag has its line to itself; *from_r and *to_r are then the whole line. */
static bool takes_line(const struct reader *r, const struct tag *tag, size_t *from_r, size_t *to_r) {
    if (tag->sigil == '\0' || tag->sigil == '&' || tag->sigil == '{') {
        return false;
    }
    size_t from = tag->begin;
    while (from > 0 && (r->text[from - 1] == ' ' || r->text[from - 1] == '\t')) {
        from--;
    }
    if (from > 0 && r->text[from - 1] != '\n') {
        return false;
    }
    size_t to = tag->end;
    while (to < r->len && (r->text[to] == ' ' || r->text[to] == '\t')) {
        to++;
    }
    if (to + 1 < r->len && r->text[to] == '\r' && r->text[to + 1] == '\n') {
        to++;
    }
    if (to < r->len && r->text[to] != '\n') {
        return false;
    }
    *from_r = from;
    *to_r = to < r->len ? to + 1 : to;
    return true;
}

static int set_delimiters(struct reader *r, const struct tag *tag) {
    const char *p = tag->content;
    size_t first = 0;
    while (first < tag->len && !is_space(p[first])) {
        first++;
    }
    const char *second = p + first;
    size_t second_len = tag->len - first;
    trim(&second, &second_len);
    bool spaced = memchr(second, ' ', second_len) != NULL;
    if (first == 0 || second_len == 0 || spaced || first > DELIMITER_MAX || second_len > DELIMITER_MAX ||
        memchr(p, '=', tag->len) != NULL) {
        return fail(r, r->line, "\"%.*s\" are not two delimiters; write {{=<%% %%>=}} with a blank between them", shown(tag->len), p);
    }
    memcpy(r->open, p, first);
    r->open[first] = '\0';
    memcpy(r->close, second, second_len);
    r->close[second_len] = '\0';
    return 0;
}

static int open_section(struct reader *r) {
    if (r->n_sections == SECTIONS_MAX) {
        return fail(r, r->line, "more than 32 sections inside one another");
    }
    r->sections[r->n_sections++] = r->doc->n - 1;
    return 0;
}

static int close_section(struct reader *r, const struct mustache_token *token) {
    if (r->n_sections == 0) {
        return fail(r, token->line, "{{/%.*s}} closes a section that was never opened; remove it or open it above", shown(token->len),
                    token->text);
    }
    const struct mustache_token *opener = &r->doc->tokens[r->sections[--r->n_sections]];
    if (opener->len != token->len || memcmp(opener->text, token->text, token->len) != 0) {
        return fail(r, token->line, "the section {{#%.*s}} must be closed before any other that was opened earlier", shown(opener->len),
                    opener->text);
    }
    return 0;
}

static enum mustache_kind kind_of(char sigil) {
    switch (sigil) {
    case '#': return MUSTACHE_SECTION;
    case '^': return MUSTACHE_INVERTED;
    case '/': return MUSTACHE_CLOSE;
    case '>': return MUSTACHE_PARTIAL;
    case '&':
    case '{': return MUSTACHE_RAW;
    default: return MUSTACHE_VALUE;
    }
}

/* A tag that leaves a token. */
static int keep_tag(struct reader *r, const struct tag *tag, bool standalone, size_t line_from) {
    if (tag->len == 0) {
        return fail(r, r->line, "a tag without a name; write the variable's name between the braces");
    }
    struct mustache_token *token = add_token(r, kind_of(tag->sigil));
    if (token == NULL) {
        return -1;
    }
    token->text = arena_strndup(r->arena, tag->content, tag->len);
    token->len = tag->len;
    token->standalone = standalone;
    token->indent = r->text + line_from;
    token->indent_len = standalone ? tag->begin - line_from : 0;
    if (token->text == NULL) {
        return err_no_memory(r->err);
    }
    if (token->kind == MUSTACHE_SECTION || token->kind == MUSTACHE_INVERTED) {
        return open_section(r);
    }
    return token->kind == MUSTACHE_CLOSE ? close_section(r, token) : 0;
}

/* Everything up to and including the next tag; at the end, the rest. 1 more to do, 0 done, -1. */
static int read_step(struct reader *r) {
    const char *next = find(r, r->at, r->open);
    if (next == NULL) {
        int rc = add_text(r, r->at, r->len);
        count_lines(r, r->at, r->len);
        r->at = r->len;
        return rc;
    }
    size_t text_from = r->at;
    int text_line = r->line;
    r->at = (size_t)(next - r->text);
    count_lines(r, text_from, r->at);
    struct tag tag;
    if (read_tag(r, &tag) < 0) {
        return -1;
    }
    size_t line_from = tag.begin;
    size_t line_to = tag.end;
    bool standalone = takes_line(r, &tag, &line_from, &line_to);
    int tag_line = r->line;
    r->line = text_line;
    if (add_text(r, text_from, line_from) < 0) {
        return -1;
    }
    r->line = tag_line;
    int rc = tag.sigil == '=' ? set_delimiters(r, &tag) : tag.sigil == '!' ? 0 : keep_tag(r, &tag, standalone, line_from);
    count_lines(r, tag.begin, line_to);
    r->at = line_to;
    return rc < 0 ? -1 : 1;
}

int mustache_parse(const char *text, size_t len, const char *file, int line, struct arena *arena, struct mustache_doc *doc,
                   struct err *err) {
    *doc = (struct mustache_doc){.error_line = line};
    struct reader r = {
        .text = text, .len = len, .file = file, .line = line, .arena = arena, .err = err, .open = "{{", .close = "}}", .doc = doc};
    int rc = 1;
    while (rc == 1) {
        rc = read_step(&r);
    }
    if (rc == 0 && r.n_sections > 0) {
        const struct mustache_token *opener = &doc->tokens[r.sections[r.n_sections - 1]];
        return fail(&r, opener->line, "the section {{#%.*s}} is never closed; add its {{/...}} where it ends", shown(opener->len),
                    opener->text);
    }
    return rc;
}
