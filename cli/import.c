/* import: see import.h.
 *
 * A batch is read, merged (dispatcher/book.c has the rule) and written, each entry only where nobody has changed it in between;
 * what somebody did change is read and merged again. So reachd may write to the book at the same time, and the same customer may
 * stand in a batch twice.
 *
 * Every entry notes the second of the import that confirmed it. A customer who is met again in the same import (in a second place of
 * the file) is so recognised: the second mention adds and says nothing about what the first one listed.
 *
 * Guarantees: a contact point is never dropped, only marked (P7); importing the same file twice changes nothing the second time;
 * a customer who gained a contact point has their waiting notices looked at again in the same step (P4).
 *
 * Fails: ERR_REDIS, with everything before the batch in the book. Does not: read files. */
#include "cli/import.h"

#include <string.h>

void import_init(struct import *import, struct ctl *ctl, struct store *store, int64_t now_ms) {
    memset(import, 0, sizeof *import);
    import->store = store;
    import->rules = ctl->rules;
    import->now_ms = now_ms;
}

void import_fini(struct import *import) {
    arena_fini(&import->arena);
}

struct arena *import_arena(struct import *import) {
    return &import->arena;
}

/* Whether two addresses of a channel are one: in canonical form where the channel has one. */
static int same_address(void *ctx, enum channel_id channel, const char *a, const char *b) {
    char left[MAILBOX_MAX];
    char right[MAILBOX_MAX];
    struct err err;
    if (strcmp(a, b) == 0) {
        return 1;
    }
    if (channel_traits(channel)->address != ADDRESS_MAILBOX) {
        return 0;
    }
    return mailbox_canon(ctx, a, left, &err) == 0 && mailbox_canon(ctx, b, right, &err) == 0 && strcmp(left, right) == 0;
}

/* ---- one batch ---------------------------------------------------------------------------------------------------------- */

/* Has reachd look whether a clearance rests on what this import takes away: a contact job that says nothing new. */
static const char *look_job(struct import *import, const char *customer) {
    return arena_printf(&import->arena, "{\"v\":1,\"type\":\"contact\",\"id\":\"import:%lld:%llu\",\"customer\":{\"id\":\"%s\"}}",
                        (long long)import->now_ms, (unsigned long long)import->n_looks++, customer);
}

/* Merges one item with what the book holds into `put`. 0, or -1 with *err. */
static int merge(struct import *import, const struct import_item *item, const char *text, struct store_customer_put *put, struct err *err) {
    const char *id = item->news.customer.id;
    struct book_entry old;
    struct book_entry merged;
    if (text != NULL && book_unpack(text, strlen(text), id, &import->arena, &old, err) < 0) {
        return err_prefix(err, id);
    }
    bool again = text != NULL && old.seen_at_ms / 1000 == import->now_ms / 1000;
    void *rules = (void *)(uintptr_t)import->rules;
    int changed = book_merge(text == NULL ? NULL : &old, &item->news, again ? BOOK_GLIMPSE : BOOK_UPSTREAM, import->now_ms, same_address,
                             rules, &import->arena, &merged, err);
    if (changed < 0) {
        return -1;
    }
    struct buf packed = BUF_INIT;
    book_pack(&merged, &packed);
    *put = (struct store_customer_put){.customer = id, .seen = text, .wake = changed == 1};
    put->text = packed.failed ? NULL : arena_strdup(&import->arena, packed.data);
    buf_fini(&packed);
    if (put->text != NULL && text != NULL && changed == 1 && book_may_take_away(&merged.customer)) {
        put->job = look_job(import, id);
        return put->job == NULL ? err_no_memory(err) : 0;
    }
    return put->text == NULL ? err_no_memory(err) : 0;
}

