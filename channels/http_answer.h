/* http_answer: what a gateway's answer means. Pure: the rule, the answer and the time in; one outcome out. */
#ifndef REACH_CHANNELS_HTTP_ANSWER_H
#define REACH_CHANNELS_HTTP_ANSWER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/outcome.h"
#include "channels/curl_loop.h"
#include "channels/http_description.h"

#define HTTP_RETRY_AFTER_MAX_MS (24 * 3600000LL)

struct http_rule; /* lives in the arena */

/* Compiles the answer's side of a description, whose places are those of http_place.h. NULL with *err naming the key at fault.
 * `description` is borrowed for the rule's life. */
const struct http_rule *http_rule_new(const struct http_description *description, struct arena *arena, struct err *err);

/* Whether the description says `id: key`: the provider gives no id, but repeats the key it was given in its receipts. */
bool http_rule_ref_is_key(const struct http_rule *rule);

/* Judges. Never fails: what cannot be understood after the gateway may have acted is OUTCOME_UNKNOWN. `now_ms` (wall clock) serves
 * a Retry-After that is a date. */
void http_judge(const struct http_rule *rule, const struct curl_answer *answer, int64_t now_ms, struct outcome *outcome);

#endif
