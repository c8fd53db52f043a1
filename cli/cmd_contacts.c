/* contacts import: a file of customers into the contact book.
 *
 * NDJSON or CSV (csv_customers.h), told by the file's name or --format. A line that cannot be used goes to a reject file with its
 * number, the member at fault and the reason, and the rest goes on; so does a contact point whose address cannot be valid, and the rest of
 * its customer goes on, as reachd and a preflight judge a customer on the rest. Nothing is ever deleted: what a customer's entry no longer
 * lists has vanished upstream, is marked so and stays usable; with --complete that is also said of customers whom the file does not list.
 *
 * After every batch a note beside the file says how far the import has come. An import that was interrupted goes on from there with
 * --resume; starting again from the beginning is always right as well, only slower. What was rejected behind that place is taken back out
 * of the reject file when it goes on, since it will be met again.
 *
 * Exit codes: 1 where a line was rejected, 5 where Redis was lost. Does not: delete. */
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/csv_customers.h"
#include "cli/customer_line.h"
#include "cli/import.h"
#include "cli/lines.h"
#include "cli/output.h"
#include "cli/view.h"
#include "dispatcher/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct intake {
    struct ctl *ctl;
    const char *path;
    int fd;
    struct stat st;
    bool is_csv;
    struct import import;
    struct lines lines;
    struct csv_customers csv;
    uint64_t offset;     /* everything before it is in the book */
    uint64_t line;       /* lines before it */
    uint64_t row_offset; /* CSV: where the row being read begins; a quoted field may span lines */
    uint64_t row_line;   /* lines before it */
    FILE *rejects;       /* opened at the first reject */
    off_t rejects_size;  /* of the file as the import that is resumed left it */
    char *rejects_path;
    char *note_path;
    char *fresh_path;    /* the next note, until it is whole */
    uint64_t n_rejected; /* customers */
    uint64_t n_bad_contacts;
    uint64_t n_lookalikes;
    int64_t shown_at_ms;
    int64_t began_at_ms;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

/* ---- talk --------------------------------------------------------------------------------------------------------------- */

static void progress(struct intake *in, bool last) {
    enum { BAR = 30 };
    int64_t now_ms = clock_mono_ms(&clock_system);
    if (isatty(STDERR_FILENO) == 0 || (!last && now_ms - in->shown_at_ms < 200)) {
        return;
    }
    in->shown_at_ms = now_ms;
    double share = in->st.st_size > 0 ? (double)in->lines.offset / (double)in->st.st_size : 1;
    double seconds = (double)(now_ms - in->began_at_ms) / 1000;
    uint64_t n = in->import.n_new + in->import.n_changed + in->import.n_same;
    int filled = (int)(share * BAR);
    (void)fprintf(stderr, "\r[%.*s%*s] %3d %%  %llu customers  %.0f/s  %.0f s left ", filled, "##############################",
                  BAR - filled, "", (int)(share * 100), (unsigned long long)n, seconds > 0 ? (double)n / seconds : 0,
                  share > 0 ? seconds * (1 - share) / share : 0);
    (void)fputs(last ? "\r\033[K" : "", stderr);
    (void)fflush(stderr);
}

/* ---- rejects ------------------------------------------------------------------------------------------------------------ */

