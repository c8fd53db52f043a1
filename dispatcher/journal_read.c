/* journal_read: what the two files hold, found again by token and by notice.
 *
 *   both files ──▶ lines that are whole ──▶ one struct journal_line a token: the intent, the answer, or both ──▶ by notice
 *
 * Read at each connection to Redis, and when a change turns out to be stale or is refused (then for its notices alone, since what is found
 * and not dealt with is written over whenever the files take turns): only then anybody asks. What is found is what the files said then. The
 * line of an answer says itself which attempt it is, so it needs no other one; an answer that a gateway's own file has kept (a killed
 * mailer's) does not, there the line of the intent tells.
 *
 * How it fails: for want of memory nothing is found, which is told. Does not: write. */
#include "dispatcher/journal_inside.h"

#include "base/log.h"
#include "dispatcher/core/hash.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

void journal_drop_lines(struct journal *journal) {
    HASH_CLEAR(hh, journal->lines);
    HASH_CLEAR(hh, journal->notices);
    free(journal->block);
    free(journal->notices_block);
    free(journal->text);
    journal->block = NULL;
    journal->notices_block = NULL;
    journal->text = NULL;
}

/* ---- the files ----------------------------------------------------------------------------------------------------- */

/* Both files one behind the other, ended by NUL. 0, or -1. */
static int read_files(struct journal *journal, size_t *len_r) {
    size_t cap = (size_t)(journal->files[0].size + journal->files[1].size), len = 0;
    journal->text = malloc(cap + 3);
    for (int i = 0; journal->text != NULL && i < JOURNAL_FILES; i++) {
        size_t end = len + (size_t)journal->files[i].size;
        off_t at = 0;
        while (len < end) {
            ssize_t got = pread(journal->files[i].fd, journal->text + len, end - len, at);
            if (got <= 0) {
                break;
            }
            len += (size_t)got;
            at += got;
        }
        journal->text[len++] = '\n'; /* a torn last line ends here */
    }
    if (journal->text != NULL) {
        journal->text[len] = '\0';
    }
    *len_r = len;
    return journal->text == NULL ? -1 : 0;
}

static bool read_hex(const char *at, uint64_t *value_r) {
    char *end = NULL;
    char digits[JOURNAL_HEX + 1];
    memcpy(digits, at, JOURNAL_HEX);
    digits[JOURNAL_HEX] = '\0';
    *value_r = strtoull(digits, &end, 16);
    return end == digits + JOURNAL_HEX && at[JOURNAL_HEX] == ' ';
}

/* One whole line, taken apart in place. */
struct whole {
    uint64_t fence;
    const char *id;
    const char *json;
};

/* False where the `len` bytes are not whole. */
static bool take_apart(char *text, size_t len, struct whole *line) {
    uint64_t sum = 0;
    if (len <= JOURNAL_HEAD || !read_hex(text, &sum) || !read_hex(text + JOURNAL_HEX + 1, &line->fence) ||
        sum != hash_bytes(text + JOURNAL_HEX + 1, len - JOURNAL_HEX - 1)) {
        return false;
    }
    char *blank = memchr(text + JOURNAL_HEAD, ' ', len - JOURNAL_HEAD);
    if (blank == NULL) {
        return false;
    }
    *blank = '\0';
    text[len] = '\0';
    line->id = text + JOURNAL_HEAD;
    line->json = blank + 1;
    return true;
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        n++;
    }
    return n;
}

/* Bytes that say NUL (a block that a power failure left empty) must not end the reading. */
static void mend_nul(char *text, size_t len) {
    for (char *at = text; (at = memchr(at, '\0', len - (size_t)(at - text))) != NULL;) {
        *at = '?';
    }
}

/* Adds `line`, which nobody has found yet, to its notice. */
static void link_to_notice(struct journal *journal, struct journal_line *line, size_t *n_notices) {
    HASH_FIND_STR(journal->notices, line->id, line->notice);
    if (line->notice == NULL) {
        line->notice = &journal->notices_block[(*n_notices)++];
        line->notice->id = line->id;
        HASH_ADD_KEYPTR(hh, journal->notices, line->notice->id, strlen(line->notice->id), line->notice);
    }
    DL_APPEND(line->notice->lines, line);
}

static bool is_intent(const char *json) {
    static const char start[] = "{\"kind\":3"; /* OUTCOME_UNKNOWN, as put_json() has it */
    return strncmp(json, start, sizeof start - 1) == 0;
}

