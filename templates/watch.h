/* watch: loads a directory of words anew whenever somebody has changed it. */
#ifndef REACH_TEMPLATES_WATCH_H
#define REACH_TEMPLATES_WATCH_H

#include "templates/template.h"

struct event_base;
struct template_watch;

/* Called from the loop after each change. `set` is the new set, the callee's from now on; NULL where it was refused: the caller
 * goes on with the one it has. `report` (findings) and `err` (the first) are borrowed. */
typedef void template_watch_fn(void *ctx, struct template_set *set, const struct template_report *report, const struct err *err);

/* Watches `dir` and everything below. Loads nothing by itself before the first change. NULL with *err. */
struct template_watch *template_watch_new(struct event_base *base, const char *dir, template_watch_fn *changed, void *ctx, struct err *err);

/* Loads now, as if something had changed (an operator asks for it). */
void template_watch_kick(struct template_watch *watch);

/* Waits for a load that is under way and forgets it. */
void template_watch_free(struct template_watch *watch);

#endif