/* Keeps the index that tells whose an account is. It is written before the entries: an account too many in it does no harm. */
static int put_accounts(struct import *import, struct err *err) {
    size_t n = 0;
    for (size_t i = 0; i < import->n; i++) {
        n += import->items[i].news.customer.accounts.n;
    }
    const char **accounts = arena_array(&import->arena, n, sizeof *accounts);
    const char **owners = arena_array(&import->arena, n, sizeof *owners);
    if (accounts == NULL || owners == NULL) {
        return err_no_memory(err);
    }
    size_t known = 0;
    for (size_t i = 0; i < import->n; i++) {
        const struct customer *customer = &import->items[i].news.customer;
        for (size_t k = 0; k < customer->accounts.n; k++) {
            char canonical[MAILBOX_MAX];
            struct err why;
            if (mailbox_canon(import->rules, customer->accounts.items[k], canonical, &why) == 0) {
                accounts[known] = arena_strdup(&import->arena, canonical);
                owners[known] = customer->id;
                known += accounts[known] != NULL ? 1 : 0;
            }
        }
    }
    return store_accounts_put(import->store, accounts, owners, known, err);
}

static void count(struct import *import, const struct store_customer_put *put) {
    import->n_new += put->seen == NULL ? 1 : 0;
    import->n_changed += put->seen != NULL && put->wake ? 1 : 0;
    import->n_same += put->seen != NULL && !put->wake ? 1 : 0;
}

/* Reads, merges and writes what is not done yet; what somebody changed meanwhile stays undone. */
static int settle_once(struct import *import, struct err *err) {
    struct store_customer_put puts[IMPORT_BATCH];
    const char *ids[IMPORT_BATCH] = {0};
    const char *texts[IMPORT_BATCH] = {0};
    struct import_item *items[IMPORT_BATCH];
    size_t n = 0;
    for (size_t i = 0; i < import->n; i++) {
        if (!import->items[i].done) {
            items[n] = &import->items[i];
            ids[n++] = import->items[i].news.customer.id;
        }
    }
    if (store_customers_get(import->store, ids, n, &import->arena, texts, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (merge(import, items[i], texts[i], &puts[i], err) < 0) {
            return -1;
        }
    }
    if (store_customers_put(import->store, puts, n, import->now_ms, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        items[i]->done = puts[i].written;
        if (puts[i].written) {
            count(import, &puts[i]);
        }
    }
    return 0;
}

static bool all_done(const struct import *import) {
    for (size_t i = 0; i < import->n; i++) {
        if (!import->items[i].done) {
            return false;
        }
    }
    return true;
}

int import_flush(struct import *import, struct err *err) {
    enum { TRIES_MAX = 1000 };
    int tries = 0;
    if (put_accounts(import, err) < 0) {
        return -1;
    }
    while (!all_done(import)) {
        if (++tries > TRIES_MAX) {
            return err_set(err, ERR_CONFLICT, "somebody changes the same customers all the time");
        }
        if (settle_once(import, err) < 0) {
            return -1;
        }
    }
    import->n = 0;
    arena_reset(&import->arena);
    return 0;
}

int import_add(struct import *import, const struct customer *customer, const char *attributes, struct err *err) {
    import->items[import->n++] = (struct import_item){.news = {.customer = *customer, .attributes = attributes }};
    return import->n == IMPORT_BATCH ? import_flush(import, err) : 0;
}

/* ---- what is missing ---------------------------------------------------------------------------------------------------- */
struct missing {
    struct import *import;
    struct arena arena; /* of one entry */
    struct err *err;
    bool failed;
};

/* News that lists nothing says that everything has vanished. */
static int mark_one(void *ctx, const char *customer, const char *text, size_t len) {
    struct missing *missing = ctx;
    struct import *import = missing->import;
    struct book_entry entry;
    arena_reset(&missing->arena);
    missing->failed = book_unpack(text, len, customer, &missing->arena, &entry, missing->err) < 0;
    if (missing->failed || entry.seen_at_ms / 1000 >= import->now_ms / 1000) {
        return missing->failed ? 1 : 0;
    }
    struct customer nothing = {.id = arena_strdup(&import->arena, customer)};
    if (nothing.id == NULL) {
        missing->failed = true;
        return err_no_memory(missing->err);
    }
    import->n_vanished++;
    missing->failed = import_add(import, &nothing, NULL, missing->err) < 0;
    return missing->failed ? 1 : 0;
}

int import_mark_missing(struct import *import, struct err *err) {
    struct missing missing = {.import = import, .arena = ARENA_INIT, .err = err};
    int result = store_each_customer(import->store, mark_one, &missing, err);
    arena_fini(&missing.arena);
    return result < 0 || missing.failed ? -1 : import_flush(import, err);
}
