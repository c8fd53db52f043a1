/* archive_file: the files of an archive as the one who writes them sees them. Internal to dispatcher/archive*.c. */
#ifndef REACH_DISPATCHER_ARCHIVE_FILE_H
#define REACH_DISPATCHER_ARCHIVE_FILE_H

#include "dispatcher/archive.h"

enum { ARCHIVE_NAME_MAX = 128 };

struct archive_file {
    const struct archive_settings *settings;
    char consumer[65]; /* as it stands in names */
    int dir_fd;
    int fd; /* -1: none is being written */
    char name[ARCHIVE_NAME_MAX];
    uint64_t size;
    int64_t opened_ms;
    struct archive_index index;
    unsigned n_deleted; /* files deleted because of keep or size_max, since the start */
};

/* Opens the directory (makes it, 0700, where its parent is there), makes missing indices of files that nobody writes to, deletes what is to
 * be deleted. 0, or -1 with *err; then nothing is to be closed. */
int archive_file_open(struct archive_file *file, const struct archive_settings *settings, const char *consumer, int64_t now_ms,
                      struct err *err);
void archive_file_close(struct archive_file *file);

/* Appends whole lines to the current file, a new one where there is none or it is full or old, and waits until they are on the disk. -1
 * with *err: they may be there or not. */
int archive_file_append(struct archive_file *file, const char *lines, size_t len, int64_t now_ms, struct err *err);

/* The names of all archive files, oldest first; free() each and the list. Their number, or -1 with *err. */
long archive_file_list(int dir_fd, char ***names_r, struct err *err);
void archive_file_list_free(char **names, long n);

/* NAME.ndjson -> NAME.idx */
void archive_file_index_name(const char *name, char out[ARCHIVE_NAME_MAX + 8]);

#endif
