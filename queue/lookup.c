/* lookup: reads records, contact book entries and kept jobs of a batch.
 *
 * One round trip of two or three HMGETs; where a record was found, which is rare for new entries, a second one for the jobs of those.
 * Nothing is changed, so nothing has to be atomic: a record that changes in between is caught by its token when the worker
 * applies its change. A wrong "not found" could turn into a wrong dead letter, so a refusal, even one that looks final (a key of
 * the wrong type), is told in the log and waited out. Fails: by want of memory. */
#include "queue/gone.h"
#include "queue/inside.h"
#include "queue/record.h"

#include "base/log.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum part { PART_RECORDS, PART_CUSTOMERS, PART_GONE };

struct lookup {
    queue_lookup_fn *done;
    void *ctx;
    size_t n;
    struct arena arena;
    const char **ids;
    struct queue_found *found;
    size_t *places; /* second round: whose jobs are asked for */
    size_t n_places;
    enum part parts[CALL_PARTS_MAX]; /* what the parts of the first round are */
    struct gone_place *gone;         /* NULL: not asked for */
    int64_t forgotten;
    bool no_memory;
};

static const char *keep(struct lookup *lookup, const redisReply *value) {
    if (!reply_is_string(value)) {
        return NULL;
    }
    const char *copy = arena_strndup(&lookup->arena, value->str, (size_t)value->len);
    lookup->no_memory = lookup->no_memory || copy == NULL;
    return copy;
}

static void take_record(struct lookup *lookup, size_t i, const redisReply *value) {
    const char *text = keep(lookup, value);
    struct queue_record *held = &lookup->found[i].held;
    *held = (struct queue_record){0};
    if (text != NULL && queue_record_read(text, (size_t)value->len, held, NULL, NULL) < 0) {
        log_error("queue: a record in Redis cannot be read; it is left alone");
    }
}

static void take_gone(const struct lookup *lookup, size_t i, const redisReply *value) {
    struct queue_found *found = &lookup->found[i];
    const char *content = found->held.found || !reply_is_string(value)
                              ? NULL
                              : gone_find(value->str, (size_t)value->len, lookup->gone[i].mark, lookup->forgotten);
    found->archived = content != NULL;
    if (content != NULL) {
        memcpy(found->archived_content, content, sizeof found->archived_content);
    }
}

static int on_first(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    struct lookup *lookup = call->data;
    if (!reply_is_array(reply, lookup->n)) {
        return -1;
    }
    for (size_t i = 0; i < lookup->n; i++) {
        const redisReply *value = reply->element[i];
        switch (lookup->parts[part]) {
        case PART_RECORDS: take_record(lookup, i, value); break;
        case PART_CUSTOMERS: lookup->found[i].customer = keep(lookup, value); break;
        case PART_GONE: take_gone(lookup, i, value); break;
        }
    }
    return lookup->no_memory ? -1 : 0;
}

static int on_jobs(struct queue *queue, struct call *call, size_t part, const redisReply *reply) {
    (void)queue;
    (void)part;
    struct lookup *lookup = call->data;
    if (!reply_is_array(reply, lookup->n_places)) {
        return -1;
    }
    for (size_t i = 0; i < lookup->n_places; i++) {
        lookup->found[lookup->places[i]].held.job = keep(lookup, reply->element[i]);
    }
    return lookup->no_memory ? -1 : 0;
}

static void tell(struct lookup *lookup) {
    struct arena arena = lookup->arena;
    lookup->arena = ARENA_INIT;
    lookup->done(lookup->ctx, lookup->found, lookup->n, &arena);
}

static void on_second(struct queue *queue, struct call *call, const struct err *err) {
    (void)queue;
    (void)err;
    assert(err == NULL); /* the kind is patient */
    tell(call->data);
}

static void lookup_free(struct lookup *lookup) {
    arena_fini(&lookup->arena);
    free(lookup);
}

static void on_drop(struct call *call) {
    lookup_free(call->data);
}

static const struct call_kind second_kind = {on_jobs, on_second, on_drop, true, NULL};

static void put_part(struct queue *queue, struct call *call, enum key key, const char *const *fields, size_t n) {
    struct command *command = &call->parts[call->n_parts++];
    command_init(command, "HMGET");
    command_puts(command, queue->keys.name[key]);
    for (size_t i = 0; i < n; i++) {
        command_puts(command, fields[i] == NULL ? "" : fields[i]);
    }
}

/* Asks for the jobs of the records that were found. 0, or -1 without memory. */
static int ask_jobs(struct queue *queue, struct lookup *lookup) {
    const char **ids = arena_array(&lookup->arena, lookup->n, sizeof *ids);
    lookup->places = arena_array(&lookup->arena, lookup->n, sizeof *lookup->places);
    struct call *call = ids == NULL || lookup->places == NULL ? NULL : call_new(&second_kind, NULL);
    if (call == NULL) {
        return -1;
    }
    for (size_t i = 0; i < lookup->n; i++) {
        if (lookup->found[i].held.found) {
            ids[lookup->n_places] = lookup->ids[i];
            lookup->places[lookup->n_places++] = i;
        }
    }
    put_part(queue, call, KEY_JOBS, ids, lookup->n_places);
    if (call_submit(queue, call, NULL) < 0) {
        return -1;
    }
    call->data = lookup;
    return 0;
}

