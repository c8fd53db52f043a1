/* text_set: see text_set.h.
 *
 *     add ──▶ a table in memory ──full──▶ sorted, into SQLite's file ──▶ the table is empty again
 *     has ──▶ the table, where nothing ever went to the file; else a filter ──perhaps──▶ the file
 *
 * Most sets fit into the table and never see a file. A larger one goes to SQLite piece by piece, each piece in order, which is what its
 * tree takes quickest, and is asked there; most texts that are not in it are told by the filter (Bloom: a text whose bits are not all set
 * was never added), so that they cost no look into the file. What the filter lets pass the file decides, so the answer is always exact.
 *
 * Guarantees: memory is bounded whatever is added: the texts in memory, a quarter of that for the table, and once there is a file half of
 * it for the filter and a quarter for SQLite's pages. The file is SQLite's own temporary one: nobody else can open it, it has no name while
 * it is used, and is gone with the process. It is made in $SQLITE_TMPDIR, $TMPDIR or /var/tmp.
 *
 * Fails: by want of memory, or of room for the file. Does not: say in what order texts were added, or forget one. */
#include "cli/text_set.h"

#include "dispatcher/core/hash.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_PER_SLOT = 16, MEMORY_MIN = 65536, MEMORY_MAX = 1 << 30, FILTER_HASHES = 3 };

#define MARKED 0x80000000U

struct text_set {
    char *texts; /* NUL-terminated, one behind the other; NULL once all are in the file */
    size_t len;
    size_t cap;
    uint32_t *slots; /* where a text begins, and 1 more, with MARKED; 0: free */
    size_t n_slots;  /* a power of two */
    size_t n;
    uint8_t *filter; /* NULL: nothing went to the file */
    size_t n_bits;   /* of the filter, a power of two */
    sqlite3 *db;
    sqlite3_stmt *insert;
    sqlite3_stmt *find;
    sqlite3_stmt *mark;
    sqlite3_stmt *unmarked;
};

/* ---- the file ----------------------------------------------------------------------------------------------------------- */

static int db_failed(struct text_set *set, struct err *err) {
    return err_set(err, ERR_SYSTEM, "a list that is too long for memory cannot be kept in a temporary file: %s (is there room in $TMPDIR?)",
                   set->db == NULL ? "out of memory" : sqlite3_errmsg(set->db));
}

/* Nothing of it is to outlive the process, so nothing is done to survive a crash. 0, or -1 with *err. */
static int open_file(struct text_set *set, struct err *err) {
    char setup[300];
    (void)snprintf(setup, sizeof setup,
                   "PRAGMA temp_store=FILE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
                   "PRAGMA cache_size=-%zu; CREATE TABLE texts(text TEXT PRIMARY KEY, marked INT) WITHOUT ROWID; BEGIN",
                   set->cap / 4 / 1024);
    set->filter = calloc(set->n_bits / 8, 1);
    if (set->filter == NULL) {
        return err_no_memory(err);
    }
    const struct {
        sqlite3_stmt **statement;
        const char *text;
    } wanted[] = {{&set->insert, "INSERT OR IGNORE INTO texts VALUES(?, 0)"},
                  {&set->find, "SELECT 1 FROM texts WHERE text = ?"},
                  {&set->mark, "UPDATE texts SET marked = 1 WHERE text = ? RETURNING 1"},
                  {&set->unmarked, "SELECT text FROM texts WHERE marked = 0"}};
    int rc = sqlite3_open_v2("", &set->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    rc = rc == SQLITE_OK ? sqlite3_exec(set->db, setup, NULL, NULL, NULL) : rc;
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof wanted / sizeof *wanted; i++) {
        rc = sqlite3_prepare_v2(set->db, wanted[i].text, -1, wanted[i].statement, NULL);
    }
    return rc == SQLITE_OK ? 0 : db_failed(set, err);
}

/* Runs a statement with `text`. SQLITE_ROW, SQLITE_DONE, or what went wrong. */
static int run(sqlite3_stmt *statement, const char *text) {
    int rc = sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    (void)sqlite3_reset(statement);
    return rc;
}

/* ---- the filter --------------------------------------------------------------------------------------------------------- */

/* The i-th bit of a text: two halves of one hash make as many as are wanted (Kirsch and Mitzenmacher). */
static size_t filter_bit(const struct text_set *set, uint64_t hash, uint32_t i) {
    return (hash + i * (hash >> 32 | 1U)) & (set->n_bits - 1);
}

static void filter_add(struct text_set *set, uint64_t hash) {
    for (uint32_t i = 0; i < FILTER_HASHES; i++) {
        size_t bit = filter_bit(set, hash, i);
        set->filter[bit / 8] |= (uint8_t)(1U << bit % 8);
    }
}

