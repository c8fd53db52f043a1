/* smtp: e-mail through a smarthost.
 *
 *     send() ── mime.c makes the mail ──▶ the mailer process with the least to do ──▶ libesmtp ──▶ smarthost
 *                                                       │
 *     done() ◀── outcome per recipient ─────────────────┘
 *
 * libesmtp blocks and may hang or crash, so the SMTP is spoken in `mailers` child processes (channels/mailer), each with up to
 * `sessions` connections. This file turns settings into their set-up, messages into mails, and spreads the load.
 *
 * Outcomes: a reply of 2yz after the end of the message is sent, 4yz retry, 5yz rejected; no connection, no TLS, no login is retry
 * and the gateway's fault; a connection or process lost after the end of the message had left is unknown, before it retry. A mail
 * that cannot be made (address that needs SMTPUTF8, too large) is rejected without asking anybody.
 *
 * The reference of an attempt is the message's key. It is in the Message-ID, in the envelope sender (VERP) and in the envelope id
 * for delivery reports, so that a bounce finds its notice.
 *
 * TLS with a verified certificate is required. The one way around is `tls: plaintext-on-loopback`, and the mailer then connects to
 * this machine only. A server that speaks TLS from the first byte (port 465) needs a local stunnel in between. */
#include "channels/smtp.h"
#include "base/smtp_address.h"
#include "channels/defer.h"
#include "channels/mime.h"
#include "channels/smtp_mailer.h"

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READY_MS = 10000, HANG_MS = 5000, BUSY_RETRY_MS = 1000 };

static const char *const tls_choices[] = {"required", "plaintext-on-loopback", NULL}; /* order of enum smtp_tls */

struct smtp_settings {
    const char *host;
    int64_t port;
    int64_t tls;
    const char *ca_file;
    const char *username;
    const char *password_file;
    const char *from_address;
    const char *from_name;
    const char *reply_to;
    const char *envelope;
    const char *envelope_key_file;
    const char *helo_name;
    int64_t mailers;
    int64_t sessions;
    int64_t messages_per_session;
    int64_t connect_timeout_ms;
    int64_t command_timeout_ms;
    int64_t message_deadline_ms;
    int64_t idle_ms;
};

struct gateway {
    const struct channel_env *env;
    const struct smtp_settings *settings;
    struct arena arena; /* the password, the texts of the set-up */
    struct verp verp;
    struct smtp_mailer_config config;
    struct smtp_mailer **mailers;
    size_t n_mailers;
    struct defer *defer;
    struct buf mail;
};

/* ---- settings ------------------------------------------------------------------------------------------------------ */
static int check_host(const char *host, const char *key, struct err *err) {
    for (const char *at = host; *at != '\0'; at++) {
        bool allowed = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || strchr(".-:", *at) != NULL;
        if (!allowed) {
            return err_member(err, key, "\"%s\" is neither a host name nor an address", host);
        }
    }
    return 0;
}

static int check_address(const char *address, const char *key, struct err *err) {
    struct err why;
    if (address != NULL && smtp_address_check(address, &why) != 0) {
        return err_member(err, key, "%s", why.text);
    }
    return 0;
}

static const char *envelope_of(const struct smtp_settings *settings) {
    return settings->envelope != NULL ? settings->envelope : settings->from_address;
}

static int check_settings(void *object, struct err *err) {
    const struct smtp_settings *settings = object;
    if (check_host(settings->host, "host", err) != 0 || check_address(settings->from_address, "from_address", err) != 0 ||
        check_address(settings->reply_to, "reply_to", err) != 0 || check_address(settings->envelope, "envelope", err) != 0 ||
        (settings->helo_name != NULL && check_host(settings->helo_name, "helo_name", err) != 0)) {
        return -1;
    }
    struct err why;
    if (verp_check(envelope_of(settings), &why) != 0) {
        return err_member(err, settings->envelope != NULL ? "envelope" : "from_address", "%s", why.text);
    }
    if ((settings->username == NULL) != (settings->password_file == NULL)) {
        return err_member(err, "username", "username and password_file belong together");
    }
    if (settings->sessions < settings->mailers) {
        return err_member(err, "sessions", "it must be at least mailers: each of these keeps a connection of its own");
    }
    if (settings->message_deadline_ms <= settings->connect_timeout_ms) {
        return err_member(err, "message_deadline", "it must be longer than connect_timeout");
    }
    return 0;
}

#define AT(member) .offset = offsetof(struct smtp_settings, member)

