/* session: see session.h. The only file that includes libesmtp.
 *
 * libesmtp runs a whole connection inside smtp_start_session() and is fed from its event callback: when a message has its answer
 * the next mail is added, so that one connection carries many. All that a session object knows of its messages stays in memory
 * until it is destroyed; therefore the number of messages per session is limited.
 *
 * An outcome is "sent" only when three agree: libesmtp's status of the message, its status of the recipient, and the wire's own record of
 * the replies (smtp_wire.h). What the server refused is told in its words. For a mail that has no answer the board decides:
 * in doubt, or not sent. A mail that an idle connection lost before anything of it counted goes to a new connection at once.
 *
 * libesmtp keeps no state between session objects except a list of SASL mechanisms (locked) and a table of characters that the first
 * session fills while it is alone (work.c lets only one session start until it has been answered). The header wants <stddef.h>. */
#include "channels/mailer/session.h"

#include "base/clock.h"
#include "base/smtp_address.h"
#include "channels/mailer/guard.h"
#include "channels/mailer/tls.h"

#include <auth-client.h>
#include <libesmtp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 256 * 1024, LIBRARY_TIMEOUT_MIN_MS = 1000 };

/* A mail that libesmtp has been given. */
struct transaction {
    struct job *job; /* NULL: none */
    smtp_message_t message;
    smtp_recipient_t recipient;
};

struct session {
    const struct session_args *args;
    struct guard guard;
    smtp_session_t smtp;
    struct transaction now;  /* the one in progress */
    struct transaction next; /* added while the one in progress was being refused */
    uint32_t n_added;
    bool established;
    bool no_tls; /* the server does not offer STARTTLS */
};

void session_prepare(void) {
    auth_client_init();
}

/* ---- what becomes of a mail ---------------------------------------------------------------------------------------- */
static int64_t now_ms(void) {
    return clock_mono_ms(&clock_system);
}

static bool refused(const struct smtp_reply *reply) {
    return reply->code != 0 && (reply->code < 200 || reply->code > 399);
}

/* The first command of the transaction that the server refused; SMTP_STEP_COUNT: none. */
static enum smtp_step find_refusal(const struct smtp_wire *wire) {
    for (enum smtp_step step = SMTP_MAIL; step <= SMTP_LAST; step++) {
        const struct smtp_reply *reply = &wire->replies[step];
        if (refused(reply) || ((step == SMTP_MAIL || step == SMTP_RCPT || step == SMTP_CHUNK) && reply->code >= 300)) {
            return step;
        }
    }
    return SMTP_STEP_COUNT;
}

static const struct smtp_reply *final_reply(const struct smtp_wire *wire) {
    return wire->replies[SMTP_LAST].code != 0 ? &wire->replies[SMTP_LAST] : &wire->replies[SMTP_CONTENT];
}

static bool is_ok(int code) {
    return code >= 200 && code <= 299;
}

/* Whether library and wire agree that the server has taken the message for its recipient. */
static bool is_accepted(const struct session *session) {
    const struct smtp_wire *wire = &session->guard.wire;
    const smtp_status_t *message = smtp_message_transfer_status(session->now.message);
    const smtp_status_t *recipient = smtp_recipient_status(session->now.recipient);
    return message != NULL && recipient != NULL && is_ok(message->code) && message->code == final_reply(wire)->code &&
           is_ok(recipient->code) && recipient->code == wire->replies[SMTP_RCPT].code &&
           smtp_recipient_check_complete(session->now.recipient) != 0 && !wire->failed;
}

/* There is no answer that counts. */
static void judge_silence(const struct session *session, struct outcome *outcome) {
    const char *why = session->guard.wire.failed ? session->guard.wire.failure : "the server's answers made no sense";
    if (session->now.job->board->progress == SMTP_DOUBT) {
        outcome_set(outcome, OUTCOME_UNKNOWN, BLAME_GATEWAY, NULL, "no answer after the end of the message: %s", why);
    } else {
        outcome_set(outcome, OUTCOME_RETRY, BLAME_GATEWAY, NULL, "%s", why);
    }
}

static void judge(struct session *session, struct outcome *outcome) {
    const struct smtp_wire *wire = &session->guard.wire;
    const char *to = session->now.job->mail.to;
    enum smtp_step step = find_refusal(wire);
    if (step != SMTP_STEP_COUNT) {
        smtp_judge_refusal(&wire->replies[step], step, to, outcome);
    } else if (is_accepted(session)) {
        smtp_judge_accepted(final_reply(wire), to, outcome);
    } else {
        judge_silence(session, outcome);
    }
}

