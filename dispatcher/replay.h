/* replay: takes up what the journal knows and Redis has not recorded. */
#ifndef REACH_DISPATCHER_REPLAY_H
#define REACH_DISPATCHER_REPLAY_H

struct worker;

/* Redis is there (again): reads the journal and has every notice in it looked up whose outcome Redis may not have. */
void replay_begin(struct worker *worker);

#endif
