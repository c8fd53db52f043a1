/* journal: see journal.h.
 *
 *   intent in Redis ──▶ intend ──▶ flush ──▶ send ──▶ gateway's answer ──▶ put ──▶ flush ──▶ the change goes to Redis ──▶ recorded
 *                                 (one write a turn of the loop)                       │ not recorded within a tick or two
 *                                                                                      └──▶ fdatasync, by a child (journal_sync.c)
 *
 * A write(2) outlives this process, so with Redis well nothing waits for a disk; answers that Redis leaves unrecorded for a while are made
 * to outlive the machine too. A line: SipHash of the rest, token, id, and as JSON which attempt it is and its outcome (without its reason,
 * which is the provider's own text and may say anything). Two files take turns: one is emptied and taken into use when the other has
 * grown to a quarter of the limit and no answer in it is open; the rest is for what one turn brings. What was loaded and is not dealt with
 * is written over into the fresh file, so it survives however often reachd is killed; before anything was loaded no file is emptied.
 *
 * What Redis has recorded stays until its file is emptied, at least a quarter of the limit long: a Redis that is killed while its disk is
 * slow has answered up to two seconds of writes that are in no file yet (appendfsync everysec). They are here.
 *
 * Guarantees: what is found was written whole, by us, for this token; the token makes replaying harmless (a record that has moved on
 * has another one). How it fails: a full disk or a journal that has grown to its limit keeps nothing more, which is told once; those
 * outcomes are what they were without a journal. Does not: decide what a known outcome leads to (work.c), or keep it for long. */
#include "dispatcher/journal_inside.h"

#include "base/log.h"
#include "dispatcher/core/hash.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEX = JOURNAL_HEX, LINE_BYTES = 1024 };

/* ---- opening ------------------------------------------------------------------------------------------------------- */

static int system_error(struct err *err, const char *path) {
    return err_set(err, ERR_SYSTEM, "journal: %s: %s", path, strerror(errno));
}

void journal_path(char *out, size_t cap, const char *directory, const char *consumer, const char *suffix) {
    size_t at = (size_t)snprintf(out, cap, "%s/", directory);
    for (const char *c = consumer; *c != '\0' && at + 1 < cap; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_';
        out[at++] = plain ? *c : '_';
    }
    (void)snprintf(out + (at < cap ? at : cap - 1), at < cap ? cap - at : 1, ".%s", suffix);
}

static int open_one(const char *directory, const char *consumer, const char *suffix, int *fd_r, struct err *err) {
    char path[PATH_MAX];
    journal_path(path, sizeof path, directory, consumer, suffix);
    *fd_r = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *fd_r < 0 ? system_error(err, path) : 0;
}

static int write_all(struct journal_file *file, const char *data, size_t len) {
    ssize_t written = write(file->fd, data, len);
    if (written == (ssize_t)len) {
        file->size += written;
        return 0;
    }
    int why = written < 0 ? errno : ENOSPC;
    if (written > 0 && ftruncate(file->fd, file->size) < 0) {
        file->size += written; /* a torn line in the middle: it is left out when it is read */
    }
    errno = why;
    return -1;
}

/* Takes up a file where its last writer left it; a last line that was torn is ended, or the next one would be lost with it. */
static int take_up(struct journal_file *file) {
    struct stat status;
    char last = '\n';
    if (fstat(file->fd, &status) < 0) {
        return -1;
    }
    file->size = status.st_size;
    if (file->size > 0 && pread(file->fd, &last, 1, file->size - 1) != 1) {
        return -1;
    }
    return last == '\n' ? 0 : write_all(file, "\n", 1);
}

