/* options: see options.h.
 *
 * A command line is read in two steps by argp. The first takes the options that hold for every command and stops at the first word
 * that is no option: the noun. Noun and verb name a row of the table of commands; the second step reads the rest with the options
 * of that row, and takes the global ones there too, so that `reachctl --json status` and `reachctl status --json` mean the same.
 *
 * Fails: every mistake is told on stderr with the way to the help, and ends with exit code 2. Does not: look at what values mean; a
 * command does that itself. */
#include "cli/options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_REDIS = 0x200, KEY_NO_COLOR, KEY_COMMAND = 0x300 };

static const struct argp_option global_options[] = {
    {"config", 'c', "FILE", 0, "configuration file (default: $REACHD_CONFIG, else " CTL_DEFAULT_CONFIG ")", 0},
    {"redis", KEY_REDIS, "ADDRESS", 0, "Redis to talk to: unix:/path or host:port", 0},
    {"json", 'j', NULL, 0, "print JSON", 0},
    {"no-color", KEY_NO_COLOR, NULL, 0, "no colours (also: NO_COLOR in the environment)", 0},
    {"yes", 'y', NULL, 0, "do not ask before doing something that cannot be undone", 0},
    {0},
};

static error_t parse_global(int key, char *arg, struct argp_state *state) {
    struct ctl_globals *globals = state->input;
    switch (key) {
    case 'c': globals->config = arg; return 0;
    case KEY_REDIS: globals->redis = arg; return 0;
    case 'j': globals->json = true; return 0;
    case KEY_NO_COLOR: globals->no_color = true; return 0;
    case 'y': globals->yes = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp global_argp = {.options = global_options, .parser = parse_global};

/* Puts `text` in lines of at most `width` characters, each after the first behind `indent` blanks. */
static void put_wrapped(struct buf *out, const char *text, int indent, size_t width) {
    while (strlen(text) > width) {
        size_t cut = width;
        while (cut > 0 && text[cut] != ' ') {
            cut--;
        }
        cut = cut == 0 ? width : cut;
        buf_putf(out, "%.*s\n%*s", (int)cut, text, indent, "");
        text += cut + (text[cut] == ' ' ? 1 : 0);
    }
    buf_putf(out, "%s\n", text);
}

void options_list_commands(struct buf *out) {
    enum { LEFT = 30, RIGHT = 78 - LEFT };
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        char name[64];
        char left[96];
        (void)snprintf(left, sizeof left, "  %s %s", command_name(command, name, sizeof name), command->arguments);
        buf_putf(out, "%-*s", LEFT, left);
        if (strlen(left) >= LEFT) {
            buf_putf(out, "\n%*s", LEFT, "");
        }
        put_wrapped(out, command->help, LEFT, RIGHT);
    }
}

/* ---- step one: up to the noun ------------------------------------------------------------------------------------------- */
struct first_step {
    struct ctl_globals *globals;
    int noun_at; /* index in argv; 0: there is none */
};

static error_t parse_first(int key, char *arg, struct argp_state *state) {
    struct first_step *first = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = first->globals; return 0;
    case ARGP_KEY_ARG:
        first->noun_at = state->next - 1;
        state->next = state->argc;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* argp wants the text it may free; a list that could not be made is left out. */
static char *first_help(int key, const char *text, void *input) {
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)(uintptr_t)text;
    }
    struct buf out = BUF_INIT;
    buf_puts(&out, "Commands:\n");
    options_list_commands(&out);
    buf_puts(&out, "\n`reachctl NOUN VERB --help' tells more about one. Exit codes: 0 done, 1 failed, 2 usage, 3 someone would be "
                   "stranded, 4 not cleared, 5 cannot reach Redis.");
    return buf_take(&out);
}

/* Index of the noun in argv, or -1 after having told what is wrong. */
static int find_noun(int argc, char **argv, struct ctl_globals *globals) {
    static const struct argp_child children[] = {{&global_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {.parser = parse_first,
                                     .args_doc = "NOUN [VERB] [ARGUMENT...]",
                                     .doc = "The operator's side of reachd: who is told, who is not, and why.\v",
                                     .children = children,
                                     .help_filter = first_help};
    struct first_step first = {.globals = globals};
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first) != 0) {
        return -1;
    }
    if (first.noun_at == 0) {
        struct buf list = BUF_INIT;
        options_list_commands(&list);
        (void)fprintf(stderr, "Usage: reachctl [OPTION...] NOUN [VERB] [ARGUMENT...]\n%s", buf_str(&list) == NULL ? "" : buf_str(&list));
        buf_fini(&list);
        return -1;
    }
    return first.noun_at;
}

