/* settings: section `redis` of the configuration (queue_table) and what follows from it.
 *
 * Fails: at start, naming the key. Does not: connect. */
#include "queue/queue.h"

#include <stdlib.h>
#include <string.h>

static const struct conf_key keys[] = {
    {.name = "address",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, address),
     .initial = "127.0.0.1:6379",
     .min = 3,
     .max = 400,
     .help = "where Redis is: host:port or unix:/path/to/socket"},
    {.name = "username",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, username),
     .min = 1,
     .max = 128,
     .help = "ACL user; without it the password is that of the default user"},
    {.name = "password_file",
     .type = CONF_PATH,
     .offset = offsetof(struct queue_settings, password_file),
     .help = "file with the password in its first line, readable by reachd only"},
    {.name = "prefix",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, prefix),
     .initial = "reach:",
     .min = 1,
     .max = 64,
     .help = "what all keys begin with"},
    {.name = "group",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, group),
     .initial = "reachd",
     .min = 1,
     .max = 64,
     .help = "consumer group of all reachd processes"},
    {.name = "consumer",
     .type = CONF_STRING,
     .offset = offsetof(struct queue_settings, consumer),
     .min = 1,
     .max = 64,
     .help = "stable name of this reachd in the group, different for each process; the host's name by default"},
    {.name = "allow_unsafe",
     .type = CONF_BOOL,
     .offset = offsetof(struct queue_settings, allow_unsafe),
     .initial = "false",
     .help = "start although Redis may lose what it has acknowledged (no AOF, an eviction policy)"},
    {.name = "batch",
     .type = CONF_INT,
     .offset = offsetof(struct queue_settings, batch),
     .initial = "512",
     .min = 1,
     .max = 10000,
     .help = "entries per read"},
    {.name = "lease",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, lease_ms),
     .initial = "60s",
     .min = 100,
     .max = 86400000,
     .help = "how long a worker owns what it took before another may take it over"},
    {.name = "connect_timeout",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, connect_timeout_ms),
     .initial = "5s",
     .min = 10,
     .max = 600000,
     .help = "how long connecting, and the first answer, may take"},
    {.name = "answer_timeout",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, answer_timeout_ms),
     .initial = "30s",
     .min = 100,
     .max = 3600000,
     .help = "a Redis that says nothing for so long is given up and connected to anew"},
    {.name = "retention",
     .type = CONF_DURATION,
     .offset = offsetof(struct queue_settings, retention_ms),
     .initial = "30d",
     .min = 0,
     .max = INT64_C(315360000000),
     .help = "how long a finished notice stays in Redis at least, where there is an archive to take it; 0s: for ever"},
    {.name = "events_max",
     .type = CONF_INT,
     .offset = offsetof(struct queue_settings, events_max),
     .initial = "100000",
     .min = 1000,
     .max = 1000000000,
     .help = "approximate number of entries (batches) kept in the events stream"},
};

static int check(void *object, struct err *err) {
    const struct queue_settings *settings = object;
    const char *address = settings->address;
    if (strncmp(address, "unix:", 5) == 0) {
        return strlen(address) > 5 ? 0 : err_member(err, "address", "names no socket after \"unix:\"");
    }
    const char *colon = strrchr(address, ':');
    char *end = NULL;
    long port = colon == NULL ? 0 : strtol(colon + 1, &end, 10);
    if (colon == NULL || colon == address || port < 1 || port > 65535 || *end != '\0') {
        return err_member(err, "address", "must be host:port or unix:/path");
    }
    return 0;
}

const struct conf_table queue_table = {
    .name = "redis",
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
    .size = sizeof(struct queue_settings),
    .where_offset = offsetof(struct queue_settings, where),
    .check = check,
};
