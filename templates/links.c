/* links: see links.h.
 *
 * A message about security must lead only where the company says. One rule serves the writer (when the set is loaded) and the values (when
 * a message is made), so a job cannot smuggle in an address that no writer could have written.
 *
 * Source: RFC 3986 (generic syntax). Stricter on purpose: no user part (it hides the host), no port, no internationalized host (write the
 * A-label), https only. Does not: resolve or fetch anything. */
#include "templates/links.h"

#include <string.h>
#include <strings.h>

enum { URL_MAX = 2000 };

static const char *const shorteners[] = {"bit.ly",     "tinyurl.com", "t.co",   "goo.gl", "ow.ly",   "is.gd",   "buff.ly",
                                         "rebrand.ly", "cutt.ly",     "t.ly",   "rb.gy",  "tiny.cc", "lnkd.in", "shorturl.at",
                                         "bl.ink",     "v.gd",        "soo.gd", "s.id",   "qr.ae",   "adf.ly",  NULL};

static bool is_url_character(unsigned char c) {
    switch (c) {
    case '"':
    case '\'':
    case '<':
    case '>':
    case '\\':
    case '^':
    case '`':
    case '{':
    case '|':
    case '}': return false;
    default: return c > 0x20 && c < 0x7f;
    }
}

static bool is_host_character(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool host_matches(const char *entry, const char *host, size_t len) {
    if (strncmp(entry, "*.", 2) == 0) {
        size_t tail = strlen(entry + 1);
        return len > tail && strncasecmp(host + len - tail, entry + 1, tail) == 0;
    }
    return strlen(entry) == len && strncasecmp(entry, host, len) == 0;
}

static bool listed(const struct conf_strings *hosts, const char *host, size_t len) {
    for (size_t i = 0; hosts != NULL && i < hosts->n; i++) {
        if (host_matches(hosts->items[i], host, len)) {
            return true;
        }
    }
    return false;
}

static bool is_shortener(const char *host, size_t len) {
    for (size_t i = 0; shorteners[i] != NULL; i++) {
        if (host_matches(shorteners[i], host, len)) {
            return true;
        }
    }
    return false;
}

static const char *refuse_host(const struct link_rules *rules, const char *host, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (!is_host_character((unsigned char)(host[i] | (host[i] >= 'A' && host[i] <= 'Z' ? 0x20 : 0)))) {
            return "has a user name, a port or an odd character in its host; write https://host/path and nothing else";
        }
    }
    if (len == 0) {
        return "has no host; write https://host/path";
    }
    if (is_shortener(host, len)) {
        return "leads through a link shortener, which looks like phishing; write the full address on your own host";
    }
    if (!listed(rules->company, host, len) && !listed(rules->file, host, len)) {
        return "leads to a host that is not allowed; add the host to link_hosts (company.yaml, or the top of this file) or use an allowed "
               "one";
    }
    return NULL;
}

static const char *refuse(const struct link_rules *rules, const char *url, size_t len, bool whole) {
    static const char scheme[] = "https://";
    size_t at = sizeof scheme - 1;
    if (len < at || strncasecmp(url, scheme, at) != 0) {
        return "does not begin with https://";
    }
    if (len > URL_MAX) {
        return "is longer than 2,000 characters";
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_url_character((unsigned char)url[i])) {
            return "has a character that an address cannot have (a blank, a quote, a letter outside ASCII); write it as %XX";
        }
    }
    size_t host_len = strcspn(url + at, "/?#");
    if (host_len > len - at) {
        host_len = len - at;
    }
    if (!whole && at + host_len == len) {
        return "has a variable in its host; the host must be written out";
    }
    return refuse_host(rules, url + at, host_len);
}

const char *links_refuse(const struct link_rules *rules, const char *url, size_t len) {
    return refuse(rules, url, len, true);
}

const char *links_refuse_beginning(const struct link_rules *rules, const char *url, size_t len) {
    return refuse(rules, url, len, false);
}

const char *links_refuse_host(const char *host) {
    const char *name = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    size_t len = strlen(name);
    if (len == 0 || memchr(name, '.', len) == NULL) {
        return "is not a host name; write it like help.example.com";
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_host_character((unsigned char)name[i])) {
            return "is not a host name; write it in lower case, without https:// and without a path";
        }
    }
    return is_shortener(name, len) ? "is a link shortener, which looks like phishing; use a host of your own" : NULL;
}
