/* set: what a loaded set is made of. Private to templates/. */
#ifndef REACH_TEMPLATES_SET_H
#define REACH_TEMPLATES_SET_H

#include "base/conf.h"
#include "templates/dates.h"
#include "templates/numbers.h"
#include "templates/program.h"
#include "templates/template.h"

enum { SLOTS_MAX = 64 };

/* ---- variables ----------------------------------------------------------------------------------------------------- */
#define VARIABLE_TYPE_LIST(X)                                                                                                              \
    X(VARIABLE_STRING, "string")                                                                                                           \
    X(VARIABLE_URL, "url")                                                                                                                 \
    X(VARIABLE_DATE, "date")                                                                                                               \
    X(VARIABLE_NUMBER, "number")                                                                                                           \
    X(VARIABLE_FLAG, "flag")                                                                                                               \
    X(VARIABLE_LIST, "list")

#define VARIABLE_TYPE_ENUM(id, name) id,
enum variable_type { VARIABLE_TYPE_LIST(VARIABLE_TYPE_ENUM) VARIABLE_TYPE_COUNT };

/* One row of notice.yaml's `variables`, or one of the engine's own. */
struct variable {
    struct conf_where where;
    const char *name;
    int64_t type; /* enum variable_type */
    const char *description;
    struct conf_strings example; /* one, or for a list several */
    bool required;
};

/* ---- words --------------------------------------------------------------------------------------------------------- */
enum part {
    PART_SUBJECT,
    PART_PREHEADER,
    PART_FROM,
    PART_FROM_ADDRESS,
    PART_REPLY_TO,
    PART_TITLE,
    PART_LINK,
    PART_TEXT,
    PART_HTML,
    PART_COUNT
};

/* One channel of one locale: one file. */
struct words {
    const char *file; /* relative to the set */
    const char *text; /* the whole file, for the checks */
    bool has[PART_COUNT];
    struct program part[PART_COUNT];
    struct program content; /* what the layout wraps */
    struct conf_strings link_hosts;
    uint64_t used_slots; /* bit per variable that the file names */
};

struct locale_words {
    const char *locale; /* BCP 47, as the directory is called */
    bool right_to_left;
    struct words words[CHANNEL_COUNT];
};

struct notice_words {
    struct conf_where where;
    const char *name;
    const char *description;
    const char *severity;
    int64_t sms_segments_max;   /* the longest SMS of this notice, in segments */
    struct conf_list variables; /* struct variable */
    struct locale_words *locales;
    size_t n_locales;
};

/* company.yaml: where {{reset_link}} leads and how long it works. */
struct reset_settings {
    const char *url; /* NULL: there is no {{reset_link}} */
    int64_t lifetime_ms[CHANNEL_COUNT];
};

/* company.yaml */
struct company {
    struct conf_where where;
    const char *name;
    const char *default_locale;
    const char *check_url;
    struct conf_strings locales; /* every notice must have these */
    struct conf_strings link_hosts;
    struct conf_pairs how_to_check; /* locale to sentence */
    struct conf_pairs login_title;  /* the same for the login page; empty: nothing is shown there */
    struct conf_pairs login_text;
    struct reset_settings reset_link;
    int64_t sms_segments_max;
};

/* What belongs to a locale whatever the notice. */
struct locale_frame {
    const char *locale;
    struct program layout;
    struct program check_html;
    struct program check_text;
    struct program login_title; /* empty where company.yaml has no words for the login page */
    struct program login_html;
    struct program login_text;
};

/* A file as it was read, for template_set_keep(). */
struct kept_file {
    struct kept_file *next;
    const char *path; /* relative to the set */
    const char *bytes;
    size_t len;
};

struct template_set {
    struct arena arena;
    struct kept_file *files;
    char version[65];
    struct company company;
    struct locale_frame *frames;
    size_t n_frames;
    struct notice_words *notices;
    size_t n_notices;
    struct dates *dates; /* the only things that change after loading: caches */
    struct numbers *numbers;
    struct buf *scratch; /* and this: memory used again for every message */
};

/* notice.yaml as it is read. */
struct notice_file {
    struct conf_where where;
    const char *description;
    int64_t severity;
    int64_t sms_segments_max; /* 0: the company's */
    struct conf_list variables;
};

extern const struct conf_table company_table; /* struct company */
extern const struct conf_table notice_table;  /* struct notice_file */
extern const char *const notice_severities[]; /* NULL-terminated, by notice_file.severity */
extern const char *const variable_type_names[VARIABLE_TYPE_COUNT + 1];

/* Looks up; NULL where there is none. */
const struct notice_words *set_notice(const struct template_set *set, const char *name);
const struct locale_frame *set_frame(const struct template_set *set, const char *locale);

#endif
