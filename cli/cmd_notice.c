/* notice show, notice list: one notice's whole story, and the notices in one state.
 *
 * `list` walks Redis by cursor and prints as it goes, so a million notices need no more memory than one; while reachd works, a
 * notice that changes state in the meantime may be missed or come twice, as with every cursor.
 *
 * Exit codes: 1 where the notice is unknown. Does not: change anything. */
#include "base/clock.h"
#include "cli/archived.h"
#include "cli/commands.h"
#include "cli/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- show --------------------------------------------------------------------------------------------------------------- */

static enum ctl_exit print_tries(const struct ctl *ctl, const struct record *record) {
    static const struct column columns[] = {{"STEP", COLUMN_NUMBER}, {"CHANNEL", COLUMN_TEXT},    {"GATEWAY", COLUMN_TEXT},
                                            {"TO", COLUMN_TEXT},     {"ATTEMPTS", COLUMN_NUMBER}, {"OUTCOME", COLUMN_TEXT},
                                            {"LAST", COLUMN_TEXT},   {"REASON", COLUMN_LONG}};
    if (record->n_tries == 0) {
        return CTL_DONE;
    }
    output_heading(ctl, "Tries");
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < record->n_tries; i++) {
        const struct record_try *try = &record->tries[i];
        char step[16];
        char attempts[16];
        char at[TIME_TEXT_MAX];
        char outcome[64];
        (void)snprintf(step, sizeof step, "%u", try->plan.step + 1);
        (void)snprintf(attempts, sizeof attempts, "%u", try->plan.attempts);
        (void)snprintf(outcome, sizeof outcome, "%s%s%s", outcome_name(try->plan.last), try->plan.early_warning ? ", early warning" : "",
                       try->plan.failed_later ? ", failed later" : "");
        bool good = try->plan.last == OUTCOME_SENT && !try->plan.failed_later;
        table_row(
            table, good ? MOOD_GOOD : MOOD_WARN,
            (const char *[]){step, try->channel, try->gateway, try->to, attempts, outcome, view_clock(try->plan.last_at_ms, at), try->why});
    }
    return table_print(table);
}

static enum ctl_exit print_timeline(const struct ctl *ctl, const struct record *record) {
    static const struct column columns[] = {{"AT", COLUMN_TEXT}, {"WHAT", COLUMN_TEXT}, {"DETAIL", COLUMN_LONG}};
    if (record->n_log == 0) {
        return CTL_DONE;
    }
    output_heading(ctl, "Timeline");
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < record->n_log; i++) {
        char at[TIME_TEXT_MAX];
        const struct record_line *line = &record->log[i];
        table_row(table, MOOD_PLAIN, (const char *[]){view_clock(line->at_ms, at), line->what, line->detail});
    }
    return table_print(table);
}

static enum ctl_exit print_notice(const struct ctl *ctl, const json_t *view, const struct record *record) {
    static const char *const fields[] = {"id",          "state",        "customer",   "notice",     "route",  "verdict",    "reason",
                                         "accepted_at", "effective_at", "expires_at", "promise_at", "locale", "archived_at"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char label[32];
        (void)snprintf(label, sizeof label, "%s", fields[i]);
        for (char *p = label; *p != '\0'; p++) {
            *p = *p == '_' ? ' ' : *p;
        }
        output_field(label, view_get(view, fields[i]));
    }
    size_t i;
    json_t *account;
    json_array_foreach(json_object_get(view, "accounts"), i, account) {
        output_field(i == 0 ? "disables" : "", json_string_value(account));
    }
    enum ctl_exit code = print_tries(ctl, record);
    return code == CTL_DONE ? print_timeline(ctl, record) : code;
}

enum ctl_exit notice_show_run(struct ctl *ctl, const struct call *call) {
    const char *id = call->arguments[0];
    struct err err;
    struct queue_record held = {0};
    struct record record;
    const char *archived_at = NULL;
    int found = archived_notice(ctl, id, &held, &archived_at, &err);
    if (found == 0) {
        ctl_say("no notice \"%s\" is known", id);
        return CTL_FAILED;
    }
    if (found < 0 || record_read(held.record, &ctl->arena, &record, &err) < 0) {
        return ctl_fail(&err);
    }
    json_t *view = view_notice(id, held.state, &record);
    view_text(view, "archived_at", archived_at);
    if (ctl->globals.json) {
        return output_json(view);
    }
    enum ctl_exit code = print_notice(ctl, view, &record);
    json_decref(view);
    return code;
}

/* ---- list --------------------------------------------------------------------------------------------------------------- */
struct listing {
    const struct ctl *ctl;
    struct arena arena; /* emptied for every notice */
    struct output_array array;
    unsigned long long left; /* how many more to print */
    size_t n;
    size_t n_damaged;
    bool unknown; /* only those with an attempt of unknown outcome */
};

/* Attempts of which nobody knows whether they went out. */
static uint32_t doubts_of(const struct record *record) {
    uint32_t sum = 0;
    for (size_t i = 0; i < record->n_tries; i++) {
        sum += record->tries[i].doubts;
    }
    return sum;
}

static int list_one(void *ctx, const char *id, const struct queue_record *held) {
    struct listing *listing = ctx;
    struct record record;
    struct err err;
    if (listing->left == 0 || ferror(stdout) != 0) {
        return 1;
    }
    arena_reset(&listing->arena);
    if (record_read(held->record, &listing->arena, &record, &err) < 0) {
        listing->n_damaged++;
        return 0;
    }
    if (listing->unknown && doubts_of(&record) == 0) {
        return 0;
    }
    listing->left--;
    listing->n++;
    json_t *view = view_notice_line(id, held->state, &record);
    if (listing->ctl->globals.json) {
        output_array_item(&listing->array, view);
        return 0;
    }
    const char *reason = view_get(view, "reason");
    (void)printf("%-40s %-12s %-24s %s\n", id, view_get(view, "state"), record.customer == NULL ? "" : record.customer,
                 reason == NULL ? "" : reason);
    json_decref(view);
    return 0;
}

static int parse_limit(const char *text, unsigned long long *limit_r) {
    char *end = NULL;
    *limit_r = ~0ULL;
    if (text == NULL) {
        return 0;
    }
    *limit_r = strtoull(text, &end, 10);
    return text[0] < '0' || text[0] > '9' || *end != '\0' ? -1 : 0;
}

enum ctl_exit notice_list_run(struct ctl *ctl, const struct call *call) {
    struct listing listing = {.ctl = ctl, .arena = ARENA_INIT};
    enum notice_state state = NOTICE_STATE_COUNT;
    const char *wanted = call_value(call, "state");
    struct err err;
    if (wanted != NULL && (notice_state_from_name(wanted, &state) != 1 || !notice_state_held(state))) {
        return ctl_usage("--state: no notice can be kept in a state \"%s\"", wanted);
    }
    listing.unknown = call_given(call, "unknown");
    if (parse_limit(call_value(call, "limit"), &listing.left) < 0) {
        return ctl_usage("--limit: must be a whole number");
    }
    struct store *store = ctl_store(ctl, &err);
    if (store == NULL) {
        return ctl_fail(&err);
    }
    int result = store_each_notice(store, state, list_one, &listing, &err);
    arena_fini(&listing.arena);
    if (ctl->globals.json) {
        output_array_end(&listing.array);
    }
    if (listing.n_damaged > 0) {
        ctl_say("%zu records could not be read", listing.n_damaged);
    }
    return result < 0 ? ctl_fail(&err) : listing.n_damaged > 0 ? CTL_FAILED : CTL_DONE;
}
