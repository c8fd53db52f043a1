/* lint: see lint.h.
 *
 * Goes over a compiled set: the words of each file (lint_text.c), finished messages (lint_rendered.c), and here what needs more
 * than one file: languages that are missing, variables that one language shows and another forgot, whether a reader can check that a
 * message is genuine. Each finding says where, what is wrong and how to mend it, for somebody who writes texts for a living.
 *
 * Does not: compile (compile.c has found every fault of syntax before this runs). */
#include "templates/lint.h"

#include "templates/lint_rendered.h"
#include "templates/lint_text.h"
#include "templates/report.h"
#include "templates/values.h"

#include <stdio.h>
#include <string.h>

/* ---- languages ----------------------------------------------------------------------------------------------------- */
static const struct locale_words *find_locale(const struct notice_words *notice, const char *locale) {
    for (size_t i = 0; i < notice->n_locales; i++) {
        if (strcmp(notice->locales[i].locale, locale) == 0) {
            return &notice->locales[i];
        }
    }
    return NULL;
}

static void lint_locales(const struct template_set *set, const struct notice_words *notice, struct template_report *report) {
    for (size_t i = 0; i < set->company.locales.n; i++) {
        const char *locale = set->company.locales.items[i];
        if (find_locale(notice, locale) == NULL) {
            (void)report_error(report, notice->where.file, 0,
                               "the notice has no words in \"%s\", which company.yaml asks for; add the folder %s/%s", locale, notice->name,
                               locale);
        }
    }
}

/* ---- variables ----------------------------------------------------------------------------------------------------- */
static const char *slot_name(const struct notice_words *notice, int slot) {
    const struct variable *variables = notice->variables.items;
    return slot < BUILTIN_COUNT ? builtin_row((enum builtin)slot)->name : variables[slot - BUILTIN_COUNT].name;
}

/* The first line of the file that holds the variable's name, or 0. */
static int line_naming(const char *text, const char *name) {
    const char *tag = text;
    int line = 1;
    for (const char *p = text; (tag = strstr(tag, "{{")) != NULL; tag += 2) {
        const char *end = strstr(tag, "}}");
        for (; p < tag; p++) {
            line += *p == '\n';
        }
        if (end != NULL && memmem(tag, (size_t)(end - tag), name, strlen(name)) != NULL) {
            return line;
        }
    }
    return 0;
}

/* What every language must say alike. The company's name and page may be written out as well. */
static uint64_t compared_slots(void) {
    return ~((uint64_t)1 << BUILTIN_COMPANY | (uint64_t)1 << BUILTIN_CHECK_URL | (uint64_t)1 << BUILTIN_NAME |
             (uint64_t)1 << BUILTIN_IN_FORCE);
}

static void compare_words(const struct notice_words *notice, const struct words *model, const struct words *words,
                          struct template_report *report) {
    uint64_t lost = model->used_slots & ~words->used_slots & compared_slots();
    uint64_t extra = words->used_slots & ~model->used_slots & compared_slots();
    for (int slot = 0; slot < BUILTIN_COUNT + (int)notice->variables.n; slot++) {
        const char *name = slot_name(notice, slot);
        if (lost >> slot & 1) {
            (void)report_error(report, words->file, 0, "{{%s}} is missing here, but %s has it; use it in both or in neither", name,
                               model->file);
        }
        if (extra >> slot & 1) {
            (void)report_error(report, words->file, line_naming(words->text, name),
                               "{{%s}} stands here, but not in %s; use it in both or in neither", name, model->file);
        }
    }
}

static void lint_variables(const struct template_set *set, const struct notice_words *notice, struct template_report *report) {
    const struct locale_words *model = find_locale(notice, set->company.default_locale);
    uint64_t used = 0;
    model = model == NULL ? &notice->locales[0] : model;
    for (size_t i = 0; i < notice->n_locales; i++) {
        for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
            compare_words(notice, &model->words[channel], &notice->locales[i].words[channel], report);
            used |= notice->locales[i].words[channel].used_slots;
        }
    }
    const struct variable *variables = notice->variables.items;
    for (size_t i = 0; i < notice->variables.n; i++) {
        if ((used >> (BUILTIN_COUNT + i) & 1) == 0) {
            (void)report_advice(report, notice->where.file, variables[i].where.line, "no text shows {{%s}}; remove the variable or use it",
                                variables[i].name);
        }
    }
}

