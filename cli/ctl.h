/* ctl: what every command of reachctl works with: the options that hold for all of them, the configuration, one connection. */
#ifndef REACH_CLI_CTL_H
#define REACH_CLI_CTL_H

#include "base/arena.h"
#include "base/err.h"
#include "dispatcher/settings.h"
#include "queue/store.h"

#include <stdbool.h>

#ifndef REACHD_VERSION
#define REACHD_VERSION "0.1.0"
#endif

#define CTL_DEFAULT_CONFIG "/etc/reachd/reachd.yaml"

/* What the process ends with (contract.md, "reachctl, noun then verb"). */
enum ctl_exit {
    CTL_DONE = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_STRANDED = 3,    /* someone would be stranded */
    CTL_NOT_CLEARED = 4, /* an account or customer is not cleared */
    CTL_NO_REDIS = 5     /* cannot reach Redis */
};

/* Options that every command takes. Strings are borrowed from argv. */
struct ctl_globals {
    const char *config; /* --config, or NULL */
    const char *redis;  /* --redis, or NULL */
    bool json;
    bool no_color;
    bool yes;
};

struct ctl {
    struct ctl_globals globals;
    struct arena arena; /* lives as long as the command */
    struct settings settings;
    bool has_settings;
    const struct mailbox_rules *rules;
    struct store *store;
};

void ctl_init(struct ctl *ctl, const struct ctl_globals *globals);
void ctl_fini(struct ctl *ctl);

/* The configuration, read when it is first asked for: --config, else $REACHD_CONFIG, else /etc/reachd/reachd.yaml where it exists,
 * else the built-in defaults; --redis replaces the address. Borrowed. NULL with *err. */
const struct settings *ctl_settings(struct ctl *ctl, struct err *err);

/* The compiled own domains. Borrowed. NULL with *err. */
const struct mailbox_rules *ctl_rules(struct ctl *ctl, struct err *err);

/* The connection, opened when it is first asked for. Borrowed. NULL with *err (ERR_REDIS where Redis cannot be reached). */
struct store *ctl_store(struct ctl *ctl, struct err *err);

/* Closes the connection, so that ctl_store() opens a new one. */
void ctl_drop_store(struct ctl *ctl);

/* Tells on stderr why the command failed. Returns the exit code that fits: CTL_NO_REDIS for ERR_REDIS, else CTL_FAILED. */
enum ctl_exit ctl_fail(const struct err *err);

/* Tells on stderr what was wrong with the way the command was called. Returns CTL_USAGE. */
enum ctl_exit ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says something on stderr that is no data: one line, "reachctl: " before it. */
void ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Asks a yes-or-no question on stderr and reads the answer from the terminal. True at once with --yes; false without a terminal. */
bool ctl_confirm(const struct ctl *ctl, const char *question);

#endif
