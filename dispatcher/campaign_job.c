/* campaign_job: see campaign_job.h.
 *
 * Read by `reachctl preflight` before anything is pushed, by `reachctl push`, and by reachd, all with the same strictness: a misspelt
 * `effective_at` must be told and not be taken for "in force already". How it is sent out in waves does not matter for who can be reached,
 * so `schedule` and `waves` are let through as they are.
 *
 * Guarantees: the domains and accounts that die are valid ones. Does not: know who is in the audience. */
#include "dispatcher/campaign_job.h"

#include <stdio.h>
#include <string.h>

/* A list of accounts or domains, each checked. */
static int read_list(struct json_in *in, const char *name, const struct mailbox_rules *rules, struct arena *arena,
                     struct address_list *list) {
    bool domains = strcmp(name, "domains") == 0;
    json_t *array = json_in_array(in, name, JSON_OPTIONAL);
    size_t n = json_array_size(array);
    list->items = arena_array(arena, n, sizeof *list->items);
    if (list->items == NULL) {
        return err_no_memory(in->err);
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        char canonical[MAILBOX_MAX];
        char at[64];
        struct err why;
        (void)err_set(&why, ERR_MEMBER, "must be a string");
        bool good = text != NULL && (domains          ? mailbox_canon_domain(rules, text, canonical, &why)
                                     : text[0] == '+' ? phone_check(text, &why)
                                                      : mailbox_canon(rules, text, canonical, &why)) == 0;
        (void)snprintf(at, sizeof at, "%s[%zu]", name, i);
        if (!good) {
            return json_in_fail(in, at, "%s", why.text);
        }
        list->items[list->n++] = arena_strdup(arena, text);
        if (list->items[i] == NULL) {
            return err_no_memory(in->err);
        }
    }
    return 0;
}

static int read_disables(json_t *value, const struct mailbox_rules *rules, struct arena *arena, struct disables *disables,
                         struct err *err) {
    struct json_in in;
    json_in_begin(&in, value, "disables", err);
    if (read_list(&in, "accounts", rules, arena, &disables->accounts) < 0 ||
        read_list(&in, "domains", rules, arena, &disables->domains) < 0) {
        return -1;
    }
    disables->audience_accounts = json_in_bool(&in, "audience_accounts", false);
    if (disables->accounts.n == 0 && disables->domains.n == 0 && !disables->audience_accounts) {
        (void)json_in_fail(&in, "", "must list accounts or domains, or say audience_accounts");
    }
    return json_in_end(&in);
}

int campaign_job_read(struct json_in *in, const struct mailbox_rules *rules, struct arena *arena, struct campaign_job *campaign) {
    *campaign = (struct campaign_job){0};
    campaign->notice = arena_strdup(arena, json_in_id(in, "notice", JSON_REQUIRED));
    campaign->route = arena_strdup(arena, json_in_id(in, "route", JSON_OPTIONAL));
    campaign->effective_at_ms = json_in_time(in, "effective_at", JSON_OPTIONAL);
    campaign->expires_at_ms = json_in_time(in, "expires_at", JSON_OPTIONAL);
    campaign->promise_ms = json_in_duration(in, "promise", JSON_OPTIONAL);
    campaign->suspect_since_ms = json_in_time(in, "suspect_since", JSON_OPTIONAL);
    (void)json_in_object(in, "data", JSON_OPTIONAL);
    (void)json_in_any(in, "schedule", JSON_OPTIONAL);
    (void)json_in_any(in, "waves", JSON_OPTIONAL);
    json_t *audience = json_in_any(in, "audience", JSON_REQUIRED);
    json_t *disables = json_in_object(in, "disables", JSON_REQUIRED);
    if (campaign->expires_at_ms != 0 && campaign->expires_at_ms <= campaign->effective_at_ms) {
        (void)json_in_fail(in, "expires_at", "must be later than effective_at");
    }
    if (in->failed || audience_read(audience, rules, arena, &campaign->audience, in->err) < 0 ||
        read_disables(disables, rules, arena, &campaign->disables, in->err) < 0) {
        in->failed = true;
        return -1;
    }
    return 0;
}
