/* mail_certs: a CA and server certificates of every kind that must be accepted or refused. Every failure ends the test program. */
#ifndef REACH_TESTS_SUPPORT_MAIL_CERTS_H
#define REACH_TESTS_SUPPORT_MAIL_CERTS_H

struct mail_certs;

/* Makes, in a directory of its own:
 *   ca.pem                        the CA that signed all but the self-signed one
 *   good.pem good.key             for localhost and 127.0.0.1
 *   expired.*                     the same, ended yesterday
 *   early.*                       the same, begins tomorrow
 *   wrong.*                       for other.example only
 *   self.*                        for localhost, signed by itself
 *   foreign.* foreign-ca.pem      for localhost, by another CA */
struct mail_certs *mail_certs_make(void);

/* Path of one of these files; in static memory of which the last 8 results live. */
const char *mail_certs_path(const struct mail_certs *certs, const char *kind, const char *ending);

/* Removes them. */
void mail_certs_remove(struct mail_certs *certs);

#endif
