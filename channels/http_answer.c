/* http_answer: see http_answer.h.
 *
 *   nothing was sent                          retry, the gateway is to blame
 *   sent, but no final status came            unknown
 *   a success status and the success rule     sent, with the gateway's id
 *   otherwise, a code that is in `codes`      what stands there (the provider's own code first, then "HTTP 400")
 *   a success status, the rule says no        rejected
 *   a success status that proves nothing      unknown: HTML where JSON was expected (a captive portal, a maintenance page, a broken
 *                                             proxy in front of a gateway that did its work), a cut body, the field is missing
 *   401 402 403 407, a redirect               retry, the account or its configuration is to blame
 *   408 425 429 503                           retry, Retry-After honoured within [0, 24 h]
 *   other 4xx                                 rejected
 *   other 5xx                                 unknown: the gateway had the request and broke while it worked on it
 *
 * Reasons never quote the body: gateways like to repeat the number in their error texts. A code or id that holds anything but plain
 * printable ASCII is dropped. Decides nothing about when or where to try again. */
#include "channels/http_answer.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum place_kind { PLACE_NONE, PLACE_JSON, PLACE_HEADER, PLACE_TEXT };

struct place {
    enum place_kind kind;
    const char *path; /* JSON pointer, header name */
};

enum verdict {
    VERDICT_RETRY,
    VERDICT_REJECTED,
    VERDICT_CONTACT_DEAD,
    VERDICT_ACCOUNT_TROUBLE,
    VERDICT_UNKNOWN,
    VERDICT_SENT,
    VERDICT_COUNT
};

static const char *const verdict_names[VERDICT_COUNT] = {"retry", "rejected", "contact-dead", "account-trouble", "unknown", "sent"};

struct code {
    const char *text;
    enum verdict verdict;
};

struct http_rule {
    const struct http_description *description;
    struct place success;
    struct place id;
    struct place code;
    struct code *codes;
    size_t n_codes;
};

/* An answer being read. */
struct reading {
    const struct http_rule *rule;
    const struct curl_answer *answer;
    json_t *json;  /* the body, or NULL where it is not JSON */
    char code[32]; /* the provider's code, or empty */
};

enum { TEXT_MAX_BYTES = 128 };

/* ---- compiling ------------------------------------------------------------------------------------------------------- */

static int compile_place(const char *key, const char *text, struct place *place, struct err *err) {
    if (text == NULL) {
        return 0;
    }
    if (text[0] == '/') {
        *place = (struct place){PLACE_JSON, text};
    } else if (strncmp(text, "header:", 7) == 0 && text[7] != '\0') {
        *place = (struct place){PLACE_HEADER, text + 7};
    } else if (strcmp(text, "text") == 0) {
        *place = (struct place){PLACE_TEXT, text};
    } else {
        return err_member(err, key, "\"%s\" is not a place in an answer (allowed: /json/pointer, header:Name, text)", text);
    }
    return 0;
}

static int compile_verdict(const struct conf_pair *pair, struct code *code, struct err *err) {
    for (size_t i = 0; i < VERDICT_COUNT; i++) {
        if (strcmp(pair->value, verdict_names[i]) == 0) {
            *code = (struct code){pair->key, (enum verdict)i};
            return 0;
        }
    }
    return err_member(err, "codes", "%s: \"%s\" is not known (allowed: retry, rejected, contact-dead, account-trouble, unknown, sent)",
                      pair->key, pair->value);
}

static int check_statuses(const struct conf_strings *statuses, struct err *err) {
    for (size_t i = 0; i < statuses->n; i++) {
        const char *text = statuses->items[i];
        if (strlen(text) != 3 || strspn(text, "0123456789") + strspn(text + 1, "x") < 3 || text[0] < '1' || text[0] > '5') {
            return err_member(err, "success_status", "\"%s\" is not a status (such as 200) or a class (such as 2xx)", text);
        }
    }
    return 0;
}

