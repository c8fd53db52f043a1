/* journal: what was handed to gateways and what they have answered, in two small files of this reachd.
 *
 * One line before each attempt and one per answer: id and token of the notice, which attempt it is, and the outcome; no address and no
 * name. A crash of reachd, of Redis or of both between a gateway's answer and its record so leaves a known outcome instead of an `unknown`
 * one, and what a killed Redis had answered and lost is known here. */
#ifndef REACH_DISPATCHER_JOURNAL_H
#define REACH_DISPATCHER_JOURNAL_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct journal;

/* Section `journal` of the configuration. */
struct journal_settings {
    const char *directory; /* NULL: none was found, no journal is kept */
    int64_t size_max;      /* bytes of both files together */
};

/* Where an answer was put down; all zeros: nowhere. */
struct journal_mark {
    struct journal *journal;
    uint32_t tick;
    unsigned file;
};

/* One attempt at a notice. All strings borrowed. */
struct journal_attempt {
    const char *id; /* of the notice */
    uint64_t fence; /* the token of the record that is `sending` */

    /* which attempt: step, contact point, how manieth. digest NULL: not known here, where the line of the intent says it. */
    const char *digest; /* of the job, its first JOURNAL_DIGEST digits count */
    uint32_t step;
    const char *contact_key; /* plan_contact_key() */
    uint32_t number;         /* from 1 */
    const char *channel;
    const char *gateway;
    bool early_warning;
};
enum { JOURNAL_DIGEST = 16 };

/* Opens (makes) the directory and the two files of this consumer. Every function below takes a NULL journal, and then keeps and finds
 * nothing. NULL with *err: not writable, or another reachd of this name uses it. */
struct journal *journal_open(struct event_base *base, const struct journal_settings *settings, const char *consumer, struct err *err);

/* The path of a file of that consumer in the directory: "<directory>/<consumer, what is not plain replaced>.<suffix>". */
void journal_path(char *out, size_t cap, const char *directory, const char *consumer, const char *suffix);

/* Waits until all of it is on the disk (bounded by the disk alone), and closes. */
void journal_close(struct journal *journal);

/* Puts down that the message of this attempt is about to be handed over: before it is, journal_flush(). Nobody waits for it: where the
 * files take turns it may go, a quarter of size_max later. */
void journal_intend(struct journal *journal, const struct journal_attempt *attempt);

/* Puts down what the gateway answered. It reaches the file with journal_flush(). */
struct journal_mark journal_put(struct journal *journal, const struct journal_attempt *attempt, const struct outcome *outcome);

/* Writes what was put down since the last time, with one write(2), never waiting for the disk. After it the death of this process
 * loses nothing of that. */
void journal_flush(struct journal *journal);

/* Redis has recorded it, or it is left to whoever takes the notice up next: this process does not count it as open any more. Clears the
 * mark, which may be clear already. No mark may outlive its journal. */
void journal_recorded(struct journal_mark *mark);

/* Reads both files again: what they hold can then be found. A line that is torn or damaged is left out. How many attempts there are. */
size_t journal_load(struct journal *journal);

/* The same for these notices alone; what could be found before still can. `ids` is put in another order. */
void journal_recall(struct journal *journal, const char **ids, size_t n);

/* The ids of what journal_load() has found and nobody has fetched or forgotten since; ids_r has room for journal_load()'s number; borrowed
 * until the next journal_load(). Returns their number. */
size_t journal_ids(const struct journal *journal, const char **ids_r, uint64_t *fences_r);

/* What the gateway answered for this very token: 1 and *outcome_r, 0 not known. */
int journal_find(const struct journal *journal, const char *id, uint64_t fence, struct outcome *outcome_r);

/* An attempt that the journal knows of. */
struct journal_known {
    struct journal_attempt attempt; /* in the arena */
    bool is_open;                   /* its message may have been handed over; no answer is known */
    struct outcome outcome;         /* not where is_open */
};

/* What was found of a notice's attempts at which its message went out or may have gone out, oldest token first, at most `cap` of them.
 * Their number; a line without memory for it is left out. */
size_t journal_attempts(const struct journal *journal, const char *id, struct journal_known *known_r, size_t cap, struct arena *arena);

/* It is dealt with (recorded, or put down again), or of no use: not found any more. */
void journal_forget(struct journal *journal, uint64_t fence);
/* The same for all attempts of a notice. */
void journal_forget_notice(struct journal *journal, const char *id);

/* Whether everything that Redis has not recorded is known to be on the disk. */
bool journal_is_synced(const struct journal *journal);

#endif