/* Writes the fault down. The file holds what came in and is for its owner only. 0, or -1 with *err. */
static int write_reject(struct intake *in, uint64_t number, const struct line *line, const struct err *fault, struct err *err) {
    if (in->n_rejected + in->n_bad_contacts <= 20) {
        ctl_say("%s:%llu: %s%s%s", in->path, (unsigned long long)number, fault->member, fault->member[0] == '\0' ? "" : ": ", fault->text);
    }
    if (in->rejects == NULL) {
        int fd = open(in->rejects_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        in->rejects = fd < 0 ? NULL : fdopen(fd, "a");
        if (in->rejects == NULL) {
            return err_system(err, in->rejects_path);
        }
    }
    json_t *entry = json_object();
    view_number(entry, "line", (int64_t)number);
    view_text(entry, "member", fault->member[0] == '\0' ? NULL : fault->member);
    view_text(entry, "reason", fault->text);
    if (line != NULL && text_is_utf8(line->text, line->len)) {
        (void)json_object_set_new(entry, "input", json_stringn(line->text, line->len));
    }
    int failed = json_dumpf(entry, in->rejects, JSON_COMPACT);
    failed |= putc('\n', in->rejects) == EOF ? -1 : 0;
    json_decref(entry);
    return failed == 0 ? 0 : err_system(err, in->rejects_path);
}

static int reject(struct intake *in, uint64_t number, const struct line *line, const struct err *fault, struct err *err) {
    in->n_rejected++;
    return write_reject(in, number, line, fault, err);
}

/* Takes out of a customer the contact points whose addresses cannot be valid. What came in stands with the first of them: a long line with
 * thousands of them must not be written down thousands of times. 0, or -1 with *err. */
static int reject_bad_contacts(struct intake *in, struct customer *customer, uint64_t number, const struct line *line, struct err *err) {
    struct contact *contacts = arena_array(import_arena(&in->import), customer->n_contacts, sizeof *contacts);
    size_t n = 0;
    if (contacts == NULL) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < customer->n_contacts; i++) {
        struct err why;
        struct err fault;
        char member[48];
        if (job_check_address(in->import.rules, customer->contacts[i].channel, customer->contacts[i].address, &why) == 0) {
            contacts[n++] = customer->contacts[i];
            continue;
        }
        in->n_bad_contacts++;
        (void)snprintf(member, sizeof member, "contacts[%zu].address", i);
        (void)err_member(&fault, member, "%s", why.text);
        if (write_reject(in, number, line, &fault, err) < 0) {
            return -1;
        }
        line = NULL;
    }
    customer->contacts = contacts;
    customer->n_contacts = n;
    return 0;
}

/* ---- the note beside the file ------------------------------------------------------------------------------------------- */

/* Everything up to in->offset is in the book. A note that cannot be written costs only the chance to resume; one that a kill cut short
 * would cost it too, so the old note stands until the new one is whole. */
static void write_note(struct intake *in) {
    struct stat rejects = {.st_size = in->rejects_size};
    if (in->rejects != NULL && (fflush(in->rejects) != 0 || fstat(fileno(in->rejects), &rejects) < 0)) {
        return;
    }
    FILE *file = fopen(in->fresh_path, "we");
    if (file != NULL) {
        bool whole =
            fprintf(file, "%llu %llu %llu %llu %lld %lld %lld %lld\n", (unsigned long long)in->offset, (unsigned long long)in->line,
                    (unsigned long long)in->n_rejected, (unsigned long long)in->n_bad_contacts, (long long)rejects.st_size,
                    (long long)in->st.st_size, (long long)in->st.st_mtim.tv_sec, (long long)in->import.now_ms) > 0;
        if (fclose(file) != 0 || !whole || rename(in->fresh_path, in->note_path) != 0) {
            (void)unlink(in->fresh_path);
        }
    }
}

/* What was rejected behind the note will be met again. A file that somebody has taken away or shortened is theirs. 0, or -1 with *err. */
static int cut_rejects(const struct intake *in, struct err *err) {
    struct stat st;
    if (stat(in->rejects_path, &st) < 0) {
        return errno == ENOENT ? 0 : err_system(err, in->rejects_path);
    }
    return st.st_size <= in->rejects_size || truncate(in->rejects_path, in->rejects_size) == 0 ? 0 : err_system(err, in->rejects_path);
}

/* Takes up an interrupted import of the same file. 0, or -1 with *err where there is none. */
static int read_note(struct intake *in, struct err *err) {
    unsigned long long offset = 0;
    unsigned long long line = 0;
    unsigned long long rejected = 0;
    unsigned long long bad_contacts = 0;
    long long rejects_size = 0;
    long long size = 0;
    long long changed = 0;
    long long now_ms = 0;
    FILE *file = fopen(in->note_path, "re");
    if (file == NULL) {
        return err_set(err, ERR_UNKNOWN, "there is nothing to resume (%s: %s)", in->note_path, strerror(errno));
    }
    int n = fscanf(file, "%llu %llu %llu %llu %lld %lld %lld %lld", &offset, &line, &rejected, &bad_contacts, &rejects_size, &size,
                   &changed, &now_ms);
    (void)fclose(file);
    if (n != 8 || size != in->st.st_size || changed != in->st.st_mtim.tv_sec || offset > (unsigned long long)size) {
        return err_set(err, ERR_CONFLICT, "%s has changed since: import it from the beginning, without --resume", in->path);
    }
    in->offset = offset;
    in->line = line;
    in->n_rejected = rejected;
    in->n_bad_contacts = bad_contacts;
    in->rejects_size = (off_t)rejects_size;
    in->import.now_ms = now_ms;
    return cut_rejects(in, err);
}