const struct http_rule *http_rule_new(const struct http_description *description, struct arena *arena, struct err *err) {
    struct http_rule *rule = arena_alloc(arena, sizeof *rule);
    struct code *codes = arena_array(arena, description->codes.n + 1, sizeof *codes);
    if (rule == NULL || codes == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    rule->description = description;
    rule->codes = codes;
    for (; rule->n_codes < description->codes.n; rule->n_codes++) {
        if (compile_verdict(&description->codes.items[rule->n_codes], &codes[rule->n_codes], err) < 0) {
            return NULL;
        }
    }
    if (compile_place("success_field", description->success_field, &rule->success, err) < 0 ||
        compile_place("id", description->id, &rule->id, err) < 0 || compile_place("code", description->code, &rule->code, err) < 0 ||
        check_statuses(&description->success_status, err) < 0) {
        return NULL;
    }
    return rule;
}

/* ---- reading places -------------------------------------------------------------------------------------------------- */

/* One reference token of a JSON pointer, unescaped, into `out`; returns what follows it, or NULL where it is too long. */
static const char *next_token(const char *path, char *out, size_t cap) {
    size_t len = 0;
    for (path++; *path != '\0' && *path != '/'; path++) {
        if (len + 1 >= cap) {
            return NULL;
        }
        char c = *path;
        if (c == '~' && (path[1] == '0' || path[1] == '1')) {
            c = path[1] == '0' ? '~' : '/';
            path++;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return path;
}

static const json_t *pointer_get(const json_t *value, const char *path) {
    char token[TEXT_MAX_BYTES];
    while (value != NULL && path != NULL && *path == '/') {
        path = next_token(path, token, sizeof token);
        if (path == NULL) {
            return NULL;
        }
        if (json_is_array(value)) {
            char *end = NULL;
            unsigned long index = strtoul(token, &end, 10);
            value = end == token || *end != '\0' ? NULL : json_array_get(value, index);
        } else {
            value = json_object_get(value, token);
        }
    }
    return value;
}

/* A scalar as text. 1, or 0 where it is nothing of that kind or too long. */
static int scalar_text(const json_t *value, char *out, size_t cap) {
    if (json_is_string(value)) {
        size_t len = json_string_length(value);
        if (len == 0 || len >= cap) {
            return 0;
        }
        memcpy(out, json_string_value(value), len + 1);
        return 1;
    }
    if (json_is_integer(value)) {
        (void)snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return 1;
    }
    if (json_is_boolean(value)) {
        (void)snprintf(out, cap, "%s", json_is_true(value) ? "true" : "false");
        return 1;
    }
    return 0;
}

static int copy_text(const char *text, size_t len, char *out, size_t cap) {
    if (text == NULL || len == 0 || len >= cap) {
        return 0;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return 1;
}

/* The text at a place: 1, or 0 where there is none. */
static int place_get(const struct reading *reading, const struct place *place, char *out, size_t cap) {
    const struct curl_answer *answer = reading->answer;
    const char *value = NULL;
    switch (place->kind) {
    case PLACE_NONE: return 0;
    case PLACE_JSON: return scalar_text(pointer_get(reading->json, place->path), out, cap);
    case PLACE_HEADER: value = answer->header(answer, place->path); return copy_text(value, value == NULL ? 0 : strlen(value), out, cap);
    case PLACE_TEXT: return copy_text(answer->body, strcspn(answer->body, ": \t\r\n"), out, cap);
    }
    return 0;
}

/* Only plain printable ASCII without blanks leaves this file. */
static bool is_plain(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

static void get_plain(const struct reading *reading, const struct place *place, char *out, size_t cap) {
    out[0] = '\0';
    if (place_get(reading, place, out, cap) != 1 || !is_plain(out)) {
        out[0] = '\0';
    }
}

/* ---- judging --------------------------------------------------------------------------------------------------------- */

static bool status_matches(const char *pattern, int status) {
    char text[16];
    (void)snprintf(text, sizeof text, "%03d", status);
    for (size_t i = 0; i < 3; i++) {
        if (pattern[i] != 'x' && pattern[i] != text[i]) {
            return false;
        }
    }
    return true;
}

static bool has_success_status(const struct reading *reading) {
    const struct conf_strings *statuses = &reading->rule->description->success_status;
    for (size_t i = 0; i < statuses->n; i++) {
        if (status_matches(statuses->items[i], reading->answer->status)) {
            return true;
        }
    }
    return false;
}

enum proof { PROOF_NO, PROOF_YES, PROOF_UNCLEAR };

/* What the body (or header) says of success, for an answer with a success status. */
static enum proof success_proof(const struct reading *reading) {
    const struct http_rule *rule = reading->rule;
    if (rule->success.kind == PLACE_NONE) {
        bool body_makes_sense = rule->id.kind != PLACE_JSON || reading->json != NULL;
        return body_makes_sense ? PROOF_YES : PROOF_UNCLEAR;
    }
    char value[TEXT_MAX_BYTES];
    if (place_get(reading, &rule->success, value, sizeof value) != 1) {
        return PROOF_UNCLEAR;
    }
    const struct conf_strings *good = &rule->description->success_values;
    for (size_t i = 0; i < good->n; i++) {
        if (strcmp(good->items[i], value) == 0) {
            return PROOF_YES;
        }
    }
    return rule->success.kind == PLACE_TEXT && value[0] == '<' ? PROOF_UNCLEAR : PROOF_NO;
}

/* What the table says: 1 and *verdict_r, or 0. */
static int table_verdict(const struct reading *reading, enum verdict *verdict_r) {
    char status[24];
    (void)snprintf(status, sizeof status, "HTTP %d", reading->answer->status);
    const char *const wanted[] = {reading->code, status};
    for (size_t w = 0; w < 2; w++) {
        for (size_t i = 0; wanted[w][0] != '\0' && i < reading->rule->n_codes; i++) {
            if (strcmp(reading->rule->codes[i].text, wanted[w]) == 0) {
                *verdict_r = reading->rule->codes[i].verdict;
                return 1;
            }
        }
    }
    return 0;
}

static enum verdict status_verdict(int status) {
    switch (status) {
    case 401:
    case 402:
    case 403:
    case 407: return VERDICT_ACCOUNT_TROUBLE;
    case 408:
    case 425:
    case 429:
    case 503: return VERDICT_RETRY;
    default: break;
    }
    if (status >= 300 && status < 400) {
        return VERDICT_ACCOUNT_TROUBLE;
    }
    return status >= 400 && status < 500 ? VERDICT_REJECTED : VERDICT_UNKNOWN;
}

static enum verdict find_verdict(const struct reading *reading) {
    enum verdict verdict = VERDICT_UNKNOWN;
    bool good_status = has_success_status(reading);
    enum proof proof = good_status ? success_proof(reading) : PROOF_NO;
    if (proof == PROOF_YES) {
        return VERDICT_SENT;
    }
    if (table_verdict(reading, &verdict) == 1) {
        return verdict;
    }
    if (good_status) {
        return proof == PROOF_NO ? VERDICT_REJECTED : VERDICT_UNKNOWN;
    }
    return status_verdict(reading->answer->status);
}

/* Retry-After (RFC 9110 section 10.2.3): seconds or a date. -1 where there is none or it makes no sense. */
static int64_t retry_after_ms(const struct curl_answer *answer, int64_t now_ms) {
    const char *text = answer->header(answer, "Retry-After");
    if (text == NULL || text[0] == '\0') {
        return -1;
    }
    int64_t wait_ms = HTTP_RETRY_AFTER_MAX_MS;
    if (strspn(text, "0123456789") == strlen(text)) {
        int64_t wait_s = strlen(text) > 9 ? INT32_MAX : strtol(text, NULL, 10);
        wait_ms = wait_s * 1000;
    } else {
        int64_t at_s = curl_loop_date_s(text);
        if (at_s < 0) {
            return -1;
        }
        wait_ms = at_s * 1000 - now_ms;
    }
    return wait_ms < 0 ? 0 : wait_ms > HTTP_RETRY_AFTER_MAX_MS ? HTTP_RETRY_AFTER_MAX_MS : wait_ms;
}

static void report(const struct reading *reading, enum verdict verdict, int64_t now_ms, struct outcome *outcome) {
    static const struct {
        enum outcome_kind kind;
        enum outcome_blame blame;
        const char *text;
    } meaning[VERDICT_COUNT] = {
        [VERDICT_RETRY] = {OUTCOME_RETRY, BLAME_NONE, "the gateway wants it later"},
        [VERDICT_REJECTED] = {OUTCOME_REJECTED, BLAME_MESSAGE, "the gateway refuses the message"},
        [VERDICT_CONTACT_DEAD] = {OUTCOME_REJECTED, BLAME_CONTACT, "the gateway says that this contact point does not work"},
        [VERDICT_ACCOUNT_TROUBLE] = {OUTCOME_RETRY, BLAME_GATEWAY, "the gateway refuses our account or address; see to its configuration"},
        [VERDICT_UNKNOWN] = {OUTCOME_UNKNOWN, BLAME_NONE, "the answer does not tell whether the message was taken"},
        [VERDICT_SENT] = {OUTCOME_SENT, BLAME_NONE, "taken by the gateway"},
    };
    int status = reading->answer->status;
    char code[32];
    (void)snprintf(code, sizeof code, "%d", status);
    bool overloaded = verdict == VERDICT_RETRY && (status == 429 || status == 503);
    outcome_set(outcome, meaning[verdict].kind, overloaded ? BLAME_GATEWAY : meaning[verdict].blame,
                reading->code[0] != '\0' ? reading->code : code, "%s (HTTP %d%s%s)", meaning[verdict].text, status,
                reading->code[0] != '\0' ? ", code " : "", reading->code);
    if (verdict == VERDICT_SENT) {
        get_plain(reading, &reading->rule->id, outcome->ref, sizeof outcome->ref);
    } else if (outcome->kind == OUTCOME_RETRY) {
        outcome->retry_after_ms = retry_after_ms(reading->answer, now_ms);
    }
}

static bool wants_json(const struct http_rule *rule) {
    return rule->success.kind == PLACE_JSON || rule->id.kind == PLACE_JSON || rule->code.kind == PLACE_JSON;
}

void http_judge(const struct http_rule *rule, const struct curl_answer *answer, int64_t now_ms, struct outcome *outcome) {
    if (answer->end == CURL_NOT_SENT) {
        outcome_set(outcome, OUTCOME_RETRY, answer->late ? BLAME_NONE : BLAME_GATEWAY, NULL, "not sent: %s", answer->why);
        return;
    }
    if (answer->end == CURL_NO_ANSWER) {
        outcome_set(outcome, OUTCOME_UNKNOWN, BLAME_GATEWAY, NULL, "sent, but no answer came: %s", answer->why);
        return;
    }
    struct reading reading = {.rule = rule, .answer = answer};
    if (wants_json(rule) && !answer->body_cut) {
        struct err ignored; /* not JSON: success_proof() knows what that means */
        reading.json = json_parse_strict(answer->body, answer->body_len, answer->body_len + 1, &ignored);
    }
    get_plain(&reading, &rule->code, reading.code, sizeof reading.code);
    report(&reading, find_verdict(&reading), now_ms, outcome);
    json_decref(reading.json);
}
