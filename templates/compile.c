/* compile: see compile.h. This file binds tags to variables and compiles everything that is not Markdown.
 *
 * All that can be known about a text before there is a customer is checked here, once: each tag names a variable the notice has, and
 * a variable that may be missing is only shown inside its own section ({{#name}} {{name}}{{/name}}). So a message can later
 * fail only for the values of its job, never for its words.
 *
 * An address may be a variable of type url and nothing else, or fixed text up to and beyond its host with variables in its path or query,
 * where they are percent-encoded. No value can therefore move a link to another host.
 *
 * Fails: with findings, all of a text's at once. Does not: read files or look at what the words say (lint.c). */
#include "templates/compile.h"

#include "templates/report.h"
#include "templates/values.h"

#include <string.h>

enum { GUARDS_MAX = 512 }; /* 32 sections inside one another, in partials 8 deep */

/* The sections around a tag. */
struct guards {
    struct {
        int slot;
        bool inverted;
    } items[GUARDS_MAX];
    size_t n;
};

static const struct variable *variables_of(const struct compiler *compiler) {
    return compiler->variables->items;
}

enum variable_type compile_type(const struct compiler *compiler, int slot) {
    return slot < BUILTIN_COUNT ? builtin_row((enum builtin)slot)->type
                                : (enum variable_type)variables_of(compiler)[slot - BUILTIN_COUNT].type;
}

static bool may_be_missing(const struct compiler *compiler, int slot) {
    return slot < BUILTIN_COUNT ? !builtin_row((enum builtin)slot)->always : !variables_of(compiler)[slot - BUILTIN_COUNT].required;
}

/* The slot of a variable, or -1. */
static int find_slot(const struct compiler *compiler, const char *name) {
    for (int i = 0; i < BUILTIN_COUNT; i++) {
        const struct builtin_row *row = builtin_row((enum builtin)i);
        if (strcmp(row->name, name) == 0 && (compiler->layout || !row->layout)) {
            return i;
        }
    }
    for (size_t i = 0; i < compiler->variables->n; i++) {
        if (strcmp(variables_of(compiler)[i].name, name) == 0) {
            return BUILTIN_COUNT + (int)i;
        }
    }
    return -1;
}

static void list_variables(const struct compiler *compiler, struct buf *out) {
    for (size_t i = 0; i < compiler->variables->n; i++) {
        buf_putf(out, "%s, ", variables_of(compiler)[i].name);
    }
    for (int i = 0; i < BUILTIN_COUNT; i++) {
        const struct builtin_row *row = builtin_row((enum builtin)i);
        if (compiler->layout || !row->layout) {
            buf_putf(out, "%s%s", i == 0 ? "" : ", ", row->name);
        }
    }
}

static int unknown_variable(struct compiler *compiler, const struct mustache_token *token, const char *name) {
    struct buf known = BUF_INIT;
    list_variables(compiler, &known);
    const char *list = buf_str(&known);
    int rc = report_error(compiler->report, token->file, token->line,
                          "unknown variable {{%s}}; use one of %s, or describe it in notice.yaml", name, list == NULL ? "" : list);
    buf_fini(&known);
    return rc;
}

/* "plural count | one: # | other: #": the helper and its forms go into *name, the word in the middle is the variable. */
static int split_helper(struct compiler *compiler, const struct mustache_token *token, struct name *name, const char **variable_r) {
    size_t word = strcspn(token->text, " \t\n");
    *variable_r = token->text;
    if (token->text[word] == '\0') {
        return 0;
    }
    name->helper = helper_find(token->text, word);
    if (name->helper == NULL) {
        return report_error(compiler->report, token->file, token->line, "{{%s}}: there is no helper \"%.*s\"; the helpers are %s",
                            token->text, (int)word, token->text, helper_names());
    }
    const char *rest = token->text + word + strspn(token->text + word, " \t\n");
    size_t len = strcspn(rest, " \t\n|");
    const char *bar = strchr(rest, '|');
    name->argument = bar == NULL ? NULL : bar + 1;
    *variable_r = arena_strndup(compiler->scratch, rest, len);
    if (*variable_r == NULL) {
        return report_error(compiler->report, token->file, token->line, "out of memory");
    }
    const char *refused = rest[len + strspn(rest + len, " \t\n")] != '\0' && bar == NULL ? "one variable is enough"
                                                                                         : helper_refuse(name->helper, name->argument);
    return refused == NULL ? 0 : report_error(compiler->report, token->file, token->line, "{{%s}}: %s", token->text, refused);
}

