/* mustache_check: mustache_check_file() of mustache.h.
 *
 * Judges the reader (mustache.c) and the machine (program.c), the same two that make every message, by the cases of the public
 * specification. A case is run twice. Once as a template runs, where a missing value or partial is refused: that run must either give the
 * wanted text or refuse for that very reason. And once with missing values allowed to be empty: that run must give the wanted text. So a
 * case passes only where the text is right, and nothing is said to pass because it was skipped.
 *
 * Fails: as a whole, where the file is no case file. Does not: know the optional modules (lambdas, inheritance, dynamic names). */
#include "templates/mustache.h"

#include "templates/program.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A partial as compiled for the indentation of its tag. */
struct partial {
    struct partial *next;
    const char *name;
    const char *indent;
    struct program program;
};

struct run_case {
    struct arena arena;
    const json_t *data;
    const json_t *partials;
    struct partial *compiled;
    bool strict;
};

static int compile_text(struct run_case *rc, const char *text, size_t len, struct program *program, struct err *err);

/* ---- values -------------------------------------------------------------------------------------------------------- */
static int root(void *ctx, const struct name *name, struct value *value_r, struct err *err) {
    struct run_case *rc = ctx;
    const json_t *json = rc->data;
    for (size_t i = 0; i < name->n_parts && json != NULL; i++) {
        json = json_object_get(json, name->parts[i]);
    }
    return value_from_json(json, &rc->arena, value_r, err);
}

static const char *indented(struct arena *arena, const char *text, const char *indent) {
    struct buf out = BUF_INIT;
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        size_t len = end == NULL ? strlen(line) : (size_t)(end + 1 - line);
        buf_puts(&out, indent);
        buf_put(&out, line, len);
        line += len;
    }
    const char *made = buf_str(&out);
    char *kept = made == NULL ? NULL : arena_strndup(arena, made, out.len);
    buf_fini(&out);
    return kept;
}

static struct partial *find_partial(const struct run_case *rc, const struct name *name) {
    for (struct partial *partial = rc->compiled; partial != NULL; partial = partial->next) {
        if (strcmp(partial->name, name->text) == 0 && strcmp(partial->indent, name->argument) == 0) {
            return partial;
        }
    }
    return NULL;
}

/* Compiled when it is first called, so a partial may call itself. */
static int call(void *ctx, const struct name *name, const struct program **program_r, struct err *err) {
    struct run_case *rc = ctx;
    struct partial *partial = find_partial(rc, name);
    const char *text = json_string_value(json_object_get(rc->partials, name->text));
    *program_r = NULL;
    if (partial == NULL && text == NULL) {
        return rc->strict ? err_member(err, name->text, "there is no partial called %.60s", name->text) : 0;
    }
    if (partial == NULL) {
        partial = arena_alloc(&rc->arena, sizeof *partial);
        text = indented(&rc->arena, text, name->argument);
        if (partial == NULL || text == NULL) {
            return err_no_memory(err);
        }
        partial->name = name->text;
        partial->indent = name->argument;
        partial->next = rc->compiled;
        rc->compiled = partial;
        if (compile_text(rc, text, strlen(text), &partial->program, err) < 0) {
            return -1;
        }
    }
    *program_r = &partial->program;
    return 0;
}

/* ---- compiling ----------------------------------------------------------------------------------------------------- */
static const struct name *make_name(struct arena *arena, const struct mustache_token *token) {
    struct name *name = arena_alloc(arena, sizeof *name);
    char *parts = arena_strndup(arena, token->text, token->len);
    char *indent = arena_strndup(arena, token->indent == NULL ? "" : token->indent, token->indent_len);
    if (name == NULL || parts == NULL || indent == NULL) {
        return NULL;
    }
    *name = (struct name){.text = token->text, .slot = -1, .argument = indent};
    char *rest = parts;
    while (strcmp(token->text, ".") != 0 && rest != NULL && name->n_parts < NAME_PARTS_MAX) {
        name->parts[name->n_parts++] = strsep(&rest, ".");
    }
    return name;
}