/* ---- customers ---------------------------------------------------------------------------------------------------------- */

/* Tells of addresses that the eye takes for others. They are taken all the same: nothing is wrong with them for a machine. */
static void warn_of_lookalikes(struct intake *in, const struct customer *customer, uint64_t number) {
    for (size_t i = 0; i < customer->n_contacts; i++) {
        const struct contact *contact = &customer->contacts[i];
        char canonical[MAILBOX_MAX];
        bool mailbox = channel_traits(contact->channel)->address == ADDRESS_MAILBOX;
        if (!mailbox || mailbox_canon(in->import.rules, contact->address, canonical, NULL) < 0) {
            continue;
        }
        const char *warning = mailbox_warning(in->import.rules, canonical);
        if (warning != NULL && in->n_lookalikes++ < 20) {
            ctl_say("%s:%llu: warning: contacts[%zu].address: %s", in->path, (unsigned long long)number, i, warning);
        }
    }
}

/* One object into the batch. What the reader borrows from the object is copied, so the object is the caller's. */
static int take_object(struct intake *in, json_t *object, uint64_t number, const struct line *line, struct err *err) {
    struct arena *arena = import_arena(&in->import);
    struct job job = {0};
    struct err fault;
    struct book_entry copy;
    struct buf packed = BUF_INIT;
    if (job_read_customer(object, NULL, arena, &job, &fault) < 0) {
        return fault.code == ERR_MEMORY ? err_no_memory(err) : reject(in, number, line, &fault, err);
    }
    warn_of_lookalikes(in, &job.customer, number); /* first: it counts the contact points as they stand in the file */
    if (reject_bad_contacts(in, &job.customer, number, line, err) < 0) {
        return -1;
    }
    struct book_entry entry = {.customer = job.customer, .attributes = job.attributes};
    book_pack(&entry, &packed);
    const char *id = arena_strdup(arena, job.customer.id);
    int result = packed.failed || id == NULL ? err_no_memory(err) : book_unpack(packed.data, packed.len, id, arena, &copy, err);
    buf_fini(&packed);
    struct contact *contacts = result < 0 ? NULL : (struct contact *)(uintptr_t)copy.customer.contacts; /* in our arena */
    for (size_t i = 0; contacts != NULL && i < copy.customer.n_contacts; i++) {
        contacts[i].status_told = job.customer.contacts[i].status_told; /* the book has no place for it */
    }
    return result < 0 ? -1 : import_add(&in->import, &copy.customer, copy.attributes, err);
}

static int take_json_line(struct intake *in, const struct line *line, struct err *err) {
    struct err fault;
    size_t len = line->len > 0 && line->text[line->len - 1] == '\r' ? line->len - 1 : line->len;
    json_t *object = line->too_long ? NULL : json_parse_strict(line->text, len, CUSTOMER_LINE_MAX_BYTES, &fault);
    if (line->too_long) {
        (void)err_set(&fault, ERR_LIMIT, "longer than the %d bytes that a customer may have", CUSTOMER_LINE_MAX_BYTES);
    }
    int result = object == NULL ? reject(in, in->lines.number, line, &fault, err) : take_object(in, object, in->lines.number, line, err);
    json_decref(object);
    return result;
}

static int take_csv_customer(struct intake *in, struct csv_customer *done, struct err *err) {
    if (done->object == NULL) {
        return reject(in, done->line, NULL, &done->fault, err);
    }
    int result = take_object(in, done->object, done->line, NULL, err);
    json_decref(done->object);
    return result;
}

static int take_csv_line(struct intake *in, const struct line *line, struct err *err) {
    struct csv_customer done;
    int completed = csv_customers_line(&in->csv, line, in->lines.number, &done, err);
    return completed == 1 ? take_csv_customer(in, &done, err) : completed;
}

