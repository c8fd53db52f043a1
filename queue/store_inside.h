/* store_inside: what the files of the store share; nobody else includes it. */
#ifndef REACH_QUEUE_STORE_INSIDE_H
#define REACH_QUEUE_STORE_INSIDE_H

#include "queue/command.h"
#include "queue/keys.h"
#include "queue/reply.h"
#include "queue/scripts.h"
#include "queue/store.h"

struct store {
    redisContext *redis;
    char address[408]; /* of it */
    const struct queue_settings *settings;
    struct arena arena; /* names and secrets */
    struct queue_keys keys;
    struct script scripts[SCRIPT_COUNT];
};

/* Connects as the settings say (store_dial.c). 0 or -1 with *err. */
int store_connect(struct store *store, struct err *err);

/* What went wrong with the connection, as *err. Always -1. */
int store_failed(struct store *store, struct err *err);

/* Sends a command (freed in any case) and waits for its answer, which the caller frees. NULL with *err ERR_REDIS where the
 * connection failed or Redis refused. */
redisReply *store_ask(struct store *store, struct command *command, struct err *err);

/* Runs a script: `command` goes on from store_script(). The same answers; a script that Redis does not have is loaded first. */
redisReply *store_run(struct store *store, enum script_id script, struct command *command, struct err *err);

/* EVALSHA <sha> <n_keys>: the start of a script's call; the keys follow. */
void store_script(const struct store *store, struct command *command, enum script_id script, size_t n_keys);

/* Queues a command (freed in any case) without waiting. 0 or -1. */
int store_send(struct store *store, struct command *command, struct err *err);

/* The next answer, whatever it is (also an error reply). NULL with *err where the connection failed. */
redisReply *store_next(struct store *store, struct err *err);

/* NAME KEY: the start of most commands. */
void store_command(const struct store *store, struct command *command, const char *name, enum key key);

/* Called for each field and value (member and score). 0 to go on, 1 to stop, -1 with *err. */
typedef int store_row_fn(void *ctx, const redisReply *field, const redisReply *value, struct err *err);

/* Walks a hash or the due set by cursor; a row that is there all the time comes at least once. 0 or -1. */
int store_scan(struct store *store, enum key key, store_row_fn *each, void *ctx, struct err *err);

/* Puts <prefix><key> as an argument. */
void store_put_name(const struct store *store, struct command *command, const char *key);

/* An array of n strings or nils (freed; may be NULL, then *err is set already) into the arena; nil gives NULL. 0 or -1. */
int store_keep_texts(redisReply *reply_take, size_t n, struct arena *arena, const char **values_r, struct err *err);

/* A new JSON string of a string reply, invalid UTF-8 replaced by a remark; NULL for anything else. */
json_t *store_json_text(const redisReply *reply);

#endif
