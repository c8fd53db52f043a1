/* smtp_mailer: one mailer process, as reachd sees it: started, fed, watched, buried and started again. */
#ifndef REACH_CHANNELS_SMTP_MAILER_H
#define REACH_CHANNELS_SMTP_MAILER_H

#include "channels/channel.h"
#include "channels/smtp_link.h"

struct smtp_mailer;

struct smtp_mailer_config {
    const struct channel_env *env;
    const char *gateway_name;
    struct smtp_setup setup; /* strings are borrowed */
    int64_t hang_ms;         /* beyond a mail's deadline: then the process is taken to hang */
};

/* Starts the process and queues its set-up; tells config->env->remember what an earlier process's mailer of that number has noted.
 * `config` is borrowed for the mailer's life. NULL with *err. */
struct smtp_mailer *smtp_mailer_new(const struct smtp_mailer_config *config, size_t number, struct err *err);

/* Tells config->env->remember what an earlier process's mailers of higher numbers have noted: it may have had more of them. 0, or -1 with
 * *err. */
int smtp_mailer_read_boards(const struct smtp_mailer_config *config, size_t from, struct err *err);

/* Waits (this blocks; only for opening a gateway) until the process says that it is ready. 0; -1 with *err: what it says is wrong, or
 * that it said nothing until until_mono_ms (clock_system). */
int smtp_mailer_await(struct smtp_mailer *mailer, int64_t until_mono_ms, struct err *err);

/* How many mails it has; SIZE_MAX where it cannot take another one now (starting again, or full). */
size_t smtp_mailer_load(const struct smtp_mailer *mailer);

/* Takes a mail (copied but for its id, which stays borrowed until `done`; `slot` is set here) that was made of `message`. `done` will be
 * called exactly once, from the loop or from smtp_mailer_close(). 0, or -1 with *err: not taken. */
int smtp_mailer_send(struct smtp_mailer *mailer, struct smtp_mail *mail, const struct message *message, channel_done_fn *done, void *ctx,
                     struct err *err);

/* Starts what has been taken. */
void smtp_mailer_flush(struct smtp_mailer *mailer);

/* Ends the process (politely where it has nothing to do), reports every mail without an answer, frees. */
void smtp_mailer_close(struct smtp_mailer *mailer);

/* The process id, -1 while there is none. For tests and status. */
int smtp_mailer_pid(const struct smtp_mailer *mailer);

#endif
