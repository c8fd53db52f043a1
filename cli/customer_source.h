/* customer_source: the customers of an audience, one after the other, out of a file or out of the contact book. */
#ifndef REACH_CLI_CUSTOMER_SOURCE_H
#define REACH_CLI_CUSTOMER_SOURCE_H

#include "cli/change.h"
#include "cli/ctl.h"

#include <sys/types.h>

struct customer_source {
    struct ctl *ctl;
    const struct change *change;
    const char *path;    /* of the contacts file; NULL: the contact book */
    const char *id_file; /* of an audience that a file lists; NULL: none */
    int fd;
    off_t size;
    bool can_rewind; /* the file can be read twice */

    /* One customer, borrowed during the call. 0; -1 with *err where this one cannot be used (told through trouble(), and not the end), or
     * where nothing can go on (ERR_MEMORY, ERR_SYSTEM: the end). */
    int (*each)(void *ctx, const struct customer *customer, struct err *err);
    /* What cannot be used: where it stands (a line's number or a customer's id), in which source, and why. */
    void (*trouble)(void *ctx, const char *source, const char *where, const struct err *err);
    void *ctx;
};

/* Opens the file. `path` as above, `job_path` the file that the change came from (an audience's file is looked for beside it). Everything
 * is borrowed; the caller fills each, trouble and ctx. 0, or -1 with *err; customer_source_fini() in any case. */
int customer_source_init(struct customer_source *source, struct ctl *ctl, const struct change *change, const char *path,
                         const char *job_path, struct err *err);
void customer_source_fini(struct customer_source *source);

/* The texts that a preflight holds at once, in bytes; a set of them takes at most twice that (text_set.h). */
enum { PREFLIGHT_TEXT_BYTES = 32 * 1024 * 1024 };

/* Calls each() for everybody in the audience, in no order. Once each, but for a customer whom the file has twice, and one whom Redis hands
 * out twice while the contact book grows. Memory does not grow with the number of customers. Can be called again for a file that can be
 * read twice. 0, or -1 with *err. */
int customer_source_each(struct customer_source *source, struct err *err);

/* "contact book" or the file's name. */
const char *customer_source_name(const struct customer_source *source);

#endif
