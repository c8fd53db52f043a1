/* redis_server: a real redis-server for one test: on a unix socket in a directory of its own, with AOF, stopped by its pid.
 *
 * It dies with the test (PR_SET_PDEATHSIG) and its directory is removed at the end, so a failing test leaves nothing behind. */
#ifndef REACH_TESTS_REDIS_SERVER_H
#define REACH_TESTS_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct redis_server {
    char dir[64];
    char socket[96];
    char address[112]; /* "unix:<socket>", for queue_settings */
    char config[96];
    pid_t pid;        /* 0: not running */
    void *connection; /* of redis_server_ask() */
    char *answer;
};

/* Makes the directory and starts the server; `extra` (may be NULL) is appended to its configuration and wins over the defaults
 * (appendonly yes, appendfsync everysec, noeviction). Waits until it answers. 0, or -1 with a line on stderr. */
int redis_server_start(struct redis_server *server, const char *extra);

/* Stops it, ends the connection, removes the directory. Harmless on a zeroed or stopped server. */
void redis_server_stop(struct redis_server *server);

/* SIGKILL, and wait until it is gone. Data and directory stay. */
void redis_server_kill(struct redis_server *server);

/* SIGTERM (Redis writes what it has), and wait. */
void redis_server_shut(struct redis_server *server);

/* Starts it again on the same directory. `wait` false: returns at once, while it may still be loading. 0 or -1. */
int redis_server_again(struct redis_server *server, bool wait);

/* A command (arguments up to NULL) and its answer as text: strings and errors as they are, integers in decimal, nil "(nil)",
 * the elements of arrays (nested ones too) separated by newlines. Borrowed until the next call. NULL where it cannot be reached. */
const char *redis_server_ask(struct redis_server *server, ...) __attribute__((sentinel));

/* The same, as a number; -1 where the answer is none. */
long long redis_server_number(struct redis_server *server, ...) __attribute__((sentinel));

#endif
