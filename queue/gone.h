/* gone: the ids of notices that have left for the archive, eight bytes each (lua/retire.lua writes them). */
#ifndef REACH_QUEUE_GONE_H
#define REACH_QUEUE_GONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GONE_BUCKET_LEN = 4, GONE_MARK_LEN = 6, GONE_ENTRY_LEN = GONE_MARK_LEN + 2 };

/* Where an id is noted: both parts come from its SHA-256. */
struct gone_place {
    char bucket[GONE_BUCKET_LEN + 1]; /* field of the hash `gone` */
    char mark[GONE_MARK_LEN];
};

void gone_place_of(const char *id, struct gone_place *place);

/* Days since 1970, as entries carry them. */
int64_t gone_day(int64_t wall_ms);

/* The last day whose ids are forgotten; -1: ids are not remembered at all. */
int64_t gone_forgotten(int64_t wall_ms, int64_t remember_ms);

/* Whether a bucket as Redis holds it has the mark, on a later day than `forgotten`. */
bool gone_has(const char *bucket, size_t len, const char mark[GONE_MARK_LEN], int64_t forgotten);

#endif
