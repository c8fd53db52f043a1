/* server: other people's servers, started for one test on a loopback port of its own. Failures end the running program with status 2. */
#ifndef REACH_TESTS_SUPPORT_SERVER_H
#define REACH_TESTS_SUPPORT_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

/* A TCP port of 127.0.0.1 that nobody listened on a moment ago. */
int server_free_port(void);

/* Whether somebody listens there. */
bool server_listens(int port);

/* Starts argv[0] (looked for in PATH) with its output in the file `log`, and no standard input; it dies with the calling thread. */
pid_t server_start(char *const *argv, const char *log);

/* Waits until the port is listened on: true. False where the process has ended before or a minute has passed. */
bool server_wait(pid_t pid, int port);

/* Ends it and waits for its end; 0 and less are allowed. */
void server_stop(pid_t pid);

#endif
