/* world: listening on loopback only, and the two socket options that matter to a peer on the same machine.
 *
 * A test peer that accepts anything must not be reachable from outside; so it is not a matter of configuration: an address
 * beyond 127.0.0.0/8 and ::1 is refused here, for every server the peer has.
 */
#include "tests/support/peer/world.h"

#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    }
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* "127.0.0.1:0", "[::1]:2525" into a socket address; -1 where it is anything else. */
static int parse(const char *text, struct loopback *out) {
    char host[INET6_ADDRSTRLEN + 2];
    const struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (len == 0 || len >= sizeof host) {
        return -1;
    }
    memcpy(host, text + bracketed, len - 2 * bracketed);
    host[len - 2 * bracketed] = '\0';
    if (getaddrinfo(host, colon + 1, &numeric, &found) != 0) {
        return -1;
    }
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int loopback_parse(const char *text, struct loopback *out, struct err *err) {
    memset(out, 0, sizeof *out);
    if (parse(text, out) != 0) {
        return err_set(err, ERR_SYNTAX, "\"%s\" is not an address with a port like 127.0.0.1:0", text);
    }
    if (!is_loopback(&out->address)) {
        return err_set(err, ERR_CONFLICT, "%s is not a loopback address; the sandbox peer listens nowhere else", text);
    }
    return 0;
}

static int address_port(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) {
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    }
    return address->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)address)->sin6_port) : -1;
}

int loopback_text(const struct loopback *where, char host[INET6_ADDRSTRLEN]) {
    const void *raw = where->address.ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)&where->address)->sin_addr
                                                          : (const void *)&((const struct sockaddr_in6 *)&where->address)->sin6_addr;
    (void)evutil_inet_ntop(where->address.ss_family, raw, host, INET6_ADDRSTRLEN); /* the buffer holds any address */
    return address_port(&where->address);
}

int socket_port(int fd) {
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 ? address_port(&address) : -1;
}

void socket_no_delay(int fd) {
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only speed is at stake */
}

void socket_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger); /* without it the peer sees an orderly end instead */
}
