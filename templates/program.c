/* program: see program.h.
 *
 * The machine keeps a stack of contexts, as Mustache wants it: a section over an object or a list item brings it into sight, and
 * a name is looked up from the top of the stack down, then at the root. What the root is, the env says: the variables of a
 * notice, or the data of a case of the specification.
 *
 * Guarantees: a value that is missing stops the run with the name of the value; nothing is appended half-escaped; the time is linear in
 * what comes out. Fails: for missing values, nesting deeper than 64, and want of memory.
 *
 * Does not: keep any state between runs, or know what a template is for. */
#include "templates/program.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, OPS_FIRST = 32 };

/* ---- building ------------------------------------------------------------------------------------------------------ */
void program_builder_init(struct program_builder *builder, struct arena *arena) {
    *builder = (struct program_builder){.arena = arena};
}

void program_builder_fini(struct program_builder *builder) {
    buf_fini(&builder->text);
    free(builder->ops);
    *builder = (struct program_builder){0};
}

static struct op *add_op(struct program_builder *builder, enum op_kind kind) {
    if (builder->n == builder->cap) {
        uint32_t cap = builder->cap == 0 ? OPS_FIRST : builder->cap * 2;
        struct op *ops = realloc(builder->ops, cap * sizeof *ops);
        if (ops == NULL) {
            builder->failed = true;
            return NULL;
        }
        builder->ops = ops;
        builder->cap = cap;
    }
    struct op *op = &builder->ops[builder->n++];
    *op = (struct op){.kind = (uint8_t)kind};
    return op;
}

static void flush_text(struct program_builder *builder) {
    if (builder->text.len == 0 && !builder->text.failed) {
        return;
    }
    const char *text = buf_str(&builder->text);
    char *kept = text == NULL ? NULL : arena_strndup(builder->arena, text, builder->text.len);
    struct op *op = kept == NULL ? NULL : add_op(builder, OP_TEXT);
    if (op == NULL) {
        builder->failed = true;
        return;
    }
    op->u.text = kept;
    op->n = (uint32_t)builder->text.len;
    buf_reset(&builder->text);
}

void program_text(struct program_builder *builder, enum escape escape, const char *text, size_t len) {
    escape_put(&builder->text, escape, text, len);
}

void program_puts(struct program_builder *builder, const char *text) {
    buf_puts(&builder->text, text);
}

static struct op *add_named(struct program_builder *builder, enum op_kind kind, const struct name *name) {
    flush_text(builder);
    struct op *op = add_op(builder, kind);
    if (op != NULL) {
        op->u.name = name;
    }
    return op;
}

void program_value(struct program_builder *builder, enum escape escape, const struct name *name) {
    struct op *op = add_named(builder, OP_VALUE, name);
    if (op != NULL) {
        op->escape = (uint8_t)escape;
    }
}

void program_call(struct program_builder *builder, const struct name *name) {
    (void)add_named(builder, OP_CALL, name);
}

void program_begin(struct program_builder *builder, enum op_kind kind, const struct name *name) {
    if (builder->n_open == PROGRAM_SECTIONS_MAX || add_named(builder, kind, name) == NULL) {
        builder->failed = true;
        return;
    }
    builder->open[builder->n_open++] = builder->n - 1;
}

void program_end(struct program_builder *builder) {
    flush_text(builder);
    if (builder->failed) {
        return;
    }
    assert(builder->n_open > 0);
    builder->ops[builder->open[--builder->n_open]].n = builder->n;
}

int program_finish(struct program_builder *builder, struct program *program) {
    flush_text(builder);
    if (builder->failed || builder->n_open > 0) {
        return -1;
    }
    struct op *ops = arena_array(builder->arena, builder->n, sizeof *ops);
    if (ops == NULL) {
        return -1;
    }
    if (builder->n > 0) {
        memcpy(ops, builder->ops, builder->n * sizeof *ops);
    }
    *program = (struct program){.ops = ops, .n = builder->n};
    builder->n = 0;
    return 0;
}