static void finish(struct session *session, const struct outcome *outcome) {
    struct job *job = session->now.job;
    session->now = session->next;
    session->next = (struct transaction){0};
    work_answer(session->args->work, job, outcome);
}

/* ---- giving mails to libesmtp -------------------------------------------------------------------------------------- */

/* libesmtp's reader: the whole message in one piece, or its stand-in; *len NULL rewinds. */
static const char *read_message(void **ctx, int *len, void *arg) {
    const struct job *job = arg;
    if (len == NULL) {
        free(*ctx);
        *ctx = NULL;
        return NULL;
    }
    if (*ctx != NULL) {
        *len = 0;
        return NULL;
    }
    *ctx = malloc(1); /* the library frees it; its presence says that the message has been read */
    if (*ctx == NULL) {
        *len = 0;
        return NULL;
    }
    const char *stand_in = guard_stand_in(job->mail.data, job->mail.data_len + WORK_DOT_BYTES);
    *len = (int)(stand_in != NULL ? strlen(stand_in) : job->mail.data_len);
    return stand_in != NULL ? stand_in : job->mail.data;
}

/* Lines that all end with CRLF and do not begin with a dot (mime.c writes none): then nothing in the message can look like the end of it.
 * (A CR by itself the guard does not let out.) */
static bool is_proper(const char *data, size_t len) {
    const char *end = data + len;
    for (const char *at = data; at < end;) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (lf == NULL || lf == at || lf[-1] != '\r' || *at == '.') {
            return false;
        }
        at = lf + 1;
    }
    return len > 0;
}

/* Looks again at what reachd has already checked, and at the time. 0, or -1 with the outcome. */
static int check_mail(const struct smtp_mail *mail, struct outcome *outcome) {
    struct err err;
    if (now_ms() > mail->not_after_ms) {
        outcome_set(outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "its time was over before it could begin");
        return -1;
    }
    if (smtp_address_check(mail->to, &err) != 0) {
        outcome_set(outcome, OUTCOME_REJECTED, BLAME_CONTACT, NULL, "%s", err.text);
        return -1;
    }
    if (smtp_address_check(mail->from, &err) != 0 || !is_proper(mail->data, mail->data_len)) {
        outcome_set(outcome, OUTCOME_REJECTED, BLAME_MESSAGE, NULL, "the mail is not fit to be sent");
        return -1;
    }
    return 0;
}

/* 0, or -1 without memory. */
static int add_message(struct session *session, struct job *job, struct transaction *transaction) {
    smtp_message_t message = smtp_add_message(session->smtp);
    if (message == NULL || !smtp_set_reverse_path(message, job->mail.from) || !smtp_set_messagecb(message, read_message, job)) {
        return -1;
    }
    smtp_recipient_t recipient = smtp_add_recipient(message, job->mail.to);
    if (recipient == NULL || !smtp_dsn_set_ret(message, Ret_HDRS) || !smtp_dsn_set_envid(message, job->mail.id) ||
        !smtp_dsn_set_notify(recipient, Notify_FAILURE) || !smtp_dsn_set_orcpt(recipient, "rfc822", job->mail.to) ||
        !smtp_size_set_estimate(message, job->mail.data_len)) {
        return -1;
    }
    *transaction = (struct transaction){.job = job, .message = message, .recipient = recipient};
    session->n_added++;
    return 0;
}

/* Adds a mail to the connection, answering those that cannot be sent at all. 1 added, 0 not (it has been answered). */
static int add_job(struct session *session, struct job *job, struct transaction *transaction) {
    struct outcome outcome;
    if (check_mail(&job->mail, &outcome) != 0) {
        work_answer(session->args->work, job, &outcome);
        return 0;
    }
    if (add_message(session, job, transaction) != 0) {
        outcome_set(&outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "out of memory");
        work_answer(session->args->work, job, &outcome);
        return 0;
    }
    return 1;
}

/* The transaction of session->now comes next on the wire. */
static void begin_now(struct session *session) {
    struct job *job = session->now.job;
    job->board->taken_ms = now_ms();
    guard_begin_mail(&session->guard, job->board, session->args->setup->message_deadline_ms, job->mail.not_after_ms);
}

/* Looks for another mail for this connection, as long as wait_ms. */
static void add_another(struct session *session, struct transaction *transaction, int64_t wait_ms) {
    while (session->n_added < session->args->setup->messages_per_session && !session->guard.wire.failed) {
        struct job *job = work_take_next(session->args->work, wait_ms);
        if (job == NULL || add_job(session, job, transaction) == 1) {
            return;
        }
    }
}

