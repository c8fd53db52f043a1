/* values: see values.h.
 *
 * A value is prepared the first time a message names it: its type is checked, its text cleaned (escape.h), a date or an account
 * written out. What programs see has therefore passed every rule that does not depend on where it stands.
 *
 * Guarantees: an address that a message shows or links passed links_refuse(); words hold no link, line break or control character; a
 * customer's name that looks like a link is as good as absent, since a greeting can do without it and the notice cannot. Fails: with
 * ERR_MEMBER naming data.<name>; the text never holds the value. Does not: escape (program.c does, by place). */
#include "templates/values.h"

#include "base/clock.h"
#include "base/text.h"
#include "templates/links.h"
#include "templates/reset_link.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 100, STRING_MAX_BYTES = 2000, LIST_MAX_ITEMS = 50 };

#define BUILTIN_ROW(id, name, type, always, layout) [id] = {name, type, always, layout},
static const struct builtin_row builtins[BUILTIN_COUNT] = {BUILTIN_LIST(BUILTIN_ROW)};

const struct builtin_row *builtin_row(enum builtin id) {
    assert((unsigned)id < BUILTIN_COUNT);
    return &builtins[id];
}

const struct name name_check_text = {.text = "check", .parts = {"check"}, .n_parts = 1, .slot = -1};

/* ---- texts --------------------------------------------------------------------------------------------------------- */
static void set_text(struct value *value, const char *text) {
    *value = (struct value){.kind = text == NULL ? VALUE_MISSING : VALUE_TEXT, .text = text, .len = text == NULL ? 0 : strlen(text)};
}

static int set_date(const struct values *values, enum date_style style, int64_t ms, struct value *value, struct err *err) {
    *value = (struct value){.kind = VALUE_MISSING};
    if (ms == 0) {
        return 0;
    }
    const char *text = dates_text(values->set->dates, values->date_locale, values->given->time_zone, style, ms, err);
    if (text == NULL) {
        return -1;
    }
    set_text(value, arena_strdup(values->arena, text));
    return value->text == NULL ? err_no_memory(err) : 0;
}

static int set_clean(const struct values *values, enum clean_kind kind, const char *text, struct value *value) {
    value->kind = VALUE_TEXT;
    if (escape_clean(kind, text, strlen(text), values->arena, &value->text, &value->len) < 0) {
        return -1;
    }
    value->isolate = escape_turns(value->text, value->len, values->locale->right_to_left);
    return 0;
}

/* ---- the engine's own ---------------------------------------------------------------------------------------------- */
static int set_name(const struct values *values, struct value *value) {
    const char *name = values->given->customer_name;
    *value = (struct value){.kind = VALUE_MISSING};
    if (name == NULL || name[0] == '\0' || strlen(name) > NAME_MAX_BYTES || escape_has_link(name, strlen(name))) {
        return 0;
    }
    if (set_clean(values, CLEAN_WORDS, name, value) < 0) {
        *value = (struct value){.kind = VALUE_MISSING};
    }
    return 0;
}

static int set_account(const struct values *values, struct value *value, struct err *err) {
    *value = (struct value){.kind = VALUE_MISSING};
    if (values->given->account == NULL) {
        return 0;
    }
    char masked[400];
    (void)text_mask_address(values->given->account, masked, sizeof masked);
    const char *kept = arena_strdup(values->arena, masked);
    if (kept == NULL) {
        return err_no_memory(err);
    }
    if (set_clean(values, CLEAN_ADDRESS, kept, value) < 0) {
        return err_member(err, "disables.accounts", "the account is not valid UTF-8");
    }
    return 0;
}

