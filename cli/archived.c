/* archived: see archived.h.
 *
 * Redis is asked first: what is there is the truth, and a notice stands in both for a moment while it leaves. Without archive.directory in
 * the configuration there is nothing to look in. An archive belongs to a machine: where several write one, each knows its own.
 *
 * Fails: with the directory and the reason where it may not be read. Does not: change anything. */
#include "cli/archived.h"

#include "cli/view.h"
#include "dispatcher/archive.h"

#include <string.h>

enum { MOST = 100 };

/* ---- one notice ----------------------------------------------------------------------------------------------------- */

struct wanted {
    struct queue_record *held;
    const char **archived_at;
};

static int take_first(void *ctx, const struct archive_found *found) {
    const struct wanted *wanted = ctx;
    *wanted->held = (struct queue_record){.found = true, .state = found->state, .record = found->record};
    *wanted->archived_at = found->archived_at;
    return 1;
}

int archived_notice(struct ctl *ctl, const char *id, struct queue_record *held_r, const char **archived_at_r, struct err *err) {
    struct wanted wanted = {held_r, archived_at_r};
    *held_r = (struct queue_record){0};
    *archived_at_r = NULL;
    struct store *store = ctl_store(ctl, err);
    int found = store == NULL ? -1 : store_notice(store, id, &ctl->arena, held_r, err);
    const char *directory = ctl->settings.archive.directory;
    if (found != 0 || directory == NULL) {
        return found;
    }
    if (archive_search(directory, ARCHIVE_BY_ID, id, take_first, &wanted, &ctl->arena, err) < 0) {
        return -1;
    }
    return held_r->found ? 1 : 0;
}

/* ---- a customer's --------------------------------------------------------------------------------------------------- */

struct listing {
    struct ctl *ctl;
    json_t *list;
    size_t n;
};

static bool is_listed(const json_t *list, const char *id) {
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        const char *other = view_get(item, "id");
        if (other != NULL && strcmp(other, id) == 0) {
            return true;
        }
    }
    return false;
}

static int take_each(void *ctx, const struct archive_found *found) {
    struct listing *listing = ctx;
    struct record record;
    struct err ignored; /* a damaged line is not shown */
    if (is_listed(listing->list, found->id) || record_read(found->record, &listing->ctl->arena, &record, &ignored) < 0) {
        return 0;
    }
    json_t *view = view_notice_line(found->id, found->state, &record);
    view_text(view, "archived_at", found->archived_at);
    (void)json_array_append_new(listing->list, view);
    return ++listing->n < MOST ? 0 : 1;
}

int archived_of_customer(struct ctl *ctl, const char *customer, json_t *list, struct err *err) {
    struct listing listing = {.ctl = ctl, .list = list};
    const struct settings *settings = ctl_settings(ctl, err);
    if (settings == NULL) {
        return -1;
    }
    return settings->archive.directory == NULL
               ? 0
               : archive_search(settings->archive.directory, ARCHIVE_BY_CUSTOMER, customer, take_each, &listing, &ctl->arena, err);
}
