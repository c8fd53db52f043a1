/* completion bash, manual: what else is made from the table of commands.
 *
 * `completion bash` prints a script for bash: nouns, verbs, options, and for the values of options what fits their placeholder. It
 * asks reachctl nothing while somebody types. `manual` prints the COMMANDS section of reachctl(1) in the form of scdoc(5); a test
 * sees to it that the manual in docs/man is what this prints.
 *
 * Does not: read the configuration or connect. */
#include "base/buf.h"
#include "base/notice.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* ---- bash --------------------------------------------------------------------------------------------------------------- */

static bool is_file(const char *placeholder) {
    return strncmp(placeholder, "FILE", 4) == 0 || strcmp(placeholder, "OUT") == 0 || strcmp(placeholder, "JOB") == 0 ||
           strcmp(placeholder, "[DIR]") == 0;
}

/* The words that may stand for a placeholder: "urgent|bulk" names them itself. Nothing where nobody can guess. */
static void put_words(struct buf *out, const char *placeholder) {
    if (strcmp(placeholder, "CHANNEL") == 0) {
        for (int id = 0; id < CHANNEL_COUNT; id++) {
            buf_putf(out, "%s ", channel_traits((enum channel_id)id)->name);
        }
    } else if (strcmp(placeholder, "STATE") == 0) {
        for (int state = 0; state < NOTICE_STATE_COUNT; state++) {
            if (notice_state_held((enum notice_state)state)) {
                buf_putf(out, "%s ", notice_state_name((enum notice_state)state));
            }
        }
    } else if (strchr(placeholder, '|') != NULL) {
        for (const char *p = placeholder; *p != '\0'; p++) {
            buf_putc(out, *p == '|' ? ' ' : *p);
        }
    }
}

static void put_reply(struct buf *out, const char *placeholder) {
    if (is_file(placeholder)) {
        buf_puts(out, "COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
        return;
    }
    buf_puts(out, "COMPREPLY=($(compgen -W '");
    put_words(out, placeholder);
    buf_puts(out, "' -- \"$cur\")); return ;;\n");
}

/* Whether the command is the first of its noun. */
static bool begins_noun(size_t i) {
    return i == 0 || strcmp(command_table[i - 1].noun, command_table[i].noun) != 0;
}

static void put_nouns(struct buf *out) {
    for (size_t i = 0; i < command_table_size; i++) {
        if (begins_noun(i)) {
            buf_putf(out, "%s%s", i == 0 ? "" : " ", command_table[i].noun);
        }
    }
}

/* "notice) verbs='show list';;" for every noun that has verbs. */
static void put_verbs(struct buf *out) {
    for (size_t i = 0; i < command_table_size; i++) {
        if (command_table[i].verb == NULL) {
            continue;
        }
        if (begins_noun(i)) {
            buf_putf(out, "    %s) verbs='%s", command_table[i].noun, command_table[i].verb);
        } else {
            buf_putf(out, " %s", command_table[i].verb);
        }
        if (i + 1 == command_table_size || begins_noun(i + 1)) {
            buf_puts(out, "' ;;\n");
        }
    }
}

/* Options and the kind of argument of every command. */
static void put_commands(struct buf *out) {
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        char name[64];
        buf_putf(out, "    '%s') options='", command_name(command, name, sizeof name));
        for (const struct command_option *option = command->options; option->name != NULL; option++) {
            buf_putf(out, "--%s ", option->name);
        }
        buf_putf(out, "'; arguments='%s' ;;\n", is_file(command->arguments) ? "-f" : "");
    }
}

/* What follows an option that takes a value. A name means the same in every command that has it. */
static void put_option_values(struct buf *out) {
    for (size_t i = 0; i < command_table_size; i++) {
        for (const struct command_option *option = command_table[i].options; option->name != NULL; option++) {
            if (option->value != NULL) {
                buf_putf(out, "    '%s --%s') ", command_table[i].noun, option->name);
                put_reply(out, option->value);
            }
        }
    }
}

