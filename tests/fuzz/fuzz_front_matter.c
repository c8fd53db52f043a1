/* fuzz_front_matter: any bytes as a whole file of one channel, front matter and all. The first byte chooses the channel. Whatever the rest
 * is, it compiles without an error in the report, or there is a finding that says where and why in one line. Does not: fill what compiled
 * (fuzz_template does). */
#include "templates/channel_files.h"
#include "templates/report.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_findings(const struct template_report *report, int rc) {
    if (rc < 0 && report->n_errors == 0) {
        abort();
    }
    for (size_t i = 0; i < report->n; i++) {
        const struct template_finding *finding = &report->findings[i];
        if (finding->text[0] == '\0' || finding->line < 0 || !text_is_utf8(finding->text, strlen(finding->text))) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *hosts[] = {"walton.example"};
    const struct conf_strings allowed = {hosts, 1};
    struct variable variables[] = {{.name = "word", .type = VARIABLE_STRING, .required = true}, {.name = "url", .type = VARIABLE_URL}};
    const struct conf_list list = {.items = variables, .n = sizeof variables / sizeof *variables};
    struct arena arena = ARENA_INIT;
    struct arena scratch = ARENA_INIT;
    struct template_report report = {0};
    char *text = size == 0 || size > 65536 ? NULL : strndup((const char *)data + 1, size - 1);
    if (text != NULL && text_is_utf8(text, strlen(text)) && strstr(text, "\xee\x80") == NULL) { /* as files_read() sees to */
        struct files files = {.dir = "/", .arena = &arena, .report = &report};
        struct words words = {.file = "f", .text = text};
        struct source source = {.file = "f", .line = 1, .text = text, .len = strlen(text)};
        struct compiler compiler = {.arena = &arena,
                                    .scratch = &scratch,
                                    .report = &report,
                                    .variables = &list,
                                    .links = {.company = &allowed, .file = &words.link_hosts}};
        check_findings(&report, channel_files[data[0] % CHANNEL_COUNT].compile(&files, &compiler, &source, &words));
    }
    free(text);
    template_report_fini(&report);
    arena_fini(&scratch);
    arena_fini(&arena);
    return 0;
}
