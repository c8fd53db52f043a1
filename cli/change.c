/* change: see change.h.
 *
 * A preflight is asked before anything is pushed, so it reads the very job that will be pushed, with the same strictness: a
 * misspelt `effective_at` must be told here and not be taken for "in force already". A notice job is read by job_parse(), a campaign
 * job by campaign_job_read(); it may list many accounts and be larger than what the queue takes.
 *
 * Fails: with the member at fault. Does not: know the audience; who is asked about comes from the contact book or a file. */
#include "cli/change.h"

#include "base/buf.h"
#include "base/json.h"
#include "dispatcher/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A campaign may list many accounts; a single job may not be larger than the queue takes. */
enum { CAMPAIGN_MAX_BYTES = 64 * 1024 * 1024 };

/* ---- campaign ----------------------------------------------------------------------------------------------------------- */

static int read_campaign(json_t *root, const struct mailbox_rules *rules, struct arena *arena, struct change *change, struct err *err) {
    struct json_in in;
    struct campaign_job campaign;
    json_in_begin(&in, root, "", err);
    (void)json_in_int(&in, "v", JSON_REQUIRED, 1, 1, 0);
    (void)json_in_string(&in, "type", JSON_REQUIRED, 32);
    change->id = arena_strdup(arena, json_in_id(&in, "id", JSON_REQUIRED));
    if (campaign_job_read(&in, rules, arena, &campaign) < 0 || json_in_end(&in) < 0) {
        return -1;
    }
    change->notice = campaign.notice;
    change->route = campaign.route;
    change->audience = campaign.audience;
    change->disables = campaign.disables;
    change->effective_at_ms = campaign.effective_at_ms;
    change->promise_ms = campaign.promise_ms;
    change->suspect_since_ms = campaign.suspect_since_ms;
    return 0;
}

/* ---- notice ------------------------------------------------------------------------------------------------------------- */

/* The document is given back here, so what is kept of it is copied. */
static int copy_list(struct address_list *to, const struct address_list *from, struct arena *arena) {
    to->items = arena_array(arena, from->n, sizeof *to->items);
    for (size_t i = 0; to->items != NULL && i < from->n; i++) {
        to->items[i] = arena_strdup(arena, from->items[i]);
        if (to->items[i] == NULL) {
            return -1;
        }
    }
    to->n = from->n;
    return to->items == NULL ? -1 : 0;
}

static int read_notice(const char *text, size_t len, const struct mailbox_rules *rules, struct arena *arena, struct change *change,
                       struct err *err) {
    struct job_document document;
    int result = job_parse(text, len, rules, arena, &document, NULL, err);
    if (result == 0 && document.type != JOB_NOTICE) {
        result = err_member(err, "type", "a preflight is made for a campaign or a notice");
    }
    if (result == 0) {
        const struct job *job = &document.job;
        change->id = arena_strdup(arena, job->id);
        change->notice = arena_strdup(arena, job->notice);
        change->route = arena_strdup(arena, job->route);
        change->only_customer = arena_strdup(arena, job->customer.id);
        change->effective_at_ms = job->effective_at_ms;
        change->promise_ms = job->promise_ms;
        change->suspect_since_ms = job->suspect_since_ms;
        if (copy_list(&change->disables.accounts, &job->disables.accounts, arena) < 0 ||
            copy_list(&change->disables.domains, &job->disables.domains, arena) < 0) {
            result = err_no_memory(err);
        }
    }
    job_document_fini(&document);
    return result;
}

/* ---- file --------------------------------------------------------------------------------------------------------------- */

/* The whole file, at most CAMPAIGN_MAX_BYTES; malloc'd. NULL with *err. */
static char *read_file(const char *path, size_t *len_r, struct err *err) {
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    struct buf buf = BUF_INIT;
    char block[65536];
    size_t n;
    if (file == NULL) {
        (void)err_system(err, path);
        return NULL;
    }
    while (!buf.failed && buf.len <= CAMPAIGN_MAX_BYTES && (n = fread(block, 1, sizeof block, file)) > 0) {
        buf_put(&buf, block, n);
    }
    bool failed = ferror(file) != 0;
    if (!is_stdin) {
        (void)fclose(file);
    }
    if (failed) {
        (void)err_system(err, path);
        buf_fini(&buf);
        return NULL;
    }
    *len_r = buf.len;
    char *text = buf_take(&buf);
    if (text == NULL) {
        (void)err_no_memory(err);
    }
    return text;
}

static bool is_campaign(const json_t *root) {
    const char *type = json_string_value(json_object_get(root, "type"));
    return type != NULL && strcmp(type, "campaign") == 0;
}

int change_read(const char *path, const struct mailbox_rules *rules, struct arena *arena, struct change *change, struct err *err) {
    size_t len = 0;
    char *text = read_file(path, &len, err);
    if (text == NULL) {
        return -1;
    }
    *change = (struct change){0};
    err_clear(err);
    json_t *root = json_parse_strict(text, len, CAMPAIGN_MAX_BYTES, err);
    int result = -1;
    if (root != NULL) {
        result = is_campaign(root) ? read_campaign(root, rules, arena, change, err) : read_notice(text, len, rules, arena, change, err);
    }
    change->document = root;
    free(text);
    return result;
}

void change_fini(struct change *change) {
    json_decref(change->document);
    change->document = NULL;
}
