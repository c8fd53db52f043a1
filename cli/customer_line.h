/* customer_line: reads one line of a contacts file (contract.md, "Contact book") as fast as the shape allows. */
#ifndef REACH_CLI_CUSTOMER_LINE_H
#define REACH_CLI_CUSTOMER_LINE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/notice.h"

#include <stdint.h>

/* Longest line: 100,000 contact points on one customer fit. */
#define CUSTOMER_LINE_MAX_BYTES (32 * 1024 * 1024)

struct customer_reader {
    void *tokens; /* owned; kept from line to line */
    unsigned n_tokens;
    json_t *document;       /* of the last line that went the slow way; owned */
    const char *attributes; /* JSON text of the last line's attributes, or NULL; in the arena */
    uint64_t n_fast;        /* lines that went the fast way */
    uint64_t n_slow;
};

void customer_reader_init(struct customer_reader *reader);
void customer_reader_fini(struct customer_reader *reader);

/* Reads one line. Everything in *customer lives in `arena` or, until the next call, in the reader. 0, or -1 with *err exactly as
 * json_parse_strict() and job_read_customer() word it. A line that is accepted here is one that those two accept, with the same
 * meaning, but for one thing: addresses are not looked at; reach_decide() does that, and one that cannot be valid costs no other. */
int customer_line_read(struct customer_reader *reader, const char *text, size_t len, struct arena *arena, struct customer *customer,
                       struct err *err);

#endif
