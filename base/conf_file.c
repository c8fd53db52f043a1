/* conf_file: see conf.h. The two functions of conf that touch the file system.
 *
 * Guarantees: never reads more than the limit; a secret leaves no copy outside the arena.
 * Fails: with the file's name. Does not: follow anything a file says. */
#include "base/conf.h"
#include "base/conf_yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MAX_BYTES = 4096, KEY_MAX_BYTES = 16384 };

/* Reads until the end or until `cap` bytes are there. 0 and *len_r, or -1 with errno. */
static int read_up_to(int fd, char *data, size_t cap, size_t *len_r) {
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read(fd, data + len, cap - len);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    *len_r = len;
    return 0;
}

int conf_read_file(const char *path, const struct conf_table *table, void *object, struct arena *arena, struct err *err) {
    int rc = -1;
    size_t len = 0;
    size_t cap = CONF_TEXT_MAX_BYTES + 1;
    char *text = malloc(cap);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (text == NULL) {
        (void)err_no_memory(err);
    } else if (fd < 0 || read_up_to(fd, text, cap, &len) < 0) {
        (void)err_system(err, path);
    } else {
        rc = conf_read_text(text, len, path, table, object, arena, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(text);
    return rc;
}

/* Cuts a secret at its first line end. 0, or -1 where it is not one line of 1 to 4096 bytes without control characters. */
static int trim_secret(char *text, size_t len) {
    text[len] = '\0';
    char *newline = memchr(text, '\n', len);
    char *end = newline == NULL ? text + len : newline;
    if (end > text && end[-1] == '\r') {
        end--;
    }
    for (const char *p = text; p < end; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return -1;
        }
    }
    *end = '\0';
    return end == text || end - text > SECRET_MAX_BYTES ? -1 : 0;
}

static int check_mode(int fd, const char *path, struct err *err) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return err_system(err, path);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, ERR_SYSTEM, "%s: not a regular file", path);
    }
    if ((st.st_mode & 037) != 0) {
        return err_set(err, ERR_SYSTEM, "%s: a secret that others may read or change (mend it: chmod 600 %s)", path, path);
    }
    return 0;
}

/* Reads a private file into `text`, which has room for `cap` bytes and a NUL. 0 and *len_r (cap: it may be longer), or -1 with *err. */
static int read_private(const char *path, char *text, size_t cap, size_t *len_r, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return err_system(err, path);
    }
    int rc = check_mode(fd, path, err);
    if (rc == 0 && read_up_to(fd, text, cap, len_r) < 0) {
        rc = err_system(err, path);
    }
    (void)close(fd);
    return rc;
}

static int keep(struct arena *arena, const char *text, size_t len, const char **kept_r, struct err *err) {
    *kept_r = arena_strndup(arena, text, len);
    return *kept_r == NULL ? err_no_memory(err) : 0;
}

int conf_read_secret(const char *path, struct arena *arena, const char **secret_r, struct err *err) {
    char text[SECRET_MAX_BYTES + 3]; /* CR or LF behind the longest secret, and NUL */
    size_t len = 0;
    int rc = read_private(path, text, sizeof text - 1, &len, err);
    if (rc == 0 && trim_secret(text, len) < 0) {
        rc = err_set(err, ERR_LIMIT, "%s: the first line must be a secret of 1 to %d bytes", path, SECRET_MAX_BYTES);
    } else if (rc == 0) {
        rc = keep(arena, text, strlen(text), secret_r, err);
    }
    explicit_bzero(text, sizeof text);
    return rc;
}

int conf_read_key(const char *path, struct arena *arena, const char **text_r, struct err *err) {
    char text[KEY_MAX_BYTES + 2];
    size_t len = 0;
    int rc = read_private(path, text, sizeof text - 1, &len, err);
    if (rc == 0 && (len == 0 || len > KEY_MAX_BYTES || memchr(text, '\0', len) != NULL)) {
        rc = err_set(err, ERR_LIMIT, "%s: must be a text of 1 to %d bytes", path, KEY_MAX_BYTES);
    } else if (rc == 0) {
        rc = keep(arena, text, len, text_r, err);
    }
    explicit_bzero(text, sizeof text);
    return rc;
}
