/* words: why a contact point survives or not, as a service desk says it. Private to the core. */
#ifndef REACH_CORE_WORDS_H
#define REACH_CORE_WORDS_H

#include "dispatcher/core/graph.h"

/* Sets reason and reason_masked of answer->contacts[c], whose other members are set. 0, or -1 with *err (no memory). */
int words_for(const struct graph *graph, size_t c, struct reach_contact *contact, struct err *err);

#endif
