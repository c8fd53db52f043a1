/* receipts: later evidence, by notice: a bounce, a delivery report, a banner seen.
 *
 * A receipt is acknowledged when its notice's record carries it, or when it can never be used (then it goes to the dead letters with
 * its reason). */
#include "dispatcher/intake.h"

#include "base/log.h"

void intake_on_receipts(void *ctx, const struct queue_receipt *receipts, size_t n, struct arena *arena_take) {
    struct worker *w = ctx;
    (void)receipts;
    (void)w;
    log_debug("%zu receipts", n);
    arena_fini(arena_take);
}
