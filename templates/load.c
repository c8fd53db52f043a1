/* load: a directory of words becomes a set; the first half of template.h.
 *
 *   company.yaml                        the company: its name, hosts, how a customer can check a message
 *   layout.html                         what every mail looks like
 *   <notice>/notice.yaml                what it is for, how severe, its variables
 *   <notice>/<locale>/email.md ...      the words, one file a channel
 *
 * Everything is read, compiled and checked before the set exists, and every fault is reported, not only the first. A set with
 * an error is not handed out, so what serves can be filled without looking at files again.
 *
 * Guarantees: every notice has every channel in every locale it has. Fails: with findings (a writer's) or *err (the machine's).
 * Does not: watch the directory; the caller decides when to load again. */
#include "templates/set.h"

#include "templates/channel_files.h"
#include "templates/files.h"
#include "templates/lint.h"
#include "templates/report.h"
#include "templates/values.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uloc.h>

/* ---- loading ------------------------------------------------------------------------------------------------------- */
#define PARTIALS "partials"

/* A partial that was read. */
struct partial {
    struct partial *next;
    const char *path;
    struct source source;
    int found; /* what files_read() said */
};

struct loader {
    struct template_set *set;
    struct template_report *report;
    struct files files;
    struct partial *partials;
    struct arena scratch; /* of the file being compiled */
    const char *locale;   /* whose words are being compiled */
};

/* A required file. 0, or -1 with a finding. */
static int read_needed(struct loader *loader, const char *path, const char *what, struct source *source) {
    int rc = files_read(&loader->files, path, source);
    return rc == 0 ? report_error(loader->report, path, 0, "the file is missing; it holds %s", what) : rc < 0 ? -1 : 0;
}

static int load_company(struct loader *loader) {
    struct source source;
    if (read_needed(loader, "company.yaml", "the company's name, hosts and how to check a message", &source) < 0) {
        return -1;
    }
    return files_yaml(&loader->files, &source, &company_table, &loader->set->company);
}

/* Each file is read once, however many texts name it. */
static int read_partial(struct loader *loader, const char *path, struct source *source) {
    struct partial *partial = loader->partials;
    while (partial != NULL && strcmp(partial->path, path) != 0) {
        partial = partial->next;
    }
    if (partial == NULL) {
        partial = arena_alloc(&loader->set->arena, sizeof *partial);
        if (partial == NULL) {
            return report_error(loader->report, path, 0, "out of memory");
        }
        partial->path = path;
        partial->found = files_read(&loader->files, path, &partial->source);
        partial->next = loader->partials;
        loader->partials = partial;
    }
    *source = partial->source;
    return partial->found;
}

/* For struct compiler: partials/de-AT/name.md, partials/de/name.md, partials/name.md. */
static int find_partial(void *ctx, const char *name, struct source *source) {
    struct loader *loader = ctx;
    size_t language = strcspn(loader->locale, "-");
    const char *paths[3] = {arena_printf(&loader->set->arena, PARTIALS "/%s/%s.md", loader->locale, name),
                            arena_printf(&loader->set->arena, PARTIALS "/%.*s/%s.md", (int)language, loader->locale, name),
                            arena_printf(&loader->set->arena, PARTIALS "/%s.md", name)};
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0') {
        return 0;
    }
    for (size_t i = 0; i < 3; i++) {
        int found = paths[i] == NULL ? 0 : read_partial(loader, paths[i], source);
        if (found != 0) {
            return found;
        }
    }
    return 0;
}

