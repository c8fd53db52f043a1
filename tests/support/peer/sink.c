/* sink: the peer's memory, made for tests that count.
 *
 * DIR/mail/000012-ada@example.org.eml, DIR/sms/..., DIR/push/..., DIR/http/... hold the messages as a person would want to
 * read them. DIR/index.ndjson has one line per recipient of every message taken, DIR/refused.ndjson one per refusal that a rule
 * caused. Everything is handed to the kernel before the peer answers, file first and index line after it: what the client knows
 * was taken is in the index, whatever happens to the peer next. Nothing is fsynced: a peer is killed in tests, the machine is
 * not.
 *
 * A write that fails ends the process with a plain line. Names of files come from foreign text and are reduced to harmless
 * characters; the number in front keeps them apart.
 */
#include "tests/support/peer/sink.h"

#include "base/buf.h"
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sink {
    enum sink_mode mode;
    int dir_fd, index_fd, refused_fd, trace_fd;
    uint64_t seq;
    json_t *counts;
    struct buf line;
};

static const char *const folders[] = {"mail", "sms", "push", "http"};

/* Ends the process: the peer cannot do what tests rely on. */
static void give_up(const char *what) {
    (void)fprintf(stderr, "sandbox-peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void write_all(int fd, const char *bytes, size_t len, const char *what) {
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR) {
            give_up(what);
        }
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
}

/* The highest number in the index that an earlier run left; 0 for none. */
static uint64_t last_seq(int dir_fd) {
    uint64_t last = 0;
    char line[8192];
    int fd = openat(dir_fd, "index.ndjson", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "{\"seq\":", 7) == 0) {
            uint64_t seq = strtoull(line + 7, NULL, 10);
            last = seq > last ? seq : last;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return last;
}

static int open_files(struct sink *sink, struct err *err) {
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (mkdirat(sink->dir_fd, folders[i], 0777) != 0 && errno != EEXIST) {
            return err_system(err, folders[i]);
        }
    }
    sink->index_fd = openat(sink->dir_fd, "index.ndjson", flags, 0666);
    sink->refused_fd = openat(sink->dir_fd, "refused.ndjson", flags, 0666);
    return sink->index_fd < 0 || sink->refused_fd < 0 ? err_system(err, "index.ndjson, refused.ndjson") : 0;
}

struct sink *sink_open(const char *dir, enum sink_mode mode, struct err *err) {
    struct sink *sink = calloc(1, sizeof *sink);
    assert(sink != NULL);
    sink->mode = mode;
    sink->dir_fd = sink->index_fd = sink->refused_fd = sink->trace_fd = -1;
    sink->counts = json_object();
    assert(sink->counts != NULL);
    if (mode == SINK_COUNT) {
        return sink;
    }
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
        goto fail;
    }
    sink->dir_fd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (sink->dir_fd < 0) {
        goto fail;
    }
    sink->seq = last_seq(sink->dir_fd);
    if (open_files(sink, err) != 0) {
        (void)err_prefix(err, dir);
        sink_close(sink);
        return NULL;
    }
    return sink;
fail:
    (void)err_system(err, dir);
    sink_close(sink);
    return NULL;
}