static bool any_found(const struct lookup *lookup) {
    for (size_t i = 0; i < lookup->n; i++) {
        if (lookup->found[i].held.found) {
            return true;
        }
    }
    return false;
}

static void on_finish(struct queue *queue, struct call *call, const struct err *err) {
    (void)err;
    assert(err == NULL); /* the kind is patient */
    struct lookup *lookup = call->data;
    if (!any_found(lookup)) {
        tell(lookup);
        return;
    }
    call->data = NULL; /* the second call's from here on */
    if (ask_jobs(queue, lookup) < 0) {
        log_error("queue: no memory to look up %zu notices", lookup->n);
        for (size_t i = 0; i < lookup->n; i++) {
            lookup->found[i] = (struct queue_found){0}; /* what is planned on this turns out stale and comes back after its lease */
        }
        tell(lookup);
        lookup_free(lookup);
    }
}

static const struct call_kind first_kind = {on_first, on_finish, on_drop, true, NULL};

static bool any(const char *const *texts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (texts[i] != NULL) {
            return true;
        }
    }
    return false;
}

static void put_first(struct queue *queue, struct lookup *lookup, struct call *call, enum part part, enum key key,
                      const char *const *fields) {
    lookup->parts[call->n_parts] = part;
    put_part(queue, call, key, fields, lookup->n);
}

/* Which of the ids have left for the archive; asked for only where something may have left. 0, or -1 without memory. */
static int put_gone(struct queue *queue, struct lookup *lookup, struct call *call) {
    const char **buckets = arena_array(&lookup->arena, lookup->n, sizeof *buckets);
    lookup->gone = arena_array(&lookup->arena, lookup->n, sizeof *lookup->gone);
    if (buckets == NULL || lookup->gone == NULL) {
        return -1;
    }
    for (size_t i = 0; i < lookup->n; i++) {
        gone_place_of(lookup->ids[i], &lookup->gone[i]);
        buckets[i] = lookup->gone[i].bucket;
    }
    lookup->forgotten = gone_forgotten(clock_wall_ms(queue->clock), queue->settings->remember_ms);
    put_first(queue, lookup, call, PART_GONE, KEY_GONE, buckets);
    return 0;
}

static bool may_be_gone(const struct queue *queue) {
    return queue->settings->remember_ms > 0 && (queue->handlers->old != NULL || queue->sweep.some_gone);
}

static struct lookup *lookup_new(const char *const *ids, size_t n, queue_lookup_fn *done, void *ctx) {
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return NULL;
    }
    *lookup = (struct lookup){.done = done, .ctx = ctx, .n = n, .arena = ARENA_INIT};
    lookup->found = arena_array(&lookup->arena, n, sizeof *lookup->found);
    lookup->ids = arena_array(&lookup->arena, n, sizeof *lookup->ids);
    bool failed = lookup->found == NULL || lookup->ids == NULL;
    for (size_t i = 0; i < n && !failed; i++) {
        lookup->ids[i] = arena_strdup(&lookup->arena, ids[i]);
        failed = lookup->ids[i] == NULL;
    }
    if (failed) {
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

int queue_lookup(struct queue *queue, const char *const *ids, const char *const *customers, size_t n, queue_lookup_fn *done, void *ctx,
                 struct err *err) {
    assert(n > 0);
    struct lookup *lookup = lookup_new(ids, n, done, ctx);
    struct call *call = lookup == NULL ? NULL : call_new(&first_kind, lookup);
    if (call == NULL) {
        if (lookup != NULL) {
            lookup_free(lookup);
        }
        return err_no_memory(err);
    }
    put_first(queue, lookup, call, PART_RECORDS, KEY_NOTICES, ids);
    if (customers != NULL && any(customers, n)) {
        put_first(queue, lookup, call, PART_CUSTOMERS, KEY_CONTACTS, customers);
    }
    if (may_be_gone(queue) && put_gone(queue, lookup, call) < 0) {
        call_free(call);
        return err_no_memory(err);
    }
    return call_submit(queue, call, err);
}

int queue_book_seen(const char *text, char out[QUEUE_SEEN_LEN]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    out[0] = '\0';
    if (text == NULL) {
        return 0;
    }
    if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1 || len * 2 + 1 != QUEUE_SEEN_LEN) {
        return -1;
    }
    for (unsigned i = 0; i < len; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}

bool queue_is_archived_job(const struct queue_found *found, const char *digest) {
    char content[GONE_CONTENT_LEN];
    gone_content_of(digest, content);
    return found->archived && memcmp(content, found->archived_content, sizeof content) == 0;
}
