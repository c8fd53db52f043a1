/* options: from argv to a call of a command, and every text that is made from the table of commands. */
#ifndef REACH_CLI_OPTIONS_H
#define REACH_CLI_OPTIONS_H

#include "base/buf.h"
#include "cli/command.h"

struct parsed {
    struct ctl_globals globals;
    struct call call;
    const char **arguments; /* owned: call.arguments points here */
};

/* Reads the command line. CTL_DONE and *parsed (finish it with parsed_fini()), or CTL_USAGE after having told on stderr what is wrong.
 * --help, --usage and --version print and exit(3) with 0, as argp does; wrong options exit(3) with 2. */
enum ctl_exit options_parse(int argc, char **argv, struct parsed *parsed);
void parsed_fini(struct parsed *parsed);

/* The list of all commands, two columns, at most 79 characters wide. */
void options_list_commands(struct buf *out);

#endif