static int check_helper(struct compiler *compiler, const struct mustache_token *token, const struct name *name) {
    if (name->helper == NULL) {
        return 0;
    }
    enum variable_type wants = helper_wants(name->helper);
    if (token->kind == MUSTACHE_VALUE && compile_type(compiler, name->slot) == wants) {
        return 0;
    }
    return report_error(compiler->report, token->file, token->line, "{{%s}}: this helper shows a variable of type %s; %s", token->text,
                        variable_type_names[wants],
                        token->kind == MUSTACHE_VALUE ? "the variable has another type" : "it cannot open a section");
}

static bool is_guarded(const struct guards *guards, int slot) {
    for (size_t i = 0; i < guards->n; i++) {
        /* Not yet in force implies that there is a time at which it will be. */
        bool implied = slot == BUILTIN_EFFECTIVE_AT && guards->items[i].slot == BUILTIN_IN_FORCE && guards->items[i].inverted;
        if (implied || (guards->items[i].slot == slot && !guards->items[i].inverted)) {
            return true;
        }
    }
    return false;
}

static int check_shown(struct compiler *compiler, const struct mustache_token *token, const struct name *name,
                       const struct guards *guards) {
    if (token->kind != MUSTACHE_VALUE) {
        return 0;
    }
    enum variable_type type = compile_type(compiler, name->slot);
    if (type == VARIABLE_LIST || type == VARIABLE_FLAG) {
        return report_error(compiler->report, token->file, token->line,
                            "{{%s}} is a %s and cannot be shown by itself; write {{#%s}}%s{{/%s}}", token->text,
                            type == VARIABLE_LIST ? "list" : "flag", token->text, type == VARIABLE_LIST ? "{{.}}" : "...", token->text);
    }
    if (may_be_missing(compiler, name->slot) && !is_guarded(guards, name->slot)) {
        const char *variable = name->parts[0];
        return report_error(compiler->report, token->file, token->line,
                            "{{%s}} may be missing; put it inside {{#%s}} ... {{/%s}} so that the text reads well without it", token->text,
                            variable, variable);
    }
    return 0;
}

static int bind_dot(struct compiler *compiler, const struct mustache_token *token, const struct guards *guards) {
    for (size_t i = 0; i < guards->n; i++) {
        if (!guards->items[i].inverted && compile_type(compiler, guards->items[i].slot) != VARIABLE_FLAG) {
            return 0;
        }
    }
    return report_error(compiler->report, token->file, token->line,
                        "{{.}} means the item of a list; use it inside {{#list}} ... {{/list}}");
}

static int bind_name(struct compiler *compiler, const struct mustache_token *token, struct name *name, const struct guards *guards) {
    const char *variable = NULL;
    name->text = token->text;
    name->slot = -1;
    if (strcmp(token->text, ".") == 0) {
        return bind_dot(compiler, token, guards);
    }
    if (split_helper(compiler, token, name, &variable) < 0) {
        return -1;
    }
    name->parts[0] = variable;
    name->n_parts = 1;
    name->slot = find_slot(compiler, variable);
    if (name->slot < 0) {
        return unknown_variable(compiler, token, variable);
    }
    compiler->used_slots |= (uint64_t)1 << name->slot;
    return check_helper(compiler, token, name) < 0 ? -1 : check_shown(compiler, token, name, guards);
}

static bool is_content(const struct compiler *compiler, const struct mustache_token *token) {
    return compiler->layout && strcmp(token->text, builtin_row(BUILTIN_CONTENT)->name) == 0;
}

/* The name for good: one for all the tags of a file that say the same. NULL without memory. */
static const struct name *keep_name(struct compiler *compiler, const struct name *bound) {
    for (size_t i = 0; i < compiler->n_names; i++) {
        if (strcmp(compiler->names[i]->text, bound->text) == 0) {
            return compiler->names[i];
        }
    }
    struct name *name = arena_alloc(compiler->arena, sizeof *name);
    if (name == NULL) {
        return NULL;
    }
    *name = *bound;
    name->text = arena_strdup(compiler->arena, bound->text);
    name->parts[0] = bound->n_parts == 0 ? NULL : arena_strdup(compiler->arena, bound->parts[0]);
    name->argument = arena_strdup(compiler->arena, bound->argument);
    if (name->text == NULL || (bound->n_parts > 0 && name->parts[0] == NULL) || (bound->argument != NULL && name->argument == NULL)) {
        return NULL;
    }
    if (compiler->n_names < NAMES_MAX) {
        compiler->names[compiler->n_names++] = name;
    }
    return name;
}

