/* log: one line per event on stderr, understood by the journal, safe for any text. */
#ifndef REACH_BASE_LOG_H
#define REACH_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* `program` is borrowed for ever. Under systemd (JOURNAL_STREAM is set) lines start with "<priority>" (sd-daemon(3)),
 * otherwise with the time and the level. Levels above `max` are dropped. */
void log_init(const char *program, enum log_level max);

/* Logs one line. Control characters are replaced: a value can never start a second line or steer a terminal. The caller
 * never passes an address, a name, a token or a secret (P10): ids only. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