static const struct conf_key keys[] = {
    {.name = "host",
     .type = CONF_STRING,
     AT(host),
     .min = 1,
     .max = 255,
     .required = true,
     .help = "name or address of the smarthost; its certificate must be for this name"},
    {.name = "port", .type = CONF_INT, AT(port), .initial = "587", .min = 1, .max = 65535, .help = "its port"},
    {.name = "tls",
     .type = CONF_CHOICE,
     AT(tls),
     .initial = "required",
     .choices = tls_choices,
     .help = "required (STARTTLS, certificate verified), or plaintext-on-loopback: no TLS, and only to this machine"},
    {.name = "ca_file", .type = CONF_PATH, AT(ca_file), .help = "PEM file with the CA certificates to trust instead of the system's"},
    {.name = "username", .type = CONF_STRING, AT(username), .min = 1, .max = 255, .help = "login at the smarthost; none: no AUTH"},
    {.name = "password_file", .type = CONF_PATH, AT(password_file), .help = "file that holds its password in the first line"},
    {.name = "from_address",
     .type = CONF_STRING,
     AT(from_address),
     .min = 3,
     .max = 254,
     .required = true,
     .help = "the sender customers see (a template may override it); its domain is also that of the Message-ID"},
    {.name = "from_name",
     .type = CONF_STRING,
     AT(from_name),
     .min = 1,
     .max = 128,
     .help = "the sender's name; a template may override it"},
    {.name = "reply_to",
     .type = CONF_STRING,
     AT(reply_to),
     .min = 3,
     .max = 254,
     .help = "where answers go (a template may override it); none: to from_address"},
    {.name = "envelope",
     .type = CONF_STRING,
     AT(envelope),
     .min = 3,
     .max = 254,
     .help = "where bounces go: name@domain becomes name+KEY-TAG@domain per notice; none: made from from_address"},
    {.name = "envelope_key_file",
     .type = CONF_PATH,
     AT(envelope_key_file),
     .help = "file that holds the secret of the tag, without which a bounce is not believed"},
    {.name = "helo_name", .type = CONF_STRING, AT(helo_name), .min = 1, .max = 255, .help = "how we greet; none: this machine's name"},
    {.name = "mailers", .type = CONF_INT, AT(mailers), .initial = "1", .min = 1, .max = 64, .help = "mailer processes"},
    {.name = "sessions",
     .type = CONF_INT,
     AT(sessions),
     .initial = "16",
     .min = 1,
     .max = 256,
     .help = "connections to the smarthost at once, over all mailers"},
    {.name = "messages_per_session",
     .type = CONF_INT,
     AT(messages_per_session),
     .initial = "100",
     .min = 1,
     .max = 10000,
     .help = "after so many mails a connection is made anew"},
    {.name = "connect_timeout",
     .type = CONF_DURATION,
     AT(connect_timeout_ms),
     .initial = "10s",
     .min = 100,
     .max = 300000,
     .help = "how long connecting may take, per address of the host"},
    {.name = "command_timeout",
     .type = CONF_DURATION,
     AT(command_timeout_ms),
     .initial = "60s",
     .min = 100,
     .max = 600000,
     .help = "how long the smarthost may be silent"},
    {.name = "message_deadline",
     .type = CONF_DURATION,
     AT(message_deadline_ms),
     .initial = "2m",
     .min = 200,
     .max = 1800000,
     .help = "how long one mail may take altogether, connecting included"},
    {.name = "idle",
     .type = CONF_DURATION,
     AT(idle_ms),
     .initial = "2s",
     .min = 0,
     .max = 300000,
     .help = "how long a connection without work is kept"},
};

static const struct conf_table table = {.name = "smtp gateway",
                                        .keys = keys,
                                        .n_keys = sizeof keys / sizeof keys[0],
                                        .size = sizeof(struct smtp_settings),
                                        .where_offset = SIZE_MAX,
                                        .check = check_settings};

/* ---- opening ------------------------------------------------------------------------------------------------------- */
static const char *own_name(struct arena *arena) {
    char name[256];
    if (gethostname(name, sizeof name) != 0) {
        return "localhost";
    }
    name[sizeof name - 1] = '\0';
    return arena_strdup(arena, name);
}

/* Rounded down: smarthosts count connections. */
static uint32_t per_mailer(int64_t total, int64_t mailers) {
    return (uint32_t)(total / mailers);
}

