/* smtp_link: see smtp_link.h. Writer and reader of each frame stand next to each other: their fields must be the same, in the
 * same order; a reader checks what the other side could get wrong. */
#include "channels/smtp_link.h"

#include <string.h>

size_t smtp_board_bytes(uint32_t n) {
    return sizeof(struct smtp_board) + n * sizeof(struct smtp_board_slot);
}

void smtp_board_outcome(const struct smtp_board_slot *slot, const char *why, struct outcome *outcome) {
    char code[sizeof slot->code + 1] = "";
    unsigned char progress = slot->progress;
    switch (progress) {
    case SMTP_ANSWERED:
        memcpy(code, slot->code, sizeof slot->code); /* whoever wrote it may have been killed */
        if (slot->kind <= OUTCOME_UNKNOWN && slot->blame <= BLAME_ACCOUNT) {
            outcome_set(outcome, (enum outcome_kind)slot->kind, (enum outcome_blame)slot->blame, code,
                        "%s after the server's answer, which it had noted", why);
            return;
        }
        outcome_set(outcome, OUTCOME_UNKNOWN, BLAME_NONE, NULL, "%s, and what it had noted makes no sense", why);
        return;
    case SMTP_DOUBT:
        outcome_set(outcome, OUTCOME_UNKNOWN, BLAME_NONE, NULL, "%s after the end of the message and before the server's answer", why);
        return;
    default: outcome_set(outcome, OUTCOME_RETRY, BLAME_NONE, NULL, "%s before the message was sent", why);
    }
}

int smtp_put_setup(struct buf *out, const struct smtp_setup *setup) {
    size_t mark = frame_begin(out, SMTP_FRAME_SETUP);
    frame_put_str(out, setup->host);
    frame_put_str(out, setup->port);
    frame_put_u32(out, (uint32_t)setup->tls);
    frame_put_str(out, setup->ca_file);
    frame_put_str(out, setup->username);
    frame_put_str(out, setup->password);
    frame_put_str(out, setup->helo_name);
    frame_put_u32(out, setup->sessions);
    frame_put_u32(out, setup->messages_per_session);
    frame_put_u32(out, setup->n_slots);
    frame_put_i64(out, setup->connect_timeout_ms);
    frame_put_i64(out, setup->command_timeout_ms);
    frame_put_i64(out, setup->message_deadline_ms);
    frame_put_i64(out, setup->idle_ms);
    return frame_end(out, mark);
}

int smtp_get_setup(struct frame *frame, struct smtp_setup *setup_r) {
    setup_r->host = frame_get_str(frame);
    setup_r->port = frame_get_str(frame);
    setup_r->tls = (enum smtp_tls)frame_get_u32(frame);
    setup_r->ca_file = frame_get_str(frame);
    setup_r->username = frame_get_str(frame);
    setup_r->password = frame_get_str(frame);
    setup_r->helo_name = frame_get_str(frame);
    setup_r->sessions = frame_get_u32(frame);
    setup_r->messages_per_session = frame_get_u32(frame);
    setup_r->n_slots = frame_get_u32(frame);
    setup_r->connect_timeout_ms = frame_get_i64(frame);
    setup_r->command_timeout_ms = frame_get_i64(frame);
    setup_r->message_deadline_ms = frame_get_i64(frame);
    setup_r->idle_ms = frame_get_i64(frame);
    bool usable = frame_done(frame) && setup_r->host != NULL && setup_r->port != NULL && setup_r->helo_name != NULL &&
                  (setup_r->username == NULL) == (setup_r->password == NULL) && setup_r->sessions > 0 &&
                  setup_r->messages_per_session > 0 && setup_r->n_slots > 0;
    return usable ? 0 : -1;
}

int smtp_put_mail(struct buf *out, const struct smtp_mail *mail) {
    size_t mark = frame_begin(out, SMTP_FRAME_MAIL);
    frame_put_u32(out, mail->slot);
    frame_put_i64(out, mail->not_after_ms);
    frame_put_str(out, mail->id);
    frame_put_str(out, mail->from);
    frame_put_str(out, mail->to);
    frame_put_bytes(out, mail->data, mail->data_len);
    return frame_end(out, mark);
}

int smtp_get_mail(struct frame *frame, struct smtp_mail *mail_r) {
    mail_r->slot = frame_get_u32(frame);
    mail_r->not_after_ms = frame_get_i64(frame);
    mail_r->id = frame_get_str(frame);
    mail_r->from = frame_get_str(frame);
    mail_r->to = frame_get_str(frame);
    mail_r->data = frame_get_bytes(frame, &mail_r->data_len);
    bool whole = mail_r->id != NULL && mail_r->from != NULL && mail_r->to != NULL && mail_r->data != NULL;
    return frame_done(frame) && whole ? 0 : -1;
}

int smtp_put_result(struct buf *out, const struct smtp_result *result) {
    size_t mark = frame_begin(out, SMTP_FRAME_RESULT);
    frame_put_u32(out, result->slot);
    frame_put_u32(out, (uint32_t)result->outcome.kind);
    frame_put_u32(out, (uint32_t)result->outcome.blame);
    frame_put_i64(out, result->outcome.retry_after_ms);
    frame_put_str(out, result->outcome.code);
    frame_put_str(out, result->outcome.reason);
    return frame_end(out, mark);
}

int smtp_get_result(struct frame *frame, struct smtp_result *result_r) {
    struct outcome *outcome = &result_r->outcome;
    result_r->slot = frame_get_u32(frame);
    uint32_t kind = frame_get_u32(frame);
    uint32_t blame = frame_get_u32(frame);
    int64_t retry_after_ms = frame_get_i64(frame);
    const char *code = frame_get_str(frame);
    const char *reason = frame_get_str(frame);
    if (!frame_done(frame) || kind > OUTCOME_UNKNOWN || blame > BLAME_ACCOUNT || code == NULL || reason == NULL) {
        return -1;
    }
    outcome_set(outcome, (enum outcome_kind)kind, (enum outcome_blame)blame, code, "%s", reason);
    outcome->retry_after_ms = retry_after_ms;
    return 0;
}

int smtp_put_word(struct buf *out, enum smtp_frame type, const char *text) {
    size_t mark = frame_begin(out, (uint8_t)type);
    frame_put_str(out, text);
    return frame_end(out, mark);
}

int smtp_get_word(struct frame *frame, const char **text_r) {
    *text_r = frame_get_str(frame);
    return frame_done(frame) ? 0 : -1;
}