static int set_reset_link(const struct values *values, struct value *value, struct err *err) {
    const struct template_values *given = values->given;
    const struct reset_settings *settings = &values->set->company.reset_link;
    *value = (struct value){.kind = VALUE_MISSING};
    if (settings->url == NULL || given->reset_key == NULL || given->notice_id == NULL || given->customer_id == NULL) {
        return 0;
    }
    struct reset_link link = {.url = settings->url,
                              .notice_id = given->notice_id,
                              .customer_id = given->customer_id,
                              .channel = channel_traits(values->channel)->name,
                              .expires_at_ms = given->now_ms + settings->lifetime_ms[values->channel]};
    set_text(value, reset_link_make(&link, given->reset_key, given->reset_key_len, values->arena, err));
    return value->kind == VALUE_MISSING ? -1 : 0;
}

static int set_builtin(const struct values *values, enum builtin id, struct value *value, struct err *err) {
    const struct template_values *given = values->given;
    switch (id) {
    case BUILTIN_NAME: return set_name(values, value);
    case BUILTIN_ACCOUNT: return set_account(values, value, err);
    case BUILTIN_EFFECTIVE_AT: return set_date(values, DATE_FULL, given->effective_at_ms, value, err);
    case BUILTIN_EXPIRES_AT: return set_date(values, DATE_FULL, given->expires_at_ms, value, err);
    case BUILTIN_IN_FORCE: value->kind = given->effective_at_ms <= given->now_ms ? VALUE_TRUE : VALUE_FALSE; return 0;
    case BUILTIN_COMPANY: set_text(value, values->set->company.name); return 0;
    case BUILTIN_CHECK_URL: set_text(value, values->set->company.check_url); return 0;
    case BUILTIN_RESET_LINK: return set_reset_link(values, value, err);
    case BUILTIN_LANG: set_text(value, values->locale->locale); return 0;
    case BUILTIN_DIR: set_text(value, values->locale->right_to_left ? "rtl" : "ltr"); return 0;
    case BUILTIN_SUBJECT: set_text(value, values->subject); return 0;
    case BUILTIN_PREHEADER: set_text(value, values->preheader); return 0;
    case BUILTIN_CONTENT:
    case BUILTIN_CHECK:
    case BUILTIN_COUNT: break;
    }
    *value = (struct value){.kind = VALUE_MISSING};
    return 0;
}

/* ---- a notice's own ------------------------------------------------------------------------------------------------ */
static int wrong(const struct variable *variable, struct err *err, const char *what) {
    char member[96];
    (void)snprintf(member, sizeof member, "data.%s", variable->name);
    return err_member(err, member, "the value of %s %s", variable->name, what);
}

static const json_t *given_json(const struct values *values, const char *name) {
    const json_t *json = values->given->data == NULL ? NULL : json_object_get(values->given->data, name);
    return json_is_null(json) ? NULL : json;
}

static int set_string(const struct values *values, const struct variable *variable, const json_t *json, struct value *value,
                      struct err *err) {
    if (!json_is_string(json)) {
        return wrong(variable, err, "must be a string");
    }
    size_t len = json_string_length(json);
    if (len > STRING_MAX_BYTES || strlen(json_string_value(json)) != len) {
        return wrong(variable, err, "must be at most 2,000 bytes without NUL");
    }
    if (set_clean(values, CLEAN_WORDS, json_string_value(json), value) < 0) {
        return wrong(variable, err, "is not valid UTF-8");
    }
    if (strspn(value->text, " ") == value->len) {
        *value = (struct value){.kind = VALUE_MISSING};
        return variable->required ? wrong(variable, err, "is empty; this notice cannot be written without it") : 0;
    }
    return 0;
}

static int set_url(const struct values *values, const struct variable *variable, const json_t *json, struct value *value, struct err *err) {
    if (!json_is_string(json)) {
        return wrong(variable, err, "must be a string with an https:// address");
    }
    struct link_rules rules = {.company = &values->set->company.link_hosts, .file = &values->words->link_hosts};
    const char *refused = links_refuse(&rules, json_string_value(json), json_string_length(json));
    if (refused != NULL) {
        return wrong(variable, err, refused);
    }
    set_text(value, json_string_value(json));
    return 0;
}

