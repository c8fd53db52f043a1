/* book: see book.h.
 *
 * Guarantees: book_unpack(book_pack(e)) gives e again (times to the second). An entry written by an older version has fewer
 * fields, one written by a newer has more; both are read. Merging is idempotent: the same news twice changes nothing the second time.
 *
 * Fails: an entry that is not one of ours is refused, never half read. Does not: canonicalise addresses, read files or talk to
 * Redis; the stored numbers of channels and statuses are their places in the lists of base/notice.h. */
#include "dispatcher/book.h"

#include <stdlib.h>
#include <string.h>

#define UNIT '\x1f'
#define RECORD '\x1e'
#define GROUP '\x1d'

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void put_list(struct buf *out, const struct address_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0) {
            buf_putc(out, GROUP);
        }
        buf_puts(out, list->items[i]);
    }
}

static void put_text(struct buf *out, const char *text) {
    buf_puts(out, text == NULL ? "" : text);
}

static void put_seconds(struct buf *out, int64_t ms) {
    if (ms != 0) {
        buf_put_i64(out, ms / 1000);
    }
}

/* Empty fields at the end of a record say nothing. */
static void trim_units(struct buf *out, size_t from) {
    while (!out->failed && out->len > from && out->data[out->len - 1] == UNIT) {
        out->data[--out->len] = '\0';
    }
}

static void put_contact(struct buf *out, const struct contact *contact) {
    buf_putc(out, RECORD);
    size_t from = out->len;
    buf_putc(out, (char)('0' + contact->channel));
    buf_putc(out, (char)('0' + contact->status));
    buf_putc(out, contact->vanished ? 'v' : '-');
    buf_puts(out, contact->address);
    buf_putc(out, UNIT);
    put_text(out, contact->gateway);
    buf_putc(out, UNIT);
    put_seconds(out, contact->verified_at_ms);
    buf_putc(out, UNIT);
    put_seconds(out, contact->changed_at_ms);
    buf_putc(out, UNIT);
    put_text(out, contact->previous_address);
    buf_putc(out, UNIT);
    put_list(out, &contact->depends_on);
    buf_putc(out, UNIT);
    put_list(out, &contact->forwards_to);
    trim_units(out, from);
}

