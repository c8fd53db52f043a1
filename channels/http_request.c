/* http_request: see http_request.h.
 *
 * Every value of a message is encoded for the place where it stands: percent-encoded in a URL, form or query, a JSON string in JSON
 * (http_fields.c), control characters blanked in a header. Web Push bodies are JSON, encrypted for the one browser (webpush.c).
 *
 * The host of the url must be fixed by the operator: a placeholder of the message in it is refused, as are credentials in the url
 * and plain http without allow_insecure. The one exception is Web Push, whose url is the endpoint that the browser gave; there
 * curl_loop.c sees to https and a public address for each connection. */
#include "channels/http_request.h"

#include "base/text.h"
#include "channels/http_fields.h"
#include "channels/webpush.h"

#include <event2/http.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct http_plan {
    const struct http_description *description;
    const char *method;
    const struct http_template *url;
    const struct http_fields *headers;
    const struct http_fields *fields;
    const char *body_type; /* a header line, or NULL */
    bool needs_alphabet;
};

void http_filled_reset(struct http_filled *filled) {
    buf_reset(&filled->url);
    buf_reset(&filled->body);
    buf_reset(&filled->lines);
    filled->n_headers = 0;
    filled->has_body = false;
}

void http_filled_fini(struct http_filled *filled) {
    buf_fini(&filled->url);
    buf_fini(&filled->body);
    buf_fini(&filled->lines);
}

/* ---- compiling ------------------------------------------------------------------------------------------------------- */

/* Offset of the end of "scheme://host:port" in a URL. */
static size_t authority_end(const char *url) {
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    return (size_t)(host - url) + strcspn(host, "/?#");
}

static int check_uri(const struct evhttp_uri *uri, bool allow_insecure, struct err *err) {
    const char *scheme = uri == NULL ? NULL : evhttp_uri_get_scheme(uri);
    const char *host = uri == NULL ? NULL : evhttp_uri_get_host(uri);
    if (scheme == NULL || host == NULL || host[0] == '\0' || (strcasecmp(scheme, "https") != 0 && strcasecmp(scheme, "http") != 0)) {
        return err_member(err, "url", "must be a whole https:// address");
    }
    if (evhttp_uri_get_userinfo(uri) != NULL) {
        return err_member(err, "url", "must not hold a user name or password; use auth, username and secret_file");
    }
    if (evhttp_uri_get_fragment(uri) != NULL) {
        return err_member(err, "url", "must not hold a # part");
    }
    if (strcasecmp(scheme, "http") == 0 && !allow_insecure) {
        return err_member(err, "url",
                          "is plain http; use https, or set allow_insecure: true for this gateway (a description file then takes the "
                          "address as a {{variable}})");
    }
    return 0;
}

static int check_fixed_url(const struct http_template *url, bool allow_insecure, struct arena *arena, struct err *err) {
    const char *fixed = http_template_fixed(url, arena);
    if (fixed == NULL) {
        return err_no_memory(err);
    }
    if (http_template_varies_until(url, authority_end(fixed))) {
        return err_member(err, "url", "must not take its host from the message");
    }
    struct evhttp_uri *uri = evhttp_uri_parse(fixed);
    int result = check_uri(uri, allow_insecure, err);
    if (uri != NULL) {
        evhttp_uri_free(uri);
    }
    return result;
}

static int compile_url(struct http_plan *plan, const struct conf_pairs *constants, bool allow_insecure, struct arena *arena,
                       struct err *err) {
    const char *text = plan->description->url;
    plan->url = http_template_parse(text, constants, arena, err);
    if (plan->url == NULL) {
        char why[sizeof err->text];
        (void)snprintf(why, sizeof why, "%s", err->text);
        return err_member(err, "url", "%s", why);
    }
    if (plan->description->body != HTTP_BODY_WEBPUSH) {
        return check_fixed_url(plan->url, allow_insecure, arena, err);
    }
    return strcmp(text, "{{endpoint}}") == 0 ? 0 : err_member(err, "url", "must be {{endpoint}} where body is webpush");
}

static bool is_token(const char *name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!#$%&'*+^`|~";
    return name[0] != '\0' && strspn(name, allowed) == strlen(name);
}

static int check_headers(const struct http_plan *plan, struct err *err) {
    const struct http_description *description = plan->description;
    if (http_fields_count(plan->headers) + 6 > HTTP_HEADERS_MAX) {
        return err_member(err, "headers", "are more than %d", HTTP_HEADERS_MAX - 6);
    }
    for (size_t i = 0; i < http_fields_count(plan->headers); i++) {
        if (!is_token(http_fields_name(plan->headers, i))) {
            return err_member(err, "headers", "\"%s\" is not a header's name", http_fields_name(plan->headers, i));
        }
    }
    const struct conf_pair words[] = {
        {"method", plan->method}, {"auth_header", description->auth_header}, {"idempotency_header", description->idempotency_header}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (words[i].value != NULL && !is_token(words[i].value)) {
            return err_member(err, words[i].key, "\"%s\" is not a plain HTTP word", words[i].value);
        }
    }
    return 0;
}

