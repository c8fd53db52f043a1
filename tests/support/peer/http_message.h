/* http_message: what a gateway request says, whoever's API it imitates. Private to the peer. */
#ifndef REACH_PEER_HTTP_MESSAGE_H
#define REACH_PEER_HTTP_MESSAGE_H

#include "base/buf.h"

#include <event2/http.h>
#include <jansson.h>

struct http_message {
    const char *channel; /* "sms", "push", "http": from the path's first part */
    char *path;          /* with the query */
    char *recipient;     /* or NULL */
    char *key;           /* or NULL */
    char *notice;        /* or NULL */
    struct buf body;     /* as it came */
    json_t *json;        /* the body parsed (JSON, or a form as an object); NULL: neither */
};

void http_message_read(struct http_message *message, struct evhttp_request *request);
void http_message_fini(struct http_message *message);

/* The request as a person would want to read it: {"request":{method, path, headers}, "body": ...}, indented. The caller frees it. */
char *http_message_text(const struct http_message *message, struct evhttp_request *request);

#endif
