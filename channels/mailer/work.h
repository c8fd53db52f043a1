/* work: mails on their way from reachd to the sessions of one mailer, and the answers on their way back. Thread-safe. */
#ifndef REACH_CHANNELS_MAILER_WORK_H
#define REACH_CHANNELS_MAILER_WORK_H

#include "channels/smtp_link.h"

#include <stdbool.h>

/* Behind mail.data stands the line that ends a message on the wire, so that both can be sent in one piece. */
enum { WORK_DOT_BYTES = 3 };

/* One mail. Its strings live in the same block of memory. */
struct job {
    struct job *next;
    size_t size; /* of the block, in bytes */
    struct smtp_mail mail;
    struct smtp_board_slot *board;
    int restarts; /* how often a dying session has given it back untouched */
};

struct work;

/* `start` is called (with the lock held) when another session is wanted and allowed; it returns 0 where it could start one. NULL: no
 * memory. */
struct work *work_new(const struct smtp_setup *setup, struct smtp_board_slot *board, int fd, int (*start)(void *ctx), void *ctx);
void work_free(struct work *work);

/* Takes a MAIL frame's fields (copied) and hands the mail to a session. 0, or -1 where the frame is broken or there is no memory. */
int work_add(struct work *work, struct frame *frame);

/* For a session without a connection: waits for a mail that may open one. Only one session at a time tries until the server is known
 * to answer; see work_established(), work_broken(). NULL: the mailer is closing. */
struct job *work_take_first(struct work *work);

/* For an open session: the next mail, waiting at most wait_ms; NULL: none, or closing. */
struct job *work_take_next(struct work *work, int64_t wait_ms);

/* Puts back a mail of which nothing has been sent, ahead of all others. */
void work_give_back(struct work *work, struct job *job);

/* The session has come through greeting, TLS and AUTH. */
void work_established(struct work *work);

/* No session can be had: every mail that waits is answered with `outcome`. */
void work_broken(struct work *work, const struct outcome *outcome);

/* Answers a mail and frees it. The answer goes out within some milliseconds, together with those of other sessions. */
void work_answer(struct work *work, struct job *job, const struct outcome *outcome);

/* The thread of a session ends. */
void work_session_ended(struct work *work);

/* No more mails: open sessions are to end; waits until they have. */
void work_close(struct work *work);

#endif
