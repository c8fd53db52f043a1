/* dead list, dead show: the jobs that reachd could not use, each whole, with the reason in plain words.
 *
 * A dead letter's ID is its place in the stream reach:dead, the first column of `dead list`; `show` takes the job's own id as well
 * and then shows the newest dead letter of that job. The list leaves the jobs out: they
 * hold addresses, and a list of a thousand is for finding the pattern. `show` prints one job as it came.
 *
 * Exit codes: 1 where there is no such dead letter. Does not: change anything. */
#include "cli/commands.h"
#include "cli/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 100 };

/* When it died: the entry's id begins with Redis's own time. */
static void add_time(json_t *letter) {
    const char *entry = view_get(letter, "entry");
    view_time(letter, "at", entry == NULL ? 0 : strtoll(entry, NULL, 10));
}

static enum ctl_exit print_list(const struct ctl *ctl, const json_t *letters) {
    static const struct column columns[] = {
        {"ID", COLUMN_TEXT}, {"AT", COLUMN_TEXT}, {"JOB", COLUMN_TEXT}, {"MEMBER", COLUMN_TEXT}, {"REASON", COLUMN_LONG}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < json_array_size(letters); i++) {
        const json_t *letter = json_array_get(letters, i);
        table_row(table, MOOD_PLAIN,
                  (const char *[]){view_get(letter, "entry"), view_get(letter, "at"), view_get(letter, "id"), view_get(letter, "member"),
                                   view_get(letter, "reason")});
    }
    return table_print(table);
}

/* The dead letters, newest first; NULL after having told why not, with the exit code. */
static json_t *read_letters(struct ctl *ctl, size_t count, enum ctl_exit *code_r) {
    struct err err;
    struct store *store = ctl_store(ctl, &err);
    json_t *letters = store == NULL ? NULL : store_dead(store, count, &err);
    size_t i;
    json_t *letter;
    json_array_foreach(letters, i, letter) {
        add_time(letter);
    }
    *code_r = letters == NULL ? ctl_fail(&err) : CTL_DONE;
    return letters;
}

enum ctl_exit dead_list_run(struct ctl *ctl, const struct call *call) {
    const char *limit = call_value(call, "limit");
    char *end = NULL;
    size_t count = limit == NULL ? LIST_DEFAULT : strtoul(limit, &end, 10);
    if (limit != NULL && (limit[0] < '0' || limit[0] > '9' || *end != '\0')) {
        return ctl_usage("--limit: must be a whole number (0: all)");
    }
    enum ctl_exit code;
    json_t *letters = read_letters(ctl, count, &code);
    if (letters == NULL) {
        return code;
    }
    size_t i;
    json_t *letter;
    json_array_foreach(letters, i, letter) {
        (void)json_object_del(letter, "job");
    }
    if (ctl->globals.json) {
        return output_json(letters);
    }
    code = print_list(ctl, letters);
    json_decref(letters);
    return code;
}

static enum ctl_exit print_letter(const struct ctl *ctl, json_t *letter) {
    if (ctl->globals.json) {
        return output_json(json_incref(letter));
    }
    output_field("id", view_get(letter, "entry"));
    output_field("job id", view_get(letter, "id"));
    output_field("at", view_get(letter, "at"));
    output_field("member", view_get(letter, "member"));
    output_field("reason", view_get(letter, "reason"));
    output_field("job", view_get(letter, "job"));
    return CTL_DONE;
}

static bool is_named(const json_t *letter, const char *name) {
    const char *entry = view_get(letter, "entry");
    const char *id = view_get(letter, "id");
    return (entry != NULL && strcmp(entry, name) == 0) || (id != NULL && strcmp(id, name) == 0);
}

enum ctl_exit dead_show_run(struct ctl *ctl, const struct call *call) {
    enum ctl_exit code;
    json_t *letters = read_letters(ctl, 0, &code);
    if (letters == NULL) {
        return code;
    }
    size_t i;
    json_t *letter;
    code = CTL_USAGE;
    json_array_foreach(letters, i, letter) {
        if (is_named(letter, call->arguments[0])) {
            code = print_letter(ctl, letter);
            break;
        }
    }
    json_decref(letters);
    if (code == CTL_USAGE) {
        ctl_say("there is no dead letter \"%s\"", call->arguments[0]);
        return CTL_FAILED;
    }
    return code;
}