static void put_token(struct program_builder *builder, const struct mustache_token *token, const struct name *name) {
    switch (token->kind) {
    case MUSTACHE_TEXT: program_text(builder, ESCAPE_NONE, token->text, token->len); break;
    case MUSTACHE_VALUE: program_value(builder, ESCAPE_HTML, name); break;
    case MUSTACHE_RAW: program_value(builder, ESCAPE_NONE, name); break;
    case MUSTACHE_SECTION: program_begin(builder, OP_SECTION, name); break;
    case MUSTACHE_INVERTED: program_begin(builder, OP_INVERTED, name); break;
    case MUSTACHE_CLOSE: program_end(builder); break;
    case MUSTACHE_PARTIAL: program_call(builder, name); break;
    }
}

static int compile_text(struct run_case *rc, const char *text, size_t len, struct program *program, struct err *err) {
    struct mustache_doc doc;
    struct program_builder builder;
    if (mustache_parse(text, len, "case", 1, &rc->arena, &doc, err) < 0) {
        return -1;
    }
    program_builder_init(&builder, &rc->arena);
    for (size_t i = 0; i < doc.n; i++) {
        const struct name *name = doc.tokens[i].kind == MUSTACHE_TEXT ? NULL : make_name(&rc->arena, &doc.tokens[i]);
        builder.failed = builder.failed || (name == NULL && doc.tokens[i].kind != MUSTACHE_TEXT);
        put_token(&builder, &doc.tokens[i], name);
    }
    int result = program_finish(&builder, program);
    program_builder_fini(&builder);
    return result < 0 ? err_no_memory(err) : 0;
}

/* ---- cases --------------------------------------------------------------------------------------------------------- */
static int run_once(const json_t *test, bool strict, struct buf *out, struct err *err) {
    struct run_case rc = {.data = json_object_get(test, "data"), .partials = json_object_get(test, "partials"), .strict = strict};
    struct program program;
    const json_t *template = json_object_get(test, "template");
    const struct program_env env = {.ctx = &rc, .arena = &rc.arena, .missing_is_empty = !strict, .root = root, .call = call};
    int result = compile_text(&rc, json_string_value(template), json_string_length(template), &program, err);
    buf_reset(out);
    if (result == 0) {
        result = program_run(&program, &env, out, err);
    }
    arena_fini(&rc.arena);
    return result;
}

static bool gives(const struct buf *out, const json_t *expected) {
    return out->len == json_string_length(expected) && (out->len == 0 || memcmp(out->data, json_string_value(expected), out->len) == 0);
}

/* Whether the case passes; why not goes into *details. */
static bool passes(const json_t *test, struct buf *out, struct buf *details) {
    const json_t *expected = json_object_get(test, "expected");
    struct err err = {0};
    bool refused = run_once(test, true, out, &err) < 0;
    bool right = refused ? err.code == ERR_MEMBER : gives(out, expected);
    if (right && refused) {
        right = run_once(test, false, out, &err) == 0 && gives(out, expected);
    }
    if (!right) {
        buf_putf(details, "%s: wanted ", json_string_value(json_object_get(test, "name")));
        buf_put_json_str(details, json_string_value(expected));
        buf_puts(details, ", got ");
        buf_put_json_str(details, buf_str(out));
        buf_putf(details, "%s%s\n", err.text[0] == '\0' ? "" : "; ", err.text);
    }
    return right;
}

static bool is_case(const json_t *test) {
    return json_is_string(json_object_get(test, "name")) && json_is_string(json_object_get(test, "template")) &&
           json_is_string(json_object_get(test, "expected")) && json_object_get(test, "data") != NULL;
}

static int run_cases(const json_t *tests, struct mustache_tally *tally, struct buf *details, struct err *err) {
    struct buf out = BUF_INIT;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        if (!is_case(test)) {
            rc = err_set(err, ERR_SYNTAX, "case %zu has no name, data, template or expected text", i + 1);
        } else if (passes(test, &out, details)) {
            tally->passed++;
        } else {
            tally->failed++;
        }
    }
    buf_fini(&out);
    return rc;
}

int mustache_check_file(const char *path, struct mustache_tally *tally, struct buf *details, struct err *err) {
    json_error_t why;
    *tally = (struct mustache_tally){0};
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (file == NULL) {
        return err_set(err, ERR_SYNTAX, "%s: %s", path, why.text);
    }
    const json_t *tests = json_object_get(file, "tests");
    int rc = json_is_array(tests)
                 ? run_cases(tests, tally, details, err)
                 : err_set(err, ERR_SYNTAX, "%s is no case file of the Mustache specification: it has no list \"tests\"", path);
    json_decref(file);
    return rc;
}
