/* retiring: see retiring.h.
 *
 *   old finished notices ──▶ lines ──▶ on the disk (archive.c) ──▶ out of Redis (lua/retire.lua)
 *
 * A notice that still holds an account stays: its customer was never reached, so it goes on speaking against a release of the contact
 * data (P7). So does one with an open desk case; the queue does not hand those out. What has left keeps its clearance and release, which
 * are records of their own and expire by themselves.
 *
 * Guarantees: a notice leaves Redis only after its line is on the disk, and only as it was archived (its token); a crash in between
 * archives it twice, never zero times. How it fails: what cannot be archived stays in Redis. Does not: decide when (queue/sweep.c). */
#include "dispatcher/retiring.h"

#include "base/log.h"
#include "dispatcher/archive.h"
#include "dispatcher/worker_inside.h"

#include <stdlib.h>

/* What is on its way to the disk. */
struct page {
    struct worker *worker;
    struct arena arena; /* the queue's, with everything of the page */
    size_t n;
    struct queue_retired *retired;
};

static void page_free(struct page *page) {
    arena_fini(&page->arena);
    free(page);
}

/* Lets the queue go on where nothing of a page leaves. */
static void nothing_leaves(struct worker *w) {
    struct err ignored; /* with n 0 it cannot fail */
    (void)queue_retire(w->queue, NULL, 0, &ignored);
}

static void on_archived(void *ctx, const struct err *err) {
    struct page *page = ctx;
    struct err fault;
    struct worker *w = page->worker;
    if (err != NULL) {
        nothing_leaves(w);
    } else if (queue_retire(w->queue, page->retired, page->n, &fault) < 0) {
        log_error("archived notices stay in Redis for now: %s", fault.text);
        nothing_leaves(w);
    }
    page_free(page);
}

/* Adds a notice to the page, unless it has to stay. 0, or -1 without memory. */
static int take(struct page *page, const struct queue_due *notice, struct buf *lines, int64_t now_ms) {
    struct record record;
    struct err err;
    if (record_read(notice->held.record, &page->arena, &record, &err) < 0) {
        log_warning("notice %s stays in Redis: %s", notice->id, err.text);
        return err.code == ERR_MEMORY ? -1 : 0;
    }
    if (record.held) {
        return 0;
    }
    archive_put_line(lines, notice->id, record.customer, notice->held.state, notice->held.fence, now_ms, notice->held.record);
    page->retired[page->n++] = (struct queue_retired){notice->id, notice->held.fence, record.digest};
    return lines->failed ? -1 : 0;
}

static int archive_page(struct worker *w, struct page *page, const struct queue_due *finished, size_t n) {
    struct buf lines = BUF_INIT;
    struct err err;
    int64_t now_ms = clock_wall_ms(w->place.clock);
    int rc = 0;
    page->retired = arena_array(&page->arena, n, sizeof *page->retired);
    (void)err_no_memory(&err);
    for (size_t i = 0; page->retired != NULL && i < n && rc == 0; i++) {
        rc = take(page, &finished[i], &lines, now_ms);
    }
    if (page->retired == NULL || rc < 0 || (page->n > 0 && archive_put(w->archive, &lines, on_archived, page, &err) < 0)) {
        log_error("finished notices stay in Redis for now: %s", err.text);
        rc = -1;
    }
    buf_fini(&lines);
    return rc < 0 || page->n == 0 ? -1 : 0;
}

void retiring_on_old(void *ctx, const struct queue_due *finished, size_t n, struct arena *arena_take) {
    struct worker *w = ctx;
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        arena_fini(arena_take);
        nothing_leaves(w);
        return;
    }
    page->worker = w;
    page->arena = *arena_take;
    if (archive_page(w, page, finished, n) < 0) {
        page_free(page);
        nothing_leaves(w);
    }
}
