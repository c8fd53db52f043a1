/* log: see log.h.
 *
 * One write(2) per line, so lines of several processes on one stderr never mix within a line. A line that does not fit is
 * cut. A failing stderr is ignored on purpose: there is nowhere left to complain to, and sending must go on.
 *
 * Does not: rotate, buffer or format JSON; the journal does that. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *program_name = "reachd";
static enum log_level level_max = LOG_LEVEL_INFO;
static bool for_journal = false;

void log_init(const char *program, enum log_level max) {
    program_name = program;
    level_max = max;
    for_journal = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_name(enum log_level level) {
    switch (level) {
    case LOG_LEVEL_ERROR: return "error";
    case LOG_LEVEL_WARNING: return "warning";
    case LOG_LEVEL_NOTICE: return "notice";
    case LOG_LEVEL_INFO: return "info";
    case LOG_LEVEL_DEBUG: return "debug";
    }
    return "?";
}

static size_t clamp(int len, size_t cap) {
    return len < 0 ? 0 : (size_t)len < cap ? (size_t)len : cap - 1;
}

static size_t put_head(char *line, size_t cap, enum log_level level) {
    char when[TIME_TEXT_MAX];
    int len = for_journal ? snprintf(line, cap, "<%d>%s: ", (int)level, program_name)
                          : snprintf(line, cap, "%s %s[%d] %s: ", time_format(clock_wall_ms(&clock_system), when), program_name,
                                     (int)getpid(), level_name(level));
    return clamp(len, cap);
}

void log_line(enum log_level level, const char *format, ...) {
    if (level > level_max) {
        return;
    }
    char line[1024];
    size_t used = put_head(line, sizeof line - 1, level);
    size_t head = used;
    va_list args;
    va_start(args, format);
    used += clamp(vsnprintf(line + used, sizeof line - 1 - used, format, args), sizeof line - 1 - used);
    va_end(args);
    for (size_t i = head; i < used; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f) {
            line[i] = '?';
        }
    }
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written;
}
