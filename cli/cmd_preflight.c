/* preflight: who would be stranded by a change, before anything is sent.
 *
 * The job that will be pushed says what dies; the customers come out of the contact book, or out of a file in the same form
 * (--contacts). Both are read as a stream. With `audience_accounts` everybody's accounts die together, so the customers are read
 * twice: once to learn the accounts, once to judge.
 *
 * Memory has a fixed bound, however many customers there are (below 100 MiB in any process, the sort that it starts included): what must be
 * looked up, those accounts or the ids of an audience that narrows --contacts, is held up to 32 MiB and then goes to a temporary file
 * (text_set.c); what must be in order, the lists of the stranded and the weak, goes through sort(1); counts and remarks have a fixed size.
 * What grows is one customer: a line may have 32 MiB, and takes some ten times that while it is judged.
 *
 * Exit codes: 3 where anybody would be passive or stranded; else 1 where anybody could not be judged (a line that cannot be read
 * may be the one that matters); else 0. Does not: push, hold or warn anything; it only looks. */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/customer_source.h"
#include "cli/preflight_report.h"
#include "cli/text_set.h"
#include "cli/view.h"
#include "templates/template.h"

#include <stdio.h>
#include <string.h>

enum { UNUSABLE_SHOWN = 20, UNUSABLE_KEPT = 100, OWN_ACCOUNTS = 4 };

struct run {
    struct ctl *ctl;
    struct change change;
    struct customer_source source;
    const struct doomed_set *doomed;
    bool learning;                       /* reading the accounts that die, not judging yet */
    struct text_set *accounts;           /* of everybody, canonical, with audience_accounts; else NULL */
    char own[OWN_ACCOUNTS][MAILBOX_MAX]; /* of the customer who is judged: known to be among them without a look */
    size_t n_own;
    struct err lookup; /* why a look failed; code ERR_NONE: none did */
    struct preflight preflight;
    struct preflight_report report;
};

/* ---- what cannot be judged ----------------------------------------------------------------------------------------------- */

/* A customer that could not be judged; `where` is the line of the file or the customer's id in the book. */
static void tell_unusable(void *ctx, const char *source, const char *where, const struct err *err) {
    static const char prefix[] = "customer."; /* the core speaks of a job; here the customer is the whole line */
    struct run *run = ctx;
    const char *member = err->member + (strncmp(err->member, prefix, sizeof prefix - 1) == 0 ? sizeof prefix - 1 : 0);
    if (run->learning) {
        return; /* it will be told when it is read again to be judged */
    }
    if (run->preflight.unusable++ < UNUSABLE_SHOWN) {
        ctl_say("%s:%s: %s%s%s", source, where, member, member[0] == '\0' ? "" : ": ", err->text);
    }
    if (json_array_size(run->report.unusable) < UNUSABLE_KEPT) {
        json_t *object = json_object();
        view_text(object, "where", where);
        view_text(object, "member", member);
        view_text(object, "reason", err->text);
        (void)json_array_append_new(run->report.unusable, object);
    }
}

/* ---- what dies ---------------------------------------------------------------------------------------------------------- */

/* The canonical form of a customer's i-th account, the way a contact point is compared. In `buffer` or the account itself; NULL with *err.
 */
static const char *canon_account(const struct run *run, const struct customer *customer, size_t i, char buffer[MAILBOX_MAX],
                                 struct err *err) {
    const char *account = customer->accounts.items[i];
    char member[32];
    struct err why;
    bool number = account[0] == '+';
    if ((number ? phone_check(account, &why) : mailbox_canon(run->ctl->rules, account, buffer, &why)) == 0) {
        return number ? account : buffer;
    }
    (void)snprintf(member, sizeof member, "accounts[%zu]", i);
    (void)err_member(err, member, "%s", why.text);
    return NULL;
}

