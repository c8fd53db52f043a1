/* lint_rendered: see lint_rendered.h.
 *
 * What only a finished message shows: its length. A message is made four ways, since a section may make it longer either way; the longest
 * counts.
 *
 * Does not: judge words (lint_text.c). */
#include "templates/lint_rendered.h"

#include "base/sms_text.h"
#include "templates/example.h"
#include "templates/report.h"

#include <string.h>
#include <unicode/utf8.h>

enum { SUBJECT_MAX = 78, TITLE_MAX = 65, PUSH_BODY_MAX = 240, PREHEADER_MAX = 140 };

struct lint {
    const struct template_set *set;
    const struct notice_words *notice;
    const struct locale_words *locale;
    struct template_report *report;
};

/* ---- SMS ----------------------------------------------------------------------------------------------------------- */
static const char *character_name(const char *text, size_t len, char *out, size_t cap) {
    static const struct {
        const char *bytes;
        const char *name;
    } known[] = {
        {"\xe2\x80\x98", "curly quote"}, {"\xe2\x80\x99", "curly quote"},        {"\xe2\x80\x9c", "curly quote"},
        {"\xe2\x80\x9d", "curly quote"}, {"\xe2\x80\x9e", "curly quote"},        {"\xe2\x80\x93", "long dash"},
        {"\xe2\x80\x94", "long dash"},   {"\xe2\x80\xa6", "ellipsis"},           {"\xc2\xa0", "non-breaking space"},
        {"\xe2\x80\xa2", "bullet"},      {"\xe2\x80\xaf", "non-breaking space"}, {"`", "backtick"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].bytes) == len && memcmp(known[i].bytes, text, len) == 0) {
            return known[i].name;
        }
    }
    (void)snprintf(out, cap, "character \"%.*s\"", (int)len, text);
    return out;
}

static int line_of(const char *text, const char *bytes, size_t len) {
    const char *at = memmem(text, strlen(text), bytes, len);
    int line = 1;
    for (const char *p = text; at != NULL && p < at; p++) {
        line += *p == '\n';
    }
    return at == NULL ? 0 : line;
}

/* The count with every character outside the alphabet replaced by one inside it. */
static struct sms_count count_replaced(const char *text, size_t *replaced_r) {
    struct buf plain = BUF_INIT;
    const char *rest = text;
    struct sms_count count = sms_count(rest, strlen(rest));
    *replaced_r = 0;
    while (count.ucs2) {
        buf_put(&plain, rest, count.first_ucs2_at);
        buf_putc(&plain, 'x');
        rest += count.first_ucs2_at + count.first_ucs2_len;
        count = sms_count(rest, strlen(rest));
        ++*replaced_r;
    }
    buf_puts(&plain, rest);
    count = buf_str(&plain) == NULL ? count : sms_count(plain.data, plain.len);
    buf_fini(&plain);
    return count;
}

/* A single character outside the alphabet makes every character twice as expensive. In a language that needs such letters anyway there is
 * nothing to mend. */
static void lint_alphabet(const struct lint *lint, const struct words *words, const char *text, const struct sms_count *count) {
    char name[40];
    size_t replaced = 0;
    struct sms_count plain = count_replaced(text, &replaced);
    const char *at = text + count->first_ucs2_at;
    if (!count->ucs2 || plain.segments >= count->segments || replaced > 5) {
        return;
    }
    int line = line_of(words->text, at, count->first_ucs2_len);
    const char *called = character_name(at, count->first_ucs2_len, name, sizeof name);
    if (line == 0) {
        (void)report_error(lint->report, words->file, 0,
                           "the %s that a value brings in makes this %zu messages instead of %zu; leave that value out of the SMS", called,
                           count->segments, plain.segments);
        return;
    }
    (void)report_error(lint->report, words->file, line,
                       "the %s on line %d makes this %zu messages instead of %zu; write it with plain characters", called, line,
                       count->segments, plain.segments);
}

