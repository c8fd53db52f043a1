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

    /* the connection */
    int fd;
    int wait_ms; /* how long its recv() waits; 0: it does not block (yet) */
    void *tls;   /* SSL *, or NULL */
    struct smtp_wire wire;
};

/* Makes `guard` the calling thread's; the next connect() is its connection. */
void guard_enter(struct guard *guard);
void guard_leave(void);

/* The next transaction is for the mail in this slot; it has time_ms from now. */
void guard_begin_mail(struct guard *guard, struct smtp_board_slot *board, int64_t time_ms, int64_t not_after_ms);

#endif