static bool has_header(const struct http_plan *plan, const char *name) {
    for (size_t i = 0; i < http_fields_count(plan->headers); i++) {
        if (strcasecmp(http_fields_name(plan->headers, i), name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *body_type(const struct http_plan *plan) {
    if (has_header(plan, "Content-Type")) {
        return NULL;
    }
    switch (plan->description->body) {
    case HTTP_BODY_JSON: return "Content-Type: application/json";
    case HTTP_BODY_FORM: return "Content-Type: application/x-www-form-urlencoded";
    case HTTP_BODY_WEBPUSH: return "Content-Type: application/octet-stream";
    default: return NULL;
    }
}

static bool body_is_json(const struct http_description *description) {
    return description->body == HTTP_BODY_JSON || description->body == HTTP_BODY_WEBPUSH;
}

struct http_plan *http_plan_new(const struct http_description *description, const struct conf_pairs *constants, bool allow_insecure,
                                struct arena *arena, struct err *err) {
    struct http_plan *plan = arena_alloc(arena, sizeof *plan);
    if (plan == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    plan->description = description;
    plan->method = description->method == NULL ? "POST" : description->method;
    bool json = body_is_json(description);
    if (compile_url(plan, constants, allow_insecure, arena, err) < 0) {
        return NULL;
    }
    plan->headers = http_fields_new("headers", &description->headers, false, constants, arena, err);
    plan->fields = plan->headers == NULL ? NULL : http_fields_new("fields", &description->fields, json, constants, arena, err);
    if (plan->fields == NULL || check_headers(plan, err) < 0 || (json && http_fields_check_json(plan->fields, err) < 0)) {
        return NULL;
    }
    plan->body_type = body_type(plan);
    plan->needs_alphabet = http_fields_use(plan->fields, HTTP_TEXT_TYPE) || http_fields_use(plan->fields, HTTP_TEXT_CODING);
    return plan;
}

bool http_plan_needs_alphabet(const struct http_plan *plan) {
    return plan->needs_alphabet;
}

/* ---- filling --------------------------------------------------------------------------------------------------------- */

/* Ends a header line that began at `start`: no control character may leave it. */
static void end_line(struct http_filled *filled, size_t start) {
    buf_putc(&filled->lines, '\0');
    if (!filled->lines.failed) {
        text_make_printable(filled->lines.data + start, ' ');
        filled->n_headers++;
    }
}

static void put_line(struct http_filled *filled, const char *line) {
    size_t start = filled->lines.len;
    buf_puts(&filled->lines, line);
    end_line(filled, start);
}

static void put_headers(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled) {
    struct buf *lines = &filled->lines;
    if (plan->body_type != NULL) {
        put_line(filled, plan->body_type);
    }
    if (plan->description->body == HTTP_BODY_WEBPUSH) {
        put_line(filled, "Content-Encoding: aes128gcm");
    }
    for (size_t i = 0; i < http_fields_count(plan->headers); i++) {
        size_t start = lines->len;
        buf_putf(lines, "%s: ", http_fields_name(plan->headers, i));
        if (http_fields_put(plan->headers, i, values, lines) == 1) {
            end_line(filled, start);
        } else if (!lines->failed) {
            lines->len = start;
        }
    }
    if (plan->description->idempotency_header != NULL && values->text[HTTP_KEY] != NULL) {
        size_t start = lines->len;
        buf_putf(lines, "%s: %s", plan->description->idempotency_header, values->text[HTTP_KEY]);
        end_line(filled, start);
    }
}

/* The lines may have moved: point at them. */
static void point_at_lines(struct http_filled *filled) {
    const char *at = filled->lines.data;
    for (size_t i = 0; i < filled->n_headers; i++) {
        filled->headers[i] = at;
        at += strlen(at) + 1;
    }
}

int http_filled_add(struct http_filled *filled, const char *line) {
    if (filled->n_headers == HTTP_HEADERS_MAX) {
        return -1;
    }
    put_line(filled, line);
    if (filled->lines.failed) {
        return -1;
    }
    point_at_lines(filled);
    return 0;
}

static int fill_webpush(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled, struct err *err) {
    if (values->subscription == NULL) {
        return err_set(err, ERR_MEMBER, "the contact point is no Web Push subscription");
    }
    struct buf plain = BUF_INIT;
    int result = http_fields_put_json(plan->fields, values, &plain, err);
    if (result == 0) {
        result = webpush_encrypt(values->subscription, plain.data, plain.len, &filled->body, err);
    }
    buf_fini(&plain);
    return result;
}

static int fill_body(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled, struct err *err) {
    switch (plan->description->body) {
    case HTTP_BODY_FORM: http_fields_put_form(plan->fields, values, "", &filled->body); return 0;
    case HTTP_BODY_QUERY:
        if (!filled->url.failed) {
            http_fields_put_form(plan->fields, values, strchr(filled->url.data, '?') == NULL ? "?" : "&", &filled->url);
        }
        return 0;
    case HTTP_BODY_JSON: return http_fields_put_json(plan->fields, values, &filled->body, err);
    case HTTP_BODY_WEBPUSH: return fill_webpush(plan, values, filled, err);
    default: return 0;
    }
}

int http_plan_fill(const struct http_plan *plan, const struct http_values *values, struct http_filled *filled, struct err *err) {
    if (plan->description->body == HTTP_BODY_WEBPUSH && values->subscription != NULL) {
        buf_puts(&filled->url, webpush_endpoint(values->subscription));
    } else if (http_template_put_url(plan->url, values, &filled->url) == 0) {
        return err_set(err, ERR_MEMBER, "the gateway's url needs a value that this message does not have");
    }
    if (fill_body(plan, values, filled, err) < 0) {
        return -1;
    }
    filled->has_body = strcmp(plan->method, "GET") != 0 && strcmp(plan->method, "DELETE") != 0;
    put_headers(plan, values, filled);
    if (filled->url.failed || filled->body.failed || filled->lines.failed) {
        return err_no_memory(err);
    }
    point_at_lines(filled);
    return 0;
}
