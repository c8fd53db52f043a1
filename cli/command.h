/* command: the one table of reachctl's commands. Parsing, help, shell completion and the manual are made from it. */
#ifndef REACH_CLI_COMMAND_H
#define REACH_CLI_COMMAND_H

#include "cli/ctl.h"

#include <stddef.h>

enum { COMMAND_OPTIONS_MAX = 8 };

/* One option of one command. */
struct command_option {
    const char *name;  /* long name without the dashes; NULL ends the list */
    const char *value; /* what stands for its value in the help ("FILE"); NULL: a switch */
    const char *help;  /* one line, no full stop */
};

struct call;

struct command {
    const char *noun;
    const char *verb;      /* NULL: the noun is the whole command */
    const char *arguments; /* as the help writes them ("ID", "ACCOUNT..."), or "" */
    int min_arguments;
    int max_arguments; /* -1: as many as there are */
    const char *help;  /* one line, no full stop */
    /* Does it. Data on stdout, talk on stderr. */
    enum ctl_exit (*run)(struct ctl *ctl, const struct call *call);
    const struct command_option *options; /* at most COMMAND_OPTIONS_MAX, ended by a row without name */
};

/* One call of a command: what stood on the command line, borrowed from argv. */
struct call {
    const struct command *command;
    const char *const *arguments;
    size_t n_arguments;
    const char *values[COMMAND_OPTIONS_MAX]; /* by option; NULL: not given; a switch that was given has "" */
};

/* All commands, in the order the help lists them. */
extern const struct command command_table[];
extern const size_t command_table_size;

/* The command of that noun and verb (`verb` NULL or anything where the noun has none), or NULL. */
const struct command *command_find(const char *noun, const char *verb);

/* 1 where some command has this noun, else 0. */
int command_has_noun(const char *noun);

/* "notice show" into out; returns out. */
const char *command_name(const struct command *command, char *out, size_t cap);

/* The value of an option of this call, "" for a given switch, NULL where it was not given. Asserts that the command has the option. */
const char *call_value(const struct call *call, const char *option);
bool call_given(const struct call *call, const char *option);

#endif