static int bind_token(struct compiler *compiler, struct mustache_token *token, struct guards *guards) {
    if (token->kind == MUSTACHE_TEXT) {
        return 0;
    }
    if (token->kind == MUSTACHE_CLOSE) {
        guards->n--;
        return 0;
    }
    struct name bound = {.slot = -1};
    int rc = bind_name(compiler, token, &bound, guards);
    const struct name *name = rc < 0 ? NULL : keep_name(compiler, &bound);
    if (rc == 0 && name == NULL) {
        rc = report_error(compiler->report, token->file, token->line, "out of memory");
    }
    token->name = name;
    if (token->kind == MUSTACHE_RAW && !is_content(compiler, token)) {
        rc = report_error(compiler->report, token->file, token->line, "{{{%s}}} would let a value become HTML; write {{%s}}", token->text,
                          token->text);
    }
    if (token->kind == MUSTACHE_SECTION || token->kind == MUSTACHE_INVERTED) {
        guards->items[guards->n].slot = bound.slot < 0 ? BUILTIN_IN_FORCE : bound.slot;
        guards->items[guards->n++].inverted = token->kind == MUSTACHE_INVERTED;
    }
    return rc;
}

/* ---- partials ------------------------------------------------------------------------------------------------------ */
enum { PARTIALS_DEPTH_MAX = 8, TOKENS_MAX = 20000 };

/* Tokens of a text and of all the partials it names, in order. */
struct expansion {
    struct compiler *compiler;
    struct mustache_token *tokens;
    size_t n, cap;
    int depth;
};

static int expand(struct expansion *x, const struct source *source);

static int add_token(struct expansion *x, const struct mustache_token *token) {
    if (x->n == TOKENS_MAX) {
        return report_error(x->compiler->report, token->file, token->line, "the text and its partials have more than %d pieces",
                            TOKENS_MAX);
    }
    if (x->n == x->cap) {
        size_t cap = x->cap == 0 ? 32 : x->cap * 2;
        struct mustache_token *tokens = arena_array(x->compiler->scratch, cap, sizeof *tokens);
        if (tokens == NULL) {
            return report_error(x->compiler->report, token->file, token->line, "out of memory");
        }
        if (x->n > 0) {
            memcpy(tokens, x->tokens, x->n * sizeof *tokens);
        }
        x->tokens = tokens;
        x->cap = cap;
    }
    x->tokens[x->n++] = *token;
    return 0;
}

/* A partial on a line of its own is indented like its tag; one within a line loses its last line break. */
static int fit_partial(struct compiler *compiler, const struct mustache_token *tag, struct source *source) {
    struct buf out = BUF_INIT;
    if (!tag->standalone) {
        source->len -= source->len > 0 && source->text[source->len - 1] == '\n';
        return 0;
    }
    for (size_t i = 0; i < source->len; i++) {
        if (i == 0 || source->text[i - 1] == '\n') {
            buf_put(&out, tag->indent, tag->indent_len);
        }
        buf_putc(&out, source->text[i]);
    }
    const char *text = buf_str(&out);
    source->len = out.len;
    source->text = text == NULL ? NULL : arena_strndup(compiler->scratch, text, out.len);
    buf_fini(&out);
    return source->text == NULL ? report_error(compiler->report, tag->file, tag->line, "out of memory") : 0;
}

static int expand_partial(struct expansion *x, const struct mustache_token *tag) {
    struct compiler *compiler = x->compiler;
    struct source source;
    if (x->depth == PARTIALS_DEPTH_MAX) {
        return report_error(compiler->report, tag->file, tag->line, "{{>%s}}: partials name one another without end", tag->text);
    }
    int found = compiler->partial == NULL ? 0 : compiler->partial(compiler->partial_ctx, tag->text, &source);
    if (found == 0) {
        return report_error(compiler->report, tag->file, tag->line, "there is no partial \"%s\"; put it into partials/<language>/%s.md",
                            tag->text, tag->text);
    }
    if (found < 0 || fit_partial(compiler, tag, &source) < 0) {
        return -1;
    }
    x->depth++;
    int rc = expand(x, &source);
    x->depth--;
    return rc;
}

