/* http_settings: what an operator writes about an HTTP gateway: how a request is made, how an answer is read, and the limits. */
#ifndef REACH_CHANNELS_HTTP_SETTINGS_H
#define REACH_CHANNELS_HTTP_SETTINGS_H

#include "base/conf.h"

enum http_body { HTTP_BODY_NONE, HTTP_BODY_FORM, HTTP_BODY_JSON, HTTP_BODY_QUERY };

enum http_auth { HTTP_AUTH_NONE, HTTP_AUTH_BASIC, HTTP_AUTH_BEARER, HTTP_AUTH_HEADER };

/* How a provider's interface works; the same for everybody who uses the provider. */
struct http_description {
    const char *url; /* template */
    const char *method;
    struct conf_pairs headers;          /* name: template */
    int64_t body;                       /* enum http_body */
    struct conf_pairs fields;           /* name: template; in JSON "a.b" nests and "a.0" is an array's element */
    int64_t auth;                       /* enum http_auth */
    const char *auth_header;            /* HTTP_AUTH_HEADER: the header that holds the secret */
    const char *idempotency_header;     /* carries message.key; or NULL */
    struct conf_strings success_status; /* "200", "2xx" */
    const char *success_field;          /* a place in the answer (http_answer.h), or NULL: the status is enough */
    struct conf_strings success_values; /* what may stand there */
    const char *id;                     /* place of the gateway's id of the message, or NULL */
    const char *code;                   /* place of the provider's code, or NULL */
    struct conf_pairs codes;            /* provider's code or "HTTP 400" -> retry, rejected, contact-dead, account-trouble, unknown, sent */
};

/* One gateway: the account, the limits, and the description. */
struct http_settings {
    struct conf_where where;
    struct http_description description;
    struct conf_pairs variables; /* {{name}} of the operator's own: account ids, regions */
    const char *from;            /* {{from}}: sender id or number */
    const char *username;
    const char *secret_file;
    const char *ca_file;
    bool allow_insecure;
    bool allow_private;
    bool http2;
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    int64_t keep_alive_ms;
    int64_t connections;
    int64_t parallel; /* requests at once */
    int64_t answer_max_bytes;
    int64_t validity_max_ms; /* the longest validity the provider takes; 0: no limit */
};

extern const struct conf_table http_table;

#endif