/* One that cannot be compared is told when the customer is judged; the others die all the same. */
static int add_accounts(void *ctx, const struct customer *customer, struct err *err) {
    struct run *run = ctx;
    for (size_t i = 0; i < customer->accounts.n; i++) {
        char buffer[MAILBOX_MAX];
        const char *canonical = canon_account(run, customer, i, buffer, err);
        if (canonical != NULL && text_set_add(run->accounts, canonical, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* For the core, which cannot be told that a look failed: then it dies, and judge() ends the run. */
static bool dies_too(void *ctx, const char *canonical) {
    struct run *run = ctx;
    for (size_t i = 0; i < run->n_own; i++) {
        if (strcmp(run->own[i], canonical) == 0) {
            return true;
        }
    }
    return text_set_has(run->accounts, canonical, &run->lookup) != 0;
}

static int learn_accounts(struct run *run, struct err *err) {
    if (run->source.path != NULL && !run->source.can_rewind) {
        return err_set(err, ERR_SYSTEM, "%s: audience_accounts needs a file that can be read twice", run->source.path);
    }
    run->accounts = text_set_new(PREFLIGHT_TEXT_BYTES, err);
    run->learning = true;
    run->source.each = add_accounts;
    if (run->accounts == NULL || customer_source_each(&run->source, err) < 0 || text_set_end(run->accounts, err) < 0) {
        return -1;
    }
    run->learning = false;
    return 0;
}

static int learn_what_dies(struct run *run, struct err *err) {
    if (run->change.disables.audience_accounts && learn_accounts(run, err) < 0) {
        return -1;
    }
    run->doomed = doomed_set_new(run->ctl->rules, &run->change.disables, NULL, &run->ctl->arena, err);
    return run->doomed == NULL ? -1 : 0;
}

/* The route that the change would take. NULL with *err. */
static const struct route *find_route(struct run *run, struct err *err) {
    size_t n = 0;
    const struct route *routes = settings_routes(&run->ctl->settings, &run->ctl->arena, &n, err);
    for (size_t i = 0; routes != NULL && i < n; i++) {
        if (run->change.route == NULL || strcmp(run->change.route, routes[i].name) == 0) {
            return &routes[i];
        }
    }
    if (routes != NULL) {
        (void)err_member(err, "route", "there is no route \"%s\"", run->change.route);
    }
    return NULL;
}

/* With audience_accounts a customer whose account nobody can compare is not judged: what dies with it is not known. */
static int know_own_accounts(struct run *run, const struct customer *customer, struct err *err) {
    run->n_own = 0;
    for (size_t i = 0; i < customer->accounts.n; i++) {
        char buffer[MAILBOX_MAX];
        const char *canonical = canon_account(run, customer, i, buffer, err);
        if (canonical == NULL) {
            return -1;
        }
        if (run->n_own < OWN_ACCOUNTS) {
            (void)snprintf(run->own[run->n_own++], MAILBOX_MAX, "%s", canonical);
        }
    }
    return 0;
}

static int judge(void *ctx, const struct customer *customer, struct err *err) {
    struct run *run = ctx;
    if (run->accounts != NULL && know_own_accounts(run, customer, err) < 0) {
        return -1;
    }
    int result = preflight_add(&run->preflight, customer, err);
    if (result == 0 && run->lookup.code != ERR_NONE) {
        *err = run->lookup;
        result = -1;
    }
    return result;
}

/* ---- the words ---------------------------------------------------------------------------------------------------------- */

static void check_locales(struct run *run, const struct template_set *set) {
    const struct preflight_names *locales = &run->preflight.locales;
    for (size_t i = 0; i < locales->n; i++) {
        const char *name = locales->rows[i].name;
        if (template_locale(set, run->change.notice, strcmp(name, "(none)") == 0 ? NULL : name) == NULL) {
            json_t *row = json_object();
            view_text(row, "locale", name);
            (void)json_object_set_new(row, "customers", json_integer((json_int_t)locales->rows[i].customers));
            (void)json_array_append_new(run->report.missing_words, row);
        }
    }
}

/* Whether the notice has words in every locale that was met. */
static void check_words(struct run *run) {
    struct err err;
    const char *dir = run->ctl->settings.templates.directory;
    struct template_set *set = dir == NULL ? NULL : template_set_load(dir, NULL, &err);
    if (set == NULL) {
        run->report.words_problem = dir == NULL ? "templates.directory is not configured" : arena_strdup(&run->ctl->arena, err.text);
    } else if (template_has(set, run->change.notice) != 1) {
        run->report.words_problem = "there is no such notice";
    } else {
        check_locales(run, set);
    }
    template_set_free(set);
}

/* ---- the answer --------------------------------------------------------------------------------------------------------- */

/* Keeps the first of each list for the text and the page. */
static void keep(json_t *list, const char *json) {
    if (json_array_size(list) < REPORT_PAGE_MAX) {
        (void)json_array_append_new(list, json_loads(json, 0, NULL));
    }
}

/* Goes through the sorted list; with --json prints it as it comes, as the last members of the object. */
static int pass_lists(struct run *run, struct err *err) {
    bool json = run->ctl->globals.json;
    bool in_weak = false;
    bool first = true;
    bool weak = false;
    const char *text = NULL;
    int more;
    while ((more = preflight_next(&run->preflight, &weak, &text, err)) == 1) {
        if (json && weak && !in_weak) {
            (void)fputs("],\n\"weak\":[", stdout);
            first = true;
        }
        in_weak |= weak;
        keep(weak ? run->report.weak : run->report.lost, text);
        if (json) {
            (void)printf("%s%s", first ? "\n" : ",\n", text);
        }
        first = false;
    }
    if (json) {
        (void)fputs(in_weak ? "]}\n" : "],\n\"weak\":[]}\n", stdout);
    }
    return more;
}

static int print_json(struct run *run, struct err *err) {
    json_t *summary = report_summary(&run->report);
    char *text = summary == NULL ? NULL : json_dumps(summary, JSON_COMPACT);
    json_decref(summary);
    if (text == NULL) {
        return err_no_memory(err);
    }
    size_t len = strlen(text);
    (void)printf("%.*s,\n\"stranded\":[", (int)(len - 1), text); /* without the closing brace */
    free(text);
    return pass_lists(run, err);
}

static int answer(struct run *run, const char *html, struct err *err) {
    int result = run->ctl->globals.json ? print_json(run, err) : pass_lists(run, err);
    if (result == 0 && !run->ctl->globals.json && report_print_text(run->ctl, &run->report) != CTL_DONE) {
        return err_no_memory(err);
    }
    return result < 0 || html == NULL ? result : report_write_html(&run->report, html, err);
}

static enum ctl_exit verdict(const struct run *run) {
    const struct preflight *preflight = &run->preflight;
    uint64_t lost = preflight_lost(preflight);
    if (preflight->unusable > 0) {
        ctl_say("%llu of %llu customers could not be judged", (unsigned long long)preflight->unusable,
                (unsigned long long)(preflight->customers + preflight->unusable));
    }
    ctl_say("%llu of %llu customers would be cut off", (unsigned long long)lost, (unsigned long long)preflight->customers);
    return lost > 0 ? CTL_STRANDED : preflight->unusable > 0 ? CTL_FAILED : CTL_DONE;
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static int open_source(struct run *run, const struct call *call, struct err *err) {
    int result = customer_source_init(&run->source, run->ctl, &run->change, call_value(call, "contacts"), call->arguments[0], err);
    run->source.trouble = tell_unusable;
    run->source.ctx = run;
    run->report.source = customer_source_name(&run->source);
    return result;
}

static int work(struct run *run, const struct call *call, struct err *err) {
    if (ctl_rules(run->ctl, err) == NULL || change_read(call->arguments[0], run->ctl->rules, &run->ctl->arena, &run->change, err) < 0) {
        return -1;
    }
    const struct route *route = find_route(run, err);
    if (route == NULL || open_source(run, call, err) < 0 || learn_what_dies(run, err) < 0 ||
        preflight_init(&run->preflight, &run->change, &run->ctl->settings, route, run->ctl->rules, run->doomed, err) < 0) {
        return -1;
    }
    run->preflight.question.dies_too = run->accounts == NULL ? NULL : dies_too;
    run->preflight.question.dies_too_ctx = run;
    run->source.each = judge;
    if (customer_source_each(&run->source, err) < 0 || preflight_end(&run->preflight, err) < 0) {
        return -1;
    }
    check_words(run);
    if (report_ask_desk(&run->report, &run->ctl->arena, err) < 0) {
        return -1;
    }
    return answer(run, call_value(call, "html"), err);
}

static void run_fini(struct run *run) {
    preflight_fini(&run->preflight);
    text_set_free(run->accounts);
    json_decref(run->report.unusable);
    json_decref(run->report.missing_words);
    json_decref(run->report.lost);
    json_decref(run->report.weak);
    customer_source_fini(&run->source);
    change_fini(&run->change);
}

enum ctl_exit preflight_run(struct ctl *ctl, const struct call *call) {
    static struct run run; /* too large for the stack: two tables of names */
    struct err err;
    run.ctl = ctl;
    run.source.fd = -1;
    err_clear(&run.lookup);
    run.report = (struct preflight_report){.preflight = &run.preflight,
                                           .made_at_ms = clock_wall_ms(&clock_system),
                                           .source = "",
                                           .unusable = json_array(),
                                           .missing_words = json_array(),
                                           .lost = json_array(),
                                           .weak = json_array()};
    enum ctl_exit code = work(&run, call, &err) < 0 ? ctl_fail(&err) : verdict(&run);
    run_fini(&run);
    return code;
}
