/* csv_customers: customers out of a CSV file (RFC 4180), as objects of the contact book's form.
 *
 * The first row names the columns: id, name, locale, time_zone, accounts, attributes.<name>; and the contact points either one a
 * row (channel, address, status, verified_at, changed_at, gateway, depends_on, forwards_to, previous_address, vanished), where all
 * rows of a customer follow one another, or side by side in columns called like channels (email, sms, push, banner), which may
 * stand several times. Lists (accounts, depends_on, forwards_to) are separated by blanks. An empty field says nothing. */
#ifndef REACH_CLI_CSV_CUSTOMERS_H
#define REACH_CLI_CSV_CUSTOMERS_H

#include "base/err.h"
#include "cli/lines.h"

#include <csv.h>
#include <jansson.h>

enum { CSV_COLUMNS_MAX = 64 };

struct csv_customers {
    struct csv_parser parser;
    bool has_parser;
    char *header[CSV_COLUMNS_MAX]; /* owned */
    size_t n_columns;
    char *fields[CSV_COLUMNS_MAX]; /* of the row being read; owned */
    size_t n_fields;
    bool too_many;
    bool row_done;
    uint64_t row_line;      /* where the row began */
    json_t *customer;       /* being put together; owned */
    uint64_t customer_line; /* where its first row began */
    struct err fault;       /* what is wrong with one of its rows */
};

/* 0, or -1 (no memory). */
int csv_customers_init(struct csv_customers *csv, struct err *err);
void csv_customers_fini(struct csv_customers *csv);

/* One customer that is complete. */
struct csv_customer {
    json_t *object; /* owned by the receiver; NULL: a row of this customer has a fault, see `fault` */
    uint64_t line;  /* of the first row */
    struct err fault;
};

/* Takes the next physical line, number `number` of the file. 1 where that completed the customer before it (*done_r), 0 where not, -1
 * with *err where the header is unusable. */
int csv_customers_line(struct csv_customers *csv, const struct line *line, uint64_t number, struct csv_customer *done_r, struct err *err);

/* No more lines: the last customer. 1, 0 there is none. */
int csv_customers_end(struct csv_customers *csv, struct csv_customer *done_r);

#endif