static int set_date_variable(const struct values *values, const struct variable *variable, const json_t *json, enum date_style style,
                             struct value *value, struct err *err) {
    int64_t ms = 0;
    if (!json_is_string(json) || time_parse(json_string_value(json), &ms) < 0) {
        return wrong(variable, err, "must be a time like 2026-12-23T18:00:00Z");
    }
    return set_date(values, style, ms, value, err);
}

static int set_number(const struct values *values, const struct variable *variable, const json_t *json, struct value *value,
                      struct err *err) {
    if (!json_is_number(json)) {
        return wrong(variable, err, "must be a number");
    }
    set_text(value, numbers_text(values->set->numbers, values->date_locale, json_number_value(json), values->arena, err));
    return value->kind == VALUE_MISSING ? -1 : 0;
}

static int set_list(const struct variable *variable, const json_t *json, struct value *value, struct err *err) {
    if (!json_is_array(json) || json_array_size(json) > LIST_MAX_ITEMS) {
        return wrong(variable, err, "must be a list of at most 50 strings");
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *item = json_array_get(json, i);
        if (!json_is_string(item) || json_string_length(item) > STRING_MAX_BYTES) {
            return wrong(variable, err, "must be a list of strings of at most 2,000 bytes");
        }
    }
    *value = (struct value){.kind = VALUE_JSON, .json = json};
    return 0;
}

static int set_variable(const struct values *values, const struct variable *variable, struct value *value, struct err *err) {
    const json_t *json = given_json(values, variable->name);
    *value = (struct value){.kind = VALUE_MISSING};
    if (json == NULL) {
        return variable->required ? wrong(variable, err, "is missing; this notice cannot be written without it") : 0;
    }
    switch ((enum variable_type)variable->type) {
    case VARIABLE_STRING: return set_string(values, variable, json, value, err);
    case VARIABLE_URL: return set_url(values, variable, json, value, err);
    case VARIABLE_DATE: return set_date_variable(values, variable, json, DATE_FULL, value, err);
    case VARIABLE_NUMBER: return set_number(values, variable, json, value, err);
    case VARIABLE_FLAG:
        value->kind = json_is_true(json) ? VALUE_TRUE : VALUE_FALSE;
        return json_is_boolean(json) ? 0 : wrong(variable, err, "must be true or false");
    case VARIABLE_LIST: return set_list(variable, json, value, err);
    case VARIABLE_TYPE_COUNT: break;
    }
    return 0;
}

static const struct variable *variable_of(const struct values *values, int slot) {
    const struct variable *variables = values->notice->variables.items;
    return &variables[slot - BUILTIN_COUNT];
}

static int slot_value(struct values *values, int slot, const struct value **value_r, struct err *err) {
    struct value *cached = &values->slots[slot];
    uint64_t bit = (uint64_t)1 << slot;
    if ((values->ready & bit) == 0) {
        *cached = (struct value){.kind = VALUE_MISSING};
        int rc = slot < BUILTIN_COUNT ? set_builtin(values, (enum builtin)slot, cached, err)
                                      : set_variable(values, variable_of(values, slot), cached, err);
        if (rc < 0) {
            return -1;
        }
        values->ready |= bit;
    }
    *value_r = cached;
    return 0;
}

