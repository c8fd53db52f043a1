/* http_message: finds recipient, key and notice in a request without knowing the provider.
 *
 * Providers name the same three things differently; the first of the usual names that is there wins, in the JSON body
 * (also one level down, as in FCM's {"message":{"token":...}}), in a form, in the query. APNs has the token in the path. The key
 * may be a header too. Anything not found is NULL, never guessed.
 *
 * The stored text keeps all headers but the value of Authorization, so that a stored message can be shown to anybody.
 */
#include "tests/support/peer/http_message.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const recipient_names[] = {"to",  "To",          "recipient", "phone",        "PhoneNumber", "phone_number", "msisdn",
                                              "dst", "destination", "token",     "device_token", "address",     "recipients",   NULL};
static const char *const key_names[] = {"key", "idempotency_key", "id", "client_ref", "client-ref", "message_id", NULL};
static const char *const notice_names[] = {"notice", "notice_id", "reference", NULL};
static const char *const key_headers[] = {"Idempotency-Key", "apns-id", "I-Twilio-Idempotency-Token", "X-Request-Id", NULL};

/* The string (or the first string of an array) that one of `names` has in `object`. Borrowed. */
static const char *find_direct(json_t *object, const char *const *names) {
    for (size_t i = 0; names[i] != NULL; i++) {
        json_t *value = json_object_get(object, names[i]);
        if (json_is_array(value)) {
            value = json_array_get(value, 0);
        }
        if (json_is_string(value)) {
            return json_string_value(value);
        }
    }
    return NULL;
}

static char *find(json_t *object, const char *const *names) {
    const char *found = find_direct(object, names);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value) {
        if (found == NULL && json_is_object(value)) {
            found = find_direct(value, names);
        }
    }
    return found == NULL ? NULL : strdup(found);
}

/* name=value pairs (a form body or a query) as an object. */
static json_t *pairs(const char *text) {
    struct evkeyvalq list;
    json_t *object = json_object();
    assert(object != NULL);
    if (evhttp_parse_query_str(text, &list) != 0) {
        return object;
    }
    for (struct evkeyval *pair = list.tqh_first; pair != NULL; pair = pair->next.tqe_next) {
        (void)json_object_set_new(object, pair->key, json_string(pair->value)); /* a pair that is not UTF-8 is left out */
    }
    evhttp_clear_headers(&list);
    return object;
}

static bool starts_with(const char *text, const char *prefix) {
    return text != NULL && strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static void read_body(struct http_message *message, struct evhttp_request *request) {
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t len = evbuffer_get_length(input);
    int failed = buf_reserve(&message->body, len + 1);
    assert(failed == 0);
    (void)failed;
    (void)evbuffer_copyout(input, message->body.data, len); /* `len` bytes are there */
    message->body.len = len;
    message->body.data[len] = '\0';
    const char *type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
    if (starts_with(type, "application/x-www-form-urlencoded")) {
        message->json = pairs(message->body.data);
    } else {
        message->json = json_loadb(message->body.data, len, JSON_DECODE_ANY, NULL);
    }
}

void http_message_read(struct http_message *message, struct evhttp_request *request) {
    memset(message, 0, sizeof *message);
    const char *path = evhttp_request_get_uri(request);
    const char *query = strchr(path, '?');
    message->path = strdup(path);
    assert(message->path != NULL);
    message->channel = starts_with(path, "/sms") ? "sms" : starts_with(path, "/push") || starts_with(path, "/3/device/") ? "push" : "http";
    read_body(message, request);
    json_t *asked = pairs(query == NULL ? "" : query + 1);
    message->recipient = find(message->json, recipient_names);
    message->recipient = message->recipient != NULL ? message->recipient : find(asked, recipient_names);
    if (message->recipient == NULL && starts_with(path, "/3/device/")) {
        message->recipient = strndup(path + 10, strcspn(path + 10, "?"));
    }
    message->notice = find(message->json, notice_names);
    for (size_t i = 0; key_headers[i] != NULL && message->key == NULL; i++) {
        const char *value = evhttp_find_header(evhttp_request_get_input_headers(request), key_headers[i]);
        message->key = value == NULL ? NULL : strdup(value);
    }
    message->key = message->key != NULL ? message->key : find(message->json, key_names);
    json_decref(asked);
}

void http_message_fini(struct http_message *message) {
    free(message->path);
    free(message->recipient);
    free(message->key);
    free(message->notice);
    json_decref(message->json);
    buf_fini(&message->body);
}

static const char *method_name(struct evhttp_request *request) {
    switch (evhttp_request_get_command(request)) {
    case EVHTTP_REQ_GET: return "GET";
    case EVHTTP_REQ_POST: return "POST";
    case EVHTTP_REQ_PUT: return "PUT";
    case EVHTTP_REQ_DELETE: return "DELETE";
    case EVHTTP_REQ_PATCH: return "PATCH";
    default: return "?";
    }
}

static json_t *headers_json(struct evhttp_request *request) {
    json_t *headers = json_object();
    assert(headers != NULL);
    for (struct evkeyval *pair = evhttp_request_get_input_headers(request)->tqh_first; pair != NULL; pair = pair->next.tqe_next) {
        bool secret = strcasecmp(pair->key, "Authorization") == 0;
        (void)json_object_set_new(headers, pair->key, json_string(secret ? "(given)" : pair->value)); /* not UTF-8: left out */
    }
    return headers;
}

char *http_message_text(const struct http_message *message, struct evhttp_request *request) {
    json_t *body = message->json != NULL ? json_incref(message->json) : json_stringn(message->body.data, message->body.len);
    if (body == NULL) {
        body = json_sprintf("(%zu bytes that are not text)", message->body.len);
    }
    json_t *root = json_pack("{s:{s:s,s:s?,s:o},s:o}", "request", "method", method_name(request), "path", message->path, "headers",
                             headers_json(request), "body", body);
    assert(root != NULL);
    char *text = json_dumps(root, JSON_INDENT(2));
    assert(text != NULL);
    json_decref(root);
    return text;
}