static int fill_verp(const struct smtp_settings *settings, struct arena *arena, struct verp *verp, struct err *err) {
    *verp = (struct verp){.base = envelope_of(settings)};
    if (settings->envelope_key_file != NULL && conf_read_secret(settings->envelope_key_file, arena, &verp->secret, err) != 0) {
        return err_prefix(err, "envelope_key_file");
    }
    return 0;
}

static int read_password(const struct smtp_settings *settings, struct arena *arena, const char **password_r, struct err *err) {
    if (settings->password_file != NULL && conf_read_secret(settings->password_file, arena, password_r, err) != 0) {
        return err_prefix(err, "password_file");
    }
    return 0;
}

static int smtp_check(const struct gateway_settings *gateway, struct err *err) {
    const struct smtp_settings *settings = gateway->driver_settings;
    struct arena arena = {0};
    struct verp verp;
    const char *password = NULL;
    int result = fill_verp(settings, &arena, &verp, err) != 0 || read_password(settings, &arena, &password, err) != 0 ? -1 : 0;
    arena_fini(&arena);
    return result;
}

static int fill_setup(struct gateway *gateway, int64_t in_flight_max, struct err *err) {
    const struct smtp_settings *settings = gateway->settings;
    struct smtp_setup *setup = &gateway->config.setup;
    *setup = (struct smtp_setup){
        .host = settings->host,
        .port = arena_printf(&gateway->arena, "%d", (int)settings->port),
        .tls = (enum smtp_tls)settings->tls,
        .ca_file = settings->ca_file,
        .username = settings->username,
        .helo_name = settings->helo_name != NULL ? settings->helo_name : own_name(&gateway->arena),
        .sessions = per_mailer(settings->sessions, settings->mailers),
        .messages_per_session = (uint32_t)settings->messages_per_session,
        .n_slots = (uint32_t)in_flight_max,
        .connect_timeout_ms = settings->connect_timeout_ms,
        .command_timeout_ms = settings->command_timeout_ms,
        .message_deadline_ms = settings->message_deadline_ms,
        .idle_ms = settings->idle_ms,
    };
    if (setup->port == NULL || setup->helo_name == NULL) {
        return err_no_memory(err);
    }
    return read_password(settings, &gateway->arena, &setup->password, err);
}

