/* smtp_address: see smtp_address.h.
 *
 * Stricter than RFC 5321: what passes consists of letters, digits and a few signs, so that it can neither break a command line
 * nor need quoting anywhere. libesmtp writes addresses into the protocol as they are; this check is made by reachd and
 * again by the mailer. Error texts never quote the address (P10). */
#include "base/smtp_address.h"

#include <ctype.h>
#include <string.h>

static int refuse(struct err *err, const char *why) {
    return err_set(err, ERR_MEMBER, "the address cannot be used: %s", why);
}

static int check_local(const char *local, size_t len, struct err *err) {
    if (len == 0 || len > SMTP_LOCAL_MAX) {
        return refuse(err, "the part before @ has no or more than 64 characters");
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)local[i];
        if (c >= 0x80) {
            return refuse(err, "it needs SMTPUTF8, which is not offered here");
        }
        if (!isalnum(c) && strchr("!#$%&'*+-/=?^_`{|}~.", c) == NULL) {
            return refuse(err, "it holds a character that is not allowed before @");
        }
        if (c == '.' && (i == 0 || i + 1 == len || local[i + 1] == '.')) {
            return refuse(err, "a dot begins, ends or doubles in the part before @");
        }
    }
    return 0;
}

static int check_label(const char *label, size_t len) {
    if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-') {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)label[i]) && label[i] != '-') {
            return -1;
        }
    }
    return 0;
}

static int check_domain(const char *domain, struct err *err) {
    for (const char *at = domain; *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80) {
            return refuse(err, "the domain must be written in its ASCII form (xn--...)");
        }
    }
    const char *label = domain;
    for (;;) {
        size_t len = strcspn(label, ".");
        if (check_label(label, len) != 0) {
            return refuse(err, "the part behind @ is not a host name");
        }
        if (label[len] == '\0') {
            return 0;
        }
        label += len + 1;
    }
}

int smtp_address_check(const char *address, struct err *err) {
    const char *at = strrchr(address, '@');
    if (at == NULL) {
        return refuse(err, "there is no @");
    }
    if (strlen(address) > SMTP_ADDRESS_MAX) {
        return refuse(err, "it has more than 254 characters");
    }
    if (check_local(address, (size_t)(at - address), err) != 0) {
        return -1;
    }
    return check_domain(at + 1, err);
}

const char *smtp_address_domain(const char *address) {
    const char *at = strrchr(address, '@');
    return at == NULL ? "" : at + 1;
}
