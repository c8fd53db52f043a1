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

static const struct command_option none[] = {{0}};

static const struct command_option status_options[] = {{"watch", NULL, "print again every second until interrupted"},
                                                       {"until-idle", NULL, "with --watch: stop when nothing is in flight or waiting"},
                                                       {0}};
static const struct command_option push_options[] = {{"bulk", NULL, "into the bulk lane (short for --lane bulk)"},
                                                     {"lane", "urgent|bulk", "into this lane (default: urgent)"},
                                                     {"partial", NULL, "push the good lines even where others are bad"},
                                                     {0}};
static const struct command_option notice_list_options[] = {
    {"state", "STATE", "accepted, planned, sending, sent, ..., stranded, reached"},
    {"unknown", NULL, "only those with an attempt that may or may not have gone out"},
    {"limit", "N", "stop after N notices"},
    {0}};
static const struct command_option stranded_options[] = {
    {"campaign", "ID", "only those of this campaign"}, {"all", NULL, "also those already handed to the desk"}, {0}};
static const struct command_option desk_list_options[] = {{"state", "open|claimed|done", "only such cases"}, {0}};
static const struct command_option desk_claim_options[] = {{"as", "NAME", "who you are (default: your login name)"}, {0}};
static const struct command_option desk_done_options[] = {{"as", "NAME", "who you are (default: your login name)"},
                                                          {"note", "TEXT", "what was done, for the record"},
                                                          {"reached", NULL, "the customer was told: record it as acknowledged"},
                                                          {0}};
static const struct command_option order_options[] = {{"reason", "TEXT", "why, for the others to see"}, {0}};
static const struct command_option check_options[] = {{"stdin", NULL, "read them from standard input, one a line"}, {0}};
static const struct command_option dead_list_options[] = {{"limit", "N", "stop after N (default 100; 0: all)"}, {0}};
static const struct command_option serve_options[] = {{"port", "PORT", "on this port (default: a free one)"}, {0}};
static const struct command_option publish_options[] = {{"kept", "VERSION", "publish a version that the archive has kept"}, {0}};
static const struct command_option preview_options[] = {
    {"locale", "LOCALE", "in this language (default: the set's)"}, {"in-force", NULL, "as after the change, and not before it"}, {0}};
static const struct command_option render_options[] = {{"locale", "LOCALE", "the customer's locale (default: the set's)"},
                                                       {"channel", "CHANNEL", "email (default), sms, push or banner"},
                                                       {"data", "FILE", "JSON object with the values that the job would carry"},
                                                       {"part", "text|html", "of an e-mail (default: text; of a sent one: the whole mail)"},
                                                       {"sent", NULL, "NOTICE is the id of a notice, also where a template has that name"},
                                                       {"reset-key", "FILE", "of a sent one: the file with the key that signed its link"},
                                                       {0}};

static const struct command_option preflight_options[] = {
    {"contacts", "FILE", "customers from this file (NDJSON) and not the contact book"},
    {"html", "OUT", "also write the report as one self-contained page"},
    {0}};

static const struct command_option import_options[] = {{"complete", NULL, "the file lists all customers: mark those it does not list"},
                                                       {"format", "ndjson|csv", "how it is written (default: by the file's name)"},
                                                       {"rejects", "OUT", "what could not be used goes here (default: FILE.rejects)"},
                                                       {"resume", NULL, "go on with an import that was interrupted"},
                                                       {0}};
static const struct command_option export_options[] = {{"format", "ndjson|csv", "how it is written (default: by the file's name)"}, {0}};

static const struct command_option bounce_options[] = {{"recipient", "ADDRESS", "where the mail came to (default: as its header says)"},
                                                       {"maildir", "DIR", "every mail in DIR/new and not the one on stdin"},
                                                       {"pipe", NULL, "for a mail system: refused is 0, Redis away is 75"},
                                                       {0}};

