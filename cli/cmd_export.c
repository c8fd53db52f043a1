/* contacts export: the contact book as a file that `contacts import` and `preflight --contacts` read again.
 *
 * One customer a line (NDJSON), or one contact point a row (CSV), in no order. Addresses are in the open, for that is what the file
 * is for: it is written for its owner only, beside its place first and then moved there, so that nobody takes half a book for a whole.
 *
 * Does not: sort. NDJSON leaves nothing out, vanished, withdrawn and previous addresses are in it; CSV has no place for attributes. */
#include "cli/commands.h"
#include "cli/view.h"
#include "dispatcher/book.h"

#include <csv.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct export {
    FILE *out;
    bool is_csv;
    struct arena arena; /* of one customer */
    uint64_t n;
    struct err *err;
    bool failed;
};

static json_t *list_of(const struct address_list *list) {
    json_t *array = json_array();
    for (size_t i = 0; i < list->n; i++) {
        (void)json_array_append_new(array, json_string(list->items[i]));
    }
    return array;
}

static void set_list(json_t *object, const char *name, const struct address_list *list) {
    if (list->n > 0) {
        (void)json_object_set_new(object, name, list_of(list));
    }
}

static json_t *contact_object(const struct contact *contact) {
    json_t *object = json_object();
    view_text(object, "channel", channel_traits(contact->channel)->name);
    view_text(object, "address", contact->address);
    view_text(object, "status", contact_status_name(contact->status));
    view_time(object, "verified_at", contact->verified_at_ms);
    view_time(object, "changed_at", contact->changed_at_ms);
    view_text(object, "gateway", contact->gateway);
    view_text(object, "previous_address", contact->previous_address);
    view_flag(object, "vanished", contact->vanished);
    set_list(object, "depends_on", &contact->depends_on);
    set_list(object, "forwards_to", &contact->forwards_to);
    return object;
}

static json_t *customer_object(const struct book_entry *entry) {
    const struct customer *customer = &entry->customer;
    json_t *object = json_object();
    view_text(object, "id", customer->id);
    view_text(object, "name", customer->name);
    view_text(object, "locale", customer->locale);
    view_text(object, "time_zone", customer->time_zone);
    set_list(object, "accounts", &customer->accounts);
    if (entry->attributes != NULL) {
        (void)json_object_set_new(object, "attributes", json_loads(entry->attributes, 0, NULL));
    }
    json_t *contacts = json_array();
    for (size_t i = 0; i < customer->n_contacts; i++) {
        (void)json_array_append_new(contacts, contact_object(&customer->contacts[i]));
    }
    (void)json_object_set_new(object, "contacts", contacts);
    return object;
}

/* ---- CSV ---------------------------------------------------------------------------------------------------------------- */

static const char *const person_columns[] = {"id", "name", "locale", "time_zone", "accounts"};
static const char *const contact_columns[] = {"channel", "address",    "status",      "verified_at",      "changed_at",
                                              "gateway", "depends_on", "forwards_to", "previous_address", "vanished"};
enum { PERSON_COLUMNS = 5, CONTACT_COLUMNS = 10 };

/* A member as a field: text as it is, a list with blanks between. */
static void put_field(FILE *out, const json_t *object, const char *name, bool first) {
    const json_t *value = json_object_get(object, name);
    struct buf text = BUF_INIT;
    (void)fputs(first ? "" : ",", out);
    if (json_is_string(value)) {
        buf_puts(&text, json_string_value(value));
    } else if (json_is_true(value)) {
        buf_puts(&text, "true");
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        buf_putf(&text, "%s%s", i == 0 ? "" : " ", json_string_value(json_array_get(value, i)));
    }
    if (text.len > 0) {
        (void)csv_fwrite(out, text.data, text.len);
    }
    buf_fini(&text);
}

