/* arguments: see arguments.h. Fails: by want of memory. */
#include "queue/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = {
    [QUEUE_SET] = 'S',      [QUEUE_DEL] = 'D',  [QUEUE_HSET] = 'H',  [QUEUE_HDEL] = 'h',    [QUEUE_ZADD] = 'Z',   [QUEUE_ZREM] = 'z',
    [QUEUE_WAKE] = 'W',     [QUEUE_ADD] = 'X',  [QUEUE_FREE] = 'F',  [QUEUE_HOLD] = 'O',    [QUEUE_UNHOLD] = 'o', [QUEUE_BANNER] = 'N',
    [QUEUE_UNBANNER] = 'n', [QUEUE_BOOK] = 'B', [QUEUE_GRANT] = 'G', [QUEUE_REACHED] = 'R', [QUEUE_BURY] = 'K'};

void arguments_put_effect_keys(struct command *command, const struct queue_effect *effects, size_t n) {
    for (size_t i = 0; i < n; i++) {
        command_put(command, &letters[effects[i].op], 1);
        command_puts(command, effects[i].key);
    }
}

void arguments_put_effects(struct command *command, const struct queue_effect *effects, size_t n) {
    for (size_t i = 0; i < n; i++) {
        arguments_put_effect_keys(command, &effects[i], 1);
        command_puts(command, effects[i].field == NULL ? "" : effects[i].field);
        command_puts(command, effects[i].value == NULL ? "" : effects[i].value);
        command_put_i64(command, effects[i].at_ms);
    }
}

void arguments_put_due(struct command *command, int64_t due_at_ms, unsigned lost_if_over) {
    char score[40];
    unsigned lost = lost_if_over < DUE_LOST_MAX ? lost_if_over : DUE_LOST_MAX;
    if (lost == 0) {
        command_put_i64(command, due_at_ms);
        return;
    }
    (void)snprintf(score, sizeof score, "%lld.%04u", (long long)due_at_ms, lost * (10000 / DUE_PARTS));
    command_puts(command, score);
}

void arguments_put_gateway(struct command *command, const struct queue_keys *keys, int64_t events_max,
                           const struct queue_gateway_change *change) {
    command_puts(command, keys->name[KEY_GATEWAYS]);
    command_puts(command, keys->name[KEY_COUNTERS]);
    command_puts(command, keys->name[KEY_EVENTS]);
    command_puts(command, change->gateway);
    command_puts(command, change->seen);
    command_puts(command, change->text);
    command_puts(command, change->counts);
    command_puts(command, change->event);
    command_put_i64(command, events_max);
}

int counts_wanted_add(struct counts_wanted *counts, const char *names) {
    if (names == NULL || names[0] == '\0') {
        return 0;
    }
    for (size_t i = counts->n; i > 0; i--) {
        struct counts_list *item = &counts->items[i - 1];
        if (item->names == names || strcmp(item->names, names) == 0) {
            item->times++;
            return (int)i;
        }
    }
    if (counts->n == counts->cap) {
        size_t cap = counts->cap == 0 ? 16 : counts->cap * 2;
        struct counts_list *items = realloc(counts->items, cap * sizeof *items);
        if (items == NULL) {
            return -1;
        }
        counts->items = items;
        counts->cap = cap;
    }
    counts->items[counts->n++] = (struct counts_list){names, 1};
    return (int)counts->n;
}

void counts_wanted_fini(struct counts_wanted *counts) {
    free(counts->items);
    *counts = COUNTS_WANTED_INIT;
}