static int start_mailers(struct gateway *gateway, struct err *err) {
    int64_t until_ms = clock_mono_ms(&clock_system) + READY_MS;
    gateway->mailers = calloc((size_t)gateway->settings->mailers, sizeof(struct smtp_mailer *));
    if (gateway->mailers == NULL) {
        return err_no_memory(err);
    }
    while (gateway->n_mailers < (size_t)gateway->settings->mailers) {
        struct smtp_mailer *mailer = smtp_mailer_new(&gateway->config, gateway->n_mailers, err);
        if (mailer == NULL) {
            return -1;
        }
        gateway->mailers[gateway->n_mailers++] = mailer;
    }
    if (smtp_mailer_read_boards(&gateway->config, gateway->n_mailers, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < gateway->n_mailers; i++) {
        if (smtp_mailer_await(gateway->mailers[i], until_ms, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void smtp_close(struct gateway *gateway) {
    for (size_t i = 0; i < gateway->n_mailers; i++) {
        smtp_mailer_close(gateway->mailers[i]);
    }
    free(gateway->mailers);
    defer_free(gateway->defer, NULL);
    buf_fini(&gateway->mail);
    arena_fini(&gateway->arena);
    free(gateway);
}

static struct gateway *smtp_open(const struct channel_env *env, const struct gateway_settings *settings, struct err *err) {
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    gateway->env = env;
    gateway->settings = settings->driver_settings;
    gateway->config = (struct smtp_mailer_config){.env = env, .gateway_name = settings->name, .hang_ms = HANG_MS};
    gateway->defer = defer_new(env->base, err);
    if (gateway->defer == NULL || fill_verp(gateway->settings, &gateway->arena, &gateway->verp, err) != 0 ||
        fill_setup(gateway, settings->in_flight_max, err) != 0 || start_mailers(gateway, err) != 0) {
        smtp_close(gateway);
        return NULL;
    }
    return gateway;
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */
static int answer_later(struct gateway *gateway, struct outcome *outcome, const struct message *message, channel_done_fn *done, void *ctx,
                        struct err *err) {
    (void)snprintf(outcome->ref, sizeof outcome->ref, "%s", message->key != NULL ? message->key : "");
    return defer_add(gateway->defer, 0, outcome, done, ctx, err);
}

/* What is wrong with a message that mime_compose() or the envelope refused. */
static void judge_unfit(const struct err *why, struct outcome *outcome) {
    bool contact = strcmp(why->member, "to") == 0;
    if (why->code == ERR_MEMORY) {
        outcome_set(outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "%s", why->text);
    } else {
        outcome_set(outcome, OUTCOME_REJECTED, contact ? BLAME_CONTACT : BLAME_MESSAGE, NULL, "%s", why->text);
    }
}

/* The mailer with the least to do; NULL: none can take a mail. */
static struct smtp_mailer *choose(const struct gateway *gateway) {
    struct smtp_mailer *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < gateway->n_mailers; i++) {
        size_t load = smtp_mailer_load(gateway->mailers[i]);
        if (load < least) {
            least = load;
            best = gateway->mailers[i];
        }
    }
    return best;
}

static int make_mail(const struct smtp_settings *settings, const struct message *message, struct buf *out, struct err *err) {
    const struct mime_sender sender = {
        .from_address = settings->from_address, .from_name = settings->from_name, .reply_to = settings->reply_to};
    return mime_compose(message, &sender, out, err);
}

static int smtp_show(const struct gateway_settings *settings, const struct message *message, struct buf *out, struct err *err) {
    return make_mail(settings->driver_settings, message, out, err);
}

static void smtp_sender(const struct gateway_settings *settings, struct buf *out) {
    const struct smtp_settings *own = settings->driver_settings;
    const char *name = own->from_name == NULL ? "" : own->from_name;
    buf_putf(out, "%s\n%s\n%s", own->from_address, name, own->reply_to == NULL ? "" : own->reply_to);
}

/* Makes gateway->mail and the envelope sender. 0, or -1 with *err. */
static int compose(struct gateway *gateway, const struct message *message, char from[SMTP_ADDRESS_MAX + 1], struct err *err) {
    buf_reset(&gateway->mail);
    if (make_mail(gateway->settings, message, &gateway->mail, err) != 0) {
        return -1;
    }
    return verp_write(&gateway->verp, message->key, from, err);
}

/* A moment of the caller's monotonic clock on the one the mailers read. */
static int64_t on_system_clock(const struct clock *clock, int64_t at_ms) {
    bool same = clock->mono_ms == clock_system.mono_ms;
    return same ? at_ms : clock_mono_ms(&clock_system) + (at_ms - clock_mono_ms(clock));
}

static int smtp_send(struct gateway *gateway, const struct message *message, int64_t not_after_mono_ms, channel_done_fn *done, void *ctx,
                     struct err *err) {
    char from[SMTP_ADDRESS_MAX + 1];
    struct outcome outcome;
    struct err why;
    if (compose(gateway, message, from, &why) != 0) {
        judge_unfit(&why, &outcome);
        return answer_later(gateway, &outcome, message, done, ctx, err);
    }
    struct smtp_mailer *mailer = choose(gateway);
    if (mailer == NULL) {
        /* ours to mend, and short: nothing that would speak against the server */
        outcome_set(&outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "no mailer process can take a mail at the moment");
        outcome.retry_after_ms = BUSY_RETRY_MS;
        return answer_later(gateway, &outcome, message, done, ctx, err);
    }
    struct smtp_mail mail = {
        .not_after_ms = on_system_clock(gateway->env->clock, not_after_mono_ms),
        .id = message->key,
        .from = from,
        .to = message->to,
        .data = gateway->mail.data,
        .data_len = gateway->mail.len,
    };
    return smtp_mailer_send(mailer, &mail, message, done, ctx, err);
}

static void smtp_flush(struct gateway *gateway) {
    for (size_t i = 0; i < gateway->n_mailers; i++) {
        smtp_mailer_flush(gateway->mailers[i]);
    }
}

int smtp_envelope(const struct gateway_settings *settings, struct arena *arena, struct verp *verp_r, struct err *err) {
    if (strcmp(settings->driver, channel_smtp.name) != 0) {
        return 0;
    }
    return fill_verp(settings->driver_settings, arena, verp_r, err) == 0 ? 1 : -1;
}

const struct channel_driver channel_smtp = {.name = "smtp",
                                            .settings = &table,
                                            .check = smtp_check,
                                            .open = smtp_open,
                                            .send = smtp_send,
                                            .flush = smtp_flush,
                                            .show = smtp_show,
                                            .sender = smtp_sender,
                                            .close = smtp_close};
