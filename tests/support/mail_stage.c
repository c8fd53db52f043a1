/* mail_stage: see mail_stage.h. */
#include "tests/support/mail_stage.h"

#include <stddef.h>

void mail_stage_set(struct mail_stage *stage, const char *rules, const char *yaml) {
    stage->peer = mail_peer_start(rules, NULL);
    mail_kit_open_plain(&stage->kit, mail_peer_port(stage->peer), yaml);
}

void mail_stage_clear(struct mail_stage *stage) {
    mail_kit_close(&stage->kit);
    mail_peer_stop(stage->peer);
}

long mail_stage_taken(const struct mail_stage *stage) {
    return mail_peer_count(stage->peer, "taken:email");
}
