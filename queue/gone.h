/* gone: the ids of notices that have left for the archive, ten bytes each (lua/retire.lua writes them). */
#ifndef REACH_QUEUE_GONE_H
#define REACH_QUEUE_GONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GONE_BUCKET_LEN = 4, GONE_MARK_LEN = 6, GONE_CONTENT_LEN = 2, GONE_ENTRY_LEN = GONE_MARK_LEN + GONE_CONTENT_LEN + 2 };

/* Where an id is noted: both parts come from its SHA-256. */
struct gone_place {
    char bucket[GONE_BUCKET_LEN + 1]; /* field of the hash `archived` */
    char mark[GONE_MARK_LEN];
};

void gone_place_of(const char *id, struct gone_place *place);

/* Days since 1970, as entries carry them. */
int64_t gone_day(int64_t wall_ms);

/* The last day whose ids are forgotten; -1: ids are not remembered at all. */
int64_t gone_forgotten(int64_t wall_ms, int64_t remember_ms);

/* What is kept of a job's digest (NULL: none is known): two bytes of its SHA-256. */
void gone_content_of(const char *digest, char content[GONE_CONTENT_LEN]);

/* Where a bucket as Redis holds it has the mark, on a later day than `forgotten`: what is kept of its content. NULL: it has not. */
const char *gone_find(const char *bucket, size_t len, const char mark[GONE_MARK_LEN], int64_t forgotten);

#endif