void sink_close(struct sink *sink) {
    if (sink == NULL) {
        return;
    }
    int fds[] = {sink->index_fd, sink->refused_fd, sink->trace_fd, sink->dir_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    json_decref(sink->counts);
    buf_fini(&sink->line);
    free(sink);
}

int sink_trace_open(struct sink *sink, struct err *err) {
    if (sink->dir_fd >= 0) {
        sink->trace_fd = openat(sink->dir_fd, "trace.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    }
    return sink->trace_fd < 0 ? err_system(err, "trace.log") : 0;
}

void sink_trace(struct sink *sink, uint64_t session, const char *who, const char *text, size_t len) {
    struct buf *line = &sink->line;
    if (sink->trace_fd < 0) {
        return;
    }
    buf_reset(line);
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t n = end == NULL ? len : (size_t)(end - text) + 1;
        size_t shown = end == NULL ? n : n - 1;
        shown -= shown > 0 && text[shown - 1] == '\r' ? 1 : 0;
        buf_putf(line, "%llu %s: %.*s\n", (unsigned long long)session, who, (int)shown, text);
        text += n;
        len -= n;
    }
    assert(!line->failed);
    write_all(sink->trace_fd, line->data, line->len, "trace.log");
}

void sink_count(struct sink *sink, const char *what) {
    json_t *count = json_object_get(sink->counts, what);
    int failed =
        count != NULL ? json_integer_set(count, json_integer_value(count) + 1) : json_object_set_new(sink->counts, what, json_integer(1));
    assert(failed == 0);
    (void)failed;
}

json_t *sink_counts(struct sink *sink) {
    return sink->counts;
}

/* "mail/000012-ada@example.org.eml" */
static void file_name(const struct sink *sink, const struct sink_message *message, char *out, size_t cap) {
    const char *recipient = message->n_recipients > 0 ? message->recipients[0] : "nobody";
    int n = snprintf(out, cap, "%s/%06llu-", message->folder, (unsigned long long)sink->seq);
    assert(n > 0 && (size_t)n + 80 < cap);
    size_t at = (size_t)n;
    for (size_t i = 0; recipient[i] != '\0' && i < 60; i++) {
        bool harmless = strchr("@+.-_=", recipient[i]) != NULL || (recipient[i] >= '0' && recipient[i] <= '9') ||
                        (recipient[i] >= 'a' && recipient[i] <= 'z') || (recipient[i] >= 'A' && recipient[i] <= 'Z');
        out[at++] = harmless ? recipient[i] : '_';
    }
    (void)snprintf(out + at, cap - at, ".%s", message->suffix);
}

static void write_file(struct sink *sink, const char *name, const struct sink_message *message) {
    int fd = openat(sink->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        give_up(name);
    }
    write_all(fd, message->content, message->content_len, name);
    if (close(fd) != 0) {
        give_up(name);
    }
}

static void put_member(struct buf *line, const char *name, const char *value) {
    buf_putf(line, ",\"%s\":", name);
    buf_put_json_str(line, value);
}

static void put_time(struct buf *line) {
    char at[TIME_TEXT_MAX];
    put_member(line, "at", time_format(clock_wall_ms(&clock_system), at));
}

static void put_index_line(struct sink *sink, const struct sink_message *message, const char *recipient, const char *file) {
    struct buf *line = &sink->line;
    buf_putf(line, "{\"seq\":%llu", (unsigned long long)sink->seq);
    put_time(line);
    put_member(line, "channel", message->channel);
    put_member(line, "recipient", recipient);
    put_member(line, "key", message->key);
    put_member(line, "notice", message->notice);
    put_member(line, "from", message->from);
    put_member(line, "tls", message->tls);
    put_member(line, "user", message->user);
    buf_putf(line, ",\"session\":%llu,\"size\":%zu", (unsigned long long)message->session, message->size_bytes);
    put_member(line, "file", file);
    buf_puts(line, "}\n");
}

uint64_t sink_take(struct sink *sink, const struct sink_message *message) {
    char name[256];
    char counter[64];
    sink->seq++;
    sink_count(sink, "taken");
    (void)snprintf(counter, sizeof counter, "taken:%s", message->channel);
    sink_count(sink, counter);
    if (sink->mode == SINK_COUNT) {
        return sink->seq;
    }
    file_name(sink, message, name, sizeof name);
    if (sink->mode == SINK_FILES) {
        write_file(sink, name, message);
    }
    buf_reset(&sink->line);
    for (size_t i = 0; i < message->n_recipients; i++) {
        put_index_line(sink, message, message->recipients[i], sink->mode == SINK_FILES ? name : NULL);
    }
    if (message->n_recipients == 0) {
        put_index_line(sink, message, NULL, sink->mode == SINK_FILES ? name : NULL);
    }
    assert(!sink->line.failed);
    write_all(sink->index_fd, sink->line.data, sink->line.len, "index.ndjson");
    return sink->seq;
}

void sink_refuse(struct sink *sink, const char *channel, const char *recipient, const char *phase, const char *action, int code) {
    char counter[64];
    (void)snprintf(counter, sizeof counter, "%s:%s", action, phase);
    sink_count(sink, counter);
    if (sink->mode == SINK_COUNT) {
        return;
    }
    struct buf *line = &sink->line;
    buf_reset(line);
    buf_puts(line, "{\"phase\":");
    buf_put_json_str(line, phase);
    put_time(line);
    put_member(line, "channel", channel);
    put_member(line, "recipient", recipient);
    put_member(line, "action", action);
    buf_putf(line, ",\"code\":%d}\n", code);
    assert(!line->failed);
    write_all(sink->refused_fd, line->data, line->len, "refused.ndjson");
}
