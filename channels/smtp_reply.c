/* smtp_reply: see smtp_reply.h.
 *
 * The first digit of the reply decides the kind of the outcome; nothing else may turn a refusal into a success. The enhanced
 * code (RFC 3463), or the basic code where there is none, decides whom it is about: this contact point (no such mailbox), this
 * message (too large, content refused), or the gateway (it is in trouble or refuses us). That matters because a gateway in trouble
 * opens its breaker while a dead mailbox marks one contact point.
 *
 * Servers like to quote the address they talk about. The reason is shown to operators and kept, so addresses are taken out (P10). */
#include "channels/smtp_reply.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const step_names[] = {
#define STEP_NAME(id, name) [id] = (name),
    SMTP_STEP_LIST(STEP_NAME)
#undef STEP_NAME
};

const char *smtp_step_name(enum smtp_step step) {
    return step_names[step];
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* How many bytes at the start of `text` are an enhanced code and its blank; 0: none. */
static size_t enhanced_len(const char *text, size_t len) {
    size_t at = 0;
    for (int part = 0; part < 3; part++) {
        size_t first = at;
        while (at < len && at - first < 3 && isdigit((unsigned char)text[at])) {
            at++;
        }
        if (at == first || (part < 2 && (at >= len || text[at++] != '.'))) {
            return 0;
        }
    }
    return at == len || text[at] == ' ' ? at : 0;
}

/* Appends what fits of `len` bytes at out[used]; returns the new length. Formats are too dear here: four replies a mail pass. */
static size_t append(char *out, size_t cap, size_t used, const char *text, size_t len) {
    size_t room = cap - used - 1;
    size_t n = len < room ? len : room;
    memcpy(out + used, text, n);
    out[used + n] = '\0';
    return used + n;
}

static void add_text(struct smtp_reply *reply, const char *text, size_t len) {
    size_t used = strlen(reply->text);
    if (used > 0) {
        used = append(reply->text, sizeof reply->text, used, " ", 1);
    }
    (void)append(reply->text, sizeof reply->text, used, text, len);
}

int smtp_reply_add_line(struct smtp_reply *reply, const char *line, size_t len) {
    if (len < 3 || line[0] < '1' || line[0] > '5' || !isdigit((unsigned char)line[1]) || !isdigit((unsigned char)line[2]) ||
        (len > 3 && line[3] != ' ' && line[3] != '-')) {
        return -1;
    }
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (reply->code != 0 && reply->code != code) {
        return -1;
    }
    reply->code = code;
    size_t at = len > 3 ? 4 : 3;
    size_t skip = enhanced_len(line + at, len - at);
    if (skip > 0 && line[at] == line[0]) {
        (void)append(reply->enhanced, sizeof reply->enhanced, 0, line + at, skip);
        at += skip;
    }
    while (at < len && line[at] == ' ') {
        at++;
    }
    add_text(reply, line + at, len - at);
    return len > 3 && line[3] == '-';
}

/* ---- hiding addresses ---------------------------------------------------------------------------------------------- */
static const char hidden[] = "(address)";

static bool is_border(char c) {
    switch (c) {
    case '\0':
    case ' ':
    case '\t':
    case '<':
    case '>':
    case '(':
    case ')':
    case '[':
    case ']':
    case ',':
    case ';':
    case ':':
    case '"':
    case '\'':
    case '`':
    case '=':
    case '|': return true;
    default: return false;
    }
}

/* Length of the word of the recipient's local part at `text` when it stands alone there, else 0. */
static size_t local_part_here(const char *text, const char *to) {
    size_t len = strcspn(to, "@");
    return len >= 2 && strncasecmp(text, to, len) == 0 && is_border(text[len]) ? len : 0;
}

void smtp_hide_addresses(const char *text, const char *to, char *out, size_t cap) {
    size_t used = 0;
    out[0] = '\0';
    while (*text != '\0') {
        size_t word = 0;
        while (!is_border(text[word])) {
            word++;
        }
        if (word == 0) {
            used = append(out, cap, used, text++, 1);
            continue;
        }
        bool hide = memchr(text, '@', word) != NULL || (to != NULL && local_part_here(text, to) == word);
        used = hide ? append(out, cap, used, hidden, sizeof hidden - 1) : append(out, cap, used, text, word);
        text += word;
    }
}

/* ---- judging ------------------------------------------------------------------------------------------------------- */
struct rule {
    const char *code; /* the beginning of an enhanced code, or a basic code */
    enum outcome_blame blame;
};

/* The first rule whose code is how the reply's begins. */
static const struct rule enhanced_rules[] = {
    {"5.1.7", BLAME_GATEWAY}, /* bad sender's mailbox: ours */
    {"5.1.8", BLAME_GATEWAY}, /* bad sender's system: ours */
    {"5.1.9", BLAME_GATEWAY}, /* message relayed to a non-compliant mailer */
    {"5.1.", BLAME_CONTACT},  /* bad mailbox, bad domain, mailbox moved, null MX */
    {"5.2.1", BLAME_CONTACT}, /* mailbox disabled */
    {"5.2.3", BLAME_MESSAGE}, /* longer than this mailbox takes */
    {"5.2.", BLAME_NONE},     /* full mailbox and the like */
    {"5.3.4", BLAME_MESSAGE}, /* too big for the system */
    {"5.3.", BLAME_GATEWAY},  /* the mail system */
    {"5.6.", BLAME_MESSAGE},  /* content */
    {"5.7.8", BLAME_ACCOUNT}, /* our credentials */
    {"5.7.0", BLAME_NONE},    /* policy */
    {"4.3.", BLAME_GATEWAY},  /* the mail system */
    {"4.4.5", BLAME_GATEWAY}, /* system congestion */
    {"4.7.0", BLAME_NONE},    /* greylisting and the like */
};

static const struct rule rcpt_rules[] = {
    {"550", BLAME_CONTACT}, /* mailbox unavailable */
    {"551", BLAME_CONTACT}, /* not local */
    {"553", BLAME_CONTACT}, /* mailbox name not allowed */
    {"556", BLAME_CONTACT}, /* domain does not accept mail (RFC 7504) */
};

static const struct rule content_rules[] = {
    {"552", BLAME_MESSAGE},
    {"554", BLAME_MESSAGE},
    {"550", BLAME_MESSAGE},
};

static bool find_rule(const struct rule *rules, size_t n, const char *code, enum outcome_blame *blame_r) {
    for (size_t i = 0; i < n; i++) {
        if (strncmp(code, rules[i].code, strlen(rules[i].code)) == 0) {
            *blame_r = rules[i].blame;
            return true;
        }
    }
    return false;
}

/* Up to MAIL everything is between us and the gateway; from RCPT on it is about the mail, as far as the codes do not say otherwise. */
static enum outcome_blame find_blame(const struct smtp_reply *reply, enum smtp_step step) {
    enum outcome_blame blame = BLAME_NONE;
    char code[8];
    (void)snprintf(code, sizeof code, "%d", reply->code);
    bool transaction =
        step == SMTP_MAIL || step == SMTP_RCPT || step == SMTP_DATA || step == SMTP_CONTENT || step == SMTP_CHUNK || step == SMTP_LAST;
    bool login = reply->code == 530 || reply->code == 535 || reply->code == 538 || (step == SMTP_AUTH && reply->code >= 500);
    if (!transaction || reply->code == 421 || login) {
        return login ? BLAME_ACCOUNT : BLAME_GATEWAY;
    }
    if (reply->enhanced[0] != '\0' &&
        find_rule(enhanced_rules, sizeof enhanced_rules / sizeof enhanced_rules[0], reply->enhanced, &blame)) {
        return step == SMTP_MAIL && blame == BLAME_CONTACT ? BLAME_GATEWAY : blame;
    }
    if (step == SMTP_MAIL) {
        return reply->code == 552 ? BLAME_MESSAGE : BLAME_GATEWAY;
    }
    if (reply->enhanced[0] != '\0') {
        return BLAME_NONE;
    }
    const struct rule *rules = step == SMTP_RCPT ? rcpt_rules : content_rules;
    size_t n = step == SMTP_RCPT ? sizeof rcpt_rules / sizeof rcpt_rules[0] : sizeof content_rules / sizeof content_rules[0];
    (void)find_rule(rules, n, code, &blame);
    return blame;
}

/* 5yz is final, but not where it is about our standing with the gateway: that mends itself or is mended, and meanwhile no customer's
 * step may be written off. */
static enum outcome_kind find_kind(const struct smtp_reply *reply, enum smtp_step step) {
    bool about_us = step < SMTP_MAIL || reply->code == 530 || reply->code == 535 || reply->code == 538;
    return reply->code >= 500 && reply->code <= 599 && !about_us ? OUTCOME_REJECTED : OUTCOME_RETRY;
}

static void put_code(const struct smtp_reply *reply, char *out, size_t cap) {
    (void)snprintf(out, cap, "%d%s%s", reply->code, reply->enhanced[0] != '\0' ? " " : "", reply->enhanced);
}

void smtp_judge_refusal(const struct smtp_reply *reply, enum smtp_step step, const char *to, struct outcome *outcome) {
    char code[32];
    char text[sizeof reply->text];
    put_code(reply, code, sizeof code);
    smtp_hide_addresses(reply->text, to, text, sizeof text);
    if (reply->code < 400 || reply->code > 599) {
        outcome_set(outcome, OUTCOME_RETRY, BLAME_GATEWAY, code, "the server gave a senseless answer to %s: %s", smtp_step_name(step),
                    text);
        return;
    }
    outcome_set(outcome, find_kind(reply, step), find_blame(reply, step), code, "%s",
                text[0] != '\0' ? text : "refused without a word of explanation");
}

void smtp_judge_accepted(const struct smtp_reply *reply, const char *to, struct outcome *outcome) {
    char code[32];
    char text[sizeof reply->text];
    put_code(reply, code, sizeof code);
    smtp_hide_addresses(reply->text, to, text, sizeof text);
    outcome_set(outcome, OUTCOME_SENT, BLAME_NONE, code, "%s", text[0] != '\0' ? text : "accepted");
}
