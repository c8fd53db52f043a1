/* http_kit: an open gateway of the http driver for a test, and what it reported. Failures end the running cmocka test. */
#ifndef REACH_TESTS_SUPPORT_HTTP_KIT_H
#define REACH_TESTS_SUPPORT_HTTP_KIT_H

#include "base/arena.h"
#include "channels/channel.h"

struct event_base;

enum { HTTP_KIT_OUTCOMES = 64 };

struct http_kit {
    struct event_base *base;
    struct arena arena;
    struct channel_env env;
    struct gateway_settings settings;
    struct gateway *gateway;
    struct outcome outcomes[HTTP_KIT_OUTCOMES]; /* the newest ones, by number modulo */
    int n_done;
    const char *files[4]; /* to be cleared away */
    size_t n_files;
};

void http_kit_init(struct http_kit *kit);
void http_kit_fini(struct http_kit *kit);

/* Reads `yaml` (the http driver's own keys) and opens a gateway of `channel`. 0, or -1 with *err. */
int http_kit_open(struct http_kit *kit, const char *channel, const char *yaml, struct err *err);

/* Hands a message over without flush(). */
void http_kit_take(struct http_kit *kit, const struct message *message);

/* Runs the loop until n outcomes are there, 10 s at most. */
void http_kit_wait(struct http_kit *kit, int n);

/* Takes, flushes, waits: the outcome of this message. */
const struct outcome *http_kit_deliver(struct http_kit *kit, const struct message *message);

/* Fails unless kind and blame are these and the reason is neither empty nor holds "163296" (of the number tests use). */
void http_kit_assert_outcome(const struct outcome *outcome, enum outcome_kind kind, enum outcome_blame blame);

/* Writes a file that only its owner may read, in a place that http_kit_fini() clears away; its path lives in the kit's arena. */
const char *http_kit_file(struct http_kit *kit, const char *content);

/* A small SMS. */
extern const struct message http_kit_message;

#endif
