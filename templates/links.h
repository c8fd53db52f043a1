/* links: which addresses a message may show. */
#ifndef REACH_TEMPLATES_LINKS_H
#define REACH_TEMPLATES_LINKS_H

#include "base/conf.h"

#include <stdbool.h>
#include <stddef.h>

/* The hosts that links may lead to: the company's and the file's own. An entry is a host name, or "*.domain" for any host below it. */
struct link_rules {
    const struct conf_strings *company;
    const struct conf_strings *file; /* or NULL */
};

/* Checks a whole address: https, an allowed host, no user, no port, only characters of RFC 3986. NULL where it may be shown,
 * else what is wrong with it, to follow "the link ... ". */
const char *links_refuse(const struct link_rules *rules, const char *url, size_t len);

/* The same for the fixed beginning of an address that values are put into ("https://walton.example/help/"): the host must be complete. */
const char *links_refuse_beginning(const struct link_rules *rules, const char *url, size_t len);

/* Whether an entry of a list of hosts can be one: NULL, or what is wrong. */
const char *links_refuse_host(const char *host);

#endif
