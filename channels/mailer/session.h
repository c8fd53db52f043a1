/* session: one thread that carries mails to the server over one connection after the other. */
#ifndef REACH_CHANNELS_MAILER_SESSION_H
#define REACH_CHANNELS_MAILER_SESSION_H

#include "channels/mailer/work.h"

#include <openssl/ssl.h>

struct session_args {
    struct work *work;
    const struct smtp_setup *setup;
    SSL_CTX *tls; /* NULL: without TLS */
};

/* Starts a thread that takes mails from the work until that closes. 0, or -1. `args` is borrowed for the thread's life. */
int session_start(const struct session_args *args);

/* Prepares libesmtp for the process; call once before the first session. */
void session_prepare(void);

#endif
