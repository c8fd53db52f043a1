/* counts: see counts.h. The counters are kept in the same atomic step as the records, so at every moment
 *     accepted = sum of the states          and          records + retired = sum of the states that have a record.
 * Pure. Does not: know Redis beyond the form of a reply. */
#include "queue/counts.h"

#include <string.h>

struct sums counts_sum(const int64_t states[NOTICE_STATE_COUNT]) {
    struct sums sums = {0};
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        enum notice_state state = (enum notice_state)i;
        sums.all += states[i];
        sums.held += notice_state_held(state) ? states[i] : 0;
        sums.finished += notice_state_final(state) ? states[i] : 0;
    }
    return sums;
}

/* Sorts one counter of the hash into its place; `counters` (may be NULL) gets the free ones. */
static void take_counter(const char *name, int64_t value, struct counts *counts, json_t *counters) {
    enum notice_state state;
    if (strcmp(name, "accepted") == 0) {
        counts->accepted = value;
    } else if (strcmp(name, "retired") == 0) {
        counts->retired = value;
    } else if (strncmp(name, "retired:", 8) == 0 && notice_state_from_letter(name[8], &state)) {
        counts->retired_of[state] = value;
    } else if (strncmp(name, "state:", 6) == 0 && notice_state_from_letter(name[6], &state)) {
        counts->states[state] = value;
    } else if (strncmp(name, "count:", 6) == 0 && counters != NULL) {
        (void)json_object_set_new(counters, name + 6, json_integer(value));
    }
}

void counts_take(const redisReply *reply, struct counts *counts, json_t *counters) {
    for (size_t i = 0; reply_is_array(reply, i + 2); i += 2) {
        take_counter(reply->element[i]->str, reply_int(reply->element[i + 1], 0), counts, counters);
    }
}

static int64_t off_by(int64_t a, int64_t b) {
    return a < b ? b - a : a - b;
}

int64_t counts_unaccounted(const struct counts *counts, int64_t records) {
    struct sums sums = counts_sum(counts->states);
    return off_by(counts->accepted, sums.all) + off_by(records + counts->retired, sums.held);
}

void counts_compare(const struct counts *counts, const int64_t records[NOTICE_STATE_COUNT], int64_t off_r[NOTICE_STATE_COUNT]) {
    bool finals_known = counts_sum(counts->retired_of).all == counts->retired;
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        enum notice_state state = (enum notice_state)i;
        bool compared = notice_state_held(state) && (finals_known || !notice_state_final(state));
        off_r[i] = compared ? records[i] + counts->retired_of[i] - counts->states[i] : 0;
    }
}

int64_t counts_wrong(const int64_t off[NOTICE_STATE_COUNT]) {
    int64_t more = 0, fewer = 0;
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        more += off[i] > 0 ? off[i] : 0;
        fewer += off[i] < 0 ? -off[i] : 0;
    }
    return more > fewer ? more : fewer;
}

json_t *counts_object(const int64_t states[NOTICE_STATE_COUNT]) {
    json_t *object = json_object();
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        (void)json_object_set_new(object, notice_state_name((enum notice_state)i), json_integer(states[i]));
    }
    return object;
}
