/* http_description: how a provider's interface works: how a request is made, how its answer and its receipts are read. The same for
 * everybody who uses the provider, so it can stand in a file of its own (channels/gateways/NAME.yaml). docs/gateways.md explains
 * every key to operators. */
#ifndef REACH_CHANNELS_HTTP_DESCRIPTION_H
#define REACH_CHANNELS_HTTP_DESCRIPTION_H

#include "base/conf.h"

enum http_body { HTTP_BODY_NONE, HTTP_BODY_FORM, HTTP_BODY_JSON, HTTP_BODY_QUERY, HTTP_BODY_WEBPUSH };

enum http_auth {
    HTTP_AUTH_NONE,
    HTTP_AUTH_BASIC,     /* RFC 7617 */
    HTTP_AUTH_BEARER,    /* RFC 6750, a fixed token */
    HTTP_AUTH_HEADER,    /* the secret in a header of its own */
    HTTP_AUTH_AWS_SIGV4, /* AWS Signature Version 4 */
    HTTP_AUTH_JWT_ES256, /* a signed token as bearer, made anew when it grows old (APNs) */
    HTTP_AUTH_JWT_RS256, /* the same with RSA (Vonage) */
    HTTP_AUTH_OAUTH_JWT, /* RFC 7523: a signed token is exchanged for an access token (FCM) */
    HTTP_AUTH_VAPID      /* RFC 8292, one token per push service */
};

struct http_description {
    const char *docs;               /* where the provider describes it; for people */
    struct conf_strings channels;   /* which channels it can serve; none: any */
    struct conf_strings needs;      /* variables that a gateway must give */
    struct conf_pairs defaults;     /* variables that it may give; may hold those before them */
    const char *url;                /* template */
    const char *method;             /* NULL: POST */
    struct conf_pairs headers;      /* name: template */
    int64_t body;                   /* enum http_body */
    struct conf_pairs fields;       /* name: template; in JSON "a.b" nests and "a.0" is an array's element */
    int64_t auth;                   /* enum http_auth */
    const char *auth_header;        /* HTTP_AUTH_HEADER */
    const char *auth_scope;         /* HTTP_AUTH_AWS_SIGV4: template "aws:amz:REGION:SERVICE" */
    struct conf_pairs jwt_header;   /* more members of a token's header */
    struct conf_pairs jwt_claims;   /* templates; "int:" makes a number */
    int64_t jwt_life_ms;            /* how long a token is used; 0: 50 minutes */
    const char *token_url;          /* HTTP_AUTH_OAUTH_JWT: template without message values */
    const char *idempotency_header; /* carries message.key; or NULL */
    bool http2;
    int64_t validity_max_ms;            /* the longest validity the provider takes; 0: no limit */
    struct conf_strings success_status; /* "200", "2xx"; none: 2xx */
    const char *success_field;          /* a place in the answer (http_place.h), or NULL: the status is enough */
    struct conf_strings success_values; /* what may stand there */
    const char *id;                     /* place of the gateway's id of the message, or NULL */
    const char *code;                   /* place of the provider's code, or NULL */
    struct conf_pairs codes;            /* code or "HTTP 400" -> retry, rejected, contact-dead, account-trouble, unknown, sent */
    int64_t receipt_signature;          /* enum receipt_signature (receipt.h) */
    const char *receipt_list;           /* JSON place of an array of receipts, or NULL: the body is one */
    const char *receipt_ref;            /* place of the id that `id` gave; NULL: the provider sends no receipts */
    const char *receipt_status;
    struct conf_pairs receipt_statuses; /* provider's word -> delivered, failed, bounced, seen, acknowledged, pending */
    const char *receipt_code;
    struct conf_pairs receipt_codes; /* provider's code of a failure -> failed, bounced */
};

extern const struct conf_table http_description_table;

extern const char *const http_body_names[];         /* by enum http_body; NULL at the end */
extern const char *const http_auth_names[];         /* by enum http_auth */
extern const char *const receipt_signature_names[]; /* by enum receipt_signature (receipt.h) */

/* What can be judged of a description by itself. 0, or -1 with *err naming the key. */
int http_description_check(const struct http_description *description, struct err *err);

/* Whether nothing is set. */
bool http_description_is_empty(const struct http_description *description);

/* Constants: the operator's placeholders. One without a value is known but absent. Finding gives NULL where there is none. Adding
 * needs room in items; the first value of a name stays. */
const struct conf_pair *http_constants_find(const struct conf_pairs *constants, const char *name);
void http_constants_add(struct conf_pairs *constants, const char *name, const char *value);

/* Adds the description's defaults to constants that have room for them; those that are there with a value stay. 0, or -1 with *err. */
int http_description_add_defaults(const struct http_description *description, struct conf_pairs *constants, struct arena *arena,
                                  struct err *err);

/* Finds the shipped description of that name (share/reachd/gateways beside the program's bin, or channels/gateways in a source tree).
 * 1 and *path_r in the arena, 0 where there is none. */
int http_description_find(const char *name, struct arena *arena, const char **path_r);

/* Reads a description file and checks it as far as that goes without a gateway: what `reachctl gateway lint` calls, too. NULL with *err
 * ("twilio.yaml:12: url: ... "). */
const struct http_description *http_description_read(const char *path, struct arena *arena, struct err *err);

#endif
