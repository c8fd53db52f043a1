/* desk list, desk claim, desk done: the people whom no machine can reach, as a worklist for people.
 *
 * The cases are in the hash reach:desk, oldest first here, because age is what the desk is measured by. `claim` writes a name into
 * a case, only if nobody has changed it since it was read, so two people never believe to have the same case. `done` closes
 * nothing by itself: it pushes a job, and reachd ends notice and case in one step and keeps it in the record. With --reached it
 * also pushes the receipt that the customer has acknowledged, which is evidence like any other.
 *
 * A case that cannot be read is shown as such and not dropped: it is somebody who waits.
 *
 * Exit codes: 1 where there is no such case, or it is somebody else's. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- list  ---------------------------------------------------------------------------------------------------------- */

/* The case as an object; one that cannot be read keeps its notice and says so. New. */
static json_t *read_case(const char *notice, const json_t *value) {
    json_t *desk_case = json_loads(json_is_string(value) ? json_string_value(value) : "", 0, NULL);
    if (!json_is_object(desk_case)) {
        json_decref(desk_case);
        desk_case = json_object();
        view_text(desk_case, "reason", "this case cannot be read");
        view_text(desk_case, "state", "open");
    }
    view_text(desk_case, "notice", notice);
    int64_t opened_at_ms = view_get_time(desk_case, "opened_at");
    view_time(desk_case, "opened_at", opened_at_ms);
    if (opened_at_ms != 0) {
        int64_t age_ms = clock_wall_ms(&clock_system) - opened_at_ms;
        (void)json_object_set_new(desk_case, "age_s", json_integer(age_ms < 0 ? 0 : age_ms / 1000));
    }
    return desk_case;
}

static int by_age(const void *a, const void *b) {
    const json_t *const *left = a;
    const json_t *const *right = b;
    json_int_t age_left = json_integer_value(json_object_get(*left, "age_s"));
    json_int_t age_right = json_integer_value(json_object_get(*right, "age_s"));
    if (age_left != age_right) {
        return age_left < age_right ? 1 : -1;
    }
    return strcmp(view_get(*left, "notice"), view_get(*right, "notice"));
}

/* The cases in `state` (NULL: all that are not done), oldest first; owned references. NULL: no memory. */
static json_t **sort_cases(json_t *hash, const char *state, size_t *n_r) {
    json_t **cases = calloc(json_object_size(hash) + 1, sizeof *cases);
    const char *notice;
    json_t *value;
    *n_r = 0;
    if (cases == NULL) {
        return NULL;
    }
    json_object_foreach(hash, notice, value) {
        json_t *desk_case = read_case(notice, value);
        const char *its = view_get(desk_case, "state");
        bool wanted = state == NULL ? its == NULL || strcmp(its, "done") != 0 : its != NULL && strcmp(its, state) == 0;
        if (wanted && view_get(desk_case, "notice") != NULL) {
            cases[(*n_r)++] = desk_case;
        } else {
            json_decref(desk_case);
        }
    }
    qsort(cases, *n_r, sizeof *cases, by_age);
    return cases;
}

static enum ctl_exit print_cases(const struct ctl *ctl, json_t *const *cases, size_t n) {
    static const struct column columns[] = {{"AGE", COLUMN_NUMBER}, {"CUSTOMER", COLUMN_TEXT}, {"NOTICE", COLUMN_TEXT},
                                            {"OWNER", COLUMN_TEXT}, {"STATE", COLUMN_TEXT},    {"REASON", COLUMN_LONG}};
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < n; i++) {
        char age[32];
        const char *claimed_by = view_get(cases[i], "claimed_by");
        json_int_t age_s = json_integer_value(json_object_get(cases[i], "age_s"));
        table_row(table, age_s > 86400 ? MOOD_WARN : MOOD_PLAIN,
                  (const char *[]){output_span(age_s * 1000, age, sizeof age), view_get(cases[i], "customer"), view_get(cases[i], "notice"),
                                   claimed_by == NULL ? view_get(cases[i], "owner") : claimed_by, view_get(cases[i], "state"),
                                   view_get(cases[i], "reason")});
    }
    enum ctl_exit code = table_print(table);
    ctl_say("%zu desk cases", n);
    return code;
}