static bool is_name(const char *text) {
    return text[0] >= 'a' && text[0] <= 'z' && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int check_variables(struct loader *loader, const struct source *source, const struct conf_list *variables) {
    const struct variable *items = variables->items;
    int rc = variables->n + BUILTIN_COUNT > SLOTS_MAX
                 ? report_error(loader->report, source->file, 0, "more than %d variables", SLOTS_MAX - BUILTIN_COUNT)
                 : 0;
    for (size_t i = 0; i < variables->n; i++) {
        bool taken = false;
        for (size_t k = 0; k < BUILTIN_COUNT + i; k++) {
            const char *other = k < BUILTIN_COUNT ? builtin_row((enum builtin)k)->name : items[k - BUILTIN_COUNT].name;
            taken = taken || strcmp(items[i].name, other) == 0;
        }
        if (taken) {
            rc = report_error(loader->report, source->file, items[i].where.line, "the variable \"%s\" exists already; choose another name",
                              items[i].name);
        } else if (!is_name(items[i].name)) {
            rc = report_error(loader->report, source->file, items[i].where.line, "\"%s\" is no name for a variable; use a-z, 0-9 and _",
                              items[i].name);
        }
    }
    return rc;
}

static int load_notice_file(struct loader *loader, struct notice_words *notice) {
    struct source source;
    struct notice_file file;
    const char *path = arena_printf(&loader->set->arena, "%s/notice.yaml", notice->name);
    if (path == NULL || read_needed(loader, path, "what the notice is for, its severity and its variables", &source) < 0 ||
        files_yaml(&loader->files, &source, &notice_table, &file) < 0) {
        return -1;
    }
    notice->where = file.where;
    notice->description = file.description;
    notice->severity = notice_severities[file.severity];
    notice->sms_segments_max = file.sms_segments_max > 0 ? file.sms_segments_max : loader->set->company.sms_segments_max;
    notice->variables = file.variables;
    return check_variables(loader, &source, &file.variables);
}

static const char *const file_contents[CHANNEL_COUNT] = {"the mail", "the text message", "the push message", "the banner on the website"};

static int load_words(struct loader *loader, const struct notice_words *notice, struct locale_words *locale, enum channel_id channel) {
    struct source source;
    struct words *words = &locale->words[channel];
    const char *path = arena_printf(&loader->set->arena, "%s/%s/%s", notice->name, locale->locale, channel_files[channel].name);
    if (path == NULL || read_needed(loader, path, file_contents[channel], &source) < 0) {
        return -1;
    }
    words->file = source.file;
    words->text = source.text;
    loader->locale = locale->locale;
    struct compiler compiler = {.arena = &loader->set->arena,
                                .scratch = &loader->scratch,
                                .report = loader->report,
                                .partial = find_partial,
                                .partial_ctx = loader,
                                .variables = &notice->variables,
                                .links = {.company = &loader->set->company.link_hosts, .file = &words->link_hosts}};
    int rc = channel_files[channel].compile(&loader->files, &compiler, &source, words);
    words->used_slots = compiler.used_slots;
    arena_reset(&loader->scratch);
    return rc;
}

static int load_locale(struct loader *loader, const struct notice_words *notice, struct locale_words *locale) {
    int rc = 0;
    locale->right_to_left = uloc_isRightToLeft(locale->locale);
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        if (load_words(loader, notice, locale, (enum channel_id)channel) < 0) {
            rc = -1;
        }
    }
    return rc;
}

static bool is_locale(const char *name) {
    size_t language = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    return language >= 2 && language <= 3 && strlen(name) <= 35 && (name[language] == '\0' || name[language] == '-');
}

static int load_locales(struct loader *loader, struct notice_words *notice) {
    struct conf_strings names;
    int rc = 0;
    if (files_directories(&loader->files, notice->name, &names) < 0) {
        return -1;
    }
    if (names.n == 0) {
        return report_error(loader->report, notice->name, 0, "the notice has no language; make a folder such as %s/en with its words",
                            notice->name);
    }
    notice->locales = arena_array(&loader->set->arena, names.n, sizeof *notice->locales);
    for (size_t i = 0; notice->locales != NULL && i < names.n; i++) {
        if (!is_locale(names.items[i])) {
            rc =
                report_error(loader->report, notice->name, 0, "the folder \"%s\" is not named like a language (en, pt-BR)", names.items[i]);
            continue;
        }
        struct locale_words *locale = &notice->locales[notice->n_locales++];
        locale->locale = names.items[i];
        rc = load_locale(loader, notice, locale) < 0 ? -1 : rc;
    }
    return rc;
}

static int load_notice(struct loader *loader, struct notice_words *notice) {
    return load_notice_file(loader, notice) < 0 ? -1 : load_locales(loader, notice);
}

static int load_notices(struct loader *loader) {
    struct conf_strings names;
    struct template_set *set = loader->set;
    int rc = 0;
    if (files_directories(&loader->files, "", &names) < 0) {
        return -1;
    }
    set->notices = arena_array(&set->arena, names.n + 1, sizeof *set->notices);
    for (size_t i = 0; set->notices != NULL && i < names.n; i++) {
        if (strcmp(names.items[i], PARTIALS) == 0) {
            continue;
        }
        struct notice_words *notice = &set->notices[set->n_notices++];
        notice->name = names.items[i];
        rc = load_notice(loader, notice) < 0 ? -1 : rc;
    }
    return rc;
}

/* ---- what belongs to a locale whatever the notice ------------------------------------------------------------------ */
static const char *sentence_for(const struct conf_pairs *sentences, const char *locale) {
    size_t language = strcspn(locale, "-");
    const char *best = NULL;
    for (size_t i = 0; i < sentences->n; i++) {
        const struct conf_pair *pair = &sentences->items[i];
        if (strcmp(pair->key, locale) == 0) {
            return pair->value;
        }
        if (strlen(pair->key) == language && strncmp(pair->key, locale, language) == 0) {
            best = pair->value;
        }
    }
    return best;
}