/* ---- step two: one command ---------------------------------------------------------------------------------------------- */
struct second_step {
    struct parsed *parsed;
};

static error_t parse_second(int key, char *arg, struct argp_state *state) {
    struct second_step *second = state->input;
    struct call *call = &second->parsed->call;
    const struct command *command = call->command;
    if (key >= KEY_COMMAND && key < KEY_COMMAND + COMMAND_OPTIONS_MAX) {
        call->values[key - KEY_COMMAND] = arg == NULL ? "" : arg;
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &second->parsed->globals; return 0;
    case ARGP_KEY_ARG:
        if (command->max_arguments >= 0 && call->n_arguments >= (size_t)command->max_arguments) {
            argp_error(state, "one argument too many: %s", arg);
            return EINVAL;
        }
        second->parsed->arguments[call->n_arguments++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (call->n_arguments < (size_t)command->min_arguments) {
            argp_error(state, "%s is missing", command->arguments);
            return EINVAL;
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void build_options(const struct command *command, struct argp_option options[COMMAND_OPTIONS_MAX + 1]) {
    for (int i = 0; command->options[i].name != NULL; i++) {
        const struct command_option *option = &command->options[i];
        options[i] = (struct argp_option){option->name, KEY_COMMAND + i, option->value, 0, option->help, 0};
    }
}

static enum ctl_exit parse_command(int argc, char **argv, struct parsed *parsed) {
    static const struct argp_child children[] = {{&global_argp, 0, "Options of every command:", 1}, {0}};
    struct argp_option options[COMMAND_OPTIONS_MAX + 1] = {{0}};
    build_options(parsed->call.command, options);
    char name[64];
    char called[96]; /* what argp calls the program in messages */
    (void)snprintf(called, sizeof called, "reachctl %s", command_name(parsed->call.command, name, sizeof name));
    argv[0] = called;
    struct second_step second = {.parsed = parsed};
    const struct argp argp = {.options = options[0].name == NULL ? NULL : options, /* glibc loses memory over an empty list */
                              .parser = parse_second,
                              .args_doc = parsed->call.command->arguments,
                              .doc = parsed->call.command->help,
                              .children = children};
    parsed->arguments = calloc((size_t)argc + 1, sizeof *parsed->arguments);
    if (parsed->arguments == NULL) {
        ctl_say("out of memory");
        return CTL_FAILED;
    }
    parsed->call.arguments = parsed->arguments;
    return argp_parse(&argp, argc, argv, 0, NULL, &second) == 0 ? CTL_DONE : CTL_USAGE;
}

/* Tells which verbs the noun has, or that there is no such noun. */
static enum ctl_exit unknown_command(const char *noun, const char *verb) {
    if (command_has_noun(noun) == 0) {
        return ctl_usage("there is no command \"%s\"; `reachctl --help' lists them", noun);
    }
    struct buf verbs = BUF_INIT;
    for (size_t i = 0; i < command_table_size; i++) {
        if (strcmp(command_table[i].noun, noun) == 0) {
            buf_putf(&verbs, "%s%s", verbs.len == 0 ? "" : ", ", command_table[i].verb);
        }
    }
    const char *list = buf_str(&verbs) == NULL ? "" : buf_str(&verbs);
    enum ctl_exit code = verb == NULL || verb[0] == '-' ? ctl_usage("\"%s\" needs a verb: %s", noun, list)
                                                        : ctl_usage("\"%s\" has no verb \"%s\"; it has: %s", noun, verb, list);
    buf_fini(&verbs);
    return code;
}

static void print_version(FILE *stream, struct argp_state *state) {
    (void)state;
    (void)fprintf(stream, "reachctl %s\n", REACHD_VERSION);
}

enum ctl_exit options_parse(int argc, char **argv, struct parsed *parsed) {
    argp_err_exit_status = CTL_USAGE;
    argp_program_version_hook = print_version;
    *parsed = (struct parsed){0};
    int at = find_noun(argc, argv, &parsed->globals);
    if (at < 0) {
        return CTL_USAGE;
    }
    const char *verb = at + 1 < argc ? argv[at + 1] : NULL;
    parsed->call.command = command_find(argv[at], verb);
    if (parsed->call.command == NULL) {
        return unknown_command(argv[at], verb);
    }
    int skip = parsed->call.command->verb == NULL ? at : at + 1;
    char *word = argv[skip];
    enum ctl_exit code = parse_command(argc - skip, argv + skip, parsed); /* puts the program's name in the word's place */
    argv[skip] = word;
    return code;
}

void parsed_fini(struct parsed *parsed) {
    free(parsed->arguments);
    *parsed = (struct parsed){0};
}
