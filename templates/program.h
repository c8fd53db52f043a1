/* program: a template as a list of steps, and the little machine that runs it.
 *
 * A program is made once, when the set is loaded, and run for every message. Static text is already escaped for where it
 * stands; only values are escaped while it runs. Nothing a value holds is ever read as Markdown, Mustache or HTML. */
#ifndef REACH_TEMPLATES_PROGRAM_H
#define REACH_TEMPLATES_PROGRAM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "templates/escape.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_PARTS_MAX = 8 };

/* What a tag names. Immutable. */
struct name {
    const char *text; /* as written: "device.model", or "." */
    const char *parts[NAME_PARTS_MAX];
    size_t n_parts;              /* 0: "." */
    int slot;                    /* which variable of the notice; -1: not bound to one */
    const struct helper *helper; /* {{date effective_at}}; or NULL */
    const char *argument;        /* what the helper gets besides the value, or NULL */
};

enum op_kind {
    OP_TEXT,     /* `text`, `n` bytes */
    OP_VALUE,    /* the value of `name`, escaped */
    OP_SECTION,  /* runs up to `n` once, or once for each item of a list; skips where falsy */
    OP_IF,       /* runs up to `n` once where truthy, without making the value the context */
    OP_INVERTED, /* runs up to `n` where falsy */
    OP_CALL      /* runs another program: a partial, the content of a layout */
};

struct op {
    uint8_t kind;   /* enum op_kind */
    uint8_t escape; /* enum escape */
    uint32_t n;
    union {
        const char *text;
        const struct name *name;
    } u;
};

struct program {
    const struct op *ops;
    uint32_t n;
};

/* ---- building ------------------------------------------------------------------------------------------------------ */
enum { PROGRAM_SECTIONS_MAX = 64 };

struct program_builder {
    struct arena *arena;
    struct buf text; /* static text not yet made a step */
    struct op *ops;  /* malloc'd until finished */
    uint32_t n, cap;
    uint32_t open[PROGRAM_SECTIONS_MAX];
    uint32_t n_open;
    bool failed;
};

void program_builder_init(struct program_builder *builder, struct arena *arena);
void program_builder_fini(struct program_builder *builder);

/* Static text, escaped now. */
void program_text(struct program_builder *builder, enum escape escape, const char *text, size_t len);
void program_puts(struct program_builder *builder, const char *text);

void program_value(struct program_builder *builder, enum escape escape, const struct name *name);
void program_call(struct program_builder *builder, const struct name *name);

/* OP_SECTION, OP_IF or OP_INVERTED, up to the matching program_end(). */
void program_begin(struct program_builder *builder, enum op_kind kind, const struct name *name);
void program_end(struct program_builder *builder);

/* Moves the steps into the arena. 0, or -1 where memory ran out or sections are left open. */
int program_finish(struct program_builder *builder, struct program *program);

/* ---- running ------------------------------------------------------------------------------------------------------- */
enum value_kind { VALUE_MISSING, VALUE_FALSE, VALUE_TRUE, VALUE_TEXT, VALUE_JSON /* an object or a list */ };

struct value {
    enum value_kind kind;
    bool isolate;     /* written in another direction than the text around it */
    const char *text; /* VALUE_TEXT */
    size_t len;
    const json_t *json; /* VALUE_JSON, or the scalar a text was made from; borrowed */
};

/* Where a running program gets its values. */
struct program_env {
    void *ctx;
    struct arena *arena;
    bool missing_is_empty; /* only the specification's cases; a template never */
    /* The value of a name that no section has brought into sight. 0 (VALUE_MISSING where there is none), or -1 with *err. */
    int (*root)(void *ctx, const struct name *name, struct value *value_r, struct err *err);
    /* Makes a text out of a list or an object fit to be shown; 0 or -1 with *err. NULL: as it is. */
    int (*clean)(void *ctx, const struct name *name, struct value *value, struct err *err);
    /* The program that OP_CALL names. 0 (*program_r NULL: nothing to run), or -1 with *err. */
    int (*call)(void *ctx, const struct name *name, const struct program **program_r, struct err *err);
};

/* Runs `program` and appends to `out`. 0; -1 with *err: ERR_MEMBER for a missing value (member "data.<name>"), ERR_LIMIT
 * where calls nest too deeply, or what the env's functions said. */
int program_run(const struct program *program, const struct program_env *env, struct buf *out, struct err *err);

/* The value of a JSON value; numbers are written into the arena. 0 or -1 with *err. */
int value_from_json(const json_t *json, struct arena *arena, struct value *value_r, struct err *err);

bool value_truthy(const struct value *value);

#endif
