/* preview_view: see preview_view.h.
 *
 * The page decides nothing: every message it shows was made by template_render(), the function that makes the real ones.
 *
 * Guarantees: no file outside the set's directory is read, whatever name is asked for. Does not: know HTTP. */
#include "templates/preview_view.h"

#include "base/sms_text.h"
#include "templates/example.h"
#include "templates/preview.h"
#include "templates/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE_MAX_BYTES = 65536 };

/* ---- the set ------------------------------------------------------------------------------------------------------- */
static json_t *text_or_null(const char *text) {
    return text == NULL ? json_null() : json_string(text);
}

static json_t *variables_view(const struct notice_words *notice) {
    const struct variable *variables = notice->variables.items;
    json_t *list = json_array();
    for (size_t i = 0; i < notice->variables.n; i++) {
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:o}", "name", variables[i].name, "type",
                                                    variable_type_names[variables[i].type], "required", variables[i].required,
                                                    "description", text_or_null(variables[i].description)));
    }
    return list;
}

static json_t *notice_view(const struct notice_words *notice) {
    json_t *locales = json_array();
    for (size_t i = 0; i < notice->n_locales; i++) {
        (void)json_array_append_new(locales,
                                    json_pack("{s:s, s:b}", "locale", notice->locales[i].locale, "rtl", notice->locales[i].right_to_left));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "notice", notice->name, "description", notice->description, "severity",
                     notice->severity, "locales", locales, "variables", variables_view(notice), "example", example_data(notice, true));
}

static json_t *findings_view(const struct template_report *report) {
    json_t *list = json_array();
    for (size_t i = 0; i < report->n; i++) {
        const struct template_finding *finding = &report->findings[i];
        (void)json_array_append_new(list, json_pack("{s:b, s:s, s:i, s:s}", "error", finding->is_error, "file", finding->file, "line",
                                                    finding->line, "text", finding->text));
    }
    return list;
}

json_t *preview_set_view(const struct template_set *set, const struct template_report *report) {
    json_t *notices = json_array();
    for (size_t i = 0; set != NULL && i < set->n_notices; i++) {
        (void)json_array_append_new(notices, notice_view(&set->notices[i]));
    }
    return json_pack("{s:o, s:o, s:s, s:i, s:o, s:o}", "version", text_or_null(set == NULL ? NULL : set->version), "company",
                     text_or_null(set == NULL ? NULL : set->company.name), "default_locale",
                     set == NULL ? "en" : set->company.default_locale, "errors", (int)report->n_errors, "findings", findings_view(report),
                     "notices", notices);
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */
static json_t *segments_view(const char *text) {
    struct sms_count count = sms_count(text, strlen(text));
    return json_pack("{s:b, s:i, s:i, s:i}", "ucs2", count.ucs2, "units", (int)count.units, "units_max", (int)count.units_max, "segments",
                     (int)count.segments);
}

static json_t *message_view(const struct message *message, enum channel_id channel) {
    json_t *view =
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "locale", message->locale, "dir", message->dir,
                  "severity", message->severity, "from", text_or_null(message->from_name), "from_address",
                  text_or_null(message->from_address), "reply_to", text_or_null(message->reply_to), "subject",
                  text_or_null(message->subject), "preheader", text_or_null(message->preheader), "title", text_or_null(message->title),
                  "text", text_or_null(message->text), "html", text_or_null(message->html), "link", text_or_null(message->link));
    if (channel == CHANNEL_SMS && view != NULL) {
        (void)json_object_set_new(view, "count", segments_view(message->text));
    }
    return view;
}

static const char *filled(const json_t *wanted, const char *name) {
    const char *text = json_string_value(json_object_get(wanted, name));
    return text == NULL || text[0] == '\0' ? NULL : text;
}

/* Example values, with what the page sent in the place of the examples. */
static struct template_values values_of(const json_t *wanted) {
    struct template_values values =
        example_values(json_object_get(wanted, "data"), true, json_is_true(json_object_get(wanted, "in_force")));
    values.customer_name = filled(wanted, "name");
    values.account = filled(wanted, "account");
    values.time_zone = filled(wanted, "time_zone");
    return values;
}

json_t *preview_messages_view(const struct template_set *set, const json_t *wanted, struct err *err) {
    const char *notice = filled(wanted, "notice");
    const char *locale = filled(wanted, "locale");
    struct template_values values = values_of(wanted);
    json_t *view = json_object();
    if (set == NULL || notice == NULL || view == NULL) {
        json_decref(view);
        (void)err_set(err, ERR_UNKNOWN, set == NULL ? "there is no good version of the templates yet" : "name a notice");
        return NULL;
    }
    struct arena arena = ARENA_INIT;
    for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
        struct message message = {0};
        struct err why = {0};
        int rc = template_render(set, notice, locale, (enum channel_id)channel, &values, &arena, &message, &why);
        (void)json_object_set_new(view, channel_traits((enum channel_id)channel)->name,
                                  rc == 0 ? message_view(&message, (enum channel_id)channel)
                                          : json_pack("{s:s, s:s}", "error", why.text, "member", why.member));
    }
    arena_fini(&arena);
    return view;
}

json_t *preview_examples(const struct template_set *set, const char *notice, const char *locale, bool in_force, struct err *err) {
    const struct notice_words *found = set_notice(set, notice);
    if (found == NULL) {
        (void)err_set(err, ERR_UNKNOWN, "there is no notice called \"%.80s\"", notice);
        return NULL;
    }
    json_t *wanted =
        json_pack("{s:s, s:s?, s:o, s:s, s:s, s:s, s:b}", "notice", notice, "locale", locale, "data", example_data(found, true), "name",
                  "Ada Lovelace", "account", "ada@walton.example", "time_zone", "Europe/London", "in_force", in_force);
    json_t *view = preview_messages_view(set, wanted, err);
    json_decref(wanted);
    return view;
}

/* ---- sources ------------------------------------------------------------------------------------------------------- */
/* Parts of letters, digits, "_", "-" and dots that do not begin a part: no way up or out. */
static bool is_inside(const char *file) {
    for (const char *p = file; *p != '\0'; p++) {
        bool begins = p == file || p[-1] == '/';
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_' || *p == '-';
        if (!plain && (begins || (*p != '.' && *p != '/'))) {
            return false;
        }
    }
    return file[0] != '\0' && file[strlen(file) - 1] != '/';
}

json_t *preview_source_view(const char *dir, const char *file, struct err *err) {
    char path[1024];
    if (!is_inside(file) || snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path) {
        (void)err_set(err, ERR_UNKNOWN, "this is not a file of the templates");
        return NULL;
    }
    FILE *stream = fopen(path, "re");
    char *text = malloc(SOURCE_MAX_BYTES + 1);
    json_t *view = NULL;
    if (stream == NULL) {
        (void)err_set(err, ERR_UNKNOWN, "%s: %s", file, strerror(errno));
    } else if (text != NULL) {
        size_t n = fread(text, 1, SOURCE_MAX_BYTES, stream);
        json_t *body = json_stringn(text, n);
        view = json_pack("{s:s, s:o}", "file", file, "text", body == NULL ? json_string("(this file is not UTF-8)") : body);
    }
    if (stream != NULL) {
        (void)fclose(stream);
    }
    free(text);
    return view;
}
