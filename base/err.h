/* err: why an action failed, owned by the caller.
 *
 * A struct err is filled by the function that failed and carried upwards unchanged; only the outermost caller prints it.
 * It is not a delivery outcome (see outcome.h) and not an assertion: a programmer's mistake is caught by assert(3). */
#ifndef REACH_BASE_ERR_H
#define REACH_BASE_ERR_H

enum err_code {
    ERR_NONE = 0,
    ERR_SYSTEM,   /* the operating system refused (errno is in the text) */
    ERR_MEMORY,   /* no memory */
    ERR_SYNTAX,   /* the text is not JSON, YAML, a template, ... at all */
    ERR_MEMBER,   /* a member is unknown, missing, of the wrong type or out of range; `member` names it */
    ERR_LIMIT,    /* larger, deeper or more than allowed */
    ERR_UNKNOWN,  /* names something that does not exist here (a notice, a locale, a gateway) */
    ERR_CONFLICT, /* the state does not allow it */
    ERR_REDIS,    /* Redis refused or cannot be reached */
    ERR_NET       /* another server refused or cannot be reached */
};

struct err {
    enum err_code code;
    char member[96]; /* path of the member at fault ("customer.contacts[2].address"), or empty */
    char text[400];  /* one line in plain words: what is wrong and, where there is one, the way out; never empty after a failure */
};

/* Makes *err empty. */
void err_clear(struct err *err);

/* Sets code and text (printf format) and leaves `member` empty. `err` may be NULL. Control characters in the text are
 * replaced, so a text is always one line. Returns -1, so that a function can end with `return err_set(...)`. */
int err_set(struct err *err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with the path of the member at fault. */
int err_member(struct err *err, const char *member, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ERR_MEMORY with a fixed text. Returns -1. */
int err_no_memory(struct err *err);

/* ERR_SYSTEM: "<what>: <strerror(errno)>". Returns -1. */
int err_system(struct err *err, const char *what);

/* Puts "<prefix>: " before the text, keeping code and member. Returns -1. */
int err_prefix(struct err *err, const char *prefix);

#endif