int values_check(struct values *values, struct err *err) {
    for (size_t i = 0; i < values->notice->variables.n; i++) {
        const struct value *value = NULL;
        if (slot_value(values, BUILTIN_COUNT + (int)i, &value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- helpers ------------------------------------------------------------------------------------------------------- */
struct helper {
    const char *name;
    enum variable_type wants;
    bool has_forms; /* "| one: ... | other: ..." behind the variable */
    int (*apply)(const struct values *values, const struct name *name, struct value *value, struct err *err);
};

static int apply_style(const struct values *values, const struct name *name, enum date_style style, struct value *value, struct err *err) {
    if (name->slot == BUILTIN_EFFECTIVE_AT) {
        return set_date(values, style, values->given->effective_at_ms, value, err);
    }
    if (name->slot == BUILTIN_EXPIRES_AT) {
        return set_date(values, style, values->given->expires_at_ms, value, err);
    }
    const struct variable *variable = variable_of(values, name->slot);
    const json_t *json = given_json(values, variable->name);
    return json == NULL ? 0 : set_date_variable(values, variable, json, style, value, err);
}

static int apply_date(const struct values *values, const struct name *name, struct value *value, struct err *err) {
    return apply_style(values, name, DATE_DAY, value, err);
}

static int apply_time(const struct values *values, const struct name *name, struct value *value, struct err *err) {
    return apply_style(values, name, DATE_TIME, value, err);
}

static int apply_mask(const struct values *values, const struct name *name, struct value *value, struct err *err) {
    if (name->slot < BUILTIN_COUNT) {
        return 0;
    }
    const char *plain = json_string_value(given_json(values, variable_of(values, name->slot)->name));
    char masked[400];
    const char *kept = arena_strdup(values->arena, text_mask_address(plain, masked, sizeof masked));
    return kept == NULL || set_clean(values, CLEAN_ADDRESS, kept, value) < 0 ? err_no_memory(err) : 0;
}

static int apply_plural(const struct values *values, const struct name *name, struct value *value, struct err *err) {
    double number = json_number_value(given_json(values, variable_of(values, name->slot)->name));
    set_text(value, numbers_plural(values->set->numbers, values->date_locale, name->argument, number, values->arena, err));
    return value->kind == VALUE_MISSING ? -1 : 0;
}

static const struct helper helpers[] = {
    {"date", VARIABLE_DATE, false, apply_date},
    {"time", VARIABLE_DATE, false, apply_time},
    {"masked", VARIABLE_STRING, false, apply_mask},
    {"plural", VARIABLE_NUMBER, true, apply_plural},
};

const struct helper *helper_find(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++) {
        if (strlen(helpers[i].name) == len && memcmp(helpers[i].name, name, len) == 0) {
            return &helpers[i];
        }
    }
    return NULL;
}

const char *helper_names(void) {
    return "date, time, masked, plural";
}

enum variable_type helper_wants(const struct helper *helper) {
    return helper->wants;
}

const char *helper_refuse(const struct helper *helper, const char *argument) {
    if (!helper->has_forms) {
        return argument == NULL ? NULL : "this helper takes nothing but the variable";
    }
    return argument == NULL ? "write the forms behind the variable, like {{plural count | one: # order | other: # orders}}"
                            : numbers_refuse_forms(argument);
}

/* ---- for programs -------------------------------------------------------------------------------------------------- */
int values_root(void *ctx, const struct name *name, struct value *value_r, struct err *err) {
    struct values *values = ctx;
    *value_r = (struct value){.kind = VALUE_MISSING};
    if (name->slot < 0) {
        return 0;
    }
    const struct value *value = NULL;
    if (slot_value(values, name->slot, &value, err) < 0) {
        return -1;
    }
    *value_r = *value;
    return name->helper == NULL || value->kind == VALUE_MISSING ? 0 : name->helper->apply(values, name, value_r, err);
}

int values_clean(void *ctx, const struct name *name, struct value *value, struct err *err) {
    const struct values *values = ctx;
    if (value->kind != VALUE_TEXT) {
        return 0;
    }
    if (escape_clean(CLEAN_WORDS, value->text, value->len, values->arena, &value->text, &value->len) < 0) {
        char member[96];
        (void)snprintf(member, sizeof member, "data.%s", name->text);
        return err_member(err, member, "an item of %s is not valid UTF-8", name->text);
    }
    value->isolate = escape_turns(value->text, value->len, values->locale->right_to_left);
    return 0;
}

int values_call(void *ctx, const struct name *name, const struct program **program_r, struct err *err) {
    const struct values *values = ctx;
    (void)err;
    *program_r = NULL;
    if (name == &name_check_text) {
        *program_r = &values->frame->check_text;
    } else if (name->slot == BUILTIN_CHECK) {
        *program_r = &values->frame->check_html;
    } else if (name->slot == BUILTIN_CONTENT) {
        *program_r = &values->words->content;
    }
    return 0;
}
