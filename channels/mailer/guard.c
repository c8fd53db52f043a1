/* guard: see guard.h.
 *
 * Why by defining the C library's names: libesmtp 1.1 offers no hook for its socket. It sets no TCP_NODELAY (23 messages a second
 * instead of thousands), has no deadline for connect(), takes a line that ends with the connection for a whole one, mistakes the tail
 * of an over-long line or a surplus reply for the next reply, carries plain text received with the STARTTLS reply over into TLS, goes on
 * unauthenticated after a failed AUTH, and after a time-out in the middle of a body sends the rest of it. All of that happens
 * between it and the socket, so this is where it can be stopped. The mailer is a small process that does nothing else.
 *
 * It is also what makes TLS 1.3 work: the library waits for "readable or writable" and reads first. The session tickets of a
 * TLS 1.3 server make the socket readable while the EHLO still lies in the write buffer; the read finds no data and waits for an
 * answer to a command that was never sent. Here, over TLS, writing comes before reading.
 *
 * After any rule is broken reads return end of file and writes EPIPE: libesmtp takes that for a dropped connection, and the
 * caller finds the reason in wire.failure.
 *
 * A message that follows DATA does not pass through the library: it takes one apart byte by byte, which is half of all the instructions a
 * mail costs, and does not stuff the dot after a lone LF. It gets a stand-in of some bytes; what it writes for that is dropped and the
 * message goes out from where it lies, under the same watch. (With BDAT the library's count of bytes must be true: there it gets the
 * message.)
 *
 * Before the bytes that end a message are let out, the board is set to "in doubt". Once they may leave, only the answer ends that. */
#include "channels/mailer/guard.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static _Thread_local struct guard *current;
static _Atomic bool end_nothing;

void guard_end_nothing(void) {
    end_nothing = true;
}

void guard_enter(struct guard *guard) {
    guard->fd = -1;
    guard->tls = NULL;
    smtp_wire_init(&guard->wire, &guard->policy);
    current = guard;
}

void guard_leave(void) {
    current = NULL;
}

/* The next definition of `name` after ours: the C library's or OpenSSL's. */
static void *next_symbol(const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        (void)fprintf(stderr, "reachd-mailer: the library function %s is missing\n", name);
        _exit(70);
    }
    return symbol;
}

/* Declares real_NAME() that calls the next definition. */
#define NEXT(result, name, params, args)                                                                                                   \
    static result real_##name params {                                                                                                     \
        static result(*_Atomic function) params;                                                                                           \
        result(*known) params = function;                                                                                                  \
        if (known == NULL) {                                                                                                               \
            void *symbol = next_symbol(#name);                                                                                             \
            memcpy(&known, &symbol, sizeof known);                                                                                         \
            function = known;                                                                                                              \
        }                                                                                                                                  \
        return known args;                                                                                                                 \
    }

NEXT(int, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
NEXT(ssize_t, read, (int fd, void *data, size_t len), (fd, data, len))
NEXT(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))
NEXT(int, poll, (struct pollfd * fds, nfds_t n, int timeout_ms), (fds, n, timeout_ms))
NEXT(int, SSL_connect, (SSL * ssl), (ssl))
NEXT(int, SSL_read, (SSL * ssl, void *data, int len), (ssl, data, len))
NEXT(int, SSL_write, (SSL * ssl, const void *data, int len), (ssl, data, len))

