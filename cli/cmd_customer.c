/* customer show: everything about one customer that a service desk asks: how can we still reach them, and why not?
 *
 * The contact points come from the contact book; where the book does not know the customer, from the job of the newest notice
 * that still has one. The verdict is made here and now by the same core that reachd uses, against what the customer's newest
 * notice disables; without a notice, against nothing.
 *
 * Exit codes: 1 where neither the book nor any notice knows the customer. Does not: show whole addresses. */
#include "cli/archived.h"
#include "cli/commands.h"
#include "cli/view.h"
#include "dispatcher/book.h"
#include "dispatcher/job.h"

#include <stdio.h>
#include <string.h>

/* What is put together about one customer; all of it lives in the arena or the document. */
struct portrait {
    const char *id;
    struct customer customer;
    bool has_customer;
    const char *source; /* "contact book", "newest notice" */
    const struct disables *disables;
    int64_t suspect_since_ms;
    struct reach_answer answer;
    bool has_answer;
    struct job_document document; /* of the newest notice that has its job */
    json_t *view;                 /* what is printed */
};

/* ---- gathering ---------------------------------------------------------------------------------------------------------- */

/* Takes the job of a notice, when it is the first one that has its job still. */
static void take_job(struct ctl *ctl, struct portrait *portrait, const struct queue_record *held) {
    struct err err;
    if (portrait->document.root != NULL || held->job == NULL) {
        return;
    }
    if (job_parse(held->job, strlen(held->job), ctl->rules, &ctl->arena, &portrait->document, NULL, &err) < 0) {
        job_document_fini(&portrait->document);
        return;
    }
    const struct job *job = &portrait->document.job;
    portrait->disables = &job->disables;
    portrait->suspect_since_ms = job->suspect_since_ms;
    if (!portrait->has_customer && !job->customer_by_id) {
        portrait->customer = job->customer;
        portrait->has_customer = true;
        portrait->source = "newest notice";
    }
}

/* What a finished notice disabled: its record has the accounts. */
static int take_accounts(struct ctl *ctl, struct portrait *portrait, const struct record *record) {
    if (portrait->disables != NULL || record->accounts.n == 0) {
        return 0;
    }
    struct disables *disables = arena_alloc(&ctl->arena, sizeof *disables);
    if (disables == NULL) {
        return -1;
    }
    disables->accounts = record->accounts;
    portrait->disables = disables;
    return 0;
}

static int gather_notice(struct ctl *ctl, struct portrait *portrait, const char *id, json_t *list, struct err *err) {
    struct queue_record held = {0};
    struct record record;
    int found = store_notice(ctl->store, id, &ctl->arena, &held, err);
    if (found <= 0) {
        return found;
    }
    if (record_read(held.record, &ctl->arena, &record, err) < 0) {
        return -1;
    }
    take_job(ctl, portrait, &held);
    if (portrait->document.root == NULL && take_accounts(ctl, portrait, &record) < 0) {
        return err_no_memory(err);
    }
    (void)json_array_append_new(list, view_notice_line(id, held.state, &record));
    return 0;
}

static int gather_notices(struct ctl *ctl, struct portrait *portrait, struct err *err) {
    json_t *ids = store_customer_notices(ctl->store, portrait->id, err);
    if (ids == NULL) {
        return -1;
    }
    json_t *list = json_array();
    (void)json_object_set_new(portrait->view, "notices", list);
    size_t i;
    json_t *id;
    int result = 0;
    json_array_foreach(ids, i, id) {
        if (json_is_string(id) && gather_notice(ctl, portrait, arena_strdup(&ctl->arena, json_string_value(id)), list, err) < 0) {
            result = -1;
            break;
        }
    }
    json_decref(ids);
    return result < 0 ? -1 : archived_of_customer(ctl, portrait->id, list, err);
}

static int gather_book(struct ctl *ctl, struct portrait *portrait, struct err *err) {
    const char *text = NULL;
    struct book_entry entry;
    int found = store_customer(ctl->store, portrait->id, &ctl->arena, &text, err);
    if (found <= 0) {
        return found;
    }
    if (book_unpack(text, strlen(text), portrait->id, &ctl->arena, &entry, err) < 0) {
        return err_prefix(err, "the contact book's entry cannot be read");
    }
    portrait->customer = entry.customer;
    portrait->has_customer = true;
    portrait->source = "contact book";
    return 0;
}

