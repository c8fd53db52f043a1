/* customer_source: see customer_source.h.
 *
 * Four ways lead to the customers of an audience: through the whole contact book, through a list of ids into the contact book, through a
 * file of contacts, and through a file of contacts narrowed by a list of ids. All of them are streams. Who is not in the audience is
 * neither judged nor counted.
 *
 * Guarantees: nobody is left out silently. A line or entry that cannot be read is told, because it may be the one that matters; so is an id
 * that an audience lists and that neither the contact book nor the file has.
 *
 * Does not: judge anybody. */
#include "cli/customer_source.h"

#include "cli/customer_line.h"
#include "cli/id_list.h"
#include "cli/lines.h"
#include "cli/text_set.h"
#include "dispatcher/book.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 512 };

const char *customer_source_name(const struct customer_source *source) {
    return source->path == NULL ? "contact book" : source->path;
}

/* ---- talk --------------------------------------------------------------------------------------------------------------- */

static void progress(const struct customer_source *source, const struct lines *lines, bool last) {
    if (source->size > 0 && (last || lines->number % 4096 == 0) && isatty(STDERR_FILENO) != 0) {
        (void)fprintf(stderr, "\r%llu lines, %3d %%%s", (unsigned long long)lines->number,
                      (int)(lines->offset * 100 / (uint64_t)source->size), last ? "\r\033[K" : "");
        (void)fflush(stderr);
    }
}

static void book_progress(uint64_t n, bool last) {
    if ((last || n % 4096 == 0) && isatty(STDERR_FILENO) != 0) {
        (void)fprintf(stderr, "\r%llu customers%s", (unsigned long long)n, last ? "\r\033[K" : "");
        (void)fflush(stderr);
    }
}

static void tell(const struct customer_source *source, const char *where, const struct err *err) {
    source->trouble(source->ctx, customer_source_name(source), where, err);
}

static bool lists_ids(const struct customer_source *source) {
    return source->change->audience.kind == AUDIENCE_FILE || source->change->audience.kind == AUDIENCE_SET;
}

static struct id_source ids_of(const struct customer_source *source) {
    return (struct id_source){source->ctl, &source->change->audience, source->id_file, source->trouble, source->ctx};
}

/* Whether nothing can go on after it: memory, a temporary file. Anything else concerns one customer. */
static bool is_the_end(const struct err *err) {
    return err->code == ERR_MEMORY || err->code == ERR_SYSTEM;
}

/* Hands out a customer whom the audience's conditions fit. */
static int hand_out(struct customer_source *source, const struct customer *customer, const char *attributes, struct err *err) {
    bool fits = audience_fits(&source->change->audience, source->ctl->rules, customer, attributes);
    return fits ? source->each(source->ctx, customer, err) : 0;
}

/* ---- the file ----------------------------------------------------------------------------------------------------------- */

struct file_pass {
    struct customer_source *source;
    struct customer_reader reader;
    struct arena arena; /* of one line */
    struct lines lines;
    struct text_set *ids; /* whom the audience lists, marked once the file has had them; NULL where it does not */
};

/* One line. What is wrong with it is told and not the end; -1 only for want of memory. */
static int take_line(struct file_pass *pass, const struct line *line, struct err *err) {
    struct customer customer;
    struct customer_source *source = pass->source;
    arena_reset(&pass->arena);
    size_t len = line->len > 0 && line->text[line->len - 1] == '\r' ? line->len - 1 : line->len;
    int result = line->too_long ? err_set(err, ERR_LIMIT, "longer than the %d bytes that a customer may have", CUSTOMER_LINE_MAX_BYTES)
                                : customer_line_read(&pass->reader, line->text, len, &pass->arena, &customer, err);
    int listed = result < 0 ? -1 : pass->ids == NULL ? 1 : text_set_mark(pass->ids, customer.id, err);
    result = listed == 1 ? hand_out(source, &customer, pass->reader.attributes, err) : listed;
    if (result < 0 && is_the_end(err)) {
        return -1;
    }
    if (result < 0) {
        char where[24];
        (void)snprintf(where, sizeof where, "%llu", (unsigned long long)pass->lines.number);
        tell(source, where, err);
    }
    return 0;
}

static int add_id(void *ctx, const char *id, struct err *err) {
    return text_set_add(ctx, id, err);
}

/* 0, or -1 with *err. */
static int load_ids(struct file_pass *pass, struct err *err) {
    const struct id_source source = ids_of(pass->source);
    pass->ids = text_set_new(PREFLIGHT_TEXT_BYTES, err);
    return pass->ids == NULL || id_list_each(&source, add_id, pass->ids, err) < 0 ? -1 : text_set_end(pass->ids, err);
}

static void tell_missing(void *ctx, const char *id) {
    const struct file_pass *pass = ctx;
    struct err unknown;
    (void)err_set(&unknown, ERR_UNKNOWN, "is listed by the audience and not in this file");
    tell(pass->source, id, &unknown);
}

