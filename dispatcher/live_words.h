/* live_words: the words a worker sends with, and how others take their place while it runs. */
#ifndef REACH_DISPATCHER_LIVE_WORDS_H
#define REACH_DISPATCHER_LIVE_WORDS_H

#include "dispatcher/worker_inside.h"

/* Loads the set that is live by the configuration (templates.goes_live), keeps it in the archive and watches for another. Sets
 * w->place.templates and w->place.reset_key (in `arena`). 0, or -1 with *err. */
int live_words_open(struct worker *w, const struct settings *settings, struct arena *arena, struct err *err);

/* Writes into Redis which version this worker uses, once there is a queue. */
void live_words_announce(struct worker *w);

/* Makes the counters of what goes live and what is refused visible from the start, as 0. For each time the queue is ready. */
void live_words_show_counters(struct worker *w);

void live_words_close(struct worker *w);

#endif
