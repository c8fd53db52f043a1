/* template: marketing's words, compiled once and filled per notice. */
#ifndef REACH_TEMPLATES_TEMPLATE_H
#define REACH_TEMPLATES_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/message.h"
#include "base/notice.h"

#include <jansson.h>

/* One finding of the checks, for a writer's eyes. Strings live in the report's arena. */
struct template_finding {
    bool is_error;    /* errors keep the set out; the rest is advice */
    const char *file; /* relative to the set's directory */
    int line;         /* 1-based; 0: the file as a whole */
    const char *text; /* what is wrong and how to mend it */
};

struct template_report {
    struct arena arena;
    struct template_finding *findings;
    size_t n;
    size_t n_errors;
};

void template_report_fini(struct template_report *report);

/* Appends "[dir/]file:line: text", for people, editors and CI; without the line where the file as a whole is meant. `dir` may be NULL. */
void template_finding_put(const struct template_finding *finding, const char *dir, struct buf *out);

struct template_set; /* immutable once loaded */

/* Loads and checks every notice below `dir` (<dir>/<notice>/<locale>/{email.md,sms.txt,push.md,banner.md}). NULL with *err where the
 * directory cannot be read or the report holds an error (*err then gives the first). `report` may be NULL; the caller finishes it. */
struct template_set *template_set_load(const char *dir, struct template_report *report, struct err *err);
void template_set_free(struct template_set *set);

/* Content hash (SHA-256, 64 hex digits) of everything the set was made from. */
const char *template_set_version(const struct template_set *set);

/* Keeps the set's files, byte for byte, below <archive>/<version>/, so that a message can be made again as it was sent. The archive
 * directory must exist; a version that is kept already stays as it is. 0, or -1 with *err. */
int template_set_keep(const struct template_set *set, const char *archive, struct err *err);

/* Makes a kept version the published one: <archive>/live becomes a link to it, in one step. 0, or -1 with *err: ERR_UNKNOWN where it is not
 * kept. */
int template_publish(const char *archive, const char *version, struct err *err);

/* The name of that link below the archive. */
#define TEMPLATE_LIVE "live"

/* Loads a kept version. NULL with *err: ERR_UNKNOWN where it is not kept, ERR_CONFLICT where its files are not what they were. */
struct template_set *template_set_load_kept(const char *archive, const char *version, struct err *err);

/* 1 where the set has the notice, else 0. */
int template_has(const struct template_set *set, const char *notice);

/* "info", "warning" or "critical"; NULL where the set does not have the notice. */
const char *template_severity(const struct template_set *set, const char *notice);

/* The locale that will be used for a customer's locale: exact, then language only ("en-GB" -> "en"), then any region of that
 * language; NULL where the notice has none of that language. `wanted` NULL gives the set's default locale ("en"). */
const char *template_locale(const struct template_set *set, const char *notice, const char *wanted);

struct template_values {
    const json_t *data;        /* the job's object, or NULL */
    const char *customer_name; /* {{name}}, or NULL: missing */
    const char *account;       /* {{account}}: masked by the engine, or NULL */
    const char *time_zone;     /* IANA, or NULL: UTC */
    int64_t effective_at_ms;   /* {{effective_at}} through the date helper; 0: missing */
    int64_t expires_at_ms;
    int64_t now_ms;
    const char *notice_id; /* {{reset_link}}: whom it is for, and the key that signs it; NULL: there is none */
    const char *customer_id;
    const void *reset_key;
    size_t reset_key_len;
};

/* Fills the words of `channel` into *message (subject, text, html, ..., notice, severity, version, locale, dir, asks_reset_key); other
 * members stay. Everything lives in `arena`. 0; -1 with *err: ERR_UNKNOWN (member "notice" or "customer.locale"), ERR_MEMBER with member
 * "data.<name>" for a missing or wrong value, ERR_LIMIT where the result is too long for the channel. */
int template_render(const struct template_set *set, const char *notice, const char *wanted_locale, enum channel_id channel,
                    const struct template_values *given, struct arena *arena, struct message *message, struct err *err);

/* Whether a message of this set keeps to what its notice allows on that channel (an SMS: sms_segments_max of notice.yaml or company.yaml).
 * The checks of a set and the sending ask the same question: 0, or -1 with *err ERR_LIMIT in plain words: it must not be sent. */
int template_fits(const struct template_set *set, const struct message *message, enum channel_id channel, struct err *err);

/* What the login page shows to somebody who has this notice and is not signed in: the company's own words, title, text, html, link (its
 * check page), severity, locale and dir, and nothing that comes from the customer or the job. 1; 0 where the set has no such words; -1 with
 * *err. */
int template_render_login(const struct template_set *set, const char *notice, const char *wanted_locale, struct arena *arena,
                          struct message *message, struct err *err);

#endif
