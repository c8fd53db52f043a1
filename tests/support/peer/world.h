/* world: what the peer's servers share, and the one way to listen. */
#ifndef REACH_PEER_WORLD_H
#define REACH_PEER_WORLD_H

#include "base/err.h"
#include "tests/support/peer/rule.h"
#include "tests/support/peer/sink.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

struct peer_world {
    struct event_base *base;
    struct rules *rules; /* replaced as a whole by the control endpoint */
    struct sink *sink;
};

struct loopback {
    struct sockaddr_storage address;
    socklen_t len;
};

/* Reads "127.0.0.1:2525" or "[::1]:0". -1 with *err for anything that is not a loopback address: the peer never listens elsewhere. */
int loopback_parse(const char *text, struct loopback *out, struct err *err);

/* Writes the address without the port and returns the port. */
int loopback_text(const struct loopback *where, char host[INET6_ADDRSTRLEN]);

/* The port that a listening socket has. -1 where it cannot be told. */
int socket_port(int fd);

/* No Nagle: many small answers. */
void socket_no_delay(int fd);

/* Makes close() send a reset. */
void socket_reset_on_close(int fd);

#endif
