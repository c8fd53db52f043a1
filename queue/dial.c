/* dial: see dial.h.
 *
 * One place that knows the two forms of an address, for the daemon's connections, reachctl's, and those to sentinels.
 *
 * Guarantees: TCP connections are kept alive, so that one whose other end is gone without a word is noticed in the end; a reply whose
 * header claims an absurd length ends the connection instead of taking memory. Does not: resolve names without blocking (an
 * address is not resolved; a name is, at each connection). */
#include "queue/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* hiredis allocates an array as long as its header claims before a single element has come. No answer of ours is nearly as long as
 * this; a header that claims more ends the connection. */
enum { ELEMENTS_MAX = 1 << 22, HOST_MAX = 408 };

static redisReplyObjectFunctions guarded;
static void *(*create_array)(const redisReadTask *task, int elements);

static void *create_array_of_sane_size(const redisReadTask *task, int elements) {
    return elements > ELEMENTS_MAX ? NULL : create_array(task, elements);
}

static void guard_reader(redisReader *reader) {
    if (create_array == NULL) {
        guarded = *reader->fn;
        create_array = guarded.createArray;
        guarded.createArray = create_array_of_sane_size;
    }
    reader->fn = &guarded;
    reader->maxbuf = 0; /* keep the buffer between replies */
}

static const char *socket_of(const char *address) {
    return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

/* Copies the host; returns the port. */
static int split(const char *address, char host[HOST_MAX]) {
    const char *colon = strrchr(address, ':');
    (void)snprintf(host, HOST_MAX, "%.*s", (int)(colon - address), address);
    return (int)strtol(colon + 1, NULL, 10);
}

int dial_check(const char *address, struct err *err) {
    const char *path = socket_of(address);
    if (path != NULL) {
        return *path != '\0' ? 0 : err_set(err, ERR_SYNTAX, "names no socket after \"unix:\"");
    }
    const char *colon = strrchr(address, ':');
    char *end = NULL;
    long port = colon == NULL ? 0 : strtol(colon + 1, &end, 10);
    if (colon == NULL || colon == address || colon - address >= HOST_MAX || port < 1 || port > 65535 || *end != '\0') {
        return err_set(err, ERR_SYNTAX, "must be host:port or unix:/path");
    }
    return 0;
}

redisAsyncContext *dial_async(const char *address) {
    const char *path = socket_of(address);
    char host[HOST_MAX];
    redisAsyncContext *redis = NULL;
    if (path != NULL) {
        redis = redisAsyncConnectUnix(path);
    } else {
        int port = split(address, host);
        redis = redisAsyncConnect(host, port);
    }
    if (redis != NULL && redis->err == 0) {
        if (path == NULL) {
            (void)redisEnableKeepAlive(&redis->c);
        }
        guard_reader(redis->c.reader);
    }
    return redis;
}

redisContext *dial_blocking(const char *address, int64_t wait_ms) {
    const struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    const char *path = socket_of(address);
    char host[HOST_MAX];
    redisContext *redis = NULL;
    if (path != NULL) {
        redis = redisConnectUnixWithTimeout(path, wait);
    } else {
        int port = split(address, host);
        redis = redisConnectWithTimeout(host, port, wait);
    }
    if (redis != NULL && redis->err == 0) {
        (void)redisSetTimeout(redis, wait); /* where it fails the connection carries the error */
    }
    return redis;
}
