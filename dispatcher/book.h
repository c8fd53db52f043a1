/* book: the contact book: one compact entry per customer, and the rule by which news is merged into it.
 *
 * An entry is one line of text: fields separated by ASCII US (0x1f), contact points by RS (0x1e), items of a list by GS (0x1d). No
 * value may hold a control character (every reader of jobs and files sees to that), so nothing needs escaping and an
 * entry is read without a parser: a hash of 24 million of them fits into memory that the same JSON would fill twice. */
#ifndef REACH_DISPATCHER_BOOK_H
#define REACH_DISPATCHER_BOOK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/notice.h"

/* One customer as the book knows them. */
struct book_entry {
    struct customer customer;
    const char *attributes; /* JSON object as text, or NULL */
    int64_t seen_at_ms;     /* when upstream last confirmed it (whole seconds) */
};

/* Appends the entry's text to *out (check out->failed). The customer's id is not in it: it is the key. */
void book_pack(const struct book_entry *entry, struct buf *out);

/* Reads an entry's text; `id` is the customer's id (borrowed). Everything else lives in `arena`. 0, or -1 with *err. */
int book_unpack(const char *text, size_t len, const char *id, struct arena *arena, struct book_entry *entry, struct err *err);

/* What a piece of news says about the contact points that it does not mention. */
enum book_news {
    BOOK_WHOLE,    /* a `contact` job: it lists them all; what is missing has vanished upstream */
    BOOK_UPSTREAM, /* an import: the same, but a list that is written out every night knows nothing of bounces: an absent status says
                      nothing */
    BOOK_GLIMPSE,  /* a notice job: it lists some; nothing follows about the others, nor from what it leaves out about those it lists */
    BOOK_OLD_NEWS  /* a notice job taken up again: where the book knows a contact point, the book is newer */
};

/* Whether anything that is said of the customer's contact points could take one away from a notice that reached the customer there: a
 * status that is not used, a condition, a change. */
bool book_may_take_away(const struct customer *customer);

/* Merges news about one customer into what the book holds (`old` NULL: nothing). Never drops a contact point (P7): one that vanished is
 * marked and stays usable; an address that takes the place of another on the same channel remembers it as its previous
 * address with the time of the change (`now_ms` where the news gives none). `same` compares two addresses of a channel (the
 * core's canonical form); NULL: byte for byte. *merged shares strings with both; lists live in `arena`. 1 something changed,
 * 0 nothing but seen_at, -1 with *err (no memory). */
typedef int book_same_fn(void *ctx, enum channel_id channel, const char *a, const char *b);
int book_merge(const struct book_entry *old, const struct book_entry *news, enum book_news kind, int64_t now_ms, book_same_fn *same,
               void *ctx, struct arena *arena, struct book_entry *merged, struct err *err);

#endif