/* The customer's own holds out of all. */
static int gather_holds(struct ctl *ctl, struct portrait *portrait, struct err *err) {
    json_t *holds = store_hash(ctl->store, "holds", err);
    if (holds == NULL) {
        return -1;
    }
    json_t *list = json_array();
    (void)json_object_set_new(portrait->view, "holds", list);
    const char *account;
    json_t *value;
    json_object_foreach(holds, account, value) {
        json_t *hold = json_loads(json_is_string(value) ? json_string_value(value) : "", 0, NULL);
        const char *customer = view_get(hold, "customer");
        if (customer != NULL && strcmp(customer, portrait->id) == 0) {
            json_t *entry = json_object();
            view_masked(entry, "account", account);
            view_text(entry, "notice", view_get(hold, "notice"));
            view_time(entry, "since", view_get_time(hold, "since"));
            (void)json_array_append_new(list, entry);
        }
        json_decref(hold);
    }
    json_decref(holds);
    return 0;
}

static int gather_banner(struct ctl *ctl, struct portrait *portrait, struct err *err) {
    const char *value = NULL;
    const char *key = arena_printf(&ctl->arena, "banner:{%s}", portrait->id);
    int found = key == NULL ? err_no_memory(err) : store_get(ctl->store, key, &ctl->arena, &value, err);
    if (found == 1) {
        json_t *banner = json_loads(value, 0, NULL);
        (void)json_object_set_new(portrait->view, "banner", banner == NULL ? json_null() : banner);
    }
    return found < 0 ? -1 : 0;
}

/* ---- deciding ----------------------------------------------------------------------------------------------------------- */

static int decide(struct ctl *ctl, struct portrait *portrait, struct err *err) {
    static const struct disables nothing;
    if (!portrait->has_customer) {
        return 0;
    }
    const struct disables *disables = portrait->disables == NULL ? &nothing : portrait->disables;
    struct reach_question question = {
        .rules = ctl->rules, .customer = &portrait->customer, .suspect_since_ms = portrait->suspect_since_ms, .tolerate_invalid = true};
    question.doomed = doomed_set_new(ctl->rules, disables, &portrait->customer.accounts, &ctl->arena, err);
    if (question.doomed == NULL ||
        reach_with_previous(&portrait->customer, portrait->suspect_since_ms, &ctl->arena, &portrait->customer, err) < 0 ||
        reach_decide(&question, &ctl->arena, &portrait->answer, err) < 0) {
        return -1;
    }
    portrait->has_answer = true;
    json_t *contacts = json_array();
    for (size_t i = 0; i < portrait->answer.n_contacts; i++) {
        (void)json_array_append_new(contacts, view_contact(&portrait->customer.contacts[i], &portrait->answer.contacts[i]));
    }
    view_text(portrait->view, "source", portrait->source);
    view_text(portrait->view, "verdict", verdict_name(portrait->answer.verdict));
    view_flag(portrait->view, "single_route", portrait->answer.single_route);
    view_text(portrait->view, "locale", portrait->customer.locale);
    view_text(portrait->view, "time_zone", portrait->customer.time_zone);
    (void)json_object_set_new(portrait->view, "contacts", contacts);
    return 0;
}

/* ---- printing ----------------------------------------------------------------------------------------------------------- */

static enum ctl_exit print_contacts(const struct ctl *ctl, const json_t *contacts) {
    static const struct column columns[] = {
        {"CHANNEL", COLUMN_TEXT}, {"ADDRESS", COLUMN_TEXT}, {"STATUS", COLUMN_TEXT}, {"SURVIVES", COLUMN_TEXT}, {"WHY", COLUMN_LONG}};
    if (json_array_size(contacts) == 0) {
        return CTL_DONE;
    }
    output_heading(ctl, "Contact points");
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < json_array_size(contacts); i++) {
        const json_t *contact = json_array_get(contacts, i);
        bool survives = json_is_true(json_object_get(contact, "survives"));
        bool weak = json_is_true(json_object_get(contact, "weak"));
        table_row(table,
                  !survives ? MOOD_BAD
                  : weak    ? MOOD_WARN
                            : MOOD_GOOD,
                  (const char *[]){view_get(contact, "channel"), view_get(contact, "address"), view_get(contact, "status"),
                                   !survives ? "no"
                                   : weak    ? "weakly"
                                             : "yes",
                                   view_get(contact, "reason")});
        if (view_get(contact, "warning") != NULL) {
            table_row(table, MOOD_WARN, (const char *[]){NULL, NULL, NULL, "look", view_get(contact, "warning")});
        }
    }
    return table_print(table);
}