static int open_files(struct journal *journal, const char *directory, const char *consumer, struct err *err) {
    static const char *const suffixes[JOURNAL_FILES] = {"0.journal", "1.journal"};
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        return system_error(err, directory);
    }
    if (open_one(directory, consumer, "lock", &journal->lock_fd, err) < 0) {
        return -1;
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* of this process alone: no child holds it beyond its death */
    if (fcntl(journal->lock_fd, F_SETLK, &whole) < 0) {
        return err_set(err, ERR_CONFLICT, "journal: another reachd named %s uses %s; give each a redis.consumer of its own", consumer,
                       directory);
    }
    for (int i = 0; i < JOURNAL_FILES; i++) {
        if (open_one(directory, consumer, suffixes[i], &journal->files[i].fd, err) < 0) {
            return -1;
        }
        if (take_up(&journal->files[i]) < 0) {
            return system_error(err, directory);
        }
    }
    journal->active = journal->files[1].size > journal->files[0].size ? 1 : 0;
    journal->loaded = journal->files[0].size + journal->files[1].size == 0; /* there is nothing that would have to be kept */
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? system_error(err, directory) : 0; /* the names of the files */
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

struct journal *journal_open(struct event_base *base, const struct journal_settings *settings, const char *consumer, struct err *err) {
    struct journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    journal->base = base;
    journal->size_max = settings->size_max;
    journal->lock_fd = journal->files[0].fd = journal->files[1].fd = journal->syncer.fd = -1;
    if (open_files(journal, settings->directory, consumer, err) < 0 || journal_sync_init(journal, err) < 0) {
        journal_close(journal);
        return NULL;
    }
    return journal;
}

void journal_close(struct journal *journal) {
    if (journal == NULL) {
        return;
    }
    journal_flush(journal);
    journal_sync_fini(journal);
    for (int i = 0; i < JOURNAL_FILES; i++) {
        if (journal->files[i].fd >= 0 && fdatasync(journal->files[i].fd) < 0) {
            log_error("journal: what Redis has not recorded may be lost with this machine: %s", strerror(errno));
        }
        if (journal->files[i].fd >= 0) {
            (void)close(journal->files[i].fd);
        }
    }
    if (journal->lock_fd >= 0) {
        (void)close(journal->lock_fd);
    }
    journal_drop_lines(journal);
    buf_fini(&journal->out);
    buf_fini(&journal->json);
    free(journal);
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

void journal_put_line(struct buf *out, uint64_t fence, const char *id, const char *json) {
    size_t start = out->len;
    buf_putf(out, "%016d %016" PRIx64 " %s ", 0, fence, id);
    buf_puts(out, json);
    buf_putc(out, '\n');
    if (!out->failed) {
        char sum[HEX + 1];
        const char *rest = out->data + start + HEX + 1;
        (void)snprintf(sum, sizeof sum, "%016" PRIx64, hash_bytes(rest, out->len - start - HEX - 2));
        memcpy(out->data + start, sum, HEX);
    }
}

/* `outcome` NULL: there is none yet. */
static void put_json(struct buf *json, const struct journal_attempt *attempt, const struct outcome *outcome) {
    buf_putf(json, "{\"kind\":%d", (int)(outcome == NULL ? OUTCOME_UNKNOWN : outcome->kind));
    if (outcome != NULL) {
        buf_putf(json, ",\"blame\":%d,\"retry_after_ms\":%" PRId64 ",\"code\":", (int)outcome->blame, outcome->retry_after_ms);
        buf_put_json_str(json, outcome->code);
        buf_puts(json, ",\"ref\":");
        buf_put_json_str(json, outcome->ref);
    }
    if (attempt->digest != NULL) {
        buf_putf(json, ",\"d\":\"%.*s\",\"s\":%" PRIu32 ",\"k\":\"%s\",\"n\":%" PRIu32 ",\"ch\":\"%s\",\"g\":", JOURNAL_DIGEST,
                 attempt->digest, attempt->step, attempt->contact_key, attempt->number, attempt->channel);
        buf_put_json_str(json, attempt->gateway);
        buf_puts(json, attempt->early_warning ? ",\"ew\":true" : "");
    }
    buf_putc(json, '}');
}

static void tell_full(struct journal *journal, const char *why) {
    if (!journal->told_full) {
        log_error("journal: %s; outcomes that Redis cannot record now become unknown if reachd dies", why);
    }
    journal->told_full = true;
}

/* Empties the file that is not in use, writes over into it what was loaded and is not dealt with, and takes it into use. */
static void change_files(struct journal *journal) {
    unsigned next = 1 - journal->active;
    struct journal_file *file = &journal->files[next];
    struct buf over = BUF_INIT;
    const struct journal_line *line, *after;
    if (file->open > 0 || ftruncate(file->fd, 0) < 0) {
        return;
    }
    file->size = 0;
    HASH_ITER(hh, journal->lines, line, after) {
        if (line->intent != NULL) {
            journal_put_line(&over, line->fence, line->id, line->intent);
        }
        if (line->answer != NULL) {
            journal_put_line(&over, line->fence, line->id, line->answer);
        }
    }
    if (over.failed || (over.len > 0 && write_all(file, over.data, over.len) < 0)) {
        tell_full(journal, "what was replayed only in part cannot be written over");
    }
    buf_fini(&over);
    journal->active = next;
    journal->changed_at_size = journal->files[0].size + journal->files[1].size; /* where that made no room, trying again makes none */
}

/* 0, or -1 where there is no room or memory for it (told). */
static int put_down(struct journal *journal, const struct journal_attempt *attempt, const struct outcome *outcome) {
    int64_t size = journal->files[0].size + journal->files[1].size;
    bool is_long = journal->files[journal->active].size > journal->size_max / 4 || size + LINE_BYTES > journal->size_max;
    if (journal->out.len == 0 && is_long && journal->loaded && journal->changed_at_size != size) {
        change_files(journal);
    }
    size_t before = journal->out.len;
    buf_reset(&journal->json);
    put_json(&journal->json, attempt, outcome);
    const char *json = buf_str(&journal->json);
    if (json != NULL) {
        journal_put_line(&journal->out, attempt->fence, attempt->id, json);
    }
    const char *why = json == NULL || journal->out.failed ? "out of memory" : NULL;
    if (why == NULL && journal->files[0].size + journal->files[1].size + (int64_t)journal->out.len > journal->size_max) {
        why = "it has reached journal.size_max";
    }
    if (why != NULL) {
        journal->out.failed = journal->json.failed = false;
        journal->out.len = before;
        tell_full(journal, why);
        return -1;
    }
    return 0;
}

void journal_intend(struct journal *journal, const struct journal_attempt *attempt) {
    if (journal != NULL) {
        (void)put_down(journal, attempt, NULL);
    }
}

struct journal_mark journal_put(struct journal *journal, const struct journal_attempt *attempt, const struct outcome *outcome) {
    struct journal_mark none = {NULL, 0, 0};
    if (journal == NULL || outcome->kind == OUTCOME_UNKNOWN || put_down(journal, attempt, outcome) < 0) {
        return none; /* unknown is what it is anyway */
    }
    journal->files[journal->active].open++;
    journal->n_young++;
    return (struct journal_mark){journal, journal->tick, journal->active};
}

void journal_flush(struct journal *journal) {
    if (journal == NULL || journal->out.len == 0) {
        return;
    }
    if (write_all(&journal->files[journal->active], journal->out.data, journal->out.len) < 0) {
        tell_full(journal, strerror(errno));
    } else {
        journal->told_full = false;
    }
    buf_reset(&journal->out);
    journal_sync_watch(journal);
}

void journal_recorded(struct journal_mark *mark) {
    struct journal *journal = mark->journal;
    if (journal == NULL) {
        return;
    }
    size_t *open = mark->tick == journal->tick ? &journal->n_young : &journal->n_old;
    assert(*open > 0 && journal->files[mark->file].open > 0);
    (*open)--;
    journal->files[mark->file].open--;
    mark->journal = NULL;
}
