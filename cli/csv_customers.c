/* csv_customers: see csv_customers.h.
 *
 * libcsv takes care of quotes and line ends; here rows become the same JSON objects that a line of NDJSON holds, so that one strict
 * reader (job_read_customer) judges both and a fault is named alike.
 *
 * Guarantees: a column that is not known is refused by name, before anything is imported. A customer one of whose rows has a fault
 * is given out as faulty as a whole: half of somebody's contact points would look as if the others had vanished.
 *
 * Fails: a row that breaks the rules of CSV spoils the customer it is met in and the row itself; reading goes on behind it.
 * Does not: check addresses, or collect rows of a customer that are scattered over the file. */
#include "cli/csv_customers.h"

#include "base/notice.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static const char *const person_columns[] = {"id", "name", "locale", "time_zone"};
static const char *const contact_columns[] = {"channel", "address", "status", "verified_at", "changed_at", "gateway", "previous_address"};
static const char *const contact_lists[] = {"depends_on", "forwards_to"};
static const char attribute_prefix[] = "attributes.";

#define COUNT(list) (sizeof(list) / sizeof *(list))

static bool is_one_of(const char *name, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

int csv_customers_init(struct csv_customers *csv, struct err *err) {
    memset(csv, 0, sizeof *csv);
    csv->has_parser = csv_init(&csv->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) == 0;
    return csv->has_parser ? 0 : err_no_memory(err);
}

static void drop_fields(char **fields, size_t *n) {
    for (size_t i = 0; i < *n; i++) {
        free(fields[i]);
    }
    *n = 0;
}

void csv_customers_fini(struct csv_customers *csv) {
    drop_fields(csv->header, &csv->n_columns);
    drop_fields(csv->fields, &csv->n_fields);
    json_decref(csv->customer);
    if (csv->has_parser) {
        csv_free(&csv->parser);
    }
    memset(csv, 0, sizeof *csv);
}

/* ---- libcsv's callbacks ------------------------------------------------------------------------------------------------- */

static void on_field(void *text, size_t len, void *ctx) {
    struct csv_customers *csv = ctx;
    char *copy = csv->n_fields < CSV_COLUMNS_MAX ? strndup(text, len) : NULL;
    if (copy == NULL) {
        csv->too_many = true;
        return;
    }
    csv->fields[csv->n_fields++] = copy;
}

static void on_row(int c, void *ctx) {
    (void)c;
    ((struct csv_customers *)ctx)->row_done = true;
}

/* ---- header ------------------------------------------------------------------------------------------------------------- */

static bool is_column(const char *name) {
    enum channel_id channel;
    return is_one_of(name, person_columns, COUNT(person_columns)) || is_one_of(name, contact_columns, COUNT(contact_columns)) ||
           is_one_of(name, contact_lists, COUNT(contact_lists)) || strcmp(name, "accounts") == 0 || strcmp(name, "vanished") == 0 ||
           (strncmp(name, attribute_prefix, sizeof attribute_prefix - 1) == 0 && name[sizeof attribute_prefix - 1] != '\0') ||
           channel_find(name, &channel) == 1;
}

static int take_header(struct csv_customers *csv, struct err *err) {
    bool has_id = false;
    static const char bom[] = "\xef\xbb\xbf"; /* spreadsheets begin with it */
    if (csv->n_fields > 0 && strncmp(csv->fields[0], bom, sizeof bom - 1) == 0) {
        memmove(csv->fields[0], csv->fields[0] + sizeof bom - 1, strlen(csv->fields[0]) - (sizeof bom - 1) + 1);
    }
    for (size_t i = 0; i < csv->n_fields; i++) {
        if (!is_column(csv->fields[i])) {
            return err_member(err, csv->fields[i], "is no column that is known here (see reachctl(1), CONTACT FILES)");
        }
        has_id = has_id || strcmp(csv->fields[i], "id") == 0;
    }
    if (!has_id || csv->too_many) {
        return err_member(err, "id", has_id ? "there are more than %d columns" : "there is no column of this name", CSV_COLUMNS_MAX);
    }
    memcpy(csv->header, csv->fields, sizeof csv->fields);
    csv->n_columns = csv->n_fields;
    csv->n_fields = 0;
    return 0;
}

/* ---- rows --------------------------------------------------------------------------------------------------------------- */

/* A list out of words separated by blanks. New. */
static json_t *split(const char *text) {
    json_t *list = json_array();
    while (*text != '\0') {
        size_t blanks = strspn(text, " ");
        size_t len = strcspn(text + blanks, " ");
        if (len > 0) {
            (void)json_array_append_new(list, json_stringn(text + blanks, len));
        }
        text += blanks + len;
    }
    return list;
}

/* Sets a member that must not have another value already. */
static void set_once(struct csv_customers *csv, json_t *object, const char *name, json_t *value_take) {
    const json_t *old = json_object_get(object, name);
    if (old != NULL && json_equal(old, value_take) == 0) {
        (void)err_member(&csv->fault, name, "differs between two rows of the same customer");
        json_decref(value_take);
    } else {
        (void)json_object_set_new(object, name, value_take);
    }
}

static json_t *attributes_of(json_t *customer) {
    if (json_object_get(customer, "attributes") == NULL) {
        (void)json_object_set_new(customer, "attributes", json_object());
    }
    return json_object_get(customer, "attributes");
}

static void add_contact(json_t *customer, json_t *contact_take) {
    (void)json_array_append_new(json_object_get(customer, "contacts"), contact_take);
}

/* Files one field; `contact` is the contact point that the row describes. */
static void take_field(struct csv_customers *csv, const char *column, const char *value, json_t *contact) {
    enum channel_id channel;
    if (!text_is_utf8(value, strlen(value))) {
        (void)err_member(&csv->fault, column, "is not valid UTF-8");
        return;
    }
    if (is_one_of(column, person_columns, COUNT(person_columns))) {
        set_once(csv, csv->customer, column, json_string(value));
    } else if (strcmp(column, "accounts") == 0) {
        set_once(csv, csv->customer, column, split(value));
    } else if (strncmp(column, attribute_prefix, sizeof attribute_prefix - 1) == 0) {
        set_once(csv, attributes_of(csv->customer), column + sizeof attribute_prefix - 1, json_string(value));
    } else if (channel_find(column, &channel) == 1) {
        add_contact(csv->customer, json_pack("{s:s,s:s}", "channel", column, "address", value));
    } else if (is_one_of(column, contact_lists, COUNT(contact_lists))) {
        set_once(csv, contact, column, split(value));
    } else if (strcmp(column, "vanished") == 0) {
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
            (void)err_member(&csv->fault, column, "must be true or false");
        }
        set_once(csv, contact, column, json_boolean(strcmp(value, "true") == 0));
    } else {
        set_once(csv, contact, column, json_string(value));
    }
}