static void lint_sms(const struct lint *lint, const struct words *words, const struct message *longest) {
    struct sms_count count = sms_count(longest->text, strlen(longest->text));
    struct err err;
    lint_alphabet(lint, words, longest->text, &count);
    if (template_fits(lint->set, longest, CHANNEL_SMS, &err) < 0) {
        (void)report_error(lint->report, words->file, 0, "with the example values %s", err.text);
    }
}

/* ---- the other channels -------------------------------------------------------------------------------------------- */
static size_t characters(const char *text) {
    size_t n = 0;
    for (; text != NULL && *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static void lint_length(const struct lint *lint, const struct words *words, const char *what, const char *text, size_t max) {
    size_t n = characters(text);
    if (n > max) {
        (void)report_advice(lint->report, words->file, 0,
                            "the %s is %zu characters long; after about %zu it is cut off on the reader's screen", what, n, max);
    }
}

static void lint_email(const struct lint *lint, const struct words *words, const struct message *longest) {
    lint_length(lint, words, "subject", longest->subject, SUBJECT_MAX);
    lint_length(lint, words, "preheader", longest->preheader, PREHEADER_MAX);
    if (longest->preheader == NULL) {
        (void)report_advice(lint->report, words->file, 1,
                            "there is no preheader; without one, inboxes show the first words of the mail behind the subject");
    }
}

static void lint_push(const struct lint *lint, const struct words *words, const struct message *longest) {
    lint_length(lint, words, "title", longest->title, TITLE_MAX);
    lint_length(lint, words, "text", longest->text, PUSH_BODY_MAX);
}

static void lint_banner(const struct lint *lint, const struct words *words, const struct message *longest) {
    lint_length(lint, words, "title", longest->title, TITLE_MAX);
}

static void (*const lint_channel[CHANNEL_COUNT])(const struct lint *lint, const struct words *words, const struct message *longest) = {
    [CHANNEL_EMAIL] = lint_email,
    [CHANNEL_SMS] = lint_sms,
    [CHANNEL_PUSH] = lint_push,
    [CHANNEL_BANNER] = lint_banner,
};

/* ---- making them --------------------------------------------------------------------------------------------------- */
/* 0, or -1 with a finding. */
static int make(const struct lint *lint, const struct words *words, enum channel_id channel, bool all, bool in_force, struct arena *arena,
                struct message *message) {
    struct err err = {0};
    json_t *data = example_data(lint->notice, all);
    struct template_values values = example_values(data, all, in_force);
    int rc = data == NULL ? err_no_memory(&err)
                          : template_render(lint->set, lint->notice->name, lint->locale->locale, channel, &values, arena, message, &err);
    json_decref(data);
    if (rc < 0 && err.code == ERR_MEMBER) {
        return report_error(lint->report, lint->notice->where.file, 0, "with its example, %s; mend the example", err.text);
    }
    return rc == 0 ? 0 : report_error(lint->report, words->file, 0, "with the example values, %s; shorten it", err.text);
}

static void lint_one(const struct lint *lint, enum channel_id channel) {
    struct arena arena = ARENA_INIT;
    const struct words *words = &lint->locale->words[channel];
    struct message longest = {0};
    for (int way = 0; way < 4; way++) {
        struct message message = {0};
        if (make(lint, words, channel, (way & 1) == 0, (way & 2) == 0, &arena, &message) < 0) {
            arena_fini(&arena);
            return;
        }
        if (longest.text == NULL || characters(message.text) > characters(longest.text)) {
            longest = message;
        }
    }
    lint_channel[channel](lint, words, &longest);
    arena_fini(&arena);
}

void lint_rendered(const struct template_set *set, const struct notice_words *notice, struct template_report *report) {
    for (size_t i = 0; i < notice->n_locales; i++) {
        struct lint lint = {.set = set, .notice = notice, .locale = &notice->locales[i], .report = report};
        for (int channel = 0; channel < CHANNEL_COUNT; channel++) {
            lint_one(&lint, (enum channel_id)channel);
        }
    }
}