static void put_header(FILE *out) {
    for (size_t i = 0; i < PERSON_COLUMNS; i++) {
        (void)fprintf(out, "%s%s", i == 0 ? "" : ",", person_columns[i]);
    }
    for (size_t i = 0; i < CONTACT_COLUMNS; i++) {
        (void)fprintf(out, ",%s", contact_columns[i]);
    }
    (void)fputs("\r\n", out);
}

static void put_rows(FILE *out, const json_t *customer) {
    const json_t *contacts = json_object_get(customer, "contacts");
    size_t n = json_array_size(contacts);
    for (size_t r = 0; r < (n == 0 ? 1 : n); r++) {
        const json_t *contact = json_array_get(contacts, r);
        for (size_t i = 0; i < PERSON_COLUMNS; i++) {
            put_field(out, customer, person_columns[i], i == 0);
        }
        for (size_t i = 0; i < CONTACT_COLUMNS; i++) {
            put_field(out, contact, contact_columns[i], false);
        }
        (void)fputs("\r\n", out);
    }
}

/* ---- the book ----------------------------------------------------------------------------------------------------------- */

static int put_customer(void *ctx, const char *id, const char *text, size_t len) {
    struct export *export = ctx;
    struct book_entry entry;
    arena_reset(&export->arena);
    if (book_unpack(text, len, id, &export->arena, &entry, export->err) < 0) {
        (void)err_prefix(export->err, id);
        export->failed = true;
        return 1;
    }
    json_t *object = customer_object(&entry);
    if (export->is_csv) {
        put_rows(export->out, object);
    } else {
        (void)json_dumpf(object, export->out, JSON_COMPACT);
        (void)putc('\n', export->out);
    }
    json_decref(object);
    export->n++;
    return ferror(export->out) != 0 ? 1 : 0;
}

static int write_book(struct ctl *ctl, struct export *export, struct err *err) {
    struct store *store = ctl_store(ctl, err);
    if (store == NULL) {
        return -1;
    }
    if (export->is_csv) {
        put_header(export->out);
    }
    int result = store_each_customer(store, put_customer, export, err);
    arena_fini(&export->arena);
    return result < 0 || export->failed ? -1 : 0;
}

/* To a file beside the place, then there. */
static int write_file(struct ctl *ctl, struct export *export, const char *path, struct err *err) {
    char *beside = NULL;
    if (asprintf(&beside, "%s.XXXXXX", path) < 0) {
        return err_no_memory(err);
    }
    int fd = mkostemp(beside, O_CLOEXEC);
    export->out = fd < 0 ? NULL : fdopen(fd, "w");
    int result = export->out == NULL ? err_system(err, path) : write_book(ctl, export, err);
    bool written = export->out != NULL && ferror(export->out) == 0;
    if (export->out != NULL) {
        written = fclose(export->out) == 0 && written;
    }
    if (result == 0 && (!written || rename(beside, path) < 0)) {
        result = err_system(err, path);
    }
    if (result < 0 && fd >= 0) {
        (void)unlink(beside);
    }
    free(beside);
    return result;
}

enum ctl_exit contacts_export_run(struct ctl *ctl, const struct call *call) {
    const char *path = call->arguments[0];
    const char *format = call_value(call, "format");
    size_t len = strlen(path);
    struct err err;
    struct export export = {.out = stdout, .arena = ARENA_INIT, .err = &err};
    if (format != NULL && strcmp(format, "csv") != 0 && strcmp(format, "ndjson") != 0) {
        return ctl_usage("--format: must be ndjson or csv");
    }
    export.is_csv = format != NULL ? strcmp(format, "csv") == 0 : len > 4 && strcmp(path + len - 4, ".csv") == 0;
    int result = strcmp(path, "-") == 0 ? write_book(ctl, &export, &err) : write_file(ctl, &export, path, &err);
    if (result < 0) {
        return ctl_fail(&err);
    }
    ctl_say("%llu customers", (unsigned long long)export.n);
    return CTL_DONE;
}