static const char *row_id(const struct csv_customers *csv) {
    for (size_t i = 0; i < csv->n_columns && i < csv->n_fields; i++) {
        if (strcmp(csv->header[i], "id") == 0) {
            return csv->fields[i];
        }
    }
    return "";
}

static void take_row(struct csv_customers *csv) {
    json_t *contact = json_object();
    if (csv->n_fields != csv->n_columns || csv->too_many) {
        (void)err_set(&csv->fault, ERR_SYNTAX, "the row in line %llu has %zu fields, the header %zu", (unsigned long long)csv->row_line,
                      csv->n_fields, csv->n_columns);
    }
    for (size_t i = 0; i < csv->n_fields && i < csv->n_columns; i++) {
        if (csv->fields[i][0] != '\0') {
            take_field(csv, csv->header[i], csv->fields[i], contact);
        }
    }
    if (json_object_size(contact) > 0) {
        add_contact(csv->customer, json_incref(contact));
    }
    json_decref(contact);
}

/* ---- customers ---------------------------------------------------------------------------------------------------------- */

static int hand_out(struct csv_customers *csv, struct csv_customer *done_r) {
    if (csv->customer == NULL) {
        return 0;
    }
    *done_r = (struct csv_customer){.object = csv->customer, .line = csv->customer_line, .fault = csv->fault};
    if (csv->fault.code != ERR_NONE) {
        json_decref(csv->customer);
        done_r->object = NULL;
    }
    csv->customer = NULL;
    return 1;
}

/* A whole row has been read: the same customer goes on, or the next one begins. */
static int end_row(struct csv_customers *csv, struct csv_customer *done_r) {
    const char *id = row_id(csv);
    const char *current = json_string_value(json_object_get(csv->customer, "id"));
    int completed = 0;
    if (current == NULL || strcmp(current, id) != 0) {
        completed = hand_out(csv, done_r);
        csv->customer = json_object();
        (void)json_object_set_new(csv->customer, "contacts", json_array());
        csv->customer_line = csv->row_line;
        err_clear(&csv->fault);
    }
    take_row(csv);
    return completed;
}

static void forget_row(struct csv_customers *csv) {
    drop_fields(csv->fields, &csv->n_fields);
    csv->row_done = false;
    csv->too_many = false;
    csv->row_line = 0;
}

/* The row breaks the rules of CSV. It is given up; so is the customer before it, because the row may be one of theirs. In its place
 * stands a customer without id, whose fault is told like any other's. */
static int spoil(struct csv_customers *csv, uint64_t number, struct csv_customer *done_r) {
    if (csv->fault.code == ERR_NONE) {
        (void)err_set(&csv->fault, ERR_SYNTAX, "line %llu, which may belong to this customer, is not CSV", (unsigned long long)number);
    }
    int completed = hand_out(csv, done_r);
    csv->customer = json_object();
    csv->customer_line = csv->row_line == 0 ? number : csv->row_line;
    (void)err_set(&csv->fault, ERR_SYNTAX, "line %llu is not CSV: a quote stands where none may", (unsigned long long)number);
    csv_free(&csv->parser);
    csv->has_parser = csv_init(&csv->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) == 0;
    forget_row(csv);
    return completed;
}

int csv_customers_line(struct csv_customers *csv, const struct line *line, uint64_t number, struct csv_customer *done_r, struct err *err) {
    int completed = 0;
    csv->row_line = csv->row_line == 0 ? number : csv->row_line;
    if (line->too_long || csv_parse(&csv->parser, line->text, line->len, on_field, on_row, csv) != line->len ||
        csv_parse(&csv->parser, "\n", 1, on_field, on_row, csv) != 1) {
        if (csv->n_columns == 0) {
            return err_set(err, ERR_SYNTAX, "the first line is not CSV");
        }
        return spoil(csv, number, done_r);
    }
    if (!csv->row_done) {
        csv->row_line = line_is_blank(line) && csv->n_fields == 0 ? 0 : csv->row_line;
        return 0; /* a quoted field goes on in the next line, or the line is empty */
    }
    if (csv->n_columns == 0) {
        completed = take_header(csv, err);
    } else {
        completed = end_row(csv, done_r);
    }
    forget_row(csv);
    return completed;
}

int csv_customers_end(struct csv_customers *csv, struct csv_customer *done_r) {
    bool unfinished = csv->n_fields > 0 || csv_fini(&csv->parser, on_field, on_row, csv) != 0;
    forget_row(csv);
    if (unfinished) {
        csv->customer = csv->customer == NULL ? json_object() : csv->customer;
        (void)err_set(&csv->fault, ERR_SYNTAX, "the file ends inside a quoted field");
    }
    return hand_out(csv, done_r);
}
