/* render: a message out of a loaded set; the second half of template.h.
 *
 * The parts of a message are made in a fixed order (the subject before the HTML, whose title it is) by one table, whatever the
 * channel: a channel's words simply have some of the parts and not others.
 *
 * Guarantees: all or nothing: on failure *message is untouched. The same set, values and time give the same bytes. Memory is the
 * caller's arena. Fails: ERR_UNKNOWN, ERR_MEMBER, ERR_LIMIT, ERR_MEMORY; the text never holds a value.
 * Does not: read files, the clock or anything global. */
#include "templates/set.h"

#include "base/sms_text.h"
#include "templates/values.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct part_row {
    size_t offset; /* in struct message */
    size_t max_bytes;
    const char *what;
};

static const struct part_row parts[PART_COUNT] = {
    [PART_SUBJECT] = {offsetof(struct message, subject), 500, "subject"},
    [PART_PREHEADER] = {offsetof(struct message, preheader), 1000, "preheader"},
    [PART_FROM] = {offsetof(struct message, from_name), 200, "sender's name"},
    [PART_FROM_ADDRESS] = {offsetof(struct message, from_address), 254, "sender's address"},
    [PART_REPLY_TO] = {offsetof(struct message, reply_to), 254, "address for answers"},
    [PART_TITLE] = {offsetof(struct message, title), 500, "title"},
    [PART_LINK] = {offsetof(struct message, link), 2048, "link"},
    [PART_TEXT] = {offsetof(struct message, text), 32768, "text"},
    [PART_HTML] = {offsetof(struct message, html), 65536, "HTML"},
};

enum {
    PUSH_MAX_BYTES = 3500, /* what FCM, APNs and Web Push carry, less their own members */
    SMS_MAX_SEGMENTS = 10  /* what telephones put together again without fail */
};

/* ---- look-ups ------------------------------------------------------------------------------------------------------ */
static int compare_notice(const void *key, const void *item) {
    const struct notice_words *notice = item;
    return strcmp(key, notice->name);
}

const struct notice_words *set_notice(const struct template_set *set, const char *name) {
    return set->n_notices == 0 ? NULL : bsearch(name, set->notices, set->n_notices, sizeof *set->notices, compare_notice);
}

const struct locale_frame *set_frame(const struct template_set *set, const char *locale) {
    for (size_t i = 0; i < set->n_frames; i++) {
        if (strcmp(set->frames[i].locale, locale) == 0) {
            return &set->frames[i];
        }
    }
    return NULL;
}

const char *template_set_version(const struct template_set *set) {
    return set->version;
}

int template_has(const struct template_set *set, const char *notice) {
    return set_notice(set, notice) != NULL;
}

const char *template_severity(const struct template_set *set, const char *notice) {
    const struct notice_words *words = set_notice(set, notice);
    return words == NULL ? NULL : words->severity;
}

static const struct locale_words *exact_locale(const struct notice_words *notice, const char *wanted, size_t len) {
    for (size_t i = 0; i < notice->n_locales; i++) {
        if (strlen(notice->locales[i].locale) == len && strncasecmp(notice->locales[i].locale, wanted, len) == 0) {
            return &notice->locales[i];
        }
    }
    return NULL;
}

static const struct locale_words *same_language(const struct notice_words *notice, const char *wanted) {
    size_t language = strcspn(wanted, "-_"); /* some systems write en_GB */
    for (size_t i = 0; i < notice->n_locales; i++) {
        const char *locale = notice->locales[i].locale;
        if (strcspn(locale, "-") == language && strncasecmp(locale, wanted, language) == 0) {
            return &notice->locales[i];
        }
    }
    return NULL;
}

/* Exact, then with one subtag less at a time ("zh-Hant-TW", "zh-Hant", "zh"), then any of the language. */
static const struct locale_words *find_locale(const struct notice_words *notice, const char *wanted) {
    size_t len = strlen(wanted);
    while (len > 0) {
        const struct locale_words *found = exact_locale(notice, wanted, len);
        if (found != NULL) {
            return found;
        }
        const char *dash = memrchr(wanted, '-', len);
        len = dash == NULL ? 0 : (size_t)(dash - wanted);
    }
    return same_language(notice, wanted);
}

