/* set_fixture: a set of templates in a directory of its own, made of the few files that a test gives. */
#ifndef REACH_TESTS_TEMPLATES_SET_FIXTURE_H
#define REACH_TESTS_TEMPLATES_SET_FIXTURE_H

#include "templates/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture_file {
    const char *path;
    const char *text;
};

/* What a set needs besides the file under test. */
static const struct fixture_file fixture_base[] = {
    {"company.yaml", "name: Walton\ncheck_url: https://walton.example/check\nlink_hosts: [walton.example]\n"
                     "how_to_check: {en: \"Type walton.example/check yourself.\", de: \"Selbst walton.example/check eingeben.\", ar: "
                     "\"walton.example/check\"}\n"},
    {"layout.html", "<html lang=\"{{lang}}\" dir=\"{{dir}}\"><title>{{subject}}</title>{{{content}}}<footer>{{check}}</footer></html>\n"},
    {"n/notice.yaml", "description: A test.\nseverity: info\nvariables:\n"
                      "  - {name: word, example: hello}\n"
                      "  - {name: url, type: url, example: https://walton.example/x, required: false}\n"
                      "  - {name: items, type: list, example: [a, b], required: false}\n"
                      "  - {name: when, type: date, example: \"2026-12-23T18:00:00Z\", required: false}\n"
                      "  - {name: count, type: number, example: \"3\", required: false}\n"
                      "  - {name: yes, type: flag, example: \"true\", required: false}\n"},
    {"n/en/email.md", "---\nsubject: \"About {{word}}\"\npreheader: p\n---\nHello {{word}}\n"},
    {"n/en/sms.txt", "Walton: {{word}}, see walton.example/check\n"},
    {"n/en/push.md", "---\ntitle: \"{{word}}\"\n---\nPush {{word}}, see walton.example\n"},
    {"n/en/banner.md", "---\ntitle: \"{{word}}\"\n---\nBanner {{word}}\n"},
};

static char fixture_dir[] = "/tmp/reach-words-XXXXXX";

static inline void fixture_write(const char *path, const char *text) {
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", fixture_dir, path);
    for (char *slash = strchr(full + sizeof fixture_dir, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void fixture_remove(const char *path) {
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", fixture_dir, path);
    assert_int_equal(unlink(full), 0);
}

/* cmocka setup and teardown of a test. */
static inline int fixture_setup(void **state) {
    (void)state;
    (void)strcpy(fixture_dir, "/tmp/reach-words-XXXXXX");
    assert_non_null(mkdtemp(fixture_dir));
    for (size_t i = 0; i < sizeof fixture_base / sizeof *fixture_base; i++) {
        fixture_write(fixture_base[i].path, fixture_base[i].text);
    }
    return 0;
}

static inline int fixture_teardown(void **state) {
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", fixture_dir);
    return system(command);
}

/* Loads the set, which must be good. */
static inline struct template_set *fixture_load(void) {
    struct err err = {0};
    struct template_set *set = template_set_load(fixture_dir, NULL, &err);
    if (set == NULL) {
        fail_msg("the set was refused: %s", err.text);
    }
    return set;
}

/* Loads a set that must be refused, with a finding that holds `text` in `file` at `line`. */
static inline void fixture_refused(const char *file, int line, const char *text) {
    struct err err = {0};
    struct template_report report = {0};
    struct template_set *set = template_set_load(fixture_dir, &report, &err);
    bool found = false;
    assert_null(set);
    assert_true(err.text[0] != '\0');
    for (size_t i = 0; i < report.n; i++) {
        const struct template_finding *finding = &report.findings[i];
        found = found ||
                (finding->is_error && strcmp(finding->file, file) == 0 && finding->line == line && strstr(finding->text, text) != NULL);
    }
    if (!found) {
        for (size_t i = 0; i < report.n; i++) {
            print_error("found: %s:%d: %s\n", report.findings[i].file, report.findings[i].line, report.findings[i].text);
        }
        fail_msg("no finding %s:%d: ...%s...", file, line, text);
    }
    template_report_fini(&report);
}

/* Loads a set that must be accepted, with advice that holds `text` in `file`. */
static inline void fixture_advised(const char *file, const char *text) {
    struct err err = {0};
    struct template_report report = {0};
    struct template_set *set = template_set_load(fixture_dir, &report, &err);
    bool found = false;
    for (size_t i = 0; i < report.n; i++) {
        const struct template_finding *finding = &report.findings[i];
        found = found || (!finding->is_error && strcmp(finding->file, file) == 0 && strstr(finding->text, text) != NULL);
    }
    if (set == NULL || !found) {
        fail_msg("no advice %s: ...%s... (%s)", file, text, err.text);
    }
    template_report_fini(&report);
    template_set_free(set);
}

/* Renders with `data` (JSON text). 0 or -1 with *err. */
static inline int fixture_render(const struct template_set *set, enum channel_id channel, const char *data, struct template_values values,
                                 struct arena *arena, struct message *message, struct err *err) {
    json_t *json = json_loads(data, 0, NULL);
    assert_non_null(json);
    values.data = json;
    int rc = template_render(set, "n", "en", channel, &values, arena, message, err);
    json_decref(json);
    return rc;
}

#endif