enum ctl_exit desk_list_run(struct ctl *ctl, const struct call *call) {
    const char *state = call_value(call, "state");
    struct err err;
    if (state != NULL && strcmp(state, "open") != 0 && strcmp(state, "claimed") != 0 && strcmp(state, "done") != 0) {
        return ctl_usage("--state: must be open, claimed or done");
    }
    struct store *store = ctl_store(ctl, &err);
    json_t *hash = store == NULL ? NULL : store_hash(store, "desk", &err);
    if (hash == NULL) {
        return ctl_fail(&err);
    }
    size_t n = 0;
    json_t **cases = sort_cases(hash, state, &n);
    json_decref(hash);
    struct output_array array = {0};
    enum ctl_exit code = cases == NULL ? CTL_FAILED : ctl->globals.json ? CTL_DONE : print_cases(ctl, cases, n);
    for (size_t i = 0; i < n; i++) {
        if (ctl->globals.json) {
            output_array_item(&array, cases[i]);
        } else {
            json_decref(cases[i]);
        }
    }
    if (ctl->globals.json) {
        output_array_end(&array);
    }
    free(cases);
    return code;
}

/* ---- claim and done ----------------------------------------------------------------------------------------------------- */

/* Who is at the keyboard: --as, else the login name. NULL after having told that nobody knows. */
static const char *who(const struct call *call) {
    const char *name = call_value(call, "as");
    name = name != NULL ? name : getenv("LOGNAME");
    name = name != NULL ? name : getenv("USER");
    if (name == NULL || name[0] == '\0' || strlen(name) > 64 || !text_is_utf8(name, strlen(name))) {
        ctl_say("say who you are with --as NAME (at most 64 bytes)");
        return NULL;
    }
    return name;
}

/* The case of that notice: its text in the arena, and the object. 1, 0 there is none, -1 with *err. */
static int find_case(struct ctl *ctl, const char *notice, const char **text_r, json_t **case_r, struct err *err) {
    struct store *store = ctl_store(ctl, err);
    int found = store == NULL ? -1 : store_hget(store, "desk", notice, &ctl->arena, text_r, err);
    if (found != 1) {
        return found;
    }
    *case_r = json_loads(*text_r, 0, NULL);
    if (!json_is_object(*case_r)) {
        json_decref(*case_r);
        return err_set(err, ERR_SYNTAX, "this case cannot be read");
    }
    return 1;
}

/* Whether the case is somebody else's and shall stay theirs. */
static bool is_taken(const struct ctl *ctl, const json_t *desk_case, const char *name) {
    const char *holder = view_get(desk_case, "claimed_by");
    char question[256];
    if (holder == NULL || strcmp(holder, name) == 0) {
        return false;
    }
    (void)snprintf(question, sizeof question, "%s has this case since %s. Take it over?", holder, view_get(desk_case, "claimed_at"));
    return !ctl_confirm(ctl, question);
}

static enum ctl_exit no_case(const char *notice) {
    ctl_say("there is no desk case for notice \"%s\"", notice);
    return CTL_FAILED;
}

/* Writes the name into the case. 1 done, 0 somebody was faster, -1 with *err. */
static int write_claim(struct ctl *ctl, const char *notice, const char *seen, json_t *desk_case, const char *name, struct err *err) {
    view_text(desk_case, "state", "claimed");
    view_text(desk_case, "claimed_by", name);
    view_time(desk_case, "claimed_at", clock_wall_ms(&clock_system));
    char *text = json_dumps(desk_case, JSON_COMPACT);
    int result = text == NULL ? err_no_memory(err) : store_hset_if(ctl->store, "desk", notice, seen, text, err);
    free(text);
    return result;
}