/* ---- the file ----------------------------------------------------------------------------------------------------------- */

/* Where an import of this file would go on: behind the last line of which everything is in the book. */
static void settle(struct intake *in, uint64_t offset, uint64_t line) {
    if (in->import.n == 0 && offset > in->offset) {
        in->offset = offset;
        in->line = line;
        write_note(in);
    }
}

static int each_line(struct intake *in, struct err *err) {
    struct line line;
    uint64_t begin = in->lines.offset;
    int more;
    while ((more = lines_next(&in->lines, &line, err)) == 1) {
        size_t before = in->import.n;
        bool blank = line_is_blank(&line);
        if (in->csv.row_line == 0) {
            in->row_offset = begin;
            in->row_line = in->lines.number - 1;
        }
        if (!blank && (in->is_csv ? take_csv_line(in, &line, err) : take_json_line(in, &line, err)) < 0) {
            return -1;
        }
        begin = in->lines.offset;
        if (before > 0 && in->import.n == 0) { /* of a CSV file the row just read belongs to the customer that is being put together */
            settle(in, in->is_csv ? in->row_offset : begin, in->is_csv ? in->row_line : in->lines.number);
        }
        progress(in, false);
        if (interrupted != 0) {
            return err_set(err, ERR_CONFLICT, "interrupted; go on with --resume");
        }
    }
    return more;
}

/* Reads the header of a CSV file that is resumed in its middle, and goes to where it was left. */
static int go_to_offset(struct intake *in, struct err *err) {
    struct line line;
    if (in->is_csv) {
        struct csv_customer none;
        int more = lines_next(&in->lines, &line, err);
        if (more < 0 || (more == 1 && csv_customers_line(&in->csv, &line, 1, &none, err) < 0)) {
            return -1;
        }
    }
    lines_fini(&in->lines);
    if (lseek(in->fd, (off_t)in->offset, SEEK_SET) < 0 || lines_init(&in->lines, in->fd, CUSTOMER_LINE_MAX_BYTES, err) < 0) {
        return err_system(err, in->path);
    }
    in->lines.offset = in->offset;
    in->lines.number = in->line;
    return 0;
}

static int read_all(struct intake *in, bool complete, struct err *err) {
    struct csv_customer done;
    if (in->offset > 0 && go_to_offset(in, err) < 0) {
        return -1;
    }
    if (each_line(in, err) < 0) {
        return -1;
    }
    if (in->is_csv && csv_customers_end(&in->csv, &done) == 1 && take_csv_customer(in, &done, err) < 0) {
        return -1;
    }
    if (import_flush(&in->import, err) < 0) {
        return -1;
    }
    progress(in, true);
    return complete && in->n_rejected == 0 ? import_mark_missing(&in->import, err) : 0;
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static int choose_format(struct intake *in, const char *format) {
    size_t len = strlen(in->path);
    in->is_csv = len > 4 && strcmp(in->path + len - 4, ".csv") == 0;
    if (format != NULL) {
        in->is_csv = strcmp(format, "csv") == 0;
        return strcmp(format, "csv") == 0 || strcmp(format, "ndjson") == 0 ? 0 : -1;
    }
    return 0;
}

static int prepare(struct intake *in, const struct call *call, struct err *err) {
    const char *rejects = call_value(call, "rejects");
    if (asprintf(&in->rejects_path, "%s%s", rejects == NULL ? in->path : rejects, rejects == NULL ? ".rejects" : "") < 0 ||
        asprintf(&in->note_path, "%s.import", in->path) < 0 || asprintf(&in->fresh_path, "%s.import.new", in->path) < 0) {
        return err_no_memory(err);
    }
    in->fd = open(in->path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0 || fstat(in->fd, &in->st) < 0) {
        return err_system(err, in->path);
    }
    if (!S_ISREG(in->st.st_mode)) {
        return err_set(err, ERR_SYSTEM, "%s is no regular file", in->path);
    }
    if (ctl_rules(in->ctl, err) == NULL || ctl_store(in->ctl, err) == NULL) {
        return -1;
    }
    import_init(&in->import, in->ctl, in->ctl->store, clock_wall_ms(&clock_system));
    if (lines_init(&in->lines, in->fd, CUSTOMER_LINE_MAX_BYTES, err) < 0 || csv_customers_init(&in->csv, err) < 0) {
        return -1;
    }
    if (call_given(call, "resume")) {
        return read_note(in, err);
    }
    (void)unlink(in->note_path); /* it counts on the rejects that go now */
    if (unlink(in->rejects_path) < 0 && errno != ENOENT) {
        return err_system(err, in->rejects_path);
    }
    return 0;
}

/* An import is told from the next one by its second. */
static void wait_for_next_second(const struct intake *in) {
    int64_t left_ms = 1000 - (clock_wall_ms(&clock_system) - in->import.now_ms / 1000 * 1000);
    if (left_ms > 0 && left_ms <= 1000) {
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)left_ms * 999999L}, NULL);
    }
}