static enum ctl_exit print_notices(const struct ctl *ctl, const json_t *notices) {
    static const struct column columns[] = {
        {"NOTICE", COLUMN_TEXT}, {"STATE", COLUMN_TEXT}, {"ACCEPTED", COLUMN_TEXT}, {"REASON", COLUMN_LONG}};
    if (json_array_size(notices) == 0) {
        return CTL_DONE;
    }
    output_heading(ctl, "Notices");
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < json_array_size(notices); i++) {
        const json_t *notice = json_array_get(notices, i);
        table_row(table, MOOD_PLAIN,
                  (const char *[]){view_get(notice, "id"), view_get(notice, "state"), view_get(notice, "accepted_at"),
                                   view_get(notice, "reason")});
    }
    return table_print(table);
}

static enum ctl_exit print_holds(const struct ctl *ctl, const json_t *holds) {
    static const struct column columns[] = {{"HELD ACCOUNT", COLUMN_TEXT}, {"SINCE", COLUMN_TEXT}, {"NOTICE", COLUMN_TEXT}};
    if (json_array_size(holds) == 0) {
        return CTL_DONE;
    }
    output_heading(ctl, "Holds");
    struct table *table = table_new(ctl, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; table != NULL && i < json_array_size(holds); i++) {
        const json_t *hold = json_array_get(holds, i);
        table_row(table, MOOD_BAD, (const char *[]){view_get(hold, "account"), view_get(hold, "since"), view_get(hold, "notice")});
    }
    return table_print(table);
}

static enum ctl_exit print_portrait(const struct ctl *ctl, const json_t *view) {
    output_field("customer", view_get(view, "customer"));
    output_field("verdict", view_get(view, "verdict"));
    output_field("contacts from", view_get(view, "source"));
    output_field("locale", view_get(view, "locale"));
    output_field("time zone", view_get(view, "time_zone"));
    if (json_is_true(json_object_get(view, "single_route"))) {
        output_field("single route", "yes: what survives shares one mail domain or one gateway");
    }
    output_field("banner", view_get(json_object_get(view, "banner"), "title"));
    enum ctl_exit code = print_contacts(ctl, json_object_get(view, "contacts"));
    code = code != CTL_DONE ? code : print_notices(ctl, json_object_get(view, "notices"));
    return code != CTL_DONE ? code : print_holds(ctl, json_object_get(view, "holds"));
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static int gather(struct ctl *ctl, struct portrait *portrait, struct err *err) {
    if (ctl_rules(ctl, err) == NULL || ctl_store(ctl, err) == NULL || gather_book(ctl, portrait, err) < 0 ||
        gather_notices(ctl, portrait, err) < 0 || gather_holds(ctl, portrait, err) < 0 || gather_banner(ctl, portrait, err) < 0) {
        return -1;
    }
    return decide(ctl, portrait, err);
}

enum ctl_exit customer_show_run(struct ctl *ctl, const struct call *call) {
    struct portrait portrait = {.id = call->arguments[0], .view = json_object()};
    struct err err;
    enum ctl_exit code;
    view_text(portrait.view, "customer", portrait.id);
    if (gather(ctl, &portrait, &err) < 0) {
        code = ctl_fail(&err);
    } else if (!portrait.has_customer && json_array_size(json_object_get(portrait.view, "notices")) == 0) {
        ctl_say("no customer \"%s\" is known", portrait.id);
        code = CTL_FAILED;
    } else if (ctl->globals.json) {
        code = output_json(json_incref(portrait.view));
    } else {
        code = print_portrait(ctl, portrait.view);
    }
    job_document_fini(&portrait.document);
    json_decref(portrait.view);
    return code;
}
