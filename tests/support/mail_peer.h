/* mail_peer: the sandbox peer (tests/support/peer) as a mail server, for tests in C. Every failure ends the test program with a line. */
#ifndef REACH_TESTS_SUPPORT_MAIL_PEER_H
#define REACH_TESTS_SUPPORT_MAIL_PEER_H

#include <jansson.h>

struct mail_peer;

/* Starts build/sandbox-peer in a directory of its own with `rules` (a JSON array of rules in which ' stands for ", or NULL) and more
 * arguments (NULL-terminated, or NULL). */
struct mail_peer *mail_peer_start(const char *rules, const char *const *arguments);

/* Ends it and removes its directory. */
void mail_peer_stop(struct mail_peer *peer);

int mail_peer_port(const struct mail_peer *peer);

/* Its process id, for tests that stop it. */
int mail_peer_pid(const struct mail_peer *peer);

/* Replaces the rules while it runs. */
void mail_peer_rules(const struct mail_peer *peer, const char *rules);

/* One of its counters ("taken:email", "command:AUTH"); 0 where it never counted. */
long mail_peer_count(const struct mail_peer *peer, const char *counter);

/* The index of what was taken: an array of objects, one per recipient. The caller decrefs it. */
json_t *mail_peer_index(const struct mail_peer *peer);

/* The n-th mail in the index as it was received, behind the two X-Envelope lines; free() it. NULL where there is none. */
char *mail_peer_mail(const struct mail_peer *peer, size_t n);

/* The build directory this program is in; where reachd-mailer is. */
const char *mail_peer_build_dir(void);

#endif
