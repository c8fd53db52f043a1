/* mail_stage: a sandbox peer and a gateway to it without TLS, as most tests of the smtp driver want them. */
#ifndef REACH_TESTS_SUPPORT_MAIL_STAGE_H
#define REACH_TESTS_SUPPORT_MAIL_STAGE_H

#include "tests/support/mail_kit.h"
#include "tests/support/mail_peer.h"

struct mail_stage {
    struct mail_peer *peer;
    struct mail_kit kit;
};

/* Starts the peer with these rules (mail_peer.h) and opens a gateway with these keys (mail_kit.h). */
void mail_stage_set(struct mail_stage *stage, const char *rules, const char *yaml);
void mail_stage_clear(struct mail_stage *stage);

/* How many mails the peer has taken. */
long mail_stage_taken(const struct mail_stage *stage);

#endif