/* For waits: CLOCK_MONOTONIC, which costs no system call anywhere. */
static int64_t tick_ms(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void guard_begin_mail(struct guard *guard, struct smtp_board_slot *board, int64_t time_ms, int64_t not_after_ms) {
    guard->board = board;
    guard->deadline_tick_ms = tick_ms() + time_ms;
    guard->not_after_ms = not_after_ms;
    guard->message = NULL;
}

const char *guard_stand_in(const char *message, size_t len) {
    if (current == NULL || current->wire.out.mode != SMTP_OUT_BODY) {
        return NULL;
    }
    current->message = message;
    current->message_len = len;
    current->message_sent = 0;
    return "From: x\r\nDate: x\r\nMessage-Id: x\r\n\r\n"; /* what it would make up otherwise */
}

/* ---- connect ------------------------------------------------------------------------------------------------------- */
static bool is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

/* Whether the pending connect succeeded within the time. 0, or -1 with errno. */
static int await_connect(struct guard *guard, int fd) {
    int64_t left_ms = guard->deadline_tick_ms - tick_ms();
    int wait_ms = (int)(left_ms < guard->connect_timeout_ms ? left_ms : guard->connect_timeout_ms);
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    int n = wait_ms > 0 ? real_poll(&pollfd, 1, wait_ms) : 0;
    if (n <= 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        errno = error != 0 ? error : errno;
        return -1;
    }
    return 0;
}

/* Leaves the socket non-blocking, as libesmtp is going to make it anyway. */
static int guarded_connect(struct guard *guard, int fd, const struct sockaddr *address, socklen_t len) {
    int one = 1;
    smtp_wire_init(&guard->wire, &guard->policy);
    if (guard->loopback_only && !is_loopback(address)) {
        (void)smtp_wire_fail(&guard->wire, "TLS is switched off, and that is allowed only for a server on this machine");
        errno = EACCES;
        return -1;
    }
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return -1;
    }
    int status = real_connect(fd, address, len);
    if (status != 0 && errno == EINPROGRESS) {
        status = await_connect(guard, fd);
    }
    if (status != 0) {
        (void)smtp_wire_fail(&guard->wire, "cannot connect: %s", strerror(errno));
        return -1;
    }
    guard->fd = fd;
    guard->tls = NULL;
    guard->wait_ms = 0;
    return 0;
}

/* ---- receiving -----------------------------------------------------------------------------------------------------
 * libesmtp asks poll() before each read and each write. Here a wait for a reply is one recv() that blocks, with a time-out, and what it
 * brings is ready for the read that follows; half of the system calls of a mail are saved. Writes never block. */

/* One recv(), or one SSL_read(), which may want another. Its result; 0 the end; -1 with errno EAGAIN (EINTR): nothing has come (in time).
 */
static ssize_t receive_bytes(struct guard *guard, bool wait, char *data, size_t cap) {
    if (guard->tls == NULL) {
        return recv(guard->fd, data, cap, wait ? 0 : MSG_DONTWAIT);
    }
    guard->waiting = wait;
    errno = 0;
    int n = real_SSL_read(guard->tls, data, (int)cap);
    int why = errno;
    guard->waiting = false;
    if (n > 0) {
        return n;
    }
    int error = SSL_get_error(guard->tls, n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        errno = why == EINTR ? EINTR : EAGAIN;
        return -1;
    }
    ERR_clear_error();
    return 0;
}

/* Takes what there is into the wire. 1 something came, 0 nothing (in time), -1 the connection is over (the wire has failed). */
static int receive_some(struct guard *guard, bool wait) {
    char chunk[2048];
    size_t room = smtp_wire_room(&guard->wire);
    ssize_t n = receive_bytes(guard, wait, chunk, room < sizeof chunk ? room : sizeof chunk);
    if (n > 0) {
        return smtp_wire_receive(&guard->wire, chunk, (size_t)n) == 0 ? 1 : -1;
    }
    if (n == 0) {
        return smtp_wire_fail(&guard->wire, "the server closed the connection");
    }
    return errno == EAGAIN || errno == EINTR ? 0 : smtp_wire_fail(&guard->wire, "the connection broke: %s", strerror(errno));
}

static ssize_t guarded_read(struct guard *guard, void *data, size_t len) {
    for (;;) {
        size_t given = smtp_wire_give(&guard->wire, data, len);
        if (given > 0 || guard->wire.failed) {
            return (ssize_t)given;
        }
        if (receive_some(guard, false) == 0) {
            errno = EAGAIN;
            return -1;
        }
    }
}

