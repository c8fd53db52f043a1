/* oracle: asks code that somebody else wrote (tests/support/oracle.js, which uses npm packages) what it thinks. */
#ifndef REACH_TESTS_SUPPORT_ORACLE_H
#define REACH_TESTS_SUPPORT_ORACLE_H

#include <jansson.h>
#include <stdbool.h>

/* Whether node and the packages of tests/package.json are there; installs them the way the shell tests do, once per process. */
bool oracle_is_ready(void);

/* Asks `command` with the object `question`, which is taken. A new object, whose `error` tells what the oracle's code threw. NULL where
 * node or the packages are not installed (`make test` installs them): the test should skip(). Where they are and no answer comes, the
 * running cmocka test fails. */
json_t *oracle_ask_take(const char *command, json_t *question);

#endif
