/* gone: see gone.h.
 *
 * An id is known for a while after its notice has left, so that the same job sent again is a duplicate and not a second notice. Sixteen
 * bits of its SHA-256 choose one of 65,536 buckets and 48 are kept in it: that another id is taken for it happens once in 10^12 new jobs
 * where ten million ids are remembered. A bucket drops what is too old whenever something is added, so the whole is bounded by what leaves
 * within redis.remember_ids and stays as it is when nothing leaves any more.
 *
 * Beside it stand two bytes of what was in the job, so that the same id with other content is told from the same job sent again, but for
 * one case in 65,536 (which is then answered as a duplicate; the record that could tell is in the archive). Pure. Fails: never. */
#include "queue/gone.h"

#include <openssl/sha.h>
#include <string.h>

enum { DAY_MS = 86400000 };

void gone_place_of(const char *id, struct gone_place *place) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)id, strlen(id), digest);
    for (size_t i = 0; i < GONE_BUCKET_LEN; i++) {
        place->bucket[i] = digits[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 15];
    }
    place->bucket[GONE_BUCKET_LEN] = '\0';
    memcpy(place->mark, digest + GONE_BUCKET_LEN / 2, GONE_MARK_LEN);
}

int64_t gone_day(int64_t wall_ms) {
    return wall_ms / DAY_MS;
}

int64_t gone_forgotten(int64_t wall_ms, int64_t remember_ms) {
    int64_t first = wall_ms - remember_ms;
    return remember_ms == 0 ? -1 : first < DAY_MS ? 0 : gone_day(first) - 1;
}

void gone_content_of(const char *digest, char content[GONE_CONTENT_LEN]) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    const char *text = digest == NULL ? "" : digest;
    (void)SHA256((const unsigned char *)text, strlen(text), hash);
    memcpy(content, hash, GONE_CONTENT_LEN);
}

const char *gone_find(const char *bucket, size_t len, const char mark[GONE_MARK_LEN], int64_t forgotten) {
    const char *found = NULL;
    for (size_t at = 0; at + GONE_ENTRY_LEN <= len; at += GONE_ENTRY_LEN) {
        const char *content = bucket + at + GONE_MARK_LEN;
        const unsigned char *day = (const unsigned char *)content + GONE_CONTENT_LEN;
        if (memcmp(bucket + at, mark, GONE_MARK_LEN) == 0 && (day[0] << 8 | day[1]) > forgotten) {
            found = content; /* the newest is the last */
        }
    }
    return found;
}
