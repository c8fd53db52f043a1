/* receipt: see receipt.h.
 *
 * A description says where in a request the message's id, the status and the code stand; the same places as in answers. A word that
 * the description does not list is an error, not a guess: the provider has changed something, and the operator learns of it. A status
 * that means nothing yet ("queued") is `pending` and gives no receipt.
 *
 * Fails with one line and changes nothing; keeps no memory of receipts, so the same one twice is read twice (who applies receipts sees
 * to it that final states never change back). */
#include "channels/receipt.h"

#include "base/json.h"
#include "channels/http_place.h"
#include "channels/receipt_sign.h"
#include "channels/receipt_sns.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>

const char *const receipt_signature_names[] = {"none", "secret-path", "twilio", "vonage-jwt", "plivo-v2", "messagebird-jwt", "sns", NULL};

static const char *const statuses[] = {"delivered", "failed", "bounced", "seen", "acknowledged"};
static const char pending[] = "pending";

struct receipt_rule {
    const struct http_description *description;
    struct http_place list;
    struct http_place ref;
    struct http_place status;
    struct http_place code;
};

/* A request taken apart. */
struct content {
    json_t *json;
    struct evkeyvalq form;
    struct evkeyvalq query;
    const struct receipt_request *request;
};

/* ---- compiling ------------------------------------------------------------------------------------------------------- */

/* The static text of a status of ours, `pending`, or NULL. */
static const char *status_word(const char *text) {
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strcmp(text, statuses[i]) == 0) {
            return statuses[i];
        }
    }
    return strcmp(text, pending) == 0 ? pending : NULL;
}

static int check_words(const char *key, const struct conf_pairs *pairs, struct err *err) {
    for (size_t i = 0; i < pairs->n; i++) {
        if (status_word(pairs->items[i].value) == NULL) {
            return err_member(err, key, "%s: \"%s\" is not known (allowed: delivered, failed, bounced, seen, acknowledged, pending)",
                              pairs->items[i].key, pairs->items[i].value);
        }
    }
    return 0;
}