/* ---- words --------------------------------------------------------------------------------------------------------- */
/* A mail has the company's sentence in its layout, a banner stands on the company's own website: the others must say it themselves. */
static const bool must_name_host[CHANNEL_COUNT] = {[CHANNEL_SMS] = true, [CHANNEL_PUSH] = true};

static void lint_file(const struct template_set *set, const struct locale_words *locale, enum channel_id channel,
                      struct template_report *report) {
    struct arena arena = ARENA_INIT;
    const struct words *words = &locale->words[channel];
    struct source source = {.file = words->file, .line = 1, .text = words->text, .len = strlen(words->text)};
    struct link_rules links = {.company = &set->company.link_hosts, .file = &words->link_hosts};
    struct lint_text text = lint_text_of(&source, &arena);
    lint_words(&text, words->file, locale->locale, &links, report);
    bool names_page = (words->used_slots >> BUILTIN_CHECK_URL & 1) != 0;
    if (must_name_host[channel] && !names_page && !lint_names_host(&text, &set->company.link_hosts)) {
        (void)report_error(
            report, words->file, 0,
            "the reader has no way to check that this message is genuine; name a page they can type themselves, or use {{check_url}}");
    }
    arena_fini(&arena);
}

static void lint_layout(const struct template_set *set, struct template_report *report) {
    bool has_check = false;
    bool has_content = false;
    const struct program *layout = set->n_frames == 0 ? NULL : &set->frames[0].layout;
    for (uint32_t i = 0; layout != NULL && i < layout->n; i++) {
        has_check = has_check || (layout->ops[i].kind == OP_CALL && layout->ops[i].u.name->slot == BUILTIN_CHECK);
        has_content = has_content || (layout->ops[i].kind == OP_CALL && layout->ops[i].u.name->slot == BUILTIN_CONTENT);
    }
    if (layout != NULL && !has_check) {
        (void)report_error(report, "layout.html", 0,
                           "the reader of a mail has no way to check that it is genuine; put {{check}} into the layout");
    }
    if (layout != NULL && !has_content) {
        (void)report_error(report, "layout.html", 0, "the layout does not show the message; put {{{content}}} where it belongs");
    }
}

static void lint_notice(const struct template_set *set, const struct notice_words *notice, struct template_report *report) {
    lint_locales(set, notice, report);
    lint_variables(set, notice, report);
    for (size_t i = 0; i < notice->n_locales; i++) {
        for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
            lint_file(set, &notice->locales[i], (enum channel_id)channel, report);
        }
    }
    lint_rendered(set, notice, report);
}

/* Sentences of company.yaml, one for each language. */
static void lint_sentences(const struct template_set *set, const struct conf_pairs *sentences, struct template_report *report) {
    const struct link_rules links = {.company = &set->company.link_hosts};
    for (size_t i = 0; i < sentences->n; i++) {
        struct arena arena = ARENA_INIT;
        const struct conf_pair *pair = &sentences->items[i];
        const struct source source = {.file = "company.yaml", .text = pair->value, .len = strlen(pair->value)};
        const struct lint_text text = lint_text_of(&source, &arena);
        lint_words(&text, source.file, pair->key, &links, report);
        arena_fini(&arena);
    }
}

void lint_set(const struct template_set *set, struct template_report *report) {
    lint_layout(set, report);
    lint_sentences(set, &set->company.how_to_check, report);
    lint_sentences(set, &set->company.login_title, report);
    lint_sentences(set, &set->company.login_text, report);
    for (size_t i = 0; i < set->n_notices; i++) {
        lint_notice(set, &set->notices[i], report);
    }
}
