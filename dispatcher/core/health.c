/* health: see health.h. Numbers are decimal, names those of the lists, fields divided by one blank; the reason is the rest of the line.
 * Guarantees: health_read(health_write(h)) gives h again. */
#include "dispatcher/core/health.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void health_init(struct health *health) {
    *health = (struct health){.share.points = SHARE_FULL};
}

void health_write(const struct health *health, char out[HEALTH_TEXT_MAX]) {
    const struct breaker *breaker = &health->breaker;
    (void)snprintf(out, HEALTH_TEXT_MAX, "%s %" PRIu32 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s %s",
                   breaker_state_name(breaker->state), breaker->level, breaker->until_ms, breaker->changed_at_ms, health->share.points,
                   health->share.moved_at_ms, breaker->owner[0] == '\0' ? "-" : breaker->owner, breaker->reason);
}

int health_read(const char *text, struct health *health) {
    struct health read;
    char state[16];
    int end = 0;
    health_init(&read);
    struct breaker *breaker = &read.breaker;
    bool good =
        sscanf(text, "%15s %" SCNu32 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %63s%n", state, &breaker->level, &breaker->until_ms,
               &breaker->changed_at_ms, &read.share.points, &read.share.moved_at_ms, breaker->owner, &end) == 7 &&
        breaker_state_find(state, &breaker->state) == 1 && read.share.points >= 0 && read.share.points <= SHARE_FULL;
    if (!good) {
        health_init(health);
        return -1;
    }
    (void)snprintf(breaker->reason, sizeof breaker->reason, "%s", text[end] == ' ' ? text + end + 1 : "");
    if (strcmp(breaker->owner, "-") == 0) {
        breaker->owner[0] = '\0';
    }
    if (health->breaker.state == breaker->state && health->breaker.changed_at_ms == breaker->changed_at_ms) {
        breaker->failures = health->breaker.failures;
        breaker->successes = health->breaker.successes;
    }
    *health = read;
    return 0;
}
