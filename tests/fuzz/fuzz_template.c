/* fuzz_template: any bytes as the words of a file, for clang's libFuzzer (make fuzz).
 *
 * The first byte chooses what the rest is read as: Markdown of a mail, plain text, an address, front matter, notice.yaml. Whatever
 * it is, it compiles or leaves a finding, and what compiled runs. */
#include "templates/compile.h"
#include "templates/report.h"
#include "templates/set.h"
#include "templates/values.h"

#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct variable variables[] = {
    {.name = "word", .type = VARIABLE_STRING, .required = true},
    {.name = "url", .type = VARIABLE_URL},
    {.name = "items", .type = VARIABLE_LIST},
    {.name = "when", .type = VARIABLE_DATE},
    {.name = "count", .type = VARIABLE_NUMBER},
    {.name = "yes", .type = VARIABLE_FLAG},
};

static int root(void *ctx, const struct name *name, struct value *value_r, struct err *err) {
    (void)ctx;
    (void)err;
    *value_r = (struct value){.kind = VALUE_TEXT, .text = name->text, .len = strlen(name->text)};
    return 0;
}

static void run(const struct program *program, struct arena *arena) {
    const struct program_env env = {.arena = arena, .root = root};
    struct buf out = BUF_INIT;
    struct err err = {0};
    (void)program_run(program, &env, &out, &err);
    buf_fini(&out);
}

static void read_markdown(struct compiler *compiler, const struct source *source) {
    struct program_builder html;
    struct program_builder text;
    struct program program;
    program_builder_init(&html, compiler->arena);
    program_builder_init(&text, compiler->arena);
    if (compile_markdown(compiler, source, true, &html, &text) == 0) {
        int rc = program_finish(&html, &program);
        assert(rc == 0);
        run(&program, compiler->arena);
        rc = program_finish(&text, &program);
        assert(rc == 0);
        run(&program, compiler->arena);
    } else {
        assert(compiler->report->n_errors > 0);
    }
    program_builder_fini(&html);
    program_builder_fini(&text);
}

static void read_yaml(const struct source *source, struct arena *arena) {
    struct err err = {0};
    struct notice_file notice;
    struct company company;
    (void)conf_read_text(source->text, source->len, "f", &notice_table, &notice, arena, &err);
    (void)conf_read_text(source->text, source->len, "f", &company_table, &company, arena, &err);
}

static void read_as(uint8_t what, struct compiler *compiler, const struct source *source) {
    struct program program;
    switch (what % 4) {
    case 0: read_markdown(compiler, source); break;
    case 1:
        if (compile_plain(compiler, source, ESCAPE_NONE, &program) == 0) {
            run(&program, compiler->arena);
        }
        break;
    case 2:
        if (compile_link(compiler, source, &program) == 0) {
            run(&program, compiler->arena);
        }
        break;
    default: read_yaml(source, compiler->arena); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *hosts[] = {"walton.example"};
    const struct conf_strings allowed = {hosts, 1};
    const struct conf_list list = {.items = variables, .n = sizeof variables / sizeof *variables};
    struct arena arena = ARENA_INIT;
    struct template_report report = {0};
    char *text = size == 0 || size > 65536 ? NULL : strndup((const char *)data + 1, size - 1);
    bool usable = text != NULL && text_is_utf8(text, strlen(text)) && strstr(text, "\xee\x80") == NULL;
    if (usable) {
        const struct source source = {.file = "f", .line = 1, .text = text, .len = strlen(text)};
        struct compiler compiler = {
            .arena = &arena, .scratch = &arena, .report = &report, .variables = &list, .links = {.company = &allowed}};
        read_as(data[0], &compiler, &source);
    }
    free(text);
    template_report_fini(&report);
    arena_fini(&arena);
    return 0;
}
