/* stranded: who cannot be reached, with the reason; desk list: the same people as the human worklist.
 *
 * Both read what reachd wrote when it gave up on every machine: the notices in state `stranded` and the desk cases in the hash
 * reach:desk. Oldest first in the worklist, because age is what the desk is measured by.
 *
 * Does not: change anything. A case that cannot be read is shown as such and not dropped: it is somebody who waits. */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/view.h"

#include <stdlib.h>
#include <string.h>

/* ---- stranded ----------------------------------------------------------------------------------------------------------- */
struct stranded {
    const struct ctl *ctl;
    const char *campaign; /* or NULL: all */
    struct arena arena;   /* emptied for every notice */
    struct output_array array;
    struct table *table;
    size_t n;
    size_t n_damaged;
};

/* Whether the notice's job, which the cursor does not bring along, names the campaign. A notice that cannot be read is left in. */
static bool of_campaign(struct stranded *stranded, const char *id) {
    struct queue_record held = {0};
    struct err err;
    if (stranded->campaign == NULL || store_notice(stranded->ctl->store, id, &stranded->arena, &held, &err) < 0) {
        return true;
    }
    json_t *job = held.job == NULL ? NULL : json_loads(held.job, 0, NULL);
    const char *name = view_get(job, "campaign");
    bool matches = name != NULL && strcmp(name, stranded->campaign) == 0;
    json_decref(job);
    return matches;
}

static int stranded_one(void *ctx, const char *id, const struct queue_record *held) {
    struct stranded *stranded = ctx;
    struct record record;
    struct err err;
    char since[TIME_TEXT_MAX];
    arena_reset(&stranded->arena);
    if (!of_campaign(stranded, id)) {
        return 0;
    }
    if (record_read(held->record, &stranded->arena, &record, &err) < 0) {
        stranded->n_damaged++;
        return 0;
    }
    stranded->n++;
    json_t *view = view_notice_line(id, held->state, &record);
    if (stranded->ctl->globals.json) {
        output_array_item(&stranded->array, view);
        return 0;
    }
    if (stranded->table != NULL) {
        table_row(stranded->table, MOOD_PLAIN,
                  (const char *[]){record.customer, id, view_clock(record.accepted_at_ms, since), record.verdict, record.why});
    }
    json_decref(view);
    return 0;
}

static int each_stranded(struct stranded *stranded, struct store *store, bool handed_too, struct err *err) {
    if (store_each_notice(store, NOTICE_STRANDED, stranded_one, stranded, err) < 0) {
        return -1;
    }
    return handed_too ? store_each_notice(store, NOTICE_HANDED_TO_DESK, stranded_one, stranded, err) : 0;
}

static enum ctl_exit stranded_end(struct stranded *stranded) {
    enum ctl_exit code = CTL_DONE;
    if (stranded->ctl->globals.json) {
        output_array_end(&stranded->array);
    } else {
        code = table_print(stranded->table);
        ctl_say("%zu stranded", stranded->n);
    }
    if (stranded->n_damaged > 0) {
        ctl_say("%zu records could not be read", stranded->n_damaged);
        code = CTL_FAILED;
    }
    return code;
}

enum ctl_exit stranded_run(struct ctl *ctl, const struct call *call) {
    static const struct column columns[] = {
        {"CUSTOMER", COLUMN_TEXT}, {"NOTICE", COLUMN_TEXT}, {"SINCE", COLUMN_TEXT}, {"VERDICT", COLUMN_TEXT}, {"REASON", COLUMN_LONG}};
    struct stranded stranded = {.ctl = ctl, .campaign = call_value(call, "campaign"), .arena = ARENA_INIT};
    struct err err;
    struct store *store = ctl_store(ctl, &err);
    if (store == NULL) {
        return ctl_fail(&err);
    }
    if (!ctl->globals.json) {
        stranded.table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    }
    int result = each_stranded(&stranded, store, call_given(call, "all"), &err);
    enum ctl_exit code = stranded_end(&stranded);
    arena_fini(&stranded.arena);
    return result < 0 ? ctl_fail(&err) : code;
}

/* ---- desk list ---------------------------------------------------------------------------------------------------------- */

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