const char *template_locale(const struct template_set *set, const char *notice, const char *wanted) {
    const struct notice_words *found = set_notice(set, notice);
    const struct locale_words *locale = found == NULL ? NULL : find_locale(found, wanted == NULL ? set->company.default_locale : wanted);
    return locale == NULL ? NULL : locale->locale;
}

/* ---- rendering ----------------------------------------------------------------------------------------------------- */
/* ERR_UNKNOWN instead of the code that err_member() gave. Returns -1. */
static int unknown(struct err *err) {
    if (err != NULL) {
        err->code = ERR_UNKNOWN;
    }
    return -1;
}

/* Everything but the slots, which are many and filled one by one. */
static int values_init(struct values *values, const struct template_set *set, const char *notice, const char *wanted, struct err *err) {
    values->ready = 0;
    values->subject = NULL;
    values->preheader = NULL;
    values->set = set;
    values->notice = set_notice(set, notice);
    if (values->notice == NULL) {
        (void)err_member(err, "notice", "there is no notice called \"%.80s\"", notice);
        return unknown(err);
    }
    const char *locale = wanted == NULL ? set->company.default_locale : wanted;
    values->locale = find_locale(values->notice, locale);
    if (values->locale == NULL) {
        (void)err_member(err, "customer.locale", "there are no words in the language \"%.40s\" for the notice %.80s", locale, notice);
        return unknown(err);
    }
    values->frame = set_frame(set, values->locale->locale);
    values->date_locale = locale;
    return 0;
}

/* Blank lines at the end go: a section that was left out may have left some. */
static size_t trimmed(const struct buf *out) {
    size_t len = out->len;
    while (len > 0 && (out->data[len - 1] == '\n' || out->data[len - 1] == ' ')) {
        len--;
    }
    return len;
}

static int make_text(struct values *values, const struct program *program, enum part part, const char **text_r, struct err *err) {
    const struct program_env env = {.ctx = values, .arena = values->arena, .root = values_root, .clean = values_clean, .call = values_call};
    struct buf *out = values->set->scratch;
    buf_reset(out);
    if (program_run(program, &env, out, err) < 0) {
        return -1;
    }
    size_t len = trimmed(out);
    if (len > parts[part].max_bytes) {
        return err_set(err, ERR_LIMIT, "the %s is %zu bytes long; at most %zu are allowed", parts[part].what, len, parts[part].max_bytes);
    }
    *text_r = arena_strndup(values->arena, out->data == NULL ? "" : out->data, len);
    return *text_r == NULL ? err_no_memory(err) : 0;
}

static int make_part(struct values *values, enum part part, const char **text_r, struct err *err) {
    bool in_layout = part == PART_HTML && values->words->content.n > 0;
    return make_text(values, in_layout ? &values->frame->layout : &values->words->part[part], part, text_r, err);
}

static int make_parts(struct values *values, const char *made[PART_COUNT], struct err *err) {
    for (int part = 0; part < PART_COUNT; part++) {
        if (values->words->has[part] && make_part(values, (enum part)part, &made[part], err) < 0) {
            return -1;
        }
        values->subject = made[PART_SUBJECT];
        values->preheader = made[PART_PREHEADER];
    }
    return 0;
}

static size_t length(const char *text) {
    return text == NULL ? 0 : strlen(text);
}

/* The notice's own limit is looked at apart, by template_fits(). */
static int check_sms(const char *const made[PART_COUNT], struct err *err) {
    struct sms_count count = sms_count(made[PART_TEXT], strlen(made[PART_TEXT]));
    if (count.segments > SMS_MAX_SEGMENTS) {
        return err_set(err, ERR_LIMIT, "the SMS takes %zu segments; at most %d are allowed", count.segments, SMS_MAX_SEGMENTS);
    }
    return 0;
}

static int check_push(const char *const made[PART_COUNT], struct err *err) {
    size_t len = length(made[PART_TITLE]) + length(made[PART_TEXT]) + length(made[PART_LINK]);
    return len <= PUSH_MAX_BYTES
               ? 0
               : err_set(err, ERR_LIMIT, "the push message is %zu bytes long; at most %d are allowed", len, PUSH_MAX_BYTES);
}

