/* smtp_link: what reachd and its mailer processes say to each other, over a socketpair (frame.h) and on a shared board.
 *
 *     reachd                                 mailer
 *       │ SETUP (server, TLS, credentials) ──▶ │ first frame; answered by READY, or by FATAL and its end
 *       │ MAIL (slot, envelope, message)   ──▶ │ any number in flight, at most one per slot
 *       │ ◀── RESULT (slot, outcome)           │ exactly one per MAIL
 *       │ QUIT                             ──▶ │ ends its sessions politely and exits
 *
 * The board has an entry per slot, in memory that both map. The mailer writes there how far a mail has come, before the bytes
 * that make it true leave the machine, and what the server answered, before it is told. When a mailer dies, by whatever cause, the board
 * says for each mail whether the server can have accepted it; and where it is a file, the next reachd reads there what the last one
 * was not told any more. */
#ifndef REACH_CHANNELS_SMTP_LINK_H
#define REACH_CHANNELS_SMTP_LINK_H

#include "base/outcome.h"
#include "channels/frame.h"

#include <stdatomic.h>

/* The descriptors a mailer is started with. */
enum { SMTP_LINK_FD = 3, SMTP_BOARD_FD = 4 };

enum { SMTP_NOTICE_MAX = 128, SMTP_REF_MAX = 39 }; /* characters of a notice's id, of a message's key */

enum smtp_frame {
    SMTP_FRAME_SETUP = 'S',
    SMTP_FRAME_READY = 'Y',
    SMTP_FRAME_FATAL = 'F',
    SMTP_FRAME_MAIL = 'M',
    SMTP_FRAME_RESULT = 'R',
    SMTP_FRAME_QUIT = 'Q'
};

/* How far the mail in a slot has come. */
enum smtp_progress {
    SMTP_WAITING, /* nothing of it has been sent */
    SMTP_BEGUN,   /* its transaction is open; the server has not seen the end of the message */
    SMTP_DOUBT,   /* the end of the message is on its way: until the answer comes the server may have accepted it */
    SMTP_ANSWERED /* the answer stands in the slot */
};

/* One slot of the board. The mailer writes, reachd reads, and fills in the first three before it hands the mail over. */
struct smtp_board_slot {
    uint64_t attempt; /* whose mail it is; 0: nobody's */
    char notice[SMTP_NOTICE_MAX + 1];
    char ref[SMTP_REF_MAX + 1];     /* its key */
    char code[32];                  /* of the answer */
    unsigned char kind, blame;      /* of the answer: enum outcome_kind, enum outcome_blame */
    _Atomic unsigned char progress; /* enum smtp_progress; written after what it stands for */
    _Atomic int64_t taken_ms;       /* CLOCK_BOOTTIME when a session took the mail up; 0: it waits */
};

/* The board as it lies in memory or in its file. */
struct smtp_board {
    char magic[16];
    uint32_t slot_bytes;
    uint32_t n_slots;
    struct smtp_board_slot slots[];
};

/* Bytes of a board of n slots. */
size_t smtp_board_bytes(uint32_t n);

/* The answer in a slot that is SMTP_ANSWERED, with `why` for its reason and without its ref, or what its progress means where the mailer is
 * gone: retry, or unknown where it is in doubt. */
void smtp_board_outcome(const struct smtp_board_slot *slot, const char *why, struct outcome *outcome);

/* How a connection is protected. */
enum smtp_tls { SMTP_TLS_REQUIRED, SMTP_TLS_LOOPBACK_PLAINTEXT };

struct smtp_setup {
    const char *host; /* as configured: the certificate must be for this name or address */
    const char *port;
    enum smtp_tls tls;
    const char *ca_file;  /* PEM; NULL: the system's */
    const char *username; /* NULL: no AUTH */
    const char *password;
    const char *helo_name;
    uint32_t sessions; /* at once in this mailer */
    uint32_t messages_per_session;
    uint32_t n_slots;
    int64_t connect_timeout_ms;
    int64_t command_timeout_ms;  /* without a byte from the server */
    int64_t message_deadline_ms; /* for one mail, from the moment a session takes it up */
    int64_t idle_ms;             /* how long an idle session is kept open */
};

struct smtp_mail {
    uint32_t slot;
    int64_t not_after_ms; /* CLOCK_BOOTTIME (clock_system.mono_ms): not begun by then, it must not begin */
    const char *id;       /* envelope id for the server's reports (RFC 3461 section 4.4), the idempotency key */
    const char *from;     /* envelope sender */
    const char *to;       /* envelope recipient */
    const char *data;     /* header and body, ASCII lines that end with CRLF */
    size_t data_len;
};

struct smtp_result {
    uint32_t slot;
    struct outcome outcome; /* without its ref, which reachd knows */
};

/* Each puts one whole frame at the end of `out`. 0, or -1 (too long, or no memory). */
int smtp_put_setup(struct buf *out, const struct smtp_setup *setup);
int smtp_put_mail(struct buf *out, const struct smtp_mail *mail);
int smtp_put_result(struct buf *out, const struct smtp_result *result);
int smtp_put_word(struct buf *out, enum smtp_frame type, const char *text); /* READY, FATAL, QUIT; text may be NULL */

/* Each reads the fields of a frame of that type; strings are borrowed from it. 0, or -1 where the frame is broken. */
int smtp_get_setup(struct frame *frame, struct smtp_setup *setup_r);
int smtp_get_mail(struct frame *frame, struct smtp_mail *mail_r);
int smtp_get_result(struct frame *frame, struct smtp_result *result_r);
int smtp_get_word(struct frame *frame, const char **text_r);

#endif
