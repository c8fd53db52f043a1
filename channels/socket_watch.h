/* socket_watch: sockets watched on a libevent base for somebody who says anew for every request what to wait for. */
#ifndef REACH_CHANNELS_SOCKET_WATCH_H
#define REACH_CHANNELS_SOCKET_WATCH_H

#include <stdbool.h>

struct event_base;
struct socket_watches;

enum { SOCKET_READ = 1, SOCKET_WRITE = 2 };

/* `ready`: some of SOCKET_*. Sockets may be opened, closed and asked for from inside it. */
typedef void socket_ready_fn(void *ctx, int fd, int ready);

/* NULL when there is no memory. */
struct socket_watches *socket_watches_new(struct event_base *base, socket_ready_fn *on_ready, void *ctx);

/* Stops watching everything; closes nothing. NULL is allowed. */
void socket_watches_free(struct socket_watches *watches);

/* A socket has been opened whose end will be told with socket_watch_closing(). 0, or -1 when there is no memory. */
int socket_watch_opened(struct socket_watches *watches, int fd);

/* Says what to wait for from now on: some of SOCKET_*, or 0 for nothing. For a socket that was not told of with socket_watch_opened(), 0
 * has to be said before it is closed. 0, or -1 when it cannot be watched. */
int socket_watch_want(struct socket_watches *watches, int fd, int wanted);

/* The socket is about to be closed. */
void socket_watch_closing(struct socket_watches *watches, int fd);

#endif