/* What a channel cannot carry. */
static int (*const check_channel[CHANNEL_COUNT])(const char *const made[PART_COUNT], struct err *err) = {
    [CHANNEL_SMS] = check_sms,
    [CHANNEL_PUSH] = check_push,
};

/* Nothing in a message points into the set: it may be replaced while the message is on its way. 0, or -1 with *err. */
static int set_message(const struct values *values, const char *const made[PART_COUNT], struct message *message, struct err *err) {
    const char *notice = arena_strdup(values->arena, values->notice->name);
    const char *version = arena_strdup(values->arena, values->set->version);
    const char *locale = arena_strdup(values->arena, values->locale->locale);
    if (notice == NULL || version == NULL || locale == NULL) {
        return err_no_memory(err);
    }
    for (int part = 0; part < PART_COUNT; part++) {
        memcpy((char *)message + parts[part].offset, &made[part], sizeof made[part]);
    }
    message->notice = notice;
    message->severity = values->notice->severity; /* a constant */
    message->version = version;
    message->locale = locale;
    message->dir = values->locale->right_to_left ? "rtl" : "ltr";
    message->asks_reset_key = values->set->company.reset_link.url != NULL && (values->ready >> BUILTIN_RESET_LINK & 1) != 0;
    return 0;
}

int template_render(const struct template_set *set, const char *notice, const char *wanted_locale, enum channel_id channel,
                    const struct template_values *given, struct arena *arena, struct message *message, struct err *err) {
    struct values values;
    values.given = given;
    values.arena = arena;
    values.channel = channel;
    const char *made[PART_COUNT] = {NULL};
    if (values_init(&values, set, notice, wanted_locale, err) < 0) {
        return -1;
    }
    values.words = &values.locale->words[channel];
    if (values_check(&values, err) < 0 || make_parts(&values, made, err) < 0 ||
        (check_channel[channel] != NULL && check_channel[channel](made, err) < 0)) {
        return -1;
    }
    return set_message(&values, made, message, err);
}

int template_fits(const struct template_set *set, const struct message *message, enum channel_id channel, struct err *err) {
    const struct notice_words *notice = channel == CHANNEL_SMS ? set_notice(set, message->notice) : NULL;
    if (notice == NULL || message->text == NULL) {
        return 0;
    }
    struct sms_count count = sms_count(message->text, strlen(message->text));
    size_t max = (size_t)notice->sms_segments_max;
    size_t room = max == 1 ? (count.ucs2 ? 70 : 160) : max * (count.ucs2 ? 67 : 153);
    if (count.segments <= max) {
        return 0;
    }
    return err_set(err, ERR_LIMIT, "this SMS is %zu messages long (%zu %s); %zu %s allowed: shorten it by about %zu characters",
                   count.segments, count.units, count.ucs2 ? "characters of the large alphabet" : "characters", max,
                   max == 1 ? "is" : "are", count.units > room ? count.units - room : 1);
}

int template_render_login(const struct template_set *set, const char *notice, const char *wanted_locale, struct arena *arena,
                          struct message *message, struct err *err) {
    static const struct template_values nobody;
    struct values values;
    const char *made[PART_COUNT] = {NULL};
    values.given = &nobody;
    values.arena = arena;
    values.channel = CHANNEL_BANNER;
    if (values_init(&values, set, notice, wanted_locale, err) < 0) {
        return -1;
    }
    values.words = &values.locale->words[CHANNEL_BANNER];
    if (values.frame->login_text.n == 0) {
        return 0;
    }
    if (make_text(&values, &values.frame->login_title, PART_TITLE, &made[PART_TITLE], err) < 0 ||
        make_text(&values, &values.frame->login_text, PART_TEXT, &made[PART_TEXT], err) < 0 ||
        make_text(&values, &values.frame->login_html, PART_HTML, &made[PART_HTML], err) < 0) {
        return -1;
    }
    made[PART_HTML] = arena_printf(arena, "<p>%s</p>", made[PART_HTML]);
    made[PART_LINK] = arena_strdup(arena, set->company.check_url);
    if (made[PART_HTML] == NULL || made[PART_LINK] == NULL) {
        return err_no_memory(err);
    }
    return set_message(&values, made, message, err) < 0 ? -1 : 1;
}