/* ---- values -------------------------------------------------------------------------------------------------------- */
int value_from_json(const json_t *json, struct arena *arena, struct value *value_r, struct err *err) {
    *value_r = (struct value){.kind = VALUE_MISSING, .json = json};
    switch (json == NULL ? JSON_NULL : json_typeof(json)) {
    case JSON_NULL: return 0;
    case JSON_FALSE: value_r->kind = VALUE_FALSE; return 0;
    case JSON_TRUE: value_r->kind = VALUE_TRUE; return 0;
    case JSON_OBJECT:
    case JSON_ARRAY: value_r->kind = VALUE_JSON; return 0;
    case JSON_STRING:
        value_r->text = json_string_value(json);
        value_r->len = json_string_length(json);
        break;
    case JSON_INTEGER: value_r->text = arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(json)); break;
    case JSON_REAL: value_r->text = arena_printf(arena, "%.15g", json_real_value(json)); break;
    }
    if (value_r->text == NULL) {
        return err_no_memory(err);
    }
    value_r->kind = VALUE_TEXT;
    value_r->len = json_is_string(json) ? value_r->len : strlen(value_r->text);
    return 0;
}

bool value_truthy(const struct value *value) {
    switch (value->kind) {
    case VALUE_MISSING:
    case VALUE_FALSE: return false;
    case VALUE_TRUE: return true;
    case VALUE_TEXT: return value->len > 0;
    case VALUE_JSON: return !json_is_array(value->json) || json_array_size(value->json) > 0;
    }
    return false;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */
/* What a section has brought into sight. */
struct frame {
    const struct frame *below;
    struct value value;
};

struct run {
    const struct program_env *env;
    struct buf *out;
    struct err *err;
    int depth;
};

static int run_ops(struct run *run, const struct op *ops, uint32_t from, uint32_t to, const struct frame *top);

/* Follows parts[1..] of a name from `json`, the value of its first part. */
static const json_t *follow(const struct name *name, const json_t *json) {
    for (size_t i = 1; i < name->n_parts && json != NULL; i++) {
        json = json_object_get(json, name->parts[i]);
    }
    return json;
}

/* Looks for the name in what the sections have brought into sight: 1 and *value_r, 0 where it is not there, -1 with *err. */
static int find_in_frames(struct run *run, const struct name *name, const struct frame *top, struct value *value_r) {
    for (const struct frame *frame = top; frame != NULL; frame = frame->below) {
        if (name->n_parts == 0) {
            *value_r = frame->value;
            return 1;
        }
        const json_t *first = frame->value.kind == VALUE_JSON ? json_object_get(frame->value.json, name->parts[0]) : NULL;
        if (first != NULL) {
            int rc = value_from_json(follow(name, first), run->env->arena, value_r, run->err);
            return rc < 0 || run->env->clean == NULL ? (rc < 0 ? -1 : 1)
                                                     : (run->env->clean(run->env->ctx, name, value_r, run->err) < 0 ? -1 : 1);
        }
    }
    return 0;
}

static int look_up(struct run *run, const struct name *name, const struct frame *top, struct value *value_r) {
    int found = find_in_frames(run, name, top, value_r);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    return run->env->root(run->env->ctx, name, value_r, run->err);
}

/* FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE keep an Arabic name from turning the English around it, and the other way round. */
static void put_text(struct buf *out, enum escape escape, const struct value *value) {
    bool isolate = value->isolate && escape != ESCAPE_URL_PART;
    buf_puts(out, isolate ? "\xe2\x81\xa8" : "");
    escape_put(out, escape, value->text, value->len);
    buf_puts(out, isolate ? "\xe2\x81\xa9" : "");
}

static int put_value(struct run *run, const struct op *op, const struct frame *top) {
    struct value value;
    if (look_up(run, op->u.name, top, &value) < 0) {
        return -1;
    }
    switch (value.kind) {
    case VALUE_TEXT: put_text(run->out, (enum escape)op->escape, &value); return 0;
    case VALUE_TRUE: buf_puts(run->out, "true"); return 0;
    case VALUE_FALSE: buf_puts(run->out, "false"); return 0;
    case VALUE_MISSING:
        if (run->env->missing_is_empty) {
            return 0;
        }
        break;
    case VALUE_JSON: break;
    }
    char member[96] = "data";
    if (op->u.name->n_parts > 0) {
        (void)snprintf(member, sizeof member, "data.%s", op->u.name->text);
    }
    return err_member(run->err, member,
                      value.kind == VALUE_MISSING ? "a value is missing: the template shows {{%s}}"
                                                  : "a list or an object cannot be shown as {{%s}}",
                      op->u.name->text);
}

static int run_items(struct run *run, const struct op *ops, uint32_t at, const struct value *list, const struct frame *top) {
    size_t n = json_array_size(list->json);
    for (size_t i = 0; i < n; i++) {
        struct frame frame = {.below = top};
        if (value_from_json(json_array_get(list->json, i), run->env->arena, &frame.value, run->err) < 0 ||
            (run->env->clean != NULL && run->env->clean(run->env->ctx, ops[at].u.name, &frame.value, run->err) < 0) ||
            run_ops(run, ops, at + 1, ops[at].n, &frame) < 0) {
            return -1;
        }
    }
    return 0;
}

static int run_section(struct run *run, const struct op *ops, uint32_t at, const struct frame *top) {
    const struct op *op = &ops[at];
    struct value value;
    if (look_up(run, op->u.name, top, &value) < 0) {
        return -1;
    }
    if (value_truthy(&value) == (op->kind == OP_INVERTED)) {
        return 0;
    }
    if (op->kind != OP_SECTION) {
        return run_ops(run, ops, at + 1, op->n, top);
    }
    if (value.kind == VALUE_JSON && json_is_array(value.json)) {
        return run_items(run, ops, at, &value, top);
    }
    struct frame frame = {.below = top, .value = value};
    return run_ops(run, ops, at + 1, op->n, &frame);
}

static int run_call(struct run *run, const struct op *op, const struct frame *top) {
    const struct program *called = NULL;
    if (run->depth == DEPTH_MAX) {
        return err_set(run->err, ERR_LIMIT, "partials nest deeper than %d", DEPTH_MAX);
    }
    if (run->env->call == NULL || run->env->call(run->env->ctx, op->u.name, &called, run->err) < 0) {
        return -1;
    }
    run->depth++;
    int rc = called == NULL ? 0 : run_ops(run, called->ops, 0, called->n, top);
    run->depth--;
    return rc;
}

/* Most of a message is static text: copied here without a call where there is room. */
static void put_static(struct buf *out, const struct op *op) {
    if (out->cap - out->len > op->n) {
        memcpy(out->data + out->len, op->u.text, op->n);
        out->len += op->n;
        out->data[out->len] = '\0';
    } else {
        buf_put(out, op->u.text, op->n);
    }
}

static int run_ops(struct run *run, const struct op *ops, uint32_t from, uint32_t to, const struct frame *top) {
    for (uint32_t at = from; at < to; at++) {
        const struct op *op = &ops[at];
        int rc = 0;
        switch ((enum op_kind)op->kind) {
        case OP_TEXT: put_static(run->out, op); break;
        case OP_VALUE: rc = put_value(run, op, top); break;
        case OP_CALL: rc = run_call(run, op, top); break;
        case OP_SECTION:
        case OP_IF:
        case OP_INVERTED:
            rc = run_section(run, ops, at, top);
            at = op->n - 1;
            break;
        }
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

int program_run(const struct program *program, const struct program_env *env, struct buf *out, struct err *err) {
    struct run run = {.env = env, .out = out, .err = err};
    if (run_ops(&run, program->ops, 0, program->n, NULL) < 0) {
        return -1;
    }
    return out->failed ? err_no_memory(err) : 0;
}