static void put_bash(struct buf *out) {
    buf_puts(out,
             "# bash completion of reachctl; made by `reachctl completion bash'\n_reachctl() {\n"
             "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} noun='' verb='' verbs='' options='' arguments='' i\n"
             "  local global='--config --redis --json --no-color --yes --help --version'\n  COMPREPLY=()\n"
             "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case ${COMP_WORDS[i]} in\n      --config|--redis|-c) ((i++)) ;;\n      -*) ;;\n"
             "      *) if [ -z \"$noun\" ]; then noun=${COMP_WORDS[i]}; elif [ -z \"$verb\" ]; then verb=${COMP_WORDS[i]}; fi ;;\n"
             "    esac\n  done\n"
             "  case $prev in --config|-c) COMPREPLY=($(compgen -f -- \"$cur\")); return ;; --redis) return ;; esac\n"
             "  if [ -z \"$noun\" ]; then COMPREPLY=($(compgen -W '");
    put_nouns(out);
    buf_puts(out, "' -- \"$cur\")); [[ $cur == -* ]] && COMPREPLY=($(compgen -W \"$global\" -- \"$cur\")); return; fi\n  case $noun in\n");
    put_verbs(out);
    buf_puts(out, "  esac\n  if [ -n \"$verbs\" ] && [ -z \"$verb\" ]; then COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\")); return; fi\n"
                  "  [ -n \"$verbs\" ] || verb=''\n  case \"$noun $prev\" in\n");
    put_option_values(out);
    buf_puts(out, "  esac\n  case \"$noun${verb:+ $verb}\" in\n");
    put_commands(out);
    buf_puts(out, "  esac\n  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"$options$global\" -- \"$cur\"))\n"
                  "  elif [ \"$arguments\" = -f ]; then COMPREPLY=($(compgen -f -- \"$cur\")); fi\n}\n"
                  "complete -o filenames -F _reachctl reachctl\n");
}

static enum ctl_exit print(struct buf *out) {
    const char *text = buf_str(out);
    enum ctl_exit code = text == NULL ? CTL_FAILED : CTL_DONE;
    (void)fputs(text == NULL ? "" : text, stdout);
    buf_fini(out);
    return code;
}

enum ctl_exit completion_bash_run(struct ctl *ctl, const struct call *call) {
    struct buf out = BUF_INIT;
    (void)ctl;
    (void)call;
    put_bash(&out);
    return print(&out);
}

/* ---- manual ------------------------------------------------------------------------------------------------------------- */

/* Text with scdoc's own signs escaped. */
static void put_plain(struct buf *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (strchr("*_[]#\\", *text) != NULL) {
            buf_putc(out, '\\');
        }
        buf_putc(out, *text);
    }
}

static void put_command(struct buf *out, const struct command *command) {
    char name[64];
    buf_putf(out, "*reachctl %s*", command_name(command, name, sizeof name));
    if (command->arguments[0] != '\0') {
        buf_putc(out, ' ');
        put_plain(out, command->arguments);
    }
    buf_puts(out, "\n\t");
    put_plain(out, command->help);
    buf_puts(out, ".\n");
    for (const struct command_option *option = command->options; option->name != NULL; option++) {
        buf_putf(out, "\n\t*--%s*", option->name);
        if (option->value != NULL) {
            buf_putf(out, " _%s_", option->value);
        }
        buf_puts(out, "\n\t\t");
        put_plain(out, option->help);
        buf_puts(out, ".\n");
    }
    buf_putc(out, '\n');
}

enum ctl_exit manual_run(struct ctl *ctl, const struct call *call) {
    struct buf out = BUF_INIT;
    (void)ctl;
    (void)call;
    for (size_t i = 0; i < command_table_size; i++) {
        put_command(&out, &command_table[i]);
    }
    return print(&out);
}