static int each_in_file(struct customer_source *source, struct err *err) {
    struct file_pass pass = {.source = source, .arena = ARENA_INIT};
    struct line line;
    if (source->can_rewind && lseek(source->fd, 0, SEEK_SET) < 0) {
        return err_system(err, source->path);
    }
    if (lines_init(&pass.lines, source->fd, CUSTOMER_LINE_MAX_BYTES, err) < 0) {
        return -1;
    }
    customer_reader_init(&pass.reader);
    int more = lists_ids(source) ? load_ids(&pass, err) : 0;
    while (more >= 0 && (more = lines_next(&pass.lines, &line, err)) == 1) {
        if (!line_is_blank(&line) && take_line(&pass, &line, err) < 0) {
            more = -1;
        }
        progress(source, &pass.lines, false);
    }
    more = more == 0 && pass.ids != NULL ? text_set_each_unmarked(pass.ids, tell_missing, &pass, err) : more;
    progress(source, &pass.lines, true);
    customer_reader_fini(&pass.reader);
    text_set_free(pass.ids);
    arena_fini(&pass.arena);
    lines_fini(&pass.lines);
    return more;
}

/* ---- the contact book --------------------------------------------------------------------------------------------------- */

struct book_pass {
    struct customer_source *source;
    struct arena arena; /* of one customer */
    uint64_t n;
    struct err *err;
    bool failed;
};

static int take_entry(void *ctx, const char *id, const char *text, size_t len) {
    struct book_pass *pass = ctx;
    struct book_entry entry;
    arena_reset(&pass->arena);
    int result = book_unpack(text, len, id, &pass->arena, &entry, pass->err);
    if (result == 0) {
        result = hand_out(pass->source, &entry.customer, entry.attributes, pass->err);
    }
    pass->failed = result < 0 && is_the_end(pass->err);
    if (result < 0 && !pass->failed) {
        tell(pass->source, id, pass->err);
    }
    book_progress(++pass->n, false);
    return pass->failed ? 1 : 0;
}

/* Those ids, in one round trip. */
static int take_page(struct book_pass *pass, struct store *store, const char *const *ids, size_t n, struct err *err) {
    struct arena arena = ARENA_INIT;
    const char *texts[PAGE] = {0};
    int result = store_customers_get(store, ids, n, &arena, texts, err);
    for (size_t i = 0; result == 0 && i < n && !pass->failed; i++) {
        if (texts[i] != NULL) {
            (void)take_entry(pass, ids[i], texts[i], strlen(texts[i]));
            continue;
        }
        struct err unknown;
        (void)err_set(&unknown, ERR_UNKNOWN, "is not in the contact book");
        tell(pass->source, ids[i], &unknown);
    }
    arena_fini(&arena);
    return result < 0 || pass->failed ? -1 : 0;
}

static int each_listed(struct book_pass *pass, struct store *store, struct err *err) {
    struct id_list list;
    struct arena arena = ARENA_INIT;
    const char *page[PAGE];
    const char *id = NULL;
    size_t n = 0;
    const struct id_source source = ids_of(pass->source);
    int more = id_list_begin(&list, &source, err);
    while (more >= 0 && (more = id_list_next(&list, &id, err)) == 1) {
        page[n] = arena_strdup(&arena, id);
        more = page[n] == NULL ? err_no_memory(err) : more;
        if (more == 1 && ++n == PAGE) {
            more = take_page(pass, store, page, n, err);
            n = 0;
            arena_reset(&arena);
        }
    }
    more = more < 0 ? -1 : take_page(pass, store, page, n, err);
    id_list_fini(&list);
    arena_fini(&arena);
    return more;
}

/* A notice job is about one customer, a campaign about its audience. */
static int each_in_book(struct customer_source *source, struct err *err) {
    struct book_pass pass = {.source = source, .arena = ARENA_INIT, .err = err};
    struct store *store = ctl_store(source->ctl, err);
    const char *id = source->change->only_customer;
    int result = -1;
    if (store != NULL && id != NULL) {
        result = take_page(&pass, store, &id, 1, err);
    } else if (store != NULL && lists_ids(source)) {
        result = each_listed(&pass, store, err);
    } else if (store != NULL) {
        result = store_each_customer(store, take_entry, &pass, err);
    }
    book_progress(pass.n, true);
    arena_fini(&pass.arena);
    return result < 0 || pass.failed ? -1 : 0;
}

/* ---- both --------------------------------------------------------------------------------------------------------------- */

/* A relative name is looked for where the job is. NULL: no memory. */
static const char *beside(struct arena *arena, const char *job_path, const char *file) {
    const char *slash = strrchr(job_path, '/');
    if (file[0] == '/' || slash == NULL) {
        return file;
    }
    return arena_printf(arena, "%.*s/%s", (int)(slash - job_path), job_path, file);
}

int customer_source_init(struct customer_source *source, struct ctl *ctl, const struct change *change, const char *path,
                         const char *job_path, struct err *err) {
    struct stat st;
    *source = (struct customer_source){.ctl = ctl, .change = change, .path = path, .fd = -1};
    if (change->audience.kind == AUDIENCE_FILE) {
        source->id_file = beside(&ctl->arena, job_path, change->audience.file);
        if (source->id_file == NULL) {
            return err_no_memory(err);
        }
    }
    if (path == NULL) {
        return 0;
    }
    source->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &st) < 0) {
        return err_system(err, path);
    }
    source->can_rewind = lseek(source->fd, 0, SEEK_CUR) >= 0;
    source->size = S_ISREG(st.st_mode) ? st.st_size : 0;
    return 0;
}

void customer_source_fini(struct customer_source *source) {
    if (source->fd >= 0) {
        (void)close(source->fd);
    }
    source->fd = -1;
}

int customer_source_each(struct customer_source *source, struct err *err) {
    return source->path == NULL ? each_in_book(source, err) : each_in_file(source, err);
}
