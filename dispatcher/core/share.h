/* share: how the load of a channel is divided between its gateways, and how it moves. Pure.
 *
 * Each gateway has a resting weight (configuration) and points, 100 to begin with; its weight at the moment is the product. Trouble takes
 * points in steps, at most one step in a while; when nothing has changed for long enough, they come back in steps. So a bad
 * minute moves a little load and a bad hour most of it, and nothing ever moves all at once. The steps and times are those of GOV.UK
 * Notify, which divides its text messages like this: 10 points at most once a minute for errors, once in ten minutes for slow deliveries,
 * and 10 back towards the resting point after an hour without a change. */
#ifndef REACH_CORE_SHARE_H
#define REACH_CORE_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARE_FULL = 100 };

enum share_event {
    SHARE_ERROR, /* the gateway failed */
    SHARE_SLOW,  /* too many of its messages take too long */
    SHARE_TICK   /* time goes by */
};

struct share_policy {
    int64_t step;     /* points */
    int64_t error_ms; /* at most one step down for errors in this time */
    int64_t slow_ms;  /* the same for slowness */
    int64_t back_ms;  /* a step up when nothing has changed for so long */
};

struct share {
    int64_t points;      /* 0..SHARE_FULL */
    int64_t moved_at_ms; /* last step, up or down; 0: never */
};

/* Takes an event. True where the points are others than before. */
bool share_take(struct share *share, const struct share_policy *policy, enum share_event event, int64_t now_ms);

/* One gateway in the round. */
struct share_slot {
    int64_t weight;  /* at the moment: resting weight times points */
    int64_t balance; /* kept between calls; 0 to begin with */
    bool usable;     /* now */
};

/* Whose turn it is: smooth weighted round robin, so that any stretch of turns is divided by weight. A slot of weight 0 gets a turn only
 * where no other is usable. 1 and *index_r, or 0 where none is usable. */
int share_pick(struct share_slot *slots, size_t n, size_t *index_r);

/* Slowness: of the last answers (at least SHARE_SAMPLES of them) the given share in percent was slow. */
enum { SHARE_SAMPLES = 20 };
struct share_watch {
    uint32_t n;
    uint32_t slow;
};

/* Takes one answer. True where so many of a full round were slow that SHARE_SLOW is due; each round begins from nothing. */
bool share_watch_take(struct share_watch *watch, bool slow, int64_t slow_percent);

#endif
