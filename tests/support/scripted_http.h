/* scripted_http: an HTTP server that does what a test tells it, also what no decent server would do, and counts.
 *
 * It runs in a child process on 127.0.0.1 and takes its steps in order: the k-th request (over all connections) gets the k-th
 * step, the last step serves every further request. */
#ifndef REACH_TESTS_SUPPORT_SCRIPTED_HTTP_H
#define REACH_TESTS_SUPPORT_SCRIPTED_HTTP_H

#include <stddef.h>

enum scripted_act {
    SCRIPTED_ANSWER,       /* sends `bytes`, keeps the connection */
    SCRIPTED_ANSWER_CLOSE, /* sends `bytes`, closes */
    SCRIPTED_CLOSE,        /* reads the request, closes without a word */
    SCRIPTED_STALL,        /* reads the request, says nothing, keeps the connection */
    SCRIPTED_ENDLESS       /* sends `bytes`, then a body without end */
};

struct scripted_step {
    enum scripted_act act;
    const char *bytes;
    size_t len; /* 0: strlen(bytes) */
};

struct scripted_http;

/* Starts a server; the steps are borrowed until stop. NULL on failure (already reported on stderr). */
struct scripted_http *scripted_http_start(const struct scripted_step *steps, size_t n_steps);
void scripted_http_stop(struct scripted_http *server);

int scripted_http_port(const struct scripted_http *server);
int scripted_http_connections(const struct scripted_http *server);
int scripted_http_requests(const struct scripted_http *server);

/* The whole text of the k-th request (0: the first), head and body; "" where there is none. Up to 16 are kept, 8 KiB each. */
const char *scripted_http_request(const struct scripted_http *server, int k);

/* "HTTP/1.1 200 OK" with that body and a Content-Length, in static memory that each call of the same `slot` (0..7) writes anew. */
const char *scripted_answer(int slot, const char *status_line, const char *headers, const char *body);

#endif
