/* archive_file: see archive_file.h. Appends, syncs, rotates, deletes; it blocks, so it runs in the archive's child (archive.c).
 *
 * A file is written by one process, which holds a lock on it (flock) while it does. It is finished when it is full or old; then its index
 * is written and it never changes again. A start begins a new file and first makes the index of every file that has none and that nobody
 * holds: what a crash has left.
 *
 * Guarantees: archive_file_append() has succeeded only when the lines, and the name of their file, are on the disk. How it fails: a write
 * or sync that does not succeed (full disk) is undone by cutting the file back; where not even that works the file is left as it is, with a
 * torn line that readers skip, and the next attempt begins another one. An index that cannot be written is not missed: readers go without.
 * Does not: read back what it wrote; decide what may leave Redis. */
#include "dispatcher/archive_file.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char suffix[] = ".ndjson";

/* ---- names --------------------------------------------------------------------------------------------------------- */

void archive_file_index_name(const char *name, char out[ARCHIVE_NAME_MAX + 8]) {
    size_t stem = strlen(name) - (sizeof suffix - 1);
    (void)snprintf(out, ARCHIVE_NAME_MAX + 8, "%.*s.idx", (int)stem, name);
}

static bool is_archive(const char *name) {
    size_t len = strlen(name);
    return len > sizeof suffix && len < ARCHIVE_NAME_MAX && strcmp(name + len - (sizeof suffix - 1), suffix) == 0 && name[0] >= '0' &&
           name[0] <= '9';
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void archive_file_list_free(char **names, long n) {
    for (long i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

static int keep_name(char ***names, long *n, const char *name) {
    char **more = realloc(*names, (size_t)(*n + 1) * sizeof *more);
    if (more == NULL) {
        return -1;
    }
    *names = more;
    more[*n] = strdup(name);
    if (more[*n] == NULL) {
        return -1;
    }
    (*n)++;
    return 0;
}

long archive_file_list(int dir_fd, char ***names_r, struct err *err) {
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    char **names = NULL;
    long n = 0;
    if (dir == NULL) {
        (void)err_system(err, "the archive's directory");
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (is_archive(entry->d_name) && keep_name(&names, &n, entry->d_name) < 0) {
            archive_file_list_free(names, n);
            (void)closedir(dir);
            return err_no_memory(err);
        }
    }
    (void)closedir(dir);
    if (n > 0) {
        qsort(names, (size_t)n, sizeof *names, by_name);
    }
    *names_r = names;
    return n;
}

/* ---- what others have left ----------------------------------------------------------------------------------------- */

/* A file nobody writes to, opened; -1: somebody does, or it is gone. */
static int open_idle(int dir_fd, const char *name, struct stat *info) {
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, info) < 0)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static void make_index(int dir_fd, int fd, const char *index_name, size_t size) {
    struct archive_index index = ARCHIVE_INDEX_INIT;
    struct err ignored; /* searched without it */
    void *text = size == 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text != MAP_FAILED) {
        if (archive_index_add(&index, text, size, 0) == 0) {
            (void)archive_index_save(&index, dir_fd, index_name, size, &ignored);
        }
        (void)munmap(text, size);
    }
    archive_index_fini(&index);
}

static void look_after(struct archive_file *file, const char *name) {
    char index_name[ARCHIVE_NAME_MAX + 8];
    struct stat info;
    archive_file_index_name(name, index_name);
    if (faccessat(file->dir_fd, index_name, F_OK, 0) == 0) {
        return;
    }
    int fd = open_idle(file->dir_fd, name, &info);
    if (fd >= 0) {
        make_index(file->dir_fd, fd, index_name, (size_t)info.st_size);
        (void)close(fd);
    }
}

static int delete_one(struct archive_file *file, const char *name) {
    char index_name[ARCHIVE_NAME_MAX + 8];
    struct stat info;
    int fd = open_idle(file->dir_fd, name, &info);
    if (fd < 0) {
        return -1;
    }
    archive_file_index_name(name, index_name);
    int rc = unlinkat(file->dir_fd, name, 0);
    (void)unlinkat(file->dir_fd, index_name, 0);
    (void)close(fd);
    file->n_deleted += rc == 0;
    return rc;
}

/* Deletes the oldest files, as many as the operator's limits want. */
static void keep_limits(struct archive_file *file, char **names, long n, int64_t now_ms) {
    const struct archive_settings *settings = file->settings;
    int64_t total = 0;
    for (long i = 0; i < n; i++) {
        struct stat info;
        total += fstatat(file->dir_fd, names[i], &info, AT_SYMLINK_NOFOLLOW) == 0 ? info.st_size : 0;
    }
    for (long i = 0; i < n; i++) {
        struct stat info;
        if (fstatat(file->dir_fd, names[i], &info, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        bool old = settings->keep_ms > 0 && info.st_mtime < (now_ms - settings->keep_ms) / 1000;
        bool much = settings->size_max > 0 && total > settings->size_max;
        if ((old || much) && delete_one(file, names[i]) == 0) {
            total -= info.st_size;
        }
    }
}

static int tidy(struct archive_file *file, int64_t now_ms, struct err *err) {
    char **names = NULL;
    long n = archive_file_list(file->dir_fd, &names, err);
    if (n < 0) {
        return -1;
    }
    keep_limits(file, names, n, now_ms);
    archive_file_list_free(names, n);
    n = archive_file_list(file->dir_fd, &names, err);
    for (long i = 0; i < n; i++) {
        look_after(file, names[i]);
    }
    archive_file_list_free(names, n < 0 ? 0 : n);
    return n < 0 ? -1 : 0;
}

/* ---- the current file ---------------------------------------------------------------------------------------------- */

/* Opens a file of a name that nobody has used. */
static int begin(struct archive_file *file, int64_t now_ms, struct err *err) {
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    char stamp[32];
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    for (int n = 0; n < 1000 && file->fd < 0; n++) {
        (void)snprintf(file->name, sizeof file->name, "%s-%03d-%s%s", stamp, n, file->consumer, suffix);
        file->fd = openat(file->dir_fd, file->name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file->fd < 0 && errno != EEXIST) {
            break;
        }
    }
    if (file->fd < 0) {
        return err_system(err, file->name);
    }
    if (flock(file->fd, LOCK_EX | LOCK_NB) < 0 || fsync(file->dir_fd) < 0) {
        (void)err_system(err, file->name);
        (void)close(file->fd);
        file->fd = -1;
        return -1;
    }
    file->size = 0;
    file->opened_ms = now_ms;
    return 0;
}

/* The current file gets its index and is not written to any more. */
static void finish(struct archive_file *file, bool with_index) {
    char index_name[ARCHIVE_NAME_MAX + 8];
    struct err ignored; /* searched without it until the next start */
    archive_file_index_name(file->name, index_name);
    if (file->size == 0) {
        (void)unlinkat(file->dir_fd, file->name, 0);
    } else if (with_index) {
        (void)archive_index_save(&file->index, file->dir_fd, index_name, file->size, &ignored);
    }
    archive_index_fini(&file->index);
    (void)close(file->fd);
    file->fd = -1;
}

static int write_and_sync(int fd, const char *lines, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, lines, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        lines += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fdatasync(fd);
}

int archive_file_append(struct archive_file *file, const char *lines, size_t len, int64_t now_ms, struct err *err) {
    bool full = file->fd >= 0 && file->size > 0 && file->size + len > (uint64_t)file->settings->file_max;
    if (full || (file->fd >= 0 && now_ms - file->opened_ms >= file->settings->file_ms)) {
        finish(file, true);
        if (tidy(file, now_ms, err) < 0) {
            return -1;
        }
    }
    if (file->fd < 0 && begin(file, now_ms, err) < 0) {
        return -1;
    }
    if (write_and_sync(file->fd, lines, len) < 0) {
        (void)err_system(err, file->name);
        bool undone = ftruncate(file->fd, (off_t)file->size) == 0;
        finish(file, undone);
        return -1;
    }
    if (archive_index_add(&file->index, lines, len, file->size) < 0) {
        archive_index_fini(&file->index); /* too short of memory for an index: the next start makes it */
        file->size += len;
        finish(file, false);
        return 0;
    }
    file->size += len;
    return 0;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

/* The consumer's name, fit for a file's. */
static void take_consumer(struct archive_file *file, const char *consumer) {
    size_t n = 0;
    for (; consumer[n] != '\0' && n < sizeof file->consumer - 1; n++) {
        char c = consumer[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        file->consumer[n] = plain ? c : '_';
    }
    file->consumer[n] = '\0';
}

int archive_file_open(struct archive_file *file, const struct archive_settings *settings, const char *consumer, int64_t now_ms,
                      struct err *err) {
    *file = (struct archive_file){.settings = settings, .fd = -1};
    take_consumer(file, consumer);
    if (mkdir(settings->directory, 0700) < 0 && errno != EEXIST) {
        return err_system(err, settings->directory);
    }
    file->dir_fd = open(settings->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->dir_fd < 0 || faccessat(file->dir_fd, ".", W_OK, AT_EACCESS) < 0 || tidy(file, now_ms, err) < 0) {
        (void)err_system(err, settings->directory);
        if (file->dir_fd >= 0) {
            (void)close(file->dir_fd);
        }
        return -1;
    }
    return 0;
}

void archive_file_close(struct archive_file *file) {
    if (file->fd >= 0) {
        finish(file, true);
    }
    (void)close(file->dir_fd);
}
