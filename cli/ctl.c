/* ctl: see ctl.h.
 *
 * Nothing is read or connected before a command asks for it: `reachctl gateway list` works with Redis down, and a typing
 * mistake in a command line costs no connection. What was opened is kept for the rest of the process and closed in one place.
 *
 * Guarantees: everything said here goes to stderr, one line at a time, with control characters replaced, so that a value out
 * of Redis can neither steer the terminal nor pass for another line.
 *
 * Fails: by returning the struct err of the room that failed. Does not: print data, retry, or exit. */
#include "cli/ctl.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ctl_init(struct ctl *ctl, const struct ctl_globals *globals) {
    *ctl = (struct ctl){.globals = *globals, .arena = ARENA_INIT};
}

void ctl_drop_store(struct ctl *ctl) {
    if (ctl->store != NULL) {
        store_close(ctl->store);
        ctl->store = NULL;
    }
}

void ctl_fini(struct ctl *ctl) {
    ctl_drop_store(ctl);
    arena_fini(&ctl->arena);
}

/* The configuration file to read, or NULL for the built-in defaults. */
static const char *config_path(const struct ctl *ctl) {
    if (ctl->globals.config != NULL) {
        return ctl->globals.config;
    }
    const char *path = getenv("REACHD_CONFIG");
    if (path != NULL && path[0] != '\0') {
        return path;
    }
    return access(CTL_DEFAULT_CONFIG, F_OK) == 0 ? CTL_DEFAULT_CONFIG : NULL;
}

const struct settings *ctl_settings(struct ctl *ctl, struct err *err) {
    if (!ctl->has_settings) {
        if (settings_read(config_path(ctl), &ctl->arena, &ctl->settings, err) < 0) {
            return NULL;
        }
        if (ctl->globals.redis != NULL) {
            ctl->settings.redis.address = ctl->globals.redis;
            ctl->settings.redis.sentinels.n = 0;
        }
        ctl->has_settings = true;
    }
    return &ctl->settings;
}

const struct mailbox_rules *ctl_rules(struct ctl *ctl, struct err *err) {
    if (ctl->rules == NULL) {
        const struct settings *settings = ctl_settings(ctl, err);
        ctl->rules = settings == NULL ? NULL : settings_rules(settings, &ctl->arena, err);
    }
    return ctl->rules;
}

struct store *ctl_store(struct ctl *ctl, struct err *err) {
    if (ctl->store == NULL) {
        const struct settings *settings = ctl_settings(ctl, err);
        ctl->store = settings == NULL ? NULL : store_open(&settings->redis, err);
    }
    return ctl->store;
}

static void __attribute__((format(printf, 1, 0))) say(const char *format, va_list args) {
    char line[1024];
    (void)vsnprintf(line, sizeof line, format, args);
    text_make_printable(line, '?');
    (void)fflush(stdout); /* data said so far comes first where both go to one terminal */
    (void)fprintf(stderr, "reachctl: %s\n", line);
}

void ctl_say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

enum ctl_exit ctl_usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return CTL_USAGE;
}

enum ctl_exit ctl_fail(const struct err *err) {
    if (err->member[0] != '\0') {
        ctl_say("%s: %s", err->member, err->text);
    } else {
        ctl_say("%s", err->text);
    }
    return err->code == ERR_REDIS ? CTL_NO_REDIS : CTL_FAILED;
}

bool ctl_confirm(const struct ctl *ctl, const char *question) {
    if (ctl->globals.yes) {
        return true;
    }
    if (isatty(STDIN_FILENO) == 0) {
        ctl_say("%s Nobody is here to answer; give --yes to do it.", question);
        return false;
    }
    (void)fprintf(stderr, "reachctl: %s [y/N] ", question);
    char answer[16];
    return fgets(answer, sizeof answer, stdin) != NULL && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}
