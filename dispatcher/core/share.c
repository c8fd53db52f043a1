/* share: see share.h.
 *
 * Guarantees: points stay within 0 and SHARE_FULL; a slot that was not usable
 * for a while does not get its missed turns afterwards. Does not: know what a gateway is. */
#include "dispatcher/core/share.h"

bool share_take(struct share *share, const struct share_policy *policy, enum share_event event, int64_t now_ms) {
    const int64_t pause_ms[] = {[SHARE_ERROR] = policy->error_ms, [SHARE_SLOW] = policy->slow_ms, [SHARE_TICK] = policy->back_ms};
    int64_t step = event == SHARE_TICK ? policy->step : -policy->step;
    int64_t points = share->points + step;
    points = points < 0 ? 0 : points > SHARE_FULL ? SHARE_FULL : points;
    if (points == share->points || (share->moved_at_ms != 0 && now_ms < share->moved_at_ms + pause_ms[event])) {
        return false;
    }
    share->points = points;
    share->moved_at_ms = now_ms;
    return true;
}

/* The weights that count: those above 0 where one of these is usable, else all alike. */
static int64_t weight_of(const struct share_slot *slot, bool some_weigh) {
    return !slot->usable ? 0 : some_weigh ? slot->weight : 1;
}

int share_pick(struct share_slot *slots, size_t n, size_t *index_r) {
    bool any = false;
    bool some_weigh = false;
    for (size_t i = 0; i < n; i++) {
        any = any || slots[i].usable;
        some_weigh = some_weigh || (slots[i].usable && slots[i].weight > 0);
    }
    int64_t total = 0;
    size_t best = n;
    for (size_t i = 0; i < n && any; i++) {
        int64_t weight = weight_of(&slots[i], some_weigh);
        if (weight <= 0) {
            slots[i].balance = 0;
            continue;
        }
        total += weight;
        slots[i].balance += weight;
        best = best == n || slots[i].balance > slots[best].balance ? i : best;
    }
    if (best == n) {
        return 0;
    }
    slots[best].balance -= total;
    *index_r = best;
    return 1;
}

bool share_watch_take(struct share_watch *watch, bool slow, int64_t slow_percent) {
    watch->n++;
    watch->slow += slow ? 1 : 0;
    if (watch->n < SHARE_SAMPLES) {
        return false;
    }
    bool due = (int64_t)watch->slow * 100 >= slow_percent * (int64_t)watch->n;
    *watch = (struct share_watch){0};
    return due;
}
