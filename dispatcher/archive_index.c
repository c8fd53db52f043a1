/* archive_index: see archive_index.h.
 *
 * Sixteen bytes a line and key, sorted, so that a look-up is a binary search over a mapped file: some twenty pages of a file of 64 MiB,
 * whatever the number of notices ever archived. Lines are written by archive_line.c with id and customer first, so a line's keys are found
 * without parsing it; they are compared and hashed in their escaped form, which is unique.
 *
 * Guarantees: an index is there whole or not at all (written beside, synced, renamed). Fails: by want of memory or of disk; the file is
 * then searched without. Does not: trust what it reads: an index of another size or version is not used. */
#include "dispatcher/archive_index.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'r', 'e', 'a', 'c', 'h', 'i', 'd', 'x'};

struct head {
    char magic[8];
    uint32_t version;
    uint32_t zero;
    uint64_t n;
    uint64_t data_size;
};

enum { VERSION = 1, FIRST_CAP = 4096 };

void archive_index_fini(struct archive_index *index) {
    for (int key = 0; key < ARCHIVE_KEYS; key++) {
        free(index->rows[key]);
    }
    *index = ARCHIVE_INDEX_INIT;
}

uint64_t archive_hash(const char *text, size_t len) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    uint64_t hash = 0;
    (void)SHA256((const unsigned char *)text, len, digest);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

/* From behind an opening quote to its closing one. NULL: there is none. */
static const char *closing_quote(const char *at, const char *end) {
    while (at < end && *at != '"') {
        at += *at == '\\' ? 2 : 1;
    }
    return at < end ? at : NULL;
}

int archive_line_key(const char *line, size_t len, enum archive_key key, const char **value_r, size_t *value_len_r) {
    static const char first[] = "{\"id\":\"", second[] = ",\"customer\":\"";
    const char *end = line + len, *at = line + sizeof first - 1;
    if (len < sizeof first || memcmp(line, first, sizeof first - 1) != 0) {
        return 0;
    }
    const char *quote = closing_quote(at, end);
    if (key == ARCHIVE_BY_CUSTOMER && quote != NULL) {
        at = quote + 1 + sizeof second - 1;
        if (at >= end || memcmp(quote + 1, second, sizeof second - 1) != 0) {
            return 0;
        }
        quote = closing_quote(at, end);
    }
    if (quote == NULL) {
        return 0;
    }
    *value_r = at;
    *value_len_r = (size_t)(quote - at);
    return 1;
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

static int grow(struct archive_index *index) {
    size_t cap = index->cap == 0 ? FIRST_CAP : index->cap * 2;
    for (int key = 0; key < ARCHIVE_KEYS; key++) {
        struct archive_row *rows = realloc(index->rows[key], cap * sizeof *rows);
        if (rows == NULL) {
            return -1;
        }
        index->rows[key] = rows;
    }
    index->cap = cap;
    return 0;
}

static int add_line(struct archive_index *index, const char *line, size_t len, uint64_t offset) {
    const char *value[ARCHIVE_KEYS];
    size_t value_len[ARCHIVE_KEYS];
    for (int key = 0; key < ARCHIVE_KEYS; key++) {
        if (archive_line_key(line, len, (enum archive_key)key, &value[key], &value_len[key]) == 0) {
            return 0;
        }
    }
    if (index->n == index->cap && grow(index) < 0) {
        return -1;
    }
    for (int key = 0; key < ARCHIVE_KEYS; key++) {
        index->rows[key][index->n] = (struct archive_row){archive_hash(value[key], value_len[key]), offset};
    }
    index->n++;
    return 0;
}

int archive_index_add(struct archive_index *index, const char *text, size_t len, uint64_t offset) {
    const char *line = text, *end = text + len;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (newline == NULL) {
            return 0; /* torn */
        }
        if (add_line(index, line, (size_t)(newline - line), offset + (uint64_t)(line - text)) < 0) {
            return -1;
        }
        line = newline + 1;
    }
    return 0;
}

static int by_hash(const void *a, const void *b) {
    const struct archive_row *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int write_all(int fd, const void *data, size_t len) {
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_index(struct archive_index *index, int fd, uint64_t data_size) {
    struct head head = {.version = VERSION, .n = index->n, .data_size = data_size};
    memcpy(head.magic, magic, sizeof magic);
    if (write_all(fd, &head, sizeof head) < 0) {
        return -1;
    }
    for (int key = 0; key < ARCHIVE_KEYS; key++) {
        if (index->n > 0) {
            qsort(index->rows[key], index->n, sizeof *index->rows[key], by_hash);
        }
        if (write_all(fd, index->rows[key], index->n * sizeof *index->rows[key]) < 0) {
            return -1;
        }
    }
    return fsync(fd);
}

int archive_index_save(struct archive_index *index, int dir_fd, const char *name, uint64_t data_size, struct err *err) {
    char beside[300];
    (void)snprintf(beside, sizeof beside, "%s.new", name);
    int fd = openat(dir_fd, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return err_system(err, beside);
    }
    int rc = write_index(index, fd, data_size);
    if (close(fd) < 0 || rc < 0 || renameat(dir_fd, beside, dir_fd, name) < 0) {
        rc = err_system(err, name);
        (void)unlinkat(dir_fd, beside, 0);
        return rc;
    }
    return 0;
}

/* ---- searching ----------------------------------------------------------------------------------------------------- */

int archive_index_fits(const void *index_bytes, size_t len, uint64_t data_size) {
    struct head head;
    if (len < sizeof head) {
        return 0;
    }
    memcpy(&head, index_bytes, sizeof head);
    return memcmp(head.magic, magic, sizeof magic) == 0 && head.version == VERSION && head.data_size == data_size &&
           head.n <= len / sizeof(struct archive_row) && len == sizeof head + ARCHIVE_KEYS * head.n * sizeof(struct archive_row);
}

size_t archive_index_find(const void *index_bytes, enum archive_key key, uint64_t hash, const struct archive_row **rows_r) {
    struct head head;
    memcpy(&head, index_bytes, sizeof head);
    const struct archive_row *rows = (const void *)((const char *)index_bytes + sizeof head);
    rows += (size_t)key * head.n;
    size_t low = 0, high = head.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t n = 0;
    while (low + n < head.n && rows[low + n].hash == hash) {
        n++;
    }
    *rows_r = rows + low;
    return n;
}