void book_pack(const struct book_entry *entry, struct buf *out) {
    const struct customer *customer = &entry->customer;
    size_t from = out->len;
    put_seconds(out, entry->seen_at_ms);
    buf_putc(out, UNIT);
    put_text(out, customer->name);
    buf_putc(out, UNIT);
    put_text(out, customer->locale);
    buf_putc(out, UNIT);
    put_text(out, customer->time_zone);
    buf_putc(out, UNIT);
    put_list(out, &customer->accounts);
    buf_putc(out, UNIT);
    put_text(out, entry->attributes);
    trim_units(out, from);
    for (size_t i = 0; i < customer->n_contacts; i++) {
        put_contact(out, &customer->contacts[i]);
    }
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* A cursor over the copied text; separators are replaced by NUL as fields are taken. */
struct cursor {
    char *at;
    struct arena *arena;
    bool failed;
};

/* Takes the text up to `separator` and moves behind it; the whole rest where there is none. NULL when nothing is left. */
static char *take(char **at, char separator) {
    char *from = *at;
    if (from == NULL) {
        return NULL;
    }
    char *end = strchr(from, separator);
    if (end != NULL) {
        *end = '\0';
        *at = end + 1;
    } else {
        *at = NULL;
    }
    return from;
}

static const char *take_text(struct cursor *c) {
    const char *text = take(&c->at, UNIT);
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static int64_t take_seconds(struct cursor *c) {
    const char *text = take_text(c);
    char *end = NULL;
    if (text == NULL) {
        return 0;
    }
    long long seconds = strtoll(text, &end, 10);
    if (*end != '\0' || seconds < 0 || seconds > 253402300799LL) {
        c->failed = true;
        return 0;
    }
    return (int64_t)seconds * 1000;
}

static size_t count(const char *text, char separator) {
    size_t n = 1;
    for (const char *p = strchr(text, separator); p != NULL; p = strchr(p + 1, separator)) {
        n++;
    }
    return n;
}

static struct address_list take_list(struct cursor *c) {
    struct address_list list = {NULL, 0};
    char *text = take(&c->at, UNIT);
    if (text == NULL || text[0] == '\0') {
        return list;
    }
    size_t n = count(text, GROUP);
    list.items = arena_array(c->arena, n, sizeof *list.items);
    if (list.items == NULL) {
        c->failed = true;
        return list;
    }
    for (list.n = 0; list.n < n; list.n++) {
        list.items[list.n] = take(&text, GROUP);
    }
    return list;
}

static void read_contact(struct arena *arena, char *text, struct contact *contact, bool *failed) {
    if (strlen(text) < 4 || text[0] < '0' || text[0] >= '0' + CHANNEL_COUNT || text[1] < '0' || text[1] >= '0' + CONTACT_STATUS_COUNT) {
        *failed = true;
        return;
    }
    contact->channel = (enum channel_id)(text[0] - '0');
    contact->status = (enum contact_status)(text[1] - '0');
    contact->vanished = text[2] == 'v';
    struct cursor c = {text + 3, arena, false};
    contact->address = take_text(&c);
    contact->gateway = take_text(&c);
    contact->verified_at_ms = take_seconds(&c);
    contact->changed_at_ms = take_seconds(&c);
    contact->previous_address = take_text(&c);
    contact->depends_on = take_list(&c);
    contact->forwards_to = take_list(&c);
    *failed = *failed || c.failed || contact->address == NULL;
}

int book_unpack(const char *text, size_t len, const char *id, struct arena *arena, struct book_entry *entry, struct err *err) {
    char *copy = arena_strndup(arena, text, len);
    size_t n = copy == NULL ? 0 : count(copy, RECORD) - 1;
    struct contact *contacts = arena_array(arena, n, sizeof *contacts);
    if (copy == NULL || contacts == NULL) {
        return err_no_memory(err);
    }
    if (strlen(copy) != len) {
        return err_set(err, ERR_SYNTAX, "the contact book's entry is damaged: it holds a NUL");
    }
    bool failed = false;
    char *rest = copy;
    struct cursor c = {take(&rest, RECORD), arena, false};
    *entry = (struct book_entry){.customer = {.id = id}};
    entry->seen_at_ms = take_seconds(&c);
    entry->customer.name = take_text(&c);
    entry->customer.locale = take_text(&c);
    entry->customer.time_zone = take_text(&c);
    entry->customer.accounts = take_list(&c);
    entry->attributes = take_text(&c);
    for (size_t i = 0; i < n; i++) {
        read_contact(arena, take(&rest, RECORD), &contacts[i], &failed);
    }
    entry->customer.contacts = contacts;
    entry->customer.n_contacts = n;
    return c.failed || failed ? err_set(err, ERR_SYNTAX, "the contact book's entry is damaged") : 0;
}

bool book_may_take_away(const struct customer *customer) {
    for (size_t i = 0; i < customer->n_contacts; i++) {
        const struct contact *contact = &customer->contacts[i];
        bool dead = contact->status != CONTACT_ACTIVE && contact->status != CONTACT_UNVERIFIED;
        if (dead || contact->depends_on.n > 0 || contact->forwards_to.n > 0 || contact->changed_at_ms != 0) {
            return true;
        }
    }
    return false;
}

/* ---- merging ------------------------------------------------------------------------------------------------------- */

struct merge {
    const struct book_entry *old;
    const struct book_entry *news;
    int64_t now_ms;
    book_same_fn *same;
    void *ctx;
    struct contact *contacts; /* of the result */
    size_t n;
    bool *matched; /* one per contact point of the news */
    bool changed;
};

static bool is_same(const struct merge *m, const struct contact *a, const struct contact *b) {
    if (a->channel != b->channel) {
        return false;
    }
    return m->same == NULL ? strcmp(a->address, b->address) == 0 : m->same(m->ctx, a->channel, a->address, b->address) == 1;
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_list(const struct address_list *a, const struct address_list *b) {
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool same_contact(const struct contact *a, const struct contact *b) {
    return a->status == b->status && a->vanished == b->vanished && strcmp(a->address, b->address) == 0 &&
           same_text(a->gateway, b->gateway) && a->verified_at_ms / 1000 == b->verified_at_ms / 1000 &&
           a->changed_at_ms / 1000 == b->changed_at_ms / 1000 && same_text(a->previous_address, b->previous_address) &&
           same_list(&a->depends_on, &b->depends_on) && same_list(&a->forwards_to, &b->forwards_to);
}

/* News about a contact point that the book knows: what the news leaves out stays. A glimpse that leaves out a bad status, or where a
 * contact point leads to, takes nothing away from what is known: it must not make a dead one look alive. */
static struct contact update(const struct contact *old, const struct contact *news, enum book_news kind) {
    if (kind == BOOK_OLD_NEWS) {
        return *old;
    }
    struct contact merged = *news;
    if (kind != BOOK_WHOLE && !news->status_told && news->status == CONTACT_ACTIVE) {
        merged.status = old->status;
    }
    if (kind == BOOK_GLIMPSE) {
        merged.gateway = news->gateway == NULL ? old->gateway : news->gateway;
        merged.depends_on = news->depends_on.n == 0 ? old->depends_on : news->depends_on;
        merged.forwards_to = news->forwards_to.n == 0 ? old->forwards_to : news->forwards_to;
    }
    merged.verified_at_ms = news->verified_at_ms == 0 ? old->verified_at_ms : news->verified_at_ms;
    merged.changed_at_ms = news->changed_at_ms == 0 ? old->changed_at_ms : news->changed_at_ms;
    merged.previous_address = news->previous_address == NULL ? old->previous_address : news->previous_address;
    return merged;
}

static const struct contact *find_news(struct merge *m, const struct contact *old) {
    const struct customer *news = &m->news->customer;
    for (size_t i = 0; i < news->n_contacts; i++) {
        if (!m->matched[i] && is_same(m, old, &news->contacts[i])) {
            m->matched[i] = true;
            return &news->contacts[i];
        }
    }
    return NULL;
}

static void merge_old(struct merge *m, enum book_news kind) {
    const struct customer *old = &m->old->customer;
    for (size_t i = 0; i < old->n_contacts; i++) {
        const struct contact *news = find_news(m, &old->contacts[i]);
        struct contact *merged = &m->contacts[m->n++];
        *merged = news == NULL ? old->contacts[i] : update(&old->contacts[i], news, kind);
        if (news == NULL && (kind == BOOK_WHOLE || kind == BOOK_UPSTREAM) && merged->status != CONTACT_WITHDRAWN) {
            merged->vanished = true;
        }
        m->changed = m->changed || !same_contact(merged, &old->contacts[i]);
    }
}

/* The contact point whose place a new one takes: the only one of its channel that has vanished with this news. */
static const struct contact *find_replaced(const struct merge *m, const struct contact *made) {
    const struct customer *old = m->old == NULL ? NULL : &m->old->customer;
    const struct contact *replaced = NULL;
    for (size_t i = 0; old != NULL && i < old->n_contacts; i++) {
        if (m->contacts[i].channel == made->channel && m->contacts[i].vanished && !old->contacts[i].vanished) {
            if (replaced != NULL) {
                return NULL;
            }
            replaced = &m->contacts[i];
        }
    }
    return replaced;
}

static void add_new(struct merge *m) {
    const struct customer *news = &m->news->customer;
    for (size_t i = 0; i < news->n_contacts; i++) {
        if (m->matched[i]) {
            continue;
        }
        struct contact made = news->contacts[i];
        const struct contact *replaced = find_replaced(m, &made);
        if (replaced != NULL && made.previous_address == NULL) {
            made.previous_address = replaced->address;
        }
        if (made.changed_at_ms == 0 && m->old != NULL) {
            made.changed_at_ms = m->now_ms;
        }
        m->contacts[m->n++] = made;
        m->changed = true;
    }
}

static void take_news(const char **text, const char *news, enum book_news kind) {
    if (news != NULL && (*text == NULL || kind != BOOK_OLD_NEWS)) {
        *text = news;
    }
}

static void merge_person(struct merge *m, enum book_news kind, struct book_entry *merged) {
    const struct book_entry *news = m->news;
    *merged = m->old == NULL ? *news : *m->old;
    struct customer *person = &merged->customer;
    person->id = news->customer.id;
    take_news(&person->name, news->customer.name, kind);
    take_news(&person->locale, news->customer.locale, kind);
    take_news(&person->time_zone, news->customer.time_zone, kind);
    take_news(&merged->attributes, news->attributes, kind);
    if (news->customer.accounts.n > 0 && (person->accounts.n == 0 || kind != BOOK_OLD_NEWS)) {
        person->accounts = news->customer.accounts;
    }
    merged->seen_at_ms = m->now_ms;
    if (m->old == NULL) {
        m->changed = true;
        return;
    }
    const struct customer *old = &m->old->customer;
    m->changed = m->changed || !same_text(person->name, old->name) || !same_text(person->locale, old->locale) ||
                 !same_text(person->time_zone, old->time_zone) || !same_list(&person->accounts, &old->accounts) ||
                 !same_text(merged->attributes, m->old->attributes);
}

int book_merge(const struct book_entry *old, const struct book_entry *news, enum book_news kind, int64_t now_ms, book_same_fn *same,
               void *ctx, struct arena *arena, struct book_entry *merged, struct err *err) {
    size_t n_old = old == NULL ? 0 : old->customer.n_contacts;
    struct merge m = {.old = old, .news = news, .now_ms = now_ms, .same = same, .ctx = ctx};
    m.contacts = arena_array(arena, n_old + news->customer.n_contacts, sizeof *m.contacts);
    m.matched = arena_array(arena, news->customer.n_contacts, sizeof *m.matched);
    if (m.contacts == NULL || m.matched == NULL) {
        return err_no_memory(err);
    }
    if (old != NULL) {
        merge_old(&m, kind);
    }
    add_new(&m);
    merge_person(&m, kind, merged);
    merged->customer.contacts = m.contacts;
    merged->customer.n_contacts = m.n;
    return m.changed ? 1 : 0;
}
