/* push: puts jobs on the queue, after having checked every one of them.
 *
 * The file is read twice: once to check every line with the very reader that reachd uses, once to push. Nothing is pushed while a
 * single line is bad, unless --partial says that the good ones may go; so a file is never half in because of a slip in its
 * middle. What cannot be read twice (a pipe) is spooled to an unnamed temporary file first.
 *
 * Memory is bounded by one line and one batch, whatever the size of the file. A lost connection ends with exit code 5 and the
 * number of jobs that are in for sure; pushing the same file again is safe, for a job of the same id and content is a duplicate.
 *
 * Does not: look up whether notices, routes or customers exist; reachd answers that with a dead letter. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/lines.h"
#include "cli/view.h"
#include "dispatcher/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = 512, ERRORS_IN_JSON_MAX = 100 };

struct push {
    struct ctl *ctl;
    const char *name; /* of the file, for messages */
    int fd;
    off_t size; /* bytes to read, for the progress line */
    enum lane lane;
    bool partial;
    struct arena arena; /* of one line while checking, of one batch while pushing */
    const char *bodies[BATCH];
    size_t lens[BATCH];
    size_t n_batch;
    uint64_t n_good, n_bad, n_pushed;
    json_t *errors; /* the first of them, for --json */
};

/* ---- talk --------------------------------------------------------------------------------------------------------------- */

static void progress(const struct push *push, const char *what, uint64_t offset, bool last) {
    if (isatty(STDERR_FILENO) == 0) {
        return;
    }
    int percent = push->size > 0 ? (int)(offset * 100 / (uint64_t)push->size) : 100;
    (void)fprintf(stderr, "\r%s %s: %3d %%%s", what, push->name, percent > 100 ? 100 : percent, last ? "\r\033[K" : "");
    (void)fflush(stderr);
}

static void tell_bad(struct push *push, uint64_t number, const struct err *err) {
    push->n_bad++;
    if (err->member[0] != '\0') {
        ctl_say("%s:%llu: %s: %s", push->name, (unsigned long long)number, err->member, err->text);
    } else {
        ctl_say("%s:%llu: %s", push->name, (unsigned long long)number, err->text);
    }
    if (json_array_size(push->errors) < ERRORS_IN_JSON_MAX) {
        json_t *error = json_object();
        view_number(error, "line", (int64_t)number);
        view_text(error, "member", err->member);
        view_text(error, "reason", err->text);
        (void)json_array_append_new(push->errors, error);
    }
}

/* ---- one line ----------------------------------------------------------------------------------------------------------- */

static int check_line(struct push *push, const struct line *line, struct err *err) {
    struct job_document document;
    if (line->too_long) {
        return err_set(err, ERR_LIMIT, "longer than the %d bytes that a job may have", JSON_TEXT_MAX_BYTES);
    }
    int result = job_parse(line->text, line->len, push->ctl->rules, &push->arena, &document, NULL, err);
    job_document_fini(&document);
    return result;
}

static int send_batch(struct push *push, struct err *err) {
    size_t done = 0;
    struct store *store = ctl_store(push->ctl, err);
    int result = store == NULL ? -1 : store_push(store, push->lane, push->bodies, push->lens, push->n_batch, &done, err);
    push->n_pushed += done;
    push->n_batch = 0;
    arena_reset(&push->arena);
    return result;
}

static int take_line(struct push *push, const struct line *line, struct err *err) {
    char *body = arena_strndup(&push->arena, line->text, line->len);
    if (body == NULL) {
        return err_no_memory(err);
    }
    push->bodies[push->n_batch] = body;
    push->lens[push->n_batch++] = line->len;
    return push->n_batch == BATCH ? send_batch(push, err) : 0;
}

/* ---- the two passes ----------------------------------------------------------------------------------------------------- */

static int check_pass_line(struct push *push, const struct lines *lines, const struct line *line, struct err *err) {
    struct err bad;
    (void)err;
    if (check_line(push, line, &bad) < 0) {
        tell_bad(push, lines->number, &bad);
    } else {
        push->n_good++;
    }
    arena_reset(&push->arena);
    return 0;
}

/* Lines that the first pass found bad are found bad again, and left out without another word. */
static int push_pass_line(struct push *push, const struct lines *lines, const struct line *line, struct err *err) {
    struct err bad;
    (void)lines;
    if (line->too_long || (push->n_bad > 0 && check_line(push, line, &bad) < 0)) {
        return 0;
    }
    return take_line(push, line, err);
}

typedef int pass_fn(struct push *push, const struct lines *lines, const struct line *line, struct err *err);

