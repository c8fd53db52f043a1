/* shell: a command line for tests. */
#ifndef REACH_TESTS_SUPPORT_SHELL_H
#define REACH_TESTS_SUPPORT_SHELL_H

/* Runs `command` with /bin/sh and no standard input; its exit status, or -1. */
int shell(const char *command);

#endif