/* What the lines say, by token and by notice. Returns how many were damaged. */
static size_t read_lines(struct journal *journal, size_t len, size_t *n_r) {
    size_t n_notices = 0, damaged = 0;
    for (char *at = journal->text, *end; (end = memchr(at, '\n', len - (size_t)(at - journal->text))) != NULL; at = end + 1) {
        struct whole whole;
        struct journal_line *line = NULL;
        if (!take_apart(at, (size_t)(end - at), &whole)) {
            damaged += end > at;
            continue;
        }
        HASH_FIND(hh, journal->lines, &whole.fence, sizeof whole.fence, line);
        if (line == NULL) {
            line = &journal->block[(*n_r)++];
            line->fence = whole.fence;
            line->id = whole.id;
            HASH_ADD(hh, journal->lines, fence, sizeof line->fence, line);
            link_to_notice(journal, line, &n_notices);
        }
        const char **place = is_intent(whole.json) ? &line->intent : &line->answer;
        *place = *place == NULL && strcmp(line->id, whole.id) == 0 ? whole.json : *place;
    }
    return damaged;
}

size_t journal_load(struct journal *journal) {
    size_t len = 0, n = 0;
    if (journal == NULL) {
        return 0;
    }
    journal_flush(journal);
    journal_drop_lines(journal);
    journal->loaded = true;
    if (read_files(journal, &len) < 0) {
        log_error("journal: no memory to read it");
        return 0;
    }
    mend_nul(journal->text, len);
    size_t cap = count_lines(journal->text) + 1;
    journal->block = calloc(cap, sizeof *journal->block);
    journal->notices_block = calloc(cap, sizeof *journal->notices_block);
    if (journal->block == NULL || journal->notices_block == NULL) {
        log_error("journal: no memory to read it");
        return 0;
    }
    size_t damaged = read_lines(journal, len, &n);
    if (damaged > 0) {
        log_warning("journal: %zu lines were torn or damaged and are left out", damaged);
    }
    return n;
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

size_t journal_ids(const struct journal *journal, const char **ids_r, uint64_t *fences_r) {
    size_t n = 0;
    const struct journal_line *line, *next;
    if (journal == NULL) {
        return 0;
    }
    HASH_ITER(hh, journal->lines, line, next) {
        ids_r[n] = line->id;
        fences_r[n++] = line->fence;
    }
    return n;
}

static struct journal_line *find_line(const struct journal *journal, uint64_t fence) {
    struct journal_line *line = NULL;
    if (journal != NULL) {
        HASH_FIND(hh, journal->lines, &fence, sizeof fence, line);
    }
    return line;
}

static void copy_text(char *out, size_t cap, const json_t *root, const char *name) {
    const char *text = json_string_value(json_object_get(root, name));
    (void)snprintf(out, cap, "%s", text == NULL ? "" : text);
}

/* 1 and the answer that the line tells; 0 where it tells none. */
static int read_answer(const json_t *root, struct outcome *outcome_r) {
    json_int_t kind = json_integer_value(json_object_get(root, "kind"));
    json_int_t blame = json_integer_value(json_object_get(root, "blame"));
    if (!json_is_object(root) || kind < OUTCOME_SENT || kind >= OUTCOME_UNKNOWN || blame < BLAME_NONE || blame > BLAME_ACCOUNT) {
        return 0;
    }
    *outcome_r = (struct outcome){.kind = (enum outcome_kind)kind,
                                  .blame = (enum outcome_blame)blame,
                                  .retry_after_ms = json_integer_value(json_object_get(root, "retry_after_ms"))};
    copy_text(outcome_r->code, sizeof outcome_r->code, root, "code");
    copy_text(outcome_r->ref, sizeof outcome_r->ref, root, "ref");
    (void)snprintf(outcome_r->reason, sizeof outcome_r->reason, "the gateway had answered; Redis was away before it was recorded");
    return 1;
}

static json_t *parse(const char *json) {
    return json == NULL ? NULL : json_loads(json, 0, NULL);
}

int journal_find(const struct journal *journal, const char *id, uint64_t fence, struct outcome *outcome_r) {
    const struct journal_line *line = find_line(journal, fence);
    json_t *root = line == NULL || strcmp(line->id, id) != 0 ? NULL : parse(line->answer);
    int found = read_answer(root, outcome_r);
    json_decref(root);
    return found;
}

/* Whether the JSON says which attempt it is; then *attempt_r has it. */
static bool read_attempt(const json_t *root, struct arena *arena, struct journal_attempt *attempt_r) {
    attempt_r->digest = arena_strdup(arena, json_string_value(json_object_get(root, "d")));
    attempt_r->contact_key = arena_strdup(arena, json_string_value(json_object_get(root, "k")));
    attempt_r->channel = arena_strdup(arena, json_string_value(json_object_get(root, "ch")));
    attempt_r->gateway = arena_strdup(arena, json_string_value(json_object_get(root, "g")));
    attempt_r->step = (uint32_t)json_integer_value(json_object_get(root, "s"));
    attempt_r->number = (uint32_t)json_integer_value(json_object_get(root, "n"));
    attempt_r->early_warning = json_is_true(json_object_get(root, "ew"));
    return attempt_r->digest != NULL && attempt_r->contact_key != NULL && attempt_r->channel != NULL && attempt_r->gateway != NULL;
}

/* False where nothing went out, or the line does not say at which attempt. */
static bool read_known(const struct journal_line *line, struct arena *arena, struct journal_known *known_r) {
    json_t *answer = parse(line->answer), *intent = parse(line->intent);
    *known_r = (struct journal_known){.is_open = answer == NULL};
    bool may_be_out = answer == NULL || (read_answer(answer, &known_r->outcome) == 1 && known_r->outcome.kind == OUTCOME_SENT);
    bool told = may_be_out && (read_attempt(answer, arena, &known_r->attempt) || read_attempt(intent, arena, &known_r->attempt));
    known_r->attempt.fence = line->fence;
    known_r->attempt.id = told ? arena_strdup(arena, line->id) : NULL;
    json_decref(answer);
    json_decref(intent);
    return known_r->attempt.id != NULL;
}

static int by_token(const void *a, const void *b) {
    uint64_t one = ((const struct journal_known *)a)->attempt.fence, other = ((const struct journal_known *)b)->attempt.fence;
    return one < other ? -1 : one > other;
}

size_t journal_attempts(const struct journal *journal, const char *id, struct journal_known *known_r, size_t cap, struct arena *arena) {
    const struct journal_notice *notice = NULL;
    const struct journal_line *line;
    size_t n = 0;
    if (journal != NULL) {
        HASH_FIND_STR(journal->notices, id, notice);
    }
    if (notice == NULL) {
        return 0;
    }
    DL_FOREACH(notice->lines, line) {
        n += n < cap && read_known(line, arena, &known_r[n]);
    }
    qsort(known_r, n, sizeof *known_r, by_token);
    return n;
}

static void forget(struct journal *journal, struct journal_line *line) {
    DL_DELETE(line->notice->lines, line);
    if (line->notice->lines == NULL) {
        HASH_DEL(journal->notices, line->notice);
    }
    HASH_DEL(journal->lines, line);
}

void journal_forget(struct journal *journal, uint64_t fence) {
    struct journal_line *line = find_line(journal, fence);
    if (line != NULL) {
        forget(journal, line);
    }
}

void journal_forget_notice(struct journal *journal, const char *id) {
    struct journal_notice *notice = NULL;
    if (journal != NULL && journal->notices != NULL) {
        HASH_FIND_STR(journal->notices, id, notice);
    }
    struct journal_line *line = notice == NULL ? NULL : notice->lines, *after;
    for (; line != NULL; line = after) {
        after = line->next;
        forget(journal, line);
    }
}

/* ---- for some notices alone ---------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Drops what was neither there before nor belongs to one of these notices. */
static void keep_only(struct journal *journal, struct journal_line *before, const char **ids, size_t n) {
    struct journal_line *line, *next;
    HASH_ITER(hh, journal->lines, line, next) {
        const struct journal_line *known = NULL;
        HASH_FIND(hh, before, &line->fence, sizeof line->fence, known);
        if (known == NULL && bsearch(&line->id, ids, n, sizeof *ids, by_text) == NULL) {
            forget(journal, line);
        }
    }
}

void journal_recall(struct journal *journal, const char **ids, size_t n) {
    if (journal == NULL || n == 0) {
        return;
    }
    struct journal before = {.lines = journal->lines,
                             .block = journal->block,
                             .notices = journal->notices,
                             .notices_block = journal->notices_block,
                             .text = journal->text};
    journal->lines = journal->block = NULL;
    journal->notices = journal->notices_block = NULL;
    journal->text = NULL;
    bool was_loaded = journal->loaded;
    (void)journal_load(journal);
    if (was_loaded) {
        qsort(ids, n, sizeof *ids, by_text);
        keep_only(journal, before.lines, ids, n);
    }
    journal_drop_lines(&before);
}
