/* outcome: see outcome.h.
 *
 * Guarantees: a reason is never empty and always one line, because it is shown to ops and kept as proof. */
#include "base/outcome.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *outcome_name(enum outcome_kind kind) {
    switch (kind) {
    case OUTCOME_SENT: return "sent";
    case OUTCOME_RETRY: return "retry";
    case OUTCOME_REJECTED: return "rejected";
    case OUTCOME_UNKNOWN: return "unknown";
    }
    return "unknown";
}

void outcome_set(struct outcome *outcome, enum outcome_kind kind, enum outcome_blame blame, const char *code, const char *format, ...) {
    memset(outcome, 0, sizeof *outcome);
    outcome->kind = kind;
    outcome->blame = blame;
    outcome->retry_after_ms = -1;
    if (code != NULL) {
        memcpy(outcome->code, code, strnlen(code, sizeof outcome->code - 1));
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(outcome->reason, sizeof outcome->reason, format, args);
    va_end(args);
    text_make_printable(outcome->code, ' ');
    text_make_printable(outcome->reason, ' ');
    text_drop_cut(outcome->code);
    text_drop_cut(outcome->reason);
    if (outcome->reason[0] == '\0') {
        (void)snprintf(outcome->reason, sizeof outcome->reason, "%s without a reason", outcome_name(kind));
    }
}