enum ctl_exit desk_claim_run(struct ctl *ctl, const struct call *call) {
    const char *notice = call->arguments[0];
    const char *name = who(call);
    const char *text = NULL;
    json_t *desk_case = NULL;
    struct err err;
    if (name == NULL) {
        return CTL_USAGE;
    }
    int result = find_case(ctl, notice, &text, &desk_case, &err);
    if (result <= 0) {
        return result == 0 ? no_case(notice) : ctl_fail(&err);
    }
    enum ctl_exit code = CTL_FAILED;
    if (!is_taken(ctl, desk_case, name)) {
        result = write_claim(ctl, notice, text, desk_case, name, &err);
        code = result == 1 ? CTL_DONE : CTL_FAILED;
        if (result == 0) {
            ctl_say("somebody has changed the case just now: look at it again");
        }
    }
    if (code == CTL_DONE && ctl->globals.json) {
        code = output_json(json_incref(desk_case));
    }
    json_decref(desk_case);
    return result < 0 ? ctl_fail(&err) : code;
}

/* Asks reachd to close the case. */
static int push_done(struct ctl *ctl, const char *notice, const char *name, const char *note, struct err *err) {
    char id[64];
    (void)snprintf(id, sizeof id, "desk-%lld-%ld", (long long)clock_wall_ms(&clock_system), (long)getpid());
    json_t *job = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s*}", "v", 1, "type", "desk", "id", id, "notice", notice, "by", name, "note", note);
    char *text = job == NULL ? NULL : json_dumps(job, JSON_COMPACT);
    size_t done = 0;
    int result = text == NULL ? err_no_memory(err)
                              : store_push(ctl->store, LANE_URGENT, &(const char *){text}, &(size_t){strlen(text)}, 1, &done, err);
    free(text);
    json_decref(job);
    return result;
}

/* A person has spoken with the customer: the strongest evidence there is. */
static int push_reached(struct ctl *ctl, const char *notice, const char *name, struct err *err) {
    json_t *receipt =
        json_pack("{s:i,s:s,s:s,s:s+}", "v", 1, "notice", notice, "status", "acknowledged", "detail", "told by a person: ", name);
    char *text = receipt == NULL ? NULL : json_dumps(receipt, JSON_COMPACT);
    int result = text == NULL ? err_no_memory(err) : store_push_receipt(ctl->store, text, err);
    free(text);
    json_decref(receipt);
    return result;
}

enum ctl_exit desk_done_run(struct ctl *ctl, const struct call *call) {
    const char *notice = call->arguments[0];
    const char *name = who(call);
    const char *note = call_value(call, "note");
    const char *text = NULL;
    json_t *desk_case = NULL;
    struct err err;
    char question[256];
    if (name == NULL || (note != NULL && strlen(note) > 200)) {
        return name == NULL ? CTL_USAGE : ctl_usage("--note: at most 200 bytes");
    }
    int result = find_case(ctl, notice, &text, &desk_case, &err);
    if (result <= 0) {
        return result == 0 ? no_case(notice) : ctl_fail(&err);
    }
    (void)snprintf(question, sizeof question, "Close the case of customer %s%s?", view_get(desk_case, "customer"),
                   call_given(call, "reached") ? " and record that they were told" : " although nobody says that they were told");
    bool go = !is_taken(ctl, desk_case, name) && ctl_confirm(ctl, question);
    json_decref(desk_case);
    if (!go) {
        return CTL_FAILED;
    }
    if ((call_given(call, "reached") && push_reached(ctl, notice, name, &err) < 0) || push_done(ctl, notice, name, note, &err) < 0) {
        return ctl_fail(&err);
    }
    ctl_say("reachd has been asked to close the case");
    return CTL_DONE;
}