static int expand(struct expansion *x, const struct source *source) {
    struct err err = {0};
    struct mustache_doc doc;
    if (mustache_parse(source->text, source->len, source->file, source->line, x->compiler->scratch, &doc, &err) < 0) {
        return report_error(x->compiler->report, source->file, doc.error_line, "%s", err.text);
    }
    for (size_t i = 0; i < doc.n; i++) {
        int rc = doc.tokens[i].kind == MUSTACHE_PARTIAL ? expand_partial(x, &doc.tokens[i]) : add_token(x, &doc.tokens[i]);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

int compile_read(struct compiler *compiler, const struct source *source, struct mustache_doc *doc) {
    struct expansion x = {.compiler = compiler};
    struct guards guards = {.n = 0};
    int rc = 0;
    if (expand(&x, source) < 0) {
        return -1;
    }
    *doc = (struct mustache_doc){.tokens = x.tokens, .n = x.n};
    for (size_t i = 0; i < doc->n; i++) {
        if (bind_token(compiler, &doc->tokens[i], &guards) < 0) {
            rc = -1;
        }
    }
    return rc;
}

/* ---- plain text ---------------------------------------------------------------------------------------------------- */
static void put_token(const struct compiler *compiler, const struct mustache_token *token, enum escape escape,
                      struct program_builder *builder) {
    switch (token->kind) {
    case MUSTACHE_TEXT: program_text(builder, compiler->layout ? ESCAPE_NONE : escape, token->text, token->len); break;
    case MUSTACHE_VALUE:
    case MUSTACHE_RAW:
        if (token->name->slot == BUILTIN_CONTENT || token->name->slot == BUILTIN_CHECK) {
            program_call(builder, token->name);
        } else {
            program_value(builder, escape, token->name);
        }
        break;
    case MUSTACHE_SECTION: program_begin(builder, OP_SECTION, token->name); break;
    case MUSTACHE_INVERTED: program_begin(builder, OP_INVERTED, token->name); break;
    case MUSTACHE_CLOSE: program_end(builder); break;
    case MUSTACHE_PARTIAL: break;
    }
}

static int finish(struct compiler *compiler, const struct source *source, struct program_builder *builder, struct program *program) {
    int rc = program_finish(builder, program);
    program_builder_fini(builder);
    return rc == 0 ? 0 : report_error(compiler->report, source->file, source->line, "out of memory");
}

int compile_plain(struct compiler *compiler, const struct source *source, enum escape escape, struct program *program) {
    struct mustache_doc doc;
    struct program_builder builder;
    if (compile_read(compiler, source, &doc) < 0) {
        return -1;
    }
    program_builder_init(&builder, compiler->arena);
    for (size_t i = 0; i < doc.n; i++) {
        put_token(compiler, &doc.tokens[i], escape, &builder);
    }
    return finish(compiler, source, &builder, program);
}

/* ---- addresses ----------------------------------------------------------------------------------------------------- */
static bool is_url(const struct compiler *compiler, const struct mustache_token *token) {
    return token->kind == MUSTACHE_VALUE && token->name->slot >= 0 && compile_type(compiler, token->name->slot) == VARIABLE_URL;
}

static int refuse_tokens(struct compiler *compiler, const struct mustache_token *tokens, size_t n, const char *file, int line) {
    for (size_t i = 0; i < n; i++) {
        if (tokens[i].kind != MUSTACHE_TEXT && tokens[i].kind != MUSTACHE_VALUE) {
            return report_error(compiler->report, file, line, "an address cannot hold a section; put two links into two sections instead");
        }
        if (is_url(compiler, &tokens[i])) {
            return report_error(compiler->report, file, line, "{{%s}} is a whole address; use it alone, with nothing before or after it",
                                tokens[i].text);
        }
    }
    return 0;
}

int compile_address(struct compiler *compiler, const struct mustache_token *tokens, size_t n, const char *file, int line,
                    enum escape escape, struct program_builder *builder) {
    if (n == 1 && is_url(compiler, &tokens[0])) {
        program_value(builder, escape, tokens[0].name);
        return 0;
    }
    if (n == 0 || tokens[0].kind != MUSTACHE_TEXT) {
        return report_error(compiler->report, file, line, "a link must begin with https:// and its host, or be one variable of type url");
    }
    const char *refused = n == 1 ? links_refuse(&compiler->links, tokens[0].text, tokens[0].len)
                                 : links_refuse_beginning(&compiler->links, tokens[0].text, tokens[0].len);
    if (refused != NULL) {
        return report_error(compiler->report, file, line, "the link %.*s %s", (int)(tokens[0].len > 120 ? 120 : tokens[0].len),
                            tokens[0].text, refused);
    }
    if (refuse_tokens(compiler, tokens, n, file, line) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (tokens[i].kind == MUSTACHE_TEXT) {
            program_text(builder, escape, tokens[i].text, tokens[i].len);
        } else {
            program_value(builder, ESCAPE_URL_PART, tokens[i].name);
        }
    }
    return 0;
}

int compile_link(struct compiler *compiler, const struct source *source, struct program *program) {
    struct mustache_doc doc;
    struct program_builder builder;
    if (compile_read(compiler, source, &doc) < 0) {
        return -1;
    }
    program_builder_init(&builder, compiler->arena);
    if (compile_address(compiler, doc.tokens, doc.n, source->file, source->line, ESCAPE_NONE, &builder) < 0) {
        program_builder_fini(&builder);
        return -1;
    }
    return finish(compiler, source, &builder, program);
}