static enum ctl_exit report(const struct intake *in, bool complete) {
    const struct import *import = &in->import;
    bool skipped = complete && in->n_rejected > 0;
    if (in->ctl->globals.json) {
        return output_json(json_pack(
            "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "new", (json_int_t)import->n_new, "changed", (json_int_t)import->n_changed, "unchanged",
            (json_int_t)import->n_same, "rejected", (json_int_t)in->n_rejected, "rejected_contacts", (json_int_t)in->n_bad_contacts,
            "vanished", (json_int_t)import->n_vanished, "lookalikes", (json_int_t)in->n_lookalikes, "complete", complete && !skipped));
    }
    ctl_say("%llu new, %llu changed, %llu unchanged, %llu rejected", (unsigned long long)import->n_new,
            (unsigned long long)import->n_changed, (unsigned long long)import->n_same, (unsigned long long)in->n_rejected);
    if (in->n_bad_contacts > 0) {
        ctl_say("%llu contact points were rejected, and the rest of their customers was taken", (unsigned long long)in->n_bad_contacts);
    }
    if (in->n_lookalikes > 0) {
        ctl_say("%llu addresses look like others and are not: somebody should look at them", (unsigned long long)in->n_lookalikes);
    }
    if (complete && !skipped) {
        ctl_say("%llu customers are missing in the file: their contact points are marked vanished", (unsigned long long)import->n_vanished);
    }
    if (skipped) {
        ctl_say("nobody was marked as missing, because lines were rejected: mend them and import again");
    }
    return CTL_DONE;
}

static void intake_fini(struct intake *in) {
    import_fini(&in->import);
    lines_fini(&in->lines);
    csv_customers_fini(&in->csv);
    if (in->fd >= 0) {
        (void)close(in->fd);
    }
    free(in->rejects_path);
    free(in->note_path);
    free(in->fresh_path);
}

enum ctl_exit contacts_import_run(struct ctl *ctl, const struct call *call) {
    static struct intake in; /* too large for the stack: a batch of customers */
    struct sigaction action = {.sa_handler = interrupt};
    struct err err;
    bool complete = call_given(call, "complete");
    in = (struct intake){.ctl = ctl, .path = call->arguments[0], .fd = -1, .began_at_ms = clock_mono_ms(&clock_system)};
    if (choose_format(&in, call_value(call, "format")) < 0) {
        return ctl_usage("--format: must be ndjson or csv");
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    enum ctl_exit code;
    if (prepare(&in, call, &err) < 0 || read_all(&in, complete, &err) < 0) {
        code = ctl_fail(&err);
    } else {
        (void)unlink(in.note_path);
        (void)unlink(in.fresh_path); /* of one that was killed */
        wait_for_next_second(&in);
        code = report(&in, complete);
        code = code == CTL_DONE && in.n_rejected + in.n_bad_contacts > 0 ? CTL_FAILED : code;
    }
    if (in.rejects != NULL && fclose(in.rejects) != 0) {
        (void)err_system(&err, in.rejects_path);
        enum ctl_exit lost = ctl_fail(&err);
        code = code == CTL_DONE ? lost : code;
    } else if (in.n_rejected + in.n_bad_contacts > 0) {
        ctl_say("what was rejected is in %s", in.rejects_path);
    }
    intake_fini(&in);
    return code;
}
