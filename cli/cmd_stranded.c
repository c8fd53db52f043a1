/* stranded: who cannot be reached by any machine, with the reason.
 *
 * Reads the notices that reachd has left in the state `stranded`, by cursor. The desk works on the same people case by case; see
 * cmd_desk.c.
 *
 * Exit codes: 1 where a record cannot be read: it may be somebody who waits. Does not: change anything. */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/view.h"

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