const struct command command_table[] = {
    {"status", NULL, "", 0, 0, "what is in flight, per lane, channel and gateway; unaccounted", status_run, status_options},
    {"push", NULL, "FILE|-", 1, 1, "put jobs (NDJSON) on the queue, validated first", push_run, push_options},
    {"preflight", NULL, "JOB", 1, 1, "who would be stranded by a change; exit 3 if anyone is", preflight_run, preflight_options},
    {"notice", "show", "ID", 1, 1, "one notice: its state and whole timeline", notice_show_run, none},
    {"notice", "list", "", 0, 0, "notices, all or in one state", notice_list_run, notice_list_options},
    {"customer", "show", "ID", 1, 1, "contact points with the verdict for each and why, notices, holds", customer_show_run, none},
    {"stranded", NULL, "", 0, 0, "who cannot be reached, with the reason", stranded_run, stranded_options},
    {"desk", "list", "", 0, 0, "the human worklist, oldest first", desk_list_run, desk_list_options},
    {"desk", "claim", "NOTICE", 1, 1, "take a case: the others see whose it is", desk_claim_run, desk_claim_options},
    {"desk", "done", "NOTICE", 1, 1, "close a case; with --reached the customer was told", desk_done_run, desk_done_options},
    {"clearance", "check", "ACCOUNT...", 0, -1, "exit 0 only if every account may be disabled, else 4", clearance_check_run, check_options},
    {"release", "check", "CUSTOMER...", 0, -1, "exit 0 only if all their contact data may be deleted, else 4", release_check_run,
     check_options},
    {"contacts", "import", "FILE", 1, 1, "customers into the contact book; never deletes", contacts_import_run, import_options},
    {"contacts", "export", "FILE|-", 1, 1, "the contact book as a file", contacts_export_run, export_options},
    {"receipt", "bounce", "", 0, 0, "a mail that came back, on stdin: what it says goes to the receipts", receipt_bounce_run,
     bounce_options},
    {"dead", "list", "", 0, 0, "jobs that could not be used, newest first", dead_list_run, dead_list_options},
    {"dead", "show", "ID", 1, 1, "one dead letter whole, with the reason", dead_show_run, none},
    {"template", "lint", "[DIR]", 0, 1, "check every message; exit 1 where one must not go live", template_lint_run, none},
    {"template", "list", "[DIR]", 0, 1, "notices, their locales, and where each version of the words is in use", template_list_run, none},
    {"template", "render", "NOTICE|ID", 1, 1, "the exact text that a customer would get, or, for an id, the exact bytes that were sent",
     template_render_run, render_options},
    {"template", "preview", "NOTICE", 1, 1, "every channel of a notice, made with its examples", template_preview_run, preview_options},
    {"template", "publish", "[DIR]", 0, 1, "check a whole set and make it the one that reachd sends", template_publish_run,
     publish_options},
    {"template", "serve", "[DIR]", 0, 1, "a page on loopback that shows the messages while they are written", template_serve_run,
     serve_options},
    {"template", "check-mustache", "FILE", 1, 1, "run a case file of the Mustache specification", template_mustache_run, none},
    {"gateway", "list", "", 0, 0, "the configured gateways, and how they are", gateway_list_run, none},
    {"gateway", "drain", "GATEWAY", 1, 1, "send nothing more there; what is under way is finished", gateway_drain_run, order_options},
    {"gateway", "enable", "GATEWAY", 1, 1, "put it back, or close its breaker, with its whole weight", gateway_enable_run, order_options},
    {"gateway", "open", "GATEWAY", 1, 1, "open its breaker: nothing goes there until it is tried again", gateway_open_run, order_options},
    {"gateway", "lint", "[FILE...]", 0, -1, "check description files, or all gateways of the configuration with their secrets",
     gateway_lint_run, none},
    {"gateway", "schema", "", 0, 0, "the JSON Schema of description files, for editors", gateway_schema_run, none},
    {"gateway", "test", "GATEWAY ADDRESS", 2, 2, "send one test message", gateway_test_run, none},
    {"doctor", NULL, "", 0, 0, "check configuration, Redis, templates and gateways", doctor_run, none},
    {"completion", "bash", "", 0, 0, "a script that completes command lines; source it", completion_bash_run, none},
    {"manual", NULL, "", 0, 0, "the list of commands as reachctl(1) has it, for scdoc", manual_run, none},
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
    for (size_t i = 0; call->command->options[i].name != NULL; i++) {
        if (strcmp(call->command->options[i].name, option) == 0) {
            return call->values[i];
        }
    }
    assert(0 && "the command has no such option");
    return NULL;
}

bool call_given(const struct call *call, const char *option) {
    return call_value(call, option) != NULL;
}
