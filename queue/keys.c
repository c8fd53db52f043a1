/* keys: see keys.h. Tables only. Fails: by want of memory. Does not: know what the keys hold. */
#include "queue/keys.h"

#include <assert.h>
#include <stdlib.h>

#define KEY_NAME(id, name) [id] = name,
static const char *const names[KEY_COUNT] = {KEY_LIST(KEY_NAME)};

int queue_keys_make(const char *prefix, struct arena *arena, struct queue_keys *keys) {
    for (int i = 0; i < KEY_COUNT; i++) {
        keys->name[i] = arena_printf(arena, "%s%s", prefix, names[i]);
        if (keys->name[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

struct stream_row {
    enum key key;
    const char *field;
    const char *name;
};

static const struct stream_row streams[STREAM_COUNT] = {
    [STREAM_URGENT] = {KEY_INTAKE, "job", "urgent"},
    [STREAM_BULK] = {KEY_INTAKE_BULK, "job", "bulk"},
    [STREAM_RECEIPTS] = {KEY_RECEIPTS, "receipt", "receipts"},
};

enum key stream_key(enum stream stream) {
    assert((unsigned)stream < STREAM_COUNT);
    return streams[stream].key;
}

const char *stream_field(enum stream stream) {
    assert((unsigned)stream < STREAM_COUNT);
    return streams[stream].field;
}

const char *stream_name(enum stream stream) {
    assert((unsigned)stream < STREAM_COUNT);
    return streams[stream].name;
}

int stream_id_read(const char *id, uint64_t *ms_r, uint64_t *seq_r) {
    char *end = NULL;
    *ms_r = strtoull(id, &end, 10);
    if (end == id || *end != '-') {
        return -1;
    }
    const char *seq = end + 1;
    *seq_r = strtoull(seq, &end, 10);
    return end == seq || *end != '\0' ? -1 : 0;
}