/* What lies ahead on a connection that owes nothing: 1 bytes, 0 its end, -1 nothing. */
static int look_ahead(struct guard *guard) {
    char byte;
    if (guard->tls == NULL) {
        ssize_t n = recv(guard->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return n > 0 ? 1 : n < 0 && (errno == EAGAIN || errno == EINTR) ? -1 : 0;
    }
    int n = SSL_peek(guard->tls, &byte, 1);
    bool nothing = n <= 0 && SSL_get_error(guard->tls, n) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return n > 0 ? 1 : nothing ? -1 : 0;
}

/* Whether nothing more can be said on a connection that owes nothing: the server has said too much, or has closed it. */
static bool is_disturbed(struct guard *guard) {
    int ahead = look_ahead(guard);
    if (ahead >= 0) {
        (void)smtp_wire_fail(&guard->wire,
                             ahead > 0 ? "the server sent a reply that nothing had asked for" : "the server closed the connection");
    }
    return guard->wire.failed;
}

/* Decides on bytes that are about to leave, and marks the board. *before is what to put back when they do not all leave. */
static int may_send(struct guard *guard, const char *data, size_t len, struct smtp_wire_out *before) {
    struct smtp_wire *wire = &guard->wire;
    *before = wire->out;
    if (wire->failed || smtp_wire_send(wire, data, len) != 0) {
        return -1;
    }
    /* The moment that counts: a reply that came too early must not be taken for the one to the message. With BDAT the message may follow
     * in the same write as commands that still owe replies, so the look comes before the first of them. */
    bool counts = wire->out.ends_message || wire->out.mode == SMTP_OUT_CHUNK;
    if (counts && before->n_expect == 0 && is_disturbed(guard)) {
        return -1;
    }
    if (wire->out.opens_message) {
        guard->board->progress = SMTP_BEGUN;
    }
    if (wire->out.ends_message) {
        if (clock_mono_ms(&clock_system) > guard->not_after_ms || tick_ms() > guard->deadline_tick_ms) {
            return smtp_wire_fail(wire, "its time was over before the message could be ended");
        }
        guard->board->progress = SMTP_DOUBT;
        if (end_nothing) { /* asked after the board was written: whoever waits for doubts to end sees this one or stops it here */
            guard->board->progress = SMTP_BEGUN;
            return smtp_wire_fail(wire, "reachd ended before the message did");
        }
    }
    return 0;
}

/* Only `sent` of the bytes have left: what was noted about the rest is taken back. */
static void note_sent(struct guard *guard, const char *data, size_t len, ssize_t sent, const struct smtp_wire_out *before) {
    if (sent < (ssize_t)len) {
        guard->wire.out = *before;
        (void)smtp_wire_send(&guard->wire, data, sent > 0 ? (size_t)sent : 0);
    }
}

static ssize_t send_plain(struct guard *guard, const char *data, size_t len) {
    /* In the middle of a message more follows at once: it need not leave in pieces of the library's buffer. */
    int more = guard->wire.out.mode != SMTP_OUT_LINE ? MSG_MORE : 0;
    ssize_t n = send(guard->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    int error = errno;
    if (n < 0 && error != EAGAIN && error != EINTR) {
        (void)smtp_wire_fail(&guard->wire, "the connection broke: %s", strerror(error));
    }
    errno = error;
    return n;
}

static ssize_t send_tls(struct guard *guard, const char *data, size_t len) {
    int n = real_SSL_write(guard->tls, data, (int)len);
    int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(guard->tls, n);
    if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        (void)smtp_wire_fail(&guard->wire, "the connection broke");
    }
    return n;
}

/* As send(2) or SSL_write(3), after a look at the bytes. */
static ssize_t send_some(struct guard *guard, const char *data, size_t len) {
    struct smtp_wire_out before;
    if (may_send(guard, data, len, &before) != 0) {
        errno = EPIPE;
        return -1;
    }
    ssize_t n = guard->tls == NULL ? send_plain(guard, data, len) : send_tls(guard, data, len);
    int error = errno;
    note_sent(guard, data, len, n, &before);
    errno = error;
    return n;
}

/* Whether the library's bytes are the stand-in, up to its end. */
static bool is_stand_in(const char *data, size_t len) {
    static const char end[] = "\r\n.\r\n";
    const char *found = memmem(data, len, end, sizeof end - 1);
    return found != NULL && (size_t)(found - data) + sizeof end - 1 == len;
}

/* What the library calls with its bytes; where they are a stand-in it is told "sent" when the message has been. */
static ssize_t guarded_write(struct guard *guard, const char *data, size_t len) {
    if (guard->message == NULL) {
        return send_some(guard, data, len);
    }
    if (!is_stand_in(data, len)) {
        errno = EPIPE;
        return smtp_wire_fail(&guard->wire, "libesmtp did not write the message as expected");
    }
    while (guard->message_sent < guard->message_len) {
        ssize_t n = send_some(guard, guard->message + guard->message_sent, guard->message_len - guard->message_sent);
        if (n <= 0) {
            return n;
        }
        guard->message_sent += (size_t)n;
    }
    guard->message = NULL;
    return (ssize_t)len;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------- */
static int poll_broken(struct pollfd *fds, nfds_t n) {
    for (nfds_t i = 0; i < n; i++) {
        fds[i].revents = POLLERR;
    }
    return (int)n;
}

static int poll_ready(struct pollfd *fds, nfds_t n) {
    for (nfds_t i = 0; i < n; i++) {
        fds[i].revents = (short)(fds[i].events & POLLIN);
    }
    return 1;
}

static int poll_writable(struct pollfd *fds, nfds_t n) {
    for (nfds_t i = 0; i < n; i++) {
        fds[i].revents = (short)(fds[i].events & POLLOUT);
    }
    return 1;
}

/* How long a wait may take: what the library wants, what one command may, what is left for the mail. */
static int clamp_wait(const struct guard *guard, int timeout_ms) {
    int64_t wait_ms = timeout_ms < 0 || timeout_ms > guard->command_timeout_ms ? guard->command_timeout_ms : timeout_ms;
    int64_t left_ms = guard->deadline_tick_ms - tick_ms();
    return left_ms <= 0 ? 0 : (int)(left_ms < wait_ms ? left_ms : wait_ms);
}

/* Puts the socket into the state in which recv() waits, at most that long. */
static int set_wait(struct guard *guard, int wait_ms) {
    struct timeval time = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    if (guard->wait_ms == wait_ms) {
        return 0;
    }
    if (guard->wait_ms == 0 && fcntl(guard->fd, F_SETFL, 0) != 0) {
        return -1;
    }
    guard->wait_ms = wait_ms;
    return setsockopt(guard->fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

static int await_reply(struct guard *guard, struct pollfd *fds, nfds_t n, int timeout_ms) {
    struct smtp_wire *wire = &guard->wire;
    while (wire->in_ready == 0 && !wire->failed) {
        int wait_ms = clamp_wait(guard, timeout_ms);
        if (wait_ms == 0 || set_wait(guard, wait_ms) != 0 || (receive_some(guard, true) == 0 && errno == EAGAIN)) {
            (void)smtp_wire_fail(wire, "the server did not answer in time");
        }
    }
    return wire->failed ? poll_broken(fds, n) : poll_ready(fds, n);
}

static int await_socket(struct guard *guard, struct pollfd *fds, nfds_t n, int timeout_ms) {
    int ready = real_poll(fds, n, clamp_wait(guard, timeout_ms));
    if (ready == 0) {
        (void)smtp_wire_fail(&guard->wire, "the server did not answer in time");
        return poll_broken(fds, n);
    }
    return ready;
}

/* libesmtp asks for one descriptor or, when it has something to send and a reply to come, for the same one twice. */
static int guarded_poll(struct guard *guard, struct pollfd *fds, nfds_t n, int timeout_ms) {
    if (guard->wire.failed) {
        return poll_broken(fds, n);
    }
    if (n == 2) { /* write first: see above; a full socket makes the write say so, and then there is one entry */
        return poll_writable(fds, n);
    }
    bool reading = (fds[0].events & POLLIN) != 0;
    if (reading && guard->wire.in_ready > 0) {
        return poll_ready(fds, n);
    }
    if (timeout_ms == 0) {
        fds[0].revents = 0;
        return 0; /* a look at a reply that may wait */
    }
    bool talking = guard->tls == NULL || SSL_is_init_finished(guard->tls);
    return reading && talking ? await_reply(guard, fds, n, timeout_ms) : await_socket(guard, fds, n, timeout_ms);
}

/* ---- TLS ----------------------------------------------------------------------------------------------------------- */
static void explain_handshake(struct guard *guard, SSL *ssl) {
    long verdict = SSL_get_verify_result(ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (verdict != X509_V_OK) {
        (void)smtp_wire_fail(&guard->wire, "the server's certificate was refused: %s", X509_verify_cert_error_string(verdict));
    } else {
        (void)smtp_wire_fail(&guard->wire, "the TLS handshake failed: %s", reason != NULL ? reason : "the connection broke");
    }
    ERR_clear_error();
}

static int guarded_tls_connect(struct guard *guard, SSL *ssl) {
    if (guard->tls == NULL) {
        if (smtp_wire_begin_tls(&guard->wire) != 0 || is_disturbed(guard)) {
            return -1;
        }
        if (guard->server_name[0] != '\0' && SSL_set_tlsext_host_name(ssl, guard->server_name) != 1) {
            return smtp_wire_fail(&guard->wire, "no memory for TLS");
        }
        guard->tls = ssl;
    }
    int status = real_SSL_connect(ssl);
    if (status <= 0) {
        int error = SSL_get_error(ssl, status);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            explain_handshake(guard, ssl);
        }
    }
    return status;
}

/* OpenSSL may have read more than it gives (it reads ahead), so nothing here asks the socket whether there is something to read. */
static int guarded_tls_read(struct guard *guard, void *data, int len) {
    for (;;) {
        size_t given = smtp_wire_give(&guard->wire, data, (size_t)len);
        if (given > 0 || guard->wire.failed) {
            return (int)given;
        }
        if (receive_some(guard, false) == 0) {
            return -1; /* SSL_get_error() says WANT_READ */
        }
    }
}

/* ---- the names libesmtp calls ---------------------------------------------------------------------------------------
 * hook_NAME is what the linker knows as NAME. */
#define HOOK(result, name, params)                                                                                                         \
    result hook_##name params __asm__(#name);                                                                                              \
    result hook_##name params

HOOK(int, connect, (int fd, const struct sockaddr *address, socklen_t len)) {
    bool ours = current != NULL && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
    return ours ? guarded_connect(current, fd, address, len) : real_connect(fd, address, len);
}

static bool is_ours(int fd) {
    return current != NULL && current->fd == fd;
}

/* Under TLS it is OpenSSL that reads and writes; the socket itself may be one that waits. */
HOOK(ssize_t, read, (int fd, void *data, size_t len)) {
    if (!is_ours(fd)) {
        return real_read(fd, data, len);
    }
    return current->tls == NULL ? guarded_read(current, data, len) : recv(fd, data, len, current->waiting ? 0 : MSG_DONTWAIT);
}

HOOK(ssize_t, write, (int fd, const void *data, size_t len)) {
    if (!is_ours(fd)) {
        return real_write(fd, data, len);
    }
    return current->tls == NULL ? guarded_write(current, data, len) : send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

HOOK(int, poll, (struct pollfd * fds, nfds_t n, int timeout_ms)) {
    bool ours = current != NULL && n > 0 && fds[0].fd == current->fd;
    return ours ? guarded_poll(current, fds, n, timeout_ms) : real_poll(fds, n, timeout_ms);
}

HOOK(int, SSL_connect, (SSL * ssl)) {
    return current != NULL ? guarded_tls_connect(current, ssl) : real_SSL_connect(ssl);
}

HOOK(int, SSL_read, (SSL * ssl, void *data, int len)) {
    return current != NULL ? guarded_tls_read(current, data, len) : real_SSL_read(ssl, data, len);
}

HOOK(int, SSL_write, (SSL * ssl, const void *data, int len)) {
    return current != NULL ? (int)guarded_write(current, data, (size_t)len) : real_SSL_write(ssl, data, len);
}
