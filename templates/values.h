/* values: what the variables of a notice are worth for one message. Private to templates/. */
#ifndef REACH_TEMPLATES_VALUES_H
#define REACH_TEMPLATES_VALUES_H

#include "templates/set.h"

/* The engine's own variables. They stand before a notice's in the numbering of slots.
 *   always: never missing.  layout: only layout.html may name it. */
#define BUILTIN_LIST(X)                                                                                                                    \
    X(BUILTIN_NAME, "name", VARIABLE_STRING, false, false)                                                                                 \
    X(BUILTIN_ACCOUNT, "account", VARIABLE_STRING, false, false)                                                                           \
    X(BUILTIN_EFFECTIVE_AT, "effective_at", VARIABLE_DATE, false, false)                                                                   \
    X(BUILTIN_EXPIRES_AT, "expires_at", VARIABLE_DATE, false, false)                                                                       \
    X(BUILTIN_IN_FORCE, "in_force", VARIABLE_FLAG, true, false)                                                                            \
    X(BUILTIN_COMPANY, "company", VARIABLE_STRING, true, false)                                                                            \
    X(BUILTIN_CHECK_URL, "check_url", VARIABLE_URL, true, false)                                                                           \
    X(BUILTIN_RESET_LINK, "reset_link", VARIABLE_URL, false, false)                                                                        \
    X(BUILTIN_LANG, "lang", VARIABLE_STRING, true, true)                                                                                   \
    X(BUILTIN_DIR, "dir", VARIABLE_STRING, true, true)                                                                                     \
    X(BUILTIN_SUBJECT, "subject", VARIABLE_STRING, true, true)                                                                             \
    X(BUILTIN_PREHEADER, "preheader", VARIABLE_STRING, false, true)                                                                        \
    X(BUILTIN_CONTENT, "content", VARIABLE_STRING, true, true)                                                                             \
    X(BUILTIN_CHECK, "check", VARIABLE_STRING, true, true)

#define BUILTIN_ENUM(id, name, type, always, layout) id,
enum builtin { BUILTIN_LIST(BUILTIN_ENUM) BUILTIN_COUNT };

struct builtin_row {
    const char *name;
    enum variable_type type;
    bool always;
    bool layout;
};

const struct builtin_row *builtin_row(enum builtin id);

/* The text of the check sentence inside the text part, which has no layout; see values_call(). */
extern const struct name name_check_text;

/* A helper: {{date effective_at}}. */
struct helper;
const struct helper *helper_find(const char *name, size_t len);
const char *helper_names(void);
/* Which type of variable it works on. */
enum variable_type helper_wants(const struct helper *helper);
/* What is wrong with what stands behind the variable ("{{plural n | one: ... }}"), or NULL. `argument` NULL: nothing does. */
const char *helper_refuse(const struct helper *helper, const char *argument);

/* One message being made. */
struct values {
    const struct template_set *set;
    const struct notice_words *notice;
    const struct locale_words *locale;
    const struct locale_frame *frame;
    const struct words *words;
    enum channel_id channel;
    const char *date_locale; /* the customer's own region where its language fits, for dates */
    const struct template_values *given;
    const char *subject; /* already made */
    const char *preheader;
    struct arena *arena;
    uint64_t ready; /* which of the slots have been made; the others hold nothing yet */
    struct value slots[SLOTS_MAX];
};

/* Checks every variable of the notice: required ones are there, each has its type. 0, or -1 with *err (member "data.<name>"). */
int values_check(struct values *values, struct err *err);

/* The three functions of a struct program_env; ctx is the struct values. */
int values_root(void *ctx, const struct name *name, struct value *value_r, struct err *err);
int values_clean(void *ctx, const struct name *name, struct value *value, struct err *err);
int values_call(void *ctx, const struct name *name, const struct program **program_r, struct err *err);

#endif
