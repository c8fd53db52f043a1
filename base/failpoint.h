/* failpoint: places where a test can stop or kill the process. In a build without FAILPOINTS (every build but that of the tests) nothing of
 * them is compiled in.
 *
 *   REACH_FAILPOINT=name=kill    the process kills itself (SIGKILL) when it gets there
 *   REACH_FAILPOINT=name=stop    it stops itself (SIGSTOP); resumed, it goes on, and later passes do nothing */
#ifndef REACH_BASE_FAILPOINT_H
#define REACH_BASE_FAILPOINT_H

#ifdef FAILPOINTS
void failpoint_reached(const char *name);
#define FAILPOINT(name) failpoint_reached(name)
#else
#define FAILPOINT(name) ((void)0)
#endif

#endif