/* The mail in progress has its answer: on to the next. */
static void go_on(struct session *session) {
    struct outcome outcome;
    judge(session, &outcome);
    /* after a refused DATA libesmtp has already decided whether it goes on before it tells us */
    bool goes_on = find_refusal(&session->guard.wire) != SMTP_DATA || session->next.job != NULL;
    finish(session, &outcome);
    if (session->now.job == NULL && goes_on) {
        add_another(session, &session->now, session->args->setup->idle_ms);
    }
    if (session->now.job != NULL) {
        begin_now(session);
    }
}

/* ---- libesmtp's events --------------------------------------------------------------------------------------------- */
static void on_mail_reply(struct session *session) {
    if (!session->established) {
        session->established = true;
        work_established(session->args->work);
    }
    if (!is_ok(session->guard.wire.replies[SMTP_MAIL].code)) {
        go_on(session); /* libesmtp will not report this message again */
    }
}

/* After a refused recipient libesmtp looks for the next message before it reports the end of this one. */
static void on_rcpt_reply(struct session *session) {
    if (!is_ok(session->guard.wire.replies[SMTP_RCPT].code) && session->next.job == NULL) {
        add_another(session, &session->next, 0);
    }
}

static void on_event(smtp_session_t smtp, int event, void *arg, ...) {
    (void)smtp;
    struct session *session = arg;
    va_list args;
    va_start(args, arg);
    switch (event) {
    case SMTP_EV_MAILSTATUS: on_mail_reply(session); break;
    case SMTP_EV_RCPTSTATUS: on_rcpt_reply(session); break;
    case SMTP_EV_MESSAGESENT: go_on(session); break;
    case SMTP_EV_EXTNA_STARTTLS: session->no_tls = true; break;
    case SMTP_EV_WRONG_PEER_CERTIFICATE: *va_arg(args, int *) = 1; break; /* OpenSSL has compared it with the name we were given */
    default: break;
    }
    va_end(args);
}

/* ---- one connection ------------------------------------------------------------------------------------------------ */
static int tell_credentials(auth_client_request_t request, char **result, int n, void *arg) {
    const struct smtp_setup *setup = arg;
    for (int i = 0; i < n; i++) {
        /* libesmtp only reads them, but wants them without const */
        const char *value = (request[i].flags & AUTH_PASS) != 0   ? setup->password
                            : (request[i].flags & AUTH_USER) != 0 ? setup->username
                                                                  : NULL;
        memcpy(&result[i], &value, sizeof value);
    }
    return 1;
}

static auth_context_t new_auth(const struct smtp_setup *setup) {
    auth_context_t auth = auth_create_context();
    struct smtp_setup *borrowed;
    memcpy(&borrowed, &setup, sizeof borrowed);
    if (auth != NULL &&
        (!auth_set_mechanism_flags(auth, AUTH_PLUGIN_PLAIN, 0) || !auth_set_interact_cb(auth, tell_credentials, borrowed))) {
        (void)auth_destroy_context(auth);
        return NULL;
    }
    return auth;
}

static int set_timeouts(smtp_session_t smtp, int64_t wait_ms) {
    static const int which[] = {Timeout_GREETING, Timeout_ENVELOPE, Timeout_DATA, Timeout_TRANSFER, Timeout_DATA2};
    long value = (long)(wait_ms < LIBRARY_TIMEOUT_MIN_MS ? LIBRARY_TIMEOUT_MIN_MS : wait_ms);
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        if (smtp_set_timeout(smtp, which[i] | Timeout_OVERRIDE_RFC2822_MINIMUM, value) == 0) {
            return -1;
        }
    }
    return 0;
}

/* Sets up session->smtp. 0, or -1 without memory. */
static int prepare(struct session *session, auth_context_t auth) {
    const struct smtp_setup *setup = session->args->setup;
    char server[320];
    (void)snprintf(server, sizeof server, "%s:%s", setup->host, setup->port);
    bool ok = smtp_set_server(session->smtp, server) && smtp_set_hostname(session->smtp, setup->helo_name) &&
              smtp_set_eventcb(session->smtp, on_event, session) && set_timeouts(session->smtp, setup->command_timeout_ms) == 0 &&
              smtp_starttls_enable(session->smtp, session->args->tls != NULL ? Starttls_REQUIRED : Starttls_DISABLED);
    if (ok && session->args->tls != NULL) {
        ok = smtp_starttls_set_ctx(session->smtp, session->args->tls);
    }
    if (ok && auth != NULL) {
        ok = smtp_auth_set_context(session->smtp, auth);
    }
    return ok ? 0 : -1;
}

