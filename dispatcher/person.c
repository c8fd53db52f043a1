/* person: who the customer of a notice is: what the job says, merged with what the contact book knows.
 *
 * The book may know a contact point that the job does not mention, and the job may bring one that the book has never seen. Both
 * count: a customer is stranded only if neither knows a way (P4), and what a job has shown once is kept even if upstream deletes
 * it (P7). The merged entry goes back into the book with the notice's own change.
 *
 * Which of the accounts in question are the customer's own is answered here too: only those may be cleared by reaching the customer.
 *
 * Does not: read Redis; the caller hands over the book's text. */
#include "dispatcher/work.h"

#include <string.h>

/* The same mailbox, number, token or login? */
static int same_address(void *ctx, enum channel_id channel, const char *a, const char *b) {
    char canonical_a[MAILBOX_MAX];
    char canonical_b[MAILBOX_MAX];
    if (strcmp(a, b) == 0) {
        return 1;
    }
    if (channel_traits(channel)->address != ADDRESS_MAILBOX) {
        return 0;
    }
    return mailbox_canon(ctx, a, canonical_a, NULL) == 0 && mailbox_canon(ctx, b, canonical_b, NULL) == 0 &&
           strcmp(canonical_a, canonical_b) == 0;
}

/* mailbox_canon() takes its rules as a const pointer; a callback's context is not one. */
static void *rules_context(const struct work_place *place) {
    return (void *)(uintptr_t)place->rules;
}

static int keep_entry(struct work *work, const struct book_entry *entry, struct err *err) {
    struct buf text = BUF_INIT;
    book_pack(entry, &text);
    const char *packed = buf_str(&text);
    work->book_text = packed == NULL ? NULL : arena_strndup(&work->arena, packed, text.len);
    buf_fini(&text);
    return work->book_text == NULL ? err_no_memory(err) : 0;
}

/* Carries out the marks of the job on a copy of the contact points. 1 one changed, 0 none, -1 with *err. */
static int mark_contacts(struct work *work, const struct work_place *place, struct customer *customer, struct err *err) {
    struct contact *copy = arena_array(&work->arena, customer->n_contacts, sizeof *copy);
    if (copy == NULL) {
        return err_no_memory(err);
    }
    if (customer->n_contacts > 0) {
        memcpy(copy, customer->contacts, customer->n_contacts * sizeof *copy);
    }
    customer->contacts = copy;
    return dead_contact_mark(work, place, copy, customer->n_contacts) ? 1 : 0;
}

int work_person(struct work *work, const struct work_place *place, const char *book_text, enum book_news kind, int64_t now_ms,
                struct err *err) {
    struct job *job = &work->document.job;
    if (!work->told_kept) {
        work->told = job->customer;
        work->told_kept = true;
    }
    struct book_entry news = {.customer = work->told, .attributes = job->attributes};
    struct book_entry old;
    struct book_entry merged;
    if (queue_book_seen(book_text, work->book_seen) < 0) {
        return err_set(err, ERR_SYSTEM, "libcrypto offers no SHA-1");
    }
    if (book_text == NULL && job->customer_by_id) {
        return err_member(err, "customer.id", "is not in the contact book, and the job gives no contact points");
    }
    if (book_text != NULL && book_unpack(book_text, strlen(book_text), job->customer.id, &work->arena, &old, err) < 0) {
        return -1;
    }
    int changed =
        book_merge(book_text == NULL ? NULL : &old, &news, kind, now_ms, same_address, rules_context(place), &work->arena, &merged, err);
    if (changed < 0) {
        return -1;
    }
    int marked = work->document.n_marks == 0 ? 0 : mark_contacts(work, place, &merged.customer, err);
    if (marked < 0) {
        return -1;
    }
    changed = changed == 1 || marked == 1;
    job->customer = merged.customer;
    work->from_book = book_text != NULL;
    return changed == 0 ? 0 : keep_entry(work, &merged, err);
}

/* ---- whose accounts are these ---------------------------------------------------------------------------------------- */

static bool lists(const struct address_list *list, const char *canonical) {
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i], canonical) == 0) {
            return true;
        }
    }
    return false;
}

/* Adds what is not there yet; the list has room for it. */
static void add_account(struct address_list *list, const char *canonical) {
    if (!lists(list, canonical)) {
        list->items[list->n++] = canonical;
    }
}

/* The customer's own accounts that die, in canonical form. */
static int add_own_accounts(struct work *work, const struct work_place *place, struct address_list *list) {
    const struct address_list *own = &work->document.job.customer.accounts;
    for (size_t i = 0; i < own->n; i++) {
        char canonical[MAILBOX_MAX];
        if (mailbox_canon(place->rules, own->items[i], canonical, NULL) < 0 || !doomed_set_has(work->doomed, canonical)) {
            continue;
        }
        const char *copy = arena_strdup(&work->arena, canonical);
        if (copy == NULL) {
            return -1;
        }
        add_account(list, copy);
    }
    return 0;
}

/* Which accounts this notice keeps on hold, and how many of them (the first n_own) it may clear: those that are the customer's own.
 * Reaching Ada says nothing about a mailbox that is Bob's, even if Ada reads it too (P3). Whose an account is, the customer's
 * `accounts` say; where there are none, a single listed account is taken to be the customer's, several are nobody's. */
int work_note_accounts(struct work *work, const struct work_place *place, struct err *err) {
    const struct customer *customer = &work->document.job.customer;
    struct address_list listed = work->record.accounts;
    struct address_list all = {NULL, 0};
    all.items = arena_array(&work->arena, listed.n + customer->accounts.n + work->reach.n_contacts, sizeof *all.items);
    if (all.items == NULL || add_own_accounts(work, place, &all) < 0) {
        return err_no_memory(err);
    }
    work->record.n_own = all.n;
    if (customer->accounts.n == 0 && listed.n == 1 && work->document.job.disables.domains.n == 0) {
        work->record.n_own = 1;
    }
    for (size_t i = 0; i < listed.n; i++) {
        add_account(&all, listed.items[i]);
    }
    for (size_t i = 0; i < work->reach.n_contacts && work->document.job.disables.domains.n > 0; i++) {
        if (work->reach.contacts[i].doomed && channel_traits(customer->contacts[i].channel)->address == ADDRESS_MAILBOX) {
            add_account(&all, work->reach.contacts[i].canonical);
        }
    }
    work->record.accounts = all;
    return 0;
}