/* What the login page shows. It knows nobody, so its words name no variable but the company's own. 0, or -1 with a finding. */
static int load_login(struct loader *loader, struct compiler *compiler, struct locale_frame *frame) {
    const struct company *company = &loader->set->company;
    const char *title = sentence_for(&company->login_title, frame->locale);
    const char *text = sentence_for(&company->login_text, frame->locale);
    if (company->login_title.n == 0 && company->login_text.n == 0) {
        return 0;
    }
    if (title == NULL || text == NULL) {
        return report_error(loader->report, "company.yaml", 0,
                            "%s has nothing for \"%s\"; write it, or take login_title and login_text out",
                            title == NULL ? "login_title" : "login_text", frame->locale);
    }
    struct source sources[] = {{.file = "company.yaml", .text = title, .len = strlen(title)},
                               {.file = "company.yaml", .text = text, .len = strlen(text)}};
    compiler->used_slots = 0;
    if (compile_plain(compiler, &sources[0], ESCAPE_NONE, &frame->login_title) < 0 ||
        compile_plain(compiler, &sources[1], ESCAPE_HTML, &frame->login_html) < 0 ||
        compile_plain(compiler, &sources[1], ESCAPE_NONE, &frame->login_text) < 0) {
        return -1;
    }
    uint64_t impersonal = (uint64_t)1 << BUILTIN_COMPANY | (uint64_t)1 << BUILTIN_CHECK_URL;
    return (compiler->used_slots & ~impersonal) == 0
               ? 0
               : report_error(loader->report, "company.yaml", 0,
                              "login_title and login_text are shown to people who are not signed in: they may "
                              "name {{company}} and {{check_url}} and nothing else");
}

static int load_frame(struct loader *loader, const struct source *layout, struct locale_frame *frame) {
    static const struct conf_list none = {0};
    struct compiler compiler = {.arena = &loader->set->arena,
                                .scratch = &loader->scratch,
                                .report = loader->report,
                                .variables = &none,
                                .links = {.company = &loader->set->company.link_hosts}};
    const char *sentence = sentence_for(&loader->set->company.how_to_check, frame->locale);
    if (sentence == NULL) {
        return report_error(loader->report, "company.yaml", 0,
                            "how_to_check has no sentence for \"%s\"; without it a mail in that language cannot be "
                            "checked by its reader",
                            frame->locale);
    }
    struct source check = {.file = "company.yaml", .line = 0, .text = sentence, .len = strlen(sentence)};
    if (compile_plain(&compiler, &check, ESCAPE_HTML, &frame->check_html) < 0 ||
        compile_plain(&compiler, &check, ESCAPE_NONE, &frame->check_text) < 0) {
        return -1;
    }
    if (load_login(loader, &compiler, frame) < 0) {
        return -1;
    }
    compiler.layout = true;
    return compile_plain(&compiler, layout, ESCAPE_HTML, &frame->layout);
}

/* One frame for each locale that any notice has. */
static int load_frames(struct loader *loader) {
    struct template_set *set = loader->set;
    struct source layout;
    size_t n = 0;
    int rc = read_needed(loader, "layout.html", "what every mail looks like", &layout);
    for (size_t i = 0; i < set->n_notices; i++) {
        n += set->notices[i].n_locales;
    }
    set->frames = arena_array(&set->arena, n + 1, sizeof *set->frames);
    for (size_t i = 0; rc == 0 && set->frames != NULL && i < set->n_notices; i++) {
        for (size_t k = 0; k < set->notices[i].n_locales; k++) {
            const char *locale = set->notices[i].locales[k].locale;
            if (set_frame(set, locale) == NULL) {
                set->frames[set->n_frames].locale = locale;
                rc = load_frame(loader, &layout, &set->frames[set->n_frames++]) < 0 ? -1 : rc;
            }
        }
    }
    return rc;
}

static int load_all(struct loader *loader, struct err *err) {
    struct template_set *set = loader->set;
    set->dates = dates_new();
    set->numbers = numbers_new();
    set->scratch = calloc(1, sizeof *set->scratch);
    if (set->dates == NULL || set->numbers == NULL || set->scratch == NULL) {
        return err_no_memory(err);
    }
    int rc = load_company(loader);
    if (rc == 0) {
        rc = load_notices(loader);
        rc = load_frames(loader) < 0 ? -1 : rc;
    }
    if (rc == 0) {
        lint_set(set, loader->report);
    }
    assert(rc == 0 || loader->report->n_errors > 0);
    report_sort(loader->report);
    if (loader->report->n_errors > 0) {
        return report_to_err(loader->report, err);
    }
    set->files = loader->files.kept;
    return files_version(&loader->files, set->version, err);
}

struct template_set *template_set_load(const char *dir, struct template_report *report, struct err *err) {
    struct template_report own = {0};
    struct loader loader = {.set = calloc(1, sizeof *loader.set), .report = report == NULL ? &own : report};
    *loader.report = (struct template_report){0};
    int rc = loader.set == NULL ? err_no_memory(err) : files_init(&loader.files, dir, &loader.set->arena, loader.report, err);
    if (rc == 0) {
        rc = load_all(&loader, err);
    }
    files_fini(&loader.files);
    arena_fini(&loader.scratch);
    template_report_fini(&own);
    if (rc < 0) {
        template_set_free(loader.set);
        return NULL;
    }
    return loader.set;
}

void template_set_free(struct template_set *set) {
    if (set == NULL) {
        return;
    }
    dates_free(set->dates);
    numbers_free(set->numbers);
    if (set->scratch != NULL) {
        buf_fini(set->scratch);
        free(set->scratch);
    }
    arena_fini(&set->arena);
    free(set);
}