static int each_line(struct push *push, const char *what, pass_fn *pass, struct err *err) {
    struct lines lines;
    struct line line;
    if (lseek(push->fd, 0, SEEK_SET) < 0) {
        return err_system(err, push->name);
    }
    if (lines_init(&lines, push->fd, JSON_TEXT_MAX_BYTES, err) < 0) {
        return -1;
    }
    int more;
    while ((more = lines_next(&lines, &line, err)) == 1) {
        if (!line_is_blank(&line) && pass(push, &lines, &line, err) < 0) {
            more = -1;
            break;
        }
        if (lines.number % 2048 == 0) {
            progress(push, what, lines.offset, false);
        }
    }
    progress(push, what, lines.offset, true);
    lines_fini(&lines);
    return more;
}

/* ---- the file ----------------------------------------------------------------------------------------------------------- */

static int copy_all(int from, int to, const char *name, struct err *err) {
    char block[65536];
    for (;;) {
        ssize_t n = read(from, block, sizeof block);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? 0 : err_system(err, name);
        }
        for (ssize_t put = 0, written = 0; written < n; written += put) {
            put = write(to, block + written, (size_t)(n - written));
            if (put < 0) {
                return err_system(err, "cannot spool the jobs to a temporary file");
            }
        }
    }
}

/* An unnamed file of our own with everything that `from` gives, or -1. */
static int spool(int from, const char *name, struct err *err) {
    const char *dir = getenv("TMPDIR");
    int fd = open(dir == NULL || dir[0] == '\0' ? "/tmp" : dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_system(err, "cannot open a temporary file");
    }
    if (copy_all(from, fd, name, err) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Opens FILE or "-" as something that can be read twice. */
static int open_jobs(struct push *push, const char *path, struct err *err) {
    struct stat st;
    bool is_stdin = strcmp(path, "-") == 0;
    push->name = is_stdin ? "standard input" : path;
    int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_system(err, push->name);
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        int spooled = spool(fd, push->name, err);
        (void)close(fd);
        fd = spooled;
    }
    push->fd = fd;
    push->size = fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
    return fd < 0 ? -1 : 0;
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static int choose_lane(const struct call *call, enum lane *lane_r) {
    const char *lane = call_value(call, "lane");
    *lane_r = call_given(call, "bulk") ? LANE_BULK : LANE_URGENT;
    if (lane == NULL) {
        return 0;
    }
    if (strcmp(lane, "urgent") != 0 && strcmp(lane, "bulk") != 0) {
        return -1;
    }
    *lane_r = strcmp(lane, "bulk") == 0 ? LANE_BULK : LANE_URGENT;
    return 0;
}

static void report(const struct push *push) {
    if (push->ctl->globals.json) {
        (void)output_json(json_pack("{s:I,s:I,s:s,s:O}", "pushed", (json_int_t)push->n_pushed, "bad", (json_int_t)push->n_bad, "lane",
                                    push->lane == LANE_BULK ? "bulk" : "urgent", "errors", push->errors));
        return;
    }
    ctl_say("%llu jobs pushed, %llu bad%s", (unsigned long long)push->n_pushed, (unsigned long long)push->n_bad,
            push->n_bad > 0 && !push->partial ? "; nothing is pushed while one is bad (--partial pushes the good ones)" : "");
}

/* Checks, then pushes. 0 also where lines were bad. */
static int work(struct push *push, struct err *err) {
    if (ctl_rules(push->ctl, err) == NULL || each_line(push, "checking", check_pass_line, err) < 0) {
        return -1;
    }
    if (push->n_good == 0 || (push->n_bad > 0 && !push->partial)) {
        return 0;
    }
    return each_line(push, "pushing", push_pass_line, err) < 0 || send_batch(push, err) < 0 ? -1 : 0;
}

enum ctl_exit push_run(struct ctl *ctl, const struct call *call) {
    struct push push = {.ctl = ctl, .fd = -1, .arena = ARENA_INIT, .partial = call_given(call, "partial"), .errors = json_array()};
    struct err err;
    enum ctl_exit code = CTL_DONE;
    if (choose_lane(call, &push.lane) < 0) {
        code = ctl_usage("--lane: must be urgent or bulk");
        goto out;
    }
    if (open_jobs(&push, call->arguments[0], &err) < 0) {
        code = ctl_fail(&err);
        goto out;
    }
    if (work(&push, &err) < 0) {
        code = ctl_fail(&err);
    } else if (push.n_bad > 0) {
        code = CTL_FAILED;
    }
    report(&push);
out:
    if (push.fd >= 0) {
        (void)close(push.fd);
    }
    arena_fini(&push.arena);
    json_decref(push.errors);
    return code;
}
