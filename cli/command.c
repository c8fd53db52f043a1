/* command: see command.h.
 *
 * A new command is one row here and one handler in the file of its noun. Nothing else knows the commands: options.c builds argp's
 * tables, the help and the usage errors from the rows, complete.c the shell completion and the manual's list.
 *
 * Does not: parse or print. */
#include "cli/command.h"

#include "cli/commands.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const struct command command_table[] = {
    {"status",
     NULL,
     "",
     0,
     0,
     "what is in flight, per lane, channel and gateway; unaccounted",
     status_run,
     {{"watch", NULL, "print again every second until interrupted"},
      {"until-idle", NULL, "with --watch: stop when nothing is in flight or waiting"}}},
    {"push",
     NULL,
     "FILE|-",
     1,
     1,
     "put jobs (NDJSON) on the queue, validated first",
     push_run,
     {{"bulk", NULL, "into the bulk lane (short for --lane bulk)"},
      {"lane", "LANE", "into this lane: urgent (default) or bulk"},
      {"partial", NULL, "push the good lines even where others are bad"}}},
    {"notice", "show", "ID", 1, 1, "one notice: its state and whole timeline", notice_show_run, {{0}}},
    {"notice",
     "list",
     "",
     0,
     0,
     "notices in one state",
     notice_list_run,
     {{"state", "STATE", "accepted, planned, sending, sent, ..., stranded, reached"}, {"limit", "N", "stop after N notices"}}},
    {"customer", "show", "ID", 1, 1, "contact points with the verdict for each and why, notices, holds", customer_show_run, {{0}}},
    {"stranded",
     NULL,
     "",
     0,
     0,
     "who cannot be reached, with the reason",
     stranded_run,
     {{"campaign", "ID", "only those of this campaign"}, {"all", NULL, "also those already handed to the desk"}}},
    {"desk", "list", "", 0, 0, "the human worklist, oldest first", desk_list_run, {{"state", "STATE", "only open, claimed or done cases"}}},
    {"clearance",
     "check",
     "ACCOUNT...",
     0,
     -1,
     "may these accounts be disabled? exit 0 only if every one is cleared, else 4",
     clearance_check_run,
     {{"stdin", NULL, "read accounts from standard input, one a line"}}},
    {"dead", "list", "", 0, 0, "jobs that could not be used, newest first", dead_list_run, {{"limit", "N", "stop after N (default 100)"}}},
    {"dead", "show", "ID", 1, 1, "one dead letter whole, with the reason", dead_show_run, {{0}}},
    {"template", "lint", "[DIR]", 0, 1, "check every message; exit 1 where one must not go live", template_lint_run, {{0}}},
    {"template",
     "render",
     "NOTICE",
     1,
     1,
     "the exact text that a customer would get",
     template_render_run,
     {{"locale", "LOCALE", "the customer's locale (default: the set's)"},
      {"channel", "CHANNEL", "email (default), sms, push or banner"},
      {"data", "FILE", "JSON object with the values that the job would carry"},
      {"part", "PART", "e-mail: text (default) or html"}}},
    {"gateway", "list", "", 0, 0, "the configured gateways", gateway_list_run, {{0}}},
    {"doctor", NULL, "", 0, 0, "check configuration, Redis, templates and gateways", doctor_run, {{0}}},
};

const size_t command_table_size = sizeof command_table / sizeof command_table[0];

const struct command *command_find(const char *noun, const char *verb) {
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        if (strcmp(command->noun, noun) == 0 && (command->verb == NULL || (verb != NULL && strcmp(command->verb, verb) == 0))) {
            return command;
        }
    }
    return NULL;
}

int command_has_noun(const char *noun) {
    for (size_t i = 0; i < command_table_size; i++) {
        if (strcmp(command_table[i].noun, noun) == 0) {
            return 1;
        }
    }
    return 0;
}

const char *command_name(const struct command *command, char *out, size_t cap) {
    (void)snprintf(out, cap, "%s%s%s", command->noun, command->verb == NULL ? "" : " ", command->verb == NULL ? "" : command->verb);
    return out;
}

const char *call_value(const struct call *call, const char *option) {
    for (size_t i = 0; i < COMMAND_OPTIONS_MAX && call->command->options[i].name != NULL; i++) {
        if (strcmp(call->command->options[i].name, option) == 0) {
            return call->values[i];
        }
    }
    assert(!"the command has no such option");
    return NULL;
}

bool call_given(const struct call *call, const char *option) {
    return call_value(call, option) != NULL;
}
