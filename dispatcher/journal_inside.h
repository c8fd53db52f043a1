/* journal_inside: what journal.c, journal_read.c and journal_sync.c share. Nobody else includes it. */
#ifndef REACH_DISPATCHER_JOURNAL_INSIDE_H
#define REACH_DISPATCHER_JOURNAL_INSIDE_H

#include "base/buf.h"
#include "dispatcher/journal.h"

#include <sys/types.h>
#include <uthash.h>

struct event;

enum { JOURNAL_FILES = 2 };

enum { JOURNAL_HEX = 16, JOURNAL_HEAD = JOURNAL_HEX + 1 + JOURNAL_HEX + 1 }; /* "<sum> <token> " */

/* An attempt found in a file; strings in journal->text. */
struct journal_line {
    uint64_t fence;
    const char *id;
    const char *answer; /* JSON; NULL: only the intent was found */
    const char *intent; /* JSON; NULL: only the answer */
    UT_hash_handle hh;
    struct journal_notice *notice;
    struct journal_line *next; /* of the same notice */
    struct journal_line *prev;
};

/* A notice that lines were found of. */
struct journal_notice {
    const char *id;
    struct journal_line *lines;
    UT_hash_handle hh;
};

struct journal_file {
    int fd;
    int64_t size;
    size_t open; /* answers in it that Redis has not recorded */
};

/* What makes files durable: a child that does nothing but fdatasync(2). */
struct syncer {
    pid_t pid; /* 0: none */
    int fd;    /* our end */
    struct event *on_answer;
    bool busy;
};

struct journal {
    struct event_base *base;
    int64_t size_max;
    int lock_fd;
    struct journal_file files[JOURNAL_FILES];
    unsigned active;
    struct buf out;  /* put down, not written yet */
    struct buf json; /* scratch */
    bool told_full;  /* or broken: told once */
    bool loaded;     /* journal_load() knows what the files hold */
    int64_t changed_at_size;

    /* how old what is open is, in ticks of the timer */
    struct event *timer;
    uint32_t tick;
    size_t n_young; /* open, put down in this tick */
    size_t n_old;   /* open, put down before */
    bool dirty;     /* something old has not been given to the syncer */
    struct syncer syncer;

    /* what journal_load() has found */
    char *text;
    struct journal_line *lines;     /* by fence */
    struct journal_line *block;     /* all of them, in one allocation */
    struct journal_notice *notices; /* by id */
    struct journal_notice *notices_block;
};

/* Puts one whole line into `out`; where that fails, out->failed says so. */
void journal_put_line(struct buf *out, uint64_t fence, const char *id, const char *json);

/* What journal_load() has found is given back. */
void journal_drop_lines(struct journal *journal);

/* 0 or -1 with *err. */
int journal_sync_init(struct journal *journal, struct err *err);
void journal_sync_fini(struct journal *journal);
/* Something has been put down: the timer has to run. */
void journal_sync_watch(struct journal *journal);

#endif
