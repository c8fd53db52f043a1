/* lookalike: addresses that the eye takes for others. Pure; private to the core. */
#ifndef REACH_CORE_LOOKALIKE_H
#define REACH_CORE_LOOKALIKE_H

#include <stdbool.h>

#define SKELETON_MAX 1024

/* Whether a canonical mailbox is plain ASCII, A-labels apart: then there is nothing to look for. */
bool lookalike_is_plain(const char *canonical);

/* Whether the local part or a label of the domain mixes scripts in a way that no language does (Unicode TS 39, beyond "highly
 * restrictive"): Latin with Cyrillic or Greek, say. */
bool lookalike_is_mixed(const char *canonical);

/* Writes the skeleton of a domain in A-labels (Unicode TS 39 section 4): two domains with the same one look the same. 0, or -1 where ICU
 * cannot tell. */
int lookalike_skeleton(const char *domain, char out[SKELETON_MAX]);

#endif
