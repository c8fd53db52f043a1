/* command: one Redis command in wire form (RESP arrays of bulk strings), built argument by argument.
 *
 * Every argument carries its length, so no content can end it early or start another one. The finished bytes are kept until the
 * command is answered, so that it can be sent again as it was. */
#ifndef REACH_QUEUE_COMMAND_H
#define REACH_QUEUE_COMMAND_H

#include "base/buf.h"

struct command {
    struct buf bytes; /* begins with room for the header */
    size_t n_args;
    size_t start; /* where the finished command begins in bytes.data */
};

/* Starts a command with its name. Needs command_fini in any case. */
void command_init(struct command *command, const char *name);
void command_fini(struct command *command);

void command_put(struct command *command, const void *data, size_t len);
void command_puts(struct command *command, const char *text);
void command_put_i64(struct command *command, int64_t value);

/* Writes the header. 0, or -1 where an allocation failed on the way. Nothing may be put after it. */
int command_end(struct command *command);

const char *command_data(const struct command *command);
size_t command_len(const struct command *command);

#endif
