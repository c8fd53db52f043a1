/* rule: the peer's book of misbehaviour.
 *
 * A rule says when (channel, recipient pattern, path pattern, phase, the how-manieth time) and what (reply, delay, drop, garble,
 * truncate, hang, close). The first rule that fits decides. "How many times" is counted per rule, or per rule and recipient, so
 * that "451 the first time, then fine" can be said for a thousand mailboxes with one rule.
 *
 * A set is replaced as a whole (POST /_control) and never edited; a conversation that is in the middle of a delayed action
 * holds a reference, so the old set lives until the last one is through.
 *
 * Guarantees: the same conversations in the same order meet the same actions; there is no chance in here. A member that is
 * unknown, missing or out of range is refused with its path. Does not know SMTP or HTTP: it only names their phases.
 */
#include "tests/support/peer/rule.h"

#include "base/json.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_MAX = 10000, RULES_TEXT_MAX_BYTES = 8 << 20, GARBLE_MAX_BYTES = 64 << 20 };

struct rule {
    const char *channel;   /* NULL: any */
    const char *recipient; /* glob; NULL: any */
    const char *path;      /* glob; NULL: any */
    enum peer_phase phase;
    int64_t nth, first, every; /* 0: not said */
    bool per_recipient;
    struct peer_action action;
    int64_t seen, hits;
    json_t *seen_by; /* recipient -> times seen, for per_recipient */
};

struct rules {
    unsigned refs;
    json_t *root; /* owns every string */
    struct rule *items;
    size_t n;
};

#define PHASE_NAME(id, name) name,
static const char *const phase_names[] = {PEER_PHASE_LIST(PHASE_NAME)};
#define ACTION_NAME(id, name) name,
static const char *const action_names[] = {PEER_ACTION_LIST(ACTION_NAME)};

const struct peer_action peer_action_none = {.kind = ACTION_NONE};

const char *peer_phase_name(enum peer_phase phase) {
    return phase_names[phase];
}

const char *peer_action_name(enum peer_action_kind kind) {
    return action_names[kind];
}

/* The index of member `name` in `names`; fails the walk where it is none of them. */
static size_t read_choice(struct json_in *in, const char *name, const char *const *names, size_t n) {
    const char *value = json_in_string(in, name, JSON_REQUIRED, 32);
    for (size_t i = 0; value != NULL && i < n; i++) {
        if (strcmp(value, names[i]) == 0) {
            return i;
        }
    }
    if (value != NULL) {
        (void)json_in_fail(in, name, "\"%s\" is none of the known ones (see README.md)", value);
    }
    return 0;
}

/* Bytes to send may hold CR, LF and NUL, which a checked string may not: they are read from the raw value. */
static void read_bytes(struct json_in *in, const char *name, const char **text_r, size_t *len_r) {
    json_t *value = json_in_any(in, name, JSON_OPTIONAL);
    if (value == NULL) {
        return;
    }
    if (!json_is_string(value)) {
        (void)json_in_fail(in, name, "must be a string");
        return;
    }
    *text_r = json_string_value(value);
    *len_r = json_string_length(value);
}

static void read_action(struct json_in *in, struct peer_action *action) {
    size_t text_len = 0;
    action->kind = (enum peer_action_kind)read_choice(in, "action", action_names, ACTION_COUNT);
    action->code = (int)json_in_int(in, "code", JSON_OPTIONAL, 100, 599, 0);
    read_bytes(in, "text", &action->text, &text_len);
    action->headers = json_in_object(in, "headers", JSON_OPTIONAL);
    action->delay_ms = json_in_int(in, "delay_ms", JSON_OPTIONAL, 0, 3600000, 0);
    read_bytes(in, "bytes", &action->bytes, &action->bytes_len);
    action->repeat = json_in_int(in, "repeat", JSON_OPTIONAL, 1, GARBLE_MAX_BYTES, 1);
    action->at = json_in_int(in, "at", JSON_OPTIONAL, 0, GARBLE_MAX_BYTES, 0);
    action->reset = json_in_bool(in, "reset", false);
    json_t *store = json_in_any(in, "store", JSON_OPTIONAL);
    action->store = store == NULL ? STORE_BY_CODE : json_is_true(store) ? STORE_YES : STORE_NO;
    if (action->kind == ACTION_REPLY && action->code == 0) {
        (void)json_in_fail(in, "code", "is needed for the action reply");
    }
    if (action->kind == ACTION_DELAY && action->delay_ms == 0) {
        (void)json_in_fail(in, "delay_ms", "is needed for the action delay");
    }
    if ((uint64_t)action->bytes_len * (uint64_t)action->repeat > GARBLE_MAX_BYTES) {
        (void)json_in_fail(in, "repeat", "makes more than %d bytes", GARBLE_MAX_BYTES);
    }
}

static int read_rule(json_t *value, const char *path, struct rule *rule, struct err *err) {
    struct json_in in;
    json_in_begin(&in, value, path, err);
    (void)json_in_string(&in, "why", JSON_OPTIONAL, 400); /* a remark for the reader of the file */
    rule->channel = json_in_string(&in, "channel", JSON_OPTIONAL, 32);
    rule->recipient = json_in_string(&in, "recipient", JSON_OPTIONAL, 400);
    rule->path = json_in_string(&in, "path", JSON_OPTIONAL, 400);
    rule->phase = (enum peer_phase)read_choice(&in, "phase", phase_names, PHASE_COUNT);
    rule->nth = json_in_int(&in, "nth", JSON_OPTIONAL, 1, INT32_MAX, 0);
    rule->first = json_in_int(&in, "first", JSON_OPTIONAL, 1, INT32_MAX, 0);
    rule->every = json_in_int(&in, "every", JSON_OPTIONAL, 1, INT32_MAX, 0);
    const char *per = json_in_string(&in, "per", JSON_OPTIONAL, 32);
    rule->per_recipient = per != NULL;
    if (per != NULL && strcmp(per, "recipient") != 0) {
        (void)json_in_fail(&in, "per", "can only be \"recipient\"");
    }
    read_action(&in, &rule->action);
    rule->action.phase = rule->phase;
    rule->seen_by = json_object();
    assert(rule->seen_by != NULL);
    return json_in_end(&in);
}