static bool filter_passes(const struct text_set *set, uint64_t hash) {
    for (uint32_t i = 0; i < FILTER_HASHES; i++) {
        size_t bit = filter_bit(set, hash, i);
        if ((set->filter[bit / 8] >> bit % 8 & 1U) == 0) {
            return false;
        }
    }
    return true;
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */

static const char *text_at(const struct text_set *set, uint32_t slot) {
    return set->texts + (slot & ~MARKED) - 1;
}

/* The slot that holds the text, or the free one where it would stand. */
static size_t find_slot(const struct text_set *set, const char *text, uint64_t hash) {
    size_t slot = hash & (set->n_slots - 1);
    while (set->slots[slot] != 0 && strcmp(text_at(set, set->slots[slot]), text) != 0) {
        slot = (slot + 1) & (set->n_slots - 1);
    }
    return slot;
}

static int by_text(const void *a, const void *b, void *set) {
    return strcmp(text_at(set, *(const uint32_t *)a), text_at(set, *(const uint32_t *)b));
}

/* Moves the table into the file. 0, or -1 with *err. */
static int move_out(struct text_set *set, struct err *err) {
    size_t n = 0;
    if (set->filter == NULL && open_file(set, err) < 0) {
        return -1;
    }
    for (size_t slot = 0; slot < set->n_slots; slot++) {
        if (set->slots[slot] != 0) {
            set->slots[n++] = set->slots[slot];
        }
    }
    qsort_r(set->slots, n, sizeof *set->slots, by_text, set);
    for (size_t i = 0; i < n; i++) {
        const char *text = text_at(set, set->slots[i]);
        filter_add(set, hash_bytes(text, strlen(text)));
        if (run(set->insert, text) != SQLITE_DONE) {
            return db_failed(set, err);
        }
    }
    memset(set->slots, 0, set->n_slots * sizeof *set->slots);
    set->len = 0;
    set->n = 0;
    return 0;
}

/* ---- the set ------------------------------------------------------------------------------------------------------------ */

struct text_set *text_set_new(size_t memory_bytes, struct err *err) {
    struct text_set *set = calloc(1, sizeof *set);
    size_t n_slots = 1;
    memory_bytes = memory_bytes < MEMORY_MIN ? MEMORY_MIN : memory_bytes < MEMORY_MAX ? memory_bytes : MEMORY_MAX;
    while (n_slots * TEXT_BYTES_PER_SLOT * 2 <= memory_bytes) {
        n_slots *= 2;
    }
    if (set != NULL) {
        set->cap = memory_bytes;
        set->n_slots = n_slots;
        set->n_bits = n_slots * TEXT_BYTES_PER_SLOT * 4; /* half of the memory, as bits */
        set->texts = malloc(set->cap);
        set->slots = calloc(n_slots, sizeof *set->slots);
    }
    if (set == NULL || set->texts == NULL || set->slots == NULL) {
        text_set_free(set);
        (void)err_no_memory(err);
        return NULL;
    }
    return set;
}

void text_set_free(struct text_set *set) {
    if (set == NULL) {
        return;
    }
    (void)sqlite3_finalize(set->insert);
    (void)sqlite3_finalize(set->find);
    (void)sqlite3_finalize(set->mark);
    (void)sqlite3_finalize(set->unmarked);
    (void)sqlite3_close(set->db);
    free(set->filter);
    free(set->slots);
    free(set->texts);
    free(set);
}

/* A text that has no room even in an empty table goes to the file at once. */
static int add_long(struct text_set *set, const char *text, size_t len, struct err *err) {
    if (set->filter == NULL && open_file(set, err) < 0) {
        return -1;
    }
    filter_add(set, hash_bytes(text, len));
    return run(set->insert, text) == SQLITE_DONE ? 0 : db_failed(set, err);
}

int text_set_add(struct text_set *set, const char *text, struct err *err) {
    size_t len = strlen(text);
    uint64_t hash = hash_bytes(text, len);
    size_t slot = find_slot(set, text, hash);
    if (set->slots[slot] != 0) {
        return 0;
    }
    if (len >= set->cap) {
        return add_long(set, text, len, err);
    }
    if (len >= set->cap - set->len || set->n >= set->n_slots / 4 * 3) {
        if (move_out(set, err) < 0) {
            return -1;
        }
        slot = find_slot(set, text, hash);
    }
    memcpy(set->texts + set->len, text, len + 1);
    set->slots[slot] = (uint32_t)set->len + 1;
    set->len += len + 1;
    set->n++;
    return 0;
}

int text_set_end(struct text_set *set, struct err *err) {
    if (set->filter == NULL) {
        return 0;
    }
    int rc = set->n == 0 ? 0 : move_out(set, err);
    free(set->texts);
    free(set->slots);
    set->texts = NULL;
    set->slots = NULL;
    return rc;
}

/* The slot or the answer of the file, as text_set_has() and text_set_mark(). */
static int look(struct text_set *set, const char *text, sqlite3_stmt *statement, uint32_t mark, struct err *err) {
    uint64_t hash = hash_bytes(text, strlen(text));
    if (set->filter == NULL) {
        size_t slot = find_slot(set, text, hash);
        set->slots[slot] |= set->slots[slot] != 0 ? mark : 0;
        return set->slots[slot] != 0;
    }
    if (!filter_passes(set, hash)) {
        return 0;
    }
    int rc = run(statement, text);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : db_failed(set, err);
}

int text_set_has(struct text_set *set, const char *text, struct err *err) {
    return look(set, text, set->find, 0, err);
}

int text_set_mark(struct text_set *set, const char *text, struct err *err) {
    return look(set, text, set->mark, MARKED, err);
}

int text_set_each_unmarked(struct text_set *set, void (*each)(void *ctx, const char *text), void *ctx, struct err *err) {
    for (size_t slot = 0; set->filter == NULL && slot < set->n_slots; slot++) {
        if (set->slots[slot] != 0 && (set->slots[slot] & MARKED) == 0) {
            each(ctx, text_at(set, set->slots[slot]));
        }
    }
    int rc = SQLITE_DONE;
    while (set->filter != NULL && (rc = sqlite3_step(set->unmarked)) == SQLITE_ROW) {
        each(ctx, (const char *)sqlite3_column_text(set->unmarked, 0));
    }
    return rc == SQLITE_DONE ? 0 : db_failed(set, err);
}
