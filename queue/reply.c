/* reply: see reply.h. Pure.
 *
 * Redis begins an error with a word in capitals. An error inside a script comes with that word in front as well (Redis 7)
 * or somewhere behind "ERR Error running script" (before 7), so both are looked at. */
#include "queue/reply.h"

#include <stdlib.h>
#include <string.h>

struct trouble_row {
    const char *word;
    enum trouble trouble;
};

static const struct trouble_row table[] = {
    {"NOSCRIPT", TROUBLE_NOSCRIPT}, {"NOGROUP", TROUBLE_NOGROUP},  {"UNBLOCKED", TROUBLE_NOGROUP},  {"LOADING", TROUBLE_WAIT},
    {"BUSY", TROUBLE_WAIT},         {"MISCONF", TROUBLE_WAIT},     {"OOM", TROUBLE_WAIT},           {"NOREPLICAS", TROUBLE_WAIT},
    {"TRYAGAIN", TROUBLE_WAIT},     {"CLUSTERDOWN", TROUBLE_WAIT}, {"READONLY", TROUBLE_RECONNECT}, {"MASTERDOWN", TROUBLE_RECONNECT},
    {"NOAUTH", TROUBLE_FATAL},      {"WRONGPASS", TROUBLE_FATAL},  {"NOPERM", TROUBLE_FATAL},       {"REACHDOOR", TROUBLE_FATAL},
};

static bool has_word(const char *text, const char *word) {
    size_t len = strlen(word);
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        bool starts = at == text || at[-1] == '-' || at[-1] == ' ';
        if (starts && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* EXEC that was refused for what Redis is like by then says so at its end. */
static const char *cause_of(const char *error) {
    static const char behind[] = "because of: ";
    const char *at = strncmp(error, "EXECABORT", 9) == 0 ? strstr(error, behind) : NULL;
    return at == NULL ? error : at + sizeof behind - 1;
}

enum trouble reply_trouble(const redisReply *reply) {
    if (reply->type != REDIS_REPLY_ERROR) {
        return TROUBLE_NONE;
    }
    const char *text = cause_of(reply->str);
    if (strstr(text, "The user executing the script can't") != NULL) {
        return TROUBLE_FATAL; /* how NOPERM reads inside a script */
    }
    bool script = strncmp(text, "ERR Error running script", 24) == 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t len = strlen(table[i].word);
        if (strncmp(text, table[i].word, len) == 0 && (text[len] == ' ' || text[len] == '\0')) {
            return table[i].trouble;
        }
        if (script && has_word(text, table[i].word)) {
            return table[i].trouble;
        }
    }
    return TROUBLE_OTHER;
}

bool reply_is_array(const redisReply *reply, size_t n) {
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements >= n;
}

bool reply_is_string(const redisReply *reply) {
    return reply != NULL && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

int64_t reply_int(const redisReply *reply, int64_t otherwise) {
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        return reply->integer;
    }
    if (reply_is_string(reply) && reply->len > 0) {
        char *end = NULL;
        long long value = strtoll(reply->str, &end, 10);
        if (end != reply->str && (*end == '\0' || *end == '.' || *end == 'e')) {
            return *end == '\0' ? value : (int64_t)strtod(reply->str, NULL);
        }
    }
    return otherwise;
}

int reply_info(const redisReply *reply, const char *name, char *out, size_t cap) {
    size_t name_len = strlen(name);
    if (!reply_is_string(reply)) {
        return 0;
    }
    for (const char *line = reply->str; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *value = line + name_len + 1;
            size_t len = strcspn(value, "\r\n");
            len = len < cap - 1 ? len : cap - 1;
            memcpy(out, value, len);
            out[len] = '\0';
            return 1;
        }
    }
    return 0;
}
