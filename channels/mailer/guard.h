/* guard: stands between libesmtp and its socket.
 *
 * libesmtp calls connect, read, write, poll, SSL_connect, SSL_read and SSL_write; the mailer defines these names itself and passes the
 * calls on, after a look at what goes through (smtp_wire.h). It touches only the one connection of a thread that has entered a guard;
 * everything else in the process goes straight through. */
#ifndef REACH_CHANNELS_MAILER_GUARD_H
#define REACH_CHANNELS_MAILER_GUARD_H

#include "channels/smtp_link.h"
#include "channels/smtp_wire.h"

struct guard {
    /* set by the owner before guard_enter() */
    struct smtp_wire_policy policy;
    char server_name[256]; /* for SNI; empty where the server is configured by its address */
    bool loopback_only;    /* refuse to connect anywhere else */
    int64_t connect_timeout_ms;
    int64_t command_timeout_ms;

    /* the mail at hand; set by guard_begin_mail() */
    int64_t deadline_tick_ms; /* CLOCK_MONOTONIC: give up */
    int64_t not_after_ms;     /* CLOCK_BOOTTIME: the end of the message must not be sent after this */
    struct smtp_board_slot *board;
    const char *message; /* goes out in place of the stand-in; NULL: the library's bytes go out as they are */
    size_t message_len;
    size_t message_sent;

    /* the connection */
    int fd;
    int wait_ms;  /* how long its recv() waits; 0: it does not block (yet) */
    bool waiting; /* under TLS: OpenSSL's reads may wait */
    void *tls;    /* SSL *, or NULL */
    struct smtp_wire wire;
};

/* Makes `guard` the calling thread's; the next connect() is its connection. */
void guard_enter(struct guard *guard);
void guard_leave(void);

/* The next transaction is for the mail in this slot; it has time_ms from now. */
void guard_begin_mail(struct guard *guard, struct smtp_board_slot *board, int64_t time_ms, int64_t not_after_ms);

/* From now on no message is ended, on any connection; those whose end has left may still get their answer. */
void guard_end_nothing(void);

/* The library is about to write the message. Returns what it is to write instead (a C string: a header and nothing else), or NULL: the
 * message itself. In its place the calling thread's guard sends message[0..len), which is borrowed until then, must have passed the same
 * checks as any other message, must have no line that begins with a dot, and ends with the final dot's line. */
const char *guard_stand_in(const char *message, size_t len);

#endif
