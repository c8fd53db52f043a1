/* mail_kit: opens an smtp gateway on a loop of its own, sends and collects outcomes. Every failure ends the test program with a line. */
#ifndef REACH_TESTS_SUPPORT_MAIL_KIT_H
#define REACH_TESTS_SUPPORT_MAIL_KIT_H

#include "base/arena.h"
#include "channels/channel.h"
#include "tests/support/mail_peer.h"

#include <stdbool.h>

enum { MAIL_KIT_MAX = 20000 };

struct mail_kit {
    struct event_base *base;
    struct channel_env env;
    struct arena arena;
    struct gateway_settings settings;
    struct gateway *gateway; /* NULL: open failed, see err */
    struct err err;
    struct outcome *outcomes; /* of the n-th mail */
    int *n_answers;           /* how often it was answered */
    size_t n_sent, n_answered;
};

/* Opens a gateway to host:port with `yaml` (lines of keys, may be "") besides host, port and from_address. kit->gateway is NULL where
 * that fails. */
void mail_kit_open(struct mail_kit *kit, const char *host, int port, const char *yaml);

/* Kits that are opened from now on use the mailer that answers some names by itself (tests/support/tool/own_names.c), or do not. */
void mail_kit_own_names(bool own);

/* Kits that are opened from now on keep their state behind that path, and tell `fn` what an earlier process left there; ctx is the kit. */
void mail_kit_remember(const char *path, void (*fn)(void *ctx, const char *notice_id, uint64_t attempt, const struct outcome *outcome));

/* As mail_kit_open(), with `tls: plaintext-on-loopback` to 127.0.0.1; a failure ends the test. */
void mail_kit_open_plain(struct mail_kit *kit, int port, const char *yaml);

/* Closes and frees. Mails in flight are answered by then. */
void mail_kit_close(struct mail_kit *kit);

/* A message to `to` with that number in its key ("00000000000000000000000000000007"), lives in the kit's arena. */
struct message *mail_kit_message(struct mail_kit *kit, const char *to, unsigned number);

/* Hands it over (flush comes with run). Returns its index in outcomes. */
size_t mail_kit_send(struct mail_kit *kit, const struct message *message);
size_t mail_kit_send_until(struct mail_kit *kit, const struct message *message, int64_t not_after_ms);

/* Flushes and runs the loop until every mail has its answer; fails after 30 s. */
void mail_kit_run(struct mail_kit *kit);

/* Flushes and runs the loop for that long. */
void mail_kit_run_for(struct mail_kit *kit, int wait_ms);

/* Flushes and waits for one turn of the loop. */
void mail_kit_turn(struct mail_kit *kit);

/* Sends one mail to `to` and waits; its outcome. */
const struct outcome *mail_kit_send_one(struct mail_kit *kit, const char *to, unsigned number);

/* Sends a mail of nearly the largest size that is allowed and holds what `peer` has kept of it against what was made, byte by byte. */
void mail_kit_assert_large_mail(struct mail_kit *kit, const struct mail_peer *peer);

/* Process ids of the children of this process whose name begins with "reachd-mailer"; returns how many. */
size_t mail_kit_mailers(int *pids, size_t max);

#endif
