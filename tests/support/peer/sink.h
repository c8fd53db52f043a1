/* sink: where the peer keeps what it took: one readable file per message, one index line per recipient, and counts. */
#ifndef REACH_PEER_SINK_H
#define REACH_PEER_SINK_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum sink_mode {
    SINK_FILES, /* files, index, counts */
    SINK_INDEX, /* index, counts */
    SINK_COUNT  /* counts only: for benchmarks */
};

struct sink;

/* Opens (and makes) `dir`. Numbers go on after what an earlier run left there. NULL with *err. */
struct sink *sink_open(const char *dir, enum sink_mode mode, struct err *err);
void sink_close(struct sink *sink);

/* One message. Strings are borrowed; NULL where not known. */
struct sink_message {
    const char *channel;
    const char *const *recipients;
    size_t n_recipients;
    const char *key;    /* Message-ID or idempotency key: the same on every copy */
    const char *notice; /* the sender's reference to the notice */
    const char *from;   /* e-mail: envelope sender */
    const char *tls;    /* protocol version; NULL: in clear */
    const char *user;   /* who authenticated */
    uint64_t session;
    const char *folder;  /* "mail", "sms", "push", "http" */
    const char *suffix;  /* "eml", "json" */
    const char *content; /* what the file holds */
    size_t content_len;
    size_t size_bytes; /* of the message as it came */
};

/* Keeps the message before the peer answers. Returns its number (1 for the first). A full disk ends the process: a peer
 * that answers "taken" for what it did not keep would make every count wrong. */
uint64_t sink_take(struct sink *sink, const struct sink_message *message);

/* Notes a message or command that the peer did not take, in refused.ndjson. */
void sink_refuse(struct sink *sink, const char *channel, const char *recipient, const char *phase, const char *action, int code);

/* Opens trace.log: from now on sink_trace() writes. 0, or -1 with *err. */
int sink_trace_open(struct sink *sink, struct err *err);

/* One line of a conversation ("C: MAIL FROM:<>", "S: 250 ok"), with its session's number; several lines in `text` are shown as such.
 * Does nothing where no trace is kept. */
void sink_trace(struct sink *sink, uint64_t session, const char *who, const char *text, size_t len);

/* Counts `what` ("command:RCPT", "session") by one. */
void sink_count(struct sink *sink, const char *what);

/* All counts: {"taken":N,"taken:email":N,...}. Borrowed. */
json_t *sink_counts(struct sink *sink);

#endif
