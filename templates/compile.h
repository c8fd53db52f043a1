/* compile: a writer's text into programs. Private to templates/. */
#ifndef REACH_TEMPLATES_COMPILE_H
#define REACH_TEMPLATES_COMPILE_H

#include "templates/links.h"
#include "templates/mustache.h"
#include "templates/set.h"

/* A piece of a file. */
struct source {
    const char *file; /* relative to the set */
    int line;         /* where it begins */
    const char *text;
    size_t len;
};

enum { NAMES_MAX = 48 };

/* What a text may name and where its faults go. */
struct compiler {
    struct arena *arena;   /* of the set */
    struct arena *scratch; /* for what is not needed once the file is compiled */
    struct template_report *report;
    const struct conf_list *variables; /* struct variable; the notice's, or empty */
    struct link_rules links;
    bool layout;                         /* layout.html: its own variables are allowed */
    uint64_t used_slots;                 /* every variable named so far */
    const struct name *names[NAMES_MAX]; /* what the tags of the file have named so far */
    size_t n_names;
    /* Reads {{>name}}. 1; 0 where there is no such partial; -1 with a finding. NULL: partials are not allowed. */
    int (*partial)(void *ctx, const char *name, struct source *source);
    void *partial_ctx;
};

/* The type of the variable behind a slot. */
enum variable_type compile_type(const struct compiler *compiler, int slot);

/* Reads the text and binds every tag to a variable. 0, or -1 with findings in the report: syntax, unknown variables, a variable that may be
 * missing outside its section, raw tags. */
int compile_read(struct compiler *compiler, const struct source *source, struct mustache_doc *doc);

/* Text without Markdown. */
int compile_plain(struct compiler *compiler, const struct source *source, enum escape escape, struct program *program);

/* Text that is one address. */
int compile_link(struct compiler *compiler, const struct source *source, struct program *program);

/* Puts the address made of `tokens` into `builder`, checked; `escape` is that of the place. 0, or -1 with a finding. */
int compile_address(struct compiler *compiler, const struct mustache_token *tokens, size_t n, const char *file, int line,
                    enum escape escape, struct program_builder *builder);

/* Markdown into HTML (for mail with inline styles, else bare) and the text of the same tree, both left in their builders. */
int compile_markdown(struct compiler *compiler, const struct source *source, bool mail, struct program_builder *html,
                     struct program_builder *text);

#endif