static void prepare_guard(struct session *session) {
    const struct smtp_setup *setup = session->args->setup;
    struct guard *guard = &session->guard;
    guard->policy = (struct smtp_wire_policy){.need_tls = session->args->tls != NULL, .need_auth = setup->username != NULL};
    guard->loopback_only = session->args->tls == NULL;
    guard->connect_timeout_ms = setup->connect_timeout_ms;
    guard->command_timeout_ms = setup->command_timeout_ms;
    if (!tls_host_is_address(setup->host)) {
        (void)snprintf(guard->server_name, sizeof guard->server_name, "%s", setup->host);
    }
}

/* Why the connection never came to a MAIL. */
static void judge_connection(const struct session *session, struct outcome *outcome) {
    static const enum smtp_step steps[] = {SMTP_AUTH, SMTP_STARTTLS, SMTP_EHLO, SMTP_GREETING};
    const struct smtp_wire *wire = &session->guard.wire;
    char text[128];
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (refused(&wire->replies[steps[i]])) {
            smtp_judge_refusal(&wire->replies[steps[i]], steps[i], NULL, outcome);
            return;
        }
    }
    const char *why = session->no_tls ? "TLS is required and the server does not offer it" : wire->failed ? wire->failure : NULL;
    if (why == NULL) {
        why = smtp_strerror(smtp_errno(), text, sizeof text);
    }
    outcome_set(outcome, OUTCOME_RETRY, wire->no_login ? BLAME_ACCOUNT : BLAME_GATEWAY, NULL, "%s", why != NULL ? why : "no connection");
}

/* Nothing of it counts: another connection may carry it. */
static void give_back(struct session *session) {
    struct job *job = session->now.job;
    session->now = session->next;
    session->next = (struct transaction){0};
    work_give_back(session->args->work, job);
}

/* Whether the connection was lost under a mail that it had been kept open for, before anything was said about it: such a mail gets a
 * second chance at once. */
static bool was_lost_idle(const struct session *session) {
    const struct job *job = session->now.job;
    return session->n_added > 1 && job->restarts == 0 && job->board->progress != SMTP_DOUBT &&
           find_refusal(&session->guard.wire) == SMTP_STEP_COUNT;
}

/* The connection has ended with a mail that has no answer. */
static void settle_now(struct session *session) {
    struct outcome outcome;
    if (!session->established) {
        judge_connection(session, &outcome);
        finish(session, &outcome);
        work_broken(session->args->work, &outcome);
    } else if (session->now.job->board->progress == SMTP_WAITING) {
        give_back(session); /* the replies on the wire are those of the mail before it */
    } else if (was_lost_idle(session)) {
        session->now.job->restarts++;
        give_back(session);
    } else {
        judge(session, &outcome);
        finish(session, &outcome);
    }
}

static void settle(struct session *session) {
    if (session->now.job != NULL) {
        settle_now(session);
    }
    if (session->now.job != NULL) {
        give_back(session); /* it was added and never begun */
    }
}

/* Opens a connection for `job` and keeps it as long as there is work for it. */
static void run(const struct session_args *args, struct job *job) {
    struct session session = {.args = args};
    struct outcome outcome;
    auth_context_t auth = args->setup->username != NULL ? new_auth(args->setup) : NULL;
    session.smtp = smtp_create_session();
    if (session.smtp == NULL || (args->setup->username != NULL && auth == NULL) || prepare(&session, auth) != 0) {
        outcome_set(&outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "out of memory");
        work_answer(args->work, job, &outcome);
        work_broken(args->work, &outcome);
    } else if (add_job(&session, job, &session.now) == 1) {
        prepare_guard(&session);
        begin_now(&session);
        guard_enter(&session.guard);
        (void)smtp_start_session(session.smtp); /* its result tells nothing: see judge() */
        guard_leave();
        settle(&session);
    } else {
        work_established(args->work); /* nothing was learned about the server: the next one may try */
    }
    if (session.smtp != NULL) {
        (void)smtp_destroy_session(session.smtp);
    }
    if (auth != NULL) {
        (void)auth_destroy_context(auth);
    }
}

static void *run_thread(void *arg) {
    const struct session_args *args = arg;
    struct job *job;
    while ((job = work_take_first(args->work)) != NULL) {
        run(args, job);
    }
    work_session_ended(args->work);
    return NULL;
}

int session_start(const struct session_args *args) {
    pthread_attr_t attr;
    pthread_t thread;
    struct session_args *borrowed;
    memcpy(&borrowed, &args, sizeof borrowed);
    if (pthread_attr_init(&attr) != 0) {
        return -1;
    }
    int status = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    status = status != 0 ? status : pthread_attr_setstacksize(&attr, STACK_BYTES);
    status = status != 0 ? status : pthread_create(&thread, &attr, run_thread, borrowed);
    (void)pthread_attr_destroy(&attr);
    return status == 0 ? 0 : -1;
}