const struct receipt_rule *receipt_rule_new(const struct http_description *description, struct arena *arena, struct err *err) {
    struct receipt_rule *rule = arena_alloc(arena, sizeof *rule);
    if (rule == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    rule->description = description;
    if (http_place_parse("receipt_list", description->receipt_list, &rule->list, err) < 0 ||
        http_place_parse("receipt_ref", description->receipt_ref, &rule->ref, err) < 0 ||
        http_place_parse("receipt_status", description->receipt_status, &rule->status, err) < 0 ||
        http_place_parse("receipt_code", description->receipt_code, &rule->code, err) < 0 ||
        check_words("receipt_statuses", &description->receipt_statuses, err) < 0 ||
        check_words("receipt_codes", &description->receipt_codes, err) < 0) {
        return NULL;
    }
    if (rule->list.kind != PLACE_NONE && rule->list.kind != PLACE_JSON) {
        (void)err_member(err, "receipt_list", "must be a /json/pointer");
        return NULL;
    }
    return rule;
}

bool receipt_rule_is_usable(const struct receipt_rule *rule) {
    return rule->ref.kind != PLACE_NONE && rule->description->receipt_signature != RECEIPT_UNSIGNED;
}

/* ---- genuine? -------------------------------------------------------------------------------------------------------- */

const char *receipt_certificate_url(const struct receipt_rule *rule, const struct receipt_request *request, struct arena *arena) {
    bool sns = rule->description->receipt_signature == RECEIPT_SNS;
    return sns ? receipt_sns_certificate(request->body, request->body_len, arena) : NULL;
}

int receipt_verify(const struct receipt_rule *rule, const struct receipt_request *request, const char *key, int64_t now_ms,
                   struct err *err) {
    switch ((enum receipt_signature)rule->description->receipt_signature) {
    case RECEIPT_SECRET_PATH: return receipt_check_secret_path(request, key, err);
    case RECEIPT_TWILIO: return receipt_check_twilio(request, key, err);
    case RECEIPT_VONAGE_JWT: return receipt_check_vonage(request, key, now_ms, err);
    case RECEIPT_PLIVO_V2: return receipt_check_plivo(request, key, err);
    case RECEIPT_MESSAGEBIRD_JWT: return receipt_check_messagebird(request, key, now_ms, err);
    case RECEIPT_SNS: return receipt_sns_check(request->body, request->body_len, request->topic, key, now_ms, err);
    case RECEIPT_UNSIGNED: break;
    }
    return err_set(err, ERR_CONFLICT, "this gateway takes no receipts over HTTP");
}

bool receipt_is_subscription(const struct receipt_rule *rule, const struct receipt_request *request) {
    return rule->description->receipt_signature == RECEIPT_SNS && receipt_sns_is_subscription(request->body, request->body_len);
}

const char *receipt_subscription_url(const struct receipt_rule *rule, const struct receipt_request *request, struct arena *arena) {
    return receipt_is_subscription(rule, request) ? receipt_sns_subscription_url(request->body, request->body_len, arena) : NULL;
}

/* ---- what does it say? ----------------------------------------------------------------------------------------------- */

static const char *field_of(const void *ctx, const char *name) {
    const struct content *content = ctx;
    const char *value = evhttp_find_header(&content->form, name);
    return value != NULL ? value : evhttp_find_header(&content->query, name);
}

static const char *header_of(const void *ctx, const char *name) {
    const struct content *content = ctx;
    return content->request->header(content->request->ctx, name);
}

static bool wants_json(const struct receipt_rule *rule) {
    return rule->list.kind == PLACE_JSON || rule->ref.kind == PLACE_JSON || rule->status.kind == PLACE_JSON;
}

static int take_apart(const struct receipt_rule *rule, struct content *content, struct err *err) {
    const struct receipt_request *request = content->request;
    if (request->query[0] != '\0' && evhttp_parse_query_str(request->query, &content->query) != 0) {
        return err_set(err, ERR_SYNTAX, "the query cannot be read");
    }
    if (rule->description->receipt_signature == RECEIPT_SNS) {
        content->json = receipt_sns_inner(request->body, request->body_len, err);
        return content->json == NULL ? -1 : 0;
    }
    if (wants_json(rule)) {
        content->json = json_parse_strict(request->body, request->body_len, 0, err);
        return content->json == NULL ? -1 : 0;
    }
    if (request->body_len > 0 && evhttp_parse_query_str(request->body, &content->form) != 0) {
        return err_set(err, ERR_SYNTAX, "the body is not a form");
    }
    return 0;
}

static const char *lookup(const struct conf_pairs *pairs, const char *key) {
    for (size_t i = 0; i < pairs->n; i++) {
        if (strcmp(pairs->items[i].key, key) == 0) {
            return status_word(pairs->items[i].value);
        }
    }
    return NULL;
}

/* Reads one receipt. 1, 0 where it is only pending, -1 with *err. */
static int read_one(const struct receipt_rule *rule, const struct content *content, json_t *json, struct provider_receipt *out,
                    struct err *err) {
    struct http_source source = {.json = json,
                                 .text = content->request->body,
                                 .text_len = content->request->body_len,
                                 .header = header_of,
                                 .field = field_of,
                                 .ctx = content};
    char word[64];
    *out = (struct provider_receipt){.status = NULL};
    if (http_place_get_plain(&source, &rule->ref, out->ref, sizeof out->ref) != 1) {
        return err_member(err, "receipt_ref", "there is no id where the description says it is");
    }
    if (http_place_get_plain(&source, &rule->status, word, sizeof word) != 1) {
        return err_member(err, "receipt_status", "there is no status where the description says it is");
    }
    out->status = lookup(&rule->description->receipt_statuses, word);
    if (out->status == NULL) {
        return err_member(err, "receipt_statuses", "the status \"%s\" is not in the description", word);
    }
    if (out->status == pending) {
        return 0;
    }
    if (http_place_get_plain(&source, &rule->code, out->code, sizeof out->code) == 1 && strcmp(out->status, "failed") == 0) {
        const char *better = lookup(&rule->description->receipt_codes, out->code);
        out->status = better == NULL ? out->status : better;
    }
    return 1;
}

static int read_all(const struct receipt_rule *rule, const struct content *content, struct provider_receipt *out, size_t cap,
                    struct err *err) {
    if (rule->list.kind == PLACE_NONE) {
        return cap == 0 ? 0 : read_one(rule, content, content->json, out, err);
    }
    json_t *list = http_pointer_get(content->json, rule->list.name);
    if (!json_is_array(list) || json_array_size(list) > cap) {
        return err_member(err, "receipt_list", "there is no list of up to %zu receipts where the description says it is", cap);
    }
    int n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        int found = read_one(rule, content, json_array_get(list, i), &out[n], err);
        if (found < 0) {
            return -1;
        }
        n += found;
    }
    return n;
}

int receipt_read(const struct receipt_rule *rule, const struct receipt_request *request, struct provider_receipt *out, size_t cap,
                 struct err *err) {
    struct content content = {.request = request};
    int n = take_apart(rule, &content, err);
    if (n == 0) {
        n = read_all(rule, &content, out, cap, err);
    }
    evhttp_clear_headers(&content.form);
    evhttp_clear_headers(&content.query);
    json_decref(content.json);
    return n;
}
