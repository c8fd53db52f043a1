/* login: the name under which the login page finds its banner, without anybody being named. */
#ifndef REACH_DISPATCHER_LOGIN_H
#define REACH_DISPATCHER_LOGIN_H

#include "base/err.h"

#include <stddef.h>

enum { LOGIN_HASH_LEN = 64, LOGIN_MAX_BYTES = 320 };

/* 64 hex digits: HMAC-SHA-256 with `key` over the login as UTF-8 after (1) blanks, tabs and line ends were taken off both ends, (2)
 * Unicode's NFKC, (3) lower case by Unicode's default rules. docs/contract.md has the same in JavaScript and Python, with values to test
 * by. 1; 0 where nothing is left of the login or it is longer than LOGIN_MAX_BYTES; -1 with *err. */
int login_hash(const char *key, const char *login, char out[LOGIN_HASH_LEN + 1], struct err *err);

/* 32 hex digits that stand for a notice in what is shown without anybody being signed in: HMAC-SHA-256 over "notice\n" and its id. 0 or -1.
 */
enum { LOGIN_REF_LEN = 32 };
int login_ref(const char *key, const char *notice_id, char out[LOGIN_REF_LEN + 1], struct err *err);

#endif