struct rules *rules_new(void) {
    struct rules *rules = calloc(1, sizeof *rules);
    assert(rules != NULL);
    rules->refs = 1;
    return rules;
}

static int read_all(struct rules *rules, json_t *list, struct err *err) {
    size_t n = json_array_size(list);
    if (n > RULES_MAX) {
        return err_member(err, "rules", "holds more than %d rules", RULES_MAX);
    }
    rules->items = calloc(n + 1, sizeof *rules->items);
    assert(rules->items != NULL);
    for (size_t i = 0; i < n; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "rules[%zu]", i);
        rules->n = i + 1;
        if (read_rule(json_array_get(list, i), path, &rules->items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

struct rules *rules_parse(const char *text, size_t len, struct err *err) {
    struct rules *rules = rules_new();
    struct json_in in;
    rules->root = json_parse_strict(text, len, RULES_TEXT_MAX_BYTES, err);
    if (rules->root == NULL) {
        goto fail;
    }
    json_in_begin(&in, rules->root, "", err);
    json_t *list = json_in_array(&in, "rules", JSON_REQUIRED);
    if (json_in_end(&in) != 0 || read_all(rules, list, err) != 0) {
        goto fail;
    }
    return rules;
fail:
    rules_unref(rules);
    return NULL;
}

struct rules *rules_read(const char *path, struct err *err) {
    struct rules *rules = NULL;
    FILE *file = fopen(path, "re");
    char *text = malloc(RULES_TEXT_MAX_BYTES);
    assert(text != NULL);
    if (file == NULL) {
        (void)err_system(err, path);
        goto out;
    }
    size_t len = fread(text, 1, RULES_TEXT_MAX_BYTES, file);
    if (ferror(file)) {
        (void)err_system(err, path);
        goto out;
    }
    rules = rules_parse(text, len, err);
    if (rules == NULL) {
        (void)err_prefix(err, path);
    }
out:
    if (file != NULL) {
        (void)fclose(file);
    }
    free(text);
    return rules;
}

struct rules *rules_ref(struct rules *rules) {
    rules->refs++;
    return rules;
}

void rules_unref(struct rules *rules) {
    if (rules == NULL || --rules->refs > 0) {
        return;
    }
    for (size_t i = 0; i < rules->n; i++) {
        json_decref(rules->items[i].seen_by);
    }
    free(rules->items);
    json_decref(rules->root);
    free(rules);
}

/* Whether the rule's patterns fit; *recipient_r is the one that did, "" where the rule does not ask for one. */
static bool rule_fits(const struct rule *rule, const struct peer_moment *moment, const char **recipient_r) {
    if (rule->phase != moment->phase || (rule->channel != NULL && strcmp(rule->channel, moment->channel) != 0)) {
        return false;
    }
    if (rule->path != NULL && (moment->path == NULL || fnmatch(rule->path, moment->path, 0) != 0)) {
        return false;
    }
    *recipient_r = moment->n_recipients > 0 ? moment->recipients[0] : "";
    if (rule->recipient == NULL) {
        return true;
    }
    for (size_t i = 0; i < moment->n_recipients; i++) {
        if (fnmatch(rule->recipient, moment->recipients[i], FNM_CASEFOLD) == 0) {
            *recipient_r = moment->recipients[i];
            return true;
        }
    }
    return false;
}

/* Counts one more time and tells whether this is one of the times the rule is for. */
static bool rule_counts(struct rule *rule, const char *recipient) {
    int64_t seen = ++rule->seen;
    if (rule->per_recipient) {
        seen = json_integer_value(json_object_get(rule->seen_by, recipient)) + 1;
        (void)json_object_set_new(rule->seen_by, recipient, json_integer(seen)); /* not UTF-8: always the first time */
    }
    return (rule->nth == 0 || seen == rule->nth) && (rule->first == 0 || seen <= rule->first) &&
           (rule->every == 0 || seen % rule->every == 0);
}

const struct peer_action *rules_match(struct rules *rules, const struct peer_moment *moment) {
    for (size_t i = 0; i < rules->n; i++) {
        struct rule *rule = &rules->items[i];
        const char *recipient = "";
        if (rule_fits(rule, moment, &recipient) && rule_counts(rule, recipient)) {
            rule->hits++;
            return &rule->action;
        }
    }
    return &peer_action_none;
}

json_t *rules_report(const struct rules *rules) {
    json_t *list = json_array();
    json_t *given = json_object_get(rules->root, "rules");
    assert(list != NULL);
    for (size_t i = 0; i < rules->n; i++) {
        json_t *item = json_copy(json_array_get(given, i));
        int failed = json_object_set_new(item, "seen", json_integer(rules->items[i].seen));
        failed |= json_object_set_new(item, "hits", json_integer(rules->items[i].hits));
        failed |= json_array_append_new(list, item);
        assert(failed == 0);
        (void)failed;
    }
    return list;
}
