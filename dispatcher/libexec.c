/* libexec: see libexec.h.
 *
 * The helpers are looked for where the program itself is (a build directory), then where `make install` puts them. That the directory holds
 * one is found out by whoever starts it. */
#include "dispatcher/libexec.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

const char *libexec_find(const struct settings *settings, struct arena *arena) {
    if (settings->libexec != NULL) {
        return settings->libexec;
    }
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    path[len < 0 ? 0 : len] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return ".";
    }
    *slash = '\0';
    const char *beside = arena_printf(arena, "%s/reachd-mailer", path);
    if (beside != NULL && access(beside, X_OK) == 0) {
        return arena_strdup(arena, path);
    }
    return arena_printf(arena, "%s/../libexec/reachd", path);
}
