/* http_answer: see http_answer.h.
 *
 *   nothing was sent                          retry, the gateway is to blame
 *   sent, but no final status came            unknown
 *   a success status and the success rule     sent, with the gateway's id
 *   otherwise, a code that is in `codes`      what stands there (the provider's own code first, then "HTTP 400")
 *   a success status, the rule says no        rejected
 *   a success status that proves nothing      unknown: HTML where JSON was expected (a captive portal, a maintenance page, a broken
 *                                             proxy in front of a gateway that did its work), a cut body, the id or field is missing
 *   401 402 403 407, a redirect               retry, the account or its configuration is to blame
 *   408 425 429 503                           retry, Retry-After honoured within [0, 24 h]
 *   other 4xx                                 rejected
 *   other 5xx                                 unknown: the gateway had the request and broke while it worked on it
 *
 * Reasons never quote the body: gateways like to repeat the number in their error texts. A code or id that holds anything but plain
 * printable ASCII is dropped (http_place.h). Decides nothing about when or where to try again. */
#include "channels/http_answer.h"

#include "base/json.h"
#include "channels/http_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    struct http_place success;
    struct http_place id;
    struct http_place code;
    struct code *codes;
    size_t n_codes;
};

/* An answer being read. */
struct reading {
    const struct http_rule *rule;
    const struct curl_answer *answer;
    struct http_source source;
    char code[32]; /* the provider's code, or empty */
};

enum { TEXT_MAX_BYTES = 128 };

/* ---- compiling ------------------------------------------------------------------------------------------------------- */

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

bool http_rule_ref_is_key(const struct http_rule *rule) {
    return rule->description->id != NULL && strcmp(rule->description->id, "key") == 0;
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
    if (http_place_parse("success_field", description->success_field, &rule->success, err) < 0 ||
        http_place_parse("id", http_rule_ref_is_key(rule) ? NULL : description->id, &rule->id, err) < 0 ||
        http_place_parse("code", description->code, &rule->code, err) < 0 || check_statuses(&description->success_status, err) < 0) {
        return NULL;
    }
    return rule;
}

/* ---- judging --------------------------------------------------------------------------------------------------------- */

static bool status_matches(const char *pattern, int status) {
    const int digits[3] = {status / 100, status / 10 % 10, status % 10};
    for (size_t i = 0; i < 3; i++) {
        if (pattern[i] != 'x' && pattern[i] != '0' + digits[i]) {
            return false;
        }
    }
    return true;
}

static bool has_success_status(const struct reading *reading) {
    const struct conf_strings *statuses = &reading->rule->description->success_status;
    if (statuses->n == 0) {
        return reading->answer->status >= 200 && reading->answer->status < 300;
    }
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
    char value[TEXT_MAX_BYTES];
    if (rule->success.kind == PLACE_NONE) {
        bool proven = rule->id.kind == PLACE_NONE || rule->id.kind == PLACE_HEADER ||
                      http_place_get(&reading->source, &rule->id, value, sizeof value) == 1;
        return proven ? PROOF_YES : PROOF_UNCLEAR;
    }
    if (http_place_get(&reading->source, &rule->success, value, sizeof value) != 1) {
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
        [VERDICT_ACCOUNT_TROUBLE] = {OUTCOME_RETRY, BLAME_ACCOUNT, "the gateway refuses our account or address; see to its configuration"},
        [VERDICT_UNKNOWN] = {OUTCOME_UNKNOWN, BLAME_NONE, "the answer does not tell whether the message was taken"},
        [VERDICT_SENT] = {OUTCOME_SENT, BLAME_NONE, "taken by the gateway"},
    };
    int status = reading->answer->status;
    const char code[4] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10), '\0'};
    bool overloaded = verdict == VERDICT_RETRY && (status == 429 || status == 503);
    outcome_set(outcome, meaning[verdict].kind, overloaded ? BLAME_GATEWAY : meaning[verdict].blame,
                reading->code[0] != '\0' ? reading->code : code, "%s (HTTP %d%s%s)", meaning[verdict].text, status,
                reading->code[0] != '\0' ? ", code " : "", reading->code);
    if (verdict == VERDICT_SENT) {
        (void)http_place_get_plain(&reading->source, &reading->rule->id, outcome->ref, sizeof outcome->ref);
    } else if (outcome->kind == OUTCOME_RETRY) {
        outcome->retry_after_ms = retry_after_ms(reading->answer, now_ms);
    }
}

static bool wants_json(const struct http_rule *rule) {
    return rule->success.kind == PLACE_JSON || rule->id.kind == PLACE_JSON || rule->code.kind == PLACE_JSON;
}

static const char *header_of(const void *ctx, const char *name) {
    const struct curl_answer *answer = ctx;
    return answer->header(answer, name);
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
    struct reading reading = {
        .rule = rule,
        .answer = answer,
        .source = {.text = answer->body_cut ? NULL : answer->body, .text_len = answer->body_len, .header = header_of, .ctx = answer}};
    if (wants_json(rule) && !answer->body_cut) {
        struct err ignored; /* not JSON: success_proof() knows what that means */
        reading.source.json = json_parse_strict(answer->body, answer->body_len, answer->body_len + 1, &ignored);
    }
    (void)http_place_get_plain(&reading.source, &rule->code, reading.code, sizeof reading.code);
    report(&reading, find_verdict(&reading), now_ms, outcome);
    json_decref(reading.source.json);
}
